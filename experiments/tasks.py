"""Tasks: a named data set cut into training, validation and test, and how an example becomes a sequence [T, B, ...].

Validation is the last part of the training data; the test part is looked at once, by `train.finish`.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from experiments.augment import augment
from experiments.frontend import spikes_of_clips
from fptlib import data

CACHE_VARIABLE = "FPTLIB_CACHE"
TAKES_TEST, TAKES_VAL = 5, 45  # FSDD: takes 0-4 are the official test, 45-49 our validation


@dataclass(frozen=True)
class Part:
    """Examples x [n, ...], labels y [n] or [n, T] (-1: none), and lengths in steps [n] where they differ."""

    x: torch.Tensor
    y: torch.Tensor
    length: torch.Tensor | None = None

    def __len__(self):
        return len(self.x)

    def to(self, device):
        return Part(*(None if t is None else t.to(device) for t in (self.x, self.y, self.length)))

    def cut(self, index):
        """The examples of an index or slice."""
        return Part(*(None if t is None else t[index] for t in (self.x, self.y, self.length)))


@dataclass(frozen=True)
class Task:
    """Three parts, the shape of one step, and ``arrange``: examples [B, ...] -> sequence [T, B, ...]."""

    name: str
    train: Part
    val: Part
    test: Part
    steps: int
    shape: tuple
    classes: int
    arrange: Callable
    what: str
    per_step: bool = False
    augment: dict | None = None
    note: str = ""

    def to(self, device):
        """The task with all its tensors on a device."""
        return replace(self, train=self.train.to(device), val=self.val.to(device), test=self.test.to(device))

    def batch(self, part, index, generator=None):
        """Sequence [T, B, ...], labels ([B], or [T, B] per step) and lengths; augmented where a generator is given."""
        chosen = part.cut(index)
        x = chosen.x.float()
        if generator is not None and self.augment:
            x = augment(x, self.augment, generator)
        return self.arrange(x), chosen.y.T if self.per_step else chosen.y, chosen.length


def rows(x):
    """Rows of a picture as time: [B, H, W] -> [H, B, W]."""
    return x.transpose(0, 1)


def pixels(order):
    """Pixels as time, in a given order: [B, H, W] -> [H W, B, 1]."""
    here = lru_cache(order.to)  # one copy on each device
    return lambda x: x.flatten(1)[:, here(x.device)].T[..., None]


def columns(x):
    """Columns of a picture as time: [B, C, H, W] -> [W, B, C, H]."""
    return x.permute(3, 0, 1, 2)


def steps_first(x):
    """[B, T, F] -> [T, B, F]."""
    return x.transpose(0, 1)


def split(x, y, val, length=None):
    """The last ``val`` examples become validation."""
    part = Part(x, y, length)
    return part.cut(slice(0, len(x) - val)), part.cut(slice(len(x) - val, len(x)))


def standardised(train, *others):
    """Pictures minus the mean, over the deviation, of the training part; per channel for [n, C, H, W]."""
    dims = (0, 2, 3) if train.x.ndim == 4 else (0, 1, 2)
    deviation, mean = torch.std_mean(train.x, dims, keepdim=True)
    return tuple(Part((p.x - mean) / deviation, p.y, p.length) for p in (train, *others))


def pictures(name, layout, val=5000, seed=0, folder=None, limit=None):
    """MNIST-like sets by rows, pixels or permuted pixels; "digits" is packaged and small."""
    found = data.load(name, folder)
    if found.x_test is None:  # digits: the last fifth is the test part, the fifth before it validation
        cut = len(found.x) * 4 // 5
        train, val_part = split(found.x[:cut], found.y[:cut], len(found.x) // 5)
        test = Part(found.x[cut:], found.y[cut:])
    else:
        train, val_part = split(found.x, found.y, val)
        test = Part(found.x_test, found.y_test)
    train, val_part, test = standardised(train.cut(slice(0, limit)), val_part, test)
    size, side = found.x[0].numel(), found.x.shape[1]
    order = torch.arange(size)
    note = ""
    if layout == "permuted":
        order = torch.from_numpy(np.random.default_rng(seed).permutation(size))
        note = f"permutation of numpy's default_rng({seed})"
        print(f"{layout} {name}: {note}, it begins {order[:5].tolist()}")
    by_rows = layout == "rows"
    shape = (found.x.shape[2],) if by_rows else (1,)
    arrange = rows if by_rows else pixels(order)
    steps = side if by_rows else size
    return Task(f"{layout}-{name}", train, val_part, test, steps, shape, 10, arrange, found.what, note=note)


def cifar_columns(val=5000, folder=None, limit=None, augment=None):
    """Columns of CIFAR-10's JPEG copy as time: [32, B, 3, 32]. Decoded once, then read from the cache."""
    key = "cifar10_jpeg"
    x, y, x_test, y_test = cached(key, lambda: _cifar_arrays(folder))
    as_float = lambda a: torch.from_numpy(a).float() / 255
    train, val_part = split(as_float(x), torch.from_numpy(y), val)
    parts = standardised(train.cut(slice(0, limit)), val_part, Part(as_float(x_test), torch.from_numpy(y_test)))
    what = data.catalogue.CATALOGUE["cifar10-jpeg"].what
    return Task("columns-cifar10", *parts, 32, (3, 32), 10, columns, what, augment=augment)


def _cifar_arrays(folder):
    found = data.load("cifar10-jpeg", folder)
    as_bytes = lambda x: (x * 255).round().to(torch.uint8).numpy()
    return as_bytes(found.x), found.y.numpy(), as_bytes(found.x_test), found.y_test.numpy()


def cached(key, make):
    """The arrays ``make`` returns, kept as .npy files outside the repository's history and read from there next time."""
    folder = Path(os.environ.get(CACHE_VARIABLE, Path(__file__).parents[1] / ".data" / "cache"))
    paths = sorted(folder.glob(f"{key}.*.npy"))
    if not paths:
        folder.mkdir(parents=True, exist_ok=True)
        for i, array in enumerate(make()):
            np.save(folder / f"{key}.{i}.npy", array)
        paths = sorted(folder.glob(f"{key}.*.npy"))
    return [np.load(path) for path in paths]


def fsdd(form="frames", steps=600, bands=40, hop=8, speaker=None, folder=None, limit=None, device="cpu"):
    """Spoken digits, as spikes of the front end ("frames", ``hop`` samples a step) or as raw samples ("raw").

    Without ``speaker``: takes 0-4 are the test part, 45-49 validation (the official split). With one: all clips of that
    speaker are the test part, and the takes 45-49 of the others validation.
    """
    found = data.load("fsdd", folder)
    start, length, take = (found.extra[key] for key in ("start", "length", "take"))
    if form == "raw":
        step = torch.arange(steps)
        inside = step[None] < length[:, None]
        x = torch.where(inside, found.x[(start[:, None] + step[None]).clamp(max=len(found.x) - 1)], 0.0)[..., None]
        size = length.clamp(max=steps)
    else:
        key = "fsdd_" + hashlib.sha256(repr((steps, bands, hop)).encode()).hexdigest()[:8]
        make = lambda: tuple(
            t.numpy() for t in spikes_of_clips(found.x, start, length, steps, bands, hop, device=device)
        )
        x, size = (torch.from_numpy(a) for a in cached(key, make))
    other = torch.tensor([name == speaker for name in found.extra["speaker"]])
    if speaker is not None and not other.any():
        raise ValueError(f"fsdd: nobody is called {speaker!r}; speakers: {sorted(set(found.extra['speaker']))}.")
    test = take < TAKES_TEST if speaker is None else other
    val = (take >= TAKES_VAL) & ~test
    whole = Part(x, found.y, size)
    train = (~(test | val)).nonzero()[:, 0]
    train = train[:: max(1, len(train) // limit)] if limit else train
    split_name = "official takes" if speaker is None else f"held-out speaker {speaker}"
    return Task(
        f"fsdd-{form}",
        whole.cut(train),
        whole.cut(val),
        whole.cut(test),
        steps,
        (x.shape[2],),
        10,
        steps_first,
        found.what,
        note=split_name,
    )


def ecg(val=62, folder=None, limit=None):
    """QTDB as level-crossing spikes: a label per step, -1 where there is none; T = 1300 (the end marker is dropped)."""
    found = data.load("qtdb-ecg", folder)
    train, val_part = split(found.x, found.y, val)
    test = Part(found.x_test, found.y_test)
    steps = found.x.shape[1]
    train = train.cut(slice(0, limit))
    return Task("ecg", train, val_part, test, steps, (4,), 6, steps_first, found.what, per_step=True)


TASKS = {"columns-cifar10": cifar_columns, "fsdd-frames": fsdd, "fsdd-raw": fsdd, "ecg": ecg}


def load(name, **options):
    """A task by name: columns-cifar10, {rows,pixels,permuted}-{mnist,fashion-mnist,mnist-5k,digits}, fsdd-{frames,raw}, ecg."""
    if name in TASKS:
        return TASKS[name](**options, **({"form": name.removeprefix("fsdd-")} if name.startswith("fsdd") else {}))
    layout, _, of = name.partition("-")
    if layout in ("rows", "pixels", "permuted") and of in ("mnist", "fashion-mnist", "mnist-5k", "digits"):
        return pictures(of, layout, **options)
    raise ValueError(f"[task] name = {name!r} is not known; see tasks.load for the names.")
