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


def forward(
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
        states=make(_rows(T), N) if save else None,
        repaired=torch.empty(-(-N // cost.BLOCK), dtype=torch.int32, device=device),
        start=make(chunks, N) if chunks > 1 else None,
        end=make(chunks, N) if chunks > 1 else None,
    )
    (d, kd), (th, kt), (r, kr) = (
        number(tensor, value, state, device)
        for tensor, value in ((decay, decay_value), (threshold, threshold_value), (None, v_reset))
    )
    lif_forward.launch(x, v0, d, th, r, out, plan, reset, (kd, kt, kr), _triton(state))
    none = x.new_empty(0, dtype=state)
    return (
        out.spikes,
        out.final,
        none if out.membrane is None else out.membrane,
        none.clone() if out.states is None else out.states,
        out.repaired,
    )


lif_forward_op = torch.library.custom_op("fptlib::lif_forward", forward, mutates_args=())


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


def backward(
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
    """Gradients of x [T, N], v0 [N], decay and threshold (their shapes); empty where not wanted."""
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
        x, v0, states if states.numel() else None, grads, parameters, out, plan, (reset, surrogate, detach), kinds,
        _triton(state), make,
    )  # fmt: skip
    empty = lambda: x.new_empty(0, dtype=state)
    total = lambda part, like: empty() if part is None else part.sum(0) if like.numel() == N else part.sum().reshape(1)
    return (
        x.new_empty(0) if out[0] is None else out[0],
        empty() if out[1] is None else out[1],
        total(out[2], decay),
        total(out[3], threshold),
    )


lif_backward_op = torch.library.custom_op("fptlib::lif_backward", backward, mutates_args=())


@lif_backward_op.register_fake
def _(x, v0, states, decay, threshold, grad_spikes, grad_membrane, grad_final, decay_value, threshold_value, v_reset, slope,
      reset, surrogate, detach, wants, chunk):  # fmt: skip
    state = state_dtype(x)
    like = lambda tensor, wanted: x.new_empty(tensor.shape if wanted else (0,), dtype=state)
    return (
        torch.empty_like(x) if wants[0] else x.new_empty(0),
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


def _differentiate(
    ctx, grad_spikes, grad_final, grad_membrane, grad_states, grad_repaired, run=torch.ops.fptlib.lif_backward
):
    x, v0, decay, threshold, states = ctx.saved_tensors
    decay_value, threshold_value, v_reset, slope, reset, surrogate, detach = ctx.numbers
    if grad_spikes is None:
        grad_spikes = torch.zeros_like(x)
    wants = list(ctx.needs_input_grad[:4])
    if not ctx.has_membrane:
        grad_membrane = None
    solid = lambda tensor: None if tensor is None else tensor.contiguous()
    grads = run(
        x, v0, states, decay, threshold, grad_spikes, solid(grad_membrane), solid(grad_final), decay_value, threshold_value,
        v_reset, slope, reset, surrogate, detach, wants, ctx.chunk,
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
    """The same pair without the dispatcher, for calls outside torch.compile: it costs the host a fraction of the time."""

    @staticmethod
    def forward(ctx, *inputs):
        output = forward(*inputs)
        _remember(ctx, inputs, output)
        ctx.mark_non_differentiable(output[3], output[4])
        return output

    @staticmethod
    def backward(ctx, *grads):
        again = torch.is_grad_enabled()  # create_graph=True: the operator refuses a second derivative, with a reason
        return _differentiate(ctx, *grads, run=torch.ops.fptlib.lif_backward if again else backward)
