"""Stability of a two-compartment neuron: the exact region, the bound with spikes fed back, a stable parametrisation.

Letters: a1, a2 decays (dendrite, soma), b1 soma-to-dendrite coupling, b2 dendrite-to-soma coupling. Every function
takes numbers or tensors that broadcast against each other and returns tensors; the parameter maps are differentiable.
"""

from typing import NamedTuple

import torch

UPDATES = ("gauss-seidel", "jacobi")
ORDERS = ("paper", "released")
# Powers of M below this size no longer change a sum of order one in float64.
NEGLIGIBLE = 1e-17


class BiboBound(NamedTuple):
    """What `bibo_bound` found: membrane per unit of input and of spikes, each [..., 2] = (dendrite, soma)."""

    input_gain: torch.Tensor
    spike_gain: torch.Tensor

    @property
    def loop_gain(self):
        """Largest row sum of the reset feedback, shape [...]; spikes of slope L contract when L times it is below 1."""
        return self.spike_gain.amax(-1)


class Stability(NamedTuple):
    """What `ts_lif_stability` found: the smallest gap, the three gaps, the two eigenvalues and the larger modulus."""

    margin: torch.Tensor
    gaps: torch.Tensor
    eigenvalues: torch.Tensor
    radius: torch.Tensor

    @property
    def stable(self):
        """True where all three inequalities hold strictly; shape [...]."""
        return self.margin > 0


def _tensors(*values):
    """Broadcast numbers and tensors together in the widest floating type that came in (float64 for plain numbers)."""
    types = [v.dtype for v in values if isinstance(v, torch.Tensor) and v.is_floating_point()]
    dtype = torch.float64 if not types or torch.float64 in types else types[0]
    return torch.broadcast_tensors(*(torch.as_tensor(v, dtype=dtype) for v in values))


def _choose(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; wanted one of {', '.join(map(repr, allowed))}.")


def transition(a1, a2, b1, b2, update="gauss-seidel"):
    """The matrix M that takes one post-reset state to the next membrane pair.

    Equation: [[a1, b1], [b2 a1, a2 + b1 b2]] when the soma sees the new dendrite ("gauss-seidel", as published),
    [[a1, b1], [b2, a2]] when it sees the old one ("jacobi").

    Args:
        a1, a2, b1, b2: numbers or tensors [...], pure numbers per step.
        update: "gauss-seidel" or "jacobi".
    Shape: [...] four times -> [..., 2, 2].

    Raises:
        ValueError: for an unknown update.

    Example:
        >>> transition(0.8, 0.3, -0.1, -0.8).shape
        torch.Size([2, 2])

    Book: eq-pair-matrix
    """
    _choose("update", update, UPDATES)
    a1, a2, b1, b2 = _tensors(a1, a2, b1, b2)
    second = (b2 * a1, a2 + b1 * b2) if update == "gauss-seidel" else (b2, a2)
    return torch.stack([torch.stack([a1, b1], -1), torch.stack(second, -1)], -2)


def drive(a1, a2, b1, b2, gains=None, update="gauss-seidel"):
    """The vector k with which an input enters the membrane pair.

    Equation: (e1, e2 + b2 e1) for "gauss-seidel", (e1, e2) for "jacobi"; gains None means e = 1 - a.

    Args:
        a1, a2, b1, b2: numbers or tensors [...].
        gains: None or the pair (e1, e2).
        update: "gauss-seidel" or "jacobi".
    Shape: [...] four times -> [..., 2].

    Raises:
        ValueError: for an unknown update.

    Example:
        >>> [round(v, 6) for v in drive(0.8, 0.3, -0.1, -0.8).tolist()]
        [0.2, 0.54]

    Book: eq-pair-matrix
    """
    _choose("update", update, UPDATES)
    a1, a2, b1, b2 = _tensors(a1, a2, b1, b2)
    e1, e2 = (1 - a1, 1 - a2) if gains is None else _tensors(*gains, a1)[:2]
    return torch.stack([e1, e2 + b2 * e1 if update == "gauss-seidel" else e2], -1)


def reset_matrix(a1, a2, b1, b2, reset=(0.5, 1.0), order="paper"):
    """The matrix G that takes a pair of spikes to what the next membrane pair loses (Gauss-Seidel update).

    Equation: M diag(g1, g2) when the reset precedes the decay ("released"), [[g1, 0], [b2 g1, g2]] when it is
    subtracted undecayed ("paper").

    Args:
        a1, a2, b1, b2: numbers or tensors [...].
        reset: the pair (g1, g2) of reset amounts, in units of the membrane.
        order: "paper" or "released".
    Shape: [...] four times -> [..., 2, 2].

    Raises:
        ValueError: for an unknown order.

    Example:
        >>> reset_matrix(0.8, 0.3, -0.1, -0.8, order="released")[0, 0].item()
        0.4

    Book: eq-pair-reset
    """
    _choose("order", order, ORDERS)
    a1, a2, b1, b2, g1, g2 = _tensors(a1, a2, b1, b2, *reset)
    amounts = torch.diag_embed(torch.stack([g1, g2], -1))
    if order == "released":
        return transition(a1, a2, b1, b2) @ amounts
    one, zero = torch.ones_like(a1), torch.zeros_like(a1)
    return torch.stack([torch.stack([one, zero], -1), torch.stack([b2, one], -1)], -2) @ amounts


def ts_lif_stability(a1, a2, b1, b2, update="gauss-seidel"):
    """Margin and eigenvalues of a two-compartment neuron's linear part; stable exactly where the margin is positive.

    Equation: gaps (1 - |a1 a2|, (1-a1)(1-a2) - b1 b2, (1+a1)(1+a2) + b1 b2) for "gauss-seidel"; with the old dendrite
    ("jacobi") (1 - |a1 a2 - b1 b2|, (1-a1)(1-a2) - b1 b2, (1+a1)(1+a2) - b1 b2). The margin is the smallest gap.

    Args:
        a1, a2, b1, b2: numbers or tensors [...], pure numbers per step.
        update: "gauss-seidel" (the soma sees the new dendrite) or "jacobi" (it sees the old one).
    Shape: [...] four times -> margin [...], gaps [..., 3], eigenvalues [..., 2] (complex), radius [...].

    Raises:
        ValueError: for an unknown update.

    Example:
        >>> round(ts_lif_stability(0.8, 0.3, -0.1, -0.8).radius.item(), 4)
        0.9188

    Book: thm-jury
    """
    _choose("update", update, UPDATES)
    a1, a2, b1, b2 = _tensors(a1, a2, b1, b2)
    loop = b1 * b2
    determinant, trace = (a1 * a2, a1 + a2 + loop) if update == "gauss-seidel" else (a1 * a2 - loop, a1 + a2)
    at_minus_one = (1 + a1) * (1 + a2) + (loop if update == "gauss-seidel" else -loop)
    gaps = torch.stack([1 - determinant.abs(), (1 - a1) * (1 - a2) - loop, at_minus_one], -1)
    root = torch.sqrt((trace**2 - 4 * determinant).to(torch.complex128))
    # The larger root without cancellation; the smaller one from the product of the two.
    larger = (trace + torch.where(trace < 0, -root, root)) / 2
    smaller = torch.where(larger == 0, larger, determinant / torch.where(larger == 0, 1.0, larger))
    eigenvalues = torch.stack([larger, smaller], -1)
    return Stability(gaps.amin(-1), gaps, eigenvalues, eigenvalues.abs().amax(-1))


def bibo_bound(a1, a2, b1, b2, reset=(0.5, 1.0), order="paper", gains=None):
    """Bound on the membranes for bounded input and any spikes at all, hard, graded, sampled or guessed by a sweep.

    Equation: |u_i[t]| <= |(M^t u[0])_i| + C sum_n |M^n k|_i + sum_n sum_j |M^n G|_ij when |input| <= C; the two sums
    are `input_gain` and `spike_gain`, and the larger spike gain is the loop gain of the fixed-point iteration.

    Args:
        a1, a2, b1, b2: numbers or tensors [...]. reset, order: see `reset_matrix`. gains: see `drive`.

    Shape: [...] four times -> input_gain [..., 2], spike_gain [..., 2], each for (dendrite, soma).

    Raises:
        ValueError: when the linear part is not stable (no such bound exists) or the order is unknown.

    Example:
        >>> round(bibo_bound(0.8, 0.3, -0.1, -0.8, order="released").loop_gain.item(), 2)
        7.67

    Book: thm-bibo
    """
    report = ts_lif_stability(a1, a2, b1, b2)
    if not bool(report.stable.all()):
        raise ValueError(
            f"spectral radius {report.radius.max().item():.6g} came; a bound for all bounded inputs needs one below 1. "
            "Move the parameters into the region of `ts_lif_stability`."
        )
    matrix = transition(a1, a2, b1, b2)
    term = torch.cat([drive(a1, a2, b1, b2, gains).unsqueeze(-1), reset_matrix(a1, a2, b1, b2, reset, order)], -1)
    power, total = torch.eye(2, dtype=matrix.dtype).expand_as(matrix), torch.zeros_like(term)
    while bool(power.abs().amax() > NEGLIGIBLE):
        total = total + (power @ term).abs()
        power = power @ matrix
    return BiboBound(total[..., 0], total[..., 1:].sum(-1))


def unstable_share(low, high, samples=2**18, update="gauss-seidel"):
    """Share of a parameter box whose linear part is not asymptotically stable, by a Sobol net of points.

    Args:
        low, high: four numbers each, the corners (a1, a2, b1, b2) of the box.
        samples: number of points, a power of two.
        update: "gauss-seidel" or "jacobi".
    Shape: four numbers and four numbers -> one float in [0, 1].

    Raises:
        ValueError: for a box that is not four intervals, or an unknown update.

    Example:
        >>> round(unstable_share((0, 0, -1, -1), (1, 1, 1, 1)), 3)
        0.25

    Book: prp-unstable-quarter
    """
    low, high = torch.as_tensor(low, dtype=torch.float64), torch.as_tensor(high, dtype=torch.float64)
    if low.shape != (4,) or high.shape != (4,) or not bool((low <= high).all()):
        raise ValueError(
            f"box {low.tolist()} to {high.tolist()} came; wanted four intervals low <= high for a1, a2, b1, b2."
        )
    unit = torch.quasirandom.SobolEngine(4).draw(samples, dtype=torch.float64)
    points = low + (high - low) * (unit + 0.5 / samples)
    return (~ts_lif_stability(*points.unbind(-1), update=update).stable).double().mean().item()
