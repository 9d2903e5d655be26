"""Removing cells from input windows, and two ways to go on: honest imputation, and the papers' way with its leak."""

import torch

from experiments.forecast.naive import filled

MECHANISMS = ("entries", "blocks", "sensors")


def removed(shape, share, mechanism, generator, block=12):
    """Cells to remove from windows [L, B, C], True for removed.

    entries: each cell by itself. blocks: whole stretches of ``block`` steps of a channel. sensors: a channel for the whole
    window. Each removes ``share`` of the cells in expectation; draws come from ``generator`` on its own device.
    """
    steps, batch, channels = shape
    rand = lambda *size: torch.rand(*size, generator=generator, device=generator.device)
    if mechanism == "entries":
        return rand(*shape) < share
    if mechanism == "blocks":
        offset = torch.randint(block, (batch, channels), generator=generator, device=generator.device)
        number = (torch.arange(steps, device=generator.device)[:, None, None] + offset) // block
        return (rand(steps // block + 2, batch, channels) < share).gather(0, number)
    if mechanism == "sensors":
        return (rand(1, batch, channels) < share).expand(steps, -1, -1)
    raise ValueError(f"mechanism came as {mechanism!r}; one of {', '.join(MECHANISMS)} is wanted.")


def ready(x, seen, gone, imputation="honest"):
    """What a network is given: normalised windows [L, B, C], and the mean and scale [1, B, C] that undo the normalisation.

    honest: cells are removed first; gaps take the last observed value; mean and deviation come from observed cells alone.
    papers: mean and deviation come from the complete window, removed cells included; then those are set to zero, which is
    the mean of the very values that are supposed to be unknown.
    """
    if imputation == "papers":
        mean, scale = window_moments(x, torch.ones_like(seen))
        return torch.where(gone, 0.0, (x - mean) / scale), mean, scale
    if imputation != "honest":
        raise ValueError(f"imputation came as {imputation!r}; 'honest' or 'papers' is wanted.")
    left = seen & ~gone
    mean, scale = window_moments(x, left)
    # Before the first observation, and in a window without any, the window's mean stands in: zero once normalised.
    has = left.long().cummax(0).values > 0
    return torch.where(has, (filled(x, left) - mean) / scale, 0.0), mean, scale


def window_moments(x, seen):
    """Mean and scale over the observed steps of each window and channel, [1, B, C]; 0 and 1 where none was observed."""
    count = seen.sum(0, keepdim=True)
    mean = (x * seen).sum(0, keepdim=True) / count.clamp(min=1)
    variance = ((x - mean) * seen).square().sum(0, keepdim=True) / count.clamp(min=1)
    return mean, torch.where(count > 0, (variance + 1e-5).sqrt(), 1.0)
