"""Neurons without reset and with free weights over time: PSN, masked PSN, sliding PSN. All are K = 1."""

import torch
from torch import nn

from fptlib.parallel.form import FixedPointForm, check_count, check_positive, check_sequence, lower_toeplitz, over_time
from fptlib.surrogates import Sigmoid, spike

DEFAULT = Sigmoid()
DENSE_STEPS = 2048  # up to here a T x T product beats a convolution with one channel


class PSN(nn.Module):
    """Parallel spiking neuron: every step of the membrane is a free combination of every step of the input.

    u = W x, s = [u >= b], with W [T, T] and b [T] learned; no reset.

    Args:
        steps: T, the fixed number of steps.
        threshold: starting value of every b_t (membrane units).
        surrogate: derivative used backwards.

    Returns (forward): spikes [T, ...] for an input [T, ...].

    Raises:
        ValueError: x does not have T steps, or is not finite.

    Example:
        >>> PSN(4)(torch.ones(4, 2)).shape
        torch.Size([4, 2])

    Book: prp-psn-k1 (Fang et al., NeurIPS 2023)
    """

    def __init__(self, steps: int, threshold: float = 1.0, surrogate=DEFAULT):
        super().__init__()
        self.steps = check_count(steps, "steps")
        self.surrogate = surrogate
        self.weight = nn.Parameter(torch.empty(steps, steps))
        self.threshold = nn.Parameter(torch.full((steps,), check_positive(threshold, "threshold")))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def matrix(self) -> torch.Tensor:
        """The [T, T] matrix that multiplies the input."""
        return self.weight

    def fire(self, membrane: torch.Tensor) -> torch.Tensor:
        """Spikes of a membrane [T, ...], one threshold per step."""
        return spike(membrane - self.threshold.reshape(-1, *[1] * (membrane.ndim - 1)), self.surrogate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_sequence(x, self.steps, self.weight)
        return self.fire(over_time(self.matrix(), x))

    def as_fixed_point(self) -> FixedPointForm:
        """A = W, B = 0, K = 1."""
        A = self.matrix()
        note = (
            "PSN: Lambda became a free matrix W, the threshold b_t; no reset, so one evaluation. Not causal: W is full."
        )
        return FixedPointForm(A, torch.zeros_like(A), (self.fire,), 1, True, note)

    def extra_repr(self) -> str:
        return f"steps={self.steps}, surrogate={self.surrogate}"


class MaskedPSN(PSN):
    """PSN whose matrix is blended from full to a causal band of the last `order` inputs.

    u = (W * M) x, M = blend * band + (1 - blend) * ones, band_tj = [0 <= t - j < order]; s = [u >= b].

    Args:
        steps: T, the fixed number of steps.
        order: inputs a step may look back on, itself included, once blend = 1.
        threshold: starting value of every b_t (membrane units).
        surrogate: derivative used backwards.
        blend: 0 (a plain PSN) to 1 (masked and causal); raise it during training with `set_blend`.

    Returns (forward): spikes [T, ...] for an input [T, ...].

    Raises:
        ValueError: blend outside [0, 1], order above steps, or an x that does not fit.

    Example:
        >>> MaskedPSN(4, order=2, blend=1.0).matrix().triu(1).abs().sum().item()
        0.0

    Book: prp-psn-k1 (Fang et al., NeurIPS 2023)
    """

    def __init__(self, steps: int, order: int, threshold: float = 1.0, surrogate=DEFAULT, blend: float = 0.0):
        super().__init__(steps, threshold, surrogate)
        if check_count(order, "order") > steps:
            raise ValueError(f"order is {order} with {steps} steps; a step can look back on at most {steps} inputs")
        self.order = order
        self.register_buffer("band", torch.ones(steps, steps).tril().triu(1 - order))
        self.register_buffer("blend", torch.zeros(()))
        self.set_blend(blend)

    def set_blend(self, blend: float) -> None:
        """Move the mask towards the band: 0 leaves W full, 1 makes the neuron causal."""
        if not 0.0 <= float(blend) <= 1.0:
            raise ValueError(f"blend is {blend}; a number from 0 (full) to 1 (masked) is needed")
        self.blend.fill_(float(blend))

    def matrix(self) -> torch.Tensor:
        # ones*(1 - blend) + band*blend, written so that blend = 1 gives exact zeros outside the band.
        return self.weight * (self.blend * self.band + (1 - self.blend))

    def as_fixed_point(self) -> FixedPointForm:
        """A = W * M, B = 0, K = 1."""
        A = self.matrix()
        causal = "causal" if float(self.blend) == 1.0 else f"not causal while blend = {float(self.blend):g} < 1"
        note = f"Masked PSN: Lambda became a free band of {self.order} inputs; no reset, one evaluation; {causal}."
        return FixedPointForm(A, torch.zeros_like(A), (self.fire,), 1, True, note)

    def extra_repr(self) -> str:
        return f"steps={self.steps}, order={self.order}, blend={float(self.blend):g}, surrogate={self.surrogate}"


class SlidingPSN(nn.Module):
    """PSN with the same few weights at every step: a causal filter, for any number of steps.

    u_t = w_0 x_t + w_1 x_{t-1} + ... + w_{order-1} x_{t-order+1}, s_t = [u_t >= b], with w and b learned; no reset.

    Args:
        order: number of taps. They start at 1, 1/2, 1/4, ...: a leaky membrane of decay 1/2, cut after `order` steps.
        threshold: starting value of b (membrane units).
        surrogate: derivative used backwards.

    Returns (forward): spikes [T, ...] for an input [T, ...], any T >= 1.

    Raises:
        ValueError: an x that is empty or not finite.

    Example:
        >>> SlidingPSN(order=3)(torch.tensor([1.0, 0.0, 0.0])).tolist()
        [1.0, 0.0, 0.0]

    Book: prp-psn-k1 (Fang et al., NeurIPS 2023)
    """

    def __init__(self, order: int, threshold: float = 1.0, surrogate=DEFAULT):
        super().__init__()
        self.order = check_count(order, "order")
        self.surrogate = surrogate
        self.taps = nn.Parameter(0.5 ** torch.arange(order, dtype=torch.get_default_dtype()))
        self.threshold = nn.Parameter(torch.tensor(check_positive(threshold, "threshold")))

    def fire(self, membrane: torch.Tensor) -> torch.Tensor:
        """Spikes of a membrane [T, ...]."""
        return spike(membrane - self.threshold, self.surrogate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_sequence(x, None, self.taps)
        steps = x.shape[0]
        if steps <= DENSE_STEPS:
            kernel = nn.functional.pad(self.taps, (0, max(0, steps - self.order)))[:steps]
            return self.fire(over_time(lower_toeplitz(kernel), x))
        columns = nn.functional.pad(x.reshape(x.shape[0], -1).T[:, None], (self.order - 1, 0))
        membrane = nn.functional.conv1d(columns, self.taps.flip(0)[None, None])
        return self.fire(membrane[:, 0].T.reshape(x.shape))

    def as_fixed_point(self, steps: int) -> FixedPointForm:
        """A = banded Toeplitz matrix of the taps [T, T], B = 0, K = 1, for T = steps."""
        check_count(steps, "steps")
        kernel = nn.functional.pad(self.taps, (0, max(0, steps - self.order)))[:steps]
        A = lower_toeplitz(kernel)
        note = (
            "Sliding PSN: Lambda became a Toeplitz band with free taps; no reset, one evaluation. "
            "Taps decay^i over all steps give LIF without reset."
        )
        return FixedPointForm(A, torch.zeros_like(A), (self.fire,), 1, True, note)

    def extra_repr(self) -> str:
        return f"order={self.order}, surrogate={self.surrogate}"
