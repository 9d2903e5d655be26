"""`solve` on the Triton backend: the same trains and gradients as the torch backend, interpreted where there is no GPU."""

import pytest
import torch

pytest.importorskip("triton", reason="Triton is a Linux package; the kernels need it")
from test_exact_adjoint import NEURONS

from fptlib import (
    Detached,
    Exact,
    FixedPoint,
    NeuronSpec,
    Replay,
    Sequential,
    Truncated,
    Unrolled,
    lif,
    resonate_and_fire,
    solve,
)

RELATIVE = 1e-9  # float64; the two backends sum the backward recurrence in different orders
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def case(neuron, steps, count, dtype=torch.float64):
    draw = torch.Generator().manual_seed(steps)
    x = 0.8 * torch.randn(steps, count, generator=draw, dtype=torch.float64) + 0.3
    state = torch.randn(neuron.memory, count, generator=draw, dtype=torch.float64)
    move = lambda t: t.to(DEVICE, dtype).requires_grad_()  # noqa: E731
    return move(x), move(state[0] if neuron.memory == 1 else state)


@pytest.mark.parametrize("adjoint", [Exact(), Detached()])
@pytest.mark.parametrize(
    "name", [name for name in NEURONS if name != "hard"]
)  # there v_reset is learned: refused, below
def test_both_backends_give_the_same_spikes_and_gradients(name, adjoint):
    neuron = NEURONS[name](False)
    neuron = neuron.recipe[0](**{k: _moved(v) for k, v in neuron.recipe[1].items() if k != "v_reset"})
    x, state = case(neuron, 18, 5)  # one group of 16 steps and a rest
    inputs = [x, state, *neuron.parameters().values()]
    results = []
    for backend in ("torch", "triton"):
        run = solve(neuron, x, Replay(), v0=state, adjoint=adjoint, backend=backend)
        assert run.backend == backend and run.certificate.exact
        weights = torch.linspace(-1, 1, run.spikes.numel(), dtype=torch.float64, device=DEVICE).reshape(
            run.spikes.shape
        )
        loss = (run.spikes * weights).sum() + run.final_state[: neuron.states].sum()
        results.append((run, torch.autograd.grad(loss, inputs, allow_unused=True)))
    (a, grads), (b, others) = results
    assert torch.equal(a.spikes, b.spikes) and torch.equal(a.membrane, b.membrane)
    assert torch.equal(a.final_state, b.final_state)
    for label, g, h in zip(["x", "v0", *neuron.parameters()], grads, others):
        g, h = (torch.zeros((), device=DEVICE) if t is None else t for t in (g, h))
        assert (g - h).abs().max() <= RELATIVE * (1 + g.abs().max()), label


class Steep:
    """A surrogate that no kernel knows."""

    def derivative(self, x):
        return 2 / (1 + 9 * x * x)


def both_backends(neuron, x, state, solver, adjoint, inputs):
    """Solutions and gradients of both backends for one loss of spikes, final state and, where it has a graph, membrane."""
    for backend in ("torch", "triton"):
        run = solve(neuron, x, solver, v0=state, adjoint=adjoint, backend=backend)
        assert run.backend == backend
        weights = torch.linspace(-1, 1, run.spikes.numel(), dtype=torch.float64, device=DEVICE)
        loss = (run.spikes * weights.reshape(run.spikes.shape)).sum() + (0.3 * run.final_state).sum()
        yield run, torch.autograd.grad(loss, inputs)


TRUNCATED = {
    "soft": lif(0.9),
    "hard": lif(0.9, reset="hard", v_reset=0.1),
    "steep": lif(0.9, surrogate=Steep()),
    "resonator": resonate_and_fire(0.9, 0.7, reset="soft"),
}


@pytest.mark.parametrize("name", TRUNCATED)
@pytest.mark.parametrize("adjoint", [Truncated(1), Truncated(3), Exact()])
def test_a_gradient_formed_in_torch_around_a_train_from_the_kernels(name, adjoint):
    x, state = case(TRUNCATED[name], 35, 5)
    (a, grads), (b, others) = both_backends(TRUNCATED[name], x, state, Replay(), adjoint, (x, state))
    assert torch.equal(a.spikes, b.spikes) and torch.equal(a.membrane, b.membrane) and b.certificate.exact
    assert torch.equal(a.final_state, b.final_state)
    for g, h in zip(grads, others):
        assert (g - h).norm() <= RELATIVE * g.norm()
    assert "in torch" in b.note or (isinstance(adjoint, Exact) and name != "steep")


def test_a_truncated_gradient_of_float32():
    neuron = lif(torch.nn.Parameter(torch.full((7,), 0.9, device=DEVICE)))
    x, state = case(neuron, 40, 7, torch.float32)
    (a, grads), (b, others) = both_backends(
        neuron, x, state, Replay(), Truncated(2), (x, state, neuron.transition[0][0])
    )
    assert torch.equal(a.spikes, b.spikes)
    for g, h in zip(grads, others):
        assert (g - h).norm() <= 1e-6 * g.norm()


@pytest.mark.parametrize("slopes", [None, (2.0, 6.0, 12.0)])
@pytest.mark.parametrize("adjoint", [Exact(), Detached(), Truncated(2)])
def test_sweeps_in_one_kernel_with_a_gradient(slopes, adjoint):
    neuron = lif(0.9)
    x, state = case(neuron, 20, 5)
    solver = FixedPoint(3, slopes)
    (a, grads), (b, others) = both_backends(neuron, x, state, solver, adjoint, (x, state))
    # Generic float64 input: no membrane within rounding of the threshold, so two orders of summation give the same spikes.
    assert torch.allclose(a.spikes, b.spikes, rtol=0, atol=RELATIVE) and (slopes or torch.equal(a.spikes, b.spikes))
    assert torch.allclose(a.membrane, b.membrane, rtol=0, atol=RELATIVE)
    assert a.sweeps == b.sweeps and a.residuals == b.residuals and a.status == b.status
    assert a.certificate.prefix == b.certificate.prefix and a.certificate.exact == b.certificate.exact
    for g, h in zip(grads, others):
        assert (g - h).norm() <= RELATIVE * g.norm()


@pytest.mark.parametrize("adjoint", [Exact(), Truncated(2)])
def test_a_resonator_without_reset_by_the_complex_scan(adjoint):
    learned = [torch.nn.Parameter(torch.linspace(*ends, 5, dtype=torch.float64, device=DEVICE)) for ends in
               ((0.5, 0.99), (0.1, 3.0), (0.8, 1.2))]  # fmt: skip
    neuron = resonate_and_fire(*learned)
    x, state = case(neuron, 40, 5)
    (a, grads), (b, others) = both_backends(neuron, x, state, FixedPoint(1), adjoint, (x, state, *learned))
    assert torch.equal(a.spikes, b.spikes) and torch.allclose(a.membrane, b.membrane, rtol=0, atol=RELATIVE)
    assert a.residuals == b.residuals and b.certificate.exact and "one evaluation" in b.note
    for g, h in zip(grads, others):
        assert (g - h).norm() <= RELATIVE * g.norm()


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_the_certificate_of_a_scanned_resonator_is_honest(decay):
    # Multiples of 1/4 and quarter turns: ties wherever one looks. What is proved is the loop's; a tie is never proved.
    draw = torch.Generator().manual_seed(1)
    x = torch.randint(-3, 5, (60, 9), generator=draw).to(DEVICE).float() / 4
    neuron = resonate_and_fire(decay, 1.5707963267948966)
    loop = solve(neuron, x, Sequential())
    ours = solve(neuron, x, FixedPoint(1), backend="triton", on_failure="return")
    proved = ~ours.certificate.undecided
    assert torch.equal(ours.spikes[proved], loop.spikes[proved])
    assert not proved[(loop.membrane[:, 0] == 1)].any()
    assert ours.certificate.exact == bool(proved.all())


def _moved(value):
    if isinstance(value, tuple):
        return tuple(_moved(v) for v in value)
    return torch.nn.Parameter(value.detach().to(DEVICE)) if isinstance(value, torch.nn.Parameter) else value


def test_half_input_and_the_membrane_on_demand():
    x, _ = case(lif(), 40, 6, torch.bfloat16)
    a, b = (solve(lif(0.9), x, Replay(), backend=name) for name in ("torch", "triton"))
    assert b.spikes.dtype == torch.bfloat16 and torch.equal(a.spikes, b.spikes)
    assert b.membrane.dtype == torch.float32 and torch.equal(a.membrane.detach(), b.membrane)
    assert not b.membrane.requires_grad


def test_the_backend_says_why_it_refuses():
    x = torch.ones(4, 2, device=DEVICE)
    undecayed = NeuronSpec("undecayed", ((0.5,),), (1.0,), ((1.0,),), (1.0,), ((0.0,),), jump=((-1.0,),))
    for neuron, solver, message in (
        (lif(), FixedPoint(None), "not sweeps=None"),
        (lif(reset="hard"), FixedPoint(3), "without a hard reset"),
        (resonate_and_fire(reset="soft"), FixedPoint(3), "without reset, not this resonate_and_fire"),
        (resonate_and_fire(), FixedPoint(1, slopes=(2.0,)), "the hard threshold"),
        (lif(), FixedPoint(3, product="dense"), "the dense product"),
        (lif(), Sequential(), "not by Sequential"),
        (undecayed, Replay(), "the one-state kernel is the LIF"),
        (
            lif(reset="hard", v_reset=torch.nn.Parameter(torch.zeros((), device=DEVICE))),
            Replay(),
            "number as its reset",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            solve(neuron, x, solver, backend="triton")
    with pytest.raises(ValueError, match="Unrolled"):
        solve(lif(), x, FixedPoint(3), adjoint=Unrolled(), backend="triton")
