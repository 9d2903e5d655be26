"""Sequential against the NumPy oracle, every solver of the core against Sequential, the scan against a loop."""

import numpy as np
import oracles
import pytest
import torch
from cases import DECAYS, NEURONS, STEPS, N

from fptlib import (
    FixedPoint,
    Sequential,
    Sigmoid,
    SolveError,
    Status,
    alif,
    lif,
    linear_scan,
    resonate_and_fire,
    solve,
    ts_lif,
    two_compartment,
)
from fptlib.surrogates import ATan, Triangle, spike

SCAN_TOLERANCE = 1e-11  # float64 sums of at most 300 terms of size one, reordered


@pytest.mark.parametrize("reset", ["soft", "hard", "none"])
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sequential_equals_the_oracle_bitwise(decay, reset, dtype):
    for name, x in oracles.adversarial_inputs(65, N, decay, dtype=dtype).items():
        v0 = np.linspace(-0.5, 1.5, N).astype(dtype)
        wanted = oracles.lif_loop(x, decay, 1.0, reset, -0.25, v0)
        got = solve(lif(decay, reset=reset, v_reset=-0.25), torch.tensor(x), Sequential(), v0=torch.tensor(v0))
        for a, b in zip((got.spikes, got.membrane, got.final_state), wanted):
            assert np.array_equal(a.numpy(), b), name


def test_half_inputs_keep_float32_state():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.bfloat16, torch.float16):
        half = solve(lif(0.9), x.to(dtype), Sequential())
        full = solve(lif(0.9), x.to(dtype).float(), Sequential())
        assert half.spikes.dtype == dtype and half.membrane.dtype == torch.float32
        assert torch.equal(half.membrane, full.membrane) and torch.equal(half.spikes.float(), full.spikes)


def test_other_neurons_equal_their_own_loops():
    x = oracles.adversarial_inputs(80, N, 0.9)["normal"]
    t = torch.tensor(x)
    for reset in ("soft", "hard", "none"):
        got = solve(alif(0.9, 1.0, 0.3, 0.8, reset, -0.1), t, Sequential()).spikes.numpy()
        assert np.array_equal(got, oracles.alif_loop(x, 0.9, 1.0, 0.3, 0.8, reset, -0.1))
    for reset in ("none", "soft"):
        got = solve(resonate_and_fire(0.9, 0.4, reset=reset), t, Sequential()).spikes.numpy()
        assert np.array_equal(got, oracles.resonator_loop(x, 0.9, 0.4, 1.0, reset))
    pairs = {"decay": (0.8, 0.3), "coupling": (-0.1, -0.8), "gains": (0.2, 0.7), "reset": (0.5, 1.0)}
    for fires in ("both", "soma"):
        for update in ("gauss-seidel", "jacobi"):
            for order in ("released", "paper"):
                wanted, states = oracles.two_compartment_loop(2 * x, **pairs, fires=fires, update=update, order=order)
                neuron = two_compartment(**pairs, fires=fires, update=update, order=order)
                got = solve(neuron, 2 * t, Sequential())
                spikes = got.spikes if fires == "both" else got.spikes[:, None]
                assert np.array_equal(spikes.numpy(), wanted), (fires, update, order)
                assert np.allclose(got.membrane.numpy(), states, atol=SCAN_TOLERANCE)


def test_ts_lif_output_mixes_the_two_spikes():
    x = 2 * torch.randn(50, 4, generator=torch.Generator().manual_seed(3))
    run = solve(ts_lif(coupling=(0.1, 0.3), mix=0.25), x)
    assert run.spikes.any(0).any(1).all()
    assert torch.equal(run.output, 0.25 * run.spikes[:, 0] + 0.75 * run.spikes[:, 1])


@pytest.mark.parametrize("steps", [1, 2, 15, 16, 17, 255, 256, 257])
def test_thm_linear_scan_equals_the_loop(steps):
    rng = np.random.default_rng(steps)
    gate, drive, start = rng.uniform(-1, 1, (steps, 3)), rng.normal(size=(steps, 3)), rng.normal(size=3)
    matrices = rng.normal(size=(steps, 2, 2, 3)) * 0.4
    pairs = rng.normal(size=(steps, 2, 3))
    u, w, wanted, both, constant = start, np.zeros((2, 3)), [], [], []
    c = start
    for t in range(steps):
        u, c = gate[t] * u + drive[t], gate[0] * c + drive[t]
        w = np.einsum("ijn,jn->in", matrices[t], w) + pairs[t]
        wanted.append(u), both.append(w), constant.append(c)
    tensors = [torch.tensor(a) for a in (gate, drive, start, matrices, pairs)]
    assert np.allclose(linear_scan(*tensors[:3]), wanted, atol=SCAN_TOLERANCE)
    assert np.allclose(linear_scan(tensors[0][:1], *tensors[1:3]), constant, atol=SCAN_TOLERANCE)
    assert np.allclose(linear_scan(*tensors[3:]), both, atol=SCAN_TOLERANCE)
    flipped = linear_scan(tensors[0].flip(0), tensors[1].flip(0), tensors[2], reverse=True).flip(0)
    assert np.allclose(flipped, wanted, atol=SCAN_TOLERANCE)


@pytest.mark.parametrize("steps", [1, 3, 17])
def test_linear_scan_gradients(steps):
    draw = torch.Generator().manual_seed(steps)
    make = lambda *s: torch.randn(*s, generator=draw, dtype=torch.float64).requires_grad_()
    for gate in (make(steps, 2), make(1, 2)):
        assert torch.autograd.gradcheck(linear_scan, (gate, make(steps, 2), make(2)))
    assert torch.autograd.gradcheck(linear_scan, (make(steps, 2, 2, 2), make(steps, 2, 2), make(2, 2)))
    assert torch.autograd.gradcheck(lambda *a: linear_scan(*a, reverse=True), (make(steps, 2), make(steps, 2), make(2)))


@pytest.mark.parametrize("name", NEURONS)
def test_fixed_point_run_for_t_sweeps_is_sequential(name):
    for steps in STEPS:
        for label, x in oracles.adversarial_inputs(steps, N, 0.9, seed=steps).items():
            x = torch.tensor(x)
            if label in ("constant", "ties", "threshold", "near", "sparse", "alternating"):
                continue  # exact ties: the sweep's sums round differently; the certificate's tests own those inputs
            a, b = solve(NEURONS[name], x, Sequential()), solve(NEURONS[name], x, FixedPoint(sweeps=steps))
            assert torch.equal(a.spikes, b.spikes), (steps, label)


def test_until_certified_finds_the_exact_train_or_says_why_not():
    x = torch.randn(200, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for decay in (0.5, 0.9):
        found = solve(lif(decay), x, FixedPoint(sweeps=None))
        assert found.status is Status.EXACT and found.certificate.exact
        assert torch.equal(found.spikes, solve(lif(decay), x, Sequential()).spikes)
    tied = torch.ones(6, 1)
    with pytest.raises(SolveError, match="closer to the threshold than rounding"):
        solve(lif(0.5), tied, FixedPoint(sweeps=None))
    returned = solve(lif(0.5), tied, FixedPoint(sweeps=None), on_failure="return")
    assert returned.status is Status.UNDECIDED and not returned.certificate.exact


def test_dense_product_equals_the_scan():
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    v0 = torch.full((6,), 0.3, dtype=torch.float64)
    for slopes in (None, (2.0, 6.0, 12.0)):
        a = solve(lif(0.5), x, FixedPoint(3, slopes), v0=v0)
        b = solve(lif(0.5), x, FixedPoint(3, slopes, product="dense"), v0=v0)
        assert torch.allclose(a.membrane, b.membrane, atol=SCAN_TOLERANCE)
        assert torch.allclose(a.spikes, b.spikes, atol=SCAN_TOLERANCE)
    for neuron in (lif(0.5, reset="hard"), ts_lif(), lif(torch.full((6,), 0.5))):
        with pytest.raises(ValueError, match="use product='scan'"):
            solve(neuron, x, FixedPoint(3, product="dense"))


def test_annealed_and_sampled_sweeps_equal_the_printed_formula():
    rng = np.random.default_rng(0)
    x = rng.normal(0.3, 0.5, (32, 200))
    kernel, slopes = oracles.leak_matrix(32, 0.5), (2.0, 6.0, 12.0)
    s = np.zeros_like(x)
    for slope in slopes:
        u = kernel @ x - (kernel - np.eye(32)) @ s
        s = 1 / (1 + np.exp(-slope * (u - 1)))
    graded = solve(lif(0.5), torch.tensor(x), FixedPoint(3, slopes))
    assert np.allclose(graded.spikes.numpy(), s, atol=SCAN_TOLERANCE)
    assert graded.status is Status.GRADED and not graded.certificate.exact and graded.certificate.undecided.all()
    draws = [
        solve(lif(0.5), torch.tensor(x), FixedPoint(3, slopes, sample=True, generator=torch.Generator().manual_seed(k)))
        for k in range(300)
    ]
    assert all(bool(((d.spikes == 0) | (d.spikes == 1)).all()) for d in draws)
    mean = torch.stack([d.spikes for d in draws]).mean(0).numpy()
    spread = np.sqrt(np.maximum(s * (1 - s), 1e-3) / 300)
    assert np.max(np.abs(mean - s) / spread) < 6  # six standard errors over 6,400 entries


def test_state_carries_over_windows():
    x = torch.randn(30, N, generator=torch.Generator().manual_seed(2))
    for neuron in NEURONS.values():
        whole = solve(neuron, x, Sequential())
        first = solve(neuron, x[:13], Sequential())
        second = solve(neuron, x[13:], Sequential(), v0=first.final_state)
        assert torch.equal(torch.cat([first.spikes, second.spikes]), whole.spikes)
        swept = solve(neuron, x[13:], FixedPoint(sweeps=17), v0=first.final_state)
        assert torch.equal(swept.spikes, whole.spikes[13:])


def test_surrogates_are_slopes_of_their_primitives():
    x = torch.linspace(-2, 2, 81, dtype=torch.float64).requires_grad_()
    for surrogate in (Sigmoid(3.0), ATan(2.0), Triangle(0.7)):
        (slope,) = torch.autograd.grad(surrogate.primitive(x).sum(), x)
        assert torch.allclose(slope, surrogate.derivative(x), atol=1e-12)
        assert torch.equal(spike(x, surrogate), (x >= 0).double())
        (back,) = torch.autograd.grad(spike(x, surrogate).sum(), x)
        assert torch.equal(back, surrogate.derivative(x))
