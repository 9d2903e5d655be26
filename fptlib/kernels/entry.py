"""The front door of the kernels: checks shapes, flattens the trailing axes, and says what ran."""

import importlib
import importlib.util
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache

import torch

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_MAX_NEURONS = 2**26  # row offsets inside a group of 16 steps are 32-bit
_HAS_TRITON = (
    importlib.util.find_spec("triton") is not None
)  # asked here, as some versions of torch.compile cannot trace it
_OLDEST = (3, 6)  # the oldest Triton that the kernels have been run with on a GPU; 3.3 and older cannot load them


@dataclass(frozen=True)
class KernelReport:
    """What ran: kernel, chunk and warm-up in time steps, and why; ``repaired`` counts seams that had to be run again.

    Shape: ``repaired`` is a device tensor, one count per 64 neurons, or None where there are no seams; reading
    ``repaired_seams`` waits for the device.

    Raises:
        Nothing.

    Example:
        >>> KernelReport("sequential", 16, 0, "short").kernel
        'sequential'

    Book: ch-time
    """

    kernel: str
    chunk: int
    warmup: int
    reason: str
    repaired: torch.Tensor | None = field(default=None, compare=False, repr=False)

    @property
    def repaired_seams(self):
        """Number of repaired (chunk, block of 64 neurons) pairs; waits for the device. Book: ch-time"""
        return 0 if self.repaired is None else int(self.repaired.sum())


class TracedReport:
    """A `KernelReport` of a call that `torch.compile` traced: sizes may be open there, so the plan is worked out when it is read.

    After the compiled function has returned, it reads as the eager report does. Inside, ``reason`` says that the operator plans,
    and reading ``kernel``, ``chunk`` or ``warmup`` ends the graph, since they are numbers of one size. ``repaired``, where a
    kernel can have seams, is always a tensor: zeros where there were none. A class of its own and a plan by name: not every
    version of torch.compile can trace the making of a frozen dataclass, or a cached function as a value.

    Args:
        name: name of what ran, ``{}`` for the plan's own.
        plan: "module.function" of `fptlib.kernels`; ``arguments``: what it was called with, time steps and neurons first.

    Raises:
        Nothing.

    Book: ch-time
    """

    def __init__(self, name, plan, arguments, repaired=None):
        self.name, self.plan, self.arguments, self.repaired = name, plan, arguments, repaired

    def _planned(self):
        plan = torch.compiler.disable(_planned) if torch.compiler.is_compiling() else _planned
        return plan(self.plan, self.arguments)

    kernel = property(lambda self: self.name.format(self._planned().kernel))
    chunk = property(lambda self: self._planned().chunk)
    warmup = property(lambda self: self._planned().warmup)
    repaired_seams = KernelReport.repaired_seams

    @property
    def reason(self):
        """Why this plan; inside a traced function, that there is none yet. Book: ch-time"""
        return _LATER if torch.compiler.is_compiling() else self._planned().reason


def _planned(plan, arguments):
    module, function = plan.split(".")
    return getattr(importlib.import_module(f"fptlib.kernels.{module}"), function)(*arguments)


def planned_report(name, plan, arguments, repaired=None):
    """The report of a call whose plan is ``plan`` of ``arguments``, made now or, inside torch.compile, when it is read.

    Args and Raises: as for `TracedReport`. Book: ch-time
    """
    if torch.compiler.is_compiling():
        return TracedReport(name, plan, arguments, repaired)
    made = _planned(plan, arguments)
    return KernelReport(name.format(made.kernel), made.chunk, made.warmup, made.reason, repaired)


_LATER = "planned inside the operator, for the sizes of each call."


def _find_old():
    """The version of the installed Triton if it is older than the kernels ask for, else "". Imports Triton."""
    import triton

    found = re.match(r"(\d+)\.(\d+)", triton.__version__)
    return triton.__version__ if found and tuple(map(int, found.groups())) < _OLDEST else ""


def _import_ops():
    from fptlib.kernels import ops  # Triton is imported here, on first use

    return ops


# torch.compile warns of every cache that it meets and traces the function behind it, so that one is called by name there.
_too_old, _ops = (lru_cache(maxsize=1)(ask) for ask in (_find_old, _import_ops))


def available(x):
    """Why the kernels cannot take ``x`` [T, ...], as a sentence, or None when they can.

    On a CPU tensor they run only interpreted, when TRITON_INTERPRET=1 was set before Triton was first imported.

    Example:
        >>> available(torch.ones(3, 2, dtype=torch.int64))
        'kernels take float32, float16, bfloat16 or float64, not torch.int64.'

    Book: ch-time
    """
    if x.dtype not in _DTYPES:
        return f"kernels take float32, float16, bfloat16 or float64, not {x.dtype}."
    compiling = torch.compiler.is_compiling()
    if not _HAS_TRITON:
        return "Triton is not installed; install it (it comes with torch for CUDA) or use the torch backend."
    if not x.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        return f"the tensor is on {x.device}; kernels need a CUDA device."
    old = (_find_old if compiling else _too_old)()
    if old:
        return (
            f"Triton {old} is too old, 3.6 is wanted (it comes with torch 2.10); update torch or use the torch backend."
        )
    if x.ndim < 1 or x.numel() == 0:
        return f"the input has shape {tuple(x.shape)}; at least one time step and one neuron are wanted."
    if x.numel() // x.shape[0] > _MAX_NEURONS:
        return f"{x[0].numel()} neurons came; at most {_MAX_NEURONS} fit one launch: split the batch."
    return None


def lif_replay(
    x,
    decay=0.5,
    threshold=1.0,
    reset="soft",
    v_reset=0.0,
    v0=None,
    surrogate="sigmoid",
    slope=4.0,
    detach_reset=False,
    *,
    membrane=False,
    spike_dtype=None,
    chunk=None,
    warmup=None,
):
    """Leaky integrate-and-fire over all time steps, in parallel time-chunks, bit for bit the sequential loop.

    u[t] = decay v[t-1] + x[t], s[t] = [u[t] >= threshold], v = u - threshold s (soft), v_reset where s (hard), u (none).

    Args:
        x: input [T, ...], float32, float16, bfloat16 (state float32) or float64 (state float64).
        decay, threshold: a float, or a tensor that broadcasts to one step [...]; gradients reach tensors.
        reset: "soft", "hard" or "none"; ``v_reset``: a float, for the hard reset.
        v0: state before the first step, broadcastable to one step, or None for zeros.
        surrogate: "sigmoid" (``slope``), "atan" (``slope`` is its width) or "triangle" (``slope`` is its width).
        detach_reset: leave the reset out of the backward pass.
        membrane: also return u [T, ...] (4 more bytes per neuron-step).
        spike_dtype: dtype of the spikes, by default that of x; torch.uint8 or torch.bool cost one byte and carry no gradient.
        chunk, warmup: time steps; None lets the cost model choose.

    Returns:
        spikes [T, ...], final state [...], and a `KernelReport`; with ``membrane=True`` u comes before the report. Inside
        `torch.compile` the report is a `TracedReport`.

    Raises:
        ValueError: when `available` has a reason, or when an argument is not as described.

    Example:
        >>> lif_replay(torch.full((3, 1), 0.6), decay=0.5)[0].flatten()  # doctest: +SKIP
        tensor([0., 0., 1.])

    Book: ch-time
    """
    reason = available(x)
    if reason:
        raise ValueError(f"lif_replay: {reason}")
    compiling = torch.compiler.is_compiling()
    ops = (_import_ops if compiling else _ops)()
    state, step = torch.float64 if x.dtype == torch.float64 else torch.float32, x.shape[1:]
    decay_tensor, decay_value = _parameter("decay", decay, state, step, x.device)
    threshold_tensor, threshold_value = _parameter("threshold", threshold, state, step, x.device)
    start = None if v0 is None else _filled(v0.to(device=x.device, dtype=state), step)
    save = torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, start, decay_tensor, threshold_tensor)
    )
    spike_dtype = spike_dtype or x.dtype
    if save and not spike_dtype.is_floating_point:
        raise ValueError(
            f"lif_replay: spikes as {spike_dtype} carry no gradient; use torch.no_grad() or a floating dtype."
        )
    if reset not in ops.RESETS or surrogate not in ops.SURROGATES:
        raise ValueError(
            f"lif_replay: reset = {reset!r}, surrogate = {surrogate!r}; "
            f"{tuple(ops.RESETS)} and {tuple(ops.SURROGATES)} are wanted."
        )
    settings = ops.Settings(
        decay_value, threshold_value, float(v_reset), float(slope), ops.RESETS[reset], ops.SURROGATES[surrogate],
        bool(detach_reset), save, membrane, spike_dtype, chunk or 0, -1 if warmup is None else warmup,
    )  # fmt: skip
    tensors = (start, decay_tensor, threshold_tensor)
    if compiling:
        spikes, final, u, report = _traced(ops, x, tensors, settings, reset)
    else:
        call = ops.prepared(x, decay_tensor, threshold_tensor, settings)
        report, x = call.report, x.contiguous()
        if save:
            spikes, final, u, repaired = ops.Replay.apply(x, *tensors, call)
        else:
            spikes, final, u, _, repaired = ops.forward(call, x, *tensors)
        if repaired is not None:
            report = KernelReport(report.kernel, report.chunk, report.warmup, report.reason, repaired)
    return (spikes, final, u, report) if membrane else (spikes, final, report)


def _traced(ops, x, tensors, settings, reset):
    """The call as one operator of the graph, which plans when it runs: a plan made here would tie the graph to one size."""
    row = lambda t: None if t is None else t.reshape(-1)
    flat = x.reshape(x.shape[0], -1).contiguous()
    spikes, final, u, _, repaired = torch.ops.fptlib.lif_forward(flat, *map(row, tensors), *settings)
    known = settings.decay if tensors[1] is None else None
    arguments = (*flat.shape, known, reset, x.element_size(), settings.chunk, settings.warmup)
    report = TracedReport("{}", "cost.plan_forward", arguments, repaired)
    u = u.view(x.shape) if settings.membrane else None
    return spikes.view(x.shape), final.view(x.shape[1:]), u, report


def _parameter(name, value, state, step, device):
    """A tensor of one number or one per neuron for the kernel and 0.0, or None and the number."""
    if not isinstance(value, torch.Tensor):
        return None, float(value)
    value = value.to(device=device, dtype=state)
    if value.numel() == 1:
        return value, 0.0
    try:
        return _filled(value, step), 0.0
    except RuntimeError:
        raise ValueError(
            f"{name} came with shape {tuple(value.shape)}; one that broadcasts to {tuple(step)} is wanted."
        ) from None


def _filled(value, step):
    """The tensor with one number per neuron, contiguous, in the shape of one step."""
    return (value if value.shape == step else value.expand(step)).contiguous()
