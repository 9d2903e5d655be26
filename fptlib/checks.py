"""Checks of what a user passes in: each says what came, what was wanted and what to do."""

import math
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_resting = ContextVar("fptlib_value_checks_rest", default=False)


def may_look():
    """Whether values on the GPU may be read now: while a CUDA graph is being captured they may not, and value checks rest."""
    return not _resting.get() and not (torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing())


@contextmanager
def unread():
    """Value checks rest: what `solve` was told by ``validate=False``, so that the host never waits for the device."""
    token = _resting.set(True)
    try:
        yield
    finally:
        _resting.reset(token)


def check_range(name, value, low, high, open_low=False):
    if torch.is_tensor(value):
        if not value.is_floating_point():
            raise TypeError(
                f"{name} came as a tensor of {value.dtype}; a floating-point tensor is wanted; use .float()."
            )
        if not may_look():
            return
        smallest, largest = value.detach().min().item(), value.detach().max().item()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        smallest = largest = float(value)
    else:
        raise TypeError(f"{name} came as {type(value).__name__}; a number or a floating-point tensor is wanted.")
    inside = (smallest > low if open_low else smallest >= low) and largest <= high
    if not inside or not math.isfinite(smallest) or not math.isfinite(largest):
        bracket = f"{'(' if open_low else '['}{low:g}, {high:g}]"
        raise ValueError(f"{name} came as {smallest:g}..{largest:g}; finite values in {bracket} are wanted.")


def check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"{name} came as {value!r}; one of {', '.join(map(repr, choices))} is wanted.")


def check_pair(name, pair):
    """Refuse what is not a pair (dendrite, soma) of numbers or floating-point tensors broadcastable to one step [...]."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"{name} came as {pair!r}; a pair (dendrite, soma) is wanted.")
    for value in pair:
        check_range(name, value, -math.inf, math.inf)
