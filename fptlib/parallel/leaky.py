"""Neurons that keep the leak and drop, sample or estimate the reset: LIF without reset, SPSN, PSU, IPSU."""

import torch
from torch import nn

from fptlib.parallel.form import (
    FixedPointForm,
    as_dtype,
    as_number,
    check_count,
    check_decay,
    check_positive,
    check_sequence,
    leak_matrix,
    over_time,
)
from fptlib.scan import linear_scan
from fptlib.surrogates import Sigmoid, spike

DEFAULT = Sigmoid()


def leak(decay: float | torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Lambda x for x [T, ...], as one linear scan."""
    return linear_scan(as_dtype(decay, x.dtype, x.device).to(x.device).reshape(1), x)


class NoResetLIF(nn.Module):
    """Leaky integrate-and-fire neuron whose spikes take nothing away.

    u = Lambda x, Lambda = (I - decay N)^-1; s = [u >= threshold].

    Args:
        decay: leak per step in [0, 1], a number or a 0-dimensional torch.nn.Parameter (then learned).
        threshold: firing threshold (membrane units).
        surrogate: derivative used backwards.

    Returns (forward): spikes [T, ...] for an input [T, ...], any T >= 1.

    Raises:
        ValueError: decay outside [0, 1], or an x that is empty or not finite.

    Example:
        >>> NoResetLIF(decay=0.5)(torch.tensor([1.0, 0.5, 0.0])).tolist()
        [1.0, 1.0, 0.0]

    Book: prp-psn-k1
    """

    def __init__(self, decay: float | torch.Tensor = 0.5, threshold: float = 1.0, surrogate=DEFAULT):
        super().__init__()
        self.decay = check_decay(decay)
        self.threshold = check_positive(threshold, "threshold")
        self.surrogate = surrogate

    def fire(self, membrane: torch.Tensor) -> torch.Tensor:
        """Spikes of a membrane [T, ...]."""
        return spike(membrane - self.threshold, self.surrogate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_sequence(x)
        return self.fire(leak(self.decay, x))

    def as_fixed_point(self, steps: int, dtype: torch.dtype | None = None) -> FixedPointForm:
        """A = Lambda, B = 0, K = 1, for T = steps."""
        A = leak_matrix(self.decay, check_count(steps, "steps"), dtype)
        note = "LIF without reset: the first evaluation of fixed-point training, S^(1), and nothing freed."
        return FixedPointForm(A, torch.zeros_like(A), (self.fire,), 1, True, note)

    def extra_repr(self) -> str:
        return f"decay={as_number(self.decay):g}, threshold={self.threshold:g}, surrogate={self.surrogate}"


class SPSN(nn.Module):
    """Stochastic parallel spiking neuron: a leaky synapse, a leaky membrane, and a spike drawn by chance.

    u = Lambda(membrane_decay) Lambda(synapse_decay) x, s ~ Bernoulli(sigmoid(slope (u - threshold))); no reset.
    The gradient is that of the probability (straight through the draw).

    Args:
        synapse_decay, membrane_decay: leaks per step in [0, 1], numbers or 0-dimensional Parameters (then learned).
        threshold: membrane at which the spike probability is one half (membrane units).
        slope: steepness of the probability (1 / membrane units).
        sample: False returns the probabilities themselves, a deterministic mode for evaluation.

    Returns (forward): spikes (or probabilities) [T, ...] for an input [T, ...].

    Raises:
        ValueError: a decay outside [0, 1], slope or threshold not above 0, or an x that is empty or not finite.

    Example:
        >>> SPSN(sample=False)(torch.zeros(3)).shape
        torch.Size([3])

    Book: prp-spsn-k1 (after Yarga and Wood 2023)
    """

    def __init__(
        self,
        synapse_decay: float | torch.Tensor = 0.5,
        membrane_decay: float | torch.Tensor = 0.5,
        threshold: float = 1.0,
        slope: float = 4.0,
        sample: bool = True,
    ):
        super().__init__()
        self.synapse_decay = check_decay(synapse_decay, "synapse_decay")
        self.membrane_decay = check_decay(membrane_decay, "membrane_decay")
        self.threshold = check_positive(threshold, "threshold")
        self.slope = check_positive(slope, "slope")
        self.sample = bool(sample)

    def fire(self, membrane: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Spikes (or probabilities) of a membrane [T, ...]."""
        probability = torch.sigmoid(self.slope * (membrane - self.threshold))
        if not self.sample:
            return probability
        drawn = torch.bernoulli(probability.detach(), generator=generator)
        # The bracket is exactly zero; without it, drawn + probability - probability could round to 1 +- eps.
        return drawn + (probability - probability.detach())

    def forward(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        check_sequence(x)
        return self.fire(leak(self.membrane_decay, leak(self.synapse_decay, x)), generator)

    def as_fixed_point(
        self, steps: int, dtype: torch.dtype | None = None, generator: torch.Generator | None = None
    ) -> FixedPointForm:
        """A = Lambda_membrane Lambda_synapse, B = 0, K = 1, f draws from `generator`, for T = steps."""
        check_count(steps, "steps")
        A = leak_matrix(self.membrane_decay, steps, dtype) @ leak_matrix(self.synapse_decay, steps, dtype)
        note = (
            "SPSN: two leaks in a row, no reset, one evaluation; f is a draw: equal in law, and equal with equal draws."
        )
        return FixedPointForm(A, torch.zeros_like(A), (lambda u: self.fire(u, generator),), 1, True, note)

    def extra_repr(self) -> str:
        return (
            f"synapse_decay={as_number(self.synapse_decay):g}, membrane_decay={as_number(self.membrane_decay):g}, "
            f"threshold={self.threshold:g}, slope={self.slope:g}, sample={self.sample}"
        )


class PSU(nn.Module):
    """Parallel spiking unit: the reset is computed from an estimate of the spikes instead of the spikes.

    s_hat = sigmoid(slope (A x - threshold)), u = A x - B s_hat, s = [u >= threshold].
    A (lower triangular) and B (strictly lower triangular) are learned, from Lambda and threshold (Lambda - I).

    Args:
        steps: T, the fixed number of steps.
        decay: leak of the starting Lambda, in [0, 1].
        threshold: firing threshold and starting amount of reset (membrane units).
        slope: steepness of the estimate; None estimates with the firing function itself (hard forwards).
        surrogate: derivative used backwards.

    Returns (forward): spikes [T, ...] for an input [T, ...].

    Raises:
        ValueError: a value out of range, or an x that does not have T steps or is not finite.

    Example:
        >>> PSU(3, slope=None)(torch.tensor([1.0, 1.0, 1.0])).tolist()
        [1.0, 1.0, 1.0]

    Book: prp-psu-k2 (after arXiv 2402.00449)
    """

    def __init__(
        self, steps: int, decay: float = 0.5, threshold: float = 1.0, slope: float | None = 4.0, surrogate=DEFAULT
    ):
        super().__init__()
        self.steps = check_count(steps, "steps")
        self.threshold = check_positive(threshold, "threshold")
        self.slope = None if slope is None else check_positive(slope, "slope")
        self.surrogate = surrogate
        start = leak_matrix(as_number(check_decay(decay)), steps)
        self.input_weight = nn.Parameter(start)
        self.reset_weight = nn.Parameter(self.threshold * start.tril(-1))

    def fire(self, membrane: torch.Tensor) -> torch.Tensor:
        """Spikes of a membrane [T, ...]."""
        return spike(membrane - self.threshold, self.surrogate)

    def estimate(self, membrane: torch.Tensor) -> torch.Tensor:
        """The guess of the spikes made from the reset-free membrane [T, ...]."""
        return self.fire(membrane) if self.slope is None else torch.sigmoid(self.slope * (membrane - self.threshold))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_sequence(x, self.steps, self.input_weight)
        free = over_time(self.input_weight.tril(), x)
        return self.fire(free - over_time(self.reset_weight.tril(-1), self.estimate(free)))

    def as_fixed_point(self) -> FixedPointForm:
        """A and B as learned, f = (estimate, firing function), K = 2."""
        note = "PSU: one reset-free guess and one correction of a LIF with freed A and B; short of the fixed point."
        functions = (self.estimate, self.fire)
        # With fewer than three steps two evaluations of one hard function do reach the end.
        exact = self.steps <= (2 if self.slope is None else 1)
        return FixedPointForm(self.input_weight.tril(), self.reset_weight.tril(-1), functions, 2, exact, note)

    def extra_repr(self) -> str:
        return f"steps={self.steps}, threshold={self.threshold:g}, slope={self.slope}, surrogate={self.surrogate}"


class IPSU(nn.Module):
    """Input-aware parallel spiking unit: the estimate of the spikes is the reset-free membrane itself.

    u = tril(W) x - (Lambda - I) Lambda x, s = [u >= threshold]; W learned from Lambda, Lambda fixed.

    Args:
        steps: T, the fixed number of steps.
        decay: leak of Lambda, in [0, 1].
        threshold: firing threshold (membrane units).
        surrogate: derivative used backwards.

    Returns (forward): spikes [T, ...] for an input [T, ...].

    Raises:
        ValueError: a value out of range, or an x that does not have T steps or is not finite.

    Example:
        >>> IPSU(3)(torch.tensor([1.0, 1.0, 1.0])).tolist()
        [1.0, 1.0, 0.0]

    Book: prp-ipsu-psn (as coded in the release of fixed-point parallel training)
    """

    def __init__(self, steps: int, decay: float = 0.5, threshold: float = 1.0, surrogate=DEFAULT):
        super().__init__()
        self.steps = check_count(steps, "steps")
        self.threshold = check_positive(threshold, "threshold")
        self.surrogate = surrogate
        self.register_buffer("leak", leak_matrix(as_number(check_decay(decay)), steps))
        self.weight = nn.Parameter(self.leak.clone())

    def fire(self, membrane: torch.Tensor) -> torch.Tensor:
        """Spikes of a membrane [T, ...]."""
        return spike(membrane - self.threshold, self.surrogate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_sequence(x, self.steps, self.weight)
        feedback = over_time(self.leak.tril(-1), over_time(self.leak, x))
        return self.fire(over_time(self.weight.tril(), x) - feedback)

    def as_fixed_point(self) -> FixedPointForm:
        """A = tril(W) - (Lambda - I) Lambda, B = 0, K = 1: a linear reset folds into the input matrix."""
        A = self.weight.tril() - self.leak.tril(-1) @ self.leak
        note = (
            "IPSU: its reset is linear in the input, so it is a causal PSN with matrix tril(W) - (Lambda - I) Lambda."
        )
        return FixedPointForm(A, torch.zeros_like(A), (self.fire,), 1, True, note)

    def extra_repr(self) -> str:
        return f"steps={self.steps}, threshold={self.threshold:g}, surrogate={self.surrogate}"
