"""Checkers for the exercises of the chapters on two compartments: "Correct." or what is still wrong."""

import torch

from .stability import transition

# The released start of TS-LIF: decays, couplings, input gains, reset amounts, written out so that no other part is needed.
RELEASED = {"a": (0.8, 0.3), "b": (-0.1, -0.8), "e": (0.2, 0.7), "g": (0.5, 1.0)}
NEAR_EDGE = 1e-6  # computed eigenvalues this close to modulus one are not judged


def check_stability_test(stable):
    """Say whether your function tells stable two-compartment neurons from unstable ones.

    Wanted: stable(a1, a2, b1, b2) -> bool, true exactly where both eigenvalues lie inside the unit circle.

    Args: stable: a function of four floats (1).
    Returns: a sentence that starts with "Correct." or "Not yet:". Shape: no tensors.
    Example: check_stability_test(lambda a1, a2, b1, b2: abs(a1) < 1 and abs(a2) < 1) starts with "Not yet:"
    Book: ex-write-the-test
    """
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(4000, 4, generator=generator, dtype=torch.float64) * 4 - 2
    points[:1000, :2] = points[:1000, :2].abs() / 2  # a quarter with decays between 0 and 1
    radius = torch.linalg.eigvals(transition(*points.T)).abs().amax(-1)
    for point, size in zip(points.tolist(), radius.tolist()):
        if abs(size - 1) < NEAR_EDGE or bool(stable(*point)) == (size < 1):
            continue
        (a1, a2, b1, b2), said = point, "unstable" if size < 1 else "stable"
        return (
            f"Not yet: a = ({a1:.3f}, {a2:.3f}), b = ({b1:.3f}, {b2:.3f}) has spectral radius {size:.3f}, "
            f"and your function calls it {said}. Which of the three gaps decides here?"
        )
    return "Correct. No mismatch on 4,000 neurons."


def check_waking_input(x):
    """Say whether the input x, between -1 and 1, makes the soma of TS-LIF fire at its released start, from rest.

    Wanted: a tensor [T] with values in [-1, 1]; with values in [0, 1] it is impossible.

    Args: x: your input [T] (membrane units).
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_waking_input(torch.ones(50)) starts with "Not yet:"
    Book: ex-wake-with-signs
    """
    if x.ndim != 1 or not bool((x.abs() <= 1).all()):
        return "Not yet: give one train [T] with values between -1 and 1."
    (a1, a2), (b1, b2), (e1, e2), (g1, _) = (RELEASED[key] for key in "abeg")
    d = s = highest = 0.0
    for step, now in enumerate(x.tolist(), start=1):
        d = a1 * d + b1 * s + e1 * now
        s = a2 * s + b2 * d + e2 * now
        if s >= 1:
            return f"Correct. The soma fires at step {step}, at {s:.3f}."
        highest = max(highest, s)
        d -= g1 * (d >= 1)
    return f"Not yet: the highest soma is {highest:.3f}. Look at the sign of its impulse response, step by step."
