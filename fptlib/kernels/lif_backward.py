"""Exact backward of the replay: the reverse linear recurrence in parallel time-chunks, membranes recomputed in registers.

With h the surrogate's derivative at u - threshold, l the gradient of the spikes, k that of the membranes and w[t] that of the
state after step t,

    g[t] = k[t] + h l[t] + c w[t],   w[t-1] = decay g[t],   c = 1 - threshold h        (soft reset)
                                                            c = 1 - s - (u - v_reset) h  (hard reset)

and c = 1 or 1 - s when the reset is detached. g is the gradient of the input. Only the input and every U-th state are read.
Chunks are made independent in one of two ways. TRUNCATED: start ``warmup`` steps further right from w = 0, which errs by at most
(bound of decay c)^warmup times w; the planner knows the bound and allows 2^-24. TWO PASSES: the first pass leaves for each chunk
its own w and the product of its gates decay c, `_carry` combines them right to left, the second pass starts from the true w.
"""

import triton
import triton.language as tl

from fptlib.kernels.launcher import Launcher, aligned
from fptlib.kernels.step import (
    HARD,
    RUNTIME_SIZES,
    SOFT,
    advance,
    load_rows,
    parameter,
    slope_at,
    spread,
    store_rows,
    zero_after_loads,
)

MEASURE, DIRECT = tl.constexpr(0), tl.constexpr(1)


@triton.jit
def gate_of(u, fired, h, threshold, v_reset, RESET: tl.constexpr, DETACH: tl.constexpr, STATE: tl.constexpr):
    """c = dv/du: how much of w passes through the reset."""
    if RESET == SOFT:
        return tl.full(u.shape, 1.0, STATE) if DETACH else 1.0 - threshold * h
    elif RESET == HARD:
        kept = tl.where(fired, 0.0, 1.0).to(STATE)
        return kept if DETACH else kept - (u - v_reset) * h
    else:
        return tl.full(u.shape, 1.0, STATE)


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _reverse(
    x, v0, states, grad, grad_membrane, grad_final, carry, decay, threshold, v_reset, slope,
    grad_x, grad_v0, grad_decay, grad_threshold, T, N, chunk, warmup,
    DECAY: tl.constexpr, THRESHOLD: tl.constexpr, V_RESET: tl.constexpr, SLOPE: tl.constexpr,
    RESET: tl.constexpr, SURROGATE: tl.constexpr, DETACH: tl.constexpr, PASS: tl.constexpr,
    STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    j = tl.program_id(1)
    t0 = j * chunk
    t1 = tl.minimum(t0 + chunk, T)
    last = tl.minimum(t1 + warmup, T)
    decay = parameter(decay, n, inside, DECAY)
    threshold = parameter(threshold, n, inside, THRESHOLD)
    v_reset = parameter(v_reset, n, inside, V_RESET)
    slope = parameter(slope, n, inside, SLOPE)
    w = tl.zeros((BLOCK,), STATE)
    if PASS == DIRECT:
        if grad_final is not None:
            w += tl.load(grad_final + n, mask=inside & (spread(last, n) == T), other=0.0).to(STATE)
        if carry is not None:
            w += tl.load(carry + j * N + n, mask=inside, other=0.0)
    gates = tl.full((BLOCK,), 1.0, STATE)
    sum_decay = tl.zeros((BLOCK,), STATE)
    sum_threshold = tl.zeros((BLOCK,), STATE)
    top = (last - 1) // U  # the last group of U steps, perhaps not full
    at = (top * U).to(tl.int64) * N + n
    x += at
    grad += at
    if grad_membrane is not None:
        grad_membrane += at
    if grad_x is not None:
        grad_x += at
    if states is not None:
        states += (top - 1).to(tl.int64) * N + n
    for back in range(0, top - t0 // U + 1):
        t = (top - back) * U
        left = spread(last - t, n)
        rows = load_rows(x, N, inside, left, U, True, STATE)
        heads = load_rows(grad, N, inside, left, U, True, STATE)
        if grad_membrane is not None:
            extra = load_rows(grad_membrane, N, inside, left, U, True, STATE)
        v = zero_after_loads(grad, 0 * n, t - T).to(STATE)
        if states is not None:
            v += tl.load(states, mask=inside & (spread(t, n) > 0), other=0.0)
        if v0 is not None:
            v += tl.load(v0 + n, mask=inside & (spread(t, n) == 0), other=0.0)
        us, ss, vs = (), (), ()
        for i in tl.static_range(U):
            vs = vs + (v,)
            u, fired, v = advance(v, rows[i], decay, threshold, v_reset, RESET)
            us = us + (u,)
            ss = ss + (fired,)
        out = ()
        for i in tl.static_range(U - 1, -1, -1):
            h = slope_at(us[i] - threshold, slope, SURROGATE)
            c = gate_of(us[i], ss[i], h, threshold, v_reset, RESET, DETACH, STATE)
            b = h * heads[i]
            if grad_membrane is not None:
                b += extra[i]
            # Steps that do not exist pass w on unchanged. The chain from step to step is one multiply-add.
            a = tl.where(i < left, decay * c, 1.0)
            g = tl.fma(c, w, b)
            if grad_decay is not None or grad_threshold is not None:
                own = (i < left) & (spread(t, n) < t1)
                if grad_decay is not None:
                    sum_decay += tl.where(own, g * vs[i], 0.0)
                if grad_threshold is not None:
                    total = heads[i]
                    if not DETACH:
                        if RESET == SOFT:
                            total = total - threshold * w
                        elif RESET == HARD:
                            total = total - (us[i] - v_reset) * w
                    down = h * total
                    if RESET == SOFT:
                        down += tl.where(ss[i], w, 0.0)
                    sum_threshold -= tl.where(own, down, 0.0)
            if PASS == MEASURE:
                gates = gates * a
            w = tl.fma(a, w, tl.where(i < left, decay * b, 0.0))
            out = (g,) + out
        if grad_x is not None:
            if t < t1:
                store_rows(grad_x, out, N, inside, left, U, True)
            grad_x -= U * N
        x -= U * N
        grad -= U * N
        if grad_membrane is not None:
            grad_membrane -= U * N
        if states is not None:
            states -= N
    if PASS == MEASURE:
        tl.store(carry + j * N + n, w, mask=inside)
        tl.store(carry + (tl.num_programs(1) + j) * N + n, gates, mask=inside)
    else:
        if grad_v0 is not None:
            tl.store(grad_v0 + n, w, mask=inside & (spread(t0, n) == 0))
        if grad_decay is not None:
            tl.store(grad_decay + j * N + n, sum_decay, mask=inside)
        if grad_threshold is not None:
            tl.store(grad_threshold + j * N + n, sum_threshold, mask=inside)


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _carry(own, grad_final, N, chunks, STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr):
    """In place: own[j], what chunk j sends left if nothing comes in, becomes what comes into chunk j from the right.

    ``own`` is [2, chunks, N]: what the chunks send, then the products of their gates.
    """
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    product = own + chunks * N
    w = tl.zeros((BLOCK,), STATE)
    if grad_final is not None:
        w += tl.load(grad_final + n, mask=inside, other=0.0).to(STATE)
    for back in range(0, tl.cdiv(chunks, U)):
        top = chunks - 1 - back * U
        sends, gates = (), ()
        for i in tl.static_range(U):
            here = inside & (spread(top, n) >= i)
            sends = sends + (tl.load(own + (top - i) * N + n, mask=here, other=0.0),)
            gates = gates + (tl.load(product + (top - i) * N + n, mask=here, other=0.0),)
        for i in tl.static_range(U):
            tl.store(own + (top - i) * N + n, w, mask=inside & (spread(top, n) >= i))
            # A product that overflowed must not meet a zero that stands for "nothing comes in".
            w = tl.where(w == 0.0, sends[i], tl.fma(gates[i], w, sends[i]))


_start_reverse, _start_carry = Launcher(_reverse), Launcher(_carry)


def launch(call, x, v0, states, grads, parameters, out, carry):
    """Fills ``out`` (x, v0, decay, threshold): one launch when truncation is bounded or there is one chunk, else three.

    ``grads`` of spikes, membrane and final state; ``parameters`` decay, threshold, v_reset, slope; ``carry`` [2, chunks, N]
    for two passes; ``call`` a `fptlib.kernels.calls.Prepared`.
    """
    plan, chunks, blocks, tails = call.back, call.back_chunks, call.back_blocks, call.back_tails
    grid, key = (blocks, chunks, 1), None
    if aligned(x, v0, *grads, *call.tensors(parameters)):
        key = (call.back_name, grads[0].dtype, *[t is None for t in (v0, *grads[1:], *out)])
    if plan.two_passes:
        given = (x, v0, states, *grads, carry, *parameters, None, None, None, None)
        _start_reverse(key and (MEASURE.value, *key), grid, (*given, *tails[MEASURE.value]))
        _start_carry(key, (blocks, 1, 1), (carry, grads[2], call.N, chunks, call.triton, 16, plan.block))
        grads = (*grads[:2], None)
    given = (x, v0, states, *grads, carry, *parameters, *out)
    _start_reverse(key and (DIRECT.value, *key), grid, (*given, *tails[DIRECT.value]))
