"""Parametrisations of a two-compartment neuron that cannot leave the stable region, and their inverses."""

import torch

from .stability import _choose, _tensors

SIGNS = ("same", "any")


def stable_parameters(p1, p2, r, u, signs="same"):
    """Two-compartment parameters that are stable whatever the four free numbers are.

    Equation: a_i = sigmoid(p_i). "same": m = tanh(r) sqrt((1-a1)(1-a2)), b1 = -m e^u, b2 = -m e^-u, so that
    0 <= b1 b2 < (1-a1)(1-a2). "any": c = (1-a1)(1-a2) - 2 (1 + a1 a2) sigmoid(r), b2 = -e^u, b1 = -c e^-u, so that
    b1 b2 = c runs through the whole stable interval. Strict in real arithmetic; in float32 keep |r| below 5
    ("same") or 14 ("any"), or rounding can carry the pair over the edge.

    Args:
        p1, p2: logits of the decays; r: strength of the loop; u: its asymmetry. Numbers or tensors [...].
        signs: "same" (couplings of one sign, as in `ts_lif(stable=True)`) or "any" (b2 negative, b1 of either sign).

    Shape: [...] four times -> the tensors a1, a2, b1, b2, each [...].

    Raises:
        ValueError: for unknown ``signs``.

    Example:
        >>> from fptlib.theory import ts_lif_stability
        >>> bool(ts_lif_stability(*stable_parameters(1.4, -0.8, 5.0, -1.0)).stable)
        True

    Book: prp-stable-map
    """
    _choose("signs", signs, SIGNS)
    p1, p2, r, u = _tensors(p1, p2, r, u)
    a1, a2 = torch.sigmoid(p1), torch.sigmoid(p2)
    if signs == "any":
        # 1 - sigmoid(p) = sigmoid(-p): no subtraction, so a decay near one keeps its margin.
        product = torch.sigmoid(-p1) * torch.sigmoid(-p2) - 2 * (1 + a1 * a2) * torch.sigmoid(r)
        return a1, a2, -product * torch.exp(-u), -torch.exp(u)
    logsigmoid = torch.nn.functional.logsigmoid
    strength = torch.tanh(r) * torch.exp((logsigmoid(-p1) + logsigmoid(-p2)) / 2)
    return a1, a2, -strength * torch.exp(u), -strength * torch.exp(-u)


def free_parameters(a1, a2, b1, b2, signs="same"):
    """The four free numbers that `stable_parameters` maps to the given neuron: its inverse.

    Equation: p_i = logit(a_i). "same": r = atanh(sqrt(b1 b2 / ((1-a1)(1-a2)))) with the sign of -b1,
    u = log(b1 / b2) / 2. "any": r = logit(((1-a1)(1-a2) - b1 b2) / (2 (1 + a1 a2))), u = log(-b2).

    Args:
        a1, a2: decays in (0, 1), [...].
        b1, b2: couplings [...] inside the stable region; of one sign and not zero for "same", b2 < 0 for "any".
        signs: "same" or "any".

    Shape: [...] four times -> the tensors p1, p2, r, u, each [...].

    Raises:
        ValueError: for a neuron outside the image of the map, or unknown ``signs``.

    Example:
        >>> round(stable_parameters(*free_parameters(0.8, 0.3, -0.1, -0.8))[3].item(), 6)
        -0.8

    Book: prp-stable-map
    """
    _choose("signs", signs, SIGNS)
    a1, a2, b1, b2 = _tensors(a1, a2, b1, b2)
    if not bool(((a1 > 0) & (a1 < 1) & (a2 > 0) & (a2 < 1)).all()):
        raise ValueError(
            f"decays ({a1}, {a2}) came; the stable map reaches decays strictly between 0 and 1. Change the decays."
        )
    room, product = (1 - a1) * (1 - a2), b1 * b2
    inside = (product > 0) if signs == "same" else (b2 < 0) & (product > -(1 + a1) * (1 + a2))
    if not bool((inside & (product < room)).all()):
        shape = "two of one sign, neither zero" if signs == "same" else "b2 < 0 and b1 b2 > -(1+a1)(1+a2)"
        raise ValueError(
            f"couplings ({b1}, {b2}) came; wanted {shape}, with product below (1-a1)(1-a2) = {room}. "
            "Shrink one coupling, or use the free parametrisation."
        )
    if signs == "any":
        return torch.logit(a1), torch.logit(a2), torch.logit((room - product) / (2 * (1 + a1 * a2))), torch.log(-b2)
    r = torch.atanh(torch.sqrt(product / room)) * -torch.sign(b1)
    return torch.logit(a1), torch.logit(a2), r, torch.log(b1 / b2) / 2
