"""Every result of chapter 3. Sweeps are run in the operations and the order of the loop, so that equality is bitwise."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from oracles import adversarial_inputs, leak_matrix, lif_loop

import fptlib

TINY = 1e-12  # one addition more or less
SAMPLING = 4e-3  # four standard deviations of a share over 200,000 draws, and some room
DECAYS = (0.0, 0.5, 0.9, 0.99, 1.0, -0.7, 1.2)


def step(u):
    return np.float64(u >= 1.0)


def logistic(alpha):
    return lambda u: 1 / (1 + np.exp(-alpha * (u - 1.0)))


def driven(x, decay, S):
    """The membrane driven by the train S, [T, n], each step computed exactly as the loop computes it."""
    U, v = np.zeros_like(x), np.zeros(x.shape[1:])
    for t in range(len(x)):
        U[t] = decay * v + x[t]
        v = U[t] - S[t]
    return U


def soft(decay, f):
    return lambda x: lambda S: f(driven(x, decay, S))


def gated(decay):
    def sweep(x):
        def F(S):
            U, v = np.zeros_like(x), np.zeros(x.shape[1:])
            for t in range(len(x)):
                U[t] = decay * v + x[t]
                v = U[t] * (1 - S[t])
            return step(U)

        return F

    return sweep


def additive(decay):
    """Hard reset to 0 in the additive form; the train is that of the reset amounts f(U)."""
    amount = lambda u: np.where(u >= 1.0, u, 0.0)
    return lambda x: lambda R: amount(driven(x, decay, R))


def adaptive(decay):
    def sweep(x):
        def F(S):
            U, v, a, before = np.zeros_like(x), np.zeros(x.shape[1:]), np.zeros(x.shape[1:]), 0.0
            for t in range(len(x)):
                a = 0.5 * a + before
                u = decay * v + x[t]
                U[t], v, before = u - 0.25 * a, u - S[t], S[t]
            return step(U)

        return F

    return sweep


def learned(decay):
    """A strictly lower triangular matrix with entries of both signs."""

    def sweep(x):
        M = np.tril(np.random.default_rng(1).normal(size=(len(x), len(x))), -1)
        return lambda S: step(np.stack([x[t] - M[t, :t] @ S[:t] for t in range(len(x))]))

    return sweep


SWEEPS = {
    "threshold": lambda decay: soft(decay, step),
    "logistic": lambda decay: soft(decay, logistic(12.0)),
    "sine": lambda decay: soft(decay, np.sin),
    "gated": gated,
    "additive": additive,
    "adaptive": adaptive,
    "learned": learned,
}


def solution(F, x):
    """Forward substitution: the entries of F settle one after the other."""
    S = np.zeros_like(x)
    for t in range(len(x)):
        S[t] = F(S)[t]
    return S


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("kind", SWEEPS)
def test_thm_first_k_exact(kind, decay):
    for T in (1, 2, 13):
        for name, x in adversarial_inputs(T, 4, min(abs(decay), 1.0)).items():
            F = SWEEPS[kind](decay)(x)
            truth = solution(F, x)
            assert np.array_equal(F(truth), truth), name
            starts = np.zeros_like(x), np.random.default_rng(T).integers(0, 2, x.shape).astype(float)
            for S in starts:
                for K in range(T + 1):
                    assert np.array_equal(S[:K], truth[:K]), (name, K)
                    S = F(S)
            for right in range(T + 1):  # part 3: a right prefix is kept and grows
                S = np.concatenate([truth[:right], starts[1][right:]])
                for K in range(T - right + 1):
                    assert np.array_equal(S[: right + K], truth[: right + K])
                    S = F(S)


@pytest.mark.parametrize("decay", (0.0, 0.5, 0.9, 1.0))
def test_thm_first_k_exact_is_the_loop(decay):
    for x in adversarial_inputs(21, 5, decay).values():
        spikes, membrane, _ = lif_loop(x, decay)
        F, S = soft(decay, step)(x), np.zeros_like(x)
        for k in range(22):
            assert np.array_equal(driven(x, decay, S)[: k + 1], membrane[: k + 1])  # part 4: one step ahead
            S = F(S)
        assert np.array_equal(S, spikes)


@pytest.mark.parametrize("kind", ("threshold", "gated", "adaptive", "learned"))
@pytest.mark.parametrize("decay", (0.5, 0.9, -0.7, 1.2))
def test_cor_prefix_certificate(kind, decay):
    T = 7
    every = np.array(list(product((0.0, 1.0), repeat=T))).T  # all 128 trains at once, as columns
    for x in adversarial_inputs(T, 2, abs(decay)).values():
        for n in range(2):
            wide = np.repeat(x[:, n : n + 1], every.shape[1], axis=1)
            F = SWEEPS[kind](decay)(wide)
            truth, after = solution(F, wide), F(every)
            agree = np.cumprod(after == every, axis=0).astype(bool)
            right = np.cumprod(every == truth, axis=0).astype(bool)
            assert np.array_equal(agree, right)
            prefix = right.sum(axis=0)
            assert all(np.array_equal(after[: p + 1, i], truth[: p + 1, i]) for i, p in enumerate(prefix))


def test_cor_prefix_certificate_in_the_library():
    neuron = fptlib.lif(0.9)
    x = torch.from_numpy(np.random.default_rng(4).normal(0.3, 0.5, (40, 8)))
    truth = fptlib.solve(neuron, x, fptlib.Sequential()).spikes
    for K in (1, 2, 3, 10, 41):
        run = fptlib.solve(neuron, x, fptlib.FixedPoint(sweeps=K))
        assert torch.equal(run.spikes[: run.certificate.prefix], truth[: run.certificate.prefix])
        assert run.certificate.prefix >= min(K, 40) or run.certificate.exact


def test_prp_start_forgotten():
    slopes, T, x = (2.0, 6.0, 12.0), 9, np.random.default_rng(2).normal(0.5, 0.6, (9, 5))
    ends = []
    for seed in (0, 1):
        S = np.random.default_rng(seed).random(x.shape)
        for alpha in slopes:
            S = soft(0.5, logistic(alpha))(x)(S)
        ends.append(S)
    assert np.array_equal(ends[0][:3], ends[1][:3]) and not np.array_equal(ends[0][3:], ends[1][3:])
    F, S = soft(0.5, logistic(12.0))(x), np.zeros_like(x)
    truth = solution(F, x)
    for k, alpha in enumerate((2.0, 6.0, *(12.0,) * T), start=1):
        S = soft(0.5, logistic(alpha))(x)(S)
        assert k <= 2 or np.array_equal(S[: k - 2], truth[: k - 2])
    assert np.array_equal(S, truth)


def test_prp_sampling_flips():
    p = np.linspace(0, 1, 101)
    two, rounded = 2 * p * (1 - p), np.minimum(p, 1 - p)
    assert np.all(rounded <= two + TINY) and np.all(two <= 2 * rounded + TINY)
    rng, n = np.random.default_rng(0), 200_000
    p = rng.random(n)
    first, second = rng.random(n) < p, rng.random(n) < p
    assert abs((first != second).mean() - (2 * p * (1 - p)).mean()) < SAMPLING
    assert abs((first != (p >= 0.5)).mean() - np.minimum(p, 1 - p).mean()) < SAMPLING
    near = 1 / (1 + math.exp(-12 * 0.1))
    assert round(near, 3) == 0.769 and round(2 * near * (1 - near), 3) == 0.356


def test_prp_sweep_cost():
    K, printed = 3, {4: (12, 22, 48), 32: (96, 1520, 3072), 1024: (3072, 1572352, 3145728)}
    for T, row in printed.items():
        assert row == (K * T, T * (T + 1) // 2 + (K - 1) * T * (T - 1) // 2, K * T * T)
    for T in (1, 4, 32):
        full, strict = leak_matrix(T, 0.5), leak_matrix(T, 0.5) - np.eye(T)
        assert np.count_nonzero(full) == T * (T + 1) // 2 and np.count_nonzero(strict) == T * (T - 1) // 2


@pytest.mark.parametrize("product_form", ("scan", "dense"))
def test_alg_fpt(product_form):
    x = np.random.default_rng(9).normal(0.3, 0.6, (24, 6))
    Lambda = leak_matrix(24, 0.5)
    for slopes in (None, (2.0, 6.0, 12.0)):
        S = np.zeros_like(x)
        for k in range(3):
            U = Lambda @ x - (Lambda - np.eye(24)) @ S
            S = step(U) if slopes is None else logistic(slopes[k])(U)
        assert slopes or np.abs(U - 1).min() > 1e-6  # no membrane so near a tie that rounding could decide
        run = fptlib.solve(fptlib.lif(0.5), torch.from_numpy(x), fptlib.FixedPoint(3, slopes, product_form))
        assert np.abs(run.spikes.numpy() - S).max() < 1e-10


def test_rem_counting_k():
    x = torch.from_numpy(np.random.default_rng(3).normal(0.5, 0.6, (30, 4)))
    free = fptlib.solve(fptlib.lif(0.9, reset="none"), x, fptlib.Sequential()).spikes
    run = fptlib.solve(fptlib.lif(0.9), x, fptlib.FixedPoint(sweeps=1))
    assert torch.equal(run.spikes, free) and run.sweeps == 1


def rows(x, decay, start, K):
    F, S, out = soft(decay, step)(x), np.array(start, float)[:, None], []
    for _ in range(K):
        S = F(S)
        out.append("".join(str(int(s)) for s in S[:, 0]))
    return out


def test_exm_three_sweeps():
    x = np.array([1.2, 0.55, 0.55, 0.55])[:, None]
    assert rows(x, 0.9, [0] * 4, 4) == ["1111", "1000", "1011", "1010"]
    assert lif_loop(x, 0.9)[0][:, 0].tolist() == [1, 0, 1, 0]
    printed = (
        (1.2, 1.63, 2.017, 2.365),
        (1.2, 0.73, 0.307, -0.074),
        (1.2, 0.73, 1.207, 1.636),
        (1.2, 0.73, 1.207, 0.736),
    )
    S = np.zeros_like(x)
    for row in printed:
        U = driven(x, 0.9, S)
        assert np.allclose(U[:, 0], row, atol=6e-4)
        S = step(U)


def test_exm_annealed_overshoot():
    sigma = lambda alpha, y: 1 / (1 + math.exp(-alpha * y))
    assert lif_loop(np.array([[1.2], [0.85]]), 0.5)[1][1, 0] == pytest.approx(0.95)
    first = sigma(6, 0.2)
    assert (round(first, 4), round(1.45 - first / 2, 4), round(sigma(6, 0.45 - first / 2), 3)) == (
        0.7685,
        1.0657,
        0.597,
    )
    soft_first = sigma(2, 0.2)
    u = 1.45 - soft_first / 2
    assert (round(soft_first, 4), round(u, 4), round(sigma(6, u - 1), 3)) == (0.5987, 1.1507, 0.712)
    run = fptlib.solve(fptlib.lif(0.5), torch.tensor([[1.2], [0.85]]).double(), fptlib.FixedPoint(2, (2.0, 6.0)))
    assert round(run.spikes[1, 0].item(), 3) == 0.712


def test_ex_sweeps_by_hand():
    x = np.array([1.2, 0.8, 0.7])[:, None]
    assert rows(x, 0.5, [0, 0, 0], 4) == ["111", "100", "101", "101"]
    assert rows(x, 0.5, [0, 0, 1], 3) == ["111", "100", "101"]  # the start of exercise ex-better-start


def test_ex_easy_inputs():
    rng = np.random.default_rng(6)
    one = {
        0.0: rng.normal(0.5, 1.0, (20, 4)),
        0.5: rng.uniform(-1, 0.499, (20, 4)),  # B stays below 1
        0.9: rng.uniform(1, 2, (20, 4)),
    }
    for decay, x in one.items():
        assert np.array_equal(step(driven(x, decay, np.zeros_like(x))), lif_loop(x, decay)[0])
    single = np.zeros((10, 1))
    single[4] = 1.5
    assert np.array_equal(step(driven(single, 0.5, np.zeros_like(single))), lif_loop(single, 0.5)[0])


def test_ex_pointwise_not_proof():
    x = np.array([1.2, 0.55])[:, None]
    assert rows(x, 0.9, [0, 1], 1) == ["11"] and lif_loop(x, 0.9)[0][:, 0].tolist() == [1, 0]


def test_ex_safe_distance():
    p = (1 + math.sqrt(0.98)) / 2
    logit = math.log(p / (1 - p))
    assert (round(p, 5), round(logit, 3)) == (0.99497, 5.288)
    assert (round(logit / 12, 3), round(logit / 36, 3)) == (0.441, 0.147)


def test_released_slopes():
    backward = lambda slopes: tuple(max(1, a / 3) for a in slopes)
    assert backward((2, 6, 12)) == (1, 2, 4) and backward((1, 3, 12)) == (1, 1, 4)
    assert tuple(6 * m for m in (1, 3, 6)) == (6, 18, 36)


@pytest.mark.parametrize(
    "surrogate,largest",
    ((fptlib.Sigmoid(6.0), 1.5), (fptlib.ATan(3.0), 1.5), (fptlib.Triangle(0.5), 2.0)),
    ids=("logistic", "arctangent", "triangle"),
)
def test_def_surrogate(surrogate, largest):
    y = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    h, primitive = surrogate.derivative(y), surrogate.primitive(y)
    assert h.min() >= 0 and h.max().item() == pytest.approx(largest) == surrogate.derivative(torch.zeros(1)).item()
    grown = torch.cumulative_trapezoid(h, y)
    assert (grown - (primitive[1:] - primitive[0])).abs().max() < 1e-5  # the trapezoidal rule at step 1e-3
    far = torch.tensor([-1e6, 1e6], dtype=torch.float64)
    assert torch.allclose(surrogate.primitive(far), torch.tensor([0.0, 1.0]).double(), atol=1e-6)


def test_def_solution():
    x = torch.tensor([1.2, 0.55, 0.55, 0.55], dtype=torch.float64)[:, None]
    run = fptlib.solve(fptlib.lif(0.9), x, fptlib.FixedPoint(sweeps=4))
    assert tuple(run.residuals) == (4, 3, 2, 1) and run.certificate.exact and run.status is fptlib.Status.EXACT
    short = fptlib.solve(fptlib.lif(0.9), x, fptlib.FixedPoint(sweeps=3))
    assert short.status is fptlib.Status.SWEEPS_DONE and not short.certificate.exact
    graded = fptlib.solve(fptlib.lif(0.9), x, fptlib.FixedPoint(sweeps=3, slopes=(2, 6, 12)))
    assert graded.status is fptlib.Status.GRADED
    one = fptlib.solve(fptlib.lif(0.9), x[:2], fptlib.Sequential())
    rest = fptlib.solve(fptlib.lif(0.9), x[2:], fptlib.Sequential(), v0=one.final_state)
    assert torch.equal(torch.cat([one.spikes, rest.spikes]), run.spikes)


def test_ex_other_counts():
    F, S, changed, evaluations = soft(0.5, step)(np.array([1.2, 0.8, 0.7])[:, None]), np.zeros((3, 1)), 0, 0
    while True:
        new, evaluations = F(S), evaluations + 1
        if np.array_equal(new, S):
            break
        S, changed = new, changed + 1
    assert (changed, evaluations) == (
        3,
        4,
    )  # right after as many evaluations as changed something; one more to prove it


def test_ex_break_even():
    for ratio, last in ((16, 31), (256, 511)):
        faster = [T for T in range(1, 2000) if T * T / ratio < 2 * T]
        assert faster == list(range(1, last + 1))
