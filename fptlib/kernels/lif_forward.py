"""Replay forward: time-chunks of a leaky integrate-and-fire layer in parallel, bit for bit the sequential result.

Program (neuron block b, chunk j) starts ``warmup`` steps before its chunk from state 0 (or from the true initial state, when
that is as near), runs silently up to the chunk, notes the state it starts with, runs the chunk and notes the state it ends with.
Chunk j is proved when its start equals the end of chunk j - 1 and chunk j - 1 is proved: the prefix rule. What is not proved
is run again from the true state, on the device: by `_mend` (all broken seams at once) and `_walk` (left to right, until proved).
"""

import triton
import triton.language as tl

from fptlib.kernels.launcher import Launcher, aligned
from fptlib.kernels.lif_ahead import run_ring, run_rows
from fptlib.kernels.step import RUNTIME_SIZES, load_rows, parameter, spread, store_rows


@triton.jit
def run_chunk(
    x, spikes, membrane, states, v, rows, t0, t1, n, inside, N, decay, threshold, v_reset,
    U: tl.constexpr, RESET: tl.constexpr, STATE: tl.constexpr, COMPARE: tl.constexpr,
):  # fmt: skip
    """Steps t0 .. t1 - 1 with everything stored; returns the state after them and whether it met the stored one.

    ``rows`` are the first U inputs; while a group is computed the inputs of the next one are on their way. Every U steps the
    state is kept for the backward pass (row t / U - 1; the first is the initial state and needs no row). With COMPARE the
    run stops once all neurons of the block have the state that an earlier run stored: the rest is right.
    """
    full = t1 - (t1 - t0) % U
    x += t0.to(tl.int64) * N + n
    spikes += t0.to(tl.int64) * N + n
    if membrane is not None:
        membrane += t0.to(tl.int64) * N + n
    if states is not None:
        states += (t0 // U - 1).to(tl.int64) * N + n
    met = t0 < 0
    for t in range(t0, full, U):
        run = True
        if COMPARE:
            old = tl.load(states, mask=inside & (spread(t - t0, n) > 0), other=0.0)
            met = met | ((t > t0) & (tl.max(((old != v) & inside).to(tl.int32), 0) == 0))
            run = not met
        if run:
            x += U * N
            later = load_rows(x, N, inside, spread(t1 - t - U, n), U, True, STATE)
            if states is not None:
                tl.store(states, v, mask=inside & (spread(t, n) > 0))
            v, us, ss = run_rows(v, rows, decay, threshold, v_reset, U, U, False, RESET)
            store_rows(spikes, ss, N, inside, U, U, False)
            if membrane is not None:
                store_rows(membrane, us, N, inside, U, U, False)
            rows = later
        spikes += U * N
        if membrane is not None:
            membrane += U * N
        if states is not None:
            states += N
    if (full < t1) & (not met):
        left = spread(t1 - full, n)
        if states is not None:
            tl.store(states, v, mask=inside & (spread(full, n) > 0))
        v, us, ss = run_rows(v, rows, decay, threshold, v_reset, left, U, True, RESET)
        store_rows(spikes, ss, N, inside, left, U, True)
        if membrane is not None:
            store_rows(membrane, us, N, inside, left, U, True)
    return v, met


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _replay(
    x, v0, decay, threshold, v_reset, spikes, membrane, states, seams, final, repaired,
    T, N, chunk, warmup, DECAY: tl.constexpr, THRESHOLD: tl.constexpr, V_RESET: tl.constexpr,
    RESET: tl.constexpr, STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr,
    STAGES: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    j = tl.program_id(1)
    t0 = j * chunk
    t1 = tl.minimum(t0 + chunk, T)
    first = tl.maximum(t0 - warmup, 0)
    decay = parameter(decay, n, inside, DECAY)
    threshold = parameter(threshold, n, inside, THRESHOLD)
    v_reset = parameter(v_reset, n, inside, V_RESET)
    v = tl.zeros((BLOCK,), STATE)
    if v0 is not None:
        v += tl.load(v0 + n, mask=inside & (spread(first, n) == 0), other=0.0)
    if seams is not None:
        tl.store(repaired + tl.program_id(0), 0, mask=j == 0)
    if STAGES > 0:
        v = run_ring(
            x, spikes, membrane, states, None if seams is None else seams + j * N + n, v, first, t0, t1, n, inside, N,
            decay, threshold, v_reset, RESET, STATE, U, STAGES, R,
        )  # fmt: skip
    else:
        p = x + first.to(tl.int64) * N + n
        rows = load_rows(p, N, inside, spread(t1 - first, n), U, True, STATE)
        if seams is not None:
            for t in range(first, t0, U):
                p += U * N
                later = load_rows(p, N, inside, spread(t1 - t - U, n), U, True, STATE)
                v, us, ss = run_rows(v, rows, decay, threshold, v_reset, U, U, False, RESET)
                rows = later
            tl.store(seams + j * N + n, v, mask=inside)
        v, _ = run_chunk(
            x, spikes, membrane, states, v, rows, t0, t1, n, inside, N, decay, threshold, v_reset, U, RESET, STATE, False,
        )  # fmt: skip
    if seams is not None:
        tl.store(ends_of(seams, N, tl.num_programs(1)) + j * N + n, v, mask=inside)
    tl.store(final + n, v, mask=inside & (spread(t1, n) == T))


@triton.jit
def ends_of(seams, N, chunks):
    """``seams`` [2, chunks, N]: the states in which the chunks start, then those in which they end."""
    return seams + chunks * N


@triton.jit
def repair(
    x, decay, threshold, v_reset, spikes, membrane, states, start, end, final, j, n, inside,
    T, N, chunk, RESET: tl.constexpr, STATE: tl.constexpr, U: tl.constexpr,
):  # fmt: skip
    """Chunk j again from the end of chunk j - 1, which becomes its start."""
    v = tl.load(end + (j - 1) * N + n, mask=inside, other=0.0)
    tl.store(start + j * N + n, v, mask=inside)
    t0 = j * chunk
    t1 = tl.minimum(t0 + chunk, T)
    rows = load_rows(x + t0.to(tl.int64) * N + n, N, inside, spread(t1 - t0, n), U, True, STATE)
    v, met = run_chunk(
        x,
        spikes,
        membrane,
        states,
        v,
        rows,
        t0,
        t1,
        n,
        inside,
        N,
        decay,
        threshold,
        v_reset,
        U,
        RESET,
        STATE,
        states is not None,
    )
    if not met:
        tl.store(end + j * N + n, v, mask=inside)
        tl.store(final + n, v, mask=inside & (spread(t1, n) == T))


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _mend(
    x, decay, threshold, v_reset, spikes, membrane, states, seams, final, repaired,
    T, N, chunk, DECAY: tl.constexpr, THRESHOLD: tl.constexpr, V_RESET: tl.constexpr,
    RESET: tl.constexpr, STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One round: every broken seam at once. A neighbour may move meanwhile; `_walk` checks what was used against what is."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    j = tl.program_id(1) + 1
    start, end = seams, ends_of(seams, N, tl.num_programs(1) + 1)
    mine = tl.load(start + j * N + n, mask=inside, other=0.0)
    true = tl.load(end + (j - 1) * N + n, mask=inside, other=0.0)
    if tl.max(((mine != true) & inside).to(tl.int32), 0) > 0:
        tl.atomic_add(repaired + tl.program_id(0), 1)
        d = parameter(decay, n, inside, DECAY)
        th = parameter(threshold, n, inside, THRESHOLD)
        r = parameter(v_reset, n, inside, V_RESET)
        repair(x, d, th, r, spikes, membrane, states, start, end, final, j, n, inside,
               T, N, chunk, RESET, STATE, U)  # fmt: skip


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _walk(
    x, decay, threshold, v_reset, spikes, membrane, states, seams, final, repaired,
    T, N, chunk, chunks, DECAY: tl.constexpr, THRESHOLD: tl.constexpr, V_RESET: tl.constexpr,
    RESET: tl.constexpr, STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr, SEAMS: tl.constexpr,
    AFTER_MEND: tl.constexpr,
):  # fmt: skip
    """The prefix rule: find the first broken seam, repair its chunk, go on behind it. Nothing broken: a few reads.

    After `_mend` a block without a broken seam is proved already and leaves at once.
    """
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    start, end = seams, ends_of(seams, N, chunks)
    count = tl.load(repaired + tl.program_id(0))
    j = tl.where(count > 0, 1, chunks) if AFTER_MEND else 1 + 0 * chunks
    while j < chunks:
        seam = j + tl.arange(0, SEAMS)
        both = inside[None, :] & (seam < chunks)[:, None]
        mine = tl.load(start + seam[:, None] * N + n[None, :], mask=both, other=0.0)
        true = tl.load(end + (seam - 1)[:, None] * N + n[None, :], mask=both, other=0.0)
        broken = tl.min(tl.min(tl.where((mine != true) & both, seam[:, None], chunks), 1), 0)
        if broken < chunks:
            d = parameter(decay, n, inside, DECAY)
            th = parameter(threshold, n, inside, THRESHOLD)
            r = parameter(v_reset, n, inside, V_RESET)
            repair(x, d, th, r, spikes, membrane, states, start, end, final, broken, n, inside,
                   T, N, chunk, RESET, STATE, U)  # fmt: skip
            tl.debug_barrier()  # the new end is read by other lanes of this program
            count += 1
            j = broken + 1
        else:
            j += SEAMS
    tl.store(repaired + tl.program_id(0), count)


_start_replay, _start_mend, _start_walk = Launcher(_replay), Launcher(_mend), Launcher(_walk)


def launch(call, x, v0, numbers, out):
    """Fills ``out`` (spikes, membrane, states, seams, final, repaired): one to three launches, no host round trip.

    ``numbers`` are decay, threshold and v_reset; ``call`` is a `fptlib.kernels.calls.Prepared`.
    """
    plan, blocks, chunks = call.plan, call.blocks, call.chunks
    key = (call.name, v0 is None) if aligned(x, v0, *call.tensors(numbers)) else None
    _start_replay(key, (blocks, chunks, 1), (x, v0, *numbers, *out, *call.tail))
    if chunks == 1:
        return
    rest = (x, *numbers, *out, call.T, call.N, plan.chunk)
    if plan.mend:
        _start_mend(key, (blocks, chunks - 1, 1), (*rest, *call.constants))
    _start_walk(key, (blocks, 1, 1), (*rest, chunks, *call.constants, plan.seams, plan.mend))
