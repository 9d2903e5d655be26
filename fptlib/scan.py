"""The one primitive: the linear recurrence u[t] = gate[t] u[t-1] + drive[t], solved in O(log T) dependent steps.

Time is cut into rows of `FAN` steps. Every row runs from zero, all rows side by side; the rows' ends form a recurrence
of their own, FAN times shorter, solved the same way; one multiply-add then carries each row's true start into it.
"""

import math

import torch

from fptlib import kernels  # imports no Triton
from fptlib.surrogates import first_derivative_only

FAN = 16  # steps a row: the dependent steps number FAN log_FAN(T), and each level touches the data twice


def linear_scan(gate, drive, v0=None, reverse=False):
    """Solve u[t] = gate[t] u[t-1] + drive[t] for all t in parallel, u[-1] = v0.

    Args:
        gate: [T, ...] or [1, ...] (constant in time), elementwise; or a matrix gate [T or 1, D, D, ...] beside
            drive [T, D, ...].
        drive: [T, ...] or [T, D, ...], floating point.
        v0: initial state, the shape of one step of ``drive``; None is zero.
        reverse: run from the last step to the first; ``v0`` then stands behind the last step.

    Returns:
        u, the shape of ``drive``. Gradients reach gate, drive and v0; they cannot be differentiated again.

    Raises:
        TypeError: when gate or drive is not a floating-point tensor, or their dtypes differ.
        ValueError: when the shapes do not fit, or T = 0.

    Example:
        >>> linear_scan(torch.tensor([0.5]), torch.ones(3))
        tensor([1.0000, 1.5000, 1.7500])

    Book: thm-linear-scan
    """
    for name, value in (("gate", gate), ("drive", drive)):
        if not torch.is_tensor(value) or not value.is_floating_point():
            kind = value.dtype if torch.is_tensor(value) else type(value).__name__
            raise TypeError(f"linear_scan: {name} came as {kind}; a floating-point tensor is wanted.")
    if gate.dtype != drive.dtype:
        raise TypeError(f"linear_scan: gate is {gate.dtype}, drive is {drive.dtype}; give both the same dtype.")
    if drive.ndim == 0 or drive.shape[0] == 0:
        raise ValueError(f"linear_scan: drive came with shape {tuple(drive.shape)}; at least one time step is wanted.")
    matrix = gate.ndim == drive.ndim + 1
    wanted = (drive.shape[1], *drive.shape[1:]) if matrix else drive.shape[1:]
    if gate.shape[0] not in (1, drive.shape[0]) or not _broadcasts(gate.shape[1:], wanted):
        raise ValueError(
            f"linear_scan: gate came with shape {tuple(gate.shape)} beside drive {tuple(drive.shape)}; "
            f"[T or 1, ...] or a matrix gate [T or 1, D, D, ...] is wanted."
        )
    if v0 is not None and (not torch.is_tensor(v0) or not _broadcasts(v0.shape, drive.shape[1:])):
        kind = tuple(v0.shape) if torch.is_tensor(v0) else type(v0).__name__
        raise ValueError(f"linear_scan: v0 came as {kind}; one step {tuple(drive.shape[1:])} is wanted.")
    v0 = drive.new_zeros(drive.shape[1:]) if v0 is None else v0.expand(drive.shape[1:])
    if reverse:
        return _LinearScan.apply(gate.flip(0), drive.flip(0), v0, matrix).flip(0)
    return _LinearScan.apply(gate, drive, v0, matrix)


def complex_scan(decay, frequency, x, z0=None, backend="auto"):
    """Solve z[t] = decay e^(i frequency) z[t-1] + x[t] for all t in parallel, z[-1] = z0: a resonator without reset.

    Args:
        decay, frequency: modulus and angle (radians per step) of the leak; floats or tensors broadcastable to one step.
        x: real input [T, ...], floating point.
        z0: [2, ...], real and imaginary part before the first step; None is zero.
        backend: "auto" (the kernels for a tensor on a GPU), "torch" or "triton"; asked for by name it runs or raises.

    Returns:
        Re z [T, ...] and the final state [2, ...], in float64 for float64 input and float32 otherwise, and a sentence that
        says what ran. Gradients reach decay, frequency, x and z0.

    Raises:
        TypeError: when x is not a floating-point tensor.
        ValueError: T = 0, an unknown backend, or one that cannot run.

    Example:
        >>> complex_scan(0.5, math.pi, torch.ones(3))[0]
        tensor([1.0000, 0.5000, 0.7500])

    Book: def-resonator
    """
    if not torch.is_tensor(x) or not x.is_floating_point():
        kind = x.dtype if torch.is_tensor(x) else type(x).__name__
        raise TypeError(f"complex_scan: x came as {kind}; a floating-point tensor [T, ...] is wanted.")
    if x.ndim == 0 or x.shape[0] == 0:
        raise ValueError(f"complex_scan: x came with shape {tuple(x.shape)}; at least one time step is wanted.")
    runs, note = pick_backend("complex_scan", backend, x)
    turned = torch if torch.is_tensor(frequency) else math
    pole = decay * turned.cos(frequency), decay * turned.sin(frequency)
    if runs:
        u, final, report = kernels.complex_scan(x, pole, z0)
        return u, final, f"{note}: {report.reason}"
    state = torch.float64 if x.dtype == torch.float64 else torch.float32
    parts = [torch.as_tensor(part, dtype=state, device=x.device) for part in pole]
    gate = torch.complex(*torch.broadcast_tensors(*parts))[None]
    drive = x.to(state).to(gate.dtype)
    start = drive.new_zeros(()) if z0 is None else torch.complex(*z0.to(state).unbind(0))
    z = _LinearScan.apply(gate, drive, start.expand(x.shape[1:]), False)
    return z.real, torch.view_as_real(z[-1]).movedim(-1, 0), note


def pick_backend(name, backend, x, refused=None):
    """Whether the kernels run for x [T, ...], and a sentence; ``refused`` is a further reason against them. Book: ch-time"""
    if backend not in ("auto", "torch", "triton"):
        raise ValueError(f"{name}: backend came as {backend!r}; 'auto', 'torch' or 'triton' is wanted.")
    if backend == "torch" or (backend == "auto" and not x.is_cuda):
        return False, f"torch, {'asked for' if backend == 'torch' else f'as x is on {x.device}'}"
    reason = kernels.available(x) or refused
    if reason and backend == "triton":
        raise ValueError(f"{name}: backend='triton' came, but {reason} Use backend='torch', or 'auto' to choose.")
    return not reason, f"torch, as {reason}" if reason else "triton"


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, drive, v0, matrix):
        out = _scan(gate, drive, v0, matrix)
        ctx.save_for_backward(gate, out if ctx.needs_input_grad[0] else None, v0)
        ctx.matrix = matrix
        return out

    @staticmethod
    @first_derivative_only
    def backward(ctx, grad):
        """g[t] = grad[t] + gate[t+1]^T g[t+1]: the same recurrence, transposed, from the right."""
        gate, out, v0 = ctx.saved_tensors
        back = gate.transpose(1, 2) if ctx.matrix else gate.conj()
        if back.shape[0] > 1:
            back = torch.cat([back[1:], torch.zeros_like(back[:1])]).flip(0)
        g = _scan(back, grad.flip(0), torch.zeros_like(v0), ctx.matrix).flip(0)
        grad_v0 = (gate[0] * g[0][:, None]).sum(0) if ctx.matrix else gate[0].conj() * g[0]
        if out is None:
            return None, g, grad_v0, None
        previous = torch.cat([v0[None], out[:-1]])
        grad_gate = g[:, :, None] * previous[:, None] if ctx.matrix else g * previous.conj()
        return grad_gate.sum_to_size(gate.shape), g, grad_v0, None


def _scan(gate, drive, v0, matrix):
    apply = _matvec if matrix else torch.mul
    drive = torch.cat([(drive[0] + apply(gate[:1], v0[None])[0])[None], drive[1:]])
    return _rows(gate, drive, apply, _matmul if matrix else torch.mul)


def _rows(gate, drive, apply, compose):
    steps = drive.shape[0]
    if steps <= FAN:
        return _loop(gate, drive, apply)
    rows = -(-steps // FAN)
    constant = gate.shape[0] == 1
    pad = rows * FAN - steps
    drive = torch.cat([drive, drive.new_zeros(pad, *drive.shape[1:])]) if pad else drive
    drive = drive.unflatten(0, (rows, FAN)).transpose(0, 1)
    if constant:
        gate = gate[None].expand(FAN, *gate.shape)
    else:
        gate = torch.cat([gate, gate.new_zeros(pad, *gate.shape[1:])]) if pad else gate
        gate = gate.unflatten(0, (rows, FAN)).transpose(0, 1)
    local, product = [drive[0]], [gate[0]]
    for c in range(1, FAN):
        local.append(apply(gate[c], local[-1]) + drive[c])
        product.append(compose(gate[c], product[-1]))
    ends = _rows(product[-1], local[-1], apply, compose)
    starts = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]])
    out = torch.stack([part + apply(p, starts) for part, p in zip(local, product)], dim=1)
    return out.flatten(0, 1)[:steps]


def _loop(gate, drive, apply):
    gates = gate.expand(drive.shape[0], *gate.shape[1:])
    out = [drive[0]]
    for t in range(1, drive.shape[0]):
        out.append(apply(gates[t : t + 1], out[-1][None])[0] + drive[t])
    return torch.stack(out)


def _matvec(a, v):
    return (a * v[:, None]).sum(2)


def _matmul(a, b):
    return (a[:, :, :, None] * b[:, None]).sum(2)


def roundings(steps):
    """Roundings of an elementwise `linear_scan` charged to one step, an upper bound. Book: rem-guard-in-code

    A level rounds twice to run its rows, once to multiply their gates and twice to carry the starts in. A product of n
    gates carries n roundings, but each is charged to one step, so that the error is a sum over steps, not a path.
    """
    levels = 1
    while steps > FAN:
        levels, steps = levels + 1, -(-steps // FAN)
    return 5 * levels + 4  # four more form the drive and add the initial state


def _broadcasts(shape, target):
    return len(shape) <= len(target) and all(
        a in (1, b) for a, b in zip(reversed(shape), reversed(target), strict=False)
    )
