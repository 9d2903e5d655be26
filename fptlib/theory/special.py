"""Chapter 7 in numbers: what a learned diagonal does to the fixed point."""

import math

from scipy.optimize import brentq


def safe_band(slope, threshold=1.0):
    """Open interval of diagonal entries W_tt inside which sweeps of the logistic form reach their one fixed point.

    1 - 4 / (slope threshold) < W_tt < 1 + 4 / (slope threshold), for U = W X - threshold (W - I) sigma(U - threshold),
    W lower triangular.

    Args:
        slope: alpha of the logistic spike function, positive (1 / membrane).
        threshold: amount of reset theta, positive (membrane).

    Returns:
        The two ends of the interval, floats.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> low, high = safe_band(12.0)
        >>> round(low, 6), round(high, 6)
        (0.666667, 1.333333)

    Book: thm-free-diagonal
    """
    half = 4.0 / (_positive("slope", slope) * _positive("threshold", threshold))
    return 1.0 - half, 1.0 + half


def classify_diagonal(entry, slope):
    """What one diagonal entry d of M does to U = B - M sigma(U - theta), M lower triangular, sigma logistic.

    |d| < 4/slope: "converges"; otherwise d >= -4/slope: "unique"; d < -4/slope: "several".

    Args:
        entry: d, a diagonal entry of M (membrane per spike; of the released code, W_tt - 1).
        slope: alpha of the logistic, positive (1 / membrane).

    Returns:
        "converges" (one fixed point, reached from any start), "unique" (one fixed point, the sweeps may end in a 2-cycle)
        or "several" (for some inputs three fixed points).

    Raises:
        ValueError: when slope is not positive or entry not finite.

    Example:
        >>> [classify_diagonal(d, 12.0) for d in (0.3, 0.9, -0.7)]
        ['converges', 'unique', 'several']

    Book: thm-free-diagonal
    """
    edge = 4.0 / _positive("slope", slope)
    if not math.isfinite(entry):
        raise ValueError(f"entry came as {entry}; a finite number is wanted.")
    if abs(entry) < edge:
        return "converges"
    return "unique" if entry >= -edge else "several"


def scalar_fixed_points(entry, slope, right_side, threshold=1.0):
    """All solutions u of u + d sigma(slope (u - threshold)) = right_side: one step of the fixed point, earlier ones known.

    Args:
        entry: d, the diagonal entry (membrane per spike).
        slope: alpha of the logistic, positive (1 / membrane).
        right_side: everything that does not depend on this step's own spike (membrane).
        threshold: theta (membrane).

    Returns:
        One, two or three floats in increasing order.

    Raises:
        ValueError: when slope is not positive.

    Example:
        >>> [round(u, 3) for u in scalar_fixed_points(-0.7, 12.0, 0.65)]
        [0.662, 1.0, 1.338]

    Book: thm-free-diagonal
    """
    _positive("slope", slope)
    residual = lambda u: u + entry * _logistic(slope * (u - threshold)) - right_side
    # The residual bends where slope p (1 - p) = -1/d, at two points if d < -4/slope: at most three monotone pieces.
    ends = [right_side - abs(entry) - 1.0, right_side + abs(entry) + 1.0]
    if entry < -4.0 / slope:
        root = math.sqrt(1.0 + 4.0 / (slope * entry))
        bends = (threshold + math.log((1 + sign * root) / (1 - sign * root)) / slope for sign in (-1, 1))
        ends[1:1] = [u for u in bends if ends[0] < u < ends[1]]
    found = []
    for low, high in zip(ends, ends[1:]):
        if residual(low) * residual(high) <= 0:
            found.append(brentq(residual, low, high, xtol=1e-14))
    return found


def _logistic(x):
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def _positive(name, value):
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} came as {value}; a positive finite number is wanted.")
    return value
