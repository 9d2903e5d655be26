"""The complex scan as an operator of torch, with its backward, and its front door."""

import torch

from fptlib.kernels import cost, ops, resonance
from fptlib.kernels.entry import available, planned_report
from fptlib.kernels.two_state_ops import _table

_EMPTY = (0,)


@torch.library.custom_op("fptlib::complex_scan", mutates_args=())
def scan_op(
    x: torch.Tensor,
    y: torch.Tensor | None,
    table: torch.Tensor,
    z0: torch.Tensor | None,
    real: bool,
    imag: bool,
    spikes: bool,
    reverse: bool,
    dtype: torch.dtype,
    chunk: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Drive x + i y [T, N], table [2 or 3] or [2 or 3, N] -> real and imaginary part in ``dtype``, spikes [T, N], final [2, N].

    What is not asked for comes as an empty tensor.
    """
    T, N = x.shape
    state, plan = ops.state_dtype(x), cost.plan_scan(T, N, x.element_size(), chunk)
    make = lambda shape, kind=state: ops.scratch(shape, kind, x.device)
    out = (
        make((T, N), dtype) if real else None,
        make((T, N), dtype) if imag else None,
        make((T, N), x.dtype) if spikes else None,
        make((2, N)),
    )
    chunks = -(-T // plan.chunk)
    starts = make((chunks, 2, N)) if chunks > 1 else None
    resonance.launch(x, y, table, z0, out, starts, plan, reverse, ops._triton(state))
    return tuple(x.new_empty(_EMPTY) if part is None else part for part in out)


@scan_op.register_fake
def _(x, y, table, z0, real, imag, spikes, reverse, dtype, chunk):
    train = lambda wanted, kind: x.new_empty(x.shape if wanted else _EMPTY, dtype=kind if wanted else x.dtype)
    final = x.new_empty((2, x.shape[1]), dtype=ops.state_dtype(x))
    return train(real, dtype), train(imag, dtype), train(spikes, x.dtype), final


@torch.library.custom_op("fptlib::complex_scan_pole", mutates_args=())
def pole_op(
    x: torch.Tensor,
    grad: torch.Tensor,
    grad_imag: torch.Tensor | None,
    table: torch.Tensor,
    z0: torch.Tensor | None,
    chunk: int,
) -> torch.Tensor:
    """Gradient of the table, its shape, from those of real and imaginary part [T, N]."""
    T, N = x.shape
    state, plan = ops.state_dtype(x), cost.plan_scan(T, N, 2 * x.element_size(), chunk)
    chunks = -(-T // plan.chunk)
    starts = ops.scratch((chunks, 4, N), state, x.device) if chunks > 1 or z0 is not None else None
    sums = ops.scratch((2, chunks, N), state, x.device)
    resonance.launch_tangent(x, (grad, grad_imag), table, z0, sums, starts, plan, ops._triton(state))
    found = sums.sum(1) if table.ndim == 2 else sums.sum((1, 2))
    return torch.cat([found, torch.zeros_like(table[2:])])


@pole_op.register_fake
def _(x, grad, grad_imag, table, z0, chunk):
    return torch.empty_like(table)


def _remember(ctx, inputs, output):
    x, y, table, z0, _, ctx.imag, _, ctx.reverse, _, ctx.chunk = inputs
    ctx.set_materialize_grads(False)
    ctx.kind = x.dtype
    ctx.save_for_backward(x if ctx.needs_input_grad[2] else None, table, z0)
    ctx.shape = x.shape


def _differentiate(ctx, grad, grad_imag, grad_spikes, grad_final):
    x, table, z0 = ctx.saved_tensors
    if ctx.reverse or torch.is_grad_enabled():  # the transpose is differentiated: create_graph=True
        return ops._once(ctx)
    grad_imag = grad_imag if ctx.imag else None
    grad, grad_imag = _both(ctx, table, grad, grad_imag, grad_final)
    out = [None] * 10
    if ctx.needs_input_grad[0] or ctx.needs_input_grad[3]:
        out[0], _, _, first = torch.ops.fptlib.complex_scan(
            grad, grad_imag, table, None, True, False, False, True, ctx.kind, ctx.chunk
        )
        (a, b), (r, i) = table[:2], first
        out[3] = torch.stack([a * r + b * i, a * i - b * r]) if ctx.needs_input_grad[3] else None
    if ctx.needs_input_grad[2]:
        out[2] = torch.ops.fptlib.complex_scan_pole(x, grad, grad_imag, table, z0, ctx.chunk)
    return tuple(out)


def _both(ctx, table, grad, grad_imag, grad_final):
    """Gradients of the two trains; that of the final state belongs to the last step of both."""
    zeros = lambda: table.new_zeros(ctx.shape)
    grad = zeros() if grad is None else grad.contiguous()
    grad_imag = None if grad_imag is None else grad_imag.contiguous()
    if grad_final is not None:
        grad, grad_imag = grad.clone(), zeros() if grad_imag is None else grad_imag.clone()
        grad[-1] += grad_final[0]
        grad_imag[-1] += grad_final[1]
    return grad, grad_imag


scan_op.register_autograd(_differentiate, setup_context=_remember)
pole_op.register_autograd(ops._once)


def complex_scan(x, pole, z0=None, *, threshold=None, imag=False, chunk=None):
    """The resonator's membrane without reset, z[t] = p z[t-1] + x[t], in parallel time-chunks with exact carries.

    One chunk gives the bits of the loop; with several, |z - exact| <= 5 eps/2 sum_j (t - j + 1) |p|^(t-j) |x[j]| to first
    order, a bound that the loop meets too (10 in place of 5 in float64, where the carries have no wider type).

    Args:
        x: input [T, ...], float32, float16, bfloat16 (state float32) or float64 (state float64).
        pole: (Re p, Im p), floats or tensors that broadcast to one step [...]; gradients reach tensors.
        z0: state before the first step [2, ...], real and imaginary part; None is zero.
        threshold: give the spikes [Re z >= threshold] in place of Re z; they carry no gradient.
        imag: also return Im z.
        chunk: time steps; None lets the cost model choose.

    Returns:
        Re z [T, ...] (or the spikes, in the dtype of x), final state [2, ...], and a `KernelReport`; with ``imag=True``
        Im z [T, ...] comes before the report.

    Raises:
        ValueError: when `available` has a reason, or a parameter does not fit one step.

    Example:
        >>> complex_scan(torch.ones(2, 1), (0.5, 0.0))[0].flatten()  # doctest: +SKIP
        tensor([1.0000, 1.5000])

    Book: prp-scan-rounding
    """
    reason = available(x)
    if reason:
        raise ValueError(f"complex_scan: {reason}")
    state, step = ops.state_dtype(x), x.shape[1:]
    entries = (*pole, *(() if threshold is None else (threshold,)))
    try:
        table = _table(entries, state, step, x.device)
    except RuntimeError:
        shapes = [tuple(e.shape) for e in entries if torch.is_tensor(e)]
        raise ValueError(
            f"complex_scan: parameters came with shapes {shapes}; ones that broadcast to {tuple(step)} are wanted."
        ) from None
    flat = x.reshape(x.shape[0], -1).contiguous()
    first = None if z0 is None else z0.to(state).expand(2, *step).reshape(2, -1).contiguous()
    save = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (flat, first, table))
    if save and threshold is not None:
        raise ValueError("complex_scan: spikes carry no gradient; leave out threshold, or use torch.no_grad().")
    size, fire = chunk or 0, threshold is not None
    real, im, spikes, final = torch.ops.fptlib.complex_scan(
        flat, None, table, first, not fire, imag, fire, False, state, size
    )
    report = planned_report("complex {}", "cost.plan_scan", (*flat.shape, x.element_size(), size))
    out = ((spikes if fire else real).view(x.shape), final.view(2, *step))
    return (*out, im.view(x.shape), report) if imag else (*out, report)
