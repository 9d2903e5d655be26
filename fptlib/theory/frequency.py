"""What each compartment hears: transfer functions, impulse responses and peaks of the linear part (no spike, no reset).

Letters as in `stability`: a1, a2 decays, b1 soma-to-dendrite, b2 dendrite-to-soma coupling, Gauss-Seidel update. An
angular frequency is in radians per step: omega = pi has period 2 steps, omega = 2 pi / 24 the day of an hourly series.
"""

from typing import NamedTuple

import torch

from .stability import _tensors, drive, transition

KINDS = ("low-pass", "high-pass", "band-pass", "band-stop")


class Peak(NamedTuple):
    """Where a compartment answers most: radians per step and gain, each [..., 2] = (dendrite, soma)."""

    omega: torch.Tensor
    gain: torch.Tensor


def _polynomials(a1, a2, b1, b2, gains):
    """Numerators p + q/z of the two transfer functions and the denominator 1 - trace/z + determinant/z^2."""
    a1, a2, b1, b2 = _tensors(a1, a2, b1, b2)
    e1, e2 = (1 - a1, 1 - a2) if gains is None else _tensors(*gains, a1)[:2]
    p = torch.stack([e1, e2 + b2 * e1], -1)
    q = torch.stack([b1 * e2 - a2 * e1, -a1 * e2], -1)
    return p, q, a1 + a2 + b1 * b2, a1 * a2


def transfer_functions(a1, a2, b1, b2, omega, gains=None):
    """Complex gain of dendrite and soma for the input exp(i omega t), spikes off.

    Equation: with D(z) = (1 - a1/z)(1 - a2/z) - b1 b2/z and z = exp(i omega),
    H_d = [e1 + (b1 e2 - a2 e1)/z] / D and H_s = [e2 + b2 e1 - a1 e2/z] / D.

    Args:
        a1, a2, b1, b2: numbers or tensors [...].
        omega: radians per step, broadcastable to [...].
        gains: input gains (e1, e2); None means e = 1 - a.

    Shape: [...] five times -> [..., 2], complex, last axis (dendrite, soma).

    Example:
        >>> [round(v, 3) for v in transfer_functions(0.8, 0.3, -0.1, -0.8, 0.0).real.tolist()]
        [1.167, -0.333]

    Book: thm-transfer
    """
    a1, a2, b1, b2, omega = _tensors(a1, a2, b1, b2, omega)
    p, q, trace, determinant = _polynomials(a1, a2, b1, b2, gains)
    back = torch.exp(-1j * omega)
    return (p + q * back.unsqueeze(-1)) / (1 - trace * back + determinant * back**2).unsqueeze(-1)


def impulse_response(a1, a2, b1, b2, steps, gains=None):
    """Membranes after a unit impulse at the first step, spikes off.

    Equation: h[n] = M^n k, n = 0 .. steps - 1.

    Args:
        a1, a2, b1, b2: numbers or tensors [...].
        steps: number of time steps T.
        gains: input gains (e1, e2); None means e = 1 - a.

    Shape: [...] four times -> [T, ..., 2], last axis (dendrite, soma).

    Raises:
        ValueError: when ``steps`` is below 1.

    Example:
        >>> impulse_response(0.8, 0.3, -0.1, -0.8, steps=3).shape
        torch.Size([3, 2])

    Book: thm-transfer
    """
    if steps < 1:
        raise ValueError(f"steps={steps} came; wanted at least 1. Ask for one step or more.")
    matrix, state = transition(a1, a2, b1, b2), drive(a1, a2, b1, b2, gains)
    states = [state]
    for _ in range(steps - 1):
        states.append((matrix @ states[-1].unsqueeze(-1)).squeeze(-1))
    return torch.stack(states)


def _turning_points(p, q, trace, determinant):
    """The two candidates for cos(omega) at an interior extremum of |H|^2; NaN where there is none inside (-1, 1)."""
    # |H|^2 = (m + n c) / (al c^2 + be c + ga), c = cos(omega); its derivative vanishes where a quadratic in c does.
    m, n = p**2 + q**2, 2 * p * q
    al, be = (4 * determinant).unsqueeze(-1), (-2 * trace * (1 + determinant)).unsqueeze(-1)
    ga = ((1 - determinant) ** 2 + trace**2).unsqueeze(-1)
    x, y, w = n * al, 2 * m * al, m * be - n * ga
    root = torch.sqrt((y**2 - 4 * x * w).clamp(min=0)) * torch.where(y < 0, -1.0, 1.0)
    half = -(y + root) / 2
    found = torch.stack([half / x, w / half], -1)
    real = (y**2 - 4 * x * w > 0).unsqueeze(-1)
    return torch.where(real & (found.abs() < 1), found, torch.nan)


def response_peak(a1, a2, b1, b2, gains=None):
    """Frequency at which each compartment answers most, and its gain there, in closed form.

    Equation: |H|^2 is a ratio of a linear and a quadratic polynomial in cos(omega); its extrema solve one quadratic.

    Args:
        a1, a2, b1, b2: numbers or tensors [...]. gains: input gains (e1, e2); None means e = 1 - a.

    Shape: [...] four times -> omega [..., 2] and gain [..., 2], last axis (dendrite, soma).

    Example:
        >>> [round(v, 3) for v in response_peak(0.8, 0.3, -0.1, -0.8).omega.tolist()]
        [0.0, 0.332]

    Book: prp-peak
    """
    polynomials = _polynomials(a1, a2, b1, b2, gains)
    inner = _turning_points(*polynomials)
    ends = torch.ones_like(inner)
    ends[..., 1] = -1
    cosines = torch.cat([ends, torch.where(inner.isnan(), 1.0, inner)], -1)
    size = _gain(cosines, *polynomials)
    best = size.argmax(-1, keepdim=True)
    return Peak(torch.arccos(cosines.gather(-1, best).squeeze(-1)), size.gather(-1, best).squeeze(-1))


def response_kind(a1, a2, b1, b2, gains=None):
    """Which filter each compartment is: the index into `KINDS`, by the shape of |H| on [0, pi].

    Equation: no interior extremum: low-pass if |H(0)| >= |H(pi)|, else high-pass; a largest value inside: band-pass;
    an interior extremum that is not the largest value: band-stop.

    Args:
        a1, a2, b1, b2: numbers or tensors [...]. gains: input gains (e1, e2); None means e = 1 - a.

    Shape: [...] four times -> integers [..., 2], last axis (dendrite, soma).

    Example:
        >>> [KINDS[k] for k in response_kind(0.8, 0.3, -0.1, -0.8).tolist()]
        ['low-pass', 'band-pass']

    Book: def-kinds
    """
    polynomials = _polynomials(a1, a2, b1, b2, gains)
    inner = _turning_points(*polynomials)
    ends = torch.ones_like(inner)
    ends[..., 1] = -1
    dc, nyquist = _gain(ends, *polynomials).unbind(-1)
    interior = _gain(torch.where(inner.isnan(), 1.0, inner), *polynomials)
    turns = ~inner.isnan().all(-1)
    inside = (interior.amax(-1) > torch.maximum(dc, nyquist)) & turns
    kind = torch.where(dc >= nyquist, 0, 1)
    return torch.where(inside, 2, torch.where(turns, 3, kind))


def _gain(cosines, p, q, trace, determinant):
    """|H| at the given cos(omega), shape [..., 2, n]."""
    p, q = p.unsqueeze(-1), q.unsqueeze(-1)
    trace, determinant = trace[..., None, None], determinant[..., None, None]
    numerator = p**2 + q**2 + 2 * p * q * cosines
    denominator = 4 * determinant * cosines**2 - 2 * trace * (1 + determinant) * cosines
    return torch.sqrt(numerator.clamp(min=0) / (denominator + (1 - determinant) ** 2 + trace**2))
