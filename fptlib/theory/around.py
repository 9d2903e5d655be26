"""Chapter 18 in numbers: converting a trained network, gradients made on the way, running a neuron backwards."""

import math

import numpy as np


def spike_count(x, T, threshold=1.0, v0=0.0):
    """Spikes of a leakless soft-reset neuron in T steps of constant input: a staircase, the clipped and rounded ReLU.

    N = min(T, max(0, floor((v0 + T x) / threshold))).

    Args:
        x: constant input, a float or an array [...].
        T: steps, at least 1.
        threshold: positive.
        v0: state at the start, in [0, threshold).

    Returns:
        array of whole numbers [...], the shape of ``x``: the formula in float64. A loop rounds at every step and may decide
        a tie, (v0 + T x) / threshold whole, the other way unless all numbers lie on a common binary grid.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> spike_count([-0.2, 0.3, 0.5, 1.7], 4).tolist()
        [0, 1, 2, 4]

    Book: thm-rate-staircase
    """
    if T < 1 or not threshold > 0 or not 0 <= v0 < threshold:
        raise ValueError(f"T={T}, threshold={threshold}, v0={v0} came; T >= 1 and 0 <= v0 < threshold are wanted.")
    return np.clip(np.floor((v0 + T * np.asarray(x, dtype=float)) / threshold), 0, T).astype(int)


def conversion_discrepancy(norms, thresholds, share=0.5, first=0.0):
    """How far the cumulative output of each converted layer can be from the trained network's, at any time.

    D_l = share * threshold_l + ||W_l|| D_{l-1}; the error of the average after T steps is at most D_l / T.

    Args:
        norms: largest absolute row sum of every weight matrix, a sequence of L floats.
        thresholds: threshold of every layer, L floats.
        share: max(v0, threshold - v0) / threshold: 0.5 for a start at half the threshold, 1 for a start at 0.
        first: D_0, the discrepancy of the input code; 0 for a constant input.

    Returns:
        list of L floats.

    Raises:
        ValueError: when the lengths differ or share leaves [0.5, 1].

    Example:
        >>> conversion_discrepancy([2.0, 3.0], [1.0, 1.0])
        [0.5, 2.0]

    Book: thm-conversion-error
    """
    if len(norms) != len(thresholds) or not 0.5 <= share <= 1:
        raise ValueError(
            f"{len(norms)} norms, {len(thresholds)} thresholds, share={share} came; as many norms as thresholds, "
            f"and share in [0.5, 1], are wanted."
        )
    bounds = []
    for norm, threshold in zip(norms, thresholds, strict=True):
        first = share * threshold + norm * first
        bounds.append(first)
    return bounds


def leaky_plateau(period, decay, threshold=1.0):
    """Constant inputs for which a leaky soft-reset neuron fires exactly once in ``period`` steps.

    low = threshold (1 - decay) / (1 - decay^p), high = low (1 - decay^p + decay^(p-1)); low counts, high does not.

    Args:
        period: p, at least 1.
        decay: in (0, 1).
        threshold: positive.

    Returns:
        (low, high); below threshold * (1 - decay), the limit for long periods, the neuron is silent.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> [round(x, 4) for x in leaky_plateau(2, 0.5)]
        [0.6667, 0.8333]

    Book: prp-leaky-rate
    """
    if period < 1 or not 0 < decay < 1 or not threshold > 0:
        raise ValueError(
            f"period={period}, decay={decay}, threshold={threshold} came; p >= 1, 0 < decay < 1, theta > 0."
        )
    low = threshold * (1 - decay) / (1 - decay**period)
    return low, low * (1 - decay**period + decay ** (period - 1))


def eligibility_trace(inputs, decay, carry=None):
    """What an input still weighs in the membrane: the trace that a forward-mode gradient multiplies with its error.

    e[t] = inputs[t] + decay carry[t-1] e[t-1], e before the first step 0.

    Args:
        inputs: z, [T, ...].
        decay: float.
        carry: c of the reset, [T, ...], broadcastable with ``inputs``; None for 1 (detached soft reset).

    Returns:
        array, the broadcast shape of ``inputs`` and ``carry``.

    Raises:
        ValueError: when ``carry`` has another number of steps.

    Example:
        >>> eligibility_trace([1.0, 0.0, 1.0], 0.5).tolist()
        [1.0, 0.5, 1.25]

    Book: thm-eligibility-trace
    """
    z = np.asarray(inputs, dtype=float)
    c = np.ones(len(z)) if carry is None else np.asarray(carry, dtype=float)
    if len(c) != len(z):
        raise ValueError(f"carry came with {len(c)} steps, inputs with {len(z)}; the same number is wanted.")
    trace = [z[0] + 0 * c[0]] if len(z) else []
    for t in range(1, len(z)):
        trace.append(z[t] + decay * c[t - 1] * trace[-1])
    return np.stack(trace) if trace else z


def reversal_horizon(decay, bits=24):
    """Steps after which running a leaky neuron backwards has no correct digit left.

    k = bits ln 2 / ln(1 / decay): an error of half a unit in the last place grows by 1 / decay a step.

    Args:
        decay: in [0, 1].
        bits: of the significand: 24 for float32, 53 for float64.

    Returns:
        float; 0 for decay 0, inf for decay 1.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> [round(reversal_horizon(d)) for d in (0.5, 0.9, 0.99)]
        [24, 158, 1655]

    Book: prp-reversal-error
    """
    if not 0 <= decay <= 1 or bits < 1:
        raise ValueError(f"decay={decay}, bits={bits} came; decay in [0, 1] and at least one bit are wanted.")
    if decay in (0, 1):
        return math.inf if decay else 0.0
    return bits * math.log(2) / -math.log(decay)
