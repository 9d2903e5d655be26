"""`solve` on the Triton backend: the same trains and gradients as the torch backend, interpreted where there is no GPU."""

import importlib.util
import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

import pytest
from test_exact_adjoint import NEURONS

from fptlib import Detached, Exact, FixedPoint, NeuronSpec, Replay, Sequential, lif, solve

RELATIVE = 1e-9  # float64; the two backends sum the backward recurrence in different orders
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is a Linux package; the kernels need it"
)


def case(neuron, steps, count, dtype=torch.float64):
    draw = torch.Generator().manual_seed(steps)
    x = 0.8 * torch.randn(steps, count, generator=draw, dtype=torch.float64) + 0.3
    state = torch.randn(neuron.memory, count, generator=draw, dtype=torch.float64)
    move = lambda t: t.to(DEVICE, dtype).requires_grad_()  # noqa: E731
    return move(x), move(state[0] if neuron.memory == 1 else state)


@needs_triton
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


def _moved(value):
    if isinstance(value, tuple):
        return tuple(_moved(v) for v in value)
    return torch.nn.Parameter(value.detach().to(DEVICE)) if isinstance(value, torch.nn.Parameter) else value


@needs_triton
def test_half_input_and_the_membrane_on_demand():
    x, _ = case(lif(), 40, 6, torch.bfloat16)
    a, b = (solve(lif(0.9), x, Replay(), backend=name) for name in ("torch", "triton"))
    assert b.spikes.dtype == torch.bfloat16 and torch.equal(a.spikes, b.spikes)
    assert b.membrane.dtype == torch.float32 and torch.equal(a.membrane.detach(), b.membrane)
    assert not b.membrane.requires_grad


@needs_triton
def test_the_backend_says_why_it_refuses():
    x = torch.ones(4, 2, device=DEVICE)
    undecayed = NeuronSpec("undecayed", ((0.5,),), (1.0,), ((1.0,),), (1.0,), ((0.0,),), jump=((-1.0,),))
    for neuron, solver, message in (
        (lif(), FixedPoint(3), "not by FixedPoint"),
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


def test_auto_on_a_cpu_never_interprets():
    assert solve(lif(), torch.ones(4, 2)).backend == "torch"
