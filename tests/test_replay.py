"""Replay against the sequential loop, bit for bit: every neuron, awkward chunks, adversarial inputs."""

import numpy as np
import pytest
import torch
from cases import NEURONS, N
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import adversarial_inputs, lif_loop

from fptlib import Replay, Sequential, SolveError, Status, integrate_and_fire, lif, solve
from fptlib.chunks import run_chunks
from fptlib.replay import forgetting_time, plan

CUTS = ((1, 0), (4, 3), (7, 20), (16, 0), (33, 64), (None, None))


def same(a, b):
    """Spikes, membrane and final state equal bit for bit (a zero's sign apart)."""
    return all(torch.equal(getattr(a, part), getattr(b, part)) for part in ("spikes", "membrane", "final_state"))


def draw(steps, seed, dtype=torch.float32, width=N):
    return torch.randn(steps, width, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 0.6 + 0.3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NEURONS)
def test_every_neuron_bit_for_bit(name, dtype):
    neuron = NEURONS[name]
    for steps in (1, 2, 63, 130):
        x = draw(steps, steps, dtype)
        v0 = None
        if steps % 2 == 0:
            shape = (N,) if neuron.memory == 1 else (neuron.memory, N)
            v0 = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
            v0[neuron.states :] = v0[neuron.states :].round() if neuron.memory > neuron.states else v0[neuron.states :]
        loop = solve(neuron, x, Sequential(), v0=v0, on_failure="return")
        for cut in CUTS:
            assert same(loop, solve(neuron, x, Replay(*cut), v0=v0, on_failure="return")), (name, steps, cut)


@pytest.mark.parametrize("reset", ["soft", "hard", "none"])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_against_the_oracle_on_adversarial_inputs(decay, reset):
    for label, x in adversarial_inputs(150, 4, decay, dtype=np.float32).items():
        spikes, membrane, final = lif_loop(x, decay, reset=reset)
        found = solve(lif(decay, reset=reset), torch.from_numpy(x), Replay(16, 5))
        assert (found.spikes.numpy() == spikes).all(), label
        assert (found.membrane.numpy() == membrane).all(), label
        assert (found.final_state.numpy() == final).all(), label
        assert found.certificate.exact and found.status is Status.EXACT


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 90),
    chunk=st.integers(1, 100),
    warmup=st.integers(0, 120),
    decay=st.sampled_from([0.0, 0.3, 0.5, 0.9, 0.97, 1.0]),
    reset=st.sampled_from(["soft", "hard", "none"]),
    grid=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_any_cut_of_time(steps, chunk, warmup, decay, reset, grid, seed):
    x = draw(steps, seed, width=3)
    x = (x * 8).round() / 8 if grid else x
    loop, found = (solve(lif(decay, reset=reset), x, s) for s in (Sequential(), Replay(chunk, warmup)))
    assert same(loop, found)
    assert found.sweeps == found.report.rounds <= max(1, found.report.chunks)


def test_trailing_shapes():
    for shape in ((70,), (70, 0), (70, 2, 3)):
        x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        loop, found = (solve(lif(0.5), x, s) for s in (Sequential(), Replay(8, 4)))
        assert same(loop, found) and found.spikes.shape == x.shape


def test_parameters_per_neuron_and_per_channel():
    decay = torch.tensor([[0.2], [0.9]])
    neuron = lif(decay, threshold=torch.tensor([0.5, 1.0, 2.0]), reset="hard", v_reset=torch.tensor([0.0, 0.1, -0.2]))
    x = torch.rand(100, 2, 3, generator=torch.Generator().manual_seed(3))
    assert same(solve(neuron, x, Sequential()), solve(neuron, x, Replay(9, 0)))


def test_half_precision_input_keeps_float32_state():
    x = draw(80, 5).to(torch.bfloat16)
    loop, found = (solve(lif(0.9), x, s) for s in (Sequential(), Replay(8, 8)))
    assert same(loop, found) and found.membrane.dtype == torch.float32


def test_neurons_that_forget_nothing_are_walked():
    """Without leak and with random residues no seam ever closes early; the work stays bounded and the answer right."""
    x = torch.rand(1024, 40, generator=torch.Generator().manual_seed(0))
    loop, found = (solve(integrate_and_fire(), x, s) for s in (Sequential(), Replay(8, 0)))
    assert same(loop, found)
    assert found.report.walked and found.report.rounds <= found.report.chunks


def test_a_repair_stops_when_it_meets_its_earlier_run():
    """Chunks of 512 that forget in about 30 steps are repaired in far fewer than 512 dependent steps."""
    report = solve(lif(0.5), draw(4096, 7), Replay(512, 0)).report
    assert report.rounds == 2 and report.repaired == (7 * N,)
    assert report.path <= 512 + 64


def test_constant_input_takes_as_many_rounds_as_chunks():
    x, v0 = torch.full((40, 1), 0.7), torch.tensor([0.7])
    report = solve(lif(0.5, reset="hard"), x, Replay(4, 0), v0=v0).report
    assert report.rounds == report.chunks == 10 and report.path == 40
    assert solve(lif(0.5, reset="hard"), x, Replay(4, 1), v0=v0).report.rounds == 1


def test_a_wrong_guess_is_repaired():
    spec, x = lif(0.9).cast(torch.float32), draw(100, 2)
    guess = torch.full((1, 10, N), 5.0)
    spikes, membrane, final, report = run_chunks(spec, x, torch.zeros(1, N), 10, 0, guess)
    loop = solve(spec, x, Sequential())
    assert torch.equal(spikes[:, 0], loop.spikes) and torch.equal(membrane[:, 0], loop.membrane)
    assert torch.equal(final[0], loop.final_state) and report.rounds > 1


def test_windows_join():
    x = draw(200, 11)
    whole = solve(NEURONS["alif"], x, Sequential())
    first = solve(NEURONS["alif"], x[:77], Replay(10, 5))
    second = solve(NEURONS["alif"], x[77:], Replay(16, 0), v0=first.final_state)
    assert torch.equal(torch.cat([first.spikes, second.spikes]), whole.spikes)
    assert torch.equal(second.final_state, whole.final_state)


def test_gradient_is_that_of_the_loop():
    grads = []
    for solver in (Sequential(), Replay(8, 4)):
        decay = torch.nn.Parameter(torch.tensor(0.8, dtype=torch.float64))
        x = draw(60, 4, torch.float64).requires_grad_()
        solve(lif(decay), x, solver).spikes.pow(2).sum().backward()
        grads.append((x.grad, decay.grad))
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_overflow_is_a_status_and_ends():
    x = torch.full((60, 1), 3e38)
    with pytest.raises(SolveError, match="finite"):
        solve(lif(1.0), x, Replay(4, 0))
    assert solve(lif(1.0), x, Replay(4, 0), on_failure="return").status is Status.NONFINITE


@pytest.mark.parametrize("bad", [{"chunk": 0}, {"chunk": 2.5}, {"chunk": True}, {"warmup": -1}, {"warmup": "long"}])
def test_bad_numbers_are_refused(bad):
    with pytest.raises(ValueError, match="Replay: .* is wanted"):
        Replay(**bad)


def test_plan_follows_the_forgetting_time():
    x = torch.zeros(65536, 16)
    assert forgetting_time(lif(0.5), torch.float32) == 32
    assert forgetting_time(lif(0.0), torch.float32) == 1
    assert forgetting_time(lif(1.0), torch.float32) == float("inf")
    assert forgetting_time(lif(torch.tensor([0.1, 0.5])), torch.float32) == 32
    assert forgetting_time(NEURONS["resonator"], torch.float32) == forgetting_time(lif(0.95), torch.float32)
    assert forgetting_time(lif(0.5), torch.float64) > 2 * 32
    chunk, warmup, gain = plan(lif(0.5), x)
    assert warmup == 32 and 32 <= chunk <= 128 and gain > 100
    assert plan(lif(1.0), x) == (65536, 0, 1.0)
    assert plan(lif(0.5), torch.zeros(20, 16)) == (20, 0, 1.0)
    assert plan(lif(0.5), x, chunk=100, warmup=7)[:2] == (100, 7)


def test_auto_says_what_it_chose():
    x = torch.rand(4096, 4, generator=torch.Generator().manual_seed(0))
    found = solve(lif(0.5), x)
    assert isinstance(found.solver, Replay) and "forgets in about 32 steps" in found.note and "chunks" in found.note
    assert same(found, solve(lif(0.5), x, Sequential()))
    assert isinstance(solve(lif(0.5), x[:10]).solver, Sequential)
    assert isinstance(solve(lif(0.5), torch.full_like(x, 0.7)).solver, Sequential)
    pointers = solve(lif(0.5, reset="hard"), torch.full_like(x, 0.7))
    assert "pointers" in pointers.note and pointers.certificate.exact
