"""Chapter 7: every parallel neuron is the form the chapter says, and learned matrices lose what it says they lose."""

import itertools
import math

import numpy as np
import oracle_parallel as oracle
import pytest
import torch
from scipy.optimize import linprog

from fptlib.parallel import IPSU, PSN, PSU, SPSN, MaskedPSN, NoResetLIF, SlidingPSN
from fptlib.theory import (
    check_notch_share,
    check_three_fixed_points,
    classify_diagonal,
    safe_band,
    scalar_fixed_points,
)

ROUND_OFF = 1e-12  # float64, sums of at most 40 terms of size about one
DECAYS = (0.0, 0.5, 0.9, 0.99, 1.0)


@pytest.fixture(autouse=True)
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


def inputs(steps, columns=40, seed=0):
    return np.random.default_rng(seed).normal(0.4, 1.0, (steps, columns))


def logistic(z):
    return 1 / (1 + np.exp(-np.clip(z, -700, 700)))


def sweep_hard(x, decay, count, threshold=1.0):
    """S^(count) of the hard-threshold sweeps from no spikes."""
    s = np.zeros_like(x)
    for _ in range(count):
        v, new = np.zeros_like(x[0]), np.zeros_like(x)
        for t in range(len(x)):
            u = decay * v + x[t]
            new[t], v = u >= threshold, u - threshold * s[t]
        s = new
    return s


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("steps", [1, 2, 31])
def test_prp_psn_k1(decay, steps):
    x = inputs(steps)
    first = sweep_hard(x, decay, 1)
    assert np.array_equal(NoResetLIF(decay)(torch.tensor(x)).numpy(), first)
    same = SlidingPSN(order=steps)
    same.taps.data = decay ** torch.arange(float(steps))
    assert np.array_equal(same(torch.tensor(x)).detach().numpy(), first)


def test_prp_psn_k1_one_tap_less_is_another_neuron():
    x = torch.tensor([[2.0], [0.0], [0.0], [0.0], [0.0]])
    short = SlidingPSN(order=4)
    short.taps.data = 0.9 ** torch.arange(4.0)
    assert NoResetLIF(0.9)(x)[4] == 1 and short(x)[4] == 0


def test_prp_psn_k1_with_thresholds_of_their_own_only_ratios_count():
    x = torch.tensor(inputs(31))
    double = SlidingPSN(order=31, threshold=2.0)
    double.taps.data = 2 * 0.9 ** torch.arange(31.0)
    assert torch.equal(double(x), NoResetLIF(0.9)(x))


def test_prp_psn_k1_causal_iff_lower_triangular():
    for module in (PSN(6), MaskedPSN(6, order=3, blend=1.0), MaskedPSN(6, order=6, blend=0.5)):
        form = module.as_fixed_point()
        lower = bool((form.A.triu(1) == 0).all())
        # An input at a later step that moves an earlier membrane through its threshold, where the weight allows it.
        leaks = False
        for t, j in itertools.combinations(range(6), 2):
            w = form.A[t, j].item()
            if w != 0:
                x = torch.zeros(6, 1)
                x[j] = 2 / w
                leaks |= bool(module(x)[t] != module(torch.zeros(6, 1))[t])
        assert leaks != lower


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("decay", [0.1, 0.5, 0.9, 1.0])
def test_prp_reset_not_psn(reset, decay):
    hair = 1e-9  # keeps the two firing points off the tie, which rounding would decide
    if reset == "soft":
        fire, silent = [(0, 1 + hair), (2, 1 - decay + hair)], (1, 1 - decay / 2 + hair)
    else:
        fire, silent = [(0.5, 1 - decay / 2 + hair), (2, 1 + hair)], (1.25, 1 - decay / 4 + hair)

    def second(a, b):
        spike = a >= 1
        v = a - spike if reset == "soft" else a * (1 - spike)
        return decay * v + b >= 1

    assert [second(*p) for p in fire] == [True, True] and not second(*silent)
    assert np.allclose(np.mean(fire, axis=0), silent, rtol=0, atol=ROUND_OFF)
    # No half-plane holds both firing points without their midpoint: the linear program for one is infeasible.
    rows = [[-a, -b, 1.0] for a, b in fire] + [[*silent, -1.0]]
    assert not linprog([0, 0, 0], A_ub=rows, b_ub=[0, 0, -1], bounds=[(None, None)] * 3).success


def test_prp_spsn_k1():
    for v, i in ((0.9, 0.5), (0.5, 0.5), (1.0, 0.0), (0.99, 0.9)):
        A = SPSN(i, v).as_fixed_point(12).A.numpy()
        lag = np.arange(12)
        kernel = (lag + 1.0) * v**lag if v == i else (v ** (lag + 1.0) - i ** (lag + 1.0)) / (v - i)
        assert np.allclose(A[:, 0], kernel, rtol=ROUND_OFF, atol=ROUND_OFF)
    x = torch.tensor(inputs(10, 4))
    draws = torch.stack([SPSN()(x, generator=torch.Generator().manual_seed(k)) for k in range(1500)])
    mean = logistic(4 * (oracle.leaky(oracle.leaky(x.numpy(), 0.5), 0.5) - 1))
    # Five standard errors of 1,500 Bernoulli draws.
    assert np.abs(draws.mean(0).numpy() - mean).max() < 5 * 0.5 / math.sqrt(1500)


@pytest.mark.parametrize("decay", DECAYS)
def test_prp_ipsu_psn(decay):
    steps = 17
    module = IPSU(steps, decay)
    module.weight.data += torch.randn(steps, steps)
    lag = np.arange(steps)[:, None] - np.arange(steps)
    subtracted = np.where(lag > 0, lag * float(decay) ** np.maximum(lag, 0), 0.0)
    A = np.tril(module.weight.detach().numpy()) - subtracted
    assert np.allclose(module.as_fixed_point().A.detach().numpy(), A, rtol=ROUND_OFF, atol=100 * ROUND_OFF)
    x = inputs(steps)
    assert np.array_equal(module(torch.tensor(x)).detach().numpy(), A @ x >= 1)
    # Onto: any causal PSN with a common threshold is an IPSU.
    wanted = torch.randn(steps, steps).tril()
    module.weight.data = wanted + torch.tensor(subtracted)
    assert torch.allclose(module.as_fixed_point().A, wanted, rtol=0, atol=100 * ROUND_OFF)


def test_ipsu_start_compares_now_with_before():
    # Exercise ex-ipsu-kernel: kernel decay^m (1 - m); its sum for a long constant input is (1 - 2 decay)/(1 - decay)^2.
    for decay, lag, size in ((0.5, 2, 0.25), (0.9, 10, 9 * 0.9**10)):
        kernel = IPSU(400, decay).as_fixed_point().A[:, 0].detach().numpy()
        assert np.isclose(kernel.min(), -size) and np.isclose(kernel[lag], kernel[lag + 1])
        assert np.isclose(kernel.sum(), (1 - 2 * decay) / (1 - decay) ** 2)


@pytest.mark.parametrize("decay", DECAYS)
def test_prp_psu_k2(decay):
    x = inputs(31)
    psu = PSU(31, decay, slope=None)(torch.tensor(x)).detach().numpy()
    truth = oracle.lif(x, decay)
    assert np.array_equal(psu, sweep_hard(x, decay, 2))
    assert np.array_equal(psu[:2], truth[:2]) and (psu <= truth).all()
    # Ties, in exact arithmetic: multiples of 1/8 at decay 1/2.
    x = np.random.default_rng(1).integers(0, 13, (8, 300)) / 8
    assert (PSU(8, 0.5, slope=None)(torch.tensor(x)).detach().numpy() <= oracle.lif(x, 0.5)).all()


def test_prp_psu_k2_needs_a_decay_that_is_not_negative():
    x = np.array(list(itertools.product((0.0, 0.5, 1.0, 1.5), repeat=4))).T
    assert (sweep_hard(x, -0.5, 2) > oracle.lif(x, -0.5)).any()
    assert (sweep_hard(x, 0.5, 2) <= oracle.lif(x, 0.5)).all()


def test_prp_psu_k2_graded_estimate_breaks_both():
    x = torch.tensor([[1.2, 1.2], [0.7, 0.8]])
    assert PSU(2, 0.5, slope=4.0)(x)[1].tolist() == [0, 1]
    assert oracle.lif(x.numpy(), 0.5)[1].tolist() == [0, 0]


def test_prp_hard_reset_form():
    two = np.random.default_rng(0).uniform(0, 2, (2, 400))
    first = two[0] >= 1
    design = np.stack([*two, first], axis=1)
    for after, fits in ((two[0] - first, True), (two[0] * ~first, False)):
        u = 0.8 * after + two[1]
        misfit = np.abs(design @ np.linalg.lstsq(design, u, rcond=None)[0] - u).max()
        assert (misfit < ROUND_OFF) == fits


def test_prp_hard_reset_form_full_matrices_and_later_steps():
    """The inputs of the proof at T = 4: silent from step 2 on, and no row fits them, full matrices or not."""
    first = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0])
    x = np.stack([first, -np.ones(6), np.zeros(6), np.zeros(6)])
    v, u, s = np.zeros(6), [], []
    for now in x:
        u.append(0.8 * v + now)
        s.append(u[-1] >= 1)
        v = u[-1] * ~s[-1]
    assert not np.any(s[1:])
    design = np.concatenate([x, s]).T.astype(float)
    assert np.abs(design @ np.linalg.lstsq(design, u[1], rcond=None)[0] - u[1]).max() > 0.1


def residual(u, d, alpha, b):
    return u + d * logistic(alpha * (u - 1)) - b


@pytest.mark.parametrize("alpha", [1.0, 4.0, 12.0, 36.0])
def test_thm_free_diagonal(alpha):
    edge = 4 / alpha
    for d in edge * np.array([-5, -1.5, -1.01, -0.99, -0.5, 0, 0.5, 0.99, 1.01, 1.5, 5]):
        b = 1 + d / 2
        found = scalar_fixed_points(d, alpha, b)
        assert np.abs([residual(u, d, alpha, b) for u in found]).max() < 1e-9
        assert len(found) == (3 if d < -edge else 1)
        kind = classify_diagonal(d, alpha)
        # 1: one solution for every right side as long as d >= -4/alpha, also far above.
        if kind != "several":
            assert all(len(scalar_fixed_points(d, alpha, c)) == 1 for c in np.linspace(-3, 5, 41))
        # 2, 3: sweeps from both sides meet inside the band; above it they alternate between two values.
        u = np.array([b - abs(d), b + abs(d), 0.7])
        for _ in range(2500):  # a factor of 0.99 per sweep leaves 1e-11 of the start
            u = b - d * logistic(alpha * (u - 1))
        ends = [*u, *(b - d * logistic(alpha * (u - 1)))]
        spread = max(ends) - min(ends)
        assert (spread < 1e-6) == (kind == "converges"), (d, spread)
        if kind == "unique":
            assert abs(ends[0] - ends[3]) > 1e-3 * edge


def test_thm_free_diagonal_rows_below_do_not_matter():
    rng = np.random.default_rng(3)
    for _ in range(60):
        size = int(rng.integers(1, 10))
        M = np.tril(rng.normal(0, 4, (size, size)), -1) + np.diag(rng.uniform(-0.25, 0.25, size))
        B, ends = rng.normal(1, 1, size), []
        for start in (-30.0, 30.0):
            u = np.full(size, start)
            for _ in range(400):
                u = B - M @ logistic(12 * (u - 1))
            ends.append(u)
        assert np.abs(ends[0] - ends[1]).max() < 1e-8
    # 4, for T > 1: any lower triangle, one entry below the band, right side chosen along the rows: three fixed points.
    M = np.tril(rng.normal(0, 4, (5, 5)), -1) + np.diag([0.1, 0.1, -0.7, 0.1, 0.1])
    B = np.ones(5)
    for branch in range(3):
        u = []
        for t in range(5):
            past = sum(M[t, j] * logistic(12 * (u[j] - 1)) for j in range(t))
            if t == 2 and branch == 0:
                B[t] = 1 - 0.35 + past
            roots = scalar_fixed_points(M[t, t], 12.0, B[t] - past)
            u.append(roots[branch if t == 2 else 0])
        assert np.abs(np.array(u) - (B - M @ logistic(12 * (np.array(u) - 1)))).max() < 1e-9
        assert (
            len(scalar_fixed_points(-0.7, 12.0, B[2] - sum(M[2, j] * logistic(12 * (u[j] - 1)) for j in range(2)))) == 3
        )


def test_thm_free_diagonal_printed_numbers():
    assert np.allclose(scalar_fixed_points(-0.7, 12.0, 0.65), [0.662, 1, 1.338], atol=5e-4)
    u = 1.01
    for _ in range(1000):
        u = 1.45 - 0.9 * logistic(12 * (u - 1))
    assert np.allclose(sorted([u, 1.45 - 0.9 * logistic(12 * (u - 1))]), [0.554, 1.446], atol=5e-4)
    assert np.allclose(safe_band(12.0), [2 / 3, 4 / 3]) and np.allclose(safe_band(36.0), [8 / 9, 10 / 9])
    assert np.allclose(safe_band(12.0, threshold=2.0), [5 / 6, 7 / 6])


def test_prp_upper_triangle():
    def fixed(M, B):
        trains = itertools.product((0, 1), repeat=2)
        return [s for s in trains if tuple((B - M @ np.array(s) >= 1).astype(int)) == s]

    assert fixed(np.array([[0, 1], [1, 0]]), np.array([1.5, 1.5])) == [(0, 1), (1, 0)]
    assert fixed(np.array([[0, 1], [-1, 0]]), np.array([1.5, 0.5])) == []
    assert fixed(np.array([[0, -1], [-1, 0]]), np.array([0.5, 0.5])) == [(0, 0), (1, 1)]
    # 1: a small full matrix contracts, but T sweeps are not enough.
    rng = np.random.default_rng(0)
    M, B = rng.uniform(-0.1, 0.1, (3, 3)), np.ones(3)
    ends = [np.full(3, -5.0), np.full(3, 5.0)]
    for count in range(400):
        ends = [B - M @ logistic(4 * (u - 1)) for u in ends]
        if count == 2:
            assert np.abs(ends[0] - ends[1]).max() > 1e-6
    assert np.abs(ends[0] - ends[1]).max() < ROUND_OFF


def test_exercise_answers_and_bad_arguments():
    r = math.sqrt(1 - 4 / (0.7 * 12))
    u = 1 + math.log((1 + r) / (1 - r)) / 12
    low, high = u - 0.7 * (1 + r) / 2, 2 - u - 0.7 * (1 - r) / 2
    assert np.allclose([low, high], [0.5493, 0.7507], atol=5e-5)
    assert check_three_fixed_points((low, high)).startswith("Correct.")
    for wrong in ((0.6, 0.7), (0.5, 0.8), (0.7, 0.6)):
        assert check_three_fixed_points(wrong).startswith("Not yet:")
    assert check_notch_share(0.1, 0.4).startswith("Correct.")
    assert check_notch_share(0.2, 0.4).startswith("Not yet:") and check_notch_share(0.2, 0.8).startswith("Not yet:")
    for call in (lambda: safe_band(0.0), lambda: safe_band(4.0, -1.0), lambda: classify_diagonal(math.nan, 4.0)):
        with pytest.raises(ValueError):
            call()
