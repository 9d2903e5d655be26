"""Series cut in time: parts with a gap between them, statistics of the training part only, missing cells known as such."""

import math
from dataclasses import dataclass

import torch

from experiments.forecast import public
from fptlib import data

# Steps of a day. Which of the papers' sets each stands for, and how much of it, is said in its caption.
PERIOD = {"metr-la": 288, "metr-la-week": 288, "pems08-tail": 288, "rts-solar": 144, "pjm": 24, "etth1": 24}
FRACTIONS = (0.7, 0.1)  # training and validation; the rest is the test part


@dataclass(frozen=True)
class Series:
    """Normalised values [T, C], observed cells [T, C], and the first and last step of each part.

    ``values`` is zero (the training mean) where nothing was measured. In the papers' variant (``masked`` False) every cell
    counts as measured, missing ones with the number in the file.
    """

    name: str
    values: torch.Tensor
    observed: torch.Tensor
    parts: dict
    period: int
    mean: torch.Tensor
    deviation: torch.Tensor
    what: str

    def to(self, device):
        """The same series with its tensors on a device."""
        moved = {k: getattr(self, k).to(device) for k in ("values", "observed", "mean", "deviation")}
        return Series(self.name, parts=self.parts, period=self.period, what=self.what, **moved)

    def starts(self, part, lookback, horizon, every=1):
        """First steps of the windows that lie wholly inside a part, ``every`` so many steps.

        A stride that shares a factor with the period is refused: it would look at some hours of the day only.
        """
        if math.gcd(every, self.period) > 1:
            raise ValueError(
                f"every = {every} shares a factor with the period of {self.period} steps; take a coprime stride, such as "
                f"1, 5, 7 or 11."
            )
        low, high = self.parts[part]
        last = high - lookback - horizon
        if last < low:
            raise ValueError(
                f"{self.name}: the {part} part has {high - low} steps; a window of {lookback} + {horizon} does not fit."
            )
        return torch.arange(low, last + 1, every)

    def windows(self, starts, lookback, horizon):
        """Input [L, B, C], its observed cells, target [H, B, C], its observed cells, for windows that begin at ``starts`` [B]."""
        step = torch.arange(lookback + horizon, device=self.values.device)[:, None]
        index = starts.to(self.values.device)[None] + step
        x, seen = self.values[index], self.observed[index]
        return x[:lookback], seen[:lookback], x[lookback:], seen[lookback:]


def cut(steps, gap, fractions=FRACTIONS):
    """Parts [first, last) of ``steps`` steps; ``gap`` steps between neighbours belong to none."""
    one, two = int(steps * fractions[0]), int(steps * (fractions[0] + fractions[1]))
    parts = {"train": (0, one), "val": (one + gap, two), "test": (two + gap, steps)}
    if parts["val"][0] >= two or parts["test"][0] >= steps:
        raise ValueError(f"a gap of {gap} leaves nothing of {steps} steps; shorten lookback or horizon.")
    return parts


def prepare(name, values, missing, period, what, gap, masked=True, statistics="train", fractions=FRACTIONS):
    """A `Series` from raw values [T, C] and missing cells [T, C] (None: none).

    Args:
        masked: False is the papers' variant: missing cells are taken as measured, NaN as zero.
        statistics: "train" (mean and deviation of observed training cells, per channel) or "file" (one mean and one
            deviation of the whole file, test part included: the papers' leak, for comparison only).
    """
    observed = torch.ones_like(values, dtype=torch.bool) if missing is None else ~missing
    values = torch.nan_to_num(values.double(), nan=0.0)
    observed = observed if masked else torch.ones_like(observed)
    parts = cut(len(values), gap, fractions)
    if statistics not in ("train", "file"):
        raise ValueError(f"statistics came as {statistics!r}; 'train' or 'file' is wanted.")
    rows = slice(*parts["train"]) if statistics == "train" else slice(None)
    mean, deviation = moments(values[rows], observed[rows], pooled=statistics == "file")
    normal = torch.where(observed, (values - mean) / deviation, 0.0).float()
    return Series(name, normal, observed, parts, period, mean.float(), deviation.float(), what)


def moments(values, observed, pooled=False):
    """Mean and deviation per channel [C] of the observed cells of [T, C]; ``pooled``: one number for all channels."""
    axes = (0, 1) if pooled else (0,)
    count = observed.sum(axes, keepdim=True).clamp(min=1)
    mean = (values * observed).sum(axes, keepdim=True) / count
    deviation = (((values - mean) * observed).square().sum(axes, keepdim=True) / count).sqrt()
    width = values.shape[1]
    return mean.reshape(-1).expand(width), deviation.clamp(min=1e-6).reshape(-1).expand(width)


def load(name, lookback, horizon, folder=None, file=None, period=None, what=None, download=False, **options):
    """A named set of `fptlib.data` or `public`, or a ``file`` of the reader's, cut with a gap of lookback + horizon.

    Args:
        file: path of a file with one row a step (see `public.read`); then ``period`` (steps of a day) is needed.
        download: True allows fetching one of the papers' whole sets, checked (see `public`).
    """
    gap = lookback + horizon
    if file is not None:
        if period is None:
            raise ValueError(f"{name}: a file came without period; say how many steps a day has, such as period = 144.")
        return prepare(name, public.read(file), None, period, what or f"{name}, from {file}.", gap, **options)
    if name in public.PUBLIC:
        values, missing, period, what = public.load(name, download, folder)
        return prepare(name, values, missing, period, what, gap, **options)
    if name not in PERIOD:
        known = ", ".join((*PERIOD, *public.PUBLIC))
        raise ValueError(f"dataset = {name!r} is not known; one of {known} is wanted, or file = a path.")
    found = data.load(name, folder)
    return prepare(name, found.x, found.missing, PERIOD[name], found.what, gap, **options)
