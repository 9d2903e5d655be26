"""Checkers for the exercises of the chapters on special cases and on resonators: "Correct." or what is still wrong."""

import math

from .resonators import resonator_gain
from .special import scalar_fixed_points


def check_three_fixed_points(right_sides, entry=-0.7, slope=12.0, threshold=1.0):
    """Say whether the given open interval is the set of right sides with three fixed points.

    Wanted: all b for which u + d sigma(slope (u - threshold)) = b has three solutions.

    Args: right_sides: (low, high), your interval (membrane); entry: d; slope: alpha; threshold: theta (membrane).
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_three_fixed_points((0.6, 0.7)) starts with "Not yet:"
    Book: ex-three-fixed-points
    """
    low, high = map(float, right_sides)
    if not low < high:
        return f"Not yet: ({low:g}, {high:g}) is not an interval."
    step = 2e-3 * abs(entry)
    count = lambda b: len(scalar_fixed_points(entry, slope, b, threshold))
    if count(low + step) < 3 or count(high - step) < 3:
        return "Not yet: just inside your interval there is a right side with only one solution."
    if count(low - step) > 1 or count(high + step) > 1:
        return (
            "Not yet: just outside your interval there is a right side with three solutions. Where is the slope zero?"
        )
    return "Correct. The ends are the values at the two points where 1 + d sigma' = 0."


def check_notch_share(share, decay):
    """Say whether `share` is the part of inputs (x_1, x_2), uniform on [0, 2 theta]^2, for which K = 1 errs at step 2.

    Wanted: a number, for 0 <= decay <= 1/2.

    Args: share: your number in [0, 1] (1); decay: leak per step (1).
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_notch_share(0.5, 0.5) starts with "Not yet:"
    Book: ex-notch
    """
    if not 0 <= decay <= 0.5:
        return f"Not yet: decay is {decay:g}; the exercise is about 0 to 1/2."
    grid = [(i + 0.5) / 400 * 2 for i in range(400)]
    wrong = sum(a >= 1 and decay * (a - 1) + b < 1 <= decay * a + b for a in grid for b in grid) / 400**2
    # The grid counts cells, so it is off by at most the cells on the boundary of the notch: four edges of 400 cells.
    if abs(share - wrong) > 4 / 400:
        return "Not yet: draw the two lines of the figure. Over which x_1 do they differ, and how high is the gap?"
    return "Correct. The notch is a parallelogram of width theta and height decay * theta."


def check_resonator_choice(decay, angle, wanted, other, ratio=10.0):
    """Say whether a resonator hears the angle `wanted` at least `ratio` times as loud as the angle `other`.

    Wanted: decay in [0, 0.99] and an angle.

    Args: decay: modulus of the leak (1); angle: of the leak (radians per step); wanted, other: of the inputs (same unit).
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_resonator_choice(0.5, 0.0, 1.0, 0.2) starts with "Not yet:"
    Book: ex-choose-a-resonator
    """
    if not 0 <= decay <= 0.99 or not math.isfinite(angle):
        return "Not yet: keep the decay in [0, 0.99] and the angle finite."
    gains = resonator_gain(decay, angle, wanted), resonator_gain(decay, angle, other)
    if gains[0] < ratio * gains[1]:
        return f"Not yet: the gains are {gains[0]:.3g} and {gains[1]:.3g}. A longer memory hears more sharply."
    return f"Correct. The gains are {gains[0]:.3g} and {gains[1]:.3g}."
