"""The exact adjoint against back-propagation through an unrolled loop, for every neuron and every parameter."""

import pytest
import torch
from torch.nn import Parameter

from fptlib import (
    ATan,
    Exact,
    FixedPoint,
    Sequential,
    SpikingLayer,
    Triangle,
    alif,
    lif,
    lm_h,
    resonate_and_fire,
    solve,
    spike,
    tc_lif,
    ts_lif,
)

RELATIVE = 1e-10  # float64 sums of a few hundred terms, reordered by the scan
N = 5


def p(value):
    return Parameter(torch.tensor(value, dtype=torch.float64))


NEURONS = {
    "lif": lambda d: lif(p([0.5, 0.9, 0.0, 1.0, 0.7]), p(1.1), detach_reset=d),
    "lif-atan": lambda d: lif(p(0.9), p([1.0, 0.8, 0.9, 1.0, 1.2]), surrogate=ATan(3.0), detach_reset=d),
    "hard": lambda d: lif(p(0.9), p(1.0), "hard", p(-0.2), surrogate=Triangle(), detach_reset=d),
    "none": lambda d: lif(p(0.9), reset="none", detach_reset=d),
    "alif": lambda d: alif(p(0.8), p(1.0), p(0.3), p(0.9), detach_reset=d),
    "alif-hard": lambda d: alif(p(0.8), p(1.0), p(0.3), p(0.9), "hard", p(0.1), detach_reset=d),
    "resonator": lambda d: resonate_and_fire(p(0.9), p(0.5), reset="soft", detach_reset=d),
    "ts-lif": lambda d: ts_lif((p(0.8), p(0.3)), (p(-0.1), p(-0.8)), (p(0.5), p(1.0)), detach_reset=d),
    "ts-lif-paper": lambda d: ts_lif(
        (p(0.8), p(0.3)), (p(-0.1), p(-0.8)), (p(0.5), p(1.0)), order="paper", detach_reset=d
    ),
    "ts-lif-stable": lambda d: ts_lif(stable=True, raw=(p(0.8), p(0.3), p(0.5), p(0.1)), detach_reset=d),
    "tc-lif": lambda d: tc_lif((p(-0.5), p(0.5)), (p(0.5), p(1.0)), detach_reset=d),
    "lm-h": lambda d: lm_h((p(0.1), p(0.9)), (p(0.1), p(1.1)), detach_reset=d),
}


def bptt(neuron, x, state):
    """The neuron unrolled with autograd: spikes with surrogate, reset in or out of the graph."""
    spec = neuron.fresh().cast(x.dtype)
    v, s = (list(part.unbind(0)) for part in spec.split(state))
    spikes, membrane = [], []
    for now in x:
        u = spec.charge(v, now, s)
        s = [spike(c - th, spec.surrogate) for c, th in zip(spec.sense(u), spec.threshold)]
        spikes.append(torch.stack(s)), membrane.append(torch.stack(u))
        s = [one.detach() for one in s] if spec.detach_reset else s
        v = []
        for i in range(spec.states):
            value = u[i] - sum(spec.reset[i][q] * s[q] for q in range(spec.channels))
            v.append(value * (1 - s[0]) + spec.reset_to[i] * s[0] if spec.hard[i] else value)
    return torch.stack(spikes), torch.stack(membrane), spec.join(torch.stack(v), spikes[-1])


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("name", NEURONS)
def test_thm_reverse_scan_equals_loop_backpropagation(name, detached):
    draw = torch.Generator().manual_seed(len(name))
    noise = lambda *shape: torch.randn(*shape, generator=draw, dtype=torch.float64)  # noqa: E731
    for steps in (1, 2, 13, 40):
        neuron = NEURONS[name](detached)
        x, state = (noise(steps, N) + 0.4).requires_grad_(), noise(neuron.memory, N).requires_grad_()
        inputs = [x, state, *neuron.parameters().values()]
        wanted = bptt(neuron, x, state)
        got = solve(neuron, x, Sequential(), v0=state[0] if neuron.memory == 1 else state, adjoint=Exact())
        got = [
            got.spikes if neuron.channels > 1 else got.spikes[:, None],
            got.membrane if neuron.states > 1 else got.membrane[:, None],
            got.final_state if neuron.memory > 1 else got.final_state[None],
        ]
        assert torch.equal(got[0], wanted[0])
        weights = [noise(*part.shape) for part in wanted]
        grads = [
            torch.autograd.grad(sum((a * w).sum() for a, w in zip(parts, weights)), inputs, allow_unused=True)
            for parts in (wanted, got)
        ]
        for label, a, b in zip(["x", "state", *neuron.parameters()], *grads):
            a, b = (torch.zeros(()) if g is None else g for g in (a, b))
            assert (a - b).abs().max() <= RELATIVE * (1 + a.abs().max()), (steps, label)


def test_the_adjoint_does_not_care_which_solver_found_the_train():
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64).requires_grad_()
    grads = [torch.autograd.grad(solve(lif(0.9), x, s).spikes.sum(), x)[0] for s in (Sequential(), FixedPoint(None))]
    assert torch.allclose(*grads, atol=RELATIVE)


def test_second_derivatives_are_refused():
    x = torch.randn(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (g,) = torch.autograd.grad((solve(lif(0.9), x).spikes * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        g.sum().backward()


def test_layer_learns_and_round_trips():
    torch.manual_seed(0)
    layer = SpikingLayer(lif(p(0.8), p(1.0)))
    assert set(dict(layer.named_parameters())) == {"decay", "threshold"}
    x = torch.randn(30, 6, dtype=torch.float64)
    layer(x).sum().backward()
    assert layer.decay.grad.abs() > 0 and layer.threshold.grad.abs() > 0
    other = SpikingLayer(lif(p(0.1), p(3.0)))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    assert "neuron=lif" in repr(layer)


def test_layer_state_is_carried_only_when_asked():
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
    whole = SpikingLayer(lif(0.9))(x)
    layer = SpikingLayer(lif(0.9), carry_state=True)
    parts = torch.cat([layer(x[:9]), layer(x[9:])])
    assert torch.equal(parts, whole) and layer.state is not None
    layer.reset_state()
    assert torch.equal(layer(x), whole)
    with pytest.raises(ValueError, match="v0 came with shape"):
        layer(torch.zeros(3, 7))


def test_autocast_leaves_the_state_in_float32():
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(1)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        run = solve(lif(0.9), x, Sequential())
    assert run.membrane.dtype == torch.float32 and run.spikes.dtype == torch.bfloat16
    assert torch.equal(run.spikes, solve(lif(0.9), x, Sequential()).spikes)


def test_compiled_models_keep_the_neuron():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), SpikingLayer(lif(Parameter(torch.tensor(0.9)))))
    x = torch.randn(12, 3, 4)
    compiled = torch.compile(net, backend="aot_eager")
    grads = []
    for model in (net, compiled):
        out = model(x)
        grads.append((out.detach(), *torch.autograd.grad(out.sum(), list(net.parameters()))))
    assert all(torch.equal(a, b) for a, b in zip(*grads))
