"""`solve`: the one front door. Checks, solver, proof, gradient, in that order."""

import math
from functools import partial

import torch

from fptlib.adjoints import Exact
from fptlib.auto import exact_solver
from fptlib.certificate import certify
from fptlib.checks import may_look, unread
from fptlib.device import kernel_run, refusal
from fptlib.replay import Replay
from fptlib.result import Solution, SolveError, Status
from fptlib.spec import NeuronSpec

_FAILING = (Status.UNDECIDED, Status.NONFINITE)
_EXACT, _REPLAY = Exact(), Replay()


def solve(neuron, x, solver="auto", *, v0=None, adjoint=None, backend="auto", on_failure="raise", validate=True):
    """Run a neuron over all time steps of an input and say what is proved about the result.

    s = f(C u - theta), u = B - F s: by the loop, by sweeps, or by chunks of time in parallel, as ``solver`` says.

    Args:
        neuron: a NeuronSpec, e.g. ``lif(decay=0.5)``.
        x: input, [T, ...], floating point, time first; any trailing shape.
        solver: a solver object, or "auto": an exact one, chosen by neuron, T and N; ``Solution.note`` says which and why.
        v0: state handed over by an earlier window, [...] (D = 1), [D, ...], or [D + P, ...] with the last spikes where a
            jump is due (`alif`, paper order); None is zero. ``Solution.final_state`` is that state.
        adjoint: how the gradient is formed; None is `Exact`.
        backend: "auto", "torch" or "triton". A backend asked for by name runs or raises; the choice is recorded.
        on_failure: "raise" a `SolveError`, or "return" the solution with its failing status.
        validate: check values (finite input and result, learned parameters in range) too; False checks shapes and types only,
            and then the kernels never make the host wait for the device.

    Returns:
        A `Solution`: spikes [T, ...] in the dtype of ``x``, membrane, final state, certificate, status.
        States are float64 for float64 input and float32 otherwise.

    Raises:
        TypeError: x or v0 is not a floating-point tensor, or an argument is of the wrong kind.
        ValueError: empty time axis, shapes that do not fit, non-finite values, unknown names, a solver unfit for the neuron.
        SolveError: the solve failed and ``on_failure`` is "raise".

    Example:
        >>> from fptlib import lif
        >>> solution = solve(lif(decay=0.5), torch.full((4, 1), 0.7))
        >>> solution.spikes.flatten(), solution.certificate.exact
        (tensor([0., 1., 0., 1.]), True)

    Book: def-solution
    """
    if torch.compiler.is_compiling():  # a compiled model calls this as it is: tracing a loop over time gains nothing
        return torch.compiler.disable(solve)(
            neuron, x, solver, v0=v0, adjoint=adjoint, backend=backend, on_failure=on_failure, validate=validate
        )
    validate = validate and may_look()
    check_neuron_and_input(neuron, x, validate)
    adjoint = _EXACT if adjoint is None else adjoint
    check_choices(solver, adjoint, backend, on_failure)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    spec = table_of(neuron, validate).cast(dtype)
    state = initial_state(spec, x, v0, dtype, validate)
    check_table(spec, x)
    kernels = backend == "triton" or (backend == "auto" and x.is_cuda)
    refused = refusal(spec, x, solver, adjoint) if kernels else ""
    if backend == "triton" and refused:
        raise ValueError(f"solve: backend='triton' came, but {refused} Use backend='torch', or 'auto' to choose.")
    if refused is None:
        run, trains = kernel_run(spec, x, state, solver, adjoint, validate)
        note = "asked for" if backend == "triton" else "auto: Triton kernels, as x is on a GPU"
        chosen = _REPLAY if solver == "auto" else solver
        return wrap(spec, x, state, chosen, note, run, trains, on_failure, validate)
    current = x.to(dtype)
    state = x.new_zeros((spec.memory, *x.shape[1:]), dtype=dtype) if state is None else state
    solver, note = choose(spec, current, solver)
    note += f" (torch, as {refused})" if refused else ""
    wants_grad = torch.is_grad_enabled() and any(t.requires_grad for t in (current, state, *spec.tensors()))

    if wants_grad and hasattr(adjoint, "run"):
        run = adjoint.run(spec, current, state, solver)
        trains = run.spikes, run.membrane, run.final_state
    else:
        with torch.no_grad():
            run = solver.run(spec, current, state)
        trains = adjoint.attach(spec, current, state, run, solver) if wants_grad else None
    spikes, membrane, final = trains or (run.spikes, run.membrane, run.final_state)
    trains = (
        spikes.squeeze(1).to(x.dtype) if spec.channels == 1 else spikes.to(x.dtype),
        membrane.squeeze(1) if spec.states == 1 else membrane,
        final.squeeze(0) if spec.memory == 1 else final,
    )
    return wrap(spec, current, state, solver, note, run, trains, on_failure, validate)


def choose(spec, x, solver):
    """The solver to run and the sentence that says why; x [T, ...]. Book: def-solution"""
    if solver != "auto":
        return solver, "asked for"
    return exact_solver(spec, x)


def wrap(spec, x, v0, solver, note, run, trains, on_failure, validate):
    """Judge the result; trains (spikes, membrane or a function that recomputes it, final state) [T, ...] -> `Solution`.

    Book: def-solution
    """
    spikes, membrane, final = trains
    finite = not validate or all_finite(run.final_state)
    solution = Solution(
        spikes=spikes,
        _membrane=membrane,
        final_state=final,
        sweeps=run.sweeps,
        residuals=run.residuals,
        backend=run.backend,
        solver=solver,
        note=f"{note}: {run.note}" if note and run.note else note or run.note,
        mix=spec.mix,
        report=run.report,
        _prove=partial(_certify_later, spec, x, v0, run),
        _judge=partial(_judge, run, solver, finite),
    )
    needs_proof = getattr(solver, "sweeps", 1) is None
    if on_failure == "raise" and (not finite or needs_proof) and solution.status in _FAILING:
        raise SolveError(solution.status.value)
    return solution


def _certify_later(spec, x, v0, run):
    with torch.no_grad():
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        v0 = x.new_zeros((spec.memory, *x.shape[1:]), dtype=dtype) if v0 is None else v0.detach()
        return certify(spec.detached(), x.detach().to(dtype), v0, run, run.bounds)


def all_finite(tensor):
    """Whether a tensor [...] holds finite numbers only: one read, and a second one where the sum overflowed.

    Book: def-solution
    """
    return math.isfinite(tensor.detach().sum().item()) or bool(torch.isfinite(tensor).all())


def _judge(run, solver, finite, solution):
    if not finite:
        return Status.NONFINITE
    if run.graded:
        return Status.GRADED
    if solution.certificate.exact:
        return Status.EXACT
    return Status.UNDECIDED if getattr(solver, "sweeps", 1) is None else Status.SWEEPS_DONE


def check_neuron_and_input(neuron, x, validate):
    """Refuse what is not a neuron or not a finite floating-point input [T, ...]. Book: def-solution"""
    if not isinstance(neuron, NeuronSpec):
        raise TypeError(f"solve: neuron came as {type(neuron).__name__}; a NeuronSpec is wanted, e.g. lif(decay=0.5).")
    if not torch.is_tensor(x):
        raise TypeError(f"solve: x came as {type(x).__name__}; a torch tensor [T, ...] is wanted; use torch.as_tensor.")
    if not x.is_floating_point():
        raise TypeError(f"solve: x came as {x.dtype}; a floating-point input is wanted; convert it with x.float().")
    if x.ndim == 0 or x.shape[0] == 0:
        raise ValueError(f"solve: x came with shape {tuple(x.shape)}; [T, ...] with at least one time step is wanted.")
    if validate and not all_finite(x):
        raise ValueError("solve: x holds NaN or infinity; finite input is wanted; remove or mask such values first.")


def table_of(neuron, validate):
    """The neuron's table for this call, its learnable values read for their range only with ``validate`` (no shape).

    Book: def-neuron-spec
    """
    if validate or neuron.fixed:
        return neuron.fresh()
    with unread():
        return neuron.fresh()


def check_table(spec, x):
    """Refuse parameters that do not fit one time step of x [T, ...], or live elsewhere. Book: def-neuron-spec"""
    for entry in () if spec.fixed else spec.tensors():
        if entry.device != x.device and entry.ndim > 0:
            raise ValueError(
                f"solve: a parameter lives on {entry.device}, x on {x.device}; move one of them with .to()."
            )
        if entry.ndim == 0 or entry.shape == x.shape[1:]:
            continue
        try:
            fits = torch.broadcast_shapes(entry.shape, x.shape[1:]) == x.shape[1:]
        except RuntimeError:
            fits = False
        if not fits:
            raise ValueError(
                f"solve: a parameter of shape {tuple(entry.shape)} does not broadcast to one step {tuple(x.shape[1:])} of x."
            )


def initial_state(spec, x, v0, dtype, validate):
    """v0 as [memory, ...] in the loop's dtype; None stays None, which is zero. Book: def-solution"""
    if v0 is None:
        return None
    shape = (spec.memory, *x.shape[1:])
    if not torch.is_tensor(v0) or not v0.is_floating_point():
        kind = v0.dtype if torch.is_tensor(v0) else type(v0).__name__
        raise TypeError(f"solve: v0 came as {kind}; a floating-point tensor is wanted.")
    wanted = shape[1:] if spec.memory == 1 else shape
    if tuple(v0.shape) != wanted:
        raise ValueError(f"solve: v0 came with shape {tuple(v0.shape)}; one state {wanted} is wanted.")
    if v0.device != x.device:
        raise ValueError(f"solve: v0 lives on {v0.device}, x on {x.device}; move one of them with .to().")
    if validate and not all_finite(v0):
        raise ValueError("solve: v0 holds NaN or infinity; a finite state is wanted.")
    return v0.to(dtype).reshape(shape)


def check_choices(solver, adjoint, backend, on_failure):
    """Refuse unknown solvers, adjoints, backends and policies (no tensors, no shape). Book: def-solution"""
    if solver != "auto" and (isinstance(solver, type) or not hasattr(solver, "run")):
        raise TypeError(
            f"solve: solver came as {solver!r}; 'auto' or a solver object is wanted, e.g. FixedPoint(sweeps=3)."
        )
    if isinstance(adjoint, type) or not (hasattr(adjoint, "attach") or hasattr(adjoint, "run")):
        raise TypeError(f"solve: adjoint came as {adjoint!r}; an adjoint object is wanted, e.g. Exact().")
    if backend not in ("auto", "torch", "triton"):
        raise ValueError(f"solve: backend came as {backend!r}; 'auto', 'torch' or 'triton' is wanted.")
    if on_failure not in ("raise", "return"):
        raise ValueError(f"solve: on_failure came as {on_failure!r}; 'raise' or 'return' is wanted.")
