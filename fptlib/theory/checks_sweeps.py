"""Checkers for the exercises of the chapters on gradients and on the family of sweeps: "Correct." or what is still wrong."""

from fractions import Fraction

import numpy as np


def check_gradient_by_hand(attached, detached):
    """Say whether your (g_1, g_2) are right, for the hard reset attached and detached.

    Wanted: g_2 = h_2 and g_1 = decay c_1 g_2 with c_1 = (1 - s_1) - u_1 h_1 (attached) or 1 - s_1 (detached).

    Args: attached, detached: pairs of numbers (scalars).
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_gradient_by_hand((0.0, 0.5), (0.0, 0.5)) starts with "Not yet:"
    Book: ex-gradient-by-hand
    """
    for name, got, wanted in (("attached", attached, (-0.18, 0.5)), ("detached", detached, (0.0, 0.5))):
        for step in (1, 0):  # backwards, as the recurrence runs
            if not np.isclose(float(got[step]), wanted[step], atol=1e-9):
                return f"Not yet: {name}, g_{step + 1} = {float(got[step]):.6g}. Does step 1 fire, and what does that cost step 2?"
    return "Correct. Detached, a spike cuts the gradient; attached, more input at step 1 costs step 2."


def check_factor_l(function):
    """Say whether function(L, decay) is True exactly where the bound without its outer factor L fails (T = 2, K = 1, D = L I).

    Wanted: theta L^2 decay > (1 + decay) theta L decay.

    Args: function: your function of two numbers (scalars), returning a bool.
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_factor_l(lambda L, decay: False) starts with "Not yet:"
    Book: ex-factor-l
    """
    for decay in (0.1, 0.5, 0.9, 1.0):
        for L in (0.25, 1.0, 1.05, 1.2, 1.45, 1.55, 1.85, 1.95, 2.05, 3.0):
            if bool(function(L, decay)) != (L > 1 + decay):
                return f"Not yet: L = {L}, decay = {decay}: remainder {L * L * decay:.4g}, faulty bound {(1 + decay) * L * decay:.4g}."
    return "Correct. It fails for L > 1 + decay, whatever the threshold."


def check_three_cycle(current):
    """Say whether a constant input makes the soft-reset neuron (decay 1/2, threshold 1) fire once in three steps, for ever.

    Wanted: a state v that three steps map to itself, with one spike on the way; computed in exact fractions.

    Args: current: the input, a number or a Fraction (scalar).
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_three_cycle(0.7) starts with "Not yet:"
    Book: ex-three-cycle
    """
    c = Fraction(current).limit_denominator(10**6)
    v = start = 2 * c - Fraction(8, 7)
    spikes = []
    for _ in range(3):
        u = v / 2 + c
        spikes.append(u >= 1)
        v = u - spikes[-1]
    if spikes != [False, False, True]:
        return f"Not yet: with {c} the state {start} is followed by the spikes {[int(s) for s in spikes]}, not by silent, silent, spike."
    return f"Correct. The states {start}, {start / 2 + c} and {(start / 2 + c) / 2 + c} follow one another for ever and never meet."
