"""The kernels as operators of torch (`torch.library`), so that autograd and `torch.compile` know them by name and shape.

A call costs the host little: what sizes and settings decide is worked out once (`prepared`), and outside `torch.compile` the
pair `Replay` goes past the dispatcher.
"""

import torch
import triton.language as tl

from fptlib.kernels import cost, lif_backward, lif_forward
from fptlib.kernels.calls import RESETS, SURROGATES, Settings, number, prepared, rows

__all__ = [
    "RESETS",
    "SURROGATES",
    "Replay",
    "Settings",
    "backward",
    "forward",
    "number",
    "prepared",
    "scratch",
    "state_dtype",
]


def scratch(shape, dtype, device):
    """Uninitialised memory for outputs and intermediate results; the tests replace it by memory full of NaN."""
    return torch.empty(shape, dtype=dtype, device=device)


def scratch_like(tensor):
    """The same in the shape and type of a tensor, which costs the host half of it."""
    return torch.empty_like(tensor)


def state_dtype(x):
    """float64 for float64 input, else float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def forward(call, x, v0, decay, threshold):
    """x [T, ...] -> spikes, final state [...], membrane, kept states [T/16 - 1, N], repaired seams [blocks].

    Membrane, states and repaired are None where they are not asked for or there is nothing to keep. x and v0 are contiguous.
    """
    settings, state, device = call.settings, call.state, call.device
    same = settings.spike_dtype == x.dtype
    spikes = scratch_like(x) if same else scratch(x.shape, settings.spike_dtype, device)
    final = scratch(x.shape[1:], state, device)
    membrane = scratch(x.shape, state, device) if settings.membrane else None
    states = scratch((call.rows, call.N), state, device) if call.rows else None
    seams = repaired = None
    if call.chunks > 1:
        seams = scratch((2, call.chunks, call.N), state, device)
        repaired = scratch((call.blocks,), torch.int32, device)
    numbers = call.numbers(decay, threshold)[:3]
    lif_forward.launch(call, x, v0, numbers, (spikes, membrane, states, seams, final, repaired))
    return spikes, final, membrane, states, repaired


def backward(call, x, v0, states, decay, threshold, grads, wants):
    """Gradients of x [T, ...], v0, decay and threshold (their shapes); None where not wanted.

    ``grads`` are those of spikes, membrane and final state, contiguous or None.
    """
    N, state, device, plan, chunks = call.N, call.state, call.device, call.back, call.back_chunks
    out = (
        scratch_like(x) if wants[0] else None,
        scratch_like(v0) if wants[1] else None,
        scratch((chunks, N), state, device) if wants[2] else None,
        scratch((chunks, N), state, device) if wants[3] else None,
    )
    carry = scratch((2, chunks, N), state, device) if plan.two_passes else None
    lif_backward.launch(call, x, v0, states, grads, call.numbers(decay, threshold), out, carry)
    total = lambda part, like: (
        None if part is None else (part.sum(0) if like.numel() == N else part.sum()).view(like.shape)
    )
    return out[0], out[1], total(out[2], decay), total(out[3], threshold)


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
    """`forward` of x [T, N]; outputs that were not asked for are empty tensors, since an operator cannot return None."""
    settings = Settings(decay_value, threshold_value, v_reset, slope, reset, surrogate, detach, save, membrane,
                        spike_dtype, chunk, warmup)  # fmt: skip
    call = prepared(x, decay, threshold, settings)
    spikes, final, u, states, repaired = forward(call, x, v0, decay, threshold)
    empty = lambda *shape: x.new_empty(shape, dtype=call.state)
    u = empty(0) if u is None else u
    states = empty(*((rows(call.T), call.N) if save else (0,))) if states is None else states
    if repaired is None:  # as many as if there were seams, so that the shape does not hang on the plan
        repaired = x.new_zeros(-(-call.N // cost.BLOCK), dtype=torch.int32)
    return spikes, final, u, states, repaired


@lif_forward_op.register_fake
def _(x, v0, decay, threshold, decay_value, threshold_value, v_reset, slope, reset, surrogate, detach, save, membrane,
      spike_dtype, chunk, warmup):  # fmt: skip
    T, N = x.shape
    state = state_dtype(x)
    return (
        x.new_empty((T, N), dtype=spike_dtype),
        x.new_empty((N,), dtype=state),
        x.new_empty((T, N) if membrane else (0,), dtype=state),
        x.new_empty((rows(T), N) if save else (0,), dtype=state),
        x.new_empty((-(-N // cost.BLOCK),), dtype=torch.int32),
    )


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
    settings = Settings(decay_value, threshold_value, v_reset, slope, reset, surrogate, detach, True, False, x.dtype,
                        chunk, -1)  # fmt: skip
    call = prepared(x, decay, threshold, settings)
    states = states if states.numel() else None
    grads = backward(call, x, v0, states, decay, threshold, (grad_spikes, grad_membrane, grad_final), wants)
    return tuple(x.new_empty(0, dtype=call.state) if g is None else g for g in grads)


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
    wants = list(ctx.needs_input_grad[:4])
    grads = torch.ops.fptlib.lif_backward(
        x, v0, states, decay, threshold, torch.zeros_like(x) if grad_spikes is None else grad_spikes.contiguous(),
        _solid(grad_membrane) if ctx.has_membrane else None, _solid(grad_final), *ctx.numbers, wants, ctx.chunk,
    )  # fmt: skip
    return (*(g if wanted else None for g, wanted in zip(grads, wants)), *(None,) * 12)


def _solid(tensor):
    return None if tensor is None else tensor.contiguous()


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

    It takes x [T, ...], contiguous, and its `Prepared` call, and hands back spikes, final state and membrane in that shape: no views enter the graph.
    """

    @staticmethod
    def forward(ctx, x, v0, decay, threshold, call):
        ctx.call = call
        spikes, final, membrane, states, repaired = forward(call, x, v0, decay, threshold)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, v0, decay, threshold, states)
        return spikes, final, membrane, repaired  # the last holds integers, which autograd leaves alone

    @staticmethod
    def backward(ctx, grad_spikes, grad_final, grad_membrane, _):
        x, v0, decay, threshold, states = ctx.saved_tensors
        grad_spikes = torch.zeros_like(x) if grad_spikes is None else grad_spikes.contiguous()
        grads, wants = (grad_spikes, _solid(grad_membrane), _solid(grad_final)), ctx.needs_input_grad
        if torch.is_grad_enabled():  # create_graph=True: the operator refuses a second derivative, with a reason
            return (*_refusing(ctx.call, x, v0, states, decay, threshold, grads, list(wants[:4])), None)
        return (*backward(ctx.call, x, v0, states, decay, threshold, grads, wants), None)


def _refusing(call, x, v0, states, decay, threshold, grads, wants):
    flat, row = (
        lambda t: None if t is None else t.reshape(call.T, call.N),
        lambda t: None if t is None else t.reshape(-1),
    )
    states = x.new_empty(0, dtype=call.state) if states is None else states
    out = torch.ops.fptlib.lif_backward(
        flat(x), row(v0), states, decay, threshold, flat(grads[0]), flat(grads[1]), row(grads[2]),
        *call.settings[:7], wants, call.settings.chunk,
    )  # fmt: skip
    shapes = (x.shape, None if v0 is None else v0.shape, None, None)
    return [(g if s is None else g.view(s)) if wanted else None for g, s, wanted in zip(out, shapes, wants)]
