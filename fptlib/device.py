"""The Triton kernels behind `solve`: when they can run, and the call."""

from functools import partial

import torch

from fptlib import kernels  # imports no Triton
from fptlib.adjoints import Detached, Exact
from fptlib.replay import PROVED, Replay
from fptlib.result import Run
from fptlib.surrogates import ATan, Sigmoid, Triangle

_SHAPES = {Sigmoid: ("sigmoid", "slope"), ATan: ("atan", "width"), Triangle: ("triangle", "width")}


def refusal(spec, x, solver, adjoint):
    """Why the kernels cannot run this call, as a sentence, or None when they can; x [T, ...] in its own dtype.

    Book: ch-time
    """
    reason = kernels.available(x)
    if reason:
        return reason
    if not isinstance(solver, Replay) and solver != "auto":
        return f"the kernels solve by Replay(), not by {type(solver).__name__}."
    if type(adjoint) not in (Exact, Detached):
        return f"the kernels differentiate by Exact() or Detached(), not by {type(adjoint).__name__}."
    if type(spec.surrogate) not in _SHAPES:
        return f"the kernels know Sigmoid, ATan and Triangle, not {type(spec.surrogate).__name__}."
    if spec.states == 1 and (spec.name != "lif" or torch.is_tensor(spec.reset_to[0])):
        return "the one-state kernel is the LIF with a number as its reset value."
    if spec.states > 2 or spec.channels > 2:
        return f"the kernels hold two states and two spike channels, not {spec.states} and {spec.channels}."
    return None


def kernel_run(spec, x, state, solver, adjoint):
    """Run the kernels on x [T, ...] (any floating dtype) from state [memory, ...].

    ``state`` None is zero. Returns a `Run` and its trains with graph: spikes, a function that recomputes the membrane, final
    state; single channel axes are dropped, here rather than by views that a backward pass would have to undo. Book: ch-time
    """
    name, field = _SHAPES[type(spec.surrogate)]
    options = {
        "surrogate": name,
        "slope": getattr(spec.surrogate, field),
        "detach_reset": spec.detach_reset or isinstance(adjoint, Detached),
        "chunk": getattr(solver, "chunk", None),
        "warmup": getattr(solver, "warmup", None),
    }
    call = _one_state if spec.states == 1 else _two_states
    spikes, final, report = call(spec, x, state, options)
    run = Run(spikes, None, final, 1, (), PROVED, backend="triton", note=report.reason, report=report)
    return run, (spikes, partial(_membrane, call, spec, x, state, options), final)


def _membrane(call, spec, x, state, options):
    with torch.no_grad():
        return call(spec, x, state, options | {"membrane": True})[2]


def _one_state(spec, x, state, options):
    amount = spec.reset[0][0]
    reset = "hard" if spec.hard[0] else "none" if not torch.is_tensor(amount) and amount == 0 else "soft"
    start = None if state is None else state[0]
    return kernels.lif_replay(x, spec.transition[0][0], spec.threshold[0], reset, spec.reset_to[0], start, **options)


def _two_states(spec, x, state, options):
    table = (spec.transition, spec.drive, spec.readout, spec.threshold, spec.reset, spec.jump, spec.hard, spec.reset_to)
    spikes, *rest = kernels.two_state_replay(x, *table, state, **options)
    return spikes.squeeze(1) if spec.channels == 1 else spikes, *rest
