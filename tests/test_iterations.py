"""Jacobi, Newton and centred sweeps: against the loop bit by bit, against NumPy sweeps, and on what they must refuse."""

import numpy as np
import pytest
import torch
from cases import DECAYS, NEURONS, STEPS, N
from oracle_gradients import logistic, loop, step, sweep, threshold
from oracles import adversarial_inputs, lif_loop

from fptlib import CentredFixedPoint, FixedPoint, Jacobi, Newton, Sequential, lif, solve

SWEEP_ROUNDING = 1e-8  # Newton multiplies up to 40 slopes of size at most 2; float64 leaves this much room and more
GRADED_TOLERANCE = 1e-5  # ten times the solvers' own stopping tolerance: the last change is not yet the error
DOUBLE = torch.float64


def draw(seed, *shape, dtype=DOUBLE):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("name", NEURONS)
def test_jacobi_ends_with_the_bits_of_the_loop(name):
    for dtype in (torch.float32, DOUBLE):
        for steps in (1, 2, 17, 64):
            x = draw(steps, steps, N, dtype=dtype) * 0.7 + 0.3
            wanted, got = solve(NEURONS[name], x, Sequential()), solve(NEURONS[name], x, Jacobi(), on_failure="return")
            assert torch.equal(got.spikes, wanted.spikes) and torch.equal(got.membrane, wanted.membrane)
            assert torch.equal(got.final_state, wanted.final_state)
            assert got.certificate.exact and got.status.name == "EXACT" and got.sweeps <= steps + 2


@pytest.mark.parametrize("reset", ["soft", "hard", "none"])
@pytest.mark.parametrize("decay", DECAYS)
def test_jacobi_and_newton_on_adversarial_inputs(decay, reset):
    for dtype in (np.float32, np.float64):
        for kind, x in adversarial_inputs(33, 4, decay, dtype=dtype).items():
            spikes, membrane, final = lif_loop(x, decay, reset=reset)
            got = solve(lif(decay, reset=reset), torch.as_tensor(x), Jacobi())
            assert np.array_equal(got.spikes.numpy(), spikes) and np.array_equal(got.membrane.numpy(), membrane), kind
            assert np.array_equal(got.final_state.numpy(), final), kind
            got = solve(lif(decay, reset=reset), torch.as_tensor(x), Newton(), on_failure="return")
            if got.certificate.exact:
                assert np.array_equal(got.spikes.numpy(), spikes), kind
            else:  # only membranes within rounding of the threshold may stay open
                assert got.status.name == "UNDECIDED", kind


@pytest.mark.parametrize("name", NEURONS)
def test_newton_without_slope_is_proved_or_says_that_it_is_not(name):
    for steps in STEPS:
        x = draw(steps + 1, steps, N) * 0.7 + 0.3
        wanted, got = solve(NEURONS[name], x, Sequential()), solve(NEURONS[name], x, Newton())
        assert got.certificate.exact and torch.equal(got.spikes, wanted.spikes)


@pytest.mark.parametrize("slope", [None, 1.0, 4.0, 12.0])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
def test_every_sweep_equals_the_formula_in_numpy(decay, slope):
    theta, v0 = 0.8, 0.4
    x = draw(3, 30, 4).numpy() * 0.6 + 0.2
    fire = threshold() if slope is None else logistic(slope)
    F, dF = step(decay, theta, fire)
    rows = {"jacobi": (Jacobi, lambda u: 0.0), "newton": (Newton, dF)}
    if slope is not None:
        rows["centred"] = (CentredFixedPoint, lambda u: decay * (1 - theta * slope / 8))
    for name, (solver, coefficient) in rows.items():
        U = loop(x, lambda u: decay * u, decay * v0)
        for K in range(1, 9):
            start = torch.full((4,), v0, dtype=DOUBLE)
            got = solve(lif(decay, theta), torch.as_tensor(x), solver(K, slope), v0=start)
            scale = 1 + np.abs(U).max()
            assert np.abs(got.membrane.numpy() - U).max() <= SWEEP_ROUNDING * scale, (name, K)
            assert got.sweeps == K and len(got.residuals) == K
            U = sweep(U, x, F, coefficient(U), decay * v0)


@pytest.mark.parametrize("solver", [Jacobi, Newton, CentredFixedPoint])
@pytest.mark.parametrize("name", ["lif-0.5", "lif-per-neuron", "none-0.9", "alif", "ts-lif", "ts-lif-paper", "tc-lif"])
def test_graded_spikes_of_every_soft_neuron(name, solver):
    x, steps = draw(4, 21, N) * 0.5 + 0.3, 21
    wanted = solve(NEURONS[name], x, FixedPoint(steps, (3.0,) * steps))
    got = solve(NEURONS[name], x, solver(slope=3.0))
    assert (got.spikes - wanted.spikes).abs().max() < GRADED_TOLERANCE
    assert got.status.name == "GRADED" and not got.certificate.exact


def test_graded_membranes_equal_the_loop_and_newton_needs_few_sweeps():
    x = draw(5, 200, 8).numpy() * 0.4 + 0.1
    truth = loop(x, step(0.9, 1.0, logistic(4.0))[0])
    sweeps = {}
    for solver in (Jacobi(slope=4.0), CentredFixedPoint(slope=4.0), Newton(slope=4.0)):
        got = solve(lif(0.9), torch.as_tensor(x), solver)
        assert np.abs(got.membrane.numpy() - truth).max() < 10 * GRADED_TOLERANCE
        sweeps[type(solver).__name__] = got.sweeps
    assert sweeps["Newton"] < sweeps["CentredFixedPoint"] < sweeps["Jacobi"] < 200


def test_overflow_is_a_status_not_a_result():
    x = draw(6, 400, 4, dtype=torch.float32) * 0.4 + 0.1
    got = solve(lif(0.95), x, CentredFixedPoint(sweeps=60, slope=200.0), on_failure="return")
    assert got.status.name in ("NONFINITE", "GRADED")
    assert got.status.name == "NONFINITE" or bool(torch.isfinite(got.final_state).all())


@pytest.mark.parametrize(
    "make,words",
    [
        (lambda: Jacobi(sweeps=0), "sweeps came as 0"),
        (lambda: Newton(sweeps=2.5), "positive integer"),
        (lambda: Newton(sweeps=True), "positive integer"),
        (lambda: Jacobi(slope=-1.0), "slope came as -1.0"),
        (lambda: Newton(slope=float("inf")), "hard threshold"),
        (lambda: Newton(slope=float("nan")), "slope came as nan"),
        (lambda: CentredFixedPoint(slope=None), "no mid-point slope"),
        (lambda: CentredFixedPoint(tolerance=-1.0), "tolerance came as -1.0"),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("solver", [Jacobi(slope=4.0), Newton(slope=4.0), CentredFixedPoint()])
def test_graded_spikes_refuse_a_hard_reset(solver):
    with pytest.raises(ValueError, match="graded spikes came with a hard reset"):
        solve(lif(reset="hard"), draw(7, 5, 2), solver)
