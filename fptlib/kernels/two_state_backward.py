"""Exact backward for neurons with two states: a reverse linear recurrence in g = dL/du, two numbers per neuron.

    w = A^T g[t+1], q = J^T g[t+1]     (at the last step w is the gradient of the final state)
    d[p] = l[p] + q[p] - sum_i R[i,p] w[i]      (hard-reset states add (reset_to - u) w; detached reset: d = l)
    g[i] = w[i] + sum_p C[p,i] h[p] d[p]        (hard-reset states pass w (1 - s))

With several chunks the first pass leaves each chunk's own g and the 2 x 2 product of its gates, `_carry2` combines them from right
to left, the second pass starts from the true g: no truncation, whatever the gates.
"""

import triton
import triton.language as tl

from fptlib.kernels.step import LAUNCH, RUNTIME_SIZES, load_rows, opaque_zero, slope_at, spread, zero_after_loads
from fptlib.kernels.two_state import load_state, load_table, step2


@triton.jit
def pull(g0, g1, q):
    """What g of step t + 1 sends to the state and the spikes of step t: w = A^T g, and J^T g."""
    return q[0] * g0 + q[2] * g1, q[1] * g0 + q[3] * g1, q[16] * g0 + q[18] * g1, q[17] * g0 + q[19] * g1


@triton.jit
def turn(w0, w1, e0, e1, l0, l1, u0, u1, s0, h0, h1, q, HARD0: tl.constexpr, HARD1: tl.constexpr, DETACH: tl.constexpr):
    """g of step t and the total gradients d of its spikes, from w, J^T g of the step after it and l."""
    d0, d1 = l0, l1
    if not DETACH:
        d0 += e0 - q[12] * w0 - q[14] * w1
        d1 += e1 - q[13] * w0 - q[15] * w1
        if HARD0:
            d0 += (q[20] - u0) * w0
        if HARD1:
            d0 += (q[21] - u1) * w1
    k0, k1 = w0, w1
    if HARD0:
        k0 = (1.0 - s0) * w0
    if HARD1:
        k1 = (1.0 - s0) * w1
    return k0 + q[6] * (h0 * d0) + q[8] * (h1 * d1), k1 + q[7] * (h0 * d0) + q[9] * (h1 * d1), d0, d1


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _reverse2(
    x, initial, states, table, slope, grad, grad_membrane, grad_final, carry, product,
    grad_x, grad_initial, grad_table, T, N, chunk,
    PER_NEURON: tl.constexpr, SLOPE: tl.constexpr, CHANNELS: tl.constexpr, MEMORY: tl.constexpr, HARD0: tl.constexpr,
    HARD1: tl.constexpr, SURROGATE: tl.constexpr, DETACH: tl.constexpr, MEASURE: tl.constexpr,
    STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    j = tl.program_id(1)
    t0 = j * chunk
    t1 = tl.minimum(t0 + chunk, T)
    q = load_table(table, n, inside, N, PER_NEURON)
    slope = tl.load(slope) if SLOPE else slope
    zero = opaque_zero(x, 0 * n, t0 - T).to(STATE)
    g0, g1 = zero, zero
    if carry is not None and not MEASURE:
        g0 += tl.load(carry + j * 2 * N + n, mask=inside, other=0.0)
        g1 += tl.load(carry + (j * 2 + 1) * N + n, mask=inside, other=0.0)
    w0, w1, e0, e1 = pull(g0, g1, q)
    if grad_final is not None:
        w0 += tl.load(grad_final + n, mask=inside & (spread(t1, n) == T), other=0.0).to(STATE)
        w1 += tl.load(grad_final + N + n, mask=inside & (spread(t1, n) == T), other=0.0).to(STATE)
    a0, a1, b0, b1 = zero + 1.0, zero, zero, zero + 1.0  # images of the unit vectors: the gates' product
    sums = ()
    if grad_table is not None:
        for _k in tl.static_range(22):
            sums = sums + (zero,)
    top = (t1 - 1) // U
    for back in range(0, top - t0 // U + 1):
        t = (top - back) * U
        left = spread(t1 - t, n)
        at = spread(t, n).to(tl.int64) * N
        rows = load_rows(x + at + n, N, inside, left, U, True, STATE)
        heads0 = load_rows(grad + at * CHANNELS + n, CHANNELS * N, inside, left, U, True, STATE)
        if CHANNELS == 2:
            heads1 = load_rows(grad + at * 2 + N + n, 2 * N, inside, left, U, True, STATE)
        if grad_membrane is not None:
            extra0 = load_rows(grad_membrane + at * 2 + n, 2 * N, inside, left, U, True, STATE)
            extra1 = load_rows(grad_membrane + at * 2 + N + n, 2 * N, inside, left, U, True, STATE)
        fenced = zero_after_loads(grad, 0 * n, t - T).to(STATE)
        v0, v1, s0, s1 = load_state(initial, n, inside & (spread(t, n) == 0), N, MEMORY, BLOCK, STATE)
        v0, v1 = v0 + fenced, v1 + fenced
        if states is not None:
            p0, p1, r0, r1 = load_state(
                states + spread(t // U - 1, n).to(tl.int64) * MEMORY * N,
                n,
                inside & (spread(t, n) > 0),
                N,
                MEMORY,
                BLOCK,
                STATE,
            )
            v0, v1, s0, s1 = v0 + p0, v1 + p1, s0 + r0, s1 + r1
        before, after = (), ()
        for i in tl.static_range(U):
            before = before + ((v0, v1, s0, s1),)
            u0, u1, s0, s1, v0, v1 = step2(v0, v1, s0, s1, rows[i], q, HARD0, HARD1)
            after = after + ((u0, u1, s0, s1),)
        for i in tl.static_range(U - 1, -1, -1):
            here = i < left
            u0, u1, s0, s1 = after[i]
            h0 = slope_at(q[6] * u0 + q[7] * u1 - q[10], slope, SURROGATE)
            h1 = slope_at(q[8] * u0 + q[9] * u1 - q[11], slope, SURROGATE)
            l0 = heads0[i]
            l1 = heads1[i] if CHANNELS == 2 else zero
            y0, y1, d0, d1 = turn(w0, w1, e0, e1, l0, l1, u0, u1, s0, h0, h1, q, HARD0, HARD1, DETACH)
            if grad_membrane is not None:
                y0, y1 = y0 + extra0[i], y1 + extra1[i]
            if MEASURE:
                pa0, pa1, pa2, pa3 = pull(a0, a1, q)
                pb0, pb1, pb2, pb3 = pull(b0, b1, q)
                na0, na1, _, _ = turn(pa0, pa1, pa2, pa3, zero, zero, u0, u1, s0, h0, h1, q, HARD0, HARD1, DETACH)
                nb0, nb1, _, _ = turn(pb0, pb1, pb2, pb3, zero, zero, u0, u1, s0, h0, h1, q, HARD0, HARD1, DETACH)
                a0, a1, b0, b1 = (
                    tl.where(here, na0, a0),
                    tl.where(here, na1, a1),
                    tl.where(here, nb0, b0),
                    tl.where(here, nb1, b1),
                )
            if grad_x is not None:
                tl.store(
                    grad_x + at + i * N + n, (q[4] * y0 + q[5] * y1).to(grad_x.dtype.element_ty), mask=inside & here
                )
            if grad_table is not None:
                m0, m1, r0, r1 = before[i]
                z0, z1 = tl.where(here, y0, 0.0), tl.where(here, y1, 0.0)
                f0, f1 = tl.where(here, h0 * d0, 0.0), tl.where(here, h1 * d1, 0.0)
                k0, k1 = tl.where(here, w0, 0.0), tl.where(here, w1, 0.0)  # a hard-reset state hands w to reset_to
                x0, x1 = zero, zero
                if HARD0:
                    x0, k0 = s0 * k0, zero
                if HARD1:
                    x1, k1 = s0 * k1, zero
                terms = (
                    z0 * m0, z0 * m1, z1 * m0, z1 * m1, z0 * rows[i], z1 * rows[i], f0 * u0, f0 * u1, f1 * u0, f1 * u1,
                    -f0, -f1, -k0 * s0, -k0 * s1, -k1 * s0, -k1 * s1, z0 * r0, z0 * r1, z1 * r0, z1 * r1, x0, x1,
                )  # fmt: skip
                grown = ()
                for k in tl.static_range(22):
                    grown = grown + (sums[k] + terms[k],)
                sums = grown
            g0, g1 = tl.where(here, y0, g0), tl.where(here, y1, g1)
            n0, n1, n2, n3 = pull(y0, y1, q)
            w0, w1 = tl.where(here, n0, w0), tl.where(here, n1, w1)
            e0, e1 = tl.where(here, n2, e0), tl.where(here, n3, e1)
    if MEASURE:
        tl.store(carry + j * 2 * N + n, g0, mask=inside)
        tl.store(carry + (j * 2 + 1) * N + n, g1, mask=inside)
        tl.store(product + j * 4 * N + n, a0, mask=inside)
        tl.store(product + (j * 4 + 1) * N + n, a1, mask=inside)
        tl.store(product + (j * 4 + 2) * N + n, b0, mask=inside)
        tl.store(product + (j * 4 + 3) * N + n, b1, mask=inside)
    else:
        if grad_initial is not None:
            keep = inside & (spread(t0, n) == 0)
            tl.store(grad_initial + n, w0, mask=keep)
            tl.store(grad_initial + N + n, w1, mask=keep)
            if MEMORY > 2:
                tl.store(grad_initial + 2 * N + n, e0, mask=keep)
            if MEMORY > 3:
                tl.store(grad_initial + 3 * N + n, e1, mask=keep)
        if grad_table is not None:
            for k in tl.static_range(22):
                tl.store(grad_table + spread(k * tl.num_programs(1) + j, n).to(tl.int64) * N + n, sums[k], mask=inside)


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _carry2(own, product, N, chunks, STATE: tl.constexpr, BLOCK: tl.constexpr):
    """In place: own[j], the g with which chunk j begins when nothing comes in, becomes what comes into chunk j."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    g0, g1 = tl.zeros((BLOCK,), STATE), tl.zeros((BLOCK,), STATE)
    for back in range(0, chunks):
        j = spread(chunks - 1 - back, n).to(tl.int64)
        o, p = own + j * 2 * N + n, product + j * 4 * N + n
        o0, o1 = tl.load(o, mask=inside, other=0.0), tl.load(o + N, mask=inside, other=0.0)
        p0, p1 = tl.load(p, mask=inside, other=0.0), tl.load(p + N, mask=inside, other=0.0)
        p2, p3 = tl.load(p + 2 * N, mask=inside, other=0.0), tl.load(p + 3 * N, mask=inside, other=0.0)
        tl.store(o, g0, mask=inside)
        tl.store(o + N, g1, mask=inside)
        g0, g1 = o0 + p0 * g0 + p2 * g1, o1 + p1 * g0 + p3 * g1


def launch(x, initial, states, table, slope, grads, out, plan, shape, surrogate, detach, state, scratch):
    """Fills ``out``: grad_x [T, N], grad_initial [MEMORY, N], grad_table [22, chunks, N]; None where not wanted."""
    T, N = x.shape
    blocks, chunks = triton.cdiv(N, plan.block), triton.cdiv(T, plan.chunk)
    flags = {**shape, "SURROGATE": surrogate, "DETACH": detach, "STATE": state, "U": plan.ahead, "BLOCK": plan.block}
    flags |= {"SLOPE": not isinstance(slope, float), **LAUNCH}
    carry = product = None
    if chunks > 1:
        carry, product = scratch((chunks, 2, N)), scratch((chunks, 4, N))
        _reverse2[(blocks, chunks)](
            x,
            initial,
            states,
            table,
            slope,
            *grads,
            carry,
            product,
            None,
            None,
            None,
            T,
            N,
            plan.chunk,
            MEASURE=True,
            **flags,
        )
        _carry2[(blocks,)](carry, product, N, chunks, STATE=state, BLOCK=plan.block, **LAUNCH)
    _reverse2[(blocks, chunks)](
        x, initial, states, table, slope, *grads, carry, product, *out, T, N, plan.chunk, MEASURE=False, **flags
    )
