"""Chapter 4 as functions: how fast fixed-point sweeps approach the sequential neuron.

Throughout, A = Λ − I is the reset feedback (A[t, j] = decay**(t − j) below the diagonal, 0 elsewhere), `slope` is the
slope α of the logistic spike σ(α(u − θ)), whose Lipschitz constant is L = α/4, and K counts evaluations of that spike.
"""

import math

import torch


def _steps(T):
    if not isinstance(T, int) or isinstance(T, bool) or T < 1:
        raise ValueError(f"T must be a whole number of time steps, at least 1; got {T!r}.")
    return T


def _number(name, value, *, above=None, least=None):
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite; got {value}.")
    if above is not None and not value > above:
        raise ValueError(f"{name} must be greater than {above}; got {value}.")
    if least is not None and not value >= least:
        raise ValueError(f"{name} must be at least {least}; got {value}.")
    return value


def feedback_norm(decay, T=None):
    """Largest row sum of |A|, the strength of the reset feedback over T steps.

    ‖A‖∞ = Σ_{m=1}^{T−1} |decay|^m, and |decay| / (1 − |decay|) when T is None (any number of steps).

    Args: decay: leak per step (1); T: number of steps, or None for the supremum over T.
    Returns: float; `inf` for T=None and |decay| ≥ 1.
    Raises: ValueError for a non-finite decay or T < 1.
    Example: feedback_norm(0.5, 4) == 0.875
    Book: thm-sup-contraction
    """
    size = abs(_number("decay", decay))
    if T is None:
        return size / (1.0 - size) if size < 1.0 else math.inf
    total = 0.0
    for _ in range(_steps(T) - 1):  # Horner: size·(1 + size·(1 + …)), right for every decay, 1 included
        total = size * (1.0 + total)
    return total


def contraction_constant(decay, slope, threshold=1.0, T=None):
    """Exact sup-norm Lipschitz constant q_T of one sweep with logistic spikes.

    q_T = θ (α/4) ‖A‖∞; a sweep is a contraction in the sup-norm exactly when q_T < 1.

    Args: decay: leak per step (1); slope: α (per unit of membrane); threshold: θ, also the amount reset (membrane); T: steps or None.
    Returns: float.
    Raises: ValueError for a negative slope or a threshold that is not positive.
    Example: contraction_constant(0.5, 12.0) == 3.0
    Book: thm-sup-contraction
    """
    return (
        _number("threshold", threshold, above=0.0) * _number("slope", slope, least=0.0) / 4.0 * feedback_norm(decay, T)
    )


def largest_contracting_slope(decay, threshold=1.0, T=None):
    """Slope at which the sup-norm condition stops holding: sweeps contract for every smaller one.

    α_max = 4 / (θ ‖A‖∞).

    Args: decay: leak per step (1); threshold: θ (membrane); T: number of steps, or None for every T at once.
    Returns: float; `inf` where there is no feedback (decay = 0 or T = 1), 0 for T=None and |decay| ≥ 1.
    Raises: ValueError for a threshold that is not positive.
    Example: largest_contracting_slope(0.5) == 4.0
    Book: thm-sup-contraction
    """
    norm = feedback_norm(decay, T)
    threshold = _number("threshold", threshold, above=0.0)
    return 4.0 / (threshold * norm) if norm > 0.0 else math.inf


def log_power_row_sum(decay, k, T):
    """Logarithm of every row sum of |A|^k, safe where the sums themselves overflow.

    log Σ_{m=k}^{t−1} C(m−1, k−1) |decay|^m for t = 1 … T: the logarithm of (λ/(1−λ))^k P[NB(k, 1−λ) ≤ t−1] when 0 < λ < 1.

    Args: decay: leak per step (1); k: power, 0 or more; T: number of steps.
    Returns: float64 tensor [T]; −inf where the row sum is 0.
    Raises: ValueError for k < 0 or T < 1.
    Example: log_power_row_sum(1.0, 1, 3).exp() is close to (0, 1, 2)
    Book: thm-binomial-tail
    """
    size = abs(_number("decay", decay))
    if not isinstance(k, int) or isinstance(k, bool) or k < 0:
        raise ValueError(f"k must be a whole number, 0 or more; got {k!r}.")
    rows = torch.full((_steps(T),), -math.inf, dtype=torch.float64)
    if k == 0:
        return torch.zeros_like(rows)
    if size == 0.0 or k >= T:
        return rows
    m = torch.arange(k, T, dtype=torch.float64)
    terms = torch.lgamma(m) - torch.lgamma(m - k + 1.0) - math.lgamma(k) + m * math.log(size)
    rows[k:] = torch.logcumsumexp(terms, dim=0)
    return rows


def power_row_sum(decay, k, T):
    """Row sums of |A|^k: how much an error everywhere can be amplified by k sweeps, step by step.

    Σ_{m=k}^{t−1} C(m−1, k−1) |decay|^m for t = 1 … T.

    Args: decay: leak per step (1); k: power, 0 or more; T: number of steps.
    Returns: float64 tensor [T]; `inf` where a sum leaves the range of float64.
    Raises: ValueError for k < 0 or T < 1.
    Example: power_row_sum(1.0, 2, 4) is close to (0, 0, 1, 3)
    Book: thm-binomial-tail
    """
    return log_power_row_sum(decay, k, T).exp()


def binomial_tail_bound(decay, slope, K, T, threshold=1.0, of="spikes"):
    """Bound on the error left after K evaluations of one fixed logistic spike, started from no spikes.

    |S⁽ᴷ⁾ − S*| ≤ (θL)^K |A|^K 1 = q^K P[NB(K, 1−λ) ≤ t−1], and |Uᴷ − U*| ≤ θ (θL)^K |A|^{K+1} 1, with L = α/4.
    NB(K, p) is the number of trials up to and including the K-th success.

    Args: decay: leak per step (1); slope: α, the same in every sweep; K: evaluations of the spike; T: steps; threshold: θ (membrane);
        of: "spikes" for S⁽ᴷ⁾ or "membrane" for Uᴷ.
    Returns: float64 tensor [T]; it may exceed 1 (the bound is then silent) and is 0 for the first K steps.
    Raises: ValueError for a negative slope or K, or an unknown `of`.
    Example: binomial_tail_bound(0.5, 4.0, 1, 2) is close to (0, 0.5)
    Book: thm-binomial-tail
    """
    if of not in ("spikes", "membrane"):
        raise ValueError(f'of must be "spikes" or "membrane"; got {of!r}.')
    threshold = _number("threshold", threshold, above=0.0)
    gain = threshold * _number("slope", slope, least=0.0) / 4.0
    extra = 1 if of == "membrane" else 0
    rows = log_power_row_sum(decay, K + extra, T)
    scale = -math.inf if gain == 0.0 and K > 0 else (K * math.log(gain) if K > 0 else 0.0)
    return (rows + scale + extra * math.log(threshold)).exp()


def bound_peak(slope, T, threshold=1.0):
    """Number of sweeps up to which the binomial-tail bound of the last step grows when q = θL·decay / (1 − decay) > 1.

    K ≈ (T − 1) θL / (1 + θL), to leading order in T and whatever the decay.

    Args: slope: α (per unit of membrane); T: number of steps; threshold: θ (membrane).
    Returns: float.
    Raises: ValueError for a negative slope.
    Example: bound_peak(12.0, 129) == 96.0
    Book: prp-bound-peak
    """
    gain = _number("threshold", threshold, above=0.0) * _number("slope", slope, least=0.0) / 4.0
    return (_steps(T) - 1) * gain / (1.0 + gain)


def weighted_norm_constant(decay, slope, weight, threshold=1.0, T=None):
    """Exact Lipschitz constant of a sweep in the norm max_t weight^(−t) |x_t|.

    θ L Σ_{m=1}^{T−1} (|decay|/weight)^m, at most θ L |decay| / (weight − |decay|).

    Args: decay: leak per step (1); slope: α; weight: w > 0 (1 gives the sup-norm); threshold: θ (membrane); T: steps or None.
    Returns: float.
    Raises: ValueError for a weight that is not positive.
    Example: weighted_norm_constant(0.5, 12.0, 2.0, T=None) == 1.0
    Book: thm-weighted-norm
    """
    return contraction_constant(
        abs(_number("decay", decay)) / _number("weight", weight, above=0.0), slope, threshold, T
    )


def best_weight(decay, k, T):
    """Weight w that makes the weighted-norm bound on k sweeps over T steps smallest.

    w = |decay| (T − 1) / (T − 1 − k); never below 1, where the bound would no longer speak about the sup-norm.

    Args: decay: leak per step (1); k: sweeps, 0 ≤ k < T − 1; T: number of steps.
    Returns: float, at least 1.
    Raises: ValueError when k ≥ T − 1 (the iteration has ended there: no weight is needed).
    Example: best_weight(0.5, 5, 11) == 1.0
    Book: thm-weighted-norm
    """
    n = _steps(T) - 1
    if not 0 <= k < n:
        raise ValueError(f"k must satisfy 0 <= k < T - 1 = {n}; got {k!r}. From k = T - 1 on the membrane is exact.")
    return max(1.0, abs(_number("decay", decay)) * n / (n - k))


def worst_case_input(decay, T, threshold=1.0):
    """Input on which hard-threshold sweeps need all T evaluations.

    c is chosen so that the true membrane obeys u_t = θ + θ·decay·(1/2 − s_{t−1}), with u_1 = θ(1 + |decay|/2).

    Args: decay: leak per step, not 0 (1); T: number of steps; threshold: θ (membrane).
    Returns: float64 tensor [T].
    Raises: ValueError for decay = 0, where one evaluation is always exact.
    Example: worst_case_input(0.5, 3) equals (1.25, 0.625, 0.875)
    Book: thm-worst-case
    """
    decay, threshold = _number("decay", decay), _number("threshold", threshold, above=0.0)
    if decay == 0.0:
        raise ValueError(
            "decay = 0 has no slow input: without memory one evaluation is exact. Give a decay other than 0."
        )
    x = torch.empty(_steps(T), dtype=torch.float64)
    after = spike = 0.0
    for t in range(T):
        u = threshold * (1.0 + (abs(decay) / 2.0 if t == 0 else decay * (0.5 - spike)))
        x[t] = u - decay * after
        spike = float(u >= threshold)
        after = u - threshold * spike
    return x


def margin_sweeps(u, decay, threshold=1.0):
    """Sweeps that suffice at each step, read off the true membrane's distance to the threshold.

    κ(t) = 1 + max{κ(j): t − w_t ≤ j < t}, w_t = least w with w = t − 1 or Σ_{m=w+1}^{t−1} |decay|^m < |u_t − θ| / θ.

    Args: u: true membrane before reset [T, ...]; decay: leak per step (1); threshold: θ (membrane).
    Returns: int64 tensor [T, ...]: the spike at t is exact for every K ≥ κ(t).
    Raises: ValueError for an empty u; TypeError when u is not a floating tensor.
    Example: margin_sweeps(torch.tensor([3.0, 3.0]), 0.5) equals (1, 1)
    Book: thm-margins
    """
    if not isinstance(u, torch.Tensor) or not u.is_floating_point():
        raise TypeError(f"u must be a floating-point tensor [T, ...]; got {type(u).__name__}.")
    T = _steps(u.shape[0] if u.ndim else 0)
    decay, threshold = abs(_number("decay", decay)), _number("threshold", threshold, above=0.0)
    margin = (u.detach().to(torch.float64) - threshold).abs() / threshold
    kappa = torch.ones(u.shape, dtype=torch.int64, device=u.device)
    powers = decay ** torch.arange(T, dtype=torch.float64)
    for t in range(1, T):  # index t is step t + 1, so t earlier steps can matter
        # tails[w] = Σ_{m=w+1}^{t} decay^m: what every error older than w steps could do together
        tails = powers[1 : t + 1].flip(0).cumsum(0).flip(0).tolist()
        deepest, window = torch.zeros_like(kappa[t]), torch.ones_like(kappa[t], dtype=torch.bool)
        for w in range(t):
            window = window & (tails[w] >= margin[t])  # the window must reach back at least w + 1 steps
            if not window.any():
                break
            deepest = torch.where(window, torch.maximum(deepest, kappa[t - 1 - w]), deepest)
        kappa[t] = 1 + deepest
    return kappa


def chain_ratio(decay, density, threshold=1.0):
    """Base of the geometric tail P[κ(t) > n] ≤ ρ^n for random input with a bounded density.

    ρ = 2 p θ |decay| / (1 − |decay|)²; where 0 < ρ < 1, log(T/ε) / log(1/ρ) evaluations are exact with probability 1 − ε.

    Args: decay: leak per step, |decay| < 1 (1); density: bound p on the density of each input given the past (1/membrane);
        threshold: θ (membrane).
    Returns: float; the theorem says nothing where it is 1 or more.
    Raises: ValueError for |decay| ≥ 1 or a density that is not positive.
    Example: chain_ratio(0.25, 0.3989) is about 0.355, for standard normal input
    Book: thm-logarithmic-sweeps
    """
    size = abs(_number("decay", decay))
    if size >= 1.0:
        raise ValueError(f"|decay| must be below 1: without a leak old spikes never fade; got {decay}.")
    return (
        2.0
        * _number("density", density, above=0.0)
        * _number("threshold", threshold, above=0.0)
        * size
        / (1.0 - size) ** 2
    )


def steep_sigmoid_bound(u, decay, slope, threshold=1.0):
    """How far graded spikes of a given slope move the membrane from the hard-threshold neuron.

    ε = θ ‖A‖∞ exp(−α m / 2) with m = min_t |u_t − θ|, promised when ε ≤ m/2; the thresholded spikes are then the hard ones.

    Args: u: membrane of the hard neuron before reset [T, ...]; decay: leak per step (1); slope: α; threshold: θ (membrane).
    Returns: float; `inf` where the theorem promises nothing (a tie, or a slope too small for the margin).
    Raises: ValueError for an empty u or a negative slope.
    Example: steep_sigmoid_bound(torch.tensor([2.0, 0.0]), 0.5, 20.0) is about 2.3e-05
    Book: thm-steep-sigmoid
    """
    T = _steps(u.shape[0] if u.ndim else 0)
    threshold = _number("threshold", threshold, above=0.0)
    margin = float((u.detach().to(torch.float64) - threshold).abs().min())
    bound = threshold * feedback_norm(decay, T) * math.exp(-_number("slope", slope, least=0.0) * margin / 2.0)
    return bound if 0.0 < margin and bound <= margin / 2.0 else math.inf
