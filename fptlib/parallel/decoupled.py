"""The decoupled reset: a threshold that every spike raises for good, by a kernel, by leaps from spike to spike, or by a walk."""

import torch

from fptlib import kernels  # imports no Triton
from fptlib.checks import may_look
from fptlib.chunks import NEURON_COST, STEP_COST
from fptlib.device import kernel_surrogate
from fptlib.scan import linear_scan, pick_backend
from fptlib.surrogates import first_derivative_only


def decoupled_spikes(u, rise, threshold, surrogate, backend="auto"):
    """s[t] = [u[t] - rise n[t] >= threshold], n[t] = s[0] + ... + s[t-1]; u [T, ...] -> spikes [T, ...], a sentence.

    The gradient is that of the loop, n included: one reverse linear scan. Book: prp-prf-neuron
    """
    known = kernel_surrogate(surrogate)
    refused = None if known else f"the kernels know Sigmoid, ATan and Triangle, not {type(surrogate).__name__}."
    runs, note = pick_backend("PRF", backend, u, refused)
    if runs:
        spikes, report = kernels.decoupled_spikes(u, rise, threshold, *known)
        return spikes, f"{note}: {report.reason}"
    leaping = _leaps_pay(u, rise, threshold)
    return _Decoupled.apply(u, rise, threshold, surrogate, leap if leaping else walk), (
        f"{note}, {'from spike to spike' if leaping else 'step by step'}"
    )


def walk(u, rise, threshold):
    """Through all T steps, counting; u [T, ...] -> spikes [T, ...]."""
    count, spikes = torch.zeros_like(u[0]), torch.empty_like(u)
    for now, fired in zip(u.unbind(0), spikes.unbind(0)):
        fired.copy_(now - rise * count >= threshold)
        count += fired
    return spikes


def leap(u, rise, threshold):
    """One round a spike, all steps at once; u [T, ...] -> spikes [T, ...], the bits of `walk`.

    Between two spikes the threshold stands still, so spike k + 1 is the first step after spike k at which u clears the level
    that k spikes have raised. Rounds are as many as the most active neuron has spikes, and one; T does not enter.
    """
    steps = torch.arange(u.shape[0], device=u.device).reshape(-1, *(1,) * (u.ndim - 1))
    last, count = torch.full_like(u[0], -1, dtype=torch.int64), u.new_zeros(steps[0].shape)
    spikes = u.new_zeros(u.shape[0] + 1, *u.shape[1:])  # the last row takes the spikes that do not come
    while True:
        able = (u - rise * count >= threshold) & (steps > last)
        found = able.any(0)
        if not bool(found.any()):
            return spikes[:-1]
        last = torch.where(found, able.byte().argmax(0), u.shape[0])
        spikes.scatter_(0, last[None], 1.0)
        count = count + 1


def _leaps_pay(u, rise, threshold):
    """Whether the rounds that the largest membrane allows (prp-prf-neuron) cost less than T steps."""
    if rise == 0 or not may_look():
        return False
    rounds, neurons = (u.detach().max().item() - threshold) / rise + 2, u[0].numel()
    steps = u.shape[0]
    return rounds * (STEP_COST + NEURON_COST * steps * neurons) < steps * (STEP_COST + NEURON_COST * neurons)


class _Decoupled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, rise, threshold, surrogate, way):
        spikes = way(u, rise, threshold)
        ctx.save_for_backward(u, spikes)
        ctx.numbers, ctx.surrogate = (rise, threshold), surrogate
        return spikes

    @staticmethod
    @first_derivative_only
    def backward(ctx, grad):
        """du = h (grad + G[t+1]) with G[t] = (1 - rise h) G[t+1] - rise h grad, the gradient of n[t]."""
        (u, spikes), (rise, threshold) = ctx.saved_tensors, ctx.numbers
        count = spikes.cumsum(0) - spikes
        slope = ctx.surrogate.derivative(u - rise * count - threshold)
        later = linear_scan(1 - rise * slope, -rise * slope * grad, reverse=True)
        later = torch.cat([later[1:], torch.zeros_like(later[:1])])
        return slope * (grad + later), None, None, None, None
