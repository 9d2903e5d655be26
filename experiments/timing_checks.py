"""Equality before time: spikes against a plain loop in torch, gradients against float64 back-propagation through time."""

import torch

from fptlib import Sigmoid
from fptlib.kernels import lif_replay

SLOPE = 4.0


def checks():
    """One record per setting: spikes that differ, relative error of each gradient, bytes kept beyond the input."""
    settings = [
        {"name": "plain", "T": 512, "N": 1024},
        {"name": "odd T, odd N", "T": 301, "N": 257},
        {"name": "initial state", "T": 301, "N": 257, "v0": True},
        {"name": "per-neuron decay", "T": 301, "N": 257, "per_neuron": True, "v0": True},
        {"name": "hard reset", "T": 301, "N": 257, "reset": "hard", "v0": True},
        {"name": "bfloat16 input", "T": 301, "N": 257, "dtype": torch.bfloat16, "v0": True},
        {"name": "decay 0.9", "T": 1023, "N": 1023, "decay": 0.9},
    ]
    return [check(**setting) for setting in settings]


def check(name, T, N, decay=0.5, reset="soft", dtype=torch.float32, v0=False, per_neuron=False):
    generator = torch.Generator(device="cuda").manual_seed(1)
    normal = lambda *shape: torch.randn(*shape, device="cuda", generator=generator)
    x = (normal(T, N) * 0.9 * (1 - decay**2) ** 0.5 + 0.8 * (1 - decay)).to(dtype).requires_grad_()
    start = (normal(N) * 0.3).requires_grad_() if v0 else None
    rate = torch.rand(N, device="cuda", generator=generator).mul(0.8).add(0.1).requires_grad_() if per_neuron else decay
    g = normal(T, N).to(dtype)
    spikes, final, report = lif_replay(x, rate, reset=reset, v0=start)
    inputs = {"x": x, "v0": start, "decay": rate if per_neuron else None}
    inputs = {k: t for k, t in inputs.items() if t is not None}
    got = dict(zip(inputs, torch.autograd.grad(spikes, list(inputs.values()), g)))
    with torch.no_grad():
        wrong, want = reference(x, rate, reset, start, spikes, g)
    error = lambda a, b: float((a.double() - b).norm() / b.norm())
    row = {
        "name": name,
        "T": T,
        "N": N,
        "decay": "per neuron" if per_neuron else decay,
        "reset": reset,
        "dtype": str(dtype)[6:],
    }
    row |= {"kernel": report.kernel, "spikes_differ": wrong}
    return row | {f"gradient_error_{k}": float(f"{error(got[k], want[k]):.3g}") for k in inputs}


def reference(x, decay, reset, v0, spikes, g):
    """Spikes of a plain loop, and the gradient of those spikes in float64: the adjoint recurrence, step by step."""
    v = torch.zeros(x.shape[1], device="cuda") if v0 is None else v0.clone()
    wrong = 0
    for t in range(len(x)):
        u = decay * v + x[t].float()
        s = (u >= 1).float()
        wrong += (s != spikes[t].float()).sum()
        v = u - s if reset == "soft" else u * (1 - s)
    decay = decay.double() if torch.is_tensor(decay) else decay
    v = torch.zeros(x.shape[1], device="cuda", dtype=torch.float64) if v0 is None else v0.double()
    before, membrane = [], []
    for t in range(len(x)):
        before.append(v)
        membrane.append(decay * v + x[t].double())
        s = spikes[t].double()
        v = membrane[-1] - s if reset == "soft" else membrane[-1] * (1 - s)
    w, grad, grad_decay = (
        torch.zeros_like(v),
        torch.empty(x.shape, device="cuda", dtype=torch.float64),
        torch.zeros_like(v),
    )
    for t in reversed(range(len(x))):
        u, s = membrane[t], spikes[t].double()
        h = Sigmoid(SLOPE).derivative(u - 1)
        gate = 1 - h if reset == "soft" else (1 - s) - u * h
        grad[t] = h * g[t].double() + gate * w
        grad_decay += grad[t] * before[t]
        w = decay * grad[t]
    return int(wrong), {"x": grad, "v0": w, "decay": grad_decay}
