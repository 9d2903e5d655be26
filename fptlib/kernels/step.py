"""Pieces shared by every kernel: parameters, loads ahead of use, one step of the neuron, surrogate derivatives.

The arithmetic is the neuron's definition: u = round(round(decay v) + x), a tie fires, v = round(u - threshold s). Every
launch switches the contraction of multiply and add off (`LAUNCH`), so a kernel gives the bits of a loop of single operations.
"""

import triton
import triton.language as tl

SOFT, HARD, NONE = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
SIGMOID, ATAN, TRIANGLE = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
SCALAR, SHARED, PER_NEURON = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)

LAUNCH = {"num_warps": 1, "enable_fp_fusion": False}
RUNTIME_SIZES = ["T", "chunk", "warmup", "chunks"]  # values never compiled in: any length runs the same binary


@triton.jit
def parameter(p, n, inside, KIND: tl.constexpr):
    """A number passed by value, one number in memory, or one number per neuron."""
    if KIND == SCALAR:
        return p
    elif KIND == SHARED:
        return tl.load(p)
    else:
        return tl.load(p + n, mask=inside, other=0.0)


@triton.jit
def spread(number, n):
    """A scalar as a vector like n, so that comparisons with it are vectors (the interpreter cannot spread a comparison)."""
    return number + 0 * n


@triton.jit
def load_rows(p, N, inside, left, U: tl.constexpr, TAIL: tl.constexpr, STATE: tl.constexpr):
    """U rows at once (time steps), before any of them is used: the loads do not depend on the state.

    ``left`` counts the rows that exist; it matters only to a TAIL, where the others read as zero.
    """
    rows = ()
    for i in tl.static_range(U):
        if TAIL:
            rows = rows + (tl.load(p + i * N, mask=inside & (i < left), other=0.0).to(STATE),)
        else:
            rows = rows + (tl.load(p + i * N, mask=inside, other=0.0).to(STATE),)
    return rows


@triton.jit
def store_rows(p, rows, N, inside, left, U: tl.constexpr, TAIL: tl.constexpr):
    """U rows at once; in a TAIL only the ``left`` rows that exist."""
    for i in tl.static_range(U):
        value = rows[i]
        if value.dtype == tl.int1:
            value = tl.where(value, 1.0, 0.0)  # spikes are kept as truth values until here
        if TAIL:
            tl.store(p + i * N, value.to(p.dtype.element_ty), mask=inside & (i < left))
        else:
            tl.store(p + i * N, value.to(p.dtype.element_ty), mask=inside)


@triton.jit
def advance(v, x, decay, threshold, v_reset, RESET: tl.constexpr):
    """One time step: membrane before reset, spike, state after reset."""
    u = decay * v + x
    fired = u >= threshold
    if RESET == SOFT:
        after = tl.where(fired, u - threshold, u)
    elif RESET == HARD:
        after = tl.where(fired, v_reset, u)
    else:
        after = u
    return u, fired, after


@triton.jit
def slope_at(z, slope, SURROGATE: tl.constexpr):
    """Derivative of the surrogate at distance z = u - threshold; ``slope`` is its slope (sigmoid) or width."""
    if SURROGATE == SIGMOID:
        e = tl.exp(-slope * tl.abs(z))
        return slope * e / ((1.0 + e) * (1.0 + e))
    elif SURROGATE == ATAN:
        a = 1.5707963267948966 * slope * z
        return 0.5 * slope / (1.0 + a * a)
    else:
        return tl.maximum(1.0 - tl.abs(z) / slope, 0.0) / slope
