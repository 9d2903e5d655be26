"""Next-spike pointers against the loop: without proof on generic input, with proof always, and who is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from oracles import adversarial_inputs

from fptlib import Replay, Sequential, SpikePointers, alif, lif, solve, ts_lif
from fptlib.pointers import build_tree, first_passage

PER_NEURON = torch.tensor([0.0, 0.5, 0.9, 1.0])


def draw(steps, seed, dtype, width=4):
    return torch.randn(steps, width, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 0.5 + 0.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("v_reset", [0.0, 0.25, -0.5])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99, 1.0, PER_NEURON], ids=str)
def test_generic_trains(decay, v_reset, dtype):
    neuron = lif(decay, reset="hard", v_reset=v_reset)
    for steps in (1, 2, 3, 31, 64, 65, 300):
        x = draw(steps, steps, dtype)
        v0 = torch.tensor([0.0, 0.9, 1.5, -0.7], dtype=dtype)
        loop = solve(neuron, x, Sequential(), v0=v0)
        bare = solve(neuron, x, SpikePointers(verify=False), v0=v0)
        proved = solve(neuron, x, SpikePointers(chunk=16), v0=v0)
        assert torch.equal(bare.spikes, loop.spikes)
        assert proved.certificate.exact
        for part in ("spikes", "membrane", "final_state"):
            assert torch.equal(getattr(proved, part), getattr(loop, part))


@pytest.mark.parametrize("decay", [0.5, 0.9, 1.0])
def test_proved_result_is_the_loop_on_adversarial_inputs(decay):
    for label, x in adversarial_inputs(120, 3, decay, dtype=np.float32).items():
        x = torch.from_numpy(x)
        loop = solve(lif(decay, reset="hard"), x, Sequential())
        proved = solve(lif(decay, reset="hard"), x, SpikePointers(chunk=20))
        bare = solve(lif(decay, reset="hard"), x, SpikePointers(verify=False))
        assert torch.equal(proved.spikes, loop.spikes), label
        assert not bare.certificate.exact or torch.equal(bare.spikes, loop.spikes), label


def test_float32_survives_any_number_of_steps():
    """decay ** -T overflows float32 after 127 steps at decay 0.5; the tree never forms it."""
    x = draw(20_000, 0, torch.float32)
    for decay in (0.5, 0.9):
        loop = solve(lif(decay, reset="hard"), x, Replay())
        assert torch.equal(solve(lif(decay, reset="hard"), x, SpikePointers(verify=False)).spikes, loop.spikes)


def test_constant_input_needs_few_rounds():
    x = torch.full((4096, 1), 0.07)
    found = solve(lif(0.95, reset="hard"), x, SpikePointers())
    assert found.report.rounds <= 2 and found.certificate.exact
    assert torch.equal(found.spikes, solve(lif(0.95, reset="hard"), x, Sequential()).spikes)


def test_a_tie_made_by_rounding_is_decided_by_the_loop():
    """decay 1/2, input 1/2: never a spike in real arithmetic, one at step 25 in float32. The replay follows the loop."""
    x = torch.full((64, 1), 0.5)
    neuron = lif(0.5, reset="hard")
    bare, proved = (solve(neuron, x, SpikePointers(verify=v, chunk=8)) for v in (False, True))
    loop = solve(neuron, x, Sequential())
    assert loop.spikes.flatten().nonzero().flatten().tolist() == [24, 49]
    assert bare.spikes.flatten().nonzero().flatten().tolist() == [32] and not bare.certificate.exact
    assert torch.equal(proved.spikes, loop.spikes) and "moved 3 spikes" in proved.note


def test_entry_threshold_at_underflow():
    """Where decay ** length underflows, what enters a stretch no longer matters, and a tie fires."""
    x = torch.zeros(512, 1)
    x[-1] = 1.0
    tree = build_tree(x, torch.tensor([0.5]), torch.tensor([1.0]))
    assert tree[-1][0] == 0 and tree[-1][2] == -torch.inf
    zero = torch.zeros(1, dtype=torch.long)
    assert first_passage(tree, zero, zero, torch.tensor([-3.0]), 512) == 511


def test_gradient_and_shapes():
    x = draw(50, 3, torch.float64).reshape(50, 2, 2).requires_grad_()
    found = solve(lif(0.8, reset="hard"), x, SpikePointers())
    found.spikes.sum().backward()
    again = x.detach().clone().requires_grad_()
    solve(lif(0.8, reset="hard"), again, Sequential()).spikes.sum().backward()
    assert torch.equal(x.grad, again.grad) and found.spikes.shape == x.shape
    assert solve(lif(0.8, reset="hard"), torch.rand(9), SpikePointers()).spikes.shape == (9,)


@pytest.mark.parametrize("neuron", [lif(), lif(reset="none"), alif(reset="hard"), ts_lif()], ids=lambda n: n.name)
def test_other_neurons_are_refused(neuron):
    with pytest.raises(ValueError, match="hard reset is wanted; use Replay"):
        solve(neuron, torch.rand(5, 2), SpikePointers())


def test_bad_chunk_is_refused():
    for bad in (0, 1.5, True):
        with pytest.raises(ValueError, match="chunk came as"):
            SpikePointers(chunk=bad)


def test_a_broken_tie_stays_within_the_train():
    """Sums of multiples of 1/8 and a few ulps: parent and child nodes round to different sides of the threshold."""
    eighths = [2, -10, 8, 0, -4, -9, -6, 1, 8, -1, 3, 8, 8]
    ulps = [0, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0, 2, -1]  # of 2 ** -23
    tail = torch.tensor(eighths) / 8 + torch.tensor(ulps) * 2.0**-23
    x = torch.cat([torch.zeros(24), tail])[:, None]
    tree = build_tree(x, torch.ones(1), torch.ones(1))
    start = torch.tensor([24])
    assert first_passage(tree, start, torch.zeros(1, dtype=torch.long), torch.zeros(1), 37) <= 37
    assert solve(lif(1.0, reset="hard"), x, SpikePointers(chunk=8)).certificate.exact


@pytest.mark.parametrize("decay", [0.25, 0.9, 1.0])
def test_thousands_of_near_ties(decay):
    """Inputs within rounding of what keeps the membrane on the threshold: the bare pointers may be wrong, the proof never."""
    generator = torch.Generator().manual_seed(7)
    for dtype in (torch.float32, torch.float64):
        ulps = torch.randint(-2, 3, (37, 4000), generator=generator).to(dtype) * torch.finfo(dtype).eps
        x = torch.where(
            torch.rand(37, 4000, generator=generator) < 0.7, 1 - decay / 2 + ulps, torch.rand((), dtype=dtype)
        )
        v0 = torch.rand(4000, generator=generator, dtype=dtype)
        loop, proved, bare = (
            solve(lif(decay, reset="hard"), x, solver, v0=v0)
            for solver in (Sequential(), SpikePointers(chunk=9), SpikePointers(verify=False))
        )
        assert torch.equal(loop.spikes, proved.spikes) and torch.equal(loop.membrane, proved.membrane)
        proof = bare.certificate
        assert proof.exact or not bool(((bare.spikes != loop.spikes) & ~proof.undecided).any())


def test_a_decay_outside_its_range_is_refused():
    neuron = dataclasses.replace(lif(0.5, reset="hard"), transition=((-0.5,),), recipe=None)
    with pytest.raises(ValueError, match="decay lies outside"):
        solve(neuron, torch.rand(5, 2), SpikePointers())


def test_no_neurons_at_all():
    assert solve(lif(reset="hard"), torch.rand(5, 0), SpikePointers()).spikes.shape == (5, 0)
