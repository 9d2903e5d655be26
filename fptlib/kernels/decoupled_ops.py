"""The decoupled reset as an operator of torch, with its backward, and its front door."""

import torch

from fptlib.kernels import cost, decoupled, ops
from fptlib.kernels.calls import rows
from fptlib.kernels.entry import available, planned_report
from fptlib.kernels.two_state_ops import _table


@torch.library.custom_op("fptlib::count_spikes", mutates_args=())
def count_op(
    u: torch.Tensor, rise: float, threshold: float, slope: float, surrogate: int, save: bool, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """u [T, N] in float32 or float64 -> spikes [T, N] in ``dtype``, kept counts [T/16 - 1, N]."""
    T, N = u.shape
    plan = _plan(T, N, u.element_size())
    spikes = ops.scratch((T, N), dtype, u.device)
    counts = ops.scratch((-(-T // plan.ahead) - 1, N), u.dtype, u.device) if save and T > plan.ahead else None
    table = _table((rise, threshold), u.dtype, (), u.device)
    decoupled.launch(u, table, spikes, counts, plan, ops._triton(u.dtype))
    return spikes, u.new_empty((0, N)) if counts is None else counts


@count_op.register_fake
def _(u, rise, threshold, slope, surrogate, save, dtype):
    return u.new_empty(u.shape, dtype=dtype), u.new_empty((rows(u.shape[0]) if save else 0, u.shape[1]))


@torch.library.custom_op("fptlib::count_spikes_backward", mutates_args=())
def backward_op(
    u: torch.Tensor,
    counts: torch.Tensor,
    grad: torch.Tensor,
    rise: float,
    threshold: float,
    slope: float,
    surrogate: int,
    chunk: int,
) -> torch.Tensor:
    """Gradient of u [T, N] from that of the spikes [T, N]."""
    T, N = u.shape
    plan = cost.plan_backward(T, N, None, u.element_size(), chunk)
    chunks = -(-T // plan.chunk)
    carry = ops.scratch((2, chunks, N), u.dtype, u.device) if chunks > 1 else None
    table, (width, _) = _table((rise, threshold), u.dtype, (), u.device), ops.number(None, slope, u.dtype, u.device)
    out, kept = ops.scratch_like(u), counts if counts.numel() else None
    decoupled.launch_reverse(u, kept, grad, table, width, surrogate, out, carry, plan, ops._triton(u.dtype))
    return out


@backward_op.register_fake
def _(u, counts, grad, rise, threshold, slope, surrogate, chunk):
    return torch.empty_like(u)


def _plan(T, N, itemsize):
    """One pass whatever T: the count cannot be cut into chunks."""
    return cost.plan_scan(T, N, itemsize, T)


def _remember(ctx, inputs, output):
    u, *ctx.numbers = inputs[:5]
    ctx.save_for_backward(u, output[1])
    ctx.set_materialize_grads(False)


def _differentiate(ctx, grad, grad_counts):
    u, counts = ctx.saved_tensors
    if grad is None:
        return (None,) * 7
    grads = torch.ops.fptlib.count_spikes_backward(u, counts, grad.contiguous(), *ctx.numbers, 0)
    return (grads, *(None,) * 6)


count_op.register_autograd(_differentiate, setup_context=_remember)
backward_op.register_autograd(ops._once)


def decoupled_spikes(u, rise, threshold=1.0, surrogate="sigmoid", slope=4.0, spike_dtype=None):
    """Spikes of a membrane whose threshold rises at every spike and stays there, bit for bit the loop's.

    s[t] = [u[t] - rise n[t] >= threshold], n[t] = s[0] + ... + s[t-1].

    Args:
        u: reset-free membrane [T, ...], float32 or float64.
        rise, threshold: floats.
        surrogate, slope: as for `lif_replay`.
        spike_dtype: dtype of the spikes, by default that of u.

    Returns:
        spikes [T, ...] and a `KernelReport`. The walk is over all T steps; its backward runs in time-chunks.

    Raises:
        ValueError: when `available` has a reason, or u is neither float32 nor float64.

    Example:
        >>> decoupled_spikes(torch.full((3, 1), 1.6), rise=0.5)[0].flatten()  # doctest: +SKIP
        tensor([1., 1., 0.])

    Book: prp-prf-neuron
    """
    reason = available(u)
    if not reason and u.dtype not in (torch.float32, torch.float64):
        reason = f"u came as {u.dtype}; a membrane in float32 or float64 is wanted."
    if reason:
        raise ValueError(f"decoupled_spikes: {reason}")
    flat = u.reshape(u.shape[0], -1).contiguous()
    save = torch.is_grad_enabled() and u.requires_grad
    spikes, _ = torch.ops.fptlib.count_spikes(
        flat, float(rise), float(threshold), float(slope), ops.SURROGATES[surrogate], save, spike_dtype or u.dtype
    )
    return spikes.view(u.shape), planned_report(
        "decoupled walk", "decoupled_ops._plan", (*flat.shape, u.element_size())
    )
