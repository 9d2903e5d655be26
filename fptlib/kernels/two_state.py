"""Replay forward for neurons with two states and up to two spike channels: two compartments, adaptation, resonators.

The step is that of the neuron table, one rounding an operation, left to right:

    u = A v + B x + J s_before,   s = [C u >= theta],   v = u - R s   (or reset_to where a hard-reset state fired).

The 22 numbers of the table come as one tensor [22] or [22, N], in the order A, B, C, theta, R, J, reset_to (rows first); a
neuron with one channel has a second one that never fires. Chunks, seams and repair are those of `lif_forward`; a seam
compares both states, and the spikes where a jump is due.
"""

import triton
import triton.language as tl

from fptlib.kernels.step import LAUNCH, RUNTIME_SIZES, load_rows, spread

ENTRIES = 22


@triton.jit
def load_table(p, n, inside, N, PER_NEURON: tl.constexpr):
    q = ()
    for k in tl.static_range(22):
        if PER_NEURON:
            q = q + (tl.load(p + k * N + n, mask=inside, other=0.0),)
        else:
            q = q + (tl.load(p + k),)
    return q


@triton.jit
def step2(v0, v1, s0, s1, x, q, HARD0: tl.constexpr, HARD1: tl.constexpr):
    """One time step; spikes are 0.0 or 1.0."""
    u0 = q[0] * v0 + q[1] * v1 + q[4] * x + q[16] * s0 + q[17] * s1
    u1 = q[2] * v0 + q[3] * v1 + q[5] * x + q[18] * s0 + q[19] * s1
    s0 = tl.where(q[6] * u0 + q[7] * u1 >= q[10], 1.0, 0.0).to(u0.dtype)
    s1 = tl.where(q[8] * u0 + q[9] * u1 >= q[11], 1.0, 0.0).to(u0.dtype)
    v0 = u0 - q[12] * s0 - q[13] * s1
    v1 = u1 - q[14] * s0 - q[15] * s1
    if HARD0:
        v0 = tl.where(s0 > 0, q[20], v0)
    if HARD1:
        v1 = tl.where(s0 > 0, q[21], v1)
    return u0, u1, s0, s1, v0, v1


@triton.jit
def load_state(p, n, inside, N, MEMORY: tl.constexpr, BLOCK: tl.constexpr, STATE: tl.constexpr):
    """v0, v1 and, where a jump is due, s0, s1; [MEMORY, N] in memory, None is zero."""
    v0, v1 = tl.zeros((BLOCK,), STATE), tl.zeros((BLOCK,), STATE)
    s0, s1 = tl.zeros((BLOCK,), STATE), tl.zeros((BLOCK,), STATE)
    if p is not None:
        v0 += tl.load(p + n, mask=inside, other=0.0)
        v1 += tl.load(p + N + n, mask=inside, other=0.0)
        if MEMORY > 2:
            s0 += tl.load(p + 2 * N + n, mask=inside, other=0.0)
        if MEMORY > 3:
            s1 += tl.load(p + 3 * N + n, mask=inside, other=0.0)
    return v0, v1, s0, s1


@triton.jit
def save_state(p, v0, v1, s0, s1, n, keep, N, MEMORY: tl.constexpr):
    tl.store(p + n, v0, mask=keep)
    tl.store(p + N + n, v1, mask=keep)
    if MEMORY > 2:
        tl.store(p + 2 * N + n, s0, mask=keep)
    if MEMORY > 3:
        tl.store(p + 3 * N + n, s1, mask=keep)


@triton.jit
def differs(a, b, inside):
    return tl.max(((a != b) & inside).to(tl.int32), 0) > 0


@triton.jit
def run_chunk2(
    x, spikes, membrane, states, start, v0, v1, s0, s1, first, t0, t1, n, inside, N, q, j,
    CHANNELS: tl.constexpr, MEMORY: tl.constexpr, HARD0: tl.constexpr, HARD1: tl.constexpr,
    STATE: tl.constexpr, U: tl.constexpr,
):  # fmt: skip
    """Steps first .. t1 - 1; before t0 nothing is stored, at t0 the state is noted in ``start``."""
    for t in range(first, t1, U):
        left = spread(t1 - t, n)
        rows = load_rows(x + spread(t, n).to(tl.int64) * N + n, N, inside, left, U, True, STATE)
        if t == t0:  # noqa: SIM102
            if start is not None:
                save_state(start + spread(j, n).to(tl.int64) * MEMORY * N, v0, v1, s0, s1, n, inside, N, MEMORY)
        if t >= t0:  # noqa: SIM102
            if states is not None:
                keep = inside & (spread(t, n) > 0)
                save_state(states + spread(t // U - 1, n).to(tl.int64) * MEMORY * N, v0, v1, s0, s1, n, keep, N, MEMORY)
        for i in tl.static_range(U):
            here = i < left
            u0, u1, n0, n1, w0, w1 = step2(v0, v1, s0, s1, rows[i], q, HARD0, HARD1)
            v0, v1 = tl.where(here, w0, v0), tl.where(here, w1, v1)
            s0, s1 = tl.where(here, n0, s0), tl.where(here, n1, s1)
            put = inside & here & (spread(t, n) >= t0)
            row = (spread(t, n) + i).to(tl.int64)
            tl.store(spikes + row * CHANNELS * N + n, n0.to(spikes.dtype.element_ty), mask=put)
            if CHANNELS == 2:
                tl.store(spikes + (row * 2 + 1) * N + n, n1.to(spikes.dtype.element_ty), mask=put)
            if membrane is not None:
                tl.store(membrane + row * 2 * N + n, u0, mask=put)
                tl.store(membrane + (row * 2 + 1) * N + n, u1, mask=put)
    return v0, v1, s0, s1


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _replay2(
    x, initial, table, spikes, membrane, states, start, end, final, T, N, chunk, warmup,
    PER_NEURON: tl.constexpr, CHANNELS: tl.constexpr, MEMORY: tl.constexpr, HARD0: tl.constexpr, HARD1: tl.constexpr,
    STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    j = tl.program_id(1)
    t0 = j * chunk
    t1 = tl.minimum(t0 + chunk, T)
    first = tl.maximum(t0 - warmup, 0)
    q = load_table(table, n, inside, N, PER_NEURON)
    v0, v1, s0, s1 = load_state(initial, n, inside & (spread(first, n) == 0), N, MEMORY, BLOCK, STATE)
    v0, v1, s0, s1 = run_chunk2(
        x, spikes, membrane, states, start, v0, v1, s0, s1, first, t0, t1, n, inside, N, q, j,
        CHANNELS, MEMORY, HARD0, HARD1, STATE, U,
    )  # fmt: skip
    if end is not None:
        save_state(end + spread(j, n).to(tl.int64) * MEMORY * N, v0, v1, s0, s1, n, inside, N, MEMORY)
    save_state(final, v0, v1, s0, s1, n, inside & (spread(t1, n) == T), N, MEMORY)


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _walk2(
    x, table, spikes, membrane, states, start, end, final, repaired, T, N, chunk, chunks,
    PER_NEURON: tl.constexpr, CHANNELS: tl.constexpr, MEMORY: tl.constexpr, HARD0: tl.constexpr, HARD1: tl.constexpr,
    STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The prefix rule, left to right: a chunk that did not start where its proved neighbour ended runs again."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    q = load_table(table, n, inside, N, PER_NEURON)
    a0, a1, b0, b1 = load_state(end, n, inside, N, MEMORY, BLOCK, STATE)
    count = 0 * chunks
    for j in range(1, chunks):
        here = spread(j, n).to(tl.int64) * MEMORY * N
        c0, c1, d0, d1 = load_state(start + here, n, inside, N, MEMORY, BLOCK, STATE)
        broken = differs(a0, c0, inside) | differs(a1, c1, inside) | differs(b0, d0, inside) | differs(b1, d1, inside)
        if broken:
            t0 = j * chunk
            t1 = tl.minimum(t0 + chunk, T)
            a0, a1, b0, b1 = run_chunk2(
                x, spikes, membrane, states, start, a0, a1, b0, b1, t0, t0, t1, n, inside, N, q, j,
                CHANNELS, MEMORY, HARD0, HARD1, STATE, U,
            )  # fmt: skip
            save_state(end + here, a0, a1, b0, b1, n, inside, N, MEMORY)
            save_state(final, a0, a1, b0, b1, n, inside & (spread(t1, n) == T), N, MEMORY)
            count += 1
        else:
            a0, a1, b0, b1 = load_state(end + here, n, inside, N, MEMORY, BLOCK, STATE)
    tl.store(repaired + tl.program_id(0), count)


def launch(x, initial, table, out, plan, shape, state):
    """Fills ``out``: spikes [T, P, N], membrane [T, 2, N], states, start, end, final [MEMORY, N], repaired."""
    T, N = x.shape
    blocks, chunks = triton.cdiv(N, plan.block), triton.cdiv(T, plan.chunk)
    flags = {**shape, "STATE": state, "U": plan.ahead, "BLOCK": plan.block, **LAUNCH}
    trains = (out.spikes, out.membrane, out.states, out.start, out.end, out.final)
    _replay2[(blocks, chunks)](x, initial, table, *trains, T, N, plan.chunk, plan.warmup, **flags)
    if chunks > 1:
        _walk2[(blocks,)](x, table, *trains, out.repaired, T, N, plan.chunk, chunks, **flags)
