"""Every statement of the chapter on the family of sweeps, on random and adversarial inputs. The oracle is NumPy."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from oracle_gradients import logistic, loop, step, sweep, threshold
from oracles import adversarial_inputs

from fptlib import CentredFixedPoint, FixedPoint, Jacobi, Newton, Sequential, lif, solve
from fptlib.theory import centred_constant, centred_decay, check_three_cycle, explosion_slope, recurrence_rate

TIGHT = 1e-4  # the Lipschitz constant is attained in a limit; perturbations of 1e-6 come this close


def exact_inputs(seed, steps=20, neurons=200):
    """Multiples of 1/16: with decay 1/2 over 20 steps every sum is exact in float64, so equality means bits; many ties."""
    return np.random.default_rng(seed).integers(-8, 25, (steps, neurons)) / 16


# --------------------------------------------------------------------------------- lem-causal-sweep


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("fire", ["hard", "slope 5"])
def test_lem_causal_sweep_for_any_coefficient(fire, reset):
    rng, x = np.random.default_rng(0), exact_inputs(1)
    F, _ = step(0.5, 1.0, threshold() if fire == "hard" else logistic(5.0), reset)
    truth, U = loop(x, F), loop(x, lambda u: 0.5 * u)
    assert (U[:1] == truth[:1]).all()
    for i in range(1, len(x)):
        U = sweep(U, x, F, rng.choice([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0], x.shape))
        assert (U[: i + 1] == truth[: i + 1]).all(), f"after {i} sweeps"


@pytest.mark.parametrize("solver", [Jacobi, Newton, FixedPoint])
def test_lem_causal_sweep_bounds_the_solvers(solver):
    """S after K evaluations is right on its first K entries; K = T is enough; for ties and constant input too."""
    for reset in ("soft", "hard"):
        neuron = lif(0.5, reset=reset)
        for kind, x in adversarial_inputs(17, 6, 0.5).items():
            x = torch.as_tensor(
                x if kind in ("ties", "alternating", "sparse", "threshold", "zero") else np.round(x * 16) / 16
            )
            truth = solve(neuron, x, Sequential()).spikes
            for K in (1, 2, 5, 17):
                assert torch.equal(solve(neuron, x, solver(K)).spikes[:K], truth[:K]), (kind, K)


def test_lem_causal_sweep_can_need_all_evaluations():
    x = torch.full((40, 1), 0.7, dtype=torch.float64)
    for reset, solver in (("soft", FixedPoint), ("soft", Jacobi), ("hard", Newton), ("hard", Jacobi)):
        truth = solve(lif(0.5, reset=reset), x, Sequential()).spikes
        right = [torch.equal(solve(lif(0.5, reset=reset), x, solver(K)).spikes, truth) for K in (38, 39)]
        assert right == [False, True]


# -------------------------------------------------------------------------------- prp-fpt-is-newton


@pytest.mark.parametrize("theta", [1.0, 0.75])
def test_prp_fpt_is_newton_sweep_by_sweep_to_the_bit(theta):
    x = exact_inputs(2)
    F, dF = step(0.5, theta, threshold())
    assert (dF(x) == 0.5).all()
    U, tied = loop(x, lambda u: 0.5 * u), 0
    for K in range(1, len(x) + 1):
        tied += int((U == theta).sum())
        fpt, newton = (solve(lif(0.5, theta), torch.as_tensor(x), s) for s in (FixedPoint(K), Newton(K)))
        assert (fpt.membrane.numpy() == U).all() and torch.equal(fpt.membrane, newton.membrane)
        assert torch.equal(fpt.spikes, newton.spikes)
        U = sweep(U, x, F, dF(U))
    assert tied > 0 and (U == loop(x, F)).all()


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_prp_fpt_is_newton_in_the_library_for_every_decay(decay, dtype):
    for x in adversarial_inputs(50, 8, decay, dtype=np.float32).values():
        x = torch.as_tensor(x, dtype=dtype)
        for K in (1, 2, 3, 7, 50):
            fpt, newton = solve(lif(decay), x, FixedPoint(K)), solve(lif(decay), x, Newton(K))
            assert torch.equal(fpt.spikes, newton.spikes) and torch.equal(fpt.membrane, newton.membrane)


def test_prp_fpt_is_newton_without_the_reset_slope_when_smooth():
    x = np.random.default_rng(3).normal(0.2, 0.5, (30, 5))
    F, dF = step(0.8, 1.0, logistic(4.0))
    U = loop(x, lambda u: 0.8 * u)
    for K in range(1, 8):
        got = solve(lif(0.8), torch.as_tensor(x), FixedPoint(K, (4.0,) * K)).membrane.numpy()
        assert np.abs(got - U).max() < 1e-11
        U = sweep(U, x, F, 0.8)
    newton = solve(lif(0.8), torch.as_tensor(x), Newton(3, 4.0)).membrane
    assert (newton - solve(lif(0.8), torch.as_tensor(x), FixedPoint(3, (4.0,) * 3)).membrane).abs().max() > 0.01


# --------------------------------------------------------------------------------- prp-gated-newton


@pytest.mark.parametrize("r", [0.0, 0.25, -0.5])
def test_prp_gated_newton_sweep_by_sweep_to_the_bit(r):
    x = exact_inputs(4)
    F, dF = step(0.5, 1.0, threshold(), "hard", r)
    U = loop(x, lambda u: 0.5 * u)
    for K in range(1, len(x) + 1):
        for solver in (Newton(K), FixedPoint(K)):
            got = solve(lif(0.5, reset="hard", v_reset=r), torch.as_tensor(x), solver)
            assert (got.membrane.numpy() == U).all()
        spikes = (U >= 1) * 1.0
        gated = loop_with_gates(x, 0.5 * (1 - spikes), 0.5 * r * spikes)
        U = sweep(U, x, F, dF(U))
        assert (U == gated).all()
    assert (U == loop(x, F)).all()


def loop_with_gates(x, gate, extra):
    """u[t] = gate[t-1] u[t-1] + extra[t-1] + x[t]."""
    u = [x[0]]
    for t in range(1, len(x)):
        u.append(gate[t - 1] * u[-1] + extra[t - 1] + x[t])
    return np.stack(u)


def test_prp_gated_newton_leak_only_row_is_the_additive_form():
    x = exact_inputs(5)
    F, _ = step(0.5, 1.0, threshold(), "hard", 0.25)
    U = loop(x, lambda u: 0.5 * u)
    lag = np.subtract.outer(np.arange(len(x)), np.arange(len(x)))
    A = np.where(lag > 0, 0.5 ** np.maximum(lag, 0), 0.0)
    for _ in range(10):
        additive = loop(x, lambda u: 0.5 * u) - A @ ((U - 0.25) * (U >= 1))
        U = sweep(U, x, F, 0.5)
        assert np.abs(U - additive).max() < 1e-12


# --------------------------------------------------------------------------- thm-centred-contraction


def test_thm_centred_contraction_equivalence_on_a_grid():
    rng = np.random.default_rng(6)
    for decay, slope, theta in zip(
        rng.uniform(0.01, 1.3, 20000), rng.uniform(0, 60, 20000), rng.uniform(0.2, 3, 20000)
    ):
        q, rho = centred_constant(decay, slope, theta), recurrence_rate(decay, slope, theta)
        assert (q < 1) == (rho < 1) and (rho >= 1 or q <= rho)
        assert (rho < 1) == (decay < 1 and theta * slope / 4 < 1 + 1 / decay)
    assert all(recurrence_rate(d, 0.999 * 4 * explosion_slope(d)) < 1 for d in (0.1, 0.5, 0.9))
    assert recurrence_rate(1.0, 3.0) == centred_constant(1.0, 3.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "decay,slope,theta", [(0.5, 4.0, 1.0), (0.9, 4.0, 1.0), (0.9, 12.0, 1.0), (0.5, 20.0, 0.8), (0.9, 6.0, 1.5)]
)
def test_thm_centred_contraction_constants_are_sharp(decay, slope, theta):
    rng, fire = np.random.default_rng(7), logistic(slope)
    F, dF = step(decay, theta, fire)
    u, w = rng.normal(theta, 1, (2, 20000))
    rate = np.abs(F(u) - F(w)) / np.abs(u - w)
    rho = recurrence_rate(decay, slope, theta)
    ends = [abs(F(a + 1e-6) - F(a - 1e-6)) / 2e-6 for a in (theta, theta + 60.0)]
    assert rate.max() <= rho * (1 + 1e-9) and abs(max(ends) / rho - 1) < TIGHT
    mu = centred_decay(decay, slope, theta)
    for steps in (1, 2, 9, 30):
        q = centred_constant(decay, slope, theta, T=steps)
        closed = decay * theta * slope / 8 * (1 - abs(mu) ** (steps - 1)) / (1 - abs(mu))
        assert q == pytest.approx(closed, rel=1e-12, abs=1e-15)
        U, W = rng.normal(theta, 1, (2, steps, 3000))
        zero = 0 * U
        moved = np.abs(sweep(U, zero, F, mu) - sweep(W, zero, F, mu)).max(0) / np.abs(U - W).max(0)
        assert moved.max() <= q * (1 + 1e-9) + 1e-12
        signs = np.sign(mu) ** np.arange(steps)[::-1][:, None] if mu else np.ones((steps, 1))
        up, down = theta + 1e-6 * signs, theta - 1e-6 * signs
        attained = np.abs(sweep(up, 0 * up, F, mu) - sweep(down, 0 * up, F, mu)).max() / 2e-6
        assert attained == pytest.approx(q, rel=TIGHT, abs=1e-9)


def test_thm_centred_contraction_mid_point_is_the_best_centre():
    rng = np.random.default_rng(8)
    for decay, theta in zip(rng.uniform(0.05, 0.99, 300), rng.uniform(0.3, 3, 300)):
        slope = rng.uniform(0.05, 0.99) * 4 * explosion_slope(decay, theta)
        values = [centred_constant(decay, slope, theta, centre=p) for p in np.linspace(0, slope / 4, 41)]
        assert np.argmin(values) == 20
        assert values[0] == pytest.approx(theta * slope / 4 * decay / (1 - decay))


def test_thm_centred_contraction_bounds_the_solver():
    x = np.random.default_rng(9).normal(0.1, 0.4, (150, 20))
    for decay, slope in ((0.5, 8.0), (0.9, 4.0), (0.9, 7.0)):
        truth = loop(x, step(decay, 1.0, logistic(slope))[0])
        q = centred_constant(decay, slope)
        first = np.abs(
            solve(lif(decay), torch.as_tensor(x), CentredFixedPoint(1, slope)).membrane.numpy() - truth
        ).max()
        for K in (2, 4, 8, 16):
            error = np.abs(
                solve(lif(decay), torch.as_tensor(x), CentredFixedPoint(K, slope)).membrane.numpy() - truth
            ).max()
            assert error <= q ** (K - 1) * first * (1 + 1e-6) + 1e-10


def test_thm_centred_contraction_is_about_the_sweeps_of_the_solver():
    """The solver's sweep is the row of the table, coefficient decay (1 - theta slope / 8), membrane by membrane."""
    x = np.random.default_rng(11).normal(0.2, 0.5, (30, 5))
    for decay, slope, theta in ((0.5, 8.0, 1.0), (0.9, 4.0, 0.8), (0.9, 7.0, 1.0)):
        F, U = step(decay, theta, logistic(slope))[0], loop(x, lambda u, decay=decay: decay * u)
        for K in range(1, 8):
            got = solve(lif(decay, theta), torch.as_tensor(x), CentredFixedPoint(K, slope)).membrane.numpy()
            assert np.abs(got - U).max() < 1e-11
            U = sweep(U, x, F, decay * (1 - theta * slope / 8))


def test_thm_centred_contraction_gives_up_boundedness():
    x = torch.as_tensor(np.random.default_rng(10).normal(0.06 + 0.05, 0.2, (128, 200)))
    for K in (5, 20):
        plain = solve(lif(0.9), x, FixedPoint(K, (12.0,) * K)).membrane
        assert plain.abs().max() < 9 + x.abs().max() * 10
    assert solve(lif(0.9), x, CentredFixedPoint(30, 12.0)).membrane.abs().max() > 1e3


def test_thm_centred_contraction_is_about_every_length():
    """Short trains may contract although the neuron does not: q at T = 1 is 0, at T = 2 it is r."""
    assert recurrence_rate(0.5, 14.0) > 1 and centred_constant(0.5, 14.0) > 1
    assert centred_constant(0.5, 14.0, T=1) == 0 and centred_constant(0.5, 14.0, T=2) == pytest.approx(0.875)


def test_thm_centred_contraction_just_past_the_limit_is_not_yet_a_climb():
    """decay 0.9, limit 8.4: slope 9 still descends on random input, slope 12 climbs."""
    x = 0.11 + (0.35 * np.sqrt(0.19) + 0.05) * np.random.default_rng(13).normal(size=(96, 12))
    for slope, climbs in ((9.0, False), (12.0, True)):
        F, U = step(0.9, 1.0, logistic(slope))[0], loop(x, lambda u: 0.9 * u)
        truth, errors = loop(x, F), []
        for _ in range(40):
            errors.append(np.median(np.abs(U - truth).max(0)))
            U = sweep(U, x, F, 0.9 * (1 - slope / 8))
        assert (max(errors) > 1e3 * errors[0], errors[-1] > errors[0]) == (climbs, climbs)


def test_thm_centred_contraction_gives_up_brackets():
    """Consecutive FPT iterates lie on opposite sides of the truth, centred ones on one side at some steps."""
    x = np.random.default_rng(12).normal(0.2, 0.5, (30, 50))
    truth = loop(x, step(0.9, 1.0, logistic(4.0))[0])
    same = {}
    for name, run in {
        "FPT": lambda K: FixedPoint(K, (4.0,) * K),
        "centred": lambda K: CentredFixedPoint(K, 4.0),
    }.items():
        a, b = (solve(lif(0.9), torch.as_tensor(x), run(K)).membrane.numpy() - truth for K in (3, 4))
        same[name] = int(((a * b) > 1e-9).sum())
    assert same["FPT"] == 0 and same["centred"] > 100


def test_published_table_of_constants():
    rows = [(0.5, 4), (0.5, 8), (0.9, 2), (0.9, 4), (0.9, 12)]
    q = [round(centred_constant(d, a, centre=0.0), 2) for d, a in rows]
    assert q == [1.0, 2.0, 4.5, 9.0, 27.0]
    assert [round(centred_constant(d, a), 2) for d, a in rows] == [0.33, 0.5, 0.69, 0.82, 2.45]
    assert [round(recurrence_rate(d, a), 2) for d, a in rows] == [0.5, 0.5, 0.9, 0.9, 1.8]


# -------------------------------------------------------------------------------- prp-phases-persist


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_prp_phases_persist_in_exact_arithmetic(reset):
    orbit = (Fraction(1, 15), Fraction(11, 15)) if reset == "soft" else (Fraction(0), Fraction(7, 10))
    a, b = orbit
    for _ in range(500):
        u, w = a / 2 + Fraction(7, 10), b / 2 + Fraction(7, 10)
        assert u != 1 and w != 1  # no tie: the derivative exists along both orbits
        a, b = ((z - (z >= 1)) if reset == "soft" else z * (z < 1) for z in (u, w))
        assert {a, b} == set(orbit)


def test_prp_phases_persist_costs_all_but_one_evaluation_in_exact_arithmetic():
    """Constant input 7/10: Jacobi, FPT, the additive form and the gated scan need T - 1 evaluations, T = 2 .. 40."""
    half, drive = Fraction(1, 2), Fraction(7, 10)

    def needed(T, reset, slope):
        after = lambda u: u - (u >= 1) if reset == "soft" else u * (u < 1)
        truth, U = [drive], [drive]
        for _ in range(T - 1):
            truth.append(half * after(truth[-1]) + drive)
            U.append(half * U[-1] + drive)
        for K in range(1, T + 1):
            if [u >= 1 for u in U] == [u >= 1 for u in truth]:
                return K
            new = [drive]
            for t in range(1, T):
                new.append(half * after(U[t - 1]) + drive + slope(U[t - 1]) * (new[-1] - U[t - 1]))
            U = new

    for reset, slope in (
        ("soft", lambda u: 0),
        ("soft", lambda u: half),
        ("hard", lambda u: 0),
        ("hard", lambda u: half),
        ("hard", lambda u: half * (u < 1)),
    ):
        assert [needed(T, reset, slope) for T in range(2, 41)] == list(range(1, 40))


# ------------------------------------------------------------------------------------------ exercises


def test_exercise_other_centre_quotient_across_the_threshold():
    fire, slope = logistic(12.0)
    assert round(float(slope(0.15)), 2) == round(float(slope(-0.15)), 2) == 1.46
    assert round(float((fire(0.15) - fire(-0.15)) / 0.3), 2) == 2.39


def test_exercise_solutions():
    x = np.array([1.2, 1.0, 0.5])[:, None]
    F, _ = step(0.5, 1.0, threshold())
    B = loop(x, lambda u: 0.5 * u)
    first = {name: sweep(B, x, F, A).ravel() for name, A in (("Jacobi", 0.0), ("Picard", 1.0), ("FPT", 0.5))}
    assert np.allclose(first["Jacobi"], (1.2, 1.1, 0.8)) and np.allclose(first["FPT"], (1.2, 1.1, 0.55))
    assert np.allclose(first["Picard"], (1.2, 1.1, 0.3)) and np.allclose(loop(x, F).ravel(), (1.2, 1.1, 0.55))
    for rho in (0.3, 0.9, 0.999):
        for steps in (1, 5, 40):
            smallest = np.linalg.svd(np.eye(steps) - rho * np.eye(steps, k=-1), compute_uv=False)[-1]
            assert smallest >= (1 - rho) / (1 - rho**steps) - 1e-12
    assert round(np.log(9e4) / np.log(11 / 9), 1) == 56.8
    assert 9 * centred_constant(0.9, 4.0) ** 57 <= 1e-4 < 9 * centred_constant(0.9, 4.0) ** 56
    v, seen = Fraction(2, 35), []
    for _ in range(9):
        u = v / 2 + Fraction(3, 5)
        v = u - (u >= 1)
        seen.append((v, u >= 1))
    assert (
        seen[:3]
        == seen[3:6]
        == seen[6:]
        == [(Fraction(22, 35), False), (Fraction(32, 35), False), (Fraction(2, 35), True)]
    )


def test_exercise_three_cycle_checker():
    for right in (Fraction(4, 7), 0.6, Fraction(9, 14) - Fraction(1, 1000)):
        assert check_three_cycle(right).startswith("Correct."), right
    for wrong in (0.5, 0.57, Fraction(9, 14), 0.7, 1.2):
        assert check_three_cycle(wrong).startswith("Not yet:"), wrong


@pytest.mark.parametrize("bad", [(0.0, 1.0, 1.0), (0.5, -1.0, 1.0), (0.5, 1.0, -1.0), (float("nan"), 1.0, 1.0)])
def test_theory_refuses_what_the_theorem_excludes(bad):
    for function in (recurrence_rate, centred_decay, centred_constant):
        with pytest.raises(ValueError, match="are wanted"):
            function(*bad)
    with pytest.raises(ValueError, match="a centre in"):
        centred_constant(0.5, 4.0, centre=2.0)
    assert centred_constant(1.0, 4.0, centre=0.0) == float("inf") and centred_constant(0.5, 0.0) == 0.0
