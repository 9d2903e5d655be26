"""The implementations that `experiments.timing` compares, each in its best form: name -> (decay, reset) -> call on x [T, N].

Every call returns spikes [T, N] attached to autograd, with the sigmoid surrogate of slope 4 and the reset differentiated.
"""

import importlib.metadata

import torch

from experiments.elsewhere import SLOPE
from fptlib import Sigmoid, spike
from fptlib.kernels import fixed_point_sweeps, lif_replay

SWEEPS = 3


def fptlib(decay, reset):
    return lambda x: lif_replay(x, decay, reset=reset, slope=SLOPE)[0]


def spikingjelly(decay, reset):
    """Its fused neuron with a float32 state, also for half-precision input (a half-precision state leaves its fused path)."""
    from spikingjelly.activation_based import functional, surrogate

    sigmoid, v_reset = surrogate.Sigmoid(alpha=SLOPE), None if reset == "soft" else 0.0

    def run(x):
        v0 = torch.zeros(x.shape[1:], device=x.device)
        return functional.lif_multi_step(x, v0, 1 / (1 - decay), False, 1.0, v_reset, sigmoid, False)[0]

    return run


def snntorch(decay, reset):
    import snntorch as snn

    how = "subtract" if reset == "soft" else "zero"
    cell = snn.Leaky(beta=decay, spike_grad=snn.surrogate.sigmoid(slope=SLOPE), reset_mechanism=how, reset_delay=False)
    cell = cell.cuda()

    def run(x):
        v, out = torch.zeros_like(x[0]), []
        for step in x.unbind(0):
            s, v = cell(step, v)
            out.append(s)
        return torch.stack(out)

    return run


def naive(decay, reset):
    def run(x):
        v, out = torch.zeros_like(x[0]), []
        for step in x.unbind(0):
            u = decay * v + step
            s = spike(u - 1.0, Sigmoid(SLOPE))
            v = u - s if reset == "soft" else u * (1 - s)
            out.append(s)
        return torch.stack(out)

    return run


class _Step(torch.autograd.Function):
    """Heaviside with the sigmoid's derivative, plain enough for torch.compile."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return (z >= 0).to(z.dtype)

    @staticmethod
    def backward(ctx, grad):
        p = torch.sigmoid(SLOPE * ctx.saved_tensors[0])
        return grad * SLOPE * p * (1 - p)


def compiled(decay, reset):
    @torch.compile(fullgraph=True, dynamic=False)
    def run(x):
        v, out = torch.zeros_like(x[0]), []
        for step in x.unbind(0):
            u = decay * v + step
            s = _Step.apply(u - 1.0)
            v = u - s if reset == "soft" else u * (1 - s)
            out.append(s)
        return torch.stack(out)

    return run


def dense(decay, reset, tf32=False):
    """FPT as published: K = 3 products with T x T matrices; here with a hard threshold, so that its errors can be counted."""
    kept = {}

    def run(x):
        T = x.shape[0]
        if T not in kept:
            lag = torch.arange(T, device=x.device)
            lag = (lag[:, None] - lag[None, :]).double()
            full = torch.where(lag >= 0, torch.tensor(decay, device=x.device).double() ** lag.clamp(min=0), 0.0)
            kept[T] = full.to(x.dtype), (full - torch.eye(T, device=x.device, dtype=torch.float64)).to(x.dtype)
        torch.backends.cuda.matmul.allow_tf32 = tf32
        full, feedback = kept[T]
        base = full @ x
        s = spike(base - 1.0, Sigmoid(SLOPE))
        for _ in range(SWEEPS - 1):
            s = spike(base - feedback @ s - 1.0, Sigmoid(SLOPE))
        torch.backends.cuda.matmul.allow_tf32 = False
        return s

    return run


def dense_tf32(decay, reset):
    return dense(decay, reset, tf32=True)


def scan(decay, reset):
    """FPT without the matrices: three sweeps fused in one pass, time-chunks with a warm-up that leaves 2^-26."""
    import math

    warmup = math.ceil(26 * math.log(2) / -math.log(decay))
    return lambda x: fixed_point_sweeps(x, decay, sweeps=SWEEPS, reset=reset, warmup=warmup).spikes


IMPLEMENTATIONS = {
    "fptlib": fptlib,
    "spikingjelly": spikingjelly,
    "snntorch": snntorch,
    "naive loop": naive,
    "torch.compile loop": compiled,
    "fpt dense fp32": dense,
    "fpt dense tf32": dense_tf32,
    "fpt scan": scan,
}


NO_CAPTURE = {"snntorch": "Its step asks the device for values, so no graph can be captured; eager time only."}


def refusal(name, T, N, mode, reset):
    """Why an implementation is left out of a cell, one sentence, or None. Bounds are estimates made before the run."""
    if name == "fpt scan" and mode == "fwd+bwd":
        return "The fused sweeps have no backward of their own; the library pairs FPT with the exact adjoint."
    if name.startswith("fpt dense"):
        if reset != "soft":
            return "The published form is for the soft reset."
        work = 3 * 2 * T * T * N * (3 if mode == "fwd+bwd" else 1)
        if T > 8192 or work > 4e12:
            return f"Dense products: {work:.1e} floating-point operations, above the bound of 4e12 per call."
    if name in ("naive loop", "snntorch") and T > 1024:
        return (
            f"A Python loop of {T} steps takes more than {T * 50e-6:.1f} s a call by estimate; measured up to T = 1024."
        )
    if name == "torch.compile loop" and T > 16:
        return "Compiling the unrolled loop takes minutes; measured up to T = 16."
    if name == "spikingjelly" and T > 65536:
        return f"About 1 us a step: {T * 1e-6:.1f} s a call and more by estimate; measured up to T = 65536."
    return None


def versions():
    """Versions of the other libraries, where they are installed."""
    found = {}
    for package in ("spikingjelly", "snntorch"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
