"""Chapter 6 in numbers: the coefficients of the reverse recurrence, the Neumann remainder, the explosion slope."""

import math

import numpy as np

from .convergence import feedback_norm, log_power_row_sum

_RESETS = ("soft", "hard", "none")
_LARGEST_EXPONENT = 700.0  # exp overflows float64 a little above 709; the sum of T terms needs a margin


def reverse_gate(
    decay, threshold, slopes, reset="soft", *, spikes=None, membrane=None, v_reset=0.0, detach_reset=False
):
    """Coefficient of g[t+1] in the backward recurrence of one neuron, for every reset.

    g[t] = explicit[t] + decay * c[t] * g[t+1] with c = 1 - threshold h (soft), (1 - s) - (u - v_reset) h (hard),
    1 (none); a detached reset drops the term with h.

    Args:
        decay, threshold: floats or arrays that broadcast with ``slopes``.
        slopes: h, the derivative of the spike function at the trajectory, [T, ...].
        reset: "soft", "hard" or "none".
        spikes: s, [T, ...]; needed for a hard reset.
        membrane: u, before reset, [T, ...]; needed for a hard reset that is not detached.
        v_reset: value a hard reset returns to.
        detach_reset: True when the spike inside the reset is held constant in the backward pass.

    Returns:
        decay * c, [T, ...]: entry t multiplies g[t+1].

    Raises:
        ValueError: for an unknown reset, or a hard reset without spikes (and membrane, unless detached).

    Example:
        >>> reverse_gate(0.5, 1.0, [0.0, 1.0, 4.0]).tolist()
        [0.5, 0.0, -1.5]

    Book: thm-reverse-scan
    """
    h = np.asarray(slopes, dtype=float)
    if reset not in _RESETS:
        raise ValueError(f"reset came as {reset!r}; one of {', '.join(_RESETS)} is wanted.")
    if reset == "none" or (reset == "soft" and detach_reset):
        return decay * np.ones_like(h)
    if reset == "soft":
        return decay * (1.0 - threshold * h)
    if spikes is None or (membrane is None and not detach_reset):
        raise ValueError("a hard reset needs spikes, and membrane unless detach_reset is True; pass those of the run.")
    gate = 1.0 - np.asarray(spikes, dtype=float)
    return decay * (gate if detach_reset else gate - (np.asarray(membrane, dtype=float) - v_reset) * h)


def spike_jacobian(slopes, decay, threshold=1.0, terms=None):
    """Jacobian dS/dX of the soft-reset neuron, or the first terms of its Neumann series.

    J = D (I + theta A D)^-1 Lambda = sum over j of (-theta D A)^j D Lambda, D = diag(slopes).

    Args:
        slopes: h, derivative of the spike function at the trajectory, [T].
        decay, threshold: floats.
        terms: None for J itself, or the number K >= 1 of terms kept.

    Returns:
        [T, T] array, entry (t, j) = d s[t] / d x[j].

    Raises:
        ValueError: when ``slopes`` is not one-dimensional or ``terms`` is below 1.

    Example:
        >>> (spike_jacobian([1.0, 1.0], 0.5) + 0.0).tolist()
        [[1.0, 0.0], [0.0, 1.0]]

    Book: thm-implicit-gradient
    """
    h = np.asarray(slopes, dtype=float)
    if h.ndim != 1 or (terms is not None and terms < 1):
        raise ValueError(f"slopes of shape {h.shape} and terms={terms!r} came; shape [T] and terms >= 1 are wanted.")
    steps = len(h)
    lag = np.subtract.outer(np.arange(steps), np.arange(steps))
    kernel = np.where(lag >= 0, float(decay) ** np.maximum(lag, 0), 0.0)
    feedback = threshold * (kernel - np.eye(steps))
    first = h[:, None] * kernel
    if terms is None:
        return h[:, None] * np.linalg.solve(np.eye(steps) + feedback * h, kernel)
    total = first
    for _ in range(min(terms, steps) - 1):  # Horner: J_{K+1} = D Lambda - theta D A J_K
        total = first - h[:, None] * (feedback @ total)
    return total


def neumann_remainder(T, K, decay, lipschitz, threshold=1.0, *, sharp=True):
    """Bound on the largest absolute row sum of J - J_K, what K terms of the Neumann series leave out.

    sharp: L * sum_{j=K}^{T-1} (theta L)^j ||A^j Lambda||; otherwise L ||Lambda|| * sum (theta L)^j ||A^j||.

    Args:
        T: steps, at least 1.
        K: terms kept, at least 0.
        decay: in [0, 1].
        lipschitz: L, the largest derivative of the spike function, non-negative.
        threshold: theta, non-negative.
        sharp: keep A^j and Lambda together (tighter), or bound them apart.

    Returns:
        float; 0 for K >= T, inf when the bound exceeds the floating-point range.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> [round(neumann_remainder(2, 1, 0.5, 3.0, sharp=sharp), 9) for sharp in (True, False)]
        [4.5, 6.75]

    Book: prp-neumann-remainder
    """
    if T < 1 or K < 0 or not 0 <= decay <= 1 or threshold < 0 or lipschitz < 0:
        raise ValueError(
            f"T={T}, K={K}, decay={decay}, threshold={threshold}, lipschitz={lipschitz} came; "
            "T >= 1, K >= 0, decay in [0, 1] and non-negative threshold and lipschitz are wanted."
        )
    if K >= T or lipschitz == 0:
        return 0.0
    outer = 0.0 if sharp else math.log(feedback_norm(decay, T) + 1.0)
    logs = [math.log(lipschitz) + outer + _log_term(T, j, decay, threshold * lipschitz, sharp) for j in range(K, T)]
    return math.inf if max(logs) > _LARGEST_EXPONENT else math.fsum(map(math.exp, logs))


def _log_term(T, j, decay, gain, sharp):
    """log of gain^j ||A^j Lambda|| (sharp) or gain^j ||A^j||.

    A^(j+1) shifted up by one step is decay A^j Lambda, so its row sums one step on are the ones wanted.
    """
    if j == 0:
        return math.log(feedback_norm(decay, T) + 1.0) if sharp else 0.0
    if gain == 0 or decay == 0:
        return -math.inf
    rows = log_power_row_sum(decay, j + 1, T + 1) - math.log(decay) if sharp else log_power_row_sum(decay, j, T)
    return j * math.log(gain) + float(rows[-1])


def explosion_slope(decay, threshold=1.0):
    """Largest derivative h of the spike function for which the backward coefficient stays within [-1, 1].

    |decay (1 - threshold h)| <= 1 for h >= 0 if and only if h <= (1 + 1/decay) / threshold.

    Args:
        decay: in (0, 1].
        threshold: positive.

    Returns:
        (1 + 1/decay) / threshold; a logistic surrogate reaches it at slope alpha = 4 times this value.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> explosion_slope(0.5)
        3.0

    Book: prp-gradient-explosion
    """
    if not 0 < decay <= 1 or not threshold > 0:
        raise ValueError(f"decay={decay}, threshold={threshold} came; 0 < decay <= 1 and threshold > 0 are wanted.")
    return (1.0 + 1.0 / decay) / threshold


def released_backward_slopes(slopes):
    """Backward slopes of the released FPT scripts' adaptive neuron: b = max(1, slope / 3), sweep by sweep.

    Args:
        slopes: forward slopes, a sequence of K positive numbers.

    Returns:
        tuple of K floats.

    Raises:
        ValueError: when a slope is not positive.

    Example:
        >>> released_backward_slopes((2, 6, 12))
        (1.0, 2.0, 4.0)

    Book: thm-unrolled-neumann
    """
    if any(not a > 0 for a in slopes):
        raise ValueError(f"slopes came as {tuple(slopes)}; positive numbers are wanted.")
    return tuple(max(1.0, a / 3.0) for a in slopes)
