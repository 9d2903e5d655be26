"""What a kernel call of given sizes and settings needs, worked out once and looked up afterwards: the host's share stays small."""

from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
import triton.language as tl

from fptlib.kernels import cost
from fptlib.kernels.entry import KernelReport

RESETS = {"soft": 0, "hard": 1, "none": 2}
SURROGATES = {"sigmoid": 0, "atan": 1, "triangle": 2}
_RESET_NAMES, _SURROGATE_NAMES = tuple(RESETS), tuple(SURROGATES)
_names = {}  # everything a set of compiled kernels depends on -> a small number, quick to look up


def number(tensor, value, state, device):
    """A kernel argument and its kind: by value (float32), one number in memory, or one number per neuron."""
    if tensor is not None:
        return tensor, 1 if tensor.numel() == 1 else 2
    if state == torch.float64:  # a launch passes Python floats in single precision
        return torch.full((1,), value, dtype=state, device=device), 1
    return value, 0


class Settings(NamedTuple):
    """A call but for its tensors; ``decay`` and ``threshold`` are not read where a tensor gives them."""

    decay: float
    threshold: float
    v_reset: float
    slope: float
    reset: int
    surrogate: int
    detach: bool
    save: bool
    membrane: bool
    spike_dtype: torch.dtype
    chunk: int
    warmup: int


class Prepared:
    """What sizes and settings decide: plans, grids, constants of the kernels, and names for the compiled ones."""

    def __init__(self, T, N, dtype, device, decay_kind, threshold_kind, settings):
        self.T, self.N, self.dtype, self.device, self.settings = T, N, dtype, device, settings
        self.double = dtype == torch.float64
        self.state = torch.float64 if self.double else torch.float32
        self.triton = tl.float64 if self.double else tl.float32
        boxed = int(self.double)  # see `number`
        self.kinds = (decay_kind or boxed, threshold_kind or boxed, boxed, boxed)
        self.modes = (settings.reset, settings.surrogate, settings.detach)
        self.decay = None if decay_kind else settings.decay
        self.threshold = None if threshold_kind else settings.threshold
        self.plan = plan = cost.plan_forward(
            T, N, self.decay, _RESET_NAMES[settings.reset], dtype.itemsize, settings.chunk, settings.warmup
        )
        self.report = KernelReport(plan.kernel, plan.chunk, plan.warmup, plan.reason)  # of a call without seams
        self.chunks, self.blocks = -(-T // plan.chunk), -(-N // plan.block)
        self.rows = rows(T) if settings.save else 0
        self.constants = (*self.kinds[:3], settings.reset, self.triton, plan.ahead, plan.block)
        self.tail = (T, N, plan.chunk, plan.warmup, *self.constants, *plan.ring)
        kept = (settings.spike_dtype, settings.membrane, self.rows > 0, self.chunks > 1, plan.mend, plan.ring)
        self.name = self._named("forward", kept, self.constants)

    def _named(self, *parts):
        """Triton asks of N whether it is 1 and whether 16 divides it."""
        whole = (self.device, self.dtype, self.N == 1, self.N % 16 == 0, *parts)
        return _names.setdefault(whole, len(_names))

    @cached_property
    def back(self):
        """The backward plan, worked out when a gradient is first asked for."""
        settings = self.settings
        bound = cost.gate_bound(
            self.decay, self.threshold, _RESET_NAMES[settings.reset], settings.v_reset,
            _SURROGATE_NAMES[settings.surrogate], settings.slope, settings.detach,
        )  # fmt: skip
        return cost.plan_backward(self.T, self.N, bound, self.dtype.itemsize, settings.chunk)

    @cached_property
    def back_chunks(self):
        return -(-self.T // self.back.chunk)

    @cached_property
    def back_blocks(self):
        return -(-self.N // self.back.block)

    @cached_property
    def back_tails(self):
        """Sizes and constants of the two passes over time, the last arguments of their launches."""
        plan = self.back
        sizes = (self.T, self.N, plan.chunk, plan.warmup, *self.kinds, *self.modes)
        return [(*sizes, which, self.triton, plan.ahead, plan.block) for which in (0, 1)]

    @cached_property
    def back_name(self):
        plan = self.back
        shape = (plan.two_passes, plan.ahead, plan.block, rows(self.T) > 0)
        return self._named("backward", shape, self.kinds, self.modes)

    def numbers(self, decay, threshold):
        """Decay, threshold, reset value and slope as the kernels take them: tensors as they came, numbers as floats."""
        settings = self.settings
        given = (decay, threshold, None, None)
        if not self.double:
            return (settings.decay if decay is None else decay, settings.threshold if threshold is None else threshold,
                    settings.v_reset, settings.slope)  # fmt: skip
        return tuple(number(t, value, self.state, self.device)[0] for t, value in zip(given, settings[:4]))

    def tensors(self, numbers):
        """Those of ``numbers`` that are tensors."""
        return [value for value, kind in zip(numbers, self.kinds) if kind] if any(self.kinds) else ()


prepare = lru_cache(maxsize=4096)(Prepared)


def prepared(x, decay, threshold, settings):
    """`Prepared` for x [T, ...]; decay and threshold are tensors of one or N numbers, or None."""
    T = x.shape[0]
    kind = lambda tensor: 0 if tensor is None else 1 if tensor.numel() == 1 else 2
    return prepare(T, x.numel() // T, x.dtype, x.device, kind(decay), kind(threshold), settings)


def rows(T):
    """Kept states: one every `cost.AHEAD` steps, the first of which is the initial state and needs no row."""
    return -(-T // cost.AHEAD) - 1
