"""Two-compartment neurons: dendrite and soma as one table, and the published members of the family."""

import math

import torch

from fptlib.checks import check_choice, check_pair, check_range
from fptlib.spec import NeuronSpec
from fptlib.surrogates import Sigmoid


def two_compartment(
    decay,
    coupling,
    gains,
    reset,
    threshold=1.0,
    fires="both",
    update="gauss-seidel",
    order="released",
    mix=None,
    surrogate=Sigmoid(),
    detach_reset=False,
    name="two_compartment",
):
    """Dendrite and soma: v_d = a1 v_d' + b1 v_s' + e1 x, v_s = a2 v_s' + b2 v_d + e2 x, each reset when it (or the soma) fires.

    Args:
        decay: (a1, a2), floats or tensors broadcastable to one step [...]; any sign (their region is a theorem).
        coupling: (b1, b2): soma to dendrite, dendrite to soma.
        gains: (e1, e2): input to dendrite, input to soma.
        reset: (g1, g2): amounts taken from dendrite and soma.
        threshold: of both compartments; float or tensor.
        fires: "both" (own spike resets own compartment) or "soma" (the somatic spike resets both).
        update: "gauss-seidel" (the soma sees the new dendrite) or "jacobi" (it sees the old one).
        order: "released" (reset, then decay and coupling) or "paper" (subtracted undecayed; the soma's share of the
            dendritic reset then arrives through b2).
        mix: weights of the two spikes in the layer's output; None is one half each ("both").
        surrogate, detach_reset: as for `lif`.
        name: name of the table.

    Returns:
        A NeuronSpec with D = 2; membrane [T, 2, ...], spikes [T, 2, ...] ("both") or [T, ...] ("soma").

    Raises:
        TypeError, ValueError: as for `lif`.

    Example:
        >>> two_compartment((0.8, 0.3), (-0.1, -0.8), (0.2, 0.7), (0.5, 1.0)).channels
        2

    Book: def-two-compartment
    """
    recipe = (two_compartment, dict(locals()))
    for label, pair in (("decay", decay), ("coupling", coupling), ("gains", gains), ("reset", reset)):
        check_pair(label, pair)
    check_range("threshold", threshold, 0.0, math.inf, open_low=True)
    check_choice("fires", fires, ("both", "soma"))
    check_choice("update", update, ("gauss-seidel", "jacobi"))
    check_choice("order", order, ("released", "paper"))
    (a1, a2), (b1, b2), (e1, e2), (g1, g2) = decay, coupling, gains, reset
    fresh = update == "gauss-seidel"
    amounts = ((g1, 0.0), (0.0, g2)) if fires == "both" else ((g1,), (g2,))
    if order == "paper":
        top, bottom = amounts
        through = tuple(-(b2 * t) - s if fresh else -s for t, s in zip(top, bottom, strict=True))
        jump, amounts = (tuple(-t for t in top), through), tuple((0.0,) * len(top) for _ in range(2))
    else:
        jump = None
    return NeuronSpec(
        name=name,
        transition=((a1, b1), (b2 * a1, a2 + b1 * b2) if fresh else (b2, a2)),
        drive=(e1, e2 + b2 * e1 if fresh else e2),
        readout=((1.0, 0.0), (0.0, 1.0)) if fires == "both" else ((0.0, 1.0),),
        threshold=(threshold, threshold) if fires == "both" else (threshold,),
        reset=amounts,
        jump=jump,
        mix=tuple(mix) if mix is not None else None,
        surrogate=surrogate,
        detach_reset=detach_reset,
        recipe=recipe,
    )


def ts_lif(
    decay=(0.8, 0.3),
    coupling=(-0.1, -0.8),
    reset=(0.5, 1.0),
    gains=None,
    threshold=1.0,
    mix=0.5,
    order="released",
    stable=False,
    raw=None,
    surrogate=Sigmoid(),
    detach_reset=False,
):
    """TS-LIF (Feng et al., ICLR 2025), the two-compartment neuron whose dendrite and soma both spike and both hear the input.

    v_d = a1 v_d' + b1 v_s' + (1 - a1) x,  v_s = a2 v_s' + b2 v_d + (1 - a2) x,  output = mix s_d + (1 - mix) s_s.

    Args:
        decay, coupling, reset: (dendrite, soma) pairs as for `two_compartment`; the defaults are the released start.
        gains: input gains; None ties them to 1 - decay, as printed.
        threshold: of both compartments.
        mix: weight of the dendrite's spike, or a pair of free weights (as released).
        order: "released" or "paper", see `two_compartment`.
        stable: True builds decay and coupling from ``raw`` = (p1, p2, r, w), stable for every real value:
            a = sigmoid(p), b1 = -m exp(w), b2 = -m exp(-w), m = tanh(r) sqrt((1 - a1)(1 - a2)).
        raw: the four unconstrained numbers or tensors; None starts at the released values. Needs stable=True.
        surrogate, detach_reset: as for `lif`.

    Returns:
        A NeuronSpec with D = 2 and P = 2; membrane and spikes [T, 2, ...].

    Raises:
        TypeError, ValueError: as for `two_compartment`; ValueError when ``raw`` comes without stable=True.

    Example:
        >>> ts_lif(order="paper").channels
        2

    Book: def-ts-lif
    """
    recipe = (ts_lif, dict(locals()))
    check_pair("decay", decay)
    check_pair("coupling", coupling)
    if raw is not None and not stable:
        raise ValueError("ts_lif: raw came without stable=True; pass stable=True, or decay and coupling instead.")
    if stable:
        decay, coupling = _stable_pair(raw if raw is not None else _raw_of(decay, coupling))
    if gains is None:
        gains = tuple(1 - a for a in decay)
    weights = tuple(mix) if isinstance(mix, (tuple, list)) else (mix, 1 - mix)
    spec = two_compartment(
        decay,
        coupling,
        gains,
        reset,
        threshold,
        "both",
        "gauss-seidel",
        order,
        weights,
        surrogate,
        detach_reset,
        "ts_lif",
    )
    object.__setattr__(spec, "recipe", recipe)
    return spec


def tc_lif(coupling=(-0.5, 0.5), reset=(0.5, 1.0), threshold=1.0, surrogate=Sigmoid(), detach_reset=False):
    """TC-LIF (AAAI 2024): decays one, only the soma fires, its spike lowers both; the input enters the dendrite only.

    v_d = v_d' + b1 v_s' + x, v_s = v_s' + b2 v_d; its linear part is never asymptotically stable.

    Args:
        coupling, reset, threshold, surrogate, detach_reset: as for `two_compartment`.

    Returns:
        A NeuronSpec with D = 2 and P = 1; membrane [T, 2, ...], spikes [T, ...].

    Raises:
        TypeError, ValueError: as for `two_compartment`.

    Example:
        >>> tc_lif().channels
        1

    Book: def-two-compartment
    """
    recipe = (tc_lif, dict(locals()))
    spec = two_compartment(
        (1.0, 1.0),
        coupling,
        (1.0, 0.0),
        reset,
        threshold,
        "soma",
        surrogate=surrogate,
        detach_reset=detach_reset,
        name="tc_lif",
    )
    object.__setattr__(spec, "recipe", recipe)
    return spec


def lm_h(decay=(0.0, 1.0), coupling=(0.0, 1.0), threshold=1.0, surrogate=Sigmoid(), detach_reset=True):
    """LM-H (ICLR 2024): only the soma fires and is reset, outside the gradient; the input enters the dendrite only.

    v_d = a1 v_d' + b1 v_s' + x, v_s = a2 v_s' + b2 v_d. The released code starts the soma at threshold / 2: pass that as v0.

    Args:
        decay, coupling, threshold, surrogate, detach_reset: as for `two_compartment`; the defaults are its start.

    Returns:
        A NeuronSpec with D = 2 and P = 1; membrane [T, 2, ...], spikes [T, ...].

    Raises:
        TypeError, ValueError: as for `two_compartment`.

    Example:
        >>> lm_h().detach_reset
        True

    Book: def-two-compartment
    """
    recipe = (lm_h, dict(locals()))
    spec = two_compartment(
        decay,
        coupling,
        (1.0, 0.0),
        (0.0, threshold),
        threshold,
        "soma",
        surrogate=surrogate,
        detach_reset=detach_reset,
        name="lm_h",
    )
    object.__setattr__(spec, "recipe", recipe)
    return spec


def _stable_pair(raw):
    p1, p2, r, w = (
        value if torch.is_tensor(value) else torch.tensor(float(value), dtype=torch.float64) for value in raw
    )
    a1, a2 = torch.sigmoid(p1), torch.sigmoid(p2)
    m = torch.tanh(r) * torch.sqrt((1 - a1) * (1 - a2))
    return (a1, a2), (-m * torch.exp(w), -m * torch.exp(-w))


def _raw_of(decay, coupling):
    (a1, a2), (b1, b2) = (tuple(float(v) for v in pair) for pair in (decay, coupling))
    share = b1 * b2 / ((1 - a1) * (1 - a2)) if 0 < a1 < 1 and 0 < a2 < 1 else -1.0
    if not 0 < share < 1 or b1 > 0:
        raise ValueError(
            f"ts_lif: decay {decay}, coupling {coupling} lie outside the stable parametrisation "
            f"(0 < a < 1, b1, b2 < 0, b1 b2 < (1 - a1)(1 - a2)); choose others, or pass raw."
        )
    logit = lambda a: math.log(a / (1 - a))
    return logit(a1), logit(a2), math.atanh(math.sqrt(share)), 0.5 * math.log(b1 / b2)
