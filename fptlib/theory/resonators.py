"""Chapter 10 in numbers: the complex leak, what a short kernel loses, and how often the decoupled reset lets fire."""

import cmath
import math


def complex_leak(damping, frequency, dt):
    """Modulus and angle per step of the exact solution of z' = (-damping + 2 pi i frequency) z.

    decay = exp(-damping dt), angle = 2 pi frequency dt.

    Args:
        damping: non-negative (1 / s).
        frequency: non-negative (Hz), at most 1 / (2 dt).
        dt: length of a step, positive (s).

    Returns:
        (decay, angle): floats, the angle in radians per step.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> decay, angle = complex_leak(damping=50.0, frequency=40.0, dt=0.001)
        >>> round(decay, 4), round(angle, 4)
        (0.9512, 0.2513)

    Book: lem-complex-leak
    """
    if not (dt > 0 and damping >= 0 and 0 <= frequency * dt <= 0.5):
        raise ValueError(
            f"damping {damping}, frequency {frequency}, dt {dt}: wanted damping >= 0, dt > 0, 0 <= frequency <= 1/(2 dt)."
        )
    return math.exp(-damping * dt), 2 * math.pi * frequency * dt


def resonator_gain(decay, angle, at):
    """Steady amplitude of Re z for the input cos(at * t): |1/(1 - p e^{-i at}) + 1/(1 - conj(p) e^{-i at})| / 2, p = decay e^{i angle}.

    Args:
        decay: modulus of the leak, in [0, 1).
        angle: angle of the leak (radians per step).
        at: angle of the input (radians per step).

    Returns:
        The gain, a float.

    Raises:
        ValueError: when decay is outside [0, 1): the response does not settle.

    Example:
        >>> round(resonator_gain(0.9, 0.0, 0.0), 6)
        10.0

    Book: prp-resonator-tuning
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay came as {decay}; a number in [0, 1) is wanted.")
    turn, pole = cmath.exp(-1j * at), cmath.rect(decay, angle)
    return abs(0.5 / (1 - pole * turn) + 0.5 / (1 - pole.conjugate() * turn))


def truncation_bound(decay, taps, peak, steps=math.inf):
    """Largest error of the membrane when only the last `taps` inputs are kept: peak (decay^taps - decay^T) / (1 - decay).

    Args:
        decay: modulus of the leak, in [0, 1].
        taps: number of kernel entries kept, at least 0.
        peak: largest |x| (membrane).
        steps: T; infinity gives the bound for every length.

    Returns:
        The bound, a float (membrane); attained for a real leak by constant input.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> truncation_bound(0.5, 10, 1.0)
        0.001953125

    Book: prp-short-kernel
    """
    if not (0 <= decay <= 1 and taps >= 0 and peak >= 0 and steps >= 1):
        raise ValueError(
            f"decay {decay}, taps {taps}, peak {peak}, steps {steps}: wanted 0 <= decay <= 1 and the rest >= 0."
        )
    if steps <= taps or decay == 0 and taps >= 1:
        return 0.0
    if decay == 1:
        return peak * (steps - taps)
    return peak * (decay**taps - (0.0 if steps == math.inf else decay**steps)) / (1 - decay)


def decoupled_spike_bound(decay, peak, threshold=1.0):
    """Most spikes a neuron with the decoupled reset can ever fire: floor((peak/threshold - 1)/decay) + 1, or 0.

    Args:
        decay: leak beta of the neuron, in (0, 1].
        peak: largest reset-free membrane it ever sees (membrane).
        threshold: theta, positive (membrane).

    Returns:
        The bound, an int, for a train of any length.

    Raises:
        ValueError: outside these ranges.

    Example:
        >>> decoupled_spike_bound(0.9, peak=8.0)
        8

    Book: prp-prf-neuron
    """
    if not (0 < decay <= 1 and threshold > 0 and math.isfinite(peak)):
        raise ValueError(f"decay {decay}, threshold {threshold}, peak {peak}: wanted 0 < decay <= 1, threshold > 0.")
    return 0 if peak < threshold else math.floor((peak / threshold - 1) / decay) + 1
