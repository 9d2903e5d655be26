"""Adjoints: how a solved spike train is given its gradient.

Around the solved trajectory every change is linear: du[t] = gate[t] du[t-1] + drive[t], with the surrogate's slope in the
gate. `tangent` writes that recurrence down once; solving it with `linear_scan` and letting autograd transpose the scan is
back-propagation through time, exactly, with no loop over time.
"""

from dataclasses import dataclass

import torch

from fptlib.scan import linear_scan
from fptlib.spec import stack_matrix


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
        """Give the trains of ``run`` a graph; [T, ...] -> spikes [T, P, ...], membrane [T, D, ...], final [D, ...].

        Book: thm-reverse-scan
        """
        gate, drive, first = tangent(spec, x, v0, run)
        change = linear_scan(gate[:, 0] if spec.states == 1 else gate, drive, first)
        return reattach(spec, run, change)


def frozen(tensor_or_number):
    """The value without its graph (any shape). Book: thm-reverse-scan"""
    return tensor_or_number.detach() if torch.is_tensor(tensor_or_number) else tensor_or_number


def tangent(spec, x, v0, run, detach_reset=None):
    """The linear recurrence that a small change of input, state or parameters obeys along a solved train.

    du[t] = gate[t] du[t-1] + drive[t], where gate = A (keep - W h C) + J h C, h the surrogate's slope at C u - theta and
    W = R + (1 - keep)(u - r) what a spike takes away.

    Args:
        spec: NeuronSpec, parameters attached; x [T, ...] and v0 [D, ...] attached.
        run: the solved train; its tensors are used as numbers.
        detach_reset: overrides ``spec.detach_reset``.

    Returns:
        gate [T, D, D, ...] without graph; drive [T, D, ...] and first [D, ...], zero in value, with graph.

    Raises:
        Nothing.

    Example:
        >>> from fptlib import lif, Sequential
        >>> x, v0 = torch.ones(2, 1), torch.zeros(1, 1)
        >>> tangent(lif(), x, v0, Sequential().run(lif(), x, v0))[1].abs().sum()
        tensor(0.)

    Book: thm-reverse-scan
    """
    detached = spec.detach_reset if detach_reset is None else detach_reset
    step, spikes, membrane = x[0], run.spikes.detach(), run.membrane.detach()
    a, jump = stack_matrix(spec.transition, step), stack_matrix(spec.jump, step)
    reset, read = stack_matrix(spec.reset, step), stack_matrix(spec.readout, step)
    theta, rest = stack_matrix([spec.threshold], step)[0], stack_matrix([spec.reset_to], step)[0]
    hard = torch.tensor(spec.hard, device=x.device).reshape(-1, *(1,) * step.ndim)
    stay = torch.where(hard, 1 - spikes[:, :1], torch.ones_like(membrane))
    slope = torch.zeros_like(spikes) if detached else surrogate_slope(spec, run)

    # What a change of u does to the state after reset, and what a change of parameters does to it directly.
    taken = reset.detach() + torch.where(hard, membrane - rest.detach(), torch.zeros_like(membrane))[:, :, None]
    hit = slope[:, :, None] * read.detach()
    keep = stay[:, :, None] * torch.eye(spec.states, dtype=x.dtype, device=x.device).reshape(
        spec.states, spec.states, *(1,) * step.ndim
    ) - _product(taken, hit)
    shift = slope * (theta - theta.detach() - ((read - read.detach()) * membrane[:, None]).sum(2))
    moved = (taken * shift[:, None]).sum(2) - ((reset - reset.detach()) * spikes[:, None]).sum(2)
    moved = moved + (1 - stay) * (rest - rest.detach())

    settled = spec.settle_all(membrane, spikes).detach()
    before = torch.cat([v0.detach()[None], settled[:-1]])
    drive = ((a - a.detach()) * before[:, None]).sum(2)
    drive = drive + (stack_matrix([spec.drive], step)[0] * x[:, None] - frozen_drive(spec, x))
    late = (a.detach() * moved[:-1, None]).sum(2) - (jump.detach() * shift[:-1, None]).sum(2)
    late = late + ((jump - jump.detach()) * spikes[:-1, None]).sum(2)
    drive = drive + torch.cat([torch.zeros_like(drive[:1]), late])
    gate = _product(a.detach()[None], keep) + _product(jump.detach()[None], hit)
    gate = torch.cat([a.detach()[None], gate[:-1]])
    return gate, drive, v0 - v0.detach()


def frozen_drive(spec, x):
    """B x without its graph, [T, D, ...]. Book: thm-reverse-scan"""
    return (stack_matrix([spec.drive], x[0])[0] * x[:, None]).detach()


def surrogate_slope(spec, run):
    """Surrogate derivative h at C u - theta, [T, P, ...], without graph. Book: thm-reverse-scan"""
    return spec.surrogate.derivative(spec.sense_all(run.membrane.detach())).detach()


def reattach(spec, run, change):
    """Trains of ``run`` plus a change of zero value that carries the graph; [T, D, ...] -> three trains.

    Book: thm-reverse-scan
    """
    membrane = run.membrane.detach() + change
    distance = spec.sense_all(membrane)
    spikes = run.spikes.detach() + surrogate_slope(spec, run) * (distance - distance.detach())
    final = _final(spec, run, membrane, spikes)
    return spikes, membrane, final


def _final(spec, run, membrane, spikes):
    """State after the last reset, with graph: v = keep u - R s + (1 - keep) r."""
    last = spikes[-1].detach() if spec.detach_reset else spikes[-1]
    out = []
    for i in range(spec.states):
        value = membrane[-1, i]
        for p, amount in enumerate(spec.reset[i]):
            value = value - amount * last[p]
        if spec.hard[i]:
            value = value + last[0] * (spec.reset_to[i] - value)
        out.append(value)
    final = torch.stack(out)
    return run.final_state.detach() + (final - final.detach())


def _product(a, b):
    return (a[:, :, :, None] * b[:, None]).sum(2)
