"""The one primitive: the linear recurrence u[t] = gate[t] u[t-1] + drive[t], solved in O(log T) dependent steps.

Time is cut into rows of `FAN` steps. Every row runs from zero, all rows side by side; the rows' ends form a recurrence
of their own, FAN times shorter, solved the same way; one multiply-add then carries each row's true start into it.
"""

import torch

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


class _LinearScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, drive, v0, matrix):
        out = _scan(gate, drive, v0, matrix)
        ctx.save_for_backward(gate, out, v0)
        ctx.matrix = matrix
        return out

    @staticmethod
    @first_derivative_only
    def backward(ctx, grad):
        """g[t] = grad[t] + gate[t+1]^T g[t+1]: the same recurrence, transposed, from the right."""
        gate, out, v0 = ctx.saved_tensors
        back = gate.transpose(1, 2) if ctx.matrix else gate
        if back.shape[0] > 1:
            back = torch.cat([back[1:], torch.zeros_like(back[:1])]).flip(0)
        g = _scan(back, grad.flip(0), torch.zeros_like(v0), ctx.matrix).flip(0)
        previous = torch.cat([v0[None], out[:-1]])
        if ctx.matrix:
            grad_gate = g[:, :, None] * previous[:, None]
            grad_v0 = (gate[0] * g[0][:, None]).sum(0)
        else:
            grad_gate = g * previous
            grad_v0 = gate[0] * g[0]
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
