"""Warm-up and chunk of the forward replay in one loop whose rows wait in shared memory.

`lif_forward.run_chunk` has 16 rows on their way and copies them between registers before it asks for the next, so it waits for
all of them. Here the compiler makes a ring of asynchronous copies, and a row is used as soon as it is there. Same bits.
"""

import triton
import triton.language as tl

from fptlib.kernels.step import advance, load_rows, spread, store_rows


@triton.jit
def run_rows(v, rows, decay, threshold, v_reset, left, U: tl.constexpr, TAIL: tl.constexpr, RESET: tl.constexpr):
    """U steps in registers. In a TAIL the state stops where the rows do."""
    membranes, spikes = (), ()
    for i in tl.static_range(U):
        u, fired, after = advance(v, rows[i], decay, threshold, v_reset, RESET)
        v = tl.where(i < left, after, v) if TAIL else after
        membranes = membranes + (u,)
        spikes = spikes + (fired,)
    return v, membranes, spikes


@triton.jit
def turn(
    x, spikes, membrane, states, seams, v, t, t0, left, n, inside, N, decay, threshold, v_reset,
    RESET: tl.constexpr, STATE: tl.constexpr, U: tl.constexpr, R: tl.constexpr, TAIL: tl.constexpr,
):  # fmt: skip
    """R rows from step t on (``left`` of them in a TAIL), pointers at the first; before ``t0`` nothing is stored. The state after them."""
    kept = inside & (spread(t - t0, n) >= 0)
    if seams is not None:
        tl.store(seams, v, mask=inside & (spread(t - t0, n) == 0))
    if states is not None:
        row = spread(t // U - 1, n).to(tl.int64) * N + n
        tl.store(states + row, v, mask=kept & (spread(t, n) > 0) & (spread(t % U, n) == 0))
    rows = load_rows(x, N, inside, left, R, TAIL, STATE)
    v, us, ss = run_rows(v, rows, decay, threshold, v_reset, left, R, TAIL, RESET)
    store_rows(spikes, ss, N, kept, left, R, TAIL)
    if membrane is not None:
        store_rows(membrane, us, N, kept, left, R, TAIL)
    return v


@triton.jit
def run_ring(
    x, spikes, membrane, states, seams, v, first, t0, t1, n, inside, N, decay, threshold, v_reset,
    RESET: tl.constexpr, STATE: tl.constexpr, U: tl.constexpr, STAGES: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    """Warm-up and chunk in one loop whose loads the compiler turns into a ring of asynchronous copies to shared memory.

    R rows an iteration, STAGES - 1 iterations ahead, R a divisor of U. What is stored is masked off before ``t0``; the
    start of the chunk goes to ``seams``. Returns the state after ``t1``.
    """
    full = t1 - (t1 - first) % R
    offset = first.to(tl.int64) * N + n
    x += offset
    spikes += offset
    if membrane is not None:
        membrane += offset
    for t in tl.range(first, full, R, num_stages=STAGES):
        v = turn(
            x, spikes, membrane, states, seams, v, t, t0, R, n, inside, N, decay, threshold, v_reset,
            RESET, STATE, U, R, False,
        )  # fmt: skip
        x += R * N
        spikes += R * N
        if membrane is not None:
            membrane += R * N
    if full < t1:
        v = turn(
            x, spikes, membrane, states, seams, v, full, t0, spread(t1 - full, n), n, inside, N, decay, threshold, v_reset,
            RESET, STATE, U, R, True,
        )  # fmt: skip
    return v
