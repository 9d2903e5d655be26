"""Adjoints: how a solved spike train is given its gradient.

Around the solved trajectory every change is linear: du[t] = gate[t] du[t-1] + drive[t], with the surrogate's slope in the
gate. `tangent` writes that recurrence down once; solving it with `linear_scan` and letting autograd transpose the scan is
back-propagation through time, exactly, with no loop over time.
"""

from dataclasses import dataclass, fields, replace

import torch

from fptlib.scan import linear_scan
from fptlib.spec import NeuronSpec
from fptlib.surrogates import first_derivative_only
from fptlib.tangent import final_state, reattach, tangent


@dataclass(frozen=True)
class Exact:
    """Back-propagation through time with surrogate spikes, as one reverse linear scan.

    g[t] = h[t] dL/ds[t] + A (1 - theta h[t]) g[t+1] for the soft-reset LIF; all neurons of the table likewise.

    Shape: gradients have the shapes of input [T, ...], initial state and parameters.

    Raises:
        RuntimeError: when the gradient is differentiated again (second derivatives are not defined here).

    Example:
        >>> from fptlib import lif, solve
        >>> x = torch.full((3, 1), 0.7, requires_grad=True)
        >>> solve(lif(), x, adjoint=Exact()).spikes.sum().backward()
        >>> x.grad.shape
        torch.Size([3, 1])

    Book: thm-reverse-scan
    """

    def attach(self, spec, x, v0, run, solver):
        """Give the trains of ``run`` a graph; [T, ...] -> spikes [T, P, ...], membrane [T, D, ...], final [memory, ...].

        Book: thm-reverse-scan
        """
        gate, drive, first = tangent(spec, x, v0, run)
        return reattach(spec, run, _scan(spec, gate, drive, first))


@dataclass(frozen=True)
class Detached:
    """Back-propagation through time with the spikes inside the reset held constant: the first Neumann term, one scan.

    g[t] = h[t] dL/ds[t] + A g[t+1] for a soft reset, A (1 - s[t]) g[t+1] for a hard one.

    Shape: gradients have the shapes of input [T, ...], initial state and parameters.

    Raises:
        RuntimeError: when the gradient is differentiated again.

    Example:
        >>> from fptlib import lif, solve
        >>> x = torch.full((3, 1), 0.7, requires_grad=True)
        >>> solve(lif(), x, adjoint=Detached()).spikes.sum().backward()
        >>> bool((x.grad > 0).all())
        True

    Book: prp-detached-first-term
    """

    def attach(self, spec, x, v0, run, solver):
        """As `Exact.attach`, for the neuron with a detached reset; [T, ...] -> three trains. Book: prp-detached-first-term"""
        return Exact().attach(replace(spec, detach_reset=True), x, v0, run, solver)


@dataclass(frozen=True)
class Truncated:
    """The first ``terms`` terms of the Neumann series of back-propagation through time, taken at the solved train.

    J = sum over j < terms of (-theta D A)^j D Lambda: 1 term is `Detached`, T terms are `Exact`; between them the error
    need not fall with every term.

    Args:
        terms: number of terms kept, at least 1; as many scans.

    Shape: gradients have the shapes of input [T, ...], initial state and parameters.

    Raises:
        ValueError: when ``terms`` is not a positive integer.

    Example:
        >>> from fptlib import lif, solve
        >>> x = torch.full((3, 1), 0.7, requires_grad=True)
        >>> solve(lif(), x, adjoint=Truncated(2)).spikes.sum().backward()

    Book: prp-neumann-remainder
    """

    terms: int = 1

    def __post_init__(self):
        if not isinstance(self.terms, int) or isinstance(self.terms, bool) or self.terms < 1:
            raise ValueError(f"Truncated: terms came as {self.terms!r}; a positive integer is wanted.")

    def attach(self, spec, x, v0, run, solver):
        """As `Exact.attach`, by scans with the detached gate; [T, ...] -> three trains. Book: prp-neumann-remainder"""
        base, drive, first = tangent(spec, x, v0, run, detach_reset=True)
        change = _scan(spec, base, drive, first)
        if self.terms > 1 and not spec.detach_reset:
            full, drive, _ = tangent(spec, x, v0, run)
            for _ in range(min(self.terms, x.shape[0]) - 1):
                late = ((full - base)[1:] * change[:-1, None]).sum(2)
                change = _scan(spec, base, drive + torch.cat([torch.zeros_like(drive[:1]), late]), first)
        return reattach(replace(spec, detach_reset=spec.detach_reset or self.terms == 1), run, change)


@dataclass(frozen=True)
class Unrolled:
    """Differentiate the sweeps of `FixedPoint` as they were run, stage by stage: what the released FPT code does.

    dS = sum over j < K of (-theta)^j D_K A D_{K-1} ... A D_{K-j} Lambda dx, each D_k at the membrane of its own sweep.

    Args:
        backward_slopes: steepness of the sigmoid derivative in the backward pass of each sweep, K numbers (released:
            max(1, slope / 3)); None differentiates the sigmoid that ran. Hard sweeps use the neuron's surrogate.

    Shape: gradients have the shapes of input [T, ...], initial state and parameters; memory grows with K.

    Raises:
        TypeError: when the solver is not `FixedPoint`.
        ValueError: when its sweeps are not a number, or the backward slopes do not match its slopes.

    Example:
        >>> from fptlib import FixedPoint, lif, solve
        >>> x = torch.full((3, 1), 0.7, requires_grad=True)
        >>> solver = FixedPoint(sweeps=3, slopes=(2, 6, 12))
        >>> solve(lif(), x, solver, adjoint=Unrolled(backward_slopes=(1, 2, 4))).spikes.sum().backward()

    Book: thm-unrolled-neumann
    """

    backward_slopes: tuple | None = None

    def run(self, spec, x, v0, solver):
        """Run ``solver`` with its graph; x [T, ...], v0 [D, ...] -> `Run`. Book: thm-unrolled-neumann"""
        table = {field.name: getattr(spec, field.name) for field in fields(NeuronSpec)}
        run = solver.run(_AsRun(**table, backward=self._flatter(solver)), x, v0)
        return replace(run, final_state=final_state(spec, run, run.membrane, run.spikes))

    def _flatter(self, solver):
        """Forward slope -> backward slope, after the checks."""
        if not (hasattr(solver, "slopes") and hasattr(solver, "sweeps")):
            raise TypeError(
                f"Unrolled: solver came as {type(solver).__name__}; it differentiates the sweeps of FixedPoint; "
                f"use solver=FixedPoint(sweeps=K), or adjoint=Exact()."
            )
        if solver.sweeps is None:
            raise ValueError(
                "Unrolled: FixedPoint came with sweeps=None; a fixed number of sweeps is wanted, or adjoint=Exact()."
            )
        if self.backward_slopes is None:
            return {}
        pairs = list(zip(solver.slopes or (), self.backward_slopes, strict=False))
        flatter, wanted = dict(pairs), len(self.backward_slopes)
        if len(pairs) != wanted or wanted != solver.sweeps or any(flatter[a] != b or b <= 0 for a, b in pairs):
            raise ValueError(
                f"Unrolled: backward_slopes came as {self.backward_slopes} with slopes {solver.slopes}; one positive number "
                f"a sweep is wanted, the same for equal slopes, beside FixedPoint(slopes=...)."
            )
        return flatter


@dataclass(frozen=True)
class _AsRun(NeuronSpec):
    """The same table, seen by sweeps that are differentiated: another sigmoid derivative, a detached reset obeyed."""

    backward: dict = None

    def emit(self, distance, slope=None):
        """Spikes [T, P, ...] from C u - theta, with the backward slope of their sweep. Book: thm-unrolled-neumann"""
        if slope not in self.backward:
            return super().emit(distance, slope)
        return Flattened.apply(distance, slope, self.backward[slope])

    def coefficients(self, x, spikes, *late):
        """As `NeuronSpec.coefficients`, [T, ...]; a detached reset takes spikes as numbers. Book: thm-unrolled-neumann"""
        return super().coefficients(x, spikes.detach() if self.detach_reset else spikes, *late)


class Flattened(torch.autograd.Function):
    """sigmoid(slope x) forward, the derivative of sigmoid(back x) backward; [...] -> [...]. Book: thm-unrolled-neumann"""

    @staticmethod
    def forward(ctx, x, slope, back):
        ctx.save_for_backward(x)
        ctx.back = back
        return torch.sigmoid(slope * x)

    @staticmethod
    @first_derivative_only
    def backward(ctx, grad):
        p = torch.sigmoid(ctx.back * ctx.saved_tensors[0])
        return grad * ctx.back * p * (1 - p), None, None


def _scan(spec, gate, drive, first):
    return linear_scan(gate[:, 0] if spec.states == 1 else gate, drive, first)
