"""Chapter 5 as functions: which feedbacks reverse order, brackets for the others, and what rounding does to a proof."""

import torch

from .convergence import _number, _steps


def rounding_bound(x, decay, threshold=1.0, v0=None, dtype=None):
    """Distance between the loop's computed membrane and the real one for the same spikes, whatever those spikes are.

    δ_t = |decay| (δ_{t−1} + ε|v|) + ε|decay v| + ε|u|, with |u|, |v| bounded over all spike trains; about 3εM/(1 − decay).

    Args: x: input [T, ...]; decay: leak per step (1); threshold: θ, also the amount reset (membrane); v0: start [...] or None for 0;
        dtype: floating type the loop computes in (default: that of x; float32 for half inputs).
    Returns: float64 tensor [T, ...].
    Raises: TypeError when x is not a floating tensor; ValueError for an empty x.
    Example: rounding_bound(torch.ones(3), 0.5).max() is below 1e-6
    Book: lem-loop-rounding
    """
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        raise TypeError(f"x must be a floating-point tensor [T, ...]; got {type(x).__name__}.")
    T = _steps(x.shape[0] if x.ndim else 0)
    decay, threshold = abs(_number("decay", decay)), _number("threshold", threshold, above=0.0)
    info = torch.finfo(dtype or torch.promote_types(x.dtype, torch.float32))
    unit, tiny, slack = info.eps / 2.0, info.tiny, 1.0 + 1e-6  # slack pays for evaluating the bound itself in float64
    size = torch.zeros_like(x[0], dtype=torch.float64) if v0 is None else v0.detach().to(torch.float64).abs()
    error, bound = torch.zeros_like(size), torch.empty(x.shape, dtype=torch.float64, device=x.device)
    for t in range(T):
        leaked = slack * decay * size
        u = slack * (leaked + x[t].detach().to(torch.float64).abs()) + tiny
        # before the first step no subtraction has been rounded: v0 is given exactly
        error = slack * (decay * (error + (unit * size if t else 0.0)) + unit * (leaked + u) + tiny)
        bound[t] = error
        size = slack * (u + threshold)
    return bound


def guarded_brackets(evaluate, guard, threshold, sweeps, shape, device=None):
    """Lower and upper spike trains that enclose the loop's own, in spite of rounding.

    upper = [E(lower) ≥ θ − δ] and lower = [E(upper) ≥ θ + δ] in turn, each kept only where it tightens.

    Args: evaluate: spikes [T, ...] (float64, 0 or 1) to membrane [T, ...], any order of summation; guard: δ [T, ...] or float, at least the
        evaluation's error plus the loop's (`rounding_bound`); threshold: θ; sweeps: evaluations; shape: of the spikes.
    Returns: (lower, upper), two bool tensors; where they agree the loop's spike is proved.
    Raises: ValueError for fewer than one sweep.
    Example: guarded_brackets(lambda s: torch.tensor([2.0]), 0.0, 1.0, 2, (1,)) gives True, True
    Book: thm-guarded-brackets
    """
    if sweeps < 1:
        raise ValueError(f"sweeps must be at least 1; got {sweeps}.")
    lower = torch.zeros(shape, dtype=torch.bool, device=device)
    upper = torch.ones_like(lower)
    for k in range(1, sweeps + 1):
        if k % 2:
            upper = upper & (evaluate(lower.double()) >= threshold - guard)
        else:
            lower = lower | (evaluate(upper.double()) >= threshold + guard)
    return lower, upper


def signature(feedback):
    """Signs that make a feedback matrix non-negative, when there are any.

    D = diag(±1) with D F D ≥ 0 entrywise; sweeps then bracket in the order that D flips.

    Args: feedback: F, square [M, M].
    Returns: float64 tensor [M] of ±1 (each connected part starts with +1), or None when no such signs exist.
    Raises: ValueError when F is not square.
    Example: signature(torch.tensor([[0.0, 0.0], [-1.0, 0.0]])) equals (1, -1)
    Book: thm-signature
    """
    if feedback.ndim != 2 or feedback.shape[0] != feedback.shape[1]:
        raise ValueError(f"feedback must be a square matrix; got shape {tuple(feedback.shape)}.")
    wish = torch.sign(feedback.to(torch.float64))
    if (wish * wish.T < 0).any():
        return None  # two units that ask for opposite relative signs
    wish = torch.where(wish != 0, wish, wish.T)
    signs = torch.zeros(len(wish), dtype=torch.float64)
    for root in range(len(wish)):
        if signs[root]:
            continue
        signs[root], queue = 1.0, [root]
        while queue:  # walk the connected part; every edge fixes the sign of its other end
            i = queue.pop()
            for j in torch.nonzero(wish[i]).flatten().tolist():
                if not signs[j]:
                    signs[j] = signs[i] * wish[i, j]
                    queue.append(j)
    return signs if (signs[:, None] * wish * signs[None, :] >= 0).all() else None


def interval_brackets(drive, feedback, sweeps, fire):
    """Lower and upper outputs of X = drive − F f(X) for a feedback of any signs.

    hi' = f(drive − F₊ lo + F₋ hi), lo' = f(drive − F₊ hi + F₋ lo), from lo = 0, hi = 1, with F = F₊ − F₋.

    Args: drive: linear part [M, ...]; feedback: F, strictly lower triangular [M, M]; sweeps: number of double sweeps;
        fire: non-decreasing function with values in [0, 1], applied entry by entry.
    Returns: (lower, upper), tensors shaped like drive.
    Raises: ValueError when F has entries on or above the diagonal.
    Example: interval_brackets(torch.tensor([2.0]), torch.zeros(1, 1), 1, torch.sigmoid) returns two equal tensors
    Book: thm-intervals
    """
    if torch.triu(feedback).any():
        raise ValueError("feedback must be strictly lower triangular: an output may only act on later entries.")
    plus, minus = feedback.clamp(min=0.0), (-feedback).clamp(min=0.0)
    shape = drive.shape
    drive = drive.reshape(len(feedback), -1)
    lower, upper = torch.zeros_like(drive), torch.ones_like(drive)
    for _ in range(sweeps):
        lower, upper = fire(drive - plus @ upper + minus @ lower), fire(drive - plus @ lower + minus @ upper)
    return lower.reshape(shape), upper.reshape(shape)
