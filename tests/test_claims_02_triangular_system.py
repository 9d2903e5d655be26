"""Every result of chapter 2: exact rational arithmetic where a tie could decide, float64 elsewhere."""

import math
from fractions import Fraction as Q
from itertools import product

import numpy as np
import pytest
import torch
from oracles import adversarial_inputs, alif_loop, leak_matrix, lif_loop
from scipy.integrate import solve_ivp
from scipy.linalg import solve_banded

import fptlib

ROUNDING = 1e-11  # float64 sums of at most 64 terms in different orders
ODE = 1e-8  # relative tolerance asked of the integrator
DECAYS = (0.0, 0.5, 0.9, 0.99, 1.0)


def rational_loop(x, decay, theta=Q(1), v0=Q(0), reset="soft", r=Q(0)):
    """Spikes and membranes of the neuron in exact arithmetic."""
    v, U, S = v0, [], []
    for c in x:
        u = decay * v + c
        s = int(u >= theta)
        v = u - theta * s if reset == "soft" else (r if s else u)
        U.append(u)
        S.append(s)
    return S, U


def rational_sweep(x, decay, S, theta=Q(1), v0=Q(0)):
    """The membrane driven by S, exactly: B - theta A S by its row formula."""
    T = len(x)
    return [
        sum(decay ** (t - j) * x[j] for j in range(t + 1))
        + decay ** (t + 1) * v0
        - theta * sum(decay ** (t - j) * S[j] for j in range(t))
        for t in range(T)
    ]


def rational_inputs(T, seed):
    rng = np.random.default_rng(seed)
    yield [Q(int(k), 8) for k in rng.integers(-6, 14, T)]  # a grid, so that ties happen
    yield [Q(1)] * T
    yield [Q(1, 2)] * T
    yield [Q(1) if t % 2 == 0 else Q(1, 2) for t in range(T)]


@pytest.mark.parametrize("h", (0.01, 0.05, 0.25, 1.0, 3.0))
def test_prp_one_step_decay(h):
    tau, current = 20.0, 1.7
    decay = fptlib.decay_from_tau(tau, h * tau)
    path = solve_ivp(lambda t, V: (current - V) / tau, (0, h * tau), [0.4], rtol=1e-11, atol=1e-12)
    assert math.isclose(path.y[0, -1], decay * 0.4 + (1 - decay) * current, rel_tol=ODE)
    assert 0 <= decay - (1 - h) <= h**2 / 2


@pytest.mark.parametrize("T", (1, 2, 7, 64))
@pytest.mark.parametrize("decay", (*DECAYS, -0.7, 1.1))
def test_lem_decay_matrix(T, decay):
    N = np.eye(T, k=-1)
    Lambda, A = leak_matrix(T, decay), leak_matrix(T, decay) - np.eye(T)
    scale = max(1.0, abs(decay) ** T)
    assert np.abs(Lambda @ (np.eye(T) - decay * N) - np.eye(T)).max() <= ROUNDING * scale
    series = sum((np.linalg.matrix_power(decay * N, m) for m in range(T)), np.zeros((T, T)))
    assert np.abs(Lambda - series).max() <= ROUNDING * scale
    assert np.abs(A - decay * N @ Lambda).max() <= ROUNDING * scale
    assert np.all(np.triu(A) == 0) and np.isclose(np.linalg.det(Lambda), 1)


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("T", (1, 2, 33))
def test_thm_triangular_form(decay, T):
    v0, theta = 0.3, 1.25
    start = decay ** np.arange(1, T + 1)[:, None] * v0
    Lambda = leak_matrix(T, decay)
    for name, x in adversarial_inputs(T, 6, decay, theta).items():
        S, U, _ = lif_loop(x, decay, theta, v0=np.full(6, v0))
        assert np.abs(Lambda @ x + start - theta * (Lambda - np.eye(T)) @ S - U).max() <= ROUNDING * (T + 1) ** 2, name
    # Any spike function: a graded neuron satisfies the same equation.
    x, v, U, S = np.linspace(-1, 2, T)[:, None], np.array([v0]), [], []
    for c in x:
        u = decay * v + c
        s = 1 / (1 + np.exp(-5 * (u - theta)))
        v = u - theta * s
        U, S = [*U, u], [*S, s]
    U, S = np.stack(U), np.stack(S)
    assert np.abs(Lambda @ x + start - theta * (Lambda - np.eye(T)) @ S - U).max() <= ROUNDING * (T + 1) ** 2


def test_thm_triangular_form_in_exact_arithmetic():
    for seed, decay in enumerate((Q(0), Q(1, 2), Q(9, 10), Q(1))):
        for x in rational_inputs(7, seed):
            S, U = rational_loop(x, decay, v0=Q(1, 4))
            assert rational_sweep(x, decay, S, v0=Q(1, 4)) == U


@pytest.mark.parametrize("decay", DECAYS)
def test_prp_linear_given_spikes(decay):
    T, rng = 40, np.random.default_rng(3)
    X, Y, S = rng.normal(size=T), rng.normal(size=T), rng.integers(0, 2, T).astype(float)
    Lambda = leak_matrix(T, decay)
    driven = lambda x: Lambda @ x - (Lambda - np.eye(T)) @ S
    assert np.abs(driven(0.3 * X + 0.7 * Y) - 0.3 * driven(X) - 0.7 * driven(Y)).max() <= ROUNDING * T
    bands = np.stack([np.ones(T), np.full(T, -decay)])
    right = X - decay * np.concatenate([[0.0], S[:-1]])
    assert np.abs(solve_banded((1, 0), bands, right) - driven(X)).max() <= ROUNDING * T


def test_prp_every_train():
    T, margin = 6, Q(1, 1000)
    for decay in (Q(0), Q(1, 2), Q(9, 10), Q(1)):
        for S in product((0, 1), repeat=T):
            U = [1 + margin if s else 1 - margin for s in S]
            V = [Q(1, 3), *(u - s for u, s in zip(U, S))]
            x = [u - decay * v for u, v in zip(U, V)]
            spikes, membrane = rational_loop(x, decay, v0=Q(1, 3))
            assert tuple(spikes) == S and membrane == U
    U = [Q(1) if s else 1 - margin for s in (1, 0, 1, 1)]  # the firing side of the polyhedron includes the tie
    x = [u - Q(1, 2) * v for u, v in zip(U, [Q(0), Q(0), 1 - margin, Q(0)])]
    assert rational_loop(x, Q(1, 2))[0] == [1, 0, 1, 1]


def test_thm_triangular_unique():
    T = 7
    for seed, decay in enumerate((Q(0), Q(1, 2), Q(9, 10), Q(1), Q(-7, 10), Q(6, 5))):
        for x in rational_inputs(T, seed):
            fixed = []
            for S in product((0, 1), repeat=T):
                U = rational_sweep(x, decay, S)
                if all((u >= 1) == bool(s) for u, s in zip(U, S)):
                    fixed.append(list(S))
            assert fixed == [rational_loop(x, decay)[0]]


@pytest.mark.parametrize(
    "f", (np.sin, lambda u: (u >= 0.2).astype(float), lambda u: u / (1 + u * u)), ids=("sin", "step", "bump")
)
def test_thm_triangular_unique_for_any_function(f):
    T, rng = 12, np.random.default_rng(5)
    M, B = np.tril(rng.normal(size=(T, T)), -1), rng.normal(size=T)
    forward = np.zeros(T)
    for t in range(T):
        forward[t] = B[t] - M[t, :t] @ f(forward[:t])
    for start in (
        np.zeros(T),
        rng.normal(size=T),
    ):  # T substitutions reach it from anywhere: there is no other solution
        U = start
        for _ in range(T):
            U = np.array([B[t] - M[t, :t] @ f(U[:t]) for t in range(T)])
        assert np.array_equal(U, forward)


@pytest.mark.parametrize("r", (Q(-1, 2), Q(0), Q(1, 2), Q(1)))
def test_prp_hard_gated(r):
    for seed, decay in enumerate((Q(0), Q(1, 2), Q(9, 10), Q(1))):
        for x in rational_inputs(8, seed):
            S, U = rational_loop(x, decay, v0=Q(1, 4), reset="hard", r=r)
            u, s = decay * Q(1, 4) + x[0], S[0]
            assert u == U[0]
            for t in range(1, 8):
                u = decay * (1 - s) * u + decay * r * s + x[t]
                s = S[t]
                assert u == U[t]


@pytest.mark.parametrize("r", (Q(-1, 2), Q(0), Q(1, 2), Q(1)))
def test_prp_hard_additive(r):
    f = lambda u: u - r if u >= 1 else Q(0)
    for seed, decay in enumerate((Q(0), Q(1, 2), Q(9, 10), Q(1))):
        for x in rational_inputs(8, seed):
            _, U = rational_loop(x, decay, reset="hard", r=r)
            assert rational_sweep(x, decay, [f(u) for u in U]) == U
    grid = [f(Q(k, 16)) for k in range(-40, 60)]
    assert min(grid) >= 0 and grid == sorted(grid)


def test_thm_linear_scan():
    rng = np.random.default_rng(7)
    compose = lambda later, first: (later[0] @ first[0], later[0] @ first[1] + later[1])
    for T, D in ((1, 1), (2, 1), (33, 1), (64, 2), (65, 3)):
        steps = [(rng.normal(size=(D, D)) / D, rng.normal(size=D)) for _ in range(T)]
        w0, w, truth = rng.normal(size=D), None, []
        w = w0
        for g, d in steps:
            w = g @ w + d
            truth.append(w)
        held, rounds = list(steps), 0
        while 2**rounds < T:
            width = 2**rounds
            held = [compose(held[t], held[t - width]) if t >= width else held[t] for t in range(T)]
            rounds += 1
        assert rounds == math.ceil(math.log2(T))
        assert np.abs(np.stack([g @ w0 + d for g, d in held]) - np.stack(truth)).max() <= ROUNDING * T
    a, b, c = steps[:3]
    left, right = compose(compose(a, b), c), compose(a, compose(b, c))
    assert all(np.allclose(p, q, atol=ROUNDING) for p, q in zip(left, right))


@pytest.mark.parametrize("T", (1, 2, 15, 16, 17, 1000))
def test_thm_linear_scan_in_the_library(T):
    rng = np.random.default_rng(T)
    gate, drive, v0 = rng.uniform(-1, 1, (T, 5)), rng.normal(size=(T, 5)), rng.normal(size=5)
    w, truth = v0, []
    for g, d in zip(gate, drive):
        w = g * w + d
        truth.append(w)
    found = fptlib.linear_scan(*map(torch.from_numpy, (gate, drive, v0)))
    assert np.abs(found.numpy() - np.stack(truth)).max() <= ROUNDING


def test_def_neuron_spec():
    soft, hard = fptlib.lif(0.7, threshold=1.5), fptlib.lif(0.7, reset="hard", v_reset=0.2)
    assert soft.transition == ((0.7,),) and soft.reset == ((1.5,),) and soft.hard == (False,)
    assert hard.reset == ((0.0,),) and hard.hard == (True,) and hard.reset_to == (0.2,)


def test_def_alif():
    x = adversarial_inputs(25, 4, 0.5)["ties"]
    spikes = fptlib.solve(fptlib.alif(0.5, 1.0, 0.25, 0.5), torch.from_numpy(x), fptlib.Sequential()).spikes.numpy()
    assert np.array_equal(spikes, alif_loop(x, 0.5, 1.0, 0.25, 0.5))


def test_def_arithmetic():
    for decay in DECAYS:
        for dtype in (np.float32, np.float64):
            for x in adversarial_inputs(33, 5, decay, dtype=dtype).values():
                S, U, _ = lif_loop(x, decay)
                run = fptlib.solve(fptlib.lif(decay), torch.from_numpy(x), fptlib.Sequential())
                assert np.array_equal(run.spikes.numpy(), S) and np.array_equal(run.membrane.numpy(), U)


def test_exm_three_steps():
    S, U = rational_loop([Q(12, 10), Q(8, 10), Q(7, 10)], Q(1, 2))
    assert S == [1, 0, 1] and U == [Q(12, 10), Q(9, 10), Q(115, 100)]


def test_ex_row_three():
    S, U = rational_loop([Q(6, 10), Q(4, 10), Q(5, 10)], Q(9, 10), v0=Q(1, 2))
    assert S == [1, 0, 0] and U == [Q(105, 100), Q(445, 1000), Q(9005, 10000)]


def test_ex_charge_balance():
    for c in (Q(0), Q(3, 8), Q(7, 10), Q(1)):
        for v0 in (Q(0), Q(1, 3), Q(99, 100)):
            S, _ = rational_loop([c] * 50, Q(1), v0=v0)
            assert sum(S) == math.floor(v0 + 50 * c)


def test_ex_creeping_tie():
    assert sum(rational_loop([Q(1, 2)] * 200, Q(1, 2))[0]) == 0
    for dtype, first in ((np.float64, 54), (np.float32, 25)):
        spikes, _, _ = lif_loop(np.full((80, 1), 0.5, dtype), 0.5)
        assert int(np.flatnonzero(spikes)[0]) + 1 == first


def test_ex_hard_two_forms():
    x, decay = [Q(2), Q(-1, 2), Q(12, 10)], Q(9, 10)
    assert rational_loop(x, decay, reset="hard")[0] == [1, 0, 0]
    B = rational_sweep(x, decay, [0, 0, 0])
    assert B == [2, Q(13, 10), Q(237, 100)]
    gated = [x[0], x[1], decay * 0 + x[2]]  # all three guessed to fire: the past is cut at every step
    assert [int(u >= 1) for u in gated] == [1, 0, 1]
    additive = rational_sweep(x, decay, B)
    assert additive[1:] == [Q(-1, 2), Q(-42, 100)] and [int(u >= 1) for u in additive] == [1, 0, 0]


@pytest.mark.parametrize("d", (Q(1, 2), Q(-1, 2)))
def test_ex_free_diagonal(d):
    for b in (Q(k, 8) for k in range(-8, 24)):
        solutions = (b < 1) + (b - d >= 1)
        inside = 1 <= b < 1 + d if d > 0 else 1 + d <= b < 1
        assert solutions == ((0 if d > 0 else 2) if inside else 1)


def test_ex_decay_units():
    assert [round(math.exp(-h), 4) for h in (0.05, 0.25)] == [0.9512, 0.7788]
    assert round(20 * math.log(2), 1) == 13.9
    assert [next(m for m in range(99) if decay**m < 0.01) for decay in (0.5, 0.9)] == [7, 44]


def test_ex_design_train():
    def design(S, decay, margin):
        U = [1 + margin if s else 1 - margin for s in S]
        V = [Q(0), *(u - s for u, s in zip(U, S))]
        return [u - decay * v for u, v in zip(U, V)]

    S = [1, 0, 1, 0, 1, 0]
    for decay in (Q(0), Q(1, 2), Q(9, 10), Q(1)):
        for margin in (Q(1), Q(1, 10), Q(1, 10**9)):
            spikes, membrane = rational_loop(design(S, decay, margin), decay)
            assert spikes == S and all(abs(u - 1) == margin for u in membrane)
        limit = [Q(1), *(1 - decay * (1 - s) for s in S[:-1])]  # 1 after a spike, 1 - decay after silence
        assert all(abs(x - y) <= 2 * margin for x, y in zip(design(S, decay, margin), limit))
