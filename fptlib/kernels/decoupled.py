"""The decoupled reset: a threshold that every spike raises for good. One walk over time, and its backward in time-chunks.

    s[t] = [u[t] - rise n[t] >= threshold],   n[t+1] = n[t] + s[t],   n[0] = 0.

The count is sequential, so one program takes 64 neurons through all T steps: a product, two additions and a comparison a step,
with the membranes of the next steps on their way. Backwards, with h the surrogate's derivative at u - rise n - threshold,
l the gradient of the spikes and G[t] that of n[t],

    du[t] = h (l + G[t+1]),   G[t] = G[t+1] - rise du[t] = (1 - rise h) G[t+1] - rise h l,   G[T] = 0:

a reverse linear recurrence, in chunks with exact carries as in `lif_backward`; n is counted again from its value every 16 steps.
"""

import triton
import triton.language as tl

from fptlib.kernels.launcher import Launcher, aligned
from fptlib.kernels.lif_backward import _start_carry
from fptlib.kernels.step import RUNTIME_SIZES, load_rows, slope_at, spread, store_rows, zero_after_loads


@triton.jit
def count_rows(n_spikes, us, rise, threshold, left, U: tl.constexpr, TAIL: tl.constexpr):
    """U steps in registers: the count after them, the spikes, and the counts before each step."""
    spikes, counts = (), ()
    for i in tl.static_range(U):
        counts = counts + (n_spikes,)
        fired = us[i] - rise * n_spikes >= threshold
        spikes = spikes + (fired,)
        after = tl.where(fired, n_spikes + 1.0, n_spikes)
        n_spikes = tl.where(i < left, after, n_spikes) if TAIL else after
    return n_spikes, spikes, counts


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _count(
    u, table, spikes, counts, T, N, STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """``counts`` [ceil(T / U) - 1, N]: the count every U steps, for the backward pass, or None."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    rise, threshold = tl.load(table), tl.load(table + 1)
    count = tl.zeros((BLOCK,), STATE)
    u += n
    spikes += n
    us = load_rows(u, N, inside, spread(T, n), U, True, STATE)
    full = T - T % U
    for t in range(0, full, U):
        u += U * N
        later = load_rows(u, N, inside, spread(T - t - U, n), U, True, STATE)
        if counts is not None:
            tl.store(counts + spread(t // U - 1, n).to(tl.int64) * N + n, count, mask=inside & (spread(t, n) > 0))
        count, fired, _ = count_rows(count, us, rise, threshold, U, U, False)
        store_rows(spikes, fired, N, inside, U, U, False)
        spikes += U * N
        us = later
    if full < T:
        left = spread(T - full, n)
        if counts is not None:
            tl.store(counts + spread(full // U - 1, n).to(tl.int64) * N + n, count, mask=inside & (spread(full, n) > 0))
        count, fired, _ = count_rows(count, us, rise, threshold, left, U, True)
        store_rows(spikes, fired, N, inside, left, U, True)


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _reverse_count(
    u, counts, grad, table, slope, carry, grad_u, T, N, chunk,
    SLOPE: tl.constexpr, SURROGATE: tl.constexpr, MEASURE: tl.constexpr, STATE: tl.constexpr, U: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Chunk j from the right. ``carry`` [2, chunks, N]: what comes in; MEASURE leaves what goes out and the gates' product."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    j = tl.program_id(1)
    t0 = j * chunk
    t1 = tl.minimum(t0 + chunk, T)
    rise, threshold = tl.load(table), tl.load(table + 1)
    if SLOPE:
        slope = tl.load(slope)
    w, gates = tl.zeros((BLOCK,), STATE), tl.zeros((BLOCK,), STATE) + 1.0
    if carry is not None and not MEASURE:
        w += tl.load(carry + j.to(tl.int64) * N + n, mask=inside, other=0.0)
    top = (t1 - 1) // U
    for back in range(0, top - t0 // U + 1):
        t = (top - back) * U
        left = spread(t1 - t, n)
        at = spread(t, n).to(tl.int64) * N + n
        us = load_rows(u + at, N, inside, left, U, True, STATE)
        ls = load_rows(grad + at, N, inside, left, U, True, STATE)
        count = zero_after_loads(u, 0 * n, t - T).to(STATE)
        if counts is not None:
            kept = counts + spread(t // U - 1, n).to(tl.int64) * N + n
            count += tl.load(kept, mask=inside & (spread(t, n) > 0), other=0.0)
        _, _, before = count_rows(count, us, rise, threshold, U, U, False)
        out = ()
        for i in tl.static_range(U - 1, -1, -1):
            h = slope_at(us[i] - rise * before[i] - threshold, slope, SURROGATE)
            down = h * (ls[i] + w)
            out = (down,) + out
            w = tl.where(i < left, w - rise * down, w)
            if MEASURE:
                gates = tl.where(i < left, gates - rise * h * gates, gates)
        if not MEASURE:
            store_rows(grad_u + at, out, N, inside, left, U, True)
    if MEASURE:
        tl.store(carry + j.to(tl.int64) * N + n, w, mask=inside)
        tl.store(carry + (tl.num_programs(1) + j).to(tl.int64) * N + n, gates, mask=inside)


_start_count, _start_reverse = Launcher(_count), Launcher(_reverse_count)


def launch(u, table, spikes, counts, plan, state):
    """Fills ``spikes`` [T, N] and ``counts`` (or None) from u [T, N] and table [2]: rise and threshold."""
    T, N = u.shape
    key = None
    if aligned(u, table, spikes, counts):
        kinds = (u.dtype, spikes.dtype, counts is None)
        key = (u.device, *kinds, N == 1, N % 16 == 0, plan.ahead, plan.block)
    tail = (state, plan.ahead, plan.block)
    _start_count(key, (-(-N // plan.block), 1, 1), (u, table, spikes, counts, T, N, *tail))


def launch_reverse(u, counts, grad, table, slope, surrogate, grad_u, carry, plan, state):
    """Fills ``grad_u`` [T, N]; ``carry`` is scratch [2, chunks, N], None for one chunk; ``slope`` a float or a tensor [1]."""
    T, N = u.shape
    blocks, chunks, boxed = -(-N // plan.block), -(-T // plan.chunk), not isinstance(slope, float)
    key = None
    if aligned(u, counts, grad, table, grad_u, carry):
        kinds = (u.dtype, grad.dtype, counts is None, carry is None)
        key = (u.device, *kinds, N == 1, N % 16 == 0, boxed, surrogate, plan.ahead, plan.block)
    given = (u, counts, grad, table, slope, carry)
    sizes, tail = (T, N, plan.chunk, boxed, surrogate), (state, plan.ahead, plan.block)
    if chunks > 1:
        _start_reverse(key and ("measure", *key), (blocks, chunks, 1), (*given, None, *sizes, True, *tail))
        _start_carry(key and ("count", *key), (blocks, 1, 1), (carry, None, N, chunks, state, 16, plan.block))
    _start_reverse(key, (blocks, chunks, 1), (*given, grad_u, *sizes, False, *tail))
