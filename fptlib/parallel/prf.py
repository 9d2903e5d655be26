"""PRF: a leak (or a resonance) without reset, and a threshold that counts spikes."""

import math

import torch
from torch import nn

from fptlib.parallel.decoupled import decoupled_spikes
from fptlib.parallel.form import (
    FixedPointForm,
    check_count,
    check_decay,
    check_positive,
    check_sequence,
    lower_toeplitz,
)
from fptlib.scan import complex_scan
from fptlib.surrogates import Sigmoid, spike

DEFAULT = Sigmoid()


class PRF(nn.Module):
    """Parallel resonate-and-fire neuron with the decoupled reset, in our reading of arXiv 2410.03530.

    u = K x with K_tj = decay^(t-j) cos(frequency (t-j)); n_t = s_1 + ... + s_{t-1};
    "decoupled": s_t = [u_t >= threshold (1 + decay n_t)]; "none": s_t = [u_t >= threshold].

    The decoupled reset is not the soft reset of a leaky neuron: an old spike is never forgotten. It is a threshold that
    rises by threshold * decay at every spike and stays there; only for decay = 1 (frequency 0) do the two agree.

    The membrane is one `complex_scan`. The count is sequential: on a GPU a kernel walks the T steps with the membranes of the
    next steps on their way, in torch the spikes are found one round after the other where they are fewer than the steps. Its
    gradient is a reverse linear scan. `ran` says what the last call ran.

    Args:
        decay: modulus of the leak per step, in [0, 1].
        frequency: angle of the leak per step, in [0, pi] (radians per step); 0 is an ordinary leaky membrane.
        threshold: firing threshold before the first spike (membrane units).
        reset: "decoupled" or "none".
        surrogate: derivative used backwards.
        backend: "auto" (the kernels for an x on a GPU), "torch" or "triton".

    Returns (forward): spikes [T, ...] for an input [T, ...], any T >= 1.

    Raises:
        ValueError: an unknown reset, a value out of range, or an x that is empty or not finite.

    Example:
        >>> PRF(decay=0.5)(torch.tensor([1.0, 1.0, 1.0])).tolist()
        [1.0, 1.0, 0.0]

    Book: prp-prf-neuron
    """

    def __init__(
        self,
        decay: float = 0.9,
        frequency: float = 0.0,
        threshold: float = 1.0,
        reset: str = "decoupled",
        surrogate=DEFAULT,
        backend: str = "auto",
    ):
        super().__init__()
        if reset not in ("decoupled", "none"):
            raise ValueError(f"reset is {reset!r}; 'decoupled' or 'none' is needed")
        if not 0.0 <= float(frequency) <= math.pi:
            raise ValueError(
                f"frequency is {frequency}; radians per step from 0 to pi are needed (2 pi times Hz times dt)"
            )
        self.decay, self.frequency = float(check_decay(decay)), float(frequency)
        self.threshold = check_positive(threshold, "threshold")
        self.reset = reset
        self.surrogate = surrogate
        self.backend, self.ran = backend, ""

    def matrix(self, steps: int, dtype: torch.dtype | None = None, device: torch.device | None = None) -> torch.Tensor:
        """The reset-free map from input to membrane, [T, T], for the theory: `forward` never forms it."""
        lag = torch.arange(steps, dtype=dtype or torch.get_default_dtype(), device=device)
        return lower_toeplitz(self.decay**lag * torch.cos(self.frequency * lag))

    def fire(self, membrane: torch.Tensor) -> torch.Tensor:
        """Spikes of a membrane, or of a membrane minus what the threshold has risen by."""
        return spike(membrane - self.threshold, self.surrogate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_sequence(x)
        membrane, _, self.ran = complex_scan(self.decay, self.frequency, x, backend=self.backend)
        if self.reset == "none":
            return self.fire(membrane).to(x.dtype)
        rise = self.threshold * self.decay
        spikes, counted = decoupled_spikes(membrane, rise, self.threshold, self.surrogate, self.backend)
        self.ran = f"membrane: {self.ran}; spikes: {counted}"
        return spikes.to(x.dtype)

    def as_fixed_point(self, steps: int, dtype: torch.dtype | None = None) -> FixedPointForm:
        """A = K; B = threshold * decay below the diagonal (K = T evaluations), or B = 0 without reset (K = 1)."""
        A = self.matrix(check_count(steps, "steps"), dtype)
        if self.reset == "none":
            note = (
                "PRF without reset: a resonator whose spikes take nothing away, a sliding PSN with damped cosine taps."
            )
            return FixedPointForm(A, torch.zeros_like(A), (self.fire,), 1, True, note)
        B = self.threshold * self.decay * torch.ones_like(A).tril(-1)
        note = (
            "PRF with decoupled reset: not the fixed point of a leaky neuron (B would hold decay^(t-j), here all entries "
            "are threshold * decay) unless decay = 1 and frequency = 0; it equals a reset-free neuron whose threshold "
            "rises by threshold * decay at each spike and never falls."
        )
        return FixedPointForm(A, B, (self.fire,) * steps, steps, True, note)

    def extra_repr(self) -> str:
        return (
            f"decay={self.decay:g}, frequency={self.frequency:g}, threshold={self.threshold:g}, "
            f"reset={self.reset!r}, surrogate={self.surrogate}"
        )
