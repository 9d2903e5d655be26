"""Every result of the convergence chapter, on random and adversarial inputs."""

import numpy as np
import pytest
import torch
from oracle_sweeps import DECAYS, chain, feedback, inputs, logistic, loop, step

from fptlib import theory

# A bound and the quantity it bounds are computed in different orders of summation.
ROUNDING = 1e-9
# Finite differences that probe a supremum reach it only in the limit.
SHARPNESS = 1e-3


def sup(values):
    return float(np.abs(values).max())


@pytest.mark.parametrize("decay", (*DECAYS, -0.7, 1.2))
@pytest.mark.parametrize("fire", (step, logistic(12.0), np.sin), ids=("threshold", "logistic", "non-monotone"))
@pytest.mark.parametrize("T", (1, 2, 13, 40))
def test_thm_finite_termination(decay, fire, T):
    x = inputs(T, seed=T, decay=decay)
    u, s = loop(x, decay, fire=fire, v0=0.25)
    spikes, membranes = chain(x, decay, T, fire=fire, v0=0.25)
    for K in range(T + 1):
        assert np.array_equal(spikes[K][:K], s[:K])
    assert np.array_equal(spikes[T], s) and np.array_equal(membranes[T - 1], u)


def test_thm_finite_termination_from_any_start():
    x = inputs(17, seed=1)
    u, s = loop(x, 0.9)
    start = np.random.default_rng(2).normal(size=x.shape)
    _, membranes = chain(x, 0.9, 18, start=start)
    for k in range(1, 18):
        assert np.array_equal(membranes[k][: k + 1], u[: k + 1])


@pytest.mark.parametrize("decay", (0.0, 0.5, 0.9, 1.0, -0.8))
@pytest.mark.parametrize("T", (1, 2, 16))
def test_thm_sup_contraction(decay, T):
    slope, threshold = 7.0, 1.5
    q = theory.contraction_constant(decay, slope, threshold, T)
    A, fire = feedback(decay, T), logistic(slope)
    rng = np.random.default_rng(3)
    for spread in (0.01, 1.0, 10.0):
        a, b = threshold + spread * rng.normal(size=(2, T, 500))
        image = threshold * A @ (fire(a - threshold) - fire(b - threshold))
        assert (np.abs(image).max(0) <= q * np.abs(a - b).max(0) + ROUNDING).all()
    signs = np.where(A[-1] < 0, -1.0, 1.0)
    near = 1e-6 * signs
    reached = sup(threshold * A @ (fire(near) - fire(-near))) / 2e-6
    assert reached == pytest.approx(q, rel=SHARPNESS)


def test_thm_sup_contraction_error_bounds():
    x = inputs(32, seed=4)
    q = theory.contraction_constant(0.5, 3.0, T=32)
    assert q < 1
    u, _ = loop(x, 0.5, fire=logistic(3.0))
    _, membranes = chain(x, 0.5, 12, fire=logistic(3.0))
    for k in range(1, 12):
        error = sup(membranes[k] - u)
        assert error <= q**k * sup(membranes[0] - u) + ROUNDING
        assert error <= q / (1 - q) * sup(membranes[k] - membranes[k - 1]) + ROUNDING


@pytest.mark.parametrize("decay", (0.25, 0.5, 0.75, 0.9, 0.95))
def test_thm_sup_contraction_largest_slope(decay):
    for threshold in (1.0, 0.3):
        edge = theory.largest_contracting_slope(decay, threshold)
        assert edge == pytest.approx(4 * (1 - decay) / (decay * threshold), rel=ROUNDING)
        assert all(
            theory.contraction_constant(decay, edge, threshold, T) < 1 for T in (1, 2, 8, 16)
        )  # below 1 strictly, and in float64
        assert theory.contraction_constant(decay, edge * 1.001, threshold, 2000) > 1  # no larger slope, for long trains
    printed = {0.25: 12, 0.5: 4, 0.75: 1.33, 0.9: 0.44, 0.95: 0.21}
    assert round(theory.largest_contracting_slope(decay), 2) == printed[decay]


def test_eq_never_blows_up():
    for decay in (0.5, 0.9, 1.2, -0.9):
        x = inputs(24, seed=40, decay=decay)
        u, _ = loop(x, decay)
        room = np.abs(feedback(decay, 24)).sum(1)[:, None]
        assert all((np.abs(w - u) <= room + ROUNDING * (1 + room)).all() for w in chain(x, decay, 24)[1])


def test_two_norm_is_smaller_but_not_in_the_limit():
    for decay in (0.5, 0.9, 1.0):
        for T in (3, 8, 32):
            assert np.linalg.norm(feedback(decay, T), 2) < theory.feedback_norm(decay, T)
    assert np.linalg.norm(feedback(0.9, 32), 2) == pytest.approx(7.19, abs=0.01)
    assert theory.feedback_norm(0.9, 32) == pytest.approx(8.66, abs=0.01)
    assert np.linalg.norm(feedback(1.0, 20), 2) == pytest.approx(1 / (2 * np.sin(np.pi / 78)), rel=ROUNDING)
    assert np.linalg.norm(feedback(0.5, 600), 2) == pytest.approx(theory.feedback_norm(0.5), rel=1e-4)


def test_thm_sup_contraction_fails_at_the_last_released_slope_with_one_exception():
    for slopes, T in (((2, 6, 12), 4), ((1, 3, 12), 32), ((6, 18, 36), 32)):
        assert theory.contraction_constant(0.5, slopes[-1], T=T) > 2.6
    # the schedule learned from (4, 4, 4) starts at the edge: below it at T = 4, on it for long sequences
    assert theory.contraction_constant(0.5, 4, T=4) == 0.875
    assert theory.contraction_constant(0.5, 4) == 1.0


@pytest.mark.parametrize("decay", (0.0, 0.5, 0.9, 1.0))
@pytest.mark.parametrize("slope", (1.0, 4.0, 12.0))
def test_thm_binomial_tail(decay, slope):
    T = 40
    x = inputs(T, seed=5, decay=decay)
    u, s = loop(x, decay, fire=logistic(slope))
    spikes, membranes = chain(x, decay, T, fire=logistic(slope))
    for K in range(T):
        bound = theory.binomial_tail_bound(decay, slope, K, T).numpy()[:, None]
        assert (np.abs(spikes[K] - s) <= bound * (1 + ROUNDING) + ROUNDING).all()
        bound = theory.binomial_tail_bound(decay, slope, K, T, of="membrane").numpy()[:, None]
        assert (np.abs(membranes[K] - u) <= bound * (1 + ROUNDING) + ROUNDING).all()


@pytest.mark.parametrize("decay", (0.5, 0.9, -0.6))
def test_thm_binomial_tail_powers_and_attainment(decay):
    T, slope = 12, 5.0
    A, power = np.abs(feedback(decay, T)), np.eye(T)
    fire = logistic(slope)
    for k in range(T + 1):
        assert np.allclose(theory.power_row_sum(decay, k, T).numpy(), power.sum(1), rtol=ROUNDING, atol=0)
        power = A @ power
    # a tiny disturbance of a trajectory that sits on the threshold grows as the k-step bound says
    x = np.ones(T) - feedback(decay, T) @ np.zeros(T)
    x[1:] = 1.0 - decay * 0.5  # u = 1 at every step when each spike is σ(0) = 1/2
    w = 1.0 + 1e-7 * np.where(np.arange(T) % 2, np.sign(decay), 1.0)
    for k in range(1, 5):
        w = np.linalg.solve(np.eye(T) - decay * np.eye(T, k=-1), x) - feedback(decay, T) @ fire(w - 1.0)
        first_order = 1e-7 * (slope / 4) ** k * theory.power_row_sum(decay, k, T).numpy()[-1]
        assert abs(w[-1] - 1.0) == pytest.approx(first_order, rel=SHARPNESS)


def test_prp_bound_peak():
    for slope, T in ((12.0, 400), (36.0, 300)):
        for decay in (0.5, 0.9):
            gain = slope / 4
            size = [k * np.log(gain) + float(theory.log_power_row_sum(decay, k, T)[-1]) for k in range(1, T)]
            peak = 1 + int(np.argmax(size))
            assert peak == pytest.approx(theory.bound_peak(slope, T), rel=0.02)
            assert size[-1] > 0  # λL ≥ 1: even at k = T − 1 the bound is above one


@pytest.mark.parametrize(("decay", "gain"), ((0.5, 3.0), (0.9, 3.0), (0.5, 1.2), (0.9, 0.2)))
def test_prp_bound_peak_rate(decay, gain):
    n, odds = 20_000, gain * decay / (1 - decay)
    assert odds > 1
    top = np.log(decay * (1 + gain))
    for share in (0.05, 1 - decay, 0.3, 0.6, 0.75, 0.95):
        K = int(np.ceil(share * n))
        measured = (K * np.log(gain) + float(theory.log_power_row_sum(decay, K, n + 1)[-1])) / n
        entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
        rate = share * np.log(odds) if share <= 1 - decay else np.log(decay) + share * np.log(gain) + entropy
        assert measured == pytest.approx(rate, abs=SHARPNESS) and rate <= top + ROUNDING
        assert rate > 0 or gain * decay < 1


def test_prp_bound_peak_counterexample():
    x = np.full(128, 0.55)
    x[0] = 1.0
    u, _ = loop(x, 0.9, fire=logistic(12.0))
    assert sup(u - 1.0) == 0.0  # 0.9·0.5 + 0.55 rounds to 1, as the example says; the orbit repels
    _, membranes = chain(x, 0.9, 128, fire=logistic(12.0))
    for k, error in ((0, 4.50), (13, 4.50), (51, 4.4985), (100, 4.24), (120, 2.35), (127, 0.0)):
        assert sup(membranes[k] - u) == pytest.approx(error, abs=0.006)


@pytest.mark.parametrize("decay", (0.3, 0.5, 0.9))
def test_thm_weighted_norm(decay):
    T, slope = 24, 12.0
    weight = decay * (1 + slope / 4)
    assert theory.weighted_norm_constant(decay, slope, weight, T=T) < 1
    assert theory.weighted_norm_constant(decay, slope, weight) == pytest.approx(1.0)
    w = weight ** np.arange(1, T + 1)[:, None]
    x = inputs(T, seed=6, decay=decay)
    u, _ = loop(x, decay, fire=logistic(slope))
    _, membranes = chain(x, decay, T, fire=logistic(slope))
    q = theory.weighted_norm_constant(decay, slope, weight, T=T)
    for k in range(1, T):
        now, before = (np.abs(membranes[j] - u) / w for j in (k, k - 1))
        assert (now.max(0) <= q * before.max(0) + ROUNDING).all()


@pytest.mark.parametrize("decay", (0.5, 0.9, -0.7))
def test_thm_weighted_norm_is_attained_and_bounds_the_error(decay):
    T, slope = 16, 12.0
    A, fire, steps = feedback(decay, T), logistic(slope), np.arange(1, T + 1)
    for weight in (0.8, 1.0, 1.3, 3.6):
        near = 1e-7 * weight ** (steps - T) * np.where(A[-1] < 0, -1.0, 1.0)
        image = np.abs(A @ (fire(near) - fire(-near))) / weight**steps
        ratio = sup(image) / sup(2 * near / weight**steps)
        assert ratio == pytest.approx(theory.weighted_norm_constant(decay, slope, weight, T=T), rel=SHARPNESS)
    x = inputs(T, seed=41, decay=decay)
    u, _ = loop(x, decay, fire=logistic(slope))
    _, membranes = chain(x, decay, T, fire=logistic(slope))
    for k in range(1, T):
        for weight in (1.0, 1.3, 3.6, 8.0):
            geometric = (slope / 4) * abs(decay) / (weight - abs(decay))
            assert sup(membranes[k] - u) <= weight ** (T - 1) * geometric**k * sup(membranes[0] - u) + ROUNDING


@pytest.mark.parametrize("decay", (0.5, 0.9))
def test_thm_weighted_norm_optimum_is_the_chernoff_bound(decay):
    T, n = 41, 40
    for k in range(1, n):
        weight = theory.best_weight(decay, k, T)
        bound = weight**n * (decay / (weight - decay)) ** k if weight > decay else np.inf
        assert bound >= float(theory.power_row_sum(decay, k, T)[-1]) * (1 - ROUNDING)
        if weight > 1:
            assert bound == pytest.approx(decay**n * n**n / (k**k * float(n - k) ** (n - k)), rel=ROUNDING)
            for other in (weight * 0.99, weight * 1.01):
                assert other**n * (decay / (other - decay)) ** k >= bound


@pytest.mark.parametrize("decay", (0.1, 0.5, 0.9, 1.0, 1.2, -0.5, -1.0))
@pytest.mark.parametrize("T", (1, 2, 3, 24))
def test_thm_worst_case(decay, T):
    for threshold in (1.0, 0.3):
        x = theory.worst_case_input(decay, T, threshold).numpy()
        _, s = loop(x[:, None], decay, threshold)
        spikes, _ = chain(x[:, None], decay, T, threshold)
        for K in range(T):
            assert np.array_equal(spikes[K][:K], s[:K]) and spikes[K][K] != s[K]
        assert np.array_equal(spikes[T], s)


def test_thm_worst_case_needs_memory():
    x = inputs(20, seed=7)
    assert np.array_equal(chain(x, 0.0, 1)[0][1], loop(x, 0.0)[1])
    with pytest.raises(ValueError, match="one evaluation is exact"):
        theory.worst_case_input(0.0, 5)


@pytest.mark.parametrize("decay", (*DECAYS, -0.6, 1.1))
def test_thm_margins(decay):
    x = inputs(30, seed=8, decay=decay)
    u, s = loop(x, decay)
    kappa = theory.margin_sweeps(torch.from_numpy(u), decay).numpy()
    spikes, _ = chain(x, decay, 30)
    for K in range(31):
        assert not ((spikes[K] != s) & (kappa <= K)).any()
    assert (kappa <= np.arange(1, 31)[:, None]).all()


@pytest.mark.parametrize("decay", (0.05, 0.25, -0.25, 0.4))
def test_thm_logarithmic_sweeps(decay):
    T, trains = 64, 400
    for x, density in (
        (np.random.default_rng(9).normal(0.0, 1.0, (T, trains)), 1 / np.sqrt(2 * np.pi)),
        (np.random.default_rng(10).uniform(0.5, 1.5, (T, trains)), 1.0),  # all mass around the threshold
    ):
        ratio = theory.chain_ratio(decay, density)
        u, s = loop(x, decay)
        kappa = theory.margin_sweeps(torch.from_numpy(u), decay).numpy()
        spikes, _ = chain(x, decay, 20)
        for n in range(20):
            deviation = 5 * np.sqrt(max(ratio**n, 1e-4) / kappa.size)  # five standard errors of a share
            assert (kappa > n).mean() <= min(1.0, ratio**n) + deviation
            assert (spikes[n] != s).any(0).mean() <= min(1.0, T * ratio**n) + 5 / np.sqrt(trains)


def alternating_margins(u, s, decay):
    """Sufficient sweeps when a step waits only for steps of the other kind (exercise on alternation)."""
    T, N = u.shape
    kappa = np.ones((T, N), int)
    for n in range(N):
        for t in range(T):
            other = np.array([decay**m * (s[t - m, n] != s[t, n]) for m in range(1, t + 1)])
            margin = abs(u[t, n] - 1.0)
            w = next(w for w in range(t + 1) if w == t or other[w:].sum() < margin)
            kappa[t, n] = 1 + max([kappa[t - m, n] for m in range(1, w + 1) if s[t - m, n] != s[t, n]], default=0)
    return kappa


def test_thm_margins_with_alternation():
    for decay in (0.5, 0.9, 1.0):
        x = inputs(30, seed=21, decay=decay)
        u, s = loop(x, decay)
        kappa = alternating_margins(u, s, decay)
        spikes, _ = chain(x, decay, 30)
        for K in range(31):
            assert not ((spikes[K] != s) & (kappa <= K)).any()
        assert kappa.mean() < theory.margin_sweeps(torch.from_numpy(u), decay).double().mean()


@pytest.mark.parametrize("decay", (0.0, 0.5, 0.9, 1.0))
def test_thm_steep_sigmoid(decay):
    promised = 0
    for seed in range(60):
        x = np.random.default_rng(seed).normal(0.2, 0.7, (12, 1))
        u, s = loop(x, decay)
        for slope in (30.0, 200.0, 2000.0):
            bound = theory.steep_sigmoid_bound(torch.from_numpy(u), decay, slope)
            graded, _ = loop(x, decay, fire=logistic(slope))
            if np.isfinite(bound):
                promised += 1
                assert sup(graded - u) <= bound + ROUNDING
                assert np.array_equal(step(graded - 1.0), s)
    assert promised > 50


def test_thm_steep_sigmoid_is_silent_at_a_tie():
    x = np.array([[1.0], [0.5]])
    u, s = loop(x, 0.5)
    assert theory.steep_sigmoid_bound(torch.from_numpy(u), 0.5, 1e6) == np.inf
    graded, _ = loop(x, 0.5, fire=logistic(1e6))
    assert u[1, 0] == 0.5 and graded[1, 0] == 0.75  # the tie fires fully; σ(0) is one half for every slope


def share_wrong(decay, mean, spread, T=128, count=400, evaluations=3):
    x = np.random.default_rng(0).normal(mean, spread, (T, count))
    return float((chain(x, decay, evaluations)[0][-1] != loop(x, decay)[1]).mean())


def test_three_evaluations_are_fine_at_one_half_and_not_at_nine_tenths():
    assert share_wrong(0.5, 0.0, 1.0) < 0.005
    assert 0.15 < share_wrong(0.9, 0.06, 0.5) < 0.30
    assert share_wrong(0.9, 0.06, 0.5, evaluations=2) < 0.10
