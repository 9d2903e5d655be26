"""The kernels as operators of torch (`torch.library`), so that autograd and `torch.compile` know them by name and shape."""

from types import SimpleNamespace

import torch
import triton.language as tl

from fptlib.kernels import cost, lif_backward, lif_forward

RESETS = {"soft": 0, "hard": 1, "none": 2}
SURROGATES = {"sigmoid": 0, "atan": 1, "triangle": 2}
_RESET_NAMES, _SURROGATE_NAMES = tuple(RESETS), tuple(SURROGATES)


def scratch(shape, dtype, device):
    """Uninitialised memory for outputs and intermediate results; the tests replace it by memory full of NaN."""
    return torch.empty(shape, dtype=dtype, device=device)


def state_dtype(x):
    """float64 for float64 input, else float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def number(tensor, value, state, device):
    """A kernel argument and its kind: by value (float32), one number in memory, or one number per neuron."""
    if tensor is not None:
        return tensor, 1 if tensor.numel() == 1 else 2
    if state == torch.float64:  # a launch passes Python floats in single precision
        return torch.full((1,), value, dtype=state, device=device), 1
    return value, 0


def _rows(T):
    return -(-T // cost.AHEAD) - 1


def forward(x, v0, decay, threshold, decay_value, threshold_value, v_reset, slope, reset, surrogate, detach, save, membrane,
            spike_dtype, chunk, warmup):  # fmt: skip
    """x [T, N] -> spikes [T, N], final state [N], membrane [T, N], kept states [T/16 - 1, N], repaired seams [blocks]."""
    T, N = x.shape
    state, device = state_dtype(x), x.device
    plan = cost.plan_forward(
        T, N, None if decay is not None else decay_value, _RESET_NAMES[reset], x.element_size(), chunk, warmup
    )
    make = lambda *shape, dtype=state: scratch(shape, dtype, device)
    chunks = -(-T // plan.chunk)
    out = SimpleNamespace(
        spikes=make(T, N, dtype=spike_dtype),
        final=make(N),
        membrane=make(T, N) if membrane else None,
        states=make(_rows(T), N) if save and _rows(T) else None,
        repaired=torch.empty(-(-N // cost.BLOCK), dtype=torch.int32, device=device),
        start=make(chunks, N) if chunks > 1 else None,
        end=make(chunks, N) if chunks > 1 else None,
    )
    (d, kd), (th, kt), (r, kr) = (
        number(tensor, value, state, device)
        for tensor, value in ((decay, decay_value), (threshold, threshold_value), (None, v_reset))
    )
    lif_forward.launch(x, v0, d, th, r, out, plan, reset, (kd, kt, kr), _triton(state))
    return out.spikes, out.final, out.membrane, out.states, out.repaired


@torch.library.custom_op("fptlib::lif_forward", mutates_args=())
def lif_forward_op(
    x: torch.Tensor,
    v0: torch.Tensor | None,
    decay: torch.Tensor | None,
    threshold: torch.Tensor | None,
    decay_value: float,
    threshold_value: float,
    v_reset: float,
    slope: float,
    reset: int,
    surrogate: int,
    detach: bool,
    save: bool,
    membrane: bool,
    spike_dtype: torch.dtype,
    chunk: int,
    warmup: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """`forward`; outputs that were not asked for are empty tensors, since an operator cannot return None."""
    out = forward(x, v0, decay, threshold, decay_value, threshold_value, v_reset, slope, reset, surrogate, detach, save,
                  membrane, spike_dtype, chunk, warmup)  # fmt: skip
    empty = lambda *shape: x.new_empty(shape, dtype=state_dtype(x))
    spikes, final, u, states, repaired = out
    kept = empty(_rows(x.shape[0]), x.shape[1]) if save else empty(0)
    return spikes, final, empty(0) if u is None else u, kept if states is None else states, repaired


@lif_forward_op.register_fake
def _(x, v0, decay, threshold, decay_value, threshold_value, v_reset, slope, reset, surrogate, detach, save, membrane,
      spike_dtype, chunk, warmup):  # fmt: skip
    T, N = x.shape
    state = state_dtype(x)
    return (
        x.new_empty((T, N), dtype=spike_dtype),
        x.new_empty((N,), dtype=state),
        x.new_empty((T, N) if membrane else (0,), dtype=state),
        x.new_empty((_rows(T), N) if save else (0,), dtype=state),
        x.new_empty((-(-N // cost.BLOCK),), dtype=torch.int32),
    )


def backward(x, v0, states, decay, threshold, grad_spikes, grad_membrane, grad_final, decay_value, threshold_value, v_reset,
             slope, reset, surrogate, detach, wants, chunk):  # fmt: skip
    """Gradients of x [T, N], v0 [N], decay and threshold (their shapes); None where not wanted."""
    T, N = x.shape
    state, device = state_dtype(x), x.device
    known = lambda tensor, value: None if tensor is not None else value
    bound = cost.gate_bound(
        known(decay, decay_value), known(threshold, threshold_value), _RESET_NAMES[reset], v_reset,
        _SURROGATE_NAMES[surrogate], slope, detach,
    )  # fmt: skip
    plan = cost.plan_backward(T, N, bound, x.element_size(), chunk)
    chunks = -(-T // plan.chunk)
    make = lambda shape, dtype=state: scratch(shape, dtype, device)
    out = (
        make((T, N), x.dtype) if wants[0] else None,
        make((N,)) if wants[1] else None,
        make((chunks, N)) if wants[2] else None,
        make((chunks, N)) if wants[3] else None,
    )
    pairs = ((decay, decay_value), (threshold, threshold_value), (None, v_reset), (None, slope))
    parameters, kinds = zip(*(number(tensor, value, state, device) for tensor, value in pairs))
    grads = (grad_spikes.contiguous(), grad_membrane, grad_final)
    lif_backward.launch(
        x, v0, states, grads, parameters, out, plan, (reset, surrogate, detach), kinds, _triton(state), make
    )  # fmt: skip
    total = lambda part, like: part if part is None else part.sum(0) if like.numel() == N else part.sum().reshape(1)
    return out[0], out[1], total(out[2], decay), total(out[3], threshold)


@torch.library.custom_op("fptlib::lif_backward", mutates_args=())
def lif_backward_op(
    x: torch.Tensor,
    v0: torch.Tensor | None,
    states: torch.Tensor,
    decay: torch.Tensor | None,
    threshold: torch.Tensor | None,
    grad_spikes: torch.Tensor,
    grad_membrane: torch.Tensor | None,
    grad_final: torch.Tensor | None,
    decay_value: float,
    threshold_value: float,
    v_reset: float,
    slope: float,
    reset: int,
    surrogate: int,
    detach: bool,
    wants: list[bool],
    chunk: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """`backward` with empty tensors for None."""
    grads = backward(x, v0, states if states.numel() else None, decay, threshold, grad_spikes, grad_membrane, grad_final,
                     decay_value, threshold_value, v_reset, slope, reset, surrogate, detach, wants, chunk)  # fmt: skip
    return tuple(x.new_empty(0, dtype=state_dtype(x)) if g is None else g for g in grads)


@lif_backward_op.register_fake
def _(x, v0, states, decay, threshold, grad_spikes, grad_membrane, grad_final, decay_value, threshold_value, v_reset, slope,
      reset, surrogate, detach, wants, chunk):  # fmt: skip
    state = state_dtype(x)
    like = lambda tensor, wanted: x.new_empty(tensor.shape if wanted else (0,), dtype=state)
    return (
        torch.empty_like(x) if wants[0] else x.new_empty(0, dtype=state),
        like(v0, wants[1]),
        like(decay, wants[2]),
        like(threshold, wants[3]),
    )


def _remember(ctx, inputs, output):
    x, v0, decay, threshold = inputs[:4]
    ctx.numbers, ctx.chunk = inputs[4:11], inputs[14]
    ctx.has_membrane = inputs[12]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, v0, decay, threshold, output[3])


def _differentiate(ctx, grad_spikes, grad_final, grad_membrane, grad_states, grad_repaired):
    x, v0, decay, threshold, states = ctx.saved_tensors
    if grad_spikes is None:
        grad_spikes = torch.zeros_like(x)
    wants = list(ctx.needs_input_grad[:4])
    solid = lambda tensor: None if tensor is None else tensor.contiguous()
    grads = torch.ops.fptlib.lif_backward(
        x, v0, states, decay, threshold, grad_spikes.contiguous(), solid(grad_membrane) if ctx.has_membrane else None,
        solid(grad_final), *ctx.numbers, wants, ctx.chunk,
    )  # fmt: skip
    return (*(g if wanted else None for g, wanted in zip(grads, wants)), *(None,) * 12)


def _once(ctx, *grads):
    raise RuntimeError(
        "fptlib: the backward pass of a kernel was differentiated again (create_graph=True). The kernels give first derivatives "
        'only; use backend="torch" for higher ones.'
    )


lif_forward_op.register_autograd(_differentiate, setup_context=_remember)
lif_backward_op.register_autograd(_once)


def _triton(dtype):
    return tl.float64 if dtype == torch.float64 else tl.float32


class Replay(torch.autograd.Function):
    """The same pair without the dispatcher, for calls outside torch.compile: it costs the host a fraction of the time.

    It takes x [T, ...] and hands back spikes, final state and membrane in the shape of x: no views enter the graph.
    """

    @staticmethod
    def forward(ctx, x, *rest):
        flat = x.reshape(x.shape[0], -1).contiguous()
        spikes, final, membrane, states, repaired = forward(flat, *rest)
        ctx.numbers, ctx.chunk, ctx.shape = rest[3:10], rest[13], x.shape
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(flat, *rest[:3], states)
        ctx.mark_non_differentiable(repaired)
        return (
            spikes.view(x.shape),
            final.view(x.shape[1:]),
            None if membrane is None else membrane.view(x.shape),
            repaired,
        )

    @staticmethod
    def backward(ctx, grad_spikes, grad_final, grad_membrane, _):
        flat, v0, decay, threshold, states = ctx.saved_tensors
        if grad_spikes is None:
            grad_spikes = torch.zeros_like(flat)
        wants = ctx.needs_input_grad[:4]
        row = lambda tensor: None if tensor is None else tensor.reshape(-1).contiguous()
        wide = lambda tensor: None if tensor is None else tensor.reshape(flat.shape).contiguous()
        grads = (flat, v0, states, decay, threshold, wide(grad_spikes), wide(grad_membrane), row(grad_final))
        if torch.is_grad_enabled():  # create_graph=True: the operator refuses a second derivative, with a reason
            grads = (*grads[:2], flat.new_empty(0, dtype=state_dtype(flat)) if states is None else states, *grads[3:])
            grads = torch.ops.fptlib.lif_backward(*grads, *ctx.numbers, list(wants), ctx.chunk)
        else:
            grads = backward(*grads, *ctx.numbers, wants, ctx.chunk)
        first = grads[0].view(ctx.shape) if wants[0] else None
        return (first, *(g if wanted else None for g, wanted in zip(grads[1:], wants[1:])), *(None,) * 12)
