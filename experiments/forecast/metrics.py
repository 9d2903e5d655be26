"""Metrics of forecasts [H, B, C], all from a few sums, so that masks, blocks in time and the papers' forms agree.

R2  (pooled)       1 - sum (y - p)^2 / sum (y - m)^2,  m the one mean of everything
RSE (as printed)   sqrt( sum (y - p)^2 / sum (y - m_hc)^2 ),  m_hc the mean of each step and channel
RSE^2 = (1 - R2) * sum (y - m)^2 / sum (y - m_hc)^2:      the last factor depends on the data alone
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sums:
    """Sums over windows, per step and channel [H, C]: count, targets, squares of targets, squared and absolute errors."""

    count: torch.Tensor
    y: torch.Tensor
    yy: torch.Tensor
    squared: torch.Tensor
    absolute: torch.Tensor

    def __add__(self, other):
        return Sums(*(a + b for a, b in zip(vars(self).values(), vars(other).values())))


def sums(forecast, target, known=None):
    """The `Sums` of forecasts and targets [H, B, C], over the cells that are ``known``, in float64."""
    known = torch.ones_like(target, dtype=torch.bool) if known is None else known
    y, weight = target.double(), known.double()
    error = (forecast.double() - y) * weight
    parts = (weight, y * weight, y.square() * weight, error.square(), error.abs())
    return Sums(*(part.sum(1).cpu() for part in parts))


def spread(s):
    """Squared deviation of the targets: from the one mean of everything, and from the mean of each step and channel."""
    pooled = s.yy.sum() - s.y.sum().square() / s.count.sum()
    each = (s.yy - s.y.square() / s.count.clamp(min=1)).sum()
    return pooled, each


def scores(s):
    """r2 and rse (pooled), mae, and the lists r2_per_channel and rse_per_channel; None where nothing varies.

    Of one channel, R2 is taken against the channel's own mean, RSE against its mean of each step.
    """
    pooled, each = spread(s)
    error, count = s.squared.sum(), s.count.sum()
    by_channel = s.yy.sum(0) - s.y.sum(0).square() / s.count.sum(0).clamp(min=1)
    by_step = (s.yy - s.y.square() / s.count.clamp(min=1)).sum(0)
    ratio, root = s.squared.sum(0) / by_channel, (s.squared.sum(0) / by_step).sqrt()
    return {
        "r2": (1 - error / pooled).item() if pooled > 0 else None,
        "rse": (error / each).sqrt().item() if each > 0 else None,
        "mae": (s.absolute.sum() / count).item(),
        "r2_per_channel": [1 - r if d > 0 else None for r, d in zip(ratio.tolist(), by_channel.tolist())],
        "rse_per_channel": [r if d > 0 else None for r, d in zip(root.tolist(), by_step.tolist())],
    }


def column_constant(s):
    """RSE^2 / (1 - R2): one number for a data set, horizon and normalisation, whatever the forecast."""
    pooled, each = spread(s)
    return (pooled / each).item()


def block_interval(blocks, draws=1000, level=0.9, seed=0):
    """Interval of the pooled R2 over blocks of test time: blocks are drawn with replacement, R2 recomputed from their sums.

    Neighbouring windows share most of their cells; blocks of several windows, not windows, are the units of chance.

    Args:
        blocks: a list of `Sums`, one per block of consecutive windows.

    Returns:
        Low and high end of the central ``level`` of the draws.
    """
    totals = {
        name: torch.stack([part.sum() for part in parts])
        for name, parts in zip(vars(blocks[0]), zip(*(vars(b).values() for b in blocks)))
    }
    generator = torch.Generator().manual_seed(seed)
    pick = torch.randint(len(blocks), (draws, len(blocks)), generator=generator)
    drawn = {name: total[pick].sum(1) for name, total in totals.items()}
    values = 1 - drawn["squared"] / (drawn["yy"] - drawn["y"].square() / drawn["count"])
    tail = (1 - level) / 2
    return torch.quantile(values, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
