"""The measurements behind `fptlib.kernels.cost`: every chunk length, forward and backward, per (T, N, decay).

One command: ``python -m experiments.tune_kernels --out experiments/results/tuning.json`` on a CUDA device.
"""

import argparse
import time
from contextlib import contextmanager
from pathlib import Path

import torch

from experiments.elsewhere import L2_BYTES, as_file
from experiments.gpu_clock import copy_gb_s, graph_ms, header
from fptlib.kernels import calls, cost, ops  # noqa: F401  (ops registers the operators)

GRID = [
    (1024, 1024),
    (8192, 64),
    (4096, 1024),
    (1024, 16384),
    (65536, 64),
    (2**20, 64),
    (65536, 1024),
    (4096, 16384),
    (1000, 32768),
    (128, 2**18),
    (16, 2**22),
]
DECAYS = (0.5, 0.9, 0.98)


def drive(T, N, decay, generator):
    """Normal input under which a membrane of this decay fires at a few to fifteen percent of the steps."""
    x = torch.randn(T, N, device="cuda", generator=generator)
    return x.mul_(0.9 * (1 - decay**2) ** 0.5).add_(0.8 * (1 - decay))


def sets_for(T, N, bytes_per_step=8, most=16):
    """How many input sets keep the cache out of the measurement."""
    return max(1, min(most, int(L2_BYTES / (T * N * bytes_per_step)) + 1))


@contextmanager
def loads(ring):
    """Every forward pass loads its rows as ``ring`` says; None: as the model chooses."""
    chosen = cost.plan_forward
    if ring is not None:
        cost.plan_forward = lambda *sizes: cost.plan_chunks(*sizes, ring=ring)
    calls.prepare.cache_clear()
    try:
        yield cost.plan_forward
    finally:
        cost.plan_forward = chosen
        calls.prepare.cache_clear()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="experiments/results/tuning.json")
    parser.add_argument("--seconds", type=float, default=200)
    args = parser.parse_args()
    begin, records = time.time(), []
    result = {"header": header(f"python -m experiments.tune_kernels --out {args.out}"), "records": records}
    result["header"]["copy_gb_s"] = round(copy_gb_s(), 1)
    print(result["header"], flush=True)
    for T, N in GRID:
        for decay in DECAYS:
            if time.time() - begin < args.seconds:
                records += measure(T, N, decay)
        Path(args.out).write_text(as_file(result))


def measure(T, N, decay):
    """Device time of forward and backward for each chunk length, the model's own choice among them (chunk 0)."""
    generator = torch.Generator(device="cuda").manual_seed(0)
    sets = sets_for(T, N)
    xs = [drive(T, N, decay, generator) for _ in range(sets)]
    gs = [torch.randn(T, N, device="cuda", generator=generator) for _ in range(sets)]
    found = []
    chunks = [c for c in (64, 128, 256, 512, 1024, 2048, 4096) if c < T] + ([T] if T <= 16384 else [])
    forward = lambda x, save, chunk: torch.ops.fptlib.lif_forward(
        x, None, None, None, decay, 1.0, 0.0, 4.0, 0, 0, False, save, False, torch.float32, chunk, -1
    )
    kept = [forward(x, True, 0)[3] for x in xs]
    backward = lambda i, chunk: torch.ops.fptlib.lif_backward(
        xs[i],
        None,
        kept[i],
        None,
        None,
        gs[i],
        None,
        None,
        decay,
        1.0,
        0.0,
        4.0,
        0,
        0,
        False,
        [True, False, False, False],
        chunk,
    )
    for ring, chunk in [(None, 0), *((ring, c) for c in chunks for ring in (cost.NO_RING, cost.RING))]:
        with loads(ring) as plan_of:
            plan, back = plan_of(T, N, decay, "soft", 4, chunk), cost.plan_backward(T, N, decay, 4, chunk)
            out = forward(xs[0], False, chunk)
            row = {"T": T, "N": N, "decay": decay, "asked": chunk, "ring": plan.ring, "chunk": plan.chunk}
            row |= {"warmup": plan.warmup, "repaired": int(out[4].sum())}
            row["fwd_ms"] = round(graph_ms([lambda x=x: forward(x, False, chunk) for x in xs], 0.03), 5)
            row["save_ms"] = round(graph_ms([lambda x=x: forward(x, True, chunk) for x in xs], 0.03), 5)
        if ring != cost.RING:  # the backward pass has no ring
            row |= {"back_chunk": back.chunk, "back_warmup": back.warmup, "two_passes": back.two_passes}
            row["bwd_ms"] = round(graph_ms([lambda i=i: backward(i, chunk) for i in range(sets)], 0.03), 5)
        print(row, flush=True)
        found.append(row)
    return found


if __name__ == "__main__":
    main()
