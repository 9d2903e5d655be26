"""Jacobi, Newton and centred sweeps: one update formula, three choices of the linear part.

u_t <- F_t(u_{t-1}) + G_t (u_{t-1}, new - u_{t-1}, old), where F_t is one step of the neuron. G = 0 is Jacobi, G = F' is
Newton, a constant G half-way between the smallest and the largest slope is centred FPT; G = the leak is FPT itself.
All start from the reset-free membrane, and `sweeps` counts evaluations of the spike function, as in `FixedPoint`.
"""

from dataclasses import dataclass, replace

import torch

from fptlib.brackets import run_linear
from fptlib.result import Run
from fptlib.scan import linear_scan
from fptlib.solvers import finish, until_settled
from fptlib.surrogates import Sigmoid
from fptlib.tangent import tangent


@dataclass(frozen=True)
class Jacobi:
    """Jacobi sweeps: every step at once takes one step of the neuron from its old predecessor, G = 0.

    u_t <- F_t(u_{t-1}, old). Elementwise, no scan, in the loop's own arithmetic: what has settled is the loop bit by bit.

    Args:
        sweeps: K, evaluations of the spike function; None sweeps until nothing changes.
        slope: steepness of a sigmoid spike, for graded spikes; None is the hard threshold.
        tolerance: with graded spikes and sweeps=None, stop when no spike changes by more than this.

    Shape: input [T, ...], spikes [T, ...].

    Raises:
        ValueError: when sweeps < 1, the slope is not positive, or graded spikes meet a hard reset.

    Example:
        >>> from fptlib import lif, solve
        >>> solve(lif(), torch.full((4, 1), 0.7), Jacobi()).spikes.flatten()
        tensor([0., 1., 0., 1.])

    Book: def-sweep-family
    """

    sweeps: int | None = None
    slope: float | None = None
    tolerance: float = 1e-6

    def __post_init__(self):
        _check(self)

    def run(self, spec, x, v0):
        """Sweep; x [T, ...], v0 [memory, ...] -> `Run`. Book: def-sweep-family"""
        _refuse_graded_hard(self, spec)
        return _iterate(self, spec, x, v0, step_all, "Jacobi sweeps settled in the loop's own arithmetic.")


@dataclass(frozen=True)
class Newton:
    """Newton sweeps: linearise every step at the old train and solve the linear neuron by one scan, G = F'.

    With a hard threshold F' exists almost everywhere: the leak for a soft reset, so that Newton is FPT, and the leak
    times 1 - s for a hard reset, the gated scan. With ``slope`` it is leak (1 - theta sigma').

    Args:
        sweeps: K, evaluations of the spike function; None sweeps until nothing changes.
        slope: steepness of a sigmoid spike, for graded spikes; None is the hard threshold.
        tolerance: with graded spikes and sweeps=None, stop when no spike changes by more than this.

    Shape: input [T, ...], spikes [T, ...].

    Raises:
        ValueError: when sweeps < 1, the slope is not positive, or graded spikes meet a hard reset.

    Example:
        >>> from fptlib import lif, solve
        >>> solve(lif(), torch.ones(8, 1), Newton(slope=4.0)).sweeps < 8
        True

    Book: prp-fpt-is-newton
    """

    sweeps: int | None = None
    slope: float | None = None
    tolerance: float = 1e-6

    def __post_init__(self):
        _check(self)

    def run(self, spec, x, v0):
        """Sweep; x [T, ...], v0 [memory, ...] -> `Run`. Book: prp-fpt-is-newton"""
        _refuse_graded_hard(self, spec)
        if self.slope is not None:
            return _iterate(self, spec, x, v0, lambda *old: corrected(*old, Sigmoid(self.slope)))
        # No derivative of the spike: old membranes cancel from the update, and what is left is linear in the new ones.
        if self.sweeps is None:
            return until_settled(spec, x, v0, lambda spikes: run_linear(spec, x, spikes, v0))
        return _iterate(self, spec, x, v0, lambda spec, x, v0, _, spikes: run_linear(spec, x, spikes, v0))


@dataclass(frozen=True)
class CentredFixedPoint:
    """Centred FPT: graded sweeps whose linear part is the mid-point of all slopes, G = leak (1 - theta slope / 8).

    It contracts in the sup norm exactly when the sequential neuron does: slope < 4 (1 + 1/leak) / theta, leak < 1.

    Args:
        sweeps: K, evaluations of the spike function; None sweeps until nothing changes.
        slope: steepness of the sigmoid spike.
        tolerance: with sweeps=None, stop when no spike changes by more than this.

    Shape: input [T, ...], spikes [T, ...].

    Raises:
        ValueError: when sweeps < 1, the slope is not positive, or the neuron has a hard reset.

    Example:
        >>> from fptlib import lif, solve
        >>> solve(lif(), torch.ones(8, 1), CentredFixedPoint(slope=4.0)).status.name
        'GRADED'

    Book: thm-centred-contraction
    """

    sweeps: int | None = None
    slope: float = 4.0
    tolerance: float = 1e-6

    def __post_init__(self):
        _check(self)
        if self.slope is None:
            raise ValueError(
                "CentredFixedPoint: slope came as None; a hard threshold has no mid-point slope; give a number."
            )

    def run(self, spec, x, v0):
        """Sweep; x [T, ...], v0 [memory, ...] -> `Run`. Book: thm-centred-contraction"""
        _refuse_graded_hard(self, spec)
        return _iterate(self, spec, x, v0, lambda *old: corrected(*old, _Constant(self.slope / 8)))


@dataclass(frozen=True)
class _Constant:
    """A surrogate whose derivative is one number."""

    value: float

    def derivative(self, x):
        return torch.full_like(x, self.value)


def step_all(spec, x, v0, membrane, spikes):
    """F: one step of the neuron from every old state at once, in the loop's arithmetic; [T, D, ...] -> [T, D, ...].

    Book: def-sweep-family
    """
    (v, late), states = spec.split(v0), spec.settle_all(membrane, spikes)
    states, fired = torch.cat([v[None], states[:-1]]), torch.cat([late[None], spikes[:-1]])
    return torch.stack(spec.charge(list(states.unbind(1)), x, list(fired.unbind(1))), dim=1)


def corrected(spec, x, v0, membrane, spikes, surrogate):
    """One sweep with G from the derivative of ``surrogate``: the residual F(u) - u, carried on by a scan.

    [T, D, ...], [T, P, ...] -> [T, D, ...]. Book: def-sweep-family
    """
    spec = replace(spec, surrogate=surrogate, detach_reset=False)
    gate = tangent(spec, x, v0, Run(spikes, membrane, None, 0, ()))[0]
    residual = step_all(spec, x, v0, membrane, spikes) - membrane
    return membrane + linear_scan(gate[:, 0] if spec.states == 1 else gate, residual)


def _iterate(solver, spec, x, v0, sweep, proof=None):
    """Membrane -> spikes -> membrane, `solver.sweeps` evaluations or until nothing changes, at most T + 1."""
    membrane = run_linear(spec, x, x.new_zeros(x.shape[0], spec.channels, *x.shape[1:]), v0)
    spikes, residuals, settled = x.new_zeros(x.shape[0], spec.channels, *x.shape[1:]), [], False
    for done in range(1, (solver.sweeps or x.shape[0] + 1) + 1):
        before, spikes = spikes, spec.emit(spec.sense_all(membrane), solver.slope)
        residuals.append(int(((before > 0.5) != (spikes > 0.5)).sum()))
        if done == solver.sweeps or settled:
            break
        old, membrane = membrane, sweep(spec, x, v0, membrane, spikes)
        settled = solver.sweeps is None and _same(solver, spec, old, membrane, spikes)
    result = finish(spec, membrane, spikes, done, residuals, graded=solver.slope is not None)
    return replace(result, by_construction=proof) if settled and solver.slope is None else result


def _same(solver, spec, old, membrane, spikes):
    if solver.slope is None:
        return torch.equal(old, membrane)
    return bool(((spec.emit(spec.sense_all(membrane), solver.slope) - spikes).abs() <= solver.tolerance).all())


def _check(solver):
    name, sweeps, slope = type(solver).__name__, solver.sweeps, solver.slope
    if sweeps is not None and (not isinstance(sweeps, int) or isinstance(sweeps, bool) or sweeps < 1):
        raise ValueError(f"{name}: sweeps came as {sweeps!r}; a positive integer is wanted, or None.")
    if slope is not None and not 0 < slope < float("inf"):
        raise ValueError(
            f"{name}: slope came as {slope!r}; a positive number is wanted, or None for the hard threshold."
        )
    if not solver.tolerance >= 0:
        raise ValueError(f"{name}: tolerance came as {solver.tolerance!r}; a number of at least 0 is wanted.")


def _refuse_graded_hard(solver, spec):
    if solver.slope is not None and any(spec.hard):
        raise ValueError(
            f"{type(solver).__name__}: graded spikes came with a hard reset, which a graded spike does not define; "
            f"use slope=None, or a soft reset."
        )
