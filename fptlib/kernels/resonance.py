"""The complex linear scan of a resonator, parallel over time-chunks whose carries are exact, whatever the leak.

    z[t] = p z[t-1] + x[t],   p = decay e^(i frequency),

one rounding an operation, left to right, as the neuron table has it. Three launches: every chunk from zero, of which only the
end is kept (`_resonate`, MEASURE); the ends handed on from chunk to chunk, times p^chunk in double precision (`_carry`); every
chunk again from its true start, with everything stored. Nothing is assumed to fade. One chunk is one launch, the loop's bits.

The same kernel run from the last step to the first with the conjugate of p is the transpose, hence the backward pass for the
input, which needs nothing but the gradient. The gradient of p needs the tangent y[t] = p y[t-1] + z[t-1], which is dz/dp: then
dL/d Re p = sum Re(conj(g) y) and dL/d Im p = sum Re(conj(g) i y), again forward in time (`_tangent`).
"""

import triton
import triton.language as tl

from fptlib.kernels.launcher import Launcher, aligned
from fptlib.kernels.step import RUNTIME_SIZES, load_rows, spread, store_rows, zero_after_loads


@triton.jit
def load_number(table, row, n, inside, N, PER_NEURON: tl.constexpr):
    """One row of [rows] or [rows, N]: Re p, Im p, threshold."""
    if PER_NEURON:
        return tl.load(table + row * N + n, mask=inside, other=0.0)
    else:
        return tl.load(table + row)


@triton.jit
def turn(zr, zi, a, b):
    """p z, a product of complex numbers."""
    return a * zr - b * zi, b * zr + a * zi


@triton.jit
def rotate_rows(zr, zi, xs, ys, a, b, left, U: tl.constexpr, TAIL: tl.constexpr, BOTH: tl.constexpr):
    """U steps in registers, with a real or (BOTH) a complex drive. In a TAIL the state stops where the rows do."""
    reals, imags = (), ()
    for i in tl.static_range(U):
        nr, ni = turn(zr, zi, a, b)
        nr = nr + xs[i]
        if BOTH:
            ni = ni + ys[i]
        zr = tl.where(i < left, nr, zr) if TAIL else nr
        zi = tl.where(i < left, ni, zi) if TAIL else ni
        reals = reals + (nr,)
        imags = imags + (ni,)
    return zr, zi, reals, imags


@triton.jit
def write(real, imag, spikes, reals, imags, threshold, step, inside, left, U: tl.constexpr, TAIL: tl.constexpr):
    if real is not None:
        store_rows(real, reals, step, inside, left, U, TAIL)
    if imag is not None:
        store_rows(imag, imags, step, inside, left, U, TAIL)
    if spikes is not None:
        fired = ()
        for i in tl.static_range(U):
            fired = fired + (reals[i] >= threshold,)
        store_rows(spikes, fired, step, inside, left, U, TAIL)


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _resonate(
    x, y, table, starts, real, imag, spikes, final, T, N, chunk,
    PER_NEURON: tl.constexpr, REVERSE: tl.constexpr, MEASURE: tl.constexpr, STATE: tl.constexpr,
    U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Chunk j. ``starts`` [chunks, 2, N]: where chunks start; when MEASURE runs, where they end if they start at zero."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    j = tl.program_id(1)
    t0 = j * chunk
    t1 = tl.minimum(t0 + chunk, T)
    a, b = load_number(table, 0, n, inside, N, PER_NEURON), load_number(table, 1, n, inside, N, PER_NEURON)
    threshold = load_number(table, 2, n, inside, N, PER_NEURON) if spikes is not None else a
    if REVERSE:
        b, step, row = -b, -N, T - 1 - t0
    else:
        step, row = N, t0
    at = row.to(tl.int64) * N + n
    zr, zi = tl.zeros((BLOCK,), STATE), tl.zeros((BLOCK,), STATE)
    if starts is not None:
        starts += j.to(tl.int64) * 2 * N + n
        if not MEASURE:
            zr += tl.load(starts, mask=inside, other=0.0)
            zi += tl.load(starts + N, mask=inside, other=0.0)
    x += at
    if real is not None:
        real += at
    if imag is not None:
        imag += at
    if spikes is not None:
        spikes += at
    xs = load_rows(x, step, inside, spread(t1 - t0, n), U, True, STATE)
    ys = xs
    if y is not None:
        y += at
        ys = load_rows(y, step, inside, spread(t1 - t0, n), U, True, STATE)
    full = t1 - (t1 - t0) % U
    for t in range(t0, full, U):
        x += U * step
        left = spread(t1 - t - U, n)
        later = load_rows(x, step, inside, left, U, True, STATE)  # on their way while this group is computed
        after = later
        if y is not None:
            y += U * step
            after = load_rows(y, step, inside, left, U, True, STATE)
        zr, zi, reals, imags = rotate_rows(zr, zi, xs, ys, a, b, U, U, False, y is not None)
        if not MEASURE:
            write(real, imag, spikes, reals, imags, threshold, step, inside, U, U, False)
        xs, ys = later, after
        if real is not None:
            real += U * step
        if imag is not None:
            imag += U * step
        if spikes is not None:
            spikes += U * step
    if full < t1:
        left = spread(t1 - full, n)
        zr, zi, reals, imags = rotate_rows(zr, zi, xs, ys, a, b, left, U, True, y is not None)
        if not MEASURE:
            write(real, imag, spikes, reals, imags, threshold, step, inside, left, U, True)
    if MEASURE:
        tl.store(starts, zr, mask=inside)
        tl.store(starts + N, zi, mask=inside)
    else:
        tl.store(final + n, zr, mask=inside & (spread(t1, n) == T))
        tl.store(final + N + n, zi, mask=inside & (spread(t1, n) == T))


@triton.jit
def power(a, b, exponent):
    """p^exponent by squaring, and p^(exponent - 1), for a whole exponent of at least 1."""
    pr, pi = 0.0 * a + 1.0, 0.0 * a
    e = exponent - 1
    sr, si = a, b
    while e > 0:
        mr, mi = turn(pr, pi, sr, si)
        odd = spread(e % 2, pr) > 0
        pr, pi = tl.where(odd, mr, pr), tl.where(odd, mi, pi)
        sr, si = turn(sr, si, sr, si)
        e = e // 2
    fr, fi = turn(pr, pi, a, b)
    return fr, fi, pr, pi


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _carry(
    ends, z0, table, T, N, chunk, chunks,
    PER_NEURON: tl.constexpr, REVERSE: tl.constexpr, TANGENT: tl.constexpr, STATE: tl.constexpr,
    U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """In place: the ends of chunks that started at zero become the starts of the chunks; with TANGENT y beside z.

    After a chunk of C steps z' = p^C z + end and y' = p^C y + C p^(C-1) z + end. The last end does not exist: nobody needs it.
    """
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    a = load_number(table, 0, n, inside, N, PER_NEURON).to(tl.float64) + 0.0 * n
    b = load_number(table, 1, n, inside, N, PER_NEURON).to(tl.float64) + 0.0 * n
    if REVERSE:
        b = -b
    pr, pi, qr, qi = power(a, b, chunk)
    zero = tl.zeros((BLOCK,), tl.float64)
    zr, zi, yr, yi = zero, zero, zero, zero
    if z0 is not None:
        zr += tl.load(z0 + n, mask=inside, other=0.0).to(tl.float64)
        zi += tl.load(z0 + N + n, mask=inside, other=0.0).to(tl.float64)
    WIDE: tl.constexpr = 4 if TANGENT else 2
    for first in range(0, chunks, U):
        left = spread(chunks - 1 - first, n)
        p = ends + spread(first, n).to(tl.int64) * WIDE * N + n
        ers = load_rows(p, WIDE * N, inside, left, U, True, tl.float64)
        eis = load_rows(p + N, WIDE * N, inside, left, U, True, tl.float64)
        if TANGENT:
            yrs = load_rows(p + 2 * N, WIDE * N, inside, left, U, True, tl.float64)
            yis = load_rows(p + 3 * N, WIDE * N, inside, left, U, True, tl.float64)
        for i in tl.static_range(U):
            here = inside & (i <= left)
            tl.store(p + i * WIDE * N, zr.to(STATE), mask=here)
            tl.store(p + (i * WIDE + 1) * N, zi.to(STATE), mask=here)
            if TANGENT:
                tl.store(p + (i * WIDE + 2) * N, yr.to(STATE), mask=here)
                tl.store(p + (i * WIDE + 3) * N, yi.to(STATE), mask=here)
                yr, yi = turn(yr, yi, pr, pi)
                lr, li = turn(zr, zi, qr, qi)
                yr, yi = yr + chunk * lr + yrs[i], yi + chunk * li + yis[i]
            zr, zi = turn(zr, zi, pr, pi)
            zr, zi = zr + ers[i], zi + eis[i]


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _tangent(
    x, grad, grad_imag, table, starts, sums, T, N, chunk,
    PER_NEURON: tl.constexpr, MEASURE: tl.constexpr, STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Chunk j of z and y; ``starts`` [chunks, 4, N], ``sums`` [2, chunks, N]: the chunk's share of the gradients of p."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    j = tl.program_id(1)
    t0 = j * chunk
    t1 = tl.minimum(t0 + chunk, T)
    a, b = load_number(table, 0, n, inside, N, PER_NEURON), load_number(table, 1, n, inside, N, PER_NEURON)
    zero = tl.zeros((BLOCK,), STATE)
    zr, zi, yr, yi, sum_a, sum_b = zero, zero, zero, zero, zero, zero
    if starts is not None:
        starts += j.to(tl.int64) * 4 * N + n
        if not MEASURE:
            zr += tl.load(starts, mask=inside, other=0.0)
            zi += tl.load(starts + N, mask=inside, other=0.0)
            yr += tl.load(starts + 2 * N, mask=inside, other=0.0)
            yi += tl.load(starts + 3 * N, mask=inside, other=0.0)
    for t in range(t0, t1, U):
        left = spread(t1 - t, n)
        at = spread(t, n).to(tl.int64) * N + n
        xs = load_rows(x + at, N, inside, left, U, True, STATE)
        if not MEASURE:
            gs = load_rows(grad + at, N, inside, left, U, True, STATE)
            if grad_imag is not None:
                ks = load_rows(grad_imag + at, N, inside, left, U, True, STATE)
        zr += zero_after_loads(x, 0 * n, t - T).to(STATE)
        for i in tl.static_range(U):
            exists = i < left
            wr, wi = turn(yr, yi, a, b)
            yr, yi = tl.where(exists, wr + zr, yr), tl.where(exists, wi + zi, yi)
            wr, wi = turn(zr, zi, a, b)
            zr, zi = tl.where(exists, wr + xs[i], zr), tl.where(exists, wi, zi)
            if not MEASURE:  # rows that do not exist read as a gradient of zero
                sum_a += gs[i] * yr
                sum_b -= gs[i] * yi
                if grad_imag is not None:
                    sum_a += ks[i] * yi
                    sum_b += ks[i] * yr
    if MEASURE:
        tl.store(starts, zr, mask=inside)
        tl.store(starts + N, zi, mask=inside)
        tl.store(starts + 2 * N, yr, mask=inside)
        tl.store(starts + 3 * N, yi, mask=inside)
    else:
        tl.store(sums + spread(j, n).to(tl.int64) * N + n, sum_a, mask=inside)
        tl.store(sums + spread(tl.num_programs(1) + j, n).to(tl.int64) * N + n, sum_b, mask=inside)


_start_resonate, _start_carry, _start_tangent = Launcher(_resonate), Launcher(_carry), Launcher(_tangent)


def launch(x, y, table, z0, out, starts, plan, reverse, state):
    """Fills ``out`` = (real, imag, spikes, final), of which the first three may be None; x (and y, or None) [T, N].

    ``starts`` is scratch [chunks, 2, N], None for one chunk; ``z0`` [2, N] or None.
    """
    T, N = x.shape
    blocks, chunks, per_neuron = -(-N // plan.block), -(-T // plan.chunk), table.ndim == 2
    key = None
    if aligned(x, y, table, z0, starts, *out):
        kinds = [None if t is None else t.dtype for t in (x, y, z0, *out)]
        key = (x.device, *kinds, N == 1, N % 16 == 0, per_neuron, reverse, chunks > 1, state, plan.ahead, plan.block)
    tail = (state, plan.ahead, plan.block)
    if chunks == 1:
        starts = z0
    else:
        none = (None,) * 4
        given = (x, y, table, starts, *none, T, N, plan.chunk, per_neuron, reverse, True, *tail)
        _start_resonate(key and ("measure", *key), (blocks, chunks - 1, 1), given)
        given = (starts, z0, table, T, N, plan.chunk, chunks, per_neuron, reverse, False, state, 16, plan.block)
        _start_carry(key, (blocks, 1, 1), given)
    given = (x, y, table, starts, *out, T, N, plan.chunk, per_neuron, reverse, False, *tail)
    _start_resonate(key, (blocks, chunks, 1), given)


def launch_tangent(x, grads, table, z0, sums, starts, plan, state):
    """Fills ``sums`` [2, chunks, N]; ``grads`` of the real and the imaginary part (or None), [T, N]; ``starts`` [chunks, 4, N].

    With an initial state even one chunk needs ``starts``, filled by the carry pass.
    """
    T, N = x.shape
    blocks, chunks, per_neuron = -(-N // plan.block), -(-T // plan.chunk), table.ndim == 2
    key = None
    if aligned(x, *grads, table, z0, sums, starts):
        kinds = [None if t is None else t.dtype for t in (x, *grads, z0, starts)]
        key = (x.device, *kinds, N == 1, N % 16 == 0, per_neuron, state, plan.ahead, plan.block)
    tail = (state, plan.ahead, plan.block)
    if chunks > 1:
        given = (x, None, None, table, starts, None, T, N, plan.chunk, per_neuron, True, *tail)
        _start_tangent(key and ("measure", *key), (blocks, chunks - 1, 1), given)
    if starts is not None:
        given = (starts, z0, table, T, N, plan.chunk, chunks, per_neuron, False, True, state, 16, plan.block)
        _start_carry(key and ("tangent", *key), (blocks, 1, 1), given)
    given = (x, *grads, table, starts, sums, T, N, plan.chunk, per_neuron, False, *tail)
    _start_tangent(key, (blocks, chunks, 1), given)
