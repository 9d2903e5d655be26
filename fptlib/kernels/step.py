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

    ``left`` counts the rows that exist; it matters only to a TAIL, where the others read as zero. Where
    registers are short the compiler moves each load to its use and waits at every step: see `zero_after_loads`.
    """
    rows = ()
    for i in tl.static_range(U):
        if TAIL:
            rows = rows + (tl.load(p + i * N, mask=inside & (i < left), other=0.0).to(STATE),)
        else:
            rows = rows + (tl.load(p + i * N, mask=inside, other=0.0).to(STATE),)
    return rows


@triton.jit
def zero_after_loads(p, n, never):
    """Zeros that exist only once the loads above have been issued; start the arithmetic of a group from them.

    The barrier keeps the loads above it, the load below it (masked off at run time) stays below: nothing waits for values.
    """
    tl.debug_barrier()
    return opaque_zero(p, n, never)


@triton.jit
def opaque_zero(p, n, never):
    """Zeros that the compiler takes for values from memory; nothing is read (``never`` is negative at run time).

    What a loop carries from a constant zero is followed through every unrolled step, anew for each such value: the
    two-state backward pass then took a minute to compile, all of it in that analysis.
    """
    return tl.load(p + n, mask=spread(never, n) > 0, other=0.0)


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


if triton.knobs.runtime.interpret:

    @triton.jit
    def decaying_exp2(x):
        return tl.exp2(x)

    @triton.jit
    def reciprocal(x):
        return 1.0 / x

else:
    # One instruction each. The general ones also treat numbers near the ends of the exponent range, which cannot come here:
    # 2^x is asked for x <= 0 only, and 1 / x for 1 <= x <= 2 only.

    @triton.jit
    def decaying_exp2(x):
        if x.dtype == tl.float32:
            return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
        else:
            return tl.exp2(x)

    @triton.jit
    def reciprocal(x):
        if x.dtype == tl.float32:
            return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
        else:
            return 1.0 / x


@triton.jit
def slope_at(z, slope, SURROGATE: tl.constexpr):
    """Derivative of the surrogate at distance z = u - threshold; ``slope`` is its slope (sigmoid) or width."""
    if SURROGATE == SIGMOID:
        e = decaying_exp2(-1.4426950408889634 * slope * tl.abs(z))
        r = reciprocal(1.0 + e)
        return slope * e * r * r
    elif SURROGATE == ATAN:
        a = 1.5707963267948966 * slope * z
        return 0.5 * slope / (1.0 + a * a)
    else:
        return tl.maximum(1.0 - tl.abs(z) / slope, 0.0) / slope
