"""The numbers in the solutions of chapters 11 to 13, and the two checkers: right answers pass, wrong ones are told why."""

import math

import numpy as np
import torch

from fptlib import Sequential, lm_h, solve, theory, ts_lif

START = (0.8, 0.3, -0.1, -0.8)


def test_ex_same_order():
    matrices = lambda *p: [theory.reset_matrix(*p, (0.7, 1.2), order) for order in ("paper", "released")]
    assert torch.allclose(*matrices(1.0, 1.0, 0.0, -0.6))
    for other in [(0.9, 1.0, 0.0, -0.6), (1.0, 0.9, 0.0, -0.6), (1.0, 1.0, 0.1, -0.6)]:
        assert not torch.allclose(*matrices(*other))


def test_ex_lmh_start():
    spec = lm_h()
    assert spec.transition == ((0.0, 0.0), (0.0, 1.0)) and spec.drive == (1.0, 1.0)


def test_ex_loop_gain_edge():
    assert np.allclose(theory.bibo_bound(0.8, 0.3, -0.17, -0.8, order="released").spike_gain, [112.5, 129.0])


def test_ex_double_inhibition():
    loops = torch.linspace(0, 0.139, 50, dtype=torch.float64)
    radius = theory.ts_lif_stability(0.8, 0.3, -loops, -1.0).radius
    assert (torch.diff(radius) > 0).all() and (radius[1:] > 0.8).all()


def test_ex_released_eigenvalues():
    report = theory.ts_lif_stability(*START)
    assert np.allclose(report.gaps, [0.76, 0.06, 2.42])
    for edge in [
        (0.8, 0.3, -0.175, -0.8),
        (0.8, 0.3, -0.1, -1.4),
        (1 - 0.08 / 0.7, 0.3, -0.1, -0.8),
        (0.8, 0.6, -0.1, -0.8),
        (0.8, 0.3, 2.925, -0.8),
        (0.8, 0.3, -0.1, 23.4),
        (-1 - 0.08 / 1.3, 0.3, -0.1, -0.8),
        (0.8, -1 - 0.08 / 1.8, -0.1, -0.8),
    ]:
        assert abs(theory.ts_lif_stability(*edge).margin) < 1e-12


def test_ex_ringing():
    points = torch.tensor(np.random.default_rng(0).uniform((0, 0, -1, -1), (1, 1, 1, 1), (20_000, 4))).T
    report = theory.ts_lif_stability(*points)
    rings = report.eigenvalues.imag.abs().amax(-1) > 1e-9
    assert (points[2] * points[3])[rings].max() < 0
    assert torch.allclose(report.radius[rings], (points[0] * points[1])[rings].sqrt())


def test_ex_small_gain():
    assert theory.ts_lif_stability(0.8, 0.3, 0.5, -1.0).stable


def test_ex_power_bound():
    M, radius = theory.transition(*START).numpy(), theory.ts_lif_stability(*START).radius.item()
    largest = max(np.abs(np.linalg.matrix_power(M, n)).sum(1).max() / radius**n for n in range(200))
    assert 1.15 < largest < 1.154


def test_ex_uncoupled_filters():
    gain = lambda omega: theory.transfer_functions(0.8, 0.3, 0.0, 0.0, omega).abs()
    assert np.allclose(gain(math.pi), [1 / 9, 7 / 13]) and abs(gain(math.acos(0.975))[0] ** 2 - 0.5) < 1e-12


def test_ex_cancel_constant():
    assert abs(theory.response_peak(0.8, 0.3, -0.1, -0.7).omega[1] - 0.38) < 0.005
    assert theory.KINDS[theory.response_kind(0.8, 0.3, -0.1, -0.7)[1]] == "band-pass"


def test_ex_soma_zero():
    steps = theory.impulse_response(*START, 400)[:, 1].cumsum(0)
    assert abs(steps[0] - 0.54) < 1e-12 and abs(steps[-1] + 1 / 3) < 1e-9
    zero = 0.56 / 0.54
    assert abs(zero - 1.037) < 1e-3


def test_ex_band_stop():
    gain = theory.transfer_functions(0.6, -0.6, 0.0, 1.0, torch.tensor([0.0, math.pi / 2, math.pi]), gains=(1.0, 0.0))
    assert np.allclose(gain[:, 1].abs(), [1.5625, 0.7353, 1.5625], atol=1e-4)


def test_ex_wake_the_soma():
    first = lambda level: solve(ts_lif(), torch.full((2, 1), level), Sequential()).spikes[:, 1, 0].tolist()
    assert first(1.86) == [1.0, 0.0] or first(1.86)[0] == 1.0
    assert first(1.84)[0] == 0.0 and first(1.63) == [0.0, 1.0] and first(1.61) == [0.0, 0.0]
    # Kept on for 2,000 steps, with its dendritic resets, no constant below the limit wakes it.
    levels = torch.linspace(0, 1.62, 400, dtype=torch.float64).expand(2000, 400)
    assert not solve(ts_lif(), levels, Sequential()).spikes[:, 1].any()
    # The proof of the silent soma covers inputs in [0, 1.5] in any order: 0.66503 * 1.5 < 1.
    coins = torch.tensor(np.random.default_rng(1).choice([0, 1.5], (1000, 500)))
    assert not solve(ts_lif(), coins, Sequential()).spikes[:, 1].any()


def test_ex_write_the_test():
    right = lambda a1, a2, b1, b2: abs(a1 * a2) < 1 and -(1 + a1) * (1 + a2) < b1 * b2 < (1 - a1) * (1 - a2)
    assert theory.check_stability_test(right).startswith("Correct.")
    for wrong in (
        lambda a1, a2, b1, b2: abs(a1) < 1 and abs(a2) < 1,
        lambda a1, a2, b1, b2: -(1 + a1) * (1 + a2) < b1 * b2 < (1 - a1) * (1 - a2),
        lambda a1, a2, b1, b2: abs(a1 * a2) < 1 and b1 * b2 < (1 - a1) * (1 - a2),
        lambda *p: True,
        lambda *p: False,
    ):
        assert theory.check_stability_test(wrong).startswith("Not yet:")


def test_ex_wake_with_signs():
    good = torch.cat([-torch.ones(40), torch.ones(2)])
    assert theory.check_waking_input(good).startswith("Correct.")
    assert solve(ts_lif(), good[:, None], Sequential()).spikes[40, 1] == 1
    for bad in (torch.ones(50), torch.zeros(0), 2 * good, good[:, None]):
        assert theory.check_waking_input(bad).startswith("Not yet:")
