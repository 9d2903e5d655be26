"""The Triton kernels behind `solve`: when they can run, and the call.

Exact and Detached are differentiated by the kernels themselves. Any other adjoint that starts from a solved train gets it from
the kernels, spikes and membrane, and attaches its gradient in torch, as it does to a train solved in torch.
"""

from functools import partial

import torch

from fptlib import kernels  # imports no Triton
from fptlib.adjoints import Detached, Exact, Truncated
from fptlib.checks import may_look
from fptlib.replay import PROVED, Replay
from fptlib.result import Run
from fptlib.solvers import FixedPoint, finish
from fptlib.surrogates import ATan, Sigmoid, Triangle, spike

_SHAPES = {Sigmoid: ("sigmoid", "slope"), ATan: ("atan", "width"), Triangle: ("triangle", "width")}


def kernel_surrogate(surrogate):
    """Name and slope (or width) of a surrogate whose derivative the kernels know, or None (no shape). Book: ch-time"""
    if type(surrogate) not in _SHAPES:
        return None
    name, field = _SHAPES[type(surrogate)]
    return name, getattr(surrogate, field)


def refusal(spec, x, solver, adjoint):
    """Why the kernels cannot run this call, as a sentence, or None when they can; x [T, ...] in its own dtype.

    Book: ch-time
    """
    reason = kernels.available(x)
    if reason:
        return reason
    if not hasattr(adjoint, "attach"):
        return (
            f"{type(adjoint).__name__}() differentiates a run of the torch code, not a train that the kernels solved."
        )
    if isinstance(solver, FixedPoint):
        return _no_sweeps(spec, solver)
    if not isinstance(solver, Replay) and solver != "auto":
        return f"the kernels solve by Replay() or FixedPoint(), not by {type(solver).__name__}."
    if spec.states == 1 and (spec.name != "lif" or torch.is_tensor(spec.reset_to[0])):
        return "the one-state kernel is the LIF with a number as its reset value."
    if spec.states > 2 or spec.channels > 2:
        return f"the kernels hold two states and two spike channels, not {spec.states} and {spec.channels}."
    return None


def _no_sweeps(spec, solver):
    """Why FixedPoint's sweeps cannot run in a kernel, or None."""
    if solver.sample or solver.product != "scan":
        return "the kernels sweep without sampling and without the dense product."
    if _free_resonator(spec):
        return None if solver.slopes is None else "the kernel of the resonator has the hard threshold."
    if solver.sweeps is None:
        return "the kernels run a number of sweeps, not sweeps=None."
    if spec.name != "lif" or _reset(spec) == "hard":
        return f"the kernels sweep the LIF without a hard reset and the resonator without reset, not this {spec.name}."
    return None


def _free_resonator(spec):
    return spec.name == "resonate_and_fire" and not torch.is_tensor(spec.reset[0][0]) and spec.reset[0][0] == 0


def _reset(spec):
    amount = spec.reset[0][0]
    return "hard" if spec.hard[0] else "none" if not torch.is_tensor(amount) and amount == 0 else "soft"


def kernel_run(spec, x, state, solver, adjoint, look=True):
    """Run the kernels on x [T, ...] (any floating dtype) from state [memory, ...].

    ``state`` None is zero; ``look`` False leaves the sweeps' changes uncounted, so that the host never waits. Returns a `Run` and its trains with graph: spikes, membrane or a function that recomputes it, final
    state; single channel axes are dropped, here rather than by views that a backward pass would have to undo. Book: ch-time
    """
    leaves = (x, *spec.tensors(), *(() if state is None else (state,)))
    wants = torch.is_grad_enabled() and any(t.requires_grad for t in leaves)
    if isinstance(solver, FixedPoint):
        if _free_resonator(spec) and not (wants and type(adjoint) not in (Exact, Detached, Truncated)):
            return _resonance(spec, x, state, wants, look)
        run = _swept(spec, x, state, solver, look)
        return run, _attached(spec, x, state, run, solver, adjoint if wants else None)
    known = kernel_surrogate(spec.surrogate)
    fused = known and type(adjoint) in (Exact, Detached)
    name, slope = known or ("sigmoid", 1.0)  # read by the backward pass of the kernels only
    options = {
        "surrogate": name,
        "slope": slope,
        "detach_reset": spec.detach_reset or isinstance(adjoint, Detached),
        "chunk": getattr(solver, "chunk", None),
        "warmup": getattr(solver, "warmup", None),
    }
    call = _one_state if spec.states == 1 else _two_states
    if fused or not wants:
        spikes, final, report = call(spec, x, state, options)
        run = Run(spikes, None, final, 1, (), PROVED, backend="triton", note=report.reason, report=report)
        return run, (spikes, partial(_membrane, call, spec, x, state, options), final)
    with torch.no_grad():
        spikes, final, membrane, report = call(spec, x, state, options | {"membrane": True})
    T, step = x.shape[0], x.shape[1:]
    spikes, membrane = spikes.to(final.dtype).view(T, -1, *step), membrane.view(T, -1, *step)
    note = f"{report.reason} Gradient: {type(adjoint).__name__}, in torch."
    final = final.view(-1, *step)
    run = Run(spikes, membrane, final, 1, (), PROVED, backend="triton", note=note, report=report)
    return run, _attached(spec, x, state, run, solver, adjoint)


def _attached(spec, x, state, run, solver, adjoint):
    """Trains of a `Run`, with the graph of ``adjoint`` where one is given."""
    trains = run.spikes, run.membrane, run.final_state
    if adjoint is not None:
        zero = run.final_state.new_zeros(run.final_state.shape)
        trains = adjoint.attach(spec, x.to(zero.dtype), zero if state is None else state, run, solver)
    spikes, membrane, final = trains
    return (
        spikes.squeeze(1).to(x.dtype) if spec.channels == 1 else spikes.to(x.dtype),
        membrane.squeeze(1) if spec.states == 1 else membrane,
        final.squeeze(0) if spec.memory == 1 else final,
    )


def _membrane(call, spec, x, state, options):
    with torch.no_grad():
        return call(spec, x, state, options | {"membrane": True})[2]


def _one_state(spec, x, state, options):
    start = None if state is None else state[0]
    rest = (spec.threshold[0], _reset(spec), spec.reset_to[0], start)
    return kernels.lif_replay(x, spec.transition[0][0], *rest, **options)


def _two_states(spec, x, state, options):
    table = (spec.transition, spec.drive, spec.readout, spec.threshold, spec.reset, spec.jump, spec.hard, spec.reset_to)
    spikes, *rest = kernels.two_state_replay(x, *table, state, **options)
    return spikes.squeeze(1) if spec.channels == 1 else spikes, *rest


def _resonance(spec, x, state, wants, look):
    """One complex scan: without reset the first evaluation is the last, and all adjoints are its transpose."""
    pole, threshold = (spec.transition[0][0], spec.transition[1][0]), spec.threshold[0]
    if wants:
        u, final, report = kernels.complex_scan(x, pole, state)
        spikes = spike(u - threshold, spec.surrogate).to(x.dtype)
    else:
        spikes, final, report = kernels.complex_scan(x, pole, state, threshold=threshold)
    residuals = (int(spikes.detach().sum()),) if look and may_look() else ()
    note = f"{report.reason} Without reset one evaluation is the fixed point."
    numbers = spikes.detach().to(final.dtype)[:, None]
    run = Run(numbers, None, final, 1, residuals, backend="triton", note=note, report=report)
    return run, (spikes, partial(_both_parts, x, pole, state), final)


def _both_parts(x, pole, state):
    with torch.no_grad():
        real, _, imag, _ = kernels.complex_scan(x, pole, state, imag=True)
        return torch.stack([real, imag], dim=1)


def _swept(spec, x, state, solver, look):
    """All sweeps in one kernel, without graph."""
    start = None if state is None else state[0]
    if _free_resonator(spec):
        run, (spikes, membrane, final) = _resonance(spec, x.detach(), state, False, look)
        return Run(run.spikes, membrane(), final, 1, run.residuals, backend="triton", note=run.note, report=run.report)
    with torch.no_grad():
        wide = (
            x if solver.slopes is None else x.to(torch.promote_types(x.dtype, torch.float32))
        )  # graded spikes need digits
        done = kernels.fixed_point_sweeps(
            wide,
            spec.transition[0][0],
            spec.threshold[0],
            solver.sweeps,
            solver.slopes,
            _reset(spec),
            start,
            membrane=True,
        )
        spikes, graded = done.spikes.to(done.membrane.dtype)[:, None], solver.slopes is not None
        residuals = done.residuals if look and may_look() else ()
        run = finish(spec, done.membrane[:, None], spikes, solver.sweeps, residuals, graded)
    fields = (run.spikes, run.membrane, run.final_state, run.sweeps, run.residuals)
    return Run(*fields, graded=graded, backend="triton", note=f"{solver.sweeps} sweeps in one pass over time.")
