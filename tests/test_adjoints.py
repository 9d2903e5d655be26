"""Detached, truncated and unrolled gradients against a differentiated loop, dense Jacobians and each other."""

import numpy as np
import pytest
import torch
from cases import NEURONS, N
from oracle_gradients import logistic, neumann, threshold, unrolled

from fptlib import (
    ATan,
    Detached,
    Exact,
    FixedPoint,
    Sequential,
    Sigmoid,
    Triangle,
    Truncated,
    Unrolled,
    lif,
    solve,
    spike,
)

ROUNDING = 1e-11  # relative; float64 sums of a few hundred terms of mixed sign, in another order
DOUBLE = torch.float64


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def loop(x, decay, theta, v0, r, reset, surrogate, detach):
    """The neuron as a differentiable loop: spikes, membranes, final state."""
    v, spikes, membranes = v0, [], []
    for now in x:
        u = decay * v + now
        s = spike(u - theta, surrogate)
        inside = s.detach() if detach else s
        v = {"soft": u - theta * inside, "hard": u * (1 - inside) + r * inside, "none": u}[reset]
        spikes.append(s), membranes.append(u)
    return torch.stack(spikes), torch.stack(membranes), v


def gradients(run, leaves, weights):
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    total = sum((part * w).sum() for part, w in zip(run(*leaves), weights))
    return [
        torch.zeros_like(a) if g is None else g
        for a, g in zip(leaves, torch.autograd.grad(total, leaves, allow_unused=True))
    ]


def problem(steps, seed):
    leaves = [
        0.7 * draw(seed, steps, N) + 0.3,
        torch.tensor([0.0, 0.3, 0.5, 0.9, 1.0], dtype=DOUBLE),
        torch.tensor(1.1, dtype=DOUBLE),
        0.3 * draw(seed + 1, N),
        torch.tensor(0.2, dtype=DOUBLE),
    ]
    return leaves, [draw(seed + 2, steps, N), draw(seed + 3, steps, N), draw(seed + 4, N)]


def library(reset, surrogate, detach, solver, adjoint):
    def run(x, decay, theta, v0, r):
        neuron = lif(decay, theta, reset, r, surrogate, detach)
        solution = solve(neuron, x, solver, v0=v0, adjoint=adjoint)
        return solution.spikes, solution.membrane, solution.final_state

    return run


def assert_close(wanted, got):
    for a, b in zip(wanted, got, strict=True):
        assert (a - b).abs().max() <= ROUNDING * (1 + a.abs().max())


@pytest.mark.parametrize("surrogate", [Sigmoid(4.0), ATan(2.0), Triangle(0.7)], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("reset", ["soft", "hard", "none"])
def test_all_adjoints_against_a_differentiated_loop(reset, detach, surrogate):
    for steps in (1, 2, 13):
        leaves, weights = problem(steps, seed=steps)
        plain = gradients(lambda *a: loop(*a, reset, surrogate, detach), leaves, weights)
        cut = gradients(lambda *a: loop(*a, reset, surrogate, True), leaves, weights)
        for solver, adjoint, wanted in (
            (Sequential(), Exact(), plain),
            (Sequential(), Truncated(max(2, steps)), plain),  # one term detaches the last reset too
            (Sequential(), Truncated(steps + 7), plain),
            (FixedPoint(steps + 1), Unrolled(), plain),
            (Sequential(), Detached(), cut),
            (Sequential(), Truncated(1), cut),
        ):
            assert_close(wanted, gradients(library(reset, surrogate, detach, solver, adjoint), leaves, weights))


@pytest.mark.parametrize("name", NEURONS)
def test_truncated_ends_in_exact_and_begins_with_detached_for_every_neuron(name):
    neuron = NEURONS[name].cast(DOUBLE)
    x, steps = 0.7 * draw(8, 19, N) + 0.3, 19

    def gradient(adjoint):
        z = x.clone().requires_grad_()
        solution = solve(neuron, z, Sequential(), adjoint=adjoint)
        weight = draw(9, *solution.spikes.shape)
        (solution.spikes * weight).sum().backward()
        return [z.grad]

    assert_close(gradient(Exact()), gradient(Truncated(steps)))
    assert_close(gradient(Detached()), gradient(Truncated(1)))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("terms", [1, 2, 5, 16, 30])
def test_truncated_is_the_neumann_sum(decay, terms):
    steps = 16
    x = 0.6 * draw(10, steps) + 0.4
    membrane = solve(lif(decay), x, Sequential()).membrane.numpy()
    J = neumann(logistic(4.0)[1](membrane - 1), decay, 1.0, min(terms, steps))
    z = x.clone().requires_grad_()
    weight = draw(11, steps)
    (solve(lif(decay), z, Sequential(), adjoint=Truncated(terms)).spikes * weight).sum().backward()
    assert_close([torch.as_tensor(J.T @ weight.numpy())], [z.grad])


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(
    "slopes,back",
    [
        ((2.0, 6.0, 12.0), None),
        ((2.0, 6.0, 12.0), (1.0, 2.0, 4.0)),
        ((1.0, 3.0, 12.0), (1.0, 1.0, 4.0)),
        ((4.0, 4.0), (1.5, 1.5)),
        ((5.0,), (2.0,)),
        (None, None),
    ],
)
def test_unrolled_differentiates_the_sweeps_as_run(decay, slopes, back):
    x = 0.6 * draw(12, 18) + 0.4
    if slopes is None:
        stages = [(threshold()[0], logistic(4.0)[1])] * 4
    else:
        stages = [(logistic(a)[0], logistic(b)[1]) for a, b in zip(slopes, back or slopes)]
    spikes, J = unrolled(x.numpy(), decay, 0.8, stages)
    z, weight = x.clone().requires_grad_(), draw(13, 18)
    solution = solve(lif(decay, 0.8), z, FixedPoint(len(stages), slopes), adjoint=Unrolled(back))
    (solution.spikes * weight).sum().backward()
    assert np.abs(solution.spikes.detach().numpy() - spikes).max() < ROUNDING
    assert_close([torch.as_tensor(J.T @ weight.numpy())], [z.grad])


def test_unrolled_obeys_a_detached_reset():
    x = 0.6 * draw(14, 18) + 0.4
    weight = draw(15, 18)
    membrane = solve(lif(0.9), x, FixedPoint(3)).membrane  # that of the last evaluation
    z = x.clone().requires_grad_()
    (solve(lif(0.9, detach_reset=True), z, FixedPoint(3), adjoint=Unrolled()).spikes * weight).sum().backward()
    J = neumann(logistic(4.0)[1](membrane.numpy() - 1), 0.9, 1.0, 1)
    assert_close([torch.as_tensor(J.T @ weight.numpy())], [z.grad])


def test_sampled_output_passes_the_gradient_straight_through():
    x, weight = 0.6 * draw(16, 12, 3) + 0.4, draw(17, 12, 3)
    found = []
    for sample in (False, True):
        z = x.clone().requires_grad_()
        generator = torch.Generator().manual_seed(0) if sample else None
        solver = FixedPoint(3, (2, 6, 12), sample=sample, generator=generator)
        (solve(lif(), z, solver, adjoint=Unrolled()).spikes * weight).sum().backward()
        found.append(z.grad)
    assert_close(found[:1], found[1:])


def test_learnable_parameters_get_gradients_from_every_adjoint():
    for adjoint in (Exact(), Detached(), Truncated(3), Unrolled()):
        decay = torch.nn.Parameter(torch.full((3,), 0.8, dtype=DOUBLE))
        level = torch.nn.Parameter(torch.tensor(1.0, dtype=DOUBLE))
        neuron = lif(decay, level)
        for _ in range(2):  # a fresh graph each time
            solve(neuron, draw(18, 20, 3), FixedPoint(6), adjoint=adjoint).spikes.sum().backward()
        assert decay.grad.abs().min() > 0 and level.grad.abs() > 0, adjoint


@pytest.mark.parametrize("adjoint", [Detached(), Truncated(3), Unrolled(), Unrolled((1, 2, 4))])
def test_second_derivatives_are_refused(adjoint):
    x, solver = draw(19, 10, 2).requires_grad_(), FixedPoint(3, (2, 6, 12))
    (g,) = torch.autograd.grad((solve(lif(0.9), x, solver, adjoint=adjoint).spikes * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated again"):
        g.sum().backward()


@pytest.mark.parametrize(
    "make,error,words",
    [
        (lambda: Truncated(0), ValueError, "Truncated: terms came as 0"),
        (lambda: Truncated(True), ValueError, "positive integer"),
        (lambda: (Sequential(), Unrolled()), TypeError, "differentiates the sweeps of FixedPoint"),
        (lambda: (FixedPoint(None), Unrolled()), ValueError, "sweeps=None"),
        (lambda: (FixedPoint(3), Unrolled((1, 2, 4))), ValueError, "beside FixedPoint"),
        (lambda: (FixedPoint(3, (2, 6, 12)), Unrolled((1, 2))), ValueError, "one positive number"),
        (lambda: (FixedPoint(3, (2, 6, 12)), Unrolled((1, 2, -4))), ValueError, "one positive number"),
        (lambda: (FixedPoint(2, (4, 4)), Unrolled((1, 2))), ValueError, "the same for equal slopes"),
    ],
)
def test_bad_requests_say_what_to_do(make, error, words):
    with pytest.raises(error, match=words):
        solver, adjoint = make()
        solve(lif(), draw(20, 5, 2).requires_grad_(), solver, adjoint=adjoint)


def held(run):
    """Bytes PyTorch keeps for the backward pass; storage used twice counts once."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        result = run()
    return sum(size for size, _ in kept.values()), result


def test_memory_of_exact_does_not_depend_on_the_sweeps_and_that_of_unrolled_does():
    x = draw(21, 128, 4).requires_grad_()
    size = {
        (name, K): held(lambda K=K, adjoint=adjoint: solve(lif(0.9), x, FixedPoint(K), adjoint=adjoint).spikes)[0]
        for name, adjoint in (("exact", Exact()), ("unrolled", Unrolled()))
        for K in (3, 12)
    }
    assert size["exact", 3] == size["exact", 12] < size["unrolled", 3]
    assert size["unrolled", 12] > 3 * size["unrolled", 3]
