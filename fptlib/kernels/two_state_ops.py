"""The two-state kernels as operators of torch, and their front door."""

import math
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace

import torch

from fptlib.checks import may_look
from fptlib.kernels import cost, ops, two_state, two_state_backward
from fptlib.kernels.entry import available, planned_report

_BLOCK = 32  # 22 numbers of the table and two states leave registers for one neuron per lane
_AHEAD = 8  # steps unrolled; with 16 the backward pass compiles five times as long (half a minute) at its first use


@lru_cache(maxsize=4096)
def _plan_forward(T, N, radius, itemsize, chunk, warmup):
    known = None if radius < 0 else radius
    return _narrow(cost.plan_chunks(T, N, known, "soft", itemsize, chunk, warmup))


@lru_cache(maxsize=4096)
def _plan_backward(T, N, itemsize, chunk):
    return _narrow(cost.plan_backward(T, N, None, itemsize, chunk))


def _narrow(plan):
    return replace(plan, block=_BLOCK, ahead=min(plan.ahead, _AHEAD))


def _shape(table, N, channels, memory, hard):
    return {
        "PER_NEURON": table.ndim == 2,
        "CHANNELS": channels,
        "MEMORY": memory,
        "HARD0": bool(hard & 1),
        "HARD1": bool(hard & 2),
    }


@torch.library.custom_op("fptlib::two_state_forward", mutates_args=())
def forward_op(
    x: torch.Tensor,
    initial: torch.Tensor | None,
    table: torch.Tensor,
    slope: float,
    surrogate: int,
    channels: int,
    memory: int,
    hard: int,
    detach: bool,
    save: bool,
    membrane: bool,
    radius: float,
    chunk: int,
    warmup: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """x [T, N] -> spikes [T, P, N], final state [memory, N], membrane [T, 2, N], kept states, repaired seams."""
    T, N = x.shape
    state = ops.state_dtype(x)
    plan = _plan_forward(T, N, radius, x.element_size(), chunk, warmup)
    make = lambda *shape, dtype=state: ops.scratch(shape, dtype, x.device)
    chunks = -(-T // plan.chunk)
    out = SimpleNamespace(
        spikes=make(T, channels, N, dtype=x.dtype),
        final=make(memory, N),
        membrane=make(T, 2, N) if membrane else None,
        states=make(-(-T // plan.ahead) - 1, memory, N) if save else None,
        repaired=torch.zeros(-(-N // _BLOCK), dtype=torch.int32, device=x.device),
        start=make(chunks, memory, N) if chunks > 1 else None,
        end=make(chunks, memory, N) if chunks > 1 else None,
    )
    two_state.launch(x, initial, table, out, plan, _shape(table, N, channels, memory, hard), ops._triton(state))
    none = lambda t: x.new_empty(0, dtype=state) if t is None else t
    return out.spikes, out.final, none(out.membrane), none(out.states), out.repaired


@forward_op.register_fake
def _(x, initial, table, slope, surrogate, channels, memory, hard, detach, save, membrane, radius, chunk, warmup):
    T, N = x.shape
    state = ops.state_dtype(x)
    return (
        x.new_empty((T, channels, N)),
        x.new_empty((memory, N), dtype=state),
        x.new_empty((T, 2, N) if membrane else (0,), dtype=state),
        x.new_empty((-(-T // _AHEAD) - 1, memory, N) if save else (0,), dtype=state),  # none where a group is smaller
        x.new_empty((-(-N // _BLOCK),), dtype=torch.int32),
    )


@torch.library.custom_op("fptlib::two_state_backward", mutates_args=())
def backward_op(
    x: torch.Tensor,
    initial: torch.Tensor | None,
    states: torch.Tensor,
    table: torch.Tensor,
    grad_spikes: torch.Tensor,
    grad_membrane: torch.Tensor | None,
    grad_final: torch.Tensor | None,
    slope: float,
    surrogate: int,
    channels: int,
    memory: int,
    hard: int,
    detach: bool,
    wants: list[bool],
    chunk: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of x [T, N], initial state [memory, N] and table; empty where not wanted."""
    T, N = x.shape
    state = ops.state_dtype(x)
    plan = _plan_backward(T, N, x.element_size(), chunk)
    make = lambda shape, dtype=state: ops.scratch(shape, dtype, x.device)
    chunks = -(-T // plan.chunk)
    out = (
        make((T, N), x.dtype) if wants[0] else None,
        make((memory, N)) if wants[1] else None,
        make((two_state.ENTRIES, chunks, N)) if wants[2] else None,
    )
    kept = states if states.numel() else None
    width, _ = ops.number(None, slope, state, x.device)
    grads = (grad_spikes, grad_membrane, grad_final)
    shape = _shape(table, N, channels, memory, hard)
    two_state_backward.launch(
        x, initial, kept, table, width, grads, out, plan, shape, surrogate, detach, ops._triton(state), make
    )
    empty = lambda: x.new_empty(0, dtype=state)
    entries = empty() if out[2] is None else out[2].sum(1) if table.ndim == 2 else out[2].sum((1, 2))
    return x.new_empty(0) if out[0] is None else out[0], empty() if out[1] is None else out[1], entries


@backward_op.register_fake
def _(x, initial, states, table, grad_spikes, grad_membrane, grad_final, slope, surrogate, channels, memory, hard, detach,
      wants, chunk):  # fmt: skip
    like = lambda tensor, wanted: x.new_empty(tensor.shape if wanted else (0,), dtype=ops.state_dtype(x))
    return torch.empty_like(x) if wants[0] else x.new_empty(0), like(initial, wants[1]), like(table, wants[2])


def _remember(ctx, inputs, output):
    ctx.numbers, ctx.has_membrane, ctx.chunk = inputs[3:9], inputs[10], inputs[12]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:3], output[3])


def _differentiate(ctx, grad_spikes, grad_final, grad_membrane, grad_states, grad_repaired):
    x, initial, table, states = ctx.saved_tensors
    wants = list(ctx.needs_input_grad[:3])
    if grad_spikes is None:
        grad_spikes = x.new_zeros(x.shape[0], ctx.numbers[2], x.shape[1])
    solid = lambda tensor: None if tensor is None else tensor.contiguous()
    grads = torch.ops.fptlib.two_state_backward(
        x, initial, states, table, grad_spikes.contiguous(), solid(grad_membrane if ctx.has_membrane else None),
        solid(grad_final), *ctx.numbers, wants, ctx.chunk,
    )  # fmt: skip
    return (*(g if wanted else None for g, wanted in zip(grads, wants)), *(None,) * 11)


forward_op.register_autograd(_differentiate, setup_context=_remember)
backward_op.register_autograd(ops._once)


def two_state_replay(
    x,
    transition,
    drive,
    readout,
    threshold,
    reset,
    jump=None,
    hard=(False, False),
    reset_to=(0.0, 0.0),
    v0=None,
    surrogate="sigmoid",
    slope=4.0,
    detach_reset=False,
    *,
    membrane=False,
    chunk=None,
    warmup=None,
):
    """Any neuron with two states and one or two spike channels over all time steps, bit for bit the sequential loop.

    u[t] = A v[t-1] + B x[t] + J s[t-1], s = [C u >= threshold], v = u - R s (or ``reset_to`` where a hard state fired).

    Args:
        x: input [T, ...].
        transition, drive, readout, threshold, reset, jump, hard, reset_to: the parts of a `NeuronSpec`, entries floats or
            tensors that broadcast to one step [...]; gradients reach tensors.
        v0: [2, ...], or [2 + P, ...] with the last spikes where a jump is due; None is zero.
        surrogate, slope, detach_reset, membrane, chunk, warmup: as for `lif_replay`.

    Returns:
        spikes [T, P, ...], final state [2 or 2 + P, ...], and a `KernelReport`; with ``membrane=True`` u [T, 2, ...] comes
        before the report.

    Raises:
        ValueError: when `available` has a reason, or the table does not have two states and one or two channels.

    Example:
        >>> two_state_replay(x, ((0.8, -0.1), (-0.6, 0.4)), (0.2, 0.5), ((1.0, 0.0), (0.0, 1.0)), (1.0, 1.0),
        ...                  ((0.5, 0.0), (0.0, 1.0)))  # doctest: +SKIP

    Book: ch-two-compartments
    """
    reason, channels = available(x), len(threshold)
    if not reason and (len(transition) != 2 or channels not in (1, 2)):
        reason = (
            f"the table has {len(transition)} states and {channels} channels; 2 states and 1 or 2 channels are wanted."
        )
    if reason:
        raise ValueError(f"two_state_replay: {reason}")
    state, step = ops.state_dtype(x), x.shape[1:]
    jump = ((0.0,) * channels,) * 2 if jump is None else jump
    memory = 2 + (channels if any(torch.is_tensor(e) or e != 0 for row in jump for e in row) else 0)
    entries = _entries(transition, drive, readout, threshold, reset, jump, reset_to)
    table = _table(entries, state, step, x.device)
    flat = x.reshape(x.shape[0], -1).contiguous()
    first = None if v0 is None else v0.to(state).reshape(v0.shape[0], -1).contiguous()
    save = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, first, table))
    radius = _radius(transition)
    size, warm = chunk or 0, -1 if warmup is None else warmup
    spikes, final, u, _, repaired = torch.ops.fptlib.two_state_forward(
        flat, first, table, float(slope), ops.SURROGATES[surrogate], channels, memory, int(hard[0]) + 2 * int(hard[1]),
        detach_reset, save, membrane, radius, size, warm,
    )  # fmt: skip
    arguments = (*flat.shape, radius, x.element_size(), size, warm)
    report = planned_report("two-state {}", "two_state_ops._plan_forward", arguments, repaired)
    shaped = lambda t, *lead: t.view(*lead, *step)
    T = x.shape[0]
    out = (shaped(spikes, T, channels), shaped(final, memory))
    return (*out, shaped(u, T, 2), report) if membrane else (*out, report)


def _entries(transition, drive, readout, threshold, reset, jump, reset_to):
    """The 22 numbers, a second channel that never fires added where there is one."""
    wide = lambda row, pad: tuple(row) + (pad,) * (2 - len(row))
    readout = wide(readout, (0.0, 0.0))
    rows = (*transition, drive, *readout, wide(threshold, float("inf")))
    rows += (*(wide(r, 0.0) for r in reset), *(wide(r, 0.0) for r in jump), reset_to)
    return tuple(entry for row in rows for entry in row)


def _table(entries, state, step, device):
    """[22], or [22, N] where an entry differs between neurons; no number is copied from the host twice."""
    numbers = tuple(0.0 if torch.is_tensor(e) else e for e in entries)
    if not torch.compiler.is_compiling() and may_look():
        table = _constant_table(numbers, state, device)
    else:  # a graph being captured or traced: filled on the device, and not kept beyond the graph
        table = torch.stack([torch.full((), e, dtype=state, device=device) for e in numbers])
    if not any(torch.is_tensor(e) for e in entries):
        return table
    single = all(not torch.is_tensor(e) or e.numel() == 1 for e in entries)
    placed = lambda e: e.reshape(()) if single else e.expand(step).reshape(-1)
    return torch.stack(
        [placed(e.to(device, state) if torch.is_tensor(e) else n) for e, n in zip(entries, table.unbind())]
    )


@lru_cache(maxsize=64)
def _constant_table(entries, state, device):
    return torch.tensor(entries, dtype=state, device=device)


def _radius(transition):
    """Spectral radius of a transition of floats, which says how fast the neuron forgets; -1 when a tensor hides it."""
    if any(torch.is_tensor(e) for row in transition for e in row):
        return -1.0
    (a, b), (c, d) = transition
    middle, product = (a + d) / 2, a * d - b * c  # the eigenvalues are middle +- sqrt(middle^2 - product)
    apart = middle * middle - product
    return float(abs(middle) + math.sqrt(apart) if apart >= 0 else math.sqrt(product))
