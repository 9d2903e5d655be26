"""Checkers for the book's exercises: give them your answer, they say "Correct." or what is still wrong.

Each is seeded and computes the truth with a plain loop, so it accepts any right answer and needs no other part of the library.
"""

import math

import torch


def _loop(x, decay, threshold):
    """Spikes of the sequential hard-threshold neuron, soft reset."""
    v, spikes = torch.zeros_like(x[0]), []
    for x_t in x:
        u = decay * v + x_t
        spikes.append((u >= threshold).to(x.dtype))
        v = u - threshold * spikes[-1]
    return torch.stack(spikes)


def _sweep(x, spikes, decay, threshold):
    """One evaluation: the spikes that follow when the resets are those of `spikes`."""
    v, new = torch.zeros_like(x[0]), []
    for x_t, s_t in zip(x, spikes, strict=True):
        u = decay * v + x_t
        new.append((u >= threshold).to(x.dtype))
        v = u - threshold * s_t
    return torch.stack(new)


def _chain(x, decay, threshold, evaluations):
    """S⁽⁰⁾ = 0, S⁽¹⁾, …: the sweeps from no spikes."""
    chain = [torch.zeros_like(x)]
    for _ in range(evaluations):
        chain.append(_sweep(x, chain[-1], decay, threshold))
    return chain


def check_worst_case_input(x, decay, threshold=1.0):
    """Say whether an input makes hard-threshold sweeps need all T evaluations.

    Wanted: S⁽ᵀ⁻¹⁾ ≠ S*, where S* is the sequential spike train.

    Args: x: your input [T], at least 3 steps (tensor or sequence); decay: leak per step (1); threshold: θ (membrane).
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_worst_case_input([1.25, 0.625, 0.875], 0.5) starts with "Correct."
    Book: ex-slow-input
    """
    x = torch.as_tensor(x, dtype=torch.float64)
    if x.ndim != 1 or len(x) < 3:
        return f"Not yet: give one input with at least 3 steps; this one has shape {tuple(x.shape)}."
    if not torch.isfinite(x).all():
        return "Not yet: the input holds values that are not finite."
    truth, T = _loop(x, decay, threshold), len(x)
    k = next(k for k, spikes in enumerate(_chain(x, decay, threshold, T)) if torch.equal(spikes, truth))
    if k < T:
        return f"Not yet: {k} of {T} evaluations are already exact. Is every spike decided by the spike just before it?"
    return f"Correct. All {T} evaluations are needed; the exact prefix grows by one step per sweep."


def check_power_row_sum(function):
    """Say whether function(decay, k, t) is the row sum of A^k in row t (t = 1 is the first step).

    Wanted: Σ_j (A^k)[t, j] with A[t, j] = decay^(t−j) below the diagonal.

    Args: function: your function of (decay, k, t), returning a number.
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_power_row_sum(lambda decay, k, t: 0.0) starts with "Not yet:"
    Book: ex-row-sum
    """
    T = 9
    for decay in (0.0, 0.5, 0.9, 1.0):
        lag = torch.arange(T)[:, None] - torch.arange(T)[None, :]
        A = torch.where(lag > 0, torch.tensor(decay, dtype=torch.float64) ** lag.clamp(min=0), 0.0)
        power = torch.eye(T, dtype=torch.float64)
        for k in range(T + 1):
            rows = power.sum(1)
            for t in range(1, T + 1):
                got = float(function(decay, k, t))
                if not math.isclose(got, float(rows[t - 1]), rel_tol=1e-9, abs_tol=1e-12):
                    return f"Not yet: decay = {decay}, k = {k}, t = {t} gives {got:.6g}; the row sum is {float(rows[t - 1]):.6g}."
            power = A @ power
    return "Correct. It agrees with the matrix power for every k and t, decay 0 and 1 included."


def check_sign_of_error(function):
    """Say whether function(K) is the sign that S⁽ᴷ⁾ − S* can have (+1: never too few spikes, −1: never too many).

    Args: function: your function of K ≥ 0, returning +1 or −1.
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_sign_of_error(lambda K: 1) starts with "Not yet:"
    Book: ex-parity
    """
    x = 0.5 * torch.randn(64, 50, generator=torch.Generator().manual_seed(4), dtype=torch.float64) + 0.2
    for decay in (0.5, 0.9):
        truth = _loop(x, decay, 1.0)
        for k, spikes in enumerate(_chain(x, decay, 1.0, 6)):
            if (function(k) * (spikes - truth) < 0).any():
                return f"Not yet: at decay {decay} and K = {k} some step has an error of the other sign."
    return "Correct. No step of 50 random trains has an error of the other sign."


def check_certified_steps(function):
    """Say whether function(chain) marks exactly the steps that the chain proves.

    Wanted: every step where the last two sweeps agree, and no other; the step after their agreeing prefix, which causality
    proves, may be marked too.

    Args: function: your function; it gets the list [S⁽⁰⁾, …, S⁽ᴷ⁾] of tensors [T, N] and returns a bool tensor [T, N].
    Returns: a sentence that starts with "Correct." or "Not yet:".
    Example: check_certified_steps(lambda chain: torch.zeros_like(chain[0], dtype=torch.bool)) starts with "Not yet:"
    Book: ex-certified-steps
    """
    x = 0.5 * torch.randn(64, 50, generator=torch.Generator().manual_seed(5), dtype=torch.float64) + 0.2
    for decay in (0.5, 0.9):
        truth = _loop(x, decay, 1.0)
        for evaluations in (2, 3, 5):
            chain = _chain(x, decay, 1.0, evaluations)
            marked = function([s.clone() for s in chain])
            if not isinstance(marked, torch.Tensor) or marked.shape != x.shape or marked.dtype != torch.bool:
                return f"Not yet: return a bool tensor of shape {tuple(x.shape)}."
            wrong = int((marked & (chain[-1] != truth)).sum())
            if wrong:
                return f"Not yet: at decay {decay}, K = {evaluations}, you call {wrong} wrong spikes proved. Which two sweeps did you compare?"
            missed = int((~marked & (chain[-1] == chain[-2])).sum())
            if missed:
                return f"Not yet: nothing false, but at decay {decay}, K = {evaluations}, {missed} proved steps are not marked."
            agree = chain[-1] == chain[-2]
            proved = agree.clone()
            proved[1:] |= agree.cumprod(0)[:-1].bool()  # the step after an agreeing prefix
            proved[0] = True
            extra = int((marked & ~proved).sum())
            if extra:
                return f"Not yet: {extra} marked steps happen to be right but are not proved by these sweeps."
    return "Correct. Every marked spike is the sequential one, and no step that agreement proves is left out."
