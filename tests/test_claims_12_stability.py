"""Chapter 12: every theorem attacked with NumPy as the only judge (eigenvalues, loops written here)."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from fptlib import theory

# A computed eigenvalue of a 2 x 2 matrix with entries of order one carries a few units of 1e-16, or its square root near a
# double root; points whose radius is closer to 1 than this are not judged (at most a handful of a million are).
BOUNDARY = 1e-7
# Sums of at most a few hundred float64 terms of order ten.
ROUND_OFF = 1e-10


def pair_matrix(a1, a2, b1, b2, update="gauss-seidel"):
    rows = [[a1, b1], [b2 * a1, a2 + b1 * b2]] if update == "gauss-seidel" else [[a1, b1], [b2, a2]]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def random_points(count, seed=0, low=(-1.5, -1.5, -2, -2), high=(1.5, 1.5, 2, 2)):
    return np.random.default_rng(seed).uniform(low, high, (count, 4)).T


def loop(a, b, reset, order, x, start=(0.0, 0.0), spikes=None):
    """The neuron compartment by compartment, never through its matrix; x [T, N]."""
    v_d, v_s = (np.full(x.shape[1], float(s)) for s in start)
    s_d = s_s = np.zeros(x.shape[1])
    out = []
    for t, c in enumerate(x):
        if order == "released":
            v_d, v_s = v_d - reset[0] * s_d, v_s - reset[1] * s_s
        new_d = a[0] * v_d + b[0] * v_s + (1 - a[0]) * c
        new_d = new_d - reset[0] * s_d if order == "paper" else new_d
        new_s = a[1] * v_s + b[1] * new_d + (1 - a[1]) * c
        new_s = new_s - reset[1] * s_s if order == "paper" else new_s
        v_d, v_s = new_d, new_s
        s_d, s_s = ((v_d >= 1.0) * 1.0, (v_s >= 1.0) * 1.0) if spikes is None else spikes[t]
        out.append((v_d, v_s))
    return np.array(out)


@pytest.mark.parametrize("update", ["gauss-seidel", "jacobi"])
def test_thm_jury_a_million_points(update):
    points = random_points(1_000_000)
    radius = np.abs(np.linalg.eigvals(pair_matrix(*points, update))).max(-1)
    report = theory.ts_lif_stability(*torch.from_numpy(points), update=update)
    judged = np.abs(radius - 1) > BOUNDARY
    assert (~judged).sum() <= 5
    assert (report.stable.numpy() != (radius < 1))[judged].sum() == 0
    assert np.abs(report.radius.numpy() - radius)[judged].max() < 1e-6


def test_thm_jury_on_its_own_boundary():
    # On each of the three edges one eigenvalue sits on the unit circle, and the margin is zero.
    edges = [(2.0, 0.5, -0.6, 1.0), (0.8, 0.3, 0.14, 1.0), (0.8, 0.3, -2.34, 1.0)]
    for edge in edges:
        report = theory.ts_lif_stability(*edge)
        assert abs(report.margin.item()) < 1e-12
        assert abs(np.abs(np.linalg.eigvals(pair_matrix(*edge))).max() - 1) < 1e-12


def test_thm_jacobi_region_differs_only_below():
    # The lower edges: -(1 + a1)(1 + a2) for the fresh dendrite, a1 a2 - 1 for the old one.
    point = (0.8, 0.3, -1.0, 0.9)
    assert theory.ts_lif_stability(*point).stable and not theory.ts_lif_stability(*point, update="jacobi").stable
    for b1 in (-0.1749, -0.1751):
        stable = [
            bool(theory.ts_lif_stability(0.8, 0.3, b1, -0.8, update=u).stable) for u in ("gauss-seidel", "jacobi")
        ]
        assert stable == [b1 > -0.175] * 2


def test_cor_single_inequality():
    a1, a2, b1, b2 = random_points(200_000, 1, (0, 0, -2, -2), (1, 1, 2, 2))
    keep = b1 * b2 > -1
    radius = np.abs(np.linalg.eigvals(pair_matrix(a1, a2, b1, b2))).max(-1)
    assert ((b1 * b2 < (1 - a1) * (1 - a2)) == (radius < 1))[keep & (np.abs(radius - 1) > BOUNDARY)].all()
    # Equality is excluded: without decay, b1 b2 = -1 puts one eigenvalue on the circle.
    assert theory.ts_lif_stability(0.0, 0.0, 1.0, -1.0).radius == 1 and theory.ts_lif_stability(0, 0, 1.0, -0.99).stable


def test_the_table_of_conditions():
    # Rows of the page, each with what it says of "necessary" and "sufficient".
    a1, a2, b1, b2 = random_points(400_000, 9)
    radius = np.abs(np.linalg.eigvals(pair_matrix(a1, a2, b1, b2))).max(-1)
    judged, stable, loop = np.abs(radius - 1) > BOUNDARY, radius < 1, b1 * b2
    trace, det, both = a1 + a2 + loop, a1 * a2, np.maximum(abs(a1), abs(a2)) < 1
    gain = both & (abs(loop) < (1 - abs(a1)) * (1 - abs(a2)))
    edge = loop < (1 - a1) * (1 - a2)
    rows = [
        ((abs(trace) < 1 + det) & (abs(det) < 1), True, True),
        (abs(trace) < 1 + det, True, False),
        (both, False, False),
        (abs(det) < 1, True, False),
        ((abs(a1) + abs(b1) < 1) & (abs(a2) + abs(b2) < 1), False, True),
        (gain, False, True),
        (edge, True, False),
    ]
    for holds, necessary, sufficient in rows:
        assert (not (stable & ~holds & judged).any(), not (~stable & holds & judged).any()) == (necessary, sufficient)
    some = judged & (a1 >= 0) & (a2 >= 0) & (loop >= 0)
    assert (stable == gain)[some].all() and some.sum() > 10_000
    some = judged & (a1 >= 0) & (a1 < 1) & (a2 >= 0) & (a2 < 1) & (loop > -1)
    assert (stable == edge)[some].all() and some.sum() > 10_000
    # "Both lengthen the memory" needs decays that are not negative.
    some = (a1 >= 0) & (a2 >= 0) & (loop > 0)
    assert (radius >= np.maximum(a1, a2) - BOUNDARY)[some].all()
    assert theory.ts_lif_stability(-0.8, -0.8, 0.6, 1.0).radius < 0.801


def test_prp_decays_below_one():
    radius = lambda *p: abs(np.linalg.eigvals(pair_matrix(*p))).max()
    assert abs(radius(1.2, 0.5, -0.5, 0.4) - math.sqrt(0.6)) < 1e-12 and round(math.sqrt(0.6), 3) == 0.775
    assert abs(radius(0.8, 0.3, -0.5, -0.8) - 1.318) < 5e-4


def test_prp_unstable_quarter():
    share = theory.unstable_share((0, 0, -1, -1), (1, 1, 1, 1))
    negative = theory.unstable_share((0, 0, -1, -1), (1, 1, 0, 0))
    old_dendrite = theory.unstable_share((0, 0, -1, -1), (1, 1, 1, 1), update="jacobi")
    # A Sobol net of 2^18 points leaves an error near 1e-4 on sets with a smooth edge.
    assert abs(share - 1 / 4) < 5e-4 and abs(negative - 1 / 2) < 5e-4
    assert abs(old_dendrite - (math.pi**2 / 24 - 1 / 8)) < 5e-4


@pytest.mark.parametrize("order", ["paper", "released"])
def test_thm_bibo_holds_for_any_spikes(order):
    rng = np.random.default_rng(2)
    a, b, reset, T, N = (0.8, 0.3), (-0.1, -0.8), (0.5, 1.0), 400, 60
    bound = theory.bibo_bound(*a, *b, reset, order)
    assert np.allclose(bound.input_gain, [1.167, 1.568], atol=5e-4)
    reach = (bound.input_gain * 3.0 + bound.spike_gain).numpy()
    x = np.concatenate([rng.uniform(-3, 3, (T, N // 2)), 3.0 * rng.choice([-1, 1], (T, N // 2))], 1)
    graded = rng.uniform(0, 1, (T, 2, N))
    adversarial = np.broadcast_to((np.arange(T) % 7 < 3)[:, None, None] * 1.0, (T, 2, N))
    for spikes in (None, graded, adversarial, np.zeros((T, 2, N)), np.ones((T, 2, N))):
        assert (np.abs(loop(a, b, reset, order, x, spikes=spikes)).max((0, 2)) <= reach + ROUND_OFF).all()


def test_thm_bibo_is_sharp_per_compartment():
    # The bound of one compartment is attained: input and spikes with the signs of the impulse responses, in reverse time.
    a, b, reset, T = (0.8, 0.3), (-0.1, -0.8), (0.5, 1.0), 300
    bound = theory.bibo_bound(*a, *b, reset, "released")
    response = theory.impulse_response(*a, *b, T)[:, 1].numpy()
    x = np.sign(response[::-1])[:, None]
    still = np.zeros((T, 2, 1))
    assert abs(loop(a, b, reset, "released", x, spikes=still)[-1, 1, 0] - bound.input_gain[1].item()) < 1e-9
    signs = np.zeros((T, 2, 1))
    signs[:, 1] = 1.0  # somatic spikes lower the soma, dendritic ones raise it: the worst case for the sum of moduli
    lowered = loop(a, b, reset, "released", np.zeros((T, 1)), spikes=signs)[-1, 1, 0]
    signs[:, 0], signs[:, 1] = 1.0, 0.0
    raised = loop(a, b, reset, "released", np.zeros((T, 1)), spikes=signs)[-1, 1, 0]
    assert abs(raised - lowered - bound.spike_gain[1].item()) < 1e-9


def test_thm_bibo_refuses_an_unstable_neuron():
    with pytest.raises(ValueError, match="spectral radius 1.31789"):
        theory.bibo_bound(0.8, 0.3, -0.5, -0.8)


@pytest.mark.parametrize("order", ["paper", "released"])
def test_thm_unstable_converse_beyond_the_circle(order):
    # One impulse above g / (|lambda| - 1) and the membrane grows geometrically, whatever the spikes are.
    a, b, reset = (0.8, 0.3), (-0.5, -0.8), (0.5, 1.0)
    values, vectors = np.linalg.eig(pair_matrix(*a, *b).T)
    top = np.abs(values).argmax()
    w, radius = vectors[:, top].real, np.abs(values[top])
    G = theory.reset_matrix(*a, *b, reset, order).numpy()
    k = theory.drive(*a, *b).numpy()
    g = max(abs(w @ G @ np.array(s)) for s in ((0, 0), (1, 0), (0, 1), (1, 1)))
    x = np.zeros((60, 3))
    x[0] = 1.01 * g / (radius - 1) / abs(w @ k)
    rng = np.random.default_rng(3)
    for spikes in (None, rng.integers(0, 2, (60, 2, 3)) * 1.0, np.ones((60, 2, 3)), np.zeros((60, 2, 3))):
        y = np.abs(np.einsum("i,tin->tn", w, loop(a, b, reset, order, x, spikes=spikes)))
        assert (y[1:] >= y[:-1]).all() and (y[-1] > 1e3).all()


def test_thm_unstable_converse_on_the_circle():
    # TC-LIF: a modulus of exactly one. The input that follows the rotation drives the pair out linearly.
    M = pair_matrix(1.0, 1.0, -0.5, 0.5)
    values, vectors = np.linalg.eig(M.T)
    w, lam = vectors[:, 0], values[0]
    k, g = np.array([1.0, 0.5]), np.array([0.5, 0.5 * 0.5 + 1.0])
    size = 4 * abs(w @ (M @ np.array([0.5, 1.0]))) / abs(w @ k)
    rng = np.random.default_rng(4)
    for rule in ("own", "random"):
        u, s, heights = np.zeros(2), 0.0, []
        for t in range(4000):
            x = size * np.sign((lam ** -(t + 1) * (w @ k)).real)
            u = M @ (u - np.array([0.5, 1.0]) * s) + k * x
            s = float(u[1] >= 1) if rule == "own" else float(rng.integers(0, 2))
            heights.append(abs(w @ u))
        assert heights[-1] > 1.8 * heights[1999] > 3 * heights[999] > 100 * g.max()


def test_an_eigenvalue_on_the_circle_that_the_input_does_not_reach():
    # b = -(1 - a) on the edge: w k = 0, and both responses to a constant stay finite. The hypothesis is needed.
    a1, a2, b1, b2 = 0.8, 0.3, -0.2, -0.7
    M, k = pair_matrix(a1, a2, b1, b2), theory.drive(a1, a2, b1, b2).numpy()
    values, vectors = np.linalg.eig(M.T)
    w = vectors[:, np.abs(values - 1).argmin()].real
    assert abs(values - 1).min() < 1e-12 and abs(w @ k) < 1e-12
    near = theory.transfer_functions(a1, a2, b1 + 1e-6, b2 + 1e-6, 0.0).real
    assert np.allclose(near, [7 / 9, 2 / 9], atol=1e-4)


def test_rem_hidden_instability():
    # Released order, inputs in [0, 1]: an unstable neuron looks tame. Signed inputs, or the printed order, expose it.
    rng = np.random.default_rng(5)
    a, b, reset = (0.8, 0.3), (-0.5, -0.8), (0.5, 1.0)
    tame = np.abs(loop(a, b, reset, "released", rng.uniform(0, 1, (400, 200)))).max((0, 1))
    wild = np.abs(loop(a, b, reset, "released", rng.uniform(-1, 1, (400, 200)))).max((0, 1))
    paper = np.abs(loop(a, b, reset, "paper", rng.uniform(0, 1, (400, 200)))).max((0, 1))
    coins = np.abs(loop(a, b, reset, "released", rng.integers(0, 2, (400, 2000)) * 1.0)).max((0, 1))
    assert tame.max() < 2 and (wild > 100).mean() > 0.9 and np.median(wild) > 1e40 and (paper > 1e30).all()
    assert 0.06 < (coins > 100).mean() < 0.12  # one in eleven, give or take the sampling error of 2,000 runs


def test_prp_neighbours():
    loops = np.linspace(-4, 0, 401)
    values = np.linalg.eigvals(pair_matrix(np.ones(401), np.ones(401), -np.ones(401), -loops))
    assert np.abs(np.abs(values) - 1).max() < 1e-6  # a double root at each end loses half the digits
    assert abs(theory.unstable_share((-0.5, 0.5, -0.5, 0.5), (0.5, 1.5, 0.5, 1.5)) - 1 / 2) < 5e-4
    assert theory.ts_lif_stability(0.0, 1.0, 0.0, 1.0).radius.item() == 1.0


def test_prp_stable_map():
    generator = torch.Generator().manual_seed(6)
    free = 3 * torch.randn(4, 100_000, generator=generator, dtype=torch.float64)
    values = theory.stable_parameters(*free)
    radius = np.abs(np.linalg.eigvals(pair_matrix(*(v.numpy() for v in values)))).max(-1)
    assert (radius < 1).all()
    # atanh and log near the edges lose digits in proportion to the size of r; the neurons themselves come back closely.
    again = theory.stable_parameters(*theory.free_parameters(*values))
    assert all(torch.allclose(x, y, rtol=1e-9, atol=1e-12) for x, y in zip(values, again))
    with pytest.raises(ValueError, match="product below"):
        theory.free_parameters(0.8, 0.3, -0.5, -0.8)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        theory.free_parameters(1.0, 0.3, -0.1, -0.8)


def test_prp_stable_map_is_strict_in_real_arithmetic_only():
    # float32 parameters, judged by exact fractions: how often rounding carries the pair over the edge.
    def unstable(signs, r, count=1500):
        draw = torch.Generator().manual_seed(10)
        p1, p2, u = torch.randn(3, count, generator=draw)
        values = theory.stable_parameters(2 * p1, 2 * p2, torch.full((count,), r), u, signs=signs)
        bad = 0
        for point in zip(*(v.tolist() for v in values)):
            a1, a2, b1, b2 = map(Fraction, point)
            bad += not (abs(a1 * a2) < 1 and -(1 + a1) * (1 + a2) < b1 * b2 < (1 - a1) * (1 - a2))
        return bad / count

    assert unstable("same", 5.0) == unstable("same", -5.0) == unstable("any", 14.0) == unstable("any", -14.0) == 0
    assert 0.004 < unstable("same", 7.0) < 0.02 and 0.15 < unstable("same", 9.0) < 0.25
    assert unstable("any", 16.0) > 0.01
    r = torch.tensor([9.0, 9.02])
    assert (torch.tanh(r) == 1).tolist() == [False, True]


def test_prp_stable_map_any_sign():
    generator = torch.Generator().manual_seed(7)
    free = 3 * torch.randn(4, 100_000, generator=generator, dtype=torch.float64)
    values = theory.stable_parameters(*free, signs="any")
    radius = np.abs(np.linalg.eigvals(pair_matrix(*(v.numpy() for v in values)))).max(-1)
    assert (radius < 1).all() and (values[2] > 0).any() and (values[2] < 0).any()
    again = theory.stable_parameters(*theory.free_parameters(*values, signs="any"), signs="any")
    product = [v[2] * v[3] for v in (values, again)]
    # A decay within 1e-6 of one loses digits in 1 - a; the product is of order one.
    assert torch.allclose(*product, rtol=1e-7, atol=1e-9)
    # Every stable pair with decays in (0, 1) and b2 < 0 is reached.
    points = torch.tensor(random_points(50_000, 8, (0, 0, -3, -3), (1, 1, 3, 0)))
    inside = points[:, theory.ts_lif_stability(*points).margin > 1e-9]
    back = theory.stable_parameters(*theory.free_parameters(*inside, signs="any"), signs="any")
    assert inside.shape[1] > 10_000 and all(torch.allclose(x, y, rtol=1e-7, atol=1e-9) for x, y in zip(inside, back))
    with pytest.raises(ValueError, match="b2 < 0"):
        theory.free_parameters(0.8, 0.3, 0.1, 0.3, signs="any")


@pytest.mark.parametrize("signs", ["same", "any"])
def test_prp_stable_map_gradients(signs):
    free = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.4, -0.8, 0.7, -1.0)]
    assert torch.autograd.gradcheck(lambda *p: theory.stable_parameters(*p, signs=signs), free)
