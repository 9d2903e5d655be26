"""Chapter 11: the pair as one row and one triangular system; loop gain, sweeps and their order, judged by plain loops."""

import json
import re
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from fptlib import FixedPoint, Sequential, lif, linear_scan, lm_h, solve, tc_lif, theory, ts_lif, two_compartment

START = (0.8, 0.3, -0.1, -0.8)
# Same operations in another order, a few hundred of them, on numbers of order ten.
ROUND_OFF = 1e-11


def by_hand(x, a, b, e, g, order="released", update="gauss-seidel", fires="both", start=(0.0, 0.0)):
    """One compartment after the other; x [T, N] -> membranes [T, 2, N], spikes [T, 2, N]."""
    d, s = (np.full(x.shape[1], float(v)) for v in start)
    f_d = f_s = np.zeros(x.shape[1])
    membranes, spikes = [], []
    for now in x:
        if order == "released":
            d, s = d - g[0] * f_d, s - g[1] * f_s
            lower_d = lower_s = 0.0
        else:
            lower_d, lower_s = g[0] * f_d, g[1] * f_s
        new = a[0] * d + b[0] * s + e[0] * now - lower_d
        s = a[1] * s + b[1] * (new if update == "gauss-seidel" else d) + e[1] * now - lower_s
        d = new
        own_d, own_s = (d >= 1.0) * 1.0, (s >= 1.0) * 1.0
        f_d, f_s = (own_d, own_s) if fires == "both" else (own_s, own_s)
        membranes.append((d, s))
        spikes.append((own_d, own_s))
    return np.array(membranes), np.array(spikes)


CASES = [
    (order, update, fires)
    for order, update, fires in product(("released", "paper"), ("gauss-seidel", "jacobi"), ("both", "soma"))
    if not (order == "paper" and update == "jacobi")  # a combination nobody published; the chapter does not treat it
]


@pytest.mark.parametrize(("order", "update", "fires"), CASES)
def test_lem_pair_step(order, update, fires):
    rng = np.random.default_rng(0)
    for _ in range(10):
        # Decays and couplings small enough to be stable in every variant: an unstable one would amplify the rounding.
        a, b, e, g = rng.uniform(0, 0.8, 2), rng.uniform(-0.2, 0.2, 2), rng.uniform(0, 1, 2), rng.uniform(0.1, 1, 2)
        x = rng.normal(1, 1.5, (40, 30))
        spec = two_compartment(*(tuple(v.tolist()) for v in (a, b, e, g)), order=order, update=update, fires=fires)
        run = solve(spec, torch.tensor(x), Sequential())
        membranes, spikes = by_hand(x, a, b, e, g, order, update, fires)
        assert np.abs(run.membrane.numpy() - membranes).max() < ROUND_OFF
        wanted = spikes if fires == "both" else spikes[:, 1]
        assert (run.spikes.numpy() == wanted).all()


def test_lem_pair_step_on_exact_ties():
    # Powers of two: both programs are exact, ties included.
    x = np.random.default_rng(1).integers(-4, 9, (50, 64)) / 4
    for order in ("released", "paper"):
        args = (0.5, 0.25), (-0.25, -0.5), (0.5, 0.75), (0.5, 1.0)
        run = solve(two_compartment(*args, order=order), torch.tensor(x), Sequential())
        membranes, spikes = by_hand(x, *args, order)
        near = np.abs(membranes - 1).min() == 0
        assert (run.spikes.numpy()[:12] == spikes[:12]).all() and near


def blocks(M, G, T):
    F = np.zeros((2 * T, G.shape[1] * T))
    for t in range(T):
        for j in range(t):
            F[2 * t : 2 * t + 2, G.shape[1] * j : G.shape[1] * (j + 1)] = np.linalg.matrix_power(M, t - j - 1) @ G
    return F


@pytest.mark.parametrize("T", [1, 2, 9])
@pytest.mark.parametrize("order", ["released", "paper"])
def test_thm_pair_triangular(T, order):
    rng = np.random.default_rng(2)
    x, v0 = rng.normal(1, 1.5, (T, 5)), (0.3, -0.4)
    M, k = theory.transition(*START).numpy(), theory.drive(*START).numpy()
    G = theory.reset_matrix(*START, order=order).numpy()
    Lam = np.linalg.inv(np.eye(2 * T) - np.kron(np.eye(T, k=-1), M))
    F = Lam @ np.kron(np.eye(T, k=-1), G)
    assert np.abs(F - blocks(M, G, T)).max() < ROUND_OFF
    first = np.zeros((T, 1))
    first[0] = 1
    B = Lam @ np.kron(np.eye(T), k[:, None]) @ x + Lam @ np.kron(first, (M @ v0)[:, None])
    u, s = by_hand(x, (0.8, 0.3), (-0.1, -0.8), (0.2, 0.7), (0.5, 1.0), order, start=v0)
    assert np.abs(u.reshape(2 * T, -1) - (B - F @ s.reshape(2 * T, -1))).max() < ROUND_OFF
    if order == "released":
        assert np.abs(F - (Lam - np.eye(2 * T)) @ np.kron(np.eye(T), np.diag([0.5, 1.0]))).max() < ROUND_OFF


def test_thm_pair_triangular_has_one_solution():
    # T = 4, every one of the 2^8 trains: exactly one satisfies S = H(B - F S - 1), whatever the input.
    rng = np.random.default_rng(3)
    M, k, G = (v.numpy() for v in (theory.transition(*START), theory.drive(*START), theory.reset_matrix(*START)))
    trains = np.array(list(product((0.0, 1.0), repeat=8))).T
    Lam = np.linalg.inv(np.eye(8) - np.kron(np.eye(4, k=-1), M))
    for _ in range(50):
        B = Lam @ np.kron(np.eye(4), k[:, None]) @ rng.normal(1, 2, (4, 1))
        fixed = ((B - blocks(M, G, 4) @ trains >= 1) == trains).all(0)
        assert fixed.sum() == 1


def test_prp_pair_power():
    rng = np.random.default_rng(4)
    for _ in range(50):
        M = theory.transition(*rng.uniform(-1, 1, 4)).numpy()
        l1, l2 = np.linalg.eigvals(M).astype(complex)
        if abs(l1 - l2) < 0.1:
            continue  # near a double root the formula divides two small numbers
        for n in range(1, 30):
            formula = (l1**n - l2**n) / (l1 - l2) * M - l1 * l2 * (l1 ** (n - 1) - l2 ** (n - 1)) / (l1 - l2) * np.eye(
                2
            )
            power = np.linalg.matrix_power(M, n)
            assert np.abs(formula - power).max() < 1e-12 * (1 + np.abs(power).max())


def sweeps(neuron, x, count, start=None, slope=None):
    spikes = x.new_zeros(x.shape[0], neuron.channels, *x.shape[1:]) if start is None else start
    chain = [spikes]
    for _ in range(count):
        gate, drive = neuron.coefficients(x, chain[-1])
        chain.append(neuron.emit(neuron.sense_all(linear_scan(gate, drive)), slope))
    return chain


@pytest.mark.parametrize("order", ["released", "paper"])
@pytest.mark.parametrize("coupling", [(-0.1, -0.8), (0.3, -0.5), (-0.5, -0.8), (0.1, 0.3)])
def test_thm_two_comp_sweeps_finite_termination(order, coupling):
    # (-0.5, -0.8) is unstable: the first K steps are exact all the same.
    neuron = ts_lif(coupling=coupling, order=order)
    x = torch.tensor(np.random.default_rng(5).normal(1, 1.5, (30, 40)))
    truth = solve(neuron, x, Sequential()).spikes
    for K, spikes in enumerate(sweeps(neuron, x, 30)):
        assert torch.equal(spikes[:K], truth[:K])


def test_thm_two_comp_sweeps_binomial_tail():
    M, x = theory.transition(*START).numpy(), torch.tensor(np.random.default_rng(6).normal(1, 1.5, (50, 60)))
    for order in ("released", "paper"):
        G, r = theory.reset_matrix(*START, order=order).numpy(), 0.92
        norms = [np.abs(np.linalg.matrix_power(M, m) @ G).sum(1).max() for m in range(60)]
        g = max(n / r**m for m, n in enumerate(norms))
        gain = theory.bibo_bound(*START, order=order).loop_gain.item()
        for slope in (0.2, 0.45, 1.0, 6.0):
            chain = sweeps(ts_lif(order=order), x, 50, slope=slope)
            t = np.arange(1, 51)
            for K in (1, 2, 4, 8, 16, 32):
                error = (chain[K] - chain[50]).abs().amax((1, 2)).numpy()
                bound = (g * slope / 4 / (1 - r)) ** K * scipy.stats.nbinom.cdf(t - 1 - K, K, 1 - r)
                assert (error <= bound + 1e-9).all()
                assert error.max() <= (gain * slope / 4) ** K + 1e-12


def test_thm_two_comp_sweeps_shorter_bound_is_false():
    # One compartment, decay 1/2, slope L = 3: the sum a sweep can reach beside the tempting product (exercise).
    reach = 3 * sum(Fraction(1, 2) ** m for m in range(1, 12))
    tempting = Fraction(3, 2) * 12 * Fraction(1, 2) ** 11
    assert reach > 2.99 and tempting < 0.009
    tail = 3 * scipy.stats.nbinom.cdf(11 - 1, 1, 0.5)
    assert abs(float(reach) - tail) < 1e-12
    # The sweep itself: every membrane on the threshold, spikes 1/2, the guess off by E_0 at every step.
    f, off = lambda u: 1 / (1 + np.exp(-12 * (u - 1))), 1e-7
    A = np.tril(0.5 ** np.abs(np.subtract.outer(np.arange(12), np.arange(12))), -1)
    B = 1 + A @ np.full(12, 0.5)
    error = f(B - A @ np.full(12, 0.5 + off)) - 0.5
    assert abs(error[11] / off + tail) < 1e-4  # first order in E_0


def test_thm_two_comp_sweeps_loop_gain_is_a_sum_and_not_a_matter_of_stability():
    """A dendrite that grows (a_1 = 1.2) beside a soma that does not hear it, g_1 = 0: unstable, and the gain is finite."""
    M, G = theory.transition(1.2, 0.3, 0.0, 0.0).numpy(), np.array([[0.0, 0.0], [0.0, 0.3]])
    sums = [np.abs(np.linalg.matrix_power(M, m) @ G).sum(1).max() for m in range(60)]
    assert sum(sums) == pytest.approx(0.3 / 0.7)


def test_prp_loop_gain():
    rng = np.random.default_rng(7)
    checked = 0
    for _ in range(200):
        a, b = rng.uniform(0, 1, 2), rng.choice([-1, 1]) * rng.uniform(0, 1, 2)
        if theory.ts_lif_stability(*a, *b).radius > 0.97:
            continue
        checked += 1
        for order in ("released", "paper"):
            M = np.abs(theory.transition(*a, *b).numpy())
            G = np.abs(theory.reset_matrix(*a, *b, (0.7, 1.2), order).numpy())
            closed = (np.linalg.inv(np.eye(2) - M) @ G).sum(1)
            summed = theory.bibo_bound(*a, *b, (0.7, 1.2), order).spike_gain.numpy()
            assert np.allclose(closed, summed, rtol=1e-9)
        assert abs(np.linalg.det(np.eye(2) - M) - ((1 - a[0]) * (1 - a[1]) - b[0] * b[1])) < 1e-12
    assert checked > 80
    assert np.allclose(theory.bibo_bound(*START, order="released").spike_gain, [19 / 3, 23 / 3])


@pytest.mark.parametrize("order", ["released", "paper"])
@pytest.mark.parametrize("slope", [None, 3.0])
def test_prp_two_comp_order(order, slope):
    x = torch.tensor(np.random.default_rng(8).normal(1, 1.5, (25, 200)))
    for coupling, soma in [((0.2, 0.4), 0.0), ((-0.1, -0.8), 1.0)]:
        neuron = ts_lif(coupling=coupling, order=order)
        start = torch.zeros(25, 2, 200, dtype=torch.float64)
        start[:, 1] = soma
        sign = torch.tensor([1.0, -1.0 if soma else 1.0], dtype=torch.float64)[:, None]
        chain = sweeps(neuron, x, 26, start, slope)
        truth = chain[26]
        for K in range(10):
            side = (chain[K] - truth) * sign * (-1) ** K
            assert side.max() <= 1e-12  # even iterates below, odd ones above, in the signed order
            assert ((chain[K + 2] - chain[K]) * sign * (-1) ** K).min() >= -1e-12
            agree = chain[K] == chain[K + 1]
            assert ((chain[K + 1] - truth).abs()[agree] < 1e-12).all()


def test_prp_two_comp_order_fails_from_zero_and_for_mixed_signs():
    x = torch.tensor(np.random.default_rng(9).normal(1, 1.5, (25, 200)))
    chain = sweeps(ts_lif(), x, 25)
    assert sum(int(((chain[K] - chain[25]) * (-1) ** K > 0).sum()) for K in range(8)) > 100
    # Mixed signs: for each of the four sign choices some entry of F D-conjugated is negative.
    F = blocks(theory.transition(0.8, 0.3, 0.3, -0.5).numpy(), theory.reset_matrix(0.8, 0.3, 0.3, -0.5).numpy(), 4)
    for signs in product((1, -1), repeat=2):
        D = np.diag(np.tile(signs, 4))
        assert (D @ F @ D).min() < 0


@pytest.mark.parametrize(("order", "amounts", "T", "exists"), [
    ("paper", (1.0, 1.0), 3, False), ("released", (1.0, 1.0), 3, False), ("released", (1.0, 1.0), 2, False),
    ("paper", (1.0, 0.0), 5, True), ("paper", (0.0, 1.0), 5, True), ("paper", (1.0, 1.0), 2, True),
])  # fmt: skip
def test_prp_two_comp_order_mixed_signs_need_both_resets_and_three_steps(order, amounts, T, exists):
    """Part 4 and the hypotheses it cannot do without: opposite couplings, decays 1/2."""
    pair = (0.5, 0.5, 0.3, -0.3)
    F = blocks(theory.transition(*pair).numpy(), theory.reset_matrix(*pair, amounts, order).numpy(), T)
    signed = [np.tile(signs, T) for signs in ((1, 1), (1, -1))]
    assert any((d[:, None] * F * d >= -ROUND_OFF).all() for d in signed) == exists


def test_numbers_of_the_page_are_those_of_the_notebook():
    root = Path(__file__).resolve().parents[1]
    page = (root / "book" / "11-two-compartments.md").read_text(encoding="utf-8")
    cells = json.loads((root / "notebooks" / "11-two-compartments.ipynb").read_text(encoding="utf-8"))["cells"]
    printed = "\n".join("".join(o.get("text", "")) for c in cells for o in c.get("outputs", []))
    rows = re.findall(r"^\| (\d) \| \**([\d.]+) %\** \| \**([\d.]+) %\** \|$", page, re.M)
    assert [row[0] for row in rows] == ["1", "2", "3", "6"]
    for column, name in ((1, "LIF 0.5"), (2, "TS-LIF start")):
        line = re.search(rf"^{name} +wrong spikes(.*)$", printed, re.M)[1]
        assert re.findall(r": ([\d.]+) %", line) == [row[column] for row in rows]
        median = re.search(r"median (\d+)", line)[1]
        said = re.search(r"^\| exact from .* \| (\d+) \| (\d+) \|$", page, re.M)
        assert said[column] == median
    for phrase in ("43.1 % wrong spikes", "rates [0.163", "16 chunks, 3 rounds", "dependent steps 896"):
        assert phrase in printed
    assert "43 % wrong here" in page and "16 % of the steps" in page


def test_prp_two_comp_order_is_what_the_library_certifies():
    x = torch.tensor(np.random.default_rng(10).normal(1, 1.5, (60, 50)))
    for coupling in [(-0.1, -0.8), (0.1, 0.3), (0.3, -0.5)]:
        neuron = ts_lif(coupling=coupling)
        run = solve(neuron, x, FixedPoint(sweeps=None))
        assert run.certificate.exact and torch.equal(run.spikes, solve(neuron, x, Sequential()).spikes)


def test_relatives_run_as_their_equations_say():
    rng = np.random.default_rng(11)
    x = rng.normal(0.5, 1.0, (50, 40))
    run = solve(tc_lif(), torch.tensor(x), Sequential())
    u, s = by_hand(x, (1, 1), (-0.5, 0.5), (1, 0), (0.5, 1.0), fires="soma")
    assert np.abs(run.membrane.numpy() - u).max() < ROUND_OFF and (run.spikes.numpy() == s[:, 1]).all()
    eighths = torch.tensor(rng.integers(-4, 8, (50, 40)) / 8)
    assert torch.equal(solve(lm_h(), eighths, Sequential()).spikes, solve(lif(decay=1.0), eighths, Sequential()).spikes)
