"""Chapter 8 in numbers: when the sequential neuron contracts, and what centring the sweep makes of it."""

import math


def recurrence_rate(decay, slope, threshold=1.0):
    """Lipschitz constant rho of one step of the graded soft-reset neuron.

    rho = max(decay, decay |1 - threshold L|); the neuron is uniformly contracting if and only if rho < 1.

    Args:
        decay: positive.
        slope: alpha of the logistic spike function, non-negative; L = alpha / 4.
        threshold: theta, non-negative.

    Returns:
        rho, a float.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> recurrence_rate(0.5, 8.0), recurrence_rate(0.5, 16.0)
        (0.5, 1.5)

    Book: thm-centred-contraction
    """
    lipschitz = _lipschitz(decay, slope, threshold)
    return max(decay, decay * abs(1.0 - threshold * lipschitz))


def centred_decay(decay, slope, threshold=1.0):
    """Constant coefficient mu of the centred sweep: the mid-point of all slopes of the recurrence.

    mu = decay (1 - threshold L / 2).

    Args:
        decay: positive.
        slope: alpha of the logistic spike function, non-negative; L = alpha / 4.
        threshold: theta, non-negative.

    Returns:
        mu, a float, possibly negative.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> centred_decay(0.5, 12.0)
        -0.25

    Book: thm-centred-contraction
    """
    lipschitz = _lipschitz(decay, slope, threshold)
    return decay * (1.0 - threshold * lipschitz / 2.0)


def centred_constant(decay, slope, threshold=1.0, T=None, centre=None):
    """Sup-norm contraction constant of the sweep whose linear part has slope decay (1 - threshold p).

    q = decay theta max(p, L - p) (1 - |m|^(T-1)) / (1 - |m|), m = decay (1 - theta p); p = L/2 is the centred sweep,
    p = 0 is FPT.

    Args:
        decay: positive.
        slope: alpha of the logistic spike function, non-negative; L = alpha / 4.
        threshold: theta, non-negative.
        T: steps, or None for the limit of long T.
        centre: p, in [0, L]; None for L / 2.

    Returns:
        the constant, a float; inf when T is None and |m| >= 1 (and the feedback does not vanish).

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> round(centred_constant(0.5, 4.0), 4), centred_constant(0.5, 4.0, centre=0.0)
        (0.3333, 1.0)

    Book: thm-centred-contraction
    """
    lipschitz = _lipschitz(decay, slope, threshold)
    p = lipschitz / 2.0 if centre is None else centre
    if not 0 <= p <= lipschitz or (T is not None and T < 1):
        raise ValueError(f"centre={centre}, T={T} came; a centre in [0, {lipschitz}] and T >= 1 are wanted.")
    radius = decay * threshold * max(p, lipschitz - p)
    kept = abs(decay * (1.0 - threshold * p))
    if radius == 0.0:
        return 0.0
    if T is None:
        return radius / (1.0 - kept) if kept < 1 else math.inf
    return radius * math.fsum(kept**m for m in range(T - 1))


def _lipschitz(decay, slope, threshold):
    """L = slope / 4, after the checks that the three functions share."""
    if not (0 < decay < math.inf and 0 <= threshold < math.inf and 0 <= slope < math.inf):
        raise ValueError(
            f"decay={decay}, slope={slope}, threshold={threshold} came; "
            "a positive decay and non-negative slope and threshold, all finite, are wanted."
        )
    return slope / 4.0
