"""Every statement of the chapter on gradients, on random and adversarial inputs. The oracle is NumPy; fptlib is what is tested."""

from pathlib import Path

import numpy as np
import pytest
import torch
from oracle_gradients import leak, logistic, loop, neumann, step, threshold, unrolled
from oracles import adversarial_inputs, lif_loop

from fptlib import Detached, Exact, FixedPoint, Jacobi, Newton, Sequential, Sigmoid, Truncated, Unrolled, lif, solve
from fptlib.theory import (
    check_factor_l,
    check_gradient_by_hand,
    explosion_slope,
    neumann_remainder,
    released_backward_slopes,
    reverse_gate,
    spike_jacobian,
)

ROUNDING = 1e-10  # relative; float64, at most 64 terms, reordered by the scan
DOUBLE = torch.float64
ROOT = Path(__file__).resolve().parents[1]
RESETS = [(reset, detached) for reset in ("soft", "hard", "none") for detached in (False, True)]


def norm(M):
    """Largest absolute row sum."""
    return np.abs(M).sum(1).max()


def input_gradient(neuron, x, weight, solver, adjoint):
    z = torch.as_tensor(x).clone().requires_grad_()
    (solve(neuron, z, solver, adjoint=adjoint).spikes * torch.as_tensor(weight)).sum().backward()
    return z.grad.numpy()


# ------------------------------------------------------------------------------- thm-reverse-scan


@pytest.mark.parametrize("reset,detached", RESETS)
def test_thm_reverse_scan_all_rows_and_parameters(reset, detached):
    """The table of the theorem, in NumPy, against the adjoint: input, decay, threshold, start and reset value."""
    rng = np.random.default_rng(0)
    decay, theta, r, steps = 0.85, 1.1, 0.2, 40
    for kind, x in adversarial_inputs(steps, 3, decay, theta).items():
        v0 = rng.normal(size=3) * 0.3
        s, u, _ = lif_loop(x, decay, theta, reset, r, v0)
        h, ell, kappa, last = logistic(4.0)[1](u - theta), *rng.normal(size=(2, steps, 3)), rng.normal(size=3)
        rho = {"soft": -theta + 0 * u, "hard": -(u - r), "none": 0 * u}[reset] * (not detached)
        c = {"soft": 1 + 0 * u, "hard": 1 - s, "none": 1 + 0 * u}[reset] + rho * h
        g, w = np.zeros((steps, 3)), np.zeros((steps, 3))
        for t in reversed(range(steps)):
            w[t] = last if t == steps - 1 else decay * g[t + 1]
            g[t] = kappa[t] + h[t] * ell[t] + c[t] * w[t]
        v = np.stack([v0, *{"soft": u - theta * s, "hard": u * (1 - s) + r * s, "none": u}[reset][:-1]])
        wanted = {
            "input": g,
            "decay": (g * v).sum(),
            "threshold": -(h * (ell + rho * w)).sum() - (s * w).sum() * (reset == "soft"),
            "start": decay * g[0],
            "reset value": (s * w).sum() * (reset == "hard"),
        }
        leaves = [torch.tensor(a, dtype=DOUBLE, requires_grad=True) for a in (x, decay, theta, v0, r)]
        neuron = lif(leaves[1], leaves[2], reset, leaves[4], Sigmoid(4.0), detached)
        out = solve(neuron, leaves[0], Sequential(), v0=leaves[3], adjoint=Exact())
        parts = zip((out.spikes, out.membrane, out.final_state), (ell, kappa, last))
        sum((a * torch.as_tensor(b)).sum() for a, b in parts).backward()
        for (name, a), leaf in zip(wanted.items(), leaves):
            got = 0.0 if leaf.grad is None else leaf.grad.numpy()
            assert np.abs(a - got).max() <= ROUNDING * (1 + np.abs(a).max()), (kind, name)
        gate = reverse_gate(decay, theta, h, reset, spikes=s, membrane=u, v_reset=r, detach_reset=detached)
        assert np.allclose(gate, decay * c, atol=1e-14)


def test_thm_reverse_scan_detached_hard_reset_cuts_the_gradient_at_spikes():
    x = torch.randn(60, generator=torch.Generator().manual_seed(1), dtype=DOUBLE) + 0.3
    neuron = lif(0.9, reset="hard", detach_reset=True)
    spikes = solve(neuron, x, Sequential()).spikes
    first = int(spikes.nonzero()[0])
    z = x.clone().requires_grad_()
    solve(neuron, z, Sequential(), adjoint=Exact()).spikes[first + 1 :].sum().backward()
    assert (z.grad[: first + 1] == 0).all() and z.grad[first + 1] != 0


# ----------------------------------------------------------------------------- thm-implicit-gradient


@pytest.mark.parametrize("decay", [-0.7, 0.0, 0.5, 0.9, 1.0, 1.2])
def test_thm_implicit_gradient_unit_determinant_and_three_forms(decay):
    rng = np.random.default_rng(2)
    for steps in (1, 2, 17):
        for D in (rng.uniform(0, 4, steps), -rng.uniform(0, 1, steps), np.zeros(steps)):
            kernel, theta, shift = leak(steps, decay), 1.3, np.eye(steps, k=-1)
            system = np.eye(steps) + theta * (kernel - np.eye(steps)) @ np.diag(D)
            assert np.allclose(np.triu(system), np.eye(steps))
            other = np.diag(D) @ np.linalg.inv(np.eye(steps) - decay * shift @ (np.eye(steps) - theta * np.diag(D)))
            series, scale = neumann(D, decay, theta, steps), 1 + np.abs(other).max()
            cancelled = 1 + (abs(theta) * np.abs(D).max() + 1) ** steps  # terms this large may cancel in the series
            assert np.abs(spike_jacobian(D, decay, theta) - other).max() <= ROUNDING * scale
            assert np.abs(series - other).max() <= 1e-15 * cancelled * scale * steps


def test_thm_implicit_gradient_is_the_derivative_of_the_graded_neuron():
    rng = np.random.default_rng(3)
    for decay, slope in ((0.5, 4.0), (0.9, 12.0), (1.0, 8.0)):
        x = rng.normal(0.3, 0.6, 14)
        fire = logistic(slope)
        F, f = step(decay, 1.0, fire)[0], lambda u, fire=fire: fire[0](u - 1)
        shift = 1e-6
        columns = [(f(loop(x + e, F)) - f(loop(x - e, F))) / (2 * shift) for e in shift * np.eye(14)]
        wanted = np.stack(columns, axis=1)
        J = spike_jacobian(fire[1](loop(x, F) - 1), decay)
        assert np.abs(J - wanted).max() < 1e-5 * (1 + np.abs(wanted).max())


def test_thm_implicit_gradient_passes_gradcheck():
    def graded(x, decay, theta, v0):
        neuron = lif(decay, theta, surrogate=Sigmoid(6.0))
        return solve(neuron, x, Jacobi(sweeps=len(x) + 1, slope=6.0), v0=v0, adjoint=Exact()).spikes

    draw = torch.Generator().manual_seed(4)
    x = (0.6 * torch.randn(8, 3, generator=draw, dtype=DOUBLE) + 0.4).requires_grad_()
    decay = torch.tensor([0.2, 0.5, 0.95], dtype=DOUBLE, requires_grad=True)
    theta = torch.tensor(0.9, dtype=DOUBLE, requires_grad=True)
    v0 = (0.3 * torch.randn(3, generator=draw, dtype=DOUBLE)).requires_grad_()
    assert torch.autograd.gradcheck(graded, (x, decay, theta, v0))


# ----------------------------------------------------------------------------- thm-unrolled-neumann


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
def test_thm_unrolled_neumann_product_formula(decay):
    """Part 1, against the product written out with powers of A, hard and annealed, released backward slopes too."""
    rng = np.random.default_rng(5)
    x, steps = rng.normal(0.4, 0.6, 12), 12
    kernel = leak(steps, decay)
    A = kernel - np.eye(steps)
    for forward, back in (((2, 6, 12), (1, 2, 4)), ((1, 3, 12), (1, 1, 4)), ((4, 4, 4), (4, 4, 4)), (None, (4, 4, 4))):
        stages = [
            ((logistic(a) if a else threshold())[0], logistic(b)[1]) for a, b in zip(forward or (None,) * 3, back)
        ]
        spikes, D = np.zeros(steps), []
        for value, slope in stages:
            z = kernel @ x - A @ spikes - 1
            spikes = value(z)
            D.append(np.diag(slope(z)))
        written = (D[2] - D[2] @ A @ D[1] + D[2] @ A @ D[1] @ A @ D[0]) @ kernel
        assert np.allclose(unrolled(x, decay, 1.0, stages)[1], written, atol=1e-12)
        weight = rng.normal(size=steps)
        got = input_gradient(lif(decay), x, weight, FixedPoint(3, forward), Unrolled(back if forward else None))
        assert np.allclose(got, written.T @ weight, atol=1e-11 * (1 + np.abs(written).max()))


def test_thm_unrolled_neumann_equal_diagonals_give_the_series():
    """Part 2: sweeps that start at the solution see one membrane; and K = T terms are all there is."""
    rng = np.random.default_rng(6)
    D = rng.uniform(0, 3, 9)
    for K in range(1, 13):
        total = np.zeros((9, 9))
        kernel = leak(9, 0.9)
        for _ in range(K):
            total = np.diag(D) @ (kernel - (kernel - np.eye(9)) @ total)
        scale = 1 + np.abs(total).max()
        assert np.abs(total - spike_jacobian(D, 0.9, terms=K)).max() <= ROUNDING * scale
        assert K < 9 or np.abs(total - spike_jacobian(D, 0.9)).max() <= ROUNDING * scale


@pytest.mark.parametrize("fire", ["hard", "graded"])
def test_thm_unrolled_neumann_first_rows_are_exact(fire):
    rng = np.random.default_rng(7)
    pair = (threshold()[0], logistic(4.0)[1]) if fire == "hard" else logistic(4.0)
    early = []
    for decay in (0.5, 0.9, 1.0):
        ties = (
            (np.full(15, 1.0), np.full(15, 0.75), rng.integers(0, 9, 15) / 8) if decay != 0.9 else ()
        )  # exact in binary
        for x in (*rng.normal(0.3, 0.7, (20, 15)), *ties):
            u = loop(x, step(decay, 1.0, pair if fire == "graded" else threshold())[0])
            J = spike_jacobian(pair[1](u - 1), decay)
            for K in (1, 2, 5, 14, 15, 20):
                gap = np.abs(unrolled(x, decay, 1.0, [pair] * K)[1] - J).max(1)
                assert gap[:K].max() <= 1e-9 * (1 + np.abs(J).max())
                early.append(K < 14 and gap.max() > 1e-3)
    assert any(early), "before K = T later rows are usually wrong"


def test_thm_unrolled_neumann_is_a_series_at_convergence_only():
    """A run from the reset-free guess has other diagonals: the product and the series differ."""
    x = np.random.default_rng(8).normal(0.3, 0.6, 16)
    pair = logistic(4.0)
    u = loop(x, step(0.9, 1.0, pair)[0])
    run, series = unrolled(x, 0.9, 1.0, [pair] * 3)[1], spike_jacobian(pair[1](u - 1), 0.9, terms=3)
    assert np.abs(run - series).max() > 0.1


def test_released_backward_slopes():
    assert released_backward_slopes((2, 6, 12)) == (1.0, 2.0, 4.0)
    assert released_backward_slopes((1, 3, 12)) == (1.0, 1.0, 4.0)
    with pytest.raises(ValueError, match="positive numbers"):
        released_backward_slopes((2, 0))


# ----------------------------------------------------------------------------- prp-neumann-remainder


def test_prp_neumann_remainder_needs_its_outer_factor():
    J, J1 = spike_jacobian([3, 3], 0.5), spike_jacobian([3, 3], 0.5, terms=1)
    without = norm(leak(2, 0.5)) * 3 * norm(leak(2, 0.5) - np.eye(2))
    assert norm(J - J1) == pytest.approx(4.5) and without == pytest.approx(2.25)
    assert neumann_remainder(2, 1, 0.5, 3.0) == pytest.approx(4.5)
    assert neumann_remainder(2, 1, 0.5, 3.0, sharp=False) == pytest.approx(6.75)


@pytest.mark.parametrize("decay", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("L", [0.25, 1.0, 3.0])
def test_prp_neumann_remainder_bounds_every_diagonal(decay, L):
    rng, theta = np.random.default_rng(9), 0.8
    for steps in (1, 2, 5, 16):
        kernel = leak(steps, decay)
        A, power = kernel - np.eye(steps), np.linalg.matrix_power
        rounded = 1e-13 * neumann_remainder(steps, 0, decay, L, theta)  # the largest terms cancel in the sums
        for K in range(steps + 2):
            sharp, crude = (neumann_remainder(steps, K, decay, L, theta, sharp=b) for b in (True, False))
            written = L * sum((theta * L) ** j * norm(power(A, j) @ kernel) for j in range(K, steps))
            assert sharp == pytest.approx(written, rel=1e-9, abs=1e-12) and sharp <= crude * (1 + 1e-9) + 1e-12
            for D in (np.full(steps, L), rng.uniform(0, L, steps), L * rng.integers(0, 2, steps)):
                J = spike_jacobian(D, decay, theta)
                left = norm(J - spike_jacobian(D, decay, theta, terms=K)) if K else norm(J)
                assert left <= sharp * (1 + 1e-9) + rounded
        if steps > 1:  # the last term alone: attained
            worst = np.full(steps, L)
            left = norm(spike_jacobian(worst, decay, theta) - neumann(worst, decay, theta, steps - 1))
            wanted = neumann_remainder(steps, steps - 1, decay, L, theta)
            assert left == pytest.approx(wanted, rel=1e-7, abs=1e-12 + rounded)


def test_prp_neumann_remainder_row_sums_are_binomial_tails():
    from scipy.stats import nbinom

    for decay in (0.2, 0.5, 0.9):
        for steps in (1, 4, 20):
            kernel = leak(steps, decay)
            A = kernel - np.eye(steps)
            for j in range(steps):
                tail = nbinom.cdf(steps - (j + 1), j + 1, 1 - decay)  # scipy counts failures, the book trials
                closed = (decay / (1 - decay)) ** j / (1 - decay) * tail
                assert closed == pytest.approx(norm(np.linalg.matrix_power(A, j) @ kernel), rel=1e-9)


def test_prp_neumann_remainder_more_terms_can_be_worse():
    """At q = 9 the partial sums climb; at q = 1/3 they never do."""
    D = logistic(4.0)[1](np.random.default_rng(10).normal(-0.2, 0.4, 32))
    for decay, rises in ((0.9, True), (0.25, False)):
        J = spike_jacobian(D, decay)
        errors = np.array([norm(J - spike_jacobian(D, decay, terms=K)) for K in range(1, 33)])
        assert (np.diff(errors[errors > 1e-12]) > 0).any() == rises


def test_prp_neumann_remainder_permits_a_climb_and_does_not_enforce_it():
    """What the reader sees on the sliders: largest relative error of the series over K, graded neurons, T = 32."""
    rng, T, N = np.random.default_rng(17), 32, 24
    noise, weight = rng.normal(size=(2, N, T))

    def highest(decay, slope):
        kernel, errors, size = leak(T, decay), np.zeros(T), 0.0
        fire = logistic(slope)
        for z, ell in zip(noise, weight):
            D = fire[1](loop(0.6 * (1 - decay) + 0.5 * z, step(decay, 1.0, fire)[0]) - 1)
            truth, total = spike_jacobian(D, decay).T @ ell, np.zeros((T, T))
            size += truth @ truth
            for K in range(T):
                total = D[:, None] * (kernel - (kernel - np.eye(T)) @ total)
                errors[K] += ((total.T @ ell - truth) ** 2).sum()
        return np.sqrt(errors / size).max()

    assert max(highest(0.5, a) for a in (1.0, 4.0, 8.0, 16.0)) < 1  # q = 0.25, 1, 2, 4
    assert highest(0.9, 4.0) > 2 and highest(0.9, 8.0) > 2


# --------------------------------------------------------------------------- prp-detached-first-term


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
def test_prp_detached_first_term(decay):
    for kind, x in adversarial_inputs(25, 1, decay).items():
        weight = np.random.default_rng(11).normal(size=(25, 1))
        u = lif_loop(x, decay)[1]
        wanted = leak(25, decay).T @ (logistic(4.0)[1](u - 1) * weight)
        scale = ROUNDING * (1 + np.abs(wanted).max())
        for adjoint in (Detached(), Truncated(1)):
            got = input_gradient(lif(decay), x, weight, Sequential(), adjoint)
            assert np.abs(got - wanted).max() <= scale, kind
        # Sweeps without gradient until converged, then one differentiable evaluation with the reset held constant.
        got = input_gradient(lif(decay, detach_reset=True), x, weight, FixedPoint(26), Unrolled())
        assert np.abs(got - wanted).max() <= scale, kind


def test_prp_detached_first_term_needs_convergence():
    x = adversarial_inputs(60, 40, 0.9)["normal"]
    weight = np.ones_like(x)
    early = input_gradient(lif(0.9, detach_reset=True), x, weight, FixedPoint(3), Unrolled())
    right = input_gradient(lif(0.9), x, weight, Sequential(), Detached())
    assert np.linalg.norm(early - right) > 0.3 * np.linalg.norm(right)


# --------------------------------------------------------------------------- prp-gradient-explosion


@pytest.mark.parametrize("decay,theta", [(0.1, 1.0), (0.5, 1.0), (0.9, 1.0), (1.0, 1.0), (0.9, 0.7), (0.5, 2.0)])
def test_prp_gradient_explosion_limit_and_bound(decay, theta):
    limit = explosion_slope(decay, theta)
    below, above = np.linspace(0, limit, 101), limit * (1 + 1e-9)
    assert (np.abs(reverse_gate(decay, theta, below)) <= 1 + 1e-12).all()
    assert abs(reverse_gate(decay, theta, [above])[0]) > 1
    L = 0.9 * limit
    rho = max(decay, decay * abs(1 - theta * L))
    rng = np.random.default_rng(12)
    for steps in (1, 2, 30):
        bound = L * sum(rho**m for m in range(steps))
        for D in (np.full(steps, L), rng.uniform(0, L, steps), L * rng.integers(0, 2, steps)):
            J = spike_jacobian(D, decay, theta)
            assert max(norm(J), norm(J.T)) <= bound * (1 + 1e-9)


@pytest.mark.parametrize("decay,slope", [(0.5, 14.0), (0.9, 9.0), (0.9, 12.0), (1.0, 12.0)])
def test_prp_gradient_explosion_on_the_held_membrane(decay, slope):
    steps, theta = 48, 1.0
    x = torch.full((steps, 1), theta * (1 - decay / 2), dtype=DOUBLE)
    x[0] = theta
    x.requires_grad_()
    neuron = lif(decay, theta, surrogate=Sigmoid(slope))
    run = solve(neuron, x, Jacobi(steps, slope), adjoint=Exact())  # the loop's arithmetic keeps the membrane on theta
    assert (run.membrane - theta).abs().max() < 1e-9
    (g,) = torch.autograd.grad(run.spikes[-1].sum(), x)
    assert abs(float(g[0])) == pytest.approx(slope / 4 * (decay * (theta * slope / 4 - 1)) ** (steps - 1), rel=1e-4)
    assert abs(float(g[0])) > slope / 4


def test_prp_gradient_explosion_published_numbers():
    assert [4 * explosion_slope(d) for d in (0.5, 0.9, 1.0)] == pytest.approx([12.0, 8 + 4 / 9, 8.0])
    assert 3 * 1.8**63 == pytest.approx(3.6e16, rel=0.02)
    for decay in (0.0, 1.1):
        with pytest.raises(ValueError, match="0 < decay <= 1"):
            explosion_slope(decay)


# ------------------------------------------------------------------------------ exercises and figure


def test_exercise_solutions():
    gate = reverse_gate(0.5, 1.0, [0.6, 0.5], "hard", spikes=[1, 0], membrane=[1.2, 0.7])
    assert gate[0] == pytest.approx(-0.36) and gate[0] * 0.5 == pytest.approx(-0.18)
    assert reverse_gate(0.5, 1.0, [0.6, 0.5], "hard", spikes=[1, 0], detach_reset=True)[0] == 0
    for L in (0.5, 1.45, 1.55, 3.0):  # the faulty bound fails exactly for L > 1 + decay
        left = norm(spike_jacobian([L, L], 0.5) - spike_jacobian([L, L], 0.5, terms=1))
        assert (left > 1.5 * L * 0.5) == (L > 1.5)


@pytest.mark.parametrize("steps,grow", [(2, False), (32, True)])
def test_prp_neumann_remainder_terms_grow_for_long_trains_only(steps, grow):
    """q = 2 in both cases: the size of a term falls at T = 2 and grows at T = 32."""
    sizes = [neumann_remainder(steps, j, 0.5, 2.0) - neumann_remainder(steps, j + 1, 0.5, 2.0) for j in (0, 1)]
    assert (sizes[1] > sizes[0]) == grow


def test_exercise_no_memory_holds_for_the_input_and_from_two_sweeps_on_for_the_decay():
    x = torch.tensor([1.2, 0.7, 1.1, 0.4], dtype=DOUBLE)
    found = []
    for solver, adjoint in (
        (Sequential(), Exact()),
        (FixedPoint(2), Unrolled()),
        (Sequential(), Detached()),
        (Sequential(), Truncated(1)),
        (FixedPoint(1), Unrolled()),
    ):
        z, decay = x.clone().requires_grad_(), torch.tensor(0.0, dtype=DOUBLE, requires_grad=True)
        total = solve(lif(decay, surrogate=Sigmoid(4.0)), z, solver, adjoint=adjoint).spikes.sum()
        found.append([g.numpy() for g in torch.autograd.grad(total, (z, decay))])
    for by_input, by_decay in found:
        assert np.allclose(by_input, found[0][0], atol=1e-12)
    assert np.allclose([d for _, d in found[:4]], found[0][1]) and not np.isclose(found[4][1], found[0][1], atol=0.5)


def test_exercise_checkers_accept_the_solution_and_refuse_mistakes():
    assert check_gradient_by_hand((-0.18, 0.5), (0, 0.5)).startswith("Correct.")
    for wrong in (
        ((0, 0.5), (0, 0.5)),
        ((-0.18, 0.5), (-0.18, 0.5)),
        ((0.18, 0.5), (0, 0.5)),
        ((-0.18, 0.6), (0, 0.5)),
    ):
        assert check_gradient_by_hand(*wrong).startswith("Not yet:")
    assert check_factor_l(lambda L, decay: L > 1 + decay).startswith("Correct.")
    for wrong in (lambda L, decay: L > 1, lambda L, decay: L >= 2, lambda L, decay: True):
        assert check_factor_l(wrong).startswith("Not yet:")


def test_exercise_adaptive_threshold_recurrence():
    """The 2 x 2 matrix of the exercise against automatic differentiation of the adaptive neuron."""
    decay, rho, beta, theta, steps = 0.8, 0.9, 0.3, 1.0, 30
    x = torch.randn(steps, generator=torch.Generator().manual_seed(13), dtype=DOUBLE).requires_grad_()
    v = a = s = torch.zeros((), dtype=DOUBLE)
    spikes, slopes = [], []
    for now in x:
        u, a = decay * v + now, rho * a + s
        z = u - beta * a - theta
        s = torch.sigmoid(4 * z)
        slopes.append((4 * s * (1 - s)).item())
        v = u - theta * s
        spikes.append(s)
    weight = np.random.default_rng(14).normal(size=steps)
    (torch.stack(spikes) * torch.as_tensor(weight)).sum().backward()
    pair, found = np.zeros(2), np.zeros(steps)
    for t in reversed(range(steps)):
        h = slopes[t]
        M = np.array([[decay * (1 - theta * h), h], [beta * theta * decay * h, rho - beta * h]])
        pair = M @ pair + h * weight[t] * np.array([1, -beta])
        found[t] = pair[0]
    assert np.allclose(found, x.grad.numpy(), atol=1e-12)


def test_newton_and_exact_give_the_derivative_whatever_found_the_train():
    x = np.random.default_rng(15).normal(0.2, 0.5, (40, 3))
    weight = np.random.default_rng(16).normal(size=(40, 3))
    neuron = lif(0.9, surrogate=Sigmoid(4.0))
    found = [
        input_gradient(neuron, x, weight, solver, Exact())
        for solver in (Newton(slope=4.0, tolerance=0.0, sweeps=30), Jacobi(41, 4.0), FixedPoint(41, (4.0,) * 41))
    ]
    assert np.allclose(found[0], found[1], atol=1e-9) and np.allclose(found[0], found[2], atol=1e-9)
