"""Solvers: each is a frozen choice of numbers with one method, `run(spec, x, v0)`, that returns a `Run`."""

from dataclasses import dataclass

import torch

from fptlib.brackets import brackets, order_signs, run_linear
from fptlib.checks import may_look
from fptlib.result import Run
from fptlib.spec import stack_matrix


@dataclass(frozen=True)
class Sequential:
    """The loop over time: u[t] from v[t-1], spike, reset. The definition of the right answer.

    Shape: input [T, ...], spikes [T, ...].

    Example:
        >>> from fptlib import lif, solve
        >>> solve(lif(), torch.ones(2, 1), Sequential()).spikes.flatten()
        tensor([1., 1.])

    Book: def-arithmetic
    """

    def run(self, spec, x, v0):
        """Step through time; x [T, ...], v0 [memory, ...] -> `Run`. Book: def-arithmetic"""
        v, s = (list(part.unbind(0)) for part in spec.split(v0))
        membrane, spikes = [], []
        for now in x.unbind(0):
            u = spec.charge(v, now, s)
            s = spec.fire(u)
            v = spec.settle(u, s)
            membrane.append(torch.stack(u))
            spikes.append(torch.stack(s))
        reason = "This is the sequential neuron itself."
        final = spec.join(torch.stack(v), spikes[-1])
        return Run(torch.stack(spikes), torch.stack(membrane), final, 1, (), reason)


@dataclass(frozen=True)
class FixedPoint:
    """Fixed-point parallel training (FPT): K evaluations of the spike function, all steps at once.

    S = 0; then K times U = B - theta A S, S = f(U - theta): one reset-free guess and K - 1 corrections.

    Args:
        sweeps: K, or None to sweep until the train is certified.
        slopes: steepness of each sweep's sigmoid, K numbers (annealed as released: (2, 6, 12)); None is the hard threshold.
        product: "scan" (O(T) work a sweep) or "dense" (the published T x T product; one leak for all neurons).
        sample: True draws the output from the last sigmoid as a Bernoulli probability, as released.
        generator: source of the draws; None is torch's global one.

    Shape: input [T, ...], spikes [T, ...].

    Raises:
        ValueError: when sweeps < 1, slopes do not match sweeps, or sampling comes without slopes.

    Example:
        >>> from fptlib import lif, solve
        >>> solve(lif(), torch.ones(2, 1), FixedPoint(sweeps=3, slopes=(2, 6, 12))).spikes.shape
        torch.Size([2, 1])

    Book: alg-fpt
    """

    sweeps: int | None = 3
    slopes: tuple | None = None
    product: str = "scan"
    sample: bool = False
    generator: torch.Generator | None = None

    def __post_init__(self):
        if self.sweeps is not None and (not isinstance(self.sweeps, int) or self.sweeps < 1):
            raise ValueError(f"FixedPoint: sweeps came as {self.sweeps!r}; a positive integer is wanted, or None.")
        if self.slopes is not None and (self.sweeps is None or len(self.slopes) != self.sweeps):
            raise ValueError(
                f"FixedPoint: {len(self.slopes)} slopes came with sweeps={self.sweeps}; give one slope a sweep."
            )
        if self.slopes is not None and not all(a > 0 for a in self.slopes):
            raise ValueError(f"FixedPoint: slopes came as {self.slopes}; positive numbers are wanted.")
        if self.product not in ("scan", "dense"):
            raise ValueError(f"FixedPoint: product came as {self.product!r}; 'scan' or 'dense' is wanted.")
        if self.sample and self.slopes is None:
            raise ValueError("FixedPoint: sample=True came without slopes; a hard threshold gives no probability.")

    def run(self, spec, x, v0):
        """Sweep; x [T, ...], v0 [memory, ...] -> `Run`. Differentiable as executed. Book: alg-fpt"""
        if self.sweeps is None:
            return self._until_certified(spec, x, v0)
        linear = run_linear if self.product == "scan" else dense_linear
        spikes, residuals = x.new_zeros(x.shape[0], spec.channels, *x.shape[1:]), []
        for slope in self.slopes or (None,) * self.sweeps:
            membrane = linear(spec, x, spikes, v0)
            before, spikes = spikes, spec.emit(spec.sense_all(membrane), slope)
            if may_look():  # a number on the host waits for the device
                residuals.append(int(((before > 0.5) != (spikes > 0.5)).sum()))
        if self.sample:
            spikes = Bernoulli.apply(spikes, self.generator)
        return finish(spec, membrane, spikes, self.sweeps, residuals, self.slopes is not None)

    def _until_certified(self, spec, x, v0):
        if order_signs(spec) is not None:
            lower, upper, done = brackets(spec, x, v0, x.dtype)
            return finish(spec, run_linear(spec, x, lower, v0), lower, done, (), bounds=(lower, upper))
        return until_settled(spec, x, v0, lambda spikes: run_linear(spec, x, spikes, v0))


def until_settled(spec, x, v0, sweep):
    """Repeat spikes -> membrane -> spikes until nothing changes; at most T + 1 sweeps. [T, ...] -> `Run`.

    Book: thm-first-k-exact
    """
    spikes, residuals = x.new_zeros(x.shape[0], spec.channels, *x.shape[1:]), []
    while not residuals or residuals[-1]:
        membrane = sweep(spikes)
        before, spikes = spikes, spec.emit(spec.sense_all(membrane))
        residuals.append(int((before != spikes).sum()))
    return finish(spec, membrane, spikes, len(residuals), residuals)


def finish(spec, membrane, spikes, sweeps, residuals, graded=False, bounds=None):
    """Wrap trains [T, D, ...], [T, P, ...] as a `Run` with the state after the last reset. Book: def-solution"""
    last = torch.stack(spec.settle(list(membrane[-1].unbind(0)), list(spikes[-1].unbind(0))))
    return Run(spikes, membrane, spec.join(last, spikes[-1]), sweeps, tuple(residuals), graded=graded, bounds=bounds)


def dense_linear(spec, x, spikes, v0):
    """Membrane for given spikes by the dense product with Lambda [T, T], as published; [T, ...] -> [T, 1, ...].

    Raises ValueError for a table with several states, a hard reset or a leak that differs between neurons.
    Book: alg-fpt
    """
    decay = spec.transition[0][0]
    if spec.states > 1 or any(spec.hard) or (torch.is_tensor(decay) and decay.numel() > 1):
        raise ValueError(
            f"FixedPoint(product='dense'): {spec.name} has several states, a hard reset or a leak per neuron; "
            f"one T x T matrix cannot hold that; use product='scan'."
        )
    steps = torch.arange(x.shape[0], device=x.device)
    lag = steps[:, None] - steps[None, :]
    leak = stack_matrix(spec.transition, x.new_zeros(()))[0, 0]
    kernel = torch.where(lag >= 0, leak ** lag.clamp(min=0), torch.zeros((), dtype=x.dtype, device=x.device))
    drive = spec.coefficients(x, spikes)[1]
    first = torch.cat([drive[:1] + leak * v0[None], drive[1:]])
    return (kernel @ first.flatten(1)).reshape(first.shape)


class Bernoulli(torch.autograd.Function):
    """Draw spikes from probabilities [...]; the backward pass is the identity, as in the released code. Book: alg-fpt"""

    @staticmethod
    def forward(ctx, probability, generator):
        return torch.bernoulli(probability, generator=generator)

    @staticmethod
    def backward(ctx, grad):
        return grad, None
