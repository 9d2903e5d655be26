"""The cost model: which kernel, chunk and warm-up for given sizes and decay, and why, in one sentence.

A program of 64 neurons needs `GROUP_US` for 16 time steps: loads ahead of use, then a chain of dependent operations.
`RESIDENT` programs run at once, and what they move adds to the time. So, in microseconds,

    time = max(1, programs / RESIDENT) * groups * GROUP_US + bytes / BYTES_PER_US + launches * LAUNCH_US

with groups = (warmup + chunk) / 16 per program. The constants were fitted to a run of `experiments/tune_kernels.py` on an NVIDIA
H200; in a later one, `experiments/results/tuning.json`, the backward pass as chosen is within 7 percent of the fastest measured, and
the forward pass within 10. On another GPU the choice may be off; the result has the same bits. BYTES_PER_US is larger than the
memory's rate because part of the traffic hides behind the chain.

The LIF's forward pass can read its rows through a ring in shared memory (`lif_ahead`): 40 rows on their way in place of 16, and
no pause between groups. That helps where few programs run or warm-ups are long, and costs up to 4 percent where many programs keep
the memory busy anyway; `_rings` draws the line. There, chain and traffic run side by side and the slower one decides:

    time = (chain^3 + traffic^3)^(1/3) + launch + MENDS * one chunk, run again

with the constants of `RING_*` (`RING_LAUNCH_US` by the number of launches).

The warm-up comes from a measurement on random input: two membranes with different pasts still differ after
(16 + 4.8 d) / (1 - decay) steps with probability about 10^-d (soft reset; half of that for hard reset).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

AHEAD = 16  # time steps whose loads are issued together; the state is kept once per AHEAD steps
BLOCK = 64  # neurons per program, one warp
RESIDENT = 1056  # 8 programs on each of 132 multiprocessors
GROUP_US = {"fwd": 0.5, "bwd": 1.67}
BYTES_PER_US = {"fwd": 5.1e6, "bwd": 8.0e6}
REREAD = {"fwd": 0.3, "bwd": 0.5}  # share of a warm-up's reads that is not hidden
LAUNCH_US = {"fwd": 1.0, "bwd": 1.2}
CHUNKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
UNKNOWN_DECAY = 0.9  # planned for when the decay is a tensor, whose values the host must not wait for
TRUNCATION = 2.0**-24  # largest share of a carried gradient that a truncated backward may lose: half a float32 rounding
RING, NO_RING = (6, 8), (0, 8)  # stages of the ring and rows of each
RING_FROM = 64  # steps from which the ring was measured
MENDS = 0.1  # calls in which a seam breaks, by the choice of the warm-up; it costs up to one chunk, run again without the ring
RING_GROUP_US, RING_BYTES_PER_US, RING_REREAD, RING_LAUNCH_US = 0.367, 3.59e6, 0.545, {1: 2.1, 3: 3.4}
MEND_FROM = 32  # chunks from which a round of simultaneous repairs pays


@dataclass(frozen=True)
class Plan:
    """What will be launched. ``warmup`` 0 with one chunk is the plain prefetching loop over time."""

    kernel: str
    chunk: int
    warmup: int
    reason: str
    two_passes: bool = False
    mend: bool = False
    ahead: int = AHEAD
    block: int = BLOCK
    seams: int = 16
    ring: tuple = NO_RING


def group(T):
    """Time steps whose loads are issued together: `AHEAD`, fewer where there are no more; three binaries serve every T."""
    return 4 if T <= 4 else 8 if T <= 8 else AHEAD


def block(T):
    """Neurons of a program: fewer steps ahead, more neurons, and as many loads on their way."""
    return BLOCK * AHEAD // group(T)


def warmup_for(decay, reset, at_risk):
    """Steps after which less than a tenth of ``at_risk`` (chunk, neuron) pairs is expected to differ from the true state."""
    digits = math.log10(10 * max(at_risk, 1))
    scale = (0.8 + 0.5 * min(max(decay - 0.5, 0.0), 0.4)) * (0.5 if reset == "hard" else 1.0)
    return _whole_groups(scale * (16 + 4.8 * digits) / max(1 - decay, 1e-6))


def gate_bound(decay, threshold, reset, v_reset, surrogate, slope, detach):
    """Largest |d v[t] / d v[t-1]| any input can produce, or None when a tensor hides it from the host.

    With h the surrogate's derivative, H its maximum and Z the maximum of |z| h(z): soft reset decay max(1, threshold H - 1);
    hard reset decay (1 + (threshold - v_reset) H + Z); a detached or absent reset leaves decay.
    """
    if decay is None:
        return None
    if reset == "none" or detach:
        return decay
    if threshold is None:
        return None
    peak, spread = {
        "sigmoid": (slope / 4, 0.2240),
        "atan": (slope / 2, 1 / (2 * math.pi)),
        "triangle": (1 / slope, 0.25),
    }[surrogate]
    if reset == "soft":
        return decay * max(1.0, threshold * peak - 1)
    # Below threshold the gate is 1 - (u - r) h, above it -(u - r) h, and (u - r) h lies in [-spread, |threshold - r| peak + spread].
    return decay * max(1 + spread, abs(threshold - v_reset) * peak + spread)


@lru_cache(maxsize=4096)
def plan_forward(T, N, decay, reset, itemsize=4, chunk=0, warmup=-1):
    """The LIF's forward plan; ``chunk`` > 0 or ``warmup`` >= 0 override the model. ``decay`` None: not known to the host."""
    plan = plan_chunks(T, N, decay, reset, itemsize, chunk, warmup)
    return plan_chunks(T, N, decay, reset, itemsize, chunk, warmup, RING) if _rings(T, N, itemsize, plan) else plan


def _rings(T, N, itemsize, plan):
    """Whether the ring pays: programs too few to hide their pauses, or a warm-up longer than a third of the chunk."""
    programs = -(-N // BLOCK) * -(-T // plan.chunk)
    return T >= RING_FROM and itemsize == 4 and (programs < 1000 or 3 * plan.warmup > plan.chunk)


@lru_cache(maxsize=4096)
def plan_chunks(T, N, decay, reset, itemsize=4, chunk=0, warmup=-1, ring=NO_RING):
    """The plan of a forward pass in chunks, its rows loaded as ``ring`` says."""
    known = UNKNOWN_DECAY if decay is None else decay
    steps = _whole_groups(T)
    best = None
    for size in (chunk and _whole_groups(chunk),) if chunk else (*(c for c in CHUNKS if c < steps), steps):
        count = -(-T // size)
        need = 0 if count == 1 else _whole_groups(warmup) if warmup >= 0 else warmup_for(known, reset, N * count)
        sizes = (T, N, size, min(need, T), 2 * itemsize, itemsize, 1 if count == 1 else 3)
        time = _time("fwd", *sizes) if ring == NO_RING else _ring_time(*sizes)
        if best is None or time < best[0]:
            best = (time, size, need, count)
    return _describe(best, T, N, decay, forced=bool(chunk), ring=ring)


@lru_cache(maxsize=4096)
def plan_backward(T, N, bound, itemsize=4, chunk=0):
    """The backward plan. ``bound``: see `gate_bound`; None or >= 1 rules truncation out, and leaves one or two passes."""
    steps = _whole_groups(T)
    cut = (
        None
        if bound is None or bound >= 1
        else _whole_groups(math.log(TRUNCATION) / math.log(bound))
        if bound > 0
        else AHEAD
    )
    best = None
    for size in (_whole_groups(chunk),) if chunk else (*(c for c in CHUNKS if c < steps), steps):
        count = -(-T // size)
        options = [(0, False)] if count == 1 else [(0, True)] + ([] if cut is None else [(cut, False)])
        for need, twice in options:
            time = _time("bwd", T, N, size, min(need, T), 3 * itemsize, 2 * itemsize, 3 if twice else 1)
            if twice:
                time += _time("bwd", T, N, size, 0, 2 * itemsize, 0, 0) + count / 16 * GROUP_US["bwd"]
            if best is None or time < best[0]:
                best = (time, size, need, count, twice)
    time, size, need, count, twice = best
    if count == 1:
        return Plan(
            "sequential",
            size,
            0,
            f"backward in one pass over time, predicted {time:.0f} us.",
            ahead=group(T),
            block=block(T),
        )
    how = (
        "two passes with exact carries"
        if twice
        else f"warm-up {need} steps, gates at most {bound:.3g}, error below 2^-24"
    )
    return Plan(
        "chunks", size, need, f"backward in {count} chunks of {size}: {how}; predicted {time:.0f} us.", two_passes=twice
    )


@lru_cache(maxsize=4096)
def plan_scan(T, N, itemsize=4, chunk=0):
    """A linear scan with exact carries: one pass, or chunks read twice with their carries worked out in between.

    Its step is a few operations longer than that of the fitted kernels; the constants are theirs.
    """
    steps, best = _whole_groups(T), None
    for size in (_whole_groups(chunk),) if chunk else (*(c for c in CHUNKS if c < steps), steps):
        count = -(-T // size)
        time = _time("fwd", T, N, size, 0, 2 * itemsize, 0, 1 if count == 1 else 3)
        if count > 1:
            time += _time("fwd", T, N, size, 0, itemsize, 0, 0) + count / AHEAD * GROUP_US["fwd"]
        if best is None or time < best[0]:
            best = (time, size, count)
    time, size, count = best
    how = f"{count} chunks of {size} steps with exact carries" if count > 1 else "one prefetching pass over time"
    why = "as asked" if chunk else f"predicted {time:.0f} us"
    kind = "scan" if count > 1 else "sequential"
    return Plan(kind, size, 0, f"T={T}, N={N}: {how} ({why}).", count > 1, ahead=group(T), block=block(T))


def _time(which, T, N, size, warmup, moved, again, launches):
    programs = -(-N // BLOCK) * -(-T // size)
    chain = max(1.0, programs / RESIDENT) * (warmup + min(size, _whole_groups(T))) / AHEAD * GROUP_US[which]
    traffic = N * T * (moved + REREAD[which] * again * warmup / size) / BYTES_PER_US[which]
    return chain + traffic + launches * LAUNCH_US[which]


def _ring_time(T, N, size, warmup, moved, again, launches):
    chain = (warmup + min(size, _whole_groups(T))) / AHEAD * RING_GROUP_US
    traffic = N * T * (moved + RING_REREAD * again * warmup / size) / RING_BYTES_PER_US
    mending = MENDS * size / AHEAD * GROUP_US["fwd"] if warmup else 0.0
    return (chain**3 + traffic**3) ** (1 / 3) + RING_LAUNCH_US[launches] + mending


def _describe(best, T, N, decay, forced, ring):
    time, size, need, count = best
    shown = "a tensor" if decay is None else f"{decay:g}"
    why = "as asked" if forced else f"predicted {time:.0f} us"
    if count == 1:
        text = f"T={T}, N={N}, decay {shown}: one prefetching pass over time ({why})."
        return Plan("sequential", size, 0, text, ahead=group(T), block=block(T), ring=ring)
    text = f"T={T}, N={N}, decay {shown}: {count} chunks of {size} steps, warm-up {need} ({why})."
    return Plan("replay", size, need, text, mend=count > MEND_FROM, ring=ring)


def _whole_groups(steps):
    return AHEAD * max(1, math.ceil(steps / AHEAD))
