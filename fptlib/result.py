"""What a solver hands back: `Solution` with its `Certificate` and `Status`."""

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import torch


class Status(Enum):
    """How a solve ended; the member's value is the sentence to show. No tensors, no shape. Book: def-solution"""

    EXACT = "Every step is proved equal to the sequential neuron."
    SWEEPS_DONE = "The asked number of sweeps was run; the certificate says which steps are proved."
    GRADED = "The output is graded or sampled, so it is not the spike train of the sequential neuron."
    UNDECIDED = (
        "The sweeps settled, but some steps lie closer to the threshold than rounding allows to decide; "
        "use Sequential() or Replay(), which share the sequential neuron's arithmetic."
    )
    NONFINITE = "The state left the finite numbers; scale the input, or choose a neuron with a stable linear part."


class SolveError(RuntimeError):
    """Raised when a solve ends in a failing status; ``on_failure="return"`` returns it instead. No shape. Book: def-solution"""


@dataclass(frozen=True)
class Certificate:
    """What is proved about a spike train, against the sequential neuron in its own floating-point arithmetic.

    Args:
        exact: every step of every neuron is proved.
        prefix: number of leading steps proved for all neurons.
        undecided: steps not proved, a boolean mask [T, ...] (None when all are proved by construction).
        lower, upper: trains between which the sequential train lies, [T, ...]; None where the neuron has no brackets.
        reason: one sentence naming the proof.

    Shape: masks and trains have the shape of the spikes, [T, ...] or [T, P, ...].

    Example:
        >>> from fptlib import lif, solve
        >>> solve(lif(), torch.ones(4, 1)).certificate.exact
        True

    Book: def-certificate
    """

    exact: bool
    prefix: int
    undecided: torch.Tensor | None
    lower: torch.Tensor | None
    upper: torch.Tensor | None
    reason: str


@dataclass(frozen=True)
class Run:
    """What a solver computes, before proof and gradient: channels explicit, [T, D, ...] and [T, P, ...].

    ``spikes`` and ``membrane`` are trains, ``final_state`` [memory, ...]; ``by_construction`` is the sentence that proves the
    train equal to the sequential one, or None; ``graded`` marks sigmoid or sampled output; ``note`` says what was chosen.

    Book: def-solution
    """

    spikes: torch.Tensor
    membrane: torch.Tensor
    final_state: torch.Tensor
    sweeps: int
    residuals: tuple
    by_construction: str | None = None
    graded: bool = False
    backend: str = "torch"
    note: str = ""
    bounds: tuple | None = None
    report: object = None


@dataclass(frozen=True)
class Solution:
    """Spikes, membrane and evidence of one solve.

    Args:
        spikes: [T, ...] (or [T, P, ...] for P > 1 spike channels), in the input's dtype.
        membrane: state before reset, [T, ...] or [T, D, ...]. The Triton backend does not store it: it is recomputed when
            first asked for, and then carries no gradient.
        final_state: what the next window needs as its ``v0``, one step [...] or [D, ...] (with the last spikes where a jump
            is due, [D + P, ...]).
        sweeps: evaluations of the spike function, K (rounds for `Replay`, 1 for `Sequential`).
        residuals: spikes changed by each sweep (none while a CUDA graph is being captured,
            when nothing may be counted, and none from the kernels with ``validate=False``).
        status: a `Status`; its value is a sentence.
        backend, solver: what ran, and why it was chosen (``note``).

    Shape: see above; ``certificate`` is computed on first use.

    Example:
        >>> from fptlib import FixedPoint, lif, solve
        >>> solve(lif(), torch.ones(4, 1), FixedPoint(sweeps=4)).sweeps
        4

    Book: def-solution
    """

    spikes: torch.Tensor
    final_state: torch.Tensor
    sweeps: int
    residuals: tuple
    backend: str
    solver: object
    note: str
    mix: tuple = field(repr=False)
    report: object = field(repr=False, default=None)
    _membrane: object = field(repr=False, default=None)
    _prove: object = field(repr=False, default=None)
    _judge: object = field(repr=False, default=None)

    @cached_property
    def membrane(self):
        """State before reset, [T, ...] or [T, D, ...]. Book: def-solution"""
        return self._membrane() if callable(self._membrane) else self._membrane

    @cached_property
    def certificate(self):
        """The proof, computed when first asked for; masks [T, ...]. Book: def-certificate"""
        return self._prove()

    @cached_property
    def status(self):
        """How the solve ended, a `Status` (no shape). Book: def-solution"""
        return self._judge(self)

    @property
    def output(self):
        """Weighted sum of the spike channels, [T, ...]: what a layer passes on. Book: def-two-compartment"""
        if len(self.mix) == 1:
            return self.spikes
        return sum(w * s for w, s in zip(self.mix, self.spikes.unbind(1), strict=True))
