"""The tangent of a solved train: the linear recurrence that small changes obey, and the way back to trains with a graph."""

import torch

from fptlib.spec import stack_matrix


def tangent(spec, x, v0, run, detach_reset=None):
    """The linear recurrence that a small change of input, state or parameters obeys along a solved train.

    du[t] = gate[t] du[t-1] + drive[t], where gate = A (keep - W h C) + J h C, h the surrogate's slope at C u - theta and
    W = R + (1 - keep)(u - r) what a spike takes away.

    Args:
        spec: NeuronSpec, parameters attached; x [T, ...] and v0 [memory, ...] attached.
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
    hard = stack_matrix([[float(h) for h in spec.hard]], step)[0] > 0
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

    v, due = spec.split(v0)
    settled = spec.settle_all(membrane, spikes).detach()
    before = torch.cat([v.detach()[None], settled[:-1]])
    drive = ((a - a.detach()) * before[:, None]).sum(2)
    drive = drive + (stack_matrix([spec.drive], step)[0] * x[:, None] - frozen_drive(spec, x))
    late = (a.detach() * moved[:-1, None]).sum(2) - (jump.detach() * shift[:-1, None]).sum(2)
    late = late + ((jump - jump.detach()) * spikes[:-1, None]).sum(2)
    head = (jump * due).sum(1) - (jump.detach() * due.detach()).sum(1)
    drive = drive + torch.cat([head[None], late])
    gate = _product(a.detach()[None], keep) + _product(jump.detach()[None], hit)
    gate = torch.cat([a.detach()[None], gate[:-1]])
    return gate, drive, v - v.detach()


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
    final = final_state(spec, run, membrane, spikes)
    return spikes, membrane, final


def final_state(spec, run, membrane, spikes):
    """State after the last reset [memory, ...], with graph: v = keep u - R s + (1 - keep) r. Book: thm-reverse-scan"""
    last = spikes[-1].detach() if spec.detach_reset else spikes[-1]
    out = []
    for i in range(spec.states):
        value = membrane[-1, i]
        for p, amount in enumerate(spec.reset[i]):
            value = value - amount * last[p]
        if spec.hard[i]:
            value = value + last[0] * (spec.reset_to[i] - value)
        out.append(value)
    final = spec.join(torch.stack(out), spikes[-1])
    return run.final_state.detach() + (final - final.detach())


def _product(a, b):
    return (a[:, :, :, None] * b[:, None]).sum(2)
