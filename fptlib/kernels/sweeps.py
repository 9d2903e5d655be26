"""K sweeps of the fixed-point iteration in one pass over time: one read of the input, one write of the spikes.

Sweep k at step t needs only what sweep k - 1 did before t, so all sweeps march together, each with its own membrane:

    u_k[t] = decay v_k[t-1] + x[t],   v_k[t] = u_k[t] - threshold s_k[t],   s_{k+1}[t] = f_{k+1}(u_k[t]),   s_0 = 0.

One chunk (``warmup`` None) is the recurrence in the order of the sequential loop: monotone in floating point too, so that for a
hard threshold the trains of two consecutive sweeps bracket the loop's train bit for bit. With time-chunks every sweep starts
``warmup`` steps early from zero, and its membranes are right up to decay^warmup: fast, without that promise.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
import triton
import triton.language as tl

from fptlib.checks import may_look
from fptlib.kernels.cost import AHEAD, BLOCK, plan_chunks
from fptlib.kernels.entry import _parameter, available
from fptlib.kernels.ops import RESETS, _triton, number, scratch, state_dtype
from fptlib.kernels.step import HARD, LAUNCH, RUNTIME_SIZES, SOFT, load_rows, parameter, spread


@triton.jit
def sweep_step(vs, x, decay, threshold, slopes, K: tl.constexpr, RESET: tl.constexpr, ANNEALED: tl.constexpr):
    """All K sweeps, one time step; returns the membranes after reset, s_0 .. s_K and the last membrane before reset."""
    spikes = (tl.zeros_like(x),)
    after = ()
    for k in tl.static_range(K):
        u = decay * vs[k] + x
        if RESET == SOFT:
            after = after + (u - threshold * spikes[k],)
        elif RESET == HARD:
            # The additive form of a reset to zero: sweep k loses what sweep k - 1 had where it fired.
            if k == 0:
                after = after + (u,)
            else:
                after = after + (u - spikes[k] * before,)  # noqa: F821
        else:
            after = after + (u,)
        before = u  # noqa: F841
        if ANNEALED:
            spikes = spikes + (1.0 / (1.0 + tl.exp(-slopes[k] * (u - threshold))),)
        else:
            spikes = spikes + (tl.where(u >= threshold, 1.0, 0.0).to(x.dtype),)
    return after, spikes, before  # noqa: F821


@triton.jit(do_not_specialize=RUNTIME_SIZES)
def _sweeps(
    x, v0, decay, threshold, slopes, spikes, previous, membrane, residuals, T, N, chunk, warmup,
    DECAY: tl.constexpr, THRESHOLD: tl.constexpr, K: tl.constexpr, RESET: tl.constexpr, ANNEALED: tl.constexpr,
    STATE: tl.constexpr, U: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    j = tl.program_id(1)
    t0 = j * chunk
    t1 = tl.minimum(t0 + chunk, T)
    first = tl.maximum(t0 - warmup, 0)
    decay = parameter(decay, n, inside, DECAY)
    threshold = parameter(threshold, n, inside, THRESHOLD)
    steep = ()
    if ANNEALED:
        for k in tl.static_range(K):
            steep = steep + (tl.load(slopes + k),)
    start = tl.zeros((BLOCK,), STATE)
    if v0 is not None:
        start += tl.load(v0 + n, mask=inside & (spread(first, n) == 0), other=0.0)
    vs, changed = (), ()
    for _k in tl.static_range(K):
        vs = vs + (start,)
        changed = changed + (tl.zeros((BLOCK,), tl.int32),)
    for t in range(first, t1, U):
        left = spread(t1 - t, n)
        at = spread(t, n).to(tl.int64) * N + n
        rows = load_rows(x + at, N, inside, left, U, True, STATE)
        for i in tl.static_range(U):
            vs, ss, u = sweep_step(vs, rows[i], decay, threshold, steep, K, RESET, ANNEALED)
            put = inside & (i < left) & (spread(t, n) >= t0)
            tl.store(spikes + at + i * N, ss[K].to(spikes.dtype.element_ty), mask=put)
            if previous is not None:
                tl.store(previous + at + i * N, ss[K - 1].to(previous.dtype.element_ty), mask=put)
            if membrane is not None:
                tl.store(membrane + at + i * N, u, mask=put)
            grown = ()
            for k in tl.static_range(K):
                grown = grown + (changed[k] + (((ss[k + 1] > 0.5) != (ss[k] > 0.5)) & put).to(tl.int32),)
            changed = grown
    for k in tl.static_range(K):
        tl.store(
            residuals + (k * tl.num_programs(1) + j) * tl.num_programs(0) + tl.program_id(0), tl.sum(changed[k], 0)
        )


@dataclass(frozen=True)
class Sweeps:
    """What K sweeps left: ``spikes`` s_K, ``previous`` s_{K-1}, ``membrane`` u of sweep K, and what changed in each sweep.

    Shape: spikes, previous and membrane (the last two may be None) [T, ...]; ``counts`` [K, ...] is a device tensor of partial counts; ``residuals`` sums it and waits for the device.

    Book: alg-fpt
    """

    spikes: torch.Tensor
    previous: torch.Tensor | None
    membrane: torch.Tensor | None
    counts: torch.Tensor
    sequential_arithmetic: bool

    @property
    def residuals(self):
        """Spikes changed by each sweep, K integers. Book: alg-fpt"""
        return tuple(self.counts.flatten(1).sum(1).tolist())


def fixed_point_sweeps(
    x,
    decay=0.5,
    threshold=1.0,
    sweeps=3,
    slopes=None,
    reset="soft",
    v0=None,
    *,
    previous=False,
    membrane=False,
    chunk=None,
    warmup=None,
):
    """FPT: ``sweeps`` evaluations of the spike function, the first without any reset, in one pass over memory.

    U^0 = B,  S^(k) = f_k(U^(k-1)),  U^k = B - threshold A S^(k).

    Args:
        x: input [T, ...]; decay, threshold, v0: as for `lif_replay`.
        sweeps: K >= 1; ``slopes``: None for the hard threshold, or K steepnesses of a sigmoid.
        reset: "soft", "hard" (additive form, reset to 0) or "none".
        previous: also keep s_{K-1}, the other side of the bracket; ``membrane``: also u before the last reset.
        chunk, warmup: None runs one chunk in the loop's own arithmetic; numbers run time-chunks in parallel, whose
            membranes are right up to decay^warmup.

    Returns:
        A `Sweeps`; no gradient flows through it.

    Raises:
        ValueError: when `available` has a reason, slopes do not match sweeps, or a hard reset comes with slopes.

    Example:
        >>> fixed_point_sweeps(x, decay=0.5, sweeps=3).residuals  # doctest: +SKIP

    Book: alg-fpt
    """
    reason = available(x)
    if not reason and (sweeps < 1 or (slopes is not None and len(slopes) != sweeps)):
        reason = f"sweeps = {sweeps} with slopes {slopes}; as many slopes as sweeps are wanted, at least one."
    if not reason and slopes is not None and reset == "hard":
        reason = "slopes came with a hard reset; anneal the soft reset, or use the hard threshold."
    if reason:
        raise ValueError(f"fixed_point_sweeps: {reason}")
    state, step = state_dtype(x), x.shape[1:]
    flat = x.detach().reshape(x.shape[0], -1).contiguous()
    (d, decay_value), (th, threshold_value) = (
        _parameter(name, p, state, step, x.device) for name, p in (("decay", decay), ("threshold", threshold))
    )
    start = None if v0 is None else v0.detach().to(state).expand(step).reshape(-1).contiguous()
    numbers = (decay_value, threshold_value, sweeps, None if slopes is None else [float(a) for a in slopes])
    options = (RESETS[reset], previous, membrane, chunk or 0, -1 if warmup is None else warmup)
    if torch.compiler.is_compiling():
        d, th = (None if p is None else p.detach().reshape(-1) for p in (d, th))
        out, other, last, counts = torch.ops.fptlib.fixed_point_sweeps(flat, start, d, th, *numbers, *options)
        other, last = other if previous else None, last if membrane else None
    else:
        out, other, last, counts = _run(flat, start, d, th, *numbers, *options)
    shaped = lambda t: None if t is None else t.view(x.shape)
    return Sweeps(out.view(x.shape), shaped(other), shaped(last), counts, warmup is None)


def _run(x, start, decay, threshold, decay_value, threshold_value, sweeps, slopes, reset, previous, membrane, chunk,
         warmup):  # fmt: skip
    """x [T, N] -> s_K and s_{K-1} [T, N], u [T, N] and partial counts [K, chunks, blocks]; None where not asked for."""
    (T, N), state = x.shape, state_dtype(x)
    d, kd = number(decay, decay_value, state, x.device)
    th, kt = number(threshold, threshold_value, state, x.device)
    size, warm = (AHEAD * -(-T // AHEAD), 0) if warmup < 0 else _chunk(T, N, chunk, warmup, x.element_size())
    grid = (-(-N // BLOCK), -(-T // size))
    out = scratch((T, N), x.dtype, x.device)
    other = scratch((T, N), x.dtype, x.device) if previous else None
    last = scratch((T, N), state, x.device) if membrane else None
    counts = torch.empty((sweeps, grid[1], grid[0]), dtype=torch.int32, device=x.device)
    steep = None if slopes is None else _slopes(tuple(slopes), state, x.device)
    _sweeps[grid](
        x, start, d, th, steep, out, other, last, counts, T, N, size, warm, DECAY=kd, THRESHOLD=kt, K=sweeps,
        RESET=reset, ANNEALED=slopes is not None, STATE=_triton(state), U=AHEAD,
        BLOCK=BLOCK, **LAUNCH,
    )  # fmt: skip
    return out, other, last, counts


@torch.library.custom_op("fptlib::fixed_point_sweeps", mutates_args=())
def sweeps_op(
    x: torch.Tensor,
    v0: torch.Tensor | None,
    decay: torch.Tensor | None,
    threshold: torch.Tensor | None,
    decay_value: float,
    threshold_value: float,
    sweeps: int,
    slopes: list[float] | None,
    reset: int,
    previous: bool,
    membrane: bool,
    chunk: int,
    warmup: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """`_run` with empty tensors for None and counts [K, 1]: their number of parts hangs on the plan, which a graph leaves open."""
    out, other, last, counts = _run(x, v0, decay, threshold, decay_value, threshold_value, sweeps, slopes, reset,
                                    previous, membrane, chunk, warmup)  # fmt: skip
    empty = lambda dtype: x.new_empty(0, dtype=dtype)
    other = empty(x.dtype) if other is None else other
    last = empty(state_dtype(x)) if last is None else last
    return out, other, last, counts.sum((1, 2))[:, None]


@sweeps_op.register_fake
def _(x, v0, decay, threshold, decay_value, threshold_value, sweeps, slopes, reset, previous, membrane, chunk, warmup):
    train = lambda wanted, dtype: x.new_empty(x.shape if wanted else (0,), dtype=dtype)
    counts = x.new_empty((sweeps, 1), dtype=torch.int64)
    return train(True, x.dtype), train(previous, x.dtype), train(membrane, state_dtype(x)), counts


def _chunk(T, N, chunk, warmup, itemsize):
    plan = plan_chunks(T, N, None, "soft", itemsize, chunk or 0, warmup)
    return plan.chunk, plan.warmup


def _slopes(slopes, state, device):
    if may_look():
        return _constant_slopes(slopes, state, device)
    return torch.cat([torch.full((1,), a, dtype=state, device=device) for a in slopes])  # a graph is being captured


@lru_cache(maxsize=64)
def _constant_slopes(slopes, state, device):
    return torch.tensor(slopes, dtype=state, device=device)
