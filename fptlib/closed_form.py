"""Integrate-and-fire without leak, soft reset: spike counts as a cumulative sum and a running extremum."""

import torch

from fptlib.checks import check_range


def graded_count(x, threshold=1.0, v0=None):
    """Spikes counted up to each step by the graded integrate-and-fire neuron, for input of any sign.

    N[t] = max(0, max_{s <= t} floor((v0 + x[1] + ... + x[s]) / threshold)): the neuron emits max(0, floor(u / threshold))
    spikes a step. The same count holds for one spike a step when no input exceeds the threshold and v0 lies below it.

    Args:
        x: input, [T, ...], floating point.
        threshold: positive, a float or a tensor broadcastable to one step.
        v0: state before the first step, [...]; None is zero.

    Returns:
        N, [T, ...], whole numbers in the dtype of ``x``. Sums round in their own order: exact for inputs on a common
        binary grid, otherwise a membrane within rounding of a multiple of the threshold may count one step off.

    Raises:
        TypeError: x is not a floating-point tensor.
        ValueError: no time step, or a threshold that is not positive.

    Example:
        >>> graded_count(torch.tensor([2.5, -1.0, 1.75]))
        tensor([2., 2., 3.])

    Book: thm-graded-closed-form
    """
    return _levels("graded_count", x, threshold, v0).cummax(0).values.clamp(min=0)


def one_spike_count(x, threshold=1.0, v0=None):
    """Spikes counted up to each step by the integrate-and-fire neuron that emits one a step, for non-negative input.

    N[t] = t + min(0, min_{s <= t} (F[s] - s)), F[s] = floor((v0 + x[1] + ... + x[s]) / threshold): a queue, one served a step.

    Args:
        x: non-negative input, [T, ...], floating point.
        threshold: positive, a float or a tensor broadcastable to one step.
        v0: state before the first step in [0, threshold), [...]; None is zero.

    Returns:
        N, [T, ...], whole numbers in the dtype of ``x``; rounding as for `graded_count`.

    Raises:
        TypeError: x is not a floating-point tensor.
        ValueError: negative input, v0 outside [0, threshold), no time step, or a threshold that is not positive.

    Example:
        >>> one_spike_count(torch.tensor([2.5, 0.0, 0.0]))
        tensor([1., 2., 2.])

    Book: prp-one-spike-closed-form
    """
    level = _levels("one_spike_count", x, threshold, v0)
    if bool((x < 0).any()):
        raise ValueError("one_spike_count: x holds negative values; non-negative input is wanted; use Sequential().")
    if v0 is not None and bool(((v0 < 0) | (v0 >= threshold)).any()):
        raise ValueError("one_spike_count: v0 leaves [0, threshold); let the neuron fire first, or use Sequential().")
    step = torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device).reshape(-1, *(1,) * (x.ndim - 1))
    return step + (level - step).cummin(0).values.clamp(max=0)


def _levels(name, x, threshold, v0):
    """floor(C / threshold) with C the free membrane, [T, ...]."""
    if not torch.is_tensor(x) or not x.is_floating_point():
        kind = x.dtype if torch.is_tensor(x) else type(x).__name__
        raise TypeError(f"{name}: x came as {kind}; a floating-point tensor is wanted; convert it with .float().")
    if x.ndim == 0 or x.shape[0] == 0:
        raise ValueError(f"{name}: x came with shape {tuple(x.shape)}; [T, ...] with at least one time step is wanted.")
    check_range("threshold", threshold, 0.0, float("inf"), open_low=True)
    first = x[:1] if v0 is None else x[:1] + v0
    return torch.floor(torch.cat([first, x[1:]]).cumsum(0) / threshold)
