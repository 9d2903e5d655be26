"""Order-reversing sweeps as proof: a lower and an upper train that the sequential neuron cannot leave.

A spike lowers the later membrane. Where that holds for every pair of steps, a train that is too low gives a membrane that
is too high, and so a train that is too high; sweeps started from the lowest train therefore close in from both sides.
Rounding is covered by a guard band: the sequential loop's membrane differs from the exact one, for the same spikes, by at
most `guard`, so comparing with the threshold moved by that much keeps the true train inside (thm-guarded-brackets).
"""

from itertools import product

import torch

from fptlib.scan import linear_scan, roundings
from fptlib.spec import stack_matrix

_NO_BOUND = 1e300  # stands for infinity, which a zero readout would turn into NaN


def run_linear(spec, x, spikes, v0):
    """Membrane [T, D, ...] of the neuron for given spikes [T, P, ...]: one linear scan. Book: thm-triangular-unique"""
    v, late = spec.split(v0)
    gate, drive = spec.coefficients(x, spikes, late)
    return linear_scan(gate[:, 0] if spec.states == 1 else gate, drive, v)


def order_signs(spec):
    """Signs of the spike channels in the order that sweeps reverse, or None where no such order exists.

    Args:
        spec: a NeuronSpec.

    Returns:
        P signs: +1 where the lowest train is silent, -1 where it always fires; None (hard reset, mixed signs).
        Scalars only, no shape [...].

    Raises:
        Nothing.

    Example:
        >>> from fptlib import lif
        >>> order_signs(lif())
        (1,)

    Book: thm-signature
    """
    if any(spec.hard):
        return None
    d, p = range(spec.states), range(spec.channels)
    lag = [[spec.jump[i][q] - sum(spec.transition[i][j] * spec.reset[j][q] for j in d) for q in p] for i in d]
    for state in product((1, -1), repeat=spec.states):
        if not all(_signed(state[i] * state[j] * spec.transition[i][j]) for i in d for j in d):
            continue
        for sign in product((1, -1), repeat=spec.channels):
            reads = all(_signed(state[i] * sign[q] * spec.readout[q][i]) for i in d for q in p)
            lowers = all(_signed(-state[i] * sign[q] * lag[i][q]) for i in d for q in p)
            if reads and lowers:
                return sign
    return None


def brackets(spec, x, v0, dtype, sweeps=None):
    """Trains below and above the train that the sequential loop computes in ``dtype``, from guarded float64 sweeps.

    Args:
        spec: a NeuronSpec whose `order_signs` exist, cast to ``dtype``.
        x: input [T, ...]; v0: initial state [memory, ...]; both in ``dtype``.
        dtype: the arithmetic of the loop that the proof is about.
        sweeps: number of sweeps; None runs until the trains meet or stop moving.

    Returns:
        lower, upper: [T, P, ...] in ``dtype``, equal where the train is decided; and the sweeps used.

    Raises:
        Nothing; the caller has checked its arguments.

    Example:
        >>> from fptlib import lif
        >>> x = torch.ones(3, 1, dtype=torch.float64)
        >>> brackets(lif(), x, torch.zeros(1, 1, dtype=torch.float64), torch.float64)[2]
        3

    Book: thm-guarded-brackets
    """
    sign = torch.tensor(order_signs(spec), dtype=torch.float64, device=x.device).reshape(-1, *(1,) * (x.ndim - 1))
    lowest = (1 - sign) / 2
    wide, x, v0 = spec.cast(torch.float64), x.double(), v0.double()
    # In the signed order 0 is the lowest train and 1 the highest; |z - lowest| turns order into spikes and back.
    low = torch.zeros(x.shape[0], spec.channels, *x.shape[1:], dtype=torch.float64, device=x.device)
    high, heights, done, scanned = torch.ones_like(low), {}, 0, scan_error(wide, x, v0)
    while sweeps is None or done < sweeps:
        done += 1
        from_low = done % 2 == 1
        membrane = run_linear(wide, x, ((low if from_low else high) - lowest).abs(), v0)
        heights[from_low] = membrane.abs()
        reach = coarse_reach(wide, x, v0) if done == 1 else torch.maximum(heights[True], heights[False])
        slack = sign * guard(wide, x, v0, reach, dtype, scanned=scanned)
        distance = wide.sense_all(membrane)
        fired = ((distance + slack if from_low else distance - slack) >= 0).double()
        order = (fired - lowest).abs()
        before = high if from_low else low
        after = torch.minimum(high, order) if from_low else torch.maximum(low, order)
        low, high = (low, after) if from_low else (after, high)
        if torch.equal(low, high) or (sweeps is None and done > 2 and torch.equal(after, before)):
            break
    trains = (low - lowest).abs(), (high - lowest).abs()
    return torch.minimum(*trains).to(dtype), torch.maximum(*trains).to(dtype), done


def coarse_reach(spec, x, v0):
    """Largest |u| [T, D, ...] for any spikes in [0, 1]: the scan of absolute values. Book: lem-guard-band"""
    gate = stack_matrix(spec.transition, x[0]).abs()[None]
    drive = stack_matrix([spec.drive], x[0])[0].abs() * x.abs()[:, None]
    drive = drive + _row_sums(gate[0], stack_matrix(spec.reset, x[0])) + stack_matrix(spec.jump, x[0]).abs().sum(1)
    rest = stack_matrix([spec.reset_to], x[0])[0]
    drive = drive + (gate[0] * rest.abs()).sum(1)
    return absolute_scan(spec, gate, drive, spec.split(v0)[0].abs())


def absolute_scan(spec, gate, drive, v0=None):
    """Bound on |u| when |u[t]| <= |gate| |u[t-1]| + drive: entrywise, or in the 2-norm where that is smaller.

    gate [T or 1, D, D, ...] non-negative, drive [T, D, ...], v0 [D, ...] -> [T, D, ...]. The 2-norm is what keeps a
    rotation (the resonator) from looking like growth. Book: lem-guard-band
    """
    if spec.states == 1:
        return linear_scan(gate[:, 0], drive, v0)
    bound = linear_scan(gate, drive, v0)
    norm = torch.linalg.matrix_norm(stack_matrix(spec.transition, drive[0, 0]).movedim((0, 1), (-2, -1)), ord=2)
    start = None if v0 is None else v0.square().sum(0).sqrt()
    return torch.minimum(bound, linear_scan(norm[None], drive.square().sum(1).sqrt(), start)[:, None])


def scan_error(spec, x, v0):
    """Bound [T, D, ...] on the rounding of `run_linear` in float64, for any spikes in [0, 1]. Book: rem-guard-in-code"""
    d, size = spec.states, stack_matrix(spec.transition, x[0]).abs()[None]
    each = torch.finfo(torch.float64).eps * roundings(x.shape[0]) * d * (d + 1) / 2
    return each * absolute_scan(spec, size, coarse_reach(spec, x, v0))


def guard(spec, x, v0, reach, dtype, spikes=None, scanned=None):
    """Bound [T, P, ...] on |C u - theta| errors: the loop's rounding in ``dtype`` plus that of the float64 scan.

    Args:
        spec: the table, cast to float64; x [T, ...], v0 [memory, ...] in float64.
        reach: bound [T, D, ...] on |u|, as computed by `run_linear`, for the trains in question.
        dtype: arithmetic of the sequential loop.
        spikes: [T, P, ...] for a hard reset, whose gates they set; None for a constant gate.
        scanned: `scan_error` of the same input, where the caller has it already.

    Returns:
        [T, P, ...], float64; larger than any membrane where the bound does not close.

    Raises:
        Nothing.

    Example:
        >>> from fptlib import lif
        >>> x, v0 = torch.ones(2, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
        >>> bool((guard(lif(), x, v0, torch.ones(2, 1, 1), torch.float32) < 1e-5).all())
        True

    Book: rem-guard-in-code
    """
    d, p = spec.states, spec.channels
    scanned = scan_error(spec, x, v0) if scanned is None else scanned
    reach = reach + scanned  # the computed membrane bounds the real one only up to the scan's own rounding
    size = stack_matrix(spec.transition, x[0]).abs()[None]
    gate = size if spikes is None else spec.coefficients(x, spikes)[0].abs()
    taken = stack_matrix(spec.reset, x[0]).abs().sum(1) + stack_matrix([spec.reset_to], x[0])[0].abs()
    earlier = torch.cat([spec.split(v0)[0].abs()[None], reach[:-1]]) + taken
    work = (size * earlier[:, None]).sum(2) + stack_matrix([spec.drive], x[0])[0].abs() * x.abs()[:, None]
    work = work + stack_matrix(spec.jump, x[0]).abs().sum(1) + reach
    info = torch.finfo(dtype)
    unit, count = info.eps / 2, 2 * (d + p + 1)  # a term of the next u meets 1 + D + P roundings, after P of the reset

    # Roundings are relative to what the loop computed, not to the real membrane: assume an error of 2 * first, derive
    # second, and accept as long as it is smaller, at this step and at all before. tiny pays for underflow.
    first = absolute_scan(spec, gate, count * (unit * work + info.tiny))
    grown = first + (size * torch.cat([torch.zeros_like(first[:1]), first[:-1]])[:, None]).sum(2)
    second = absolute_scan(spec, gate, count * (unit * (work + 2 * grown) + info.tiny))
    closes = (second <= 1.9 * first).all(1, keepdim=True).cumprod(0).bool()
    loop = torch.where(closes, 2 * first, _NO_BOUND)
    read = stack_matrix(spec.readout, x[0]).abs()
    level = stack_matrix([spec.threshold], x[0])[0]
    # Reading C u: D roundings in the loop; D, the subtraction of theta and the addition of this guard in float64.
    return (read * (loop + scanned)[:, None]).sum(2) + 3 * d * unit * ((read * reach[:, None]).sum(2) + level.abs())


def prefix_proof(spec, x, v0, spikes, dtype):
    """Steps proved by one more sweep: spikes reproduced, outside the guard band, and so all steps before. Book: cor-prefix-certificate

    x [T, ...], v0 [memory, ...], spikes [T, P, ...] in ``dtype`` -> boolean mask [T, P, ...].
    """
    wide, x, v0, spikes = spec.cast(torch.float64), x.double(), v0.double(), spikes.double()
    membrane = run_linear(wide, x, spikes, v0)
    distance = wide.sense_all(membrane)
    slack = guard(wide, x, v0, membrane.abs(), dtype, spikes)
    good = ((distance >= 0) == (spikes > 0)) & (distance.abs() > slack)
    return good.all(1, keepdim=True).cumprod(0).bool().expand_as(good)


def _row_sums(gate, amounts):
    return (gate * amounts.abs().sum(1)[None]).sum(1)


def _signed(entry):
    return bool((entry >= 0).all()) if torch.is_tensor(entry) else entry >= 0
