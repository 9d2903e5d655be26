"""The record every parallel neuron returns: the fixed point U = A X - B f(U) it evaluates, and how far."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from fptlib.checks import check_range, may_look


@dataclass(frozen=True, eq=False)
class FixedPointForm:
    """The map U = A X - B f(U), started at f = 0 and stopped after K evaluations of f.

    Args:
        A: input matrix [T, T]: what the membrane makes of the input.
        B: feedback matrix [T, T]: what each spike takes away later (zero for a neuron without reset).
        f: K spike functions, one per evaluation; each maps a membrane [T, ...] to spikes [T, ...], threshold included.
        K: evaluations of the spike function.
        exact: True if K evaluations reach the fixed point of the last f for every input, False if they may stop short.
        note: one sentence: which neuron this is, and which it is not.

    Example:
        >>> form = NoResetLIF(decay=0.5).as_fixed_point(4)
        >>> form.K, form.exact
        (1, True)

    Book: def-fixed-point-form
    """

    A: torch.Tensor
    B: torch.Tensor
    f: tuple[Callable[[torch.Tensor], torch.Tensor], ...]
    K: int
    exact: bool
    note: str

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Spikes [T, ...] of K evaluations for an input [T, ...]."""
        check_sequence(x, self.A.shape[0], self.A)
        drive = over_time(self.A, x)
        spikes = self.f[0](drive)
        for f in self.f[1:]:
            spikes = f(drive - over_time(self.B, spikes))
        return spikes


def over_time(matrix: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Product of a [T, T] matrix with the time axis of x [T, ...]; columns of x never mix."""
    return (matrix @ x.reshape(x.shape[0], -1)).reshape(x.shape)


def lower_toeplitz(kernel: torch.Tensor) -> torch.Tensor:
    """Matrix [T, T] with kernel[t - j] at (t, j) for t >= j and 0 above the diagonal; kernel [T], lag 0 first."""
    steps = kernel.shape[0]
    # Row t is the reversed window of (0, ..., 0, kernel) that ends at lag t; its gradient is a sum, not a scatter.
    return torch.cat([kernel.new_zeros(steps - 1), kernel]).unfold(0, steps, 1).flip(-1)


def leak_matrix(decay: float | torch.Tensor, steps: int, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Lambda = (I - decay N)^-1 as a dense [T, T] matrix, N the down-shift."""
    decay = as_dtype(decay, dtype)
    return lower_toeplitz(decay ** torch.arange(steps, device=decay.device, dtype=decay.dtype))


def as_dtype(
    value: float | torch.Tensor, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> torch.Tensor:
    """A number or tensor in `dtype`; a Python number is rounded only here, so float64 input sees a float64 decay."""
    if isinstance(value, torch.Tensor):
        return value if dtype is None else value.to(dtype)
    return torch.full((), value, dtype=dtype or torch.get_default_dtype(), device=device)


def as_number(value: float | torch.Tensor) -> float:
    """The plain number in a number or 0-dimensional tensor."""
    return float(value.detach() if isinstance(value, torch.Tensor) else value)


def check_sequence(x: torch.Tensor, steps: int | None = None, weight: torch.Tensor | None = None) -> None:
    """Refuse anything but a finite floating tensor [T, ...], T >= 1, that fits the steps and dtype of the weights."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"x is a {type(x).__name__}; a torch.Tensor [T, ...] is needed: use torch.as_tensor(x)")
    if not x.is_floating_point():
        raise TypeError(f"x has dtype {x.dtype}; a floating dtype is needed: use x.float()")
    if weight is not None and (x.dtype, x.device) != (weight.dtype, weight.device):
        raise TypeError(
            f"x is {x.dtype} on {x.device}, the weights are {weight.dtype} on {weight.device}: "
            f"use module.to(x.device, x.dtype) or x.to(...)"
        )
    if x.ndim == 0 or x.shape[0] == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}; [T, ...] is needed, time first, with at least one step")
    if steps is not None and x.shape[0] != steps:
        raise ValueError(
            f"x has {x.shape[0]} steps, this neuron has weights for {steps}: cut or pad x, or build the neuron for it"
        )
    if may_look() and not torch.isfinite(x).all():
        raise ValueError("x contains NaN or infinity; clean it first: in a product one such value reaches every step")


def check_count(value: int, name: str) -> int:
    """A whole number >= 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}; a whole number is needed")
    if value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 1")
    return value


def check_positive(value: float, name: str) -> float:
    """A finite number > 0."""
    check_range(name, value, 0.0, float("inf"), open_low=True)
    return float(value)


def check_decay(decay: float | torch.Tensor, name: str = "decay") -> float | torch.Tensor:
    """A decay in [0, 1]: a number, or a 0-dimensional tensor (a torch.nn.Parameter stays one and is learned)."""
    if isinstance(decay, torch.Tensor) and decay.ndim:
        raise TypeError(f"{name} has shape {tuple(decay.shape)}; one number is needed (lif takes a decay per neuron)")
    check_range(name, decay, 0.0, 1.0)
    return decay if isinstance(decay, torch.Tensor) else float(decay)
