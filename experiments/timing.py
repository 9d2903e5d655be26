"""The timing benchmark: equality first, then time, for every implementation on one GPU.

One command: ``python -m experiments.timing --out experiments/results/timing.json``. Records: implementation, T, N, decay, reset,
dtype, mode, device time by graph replay (``kernel_ms``), time the user waits (``eager_ms``), spikes that differ from the
sequential loop, bytes kept for the backward pass, peak memory above the inputs, share of the measured copy bandwidth. What was not
measured is listed under ``skipped`` with the reason. Most important cells first; the JSON is rewritten after every cell.
"""

import argparse
import time
from pathlib import Path

import torch

from experiments.elsewhere import BYTES, L2_BYTES, SHOWN, as_file
from experiments.gpu_clock import copy_gb_s, eager_floor_ms, eager_ms, graph_ms, header
from experiments.timing_checks import checks
from experiments.timing_impls import IMPLEMENTATIONS, NO_CAPTURE, refusal, versions
from experiments.timing_network import network_records
from fptlib.kernels import lif_replay

STEPS = (4, 16, 128, 1024, 4096, 8192, 65536, 2**20)
NEURONS = (64, 1024, 16384, 262144, 2**22)
DECAYS = (0.5, 0.9, 0.98)
ROOF = ((2**20, 64), (65536, 1024), (4096, 16384), (1024, 2**18), (128, 2**22))
LIMIT = 2**30  # neuron-steps a cell: one tensor of 4 GB, forward and backward hold four or five


class Bench:
    def __init__(self, out, seconds, command):
        self.out, self.until = Path(out), time.time() + seconds
        self.records, self.skipped, self.networks, self.done = [], [], [], set()
        self.header = header(command)
        self.header["versions"] |= versions()
        self.header["copy_gb_s"] = round(copy_gb_s(), 1)
        self.header["eager_floor_ms"] = round(eager_floor_ms(), 4)
        self.checks = []
        print(self.header, flush=True)

    def save(self):
        parts = {
            "header": self.header,
            "checks": self.checks,
            "networks": self.networks,
            "records": self.records,
            "skipped": self.skipped,
        }
        self.out.write_text(as_file(parts))

    def skip(self, name, T, N, decay, mode, reason, **extra):
        self.skipped.append({"impl": name, "T": T, "N": N, "decay": decay, "mode": mode, "reason": reason, **extra})

    def cell(self, T, N, decay, names, reset="soft", dtype=torch.float32, case="random", modes=("fwd", "fwd+bwd")):
        """All named implementations on one input; nothing twice."""
        key = lambda name: (name, T, N, decay, reset, dtype, case)
        names = [n for n in names if key(n) not in self.done]
        self.done |= {key(n) for n in names}
        if not names:
            return
        if T * N > LIMIT:
            reason = f"{T * N:.1e} neuron-steps: above the bound of {LIMIT:.1e} that this run set itself."
            for name in names:
                self.skip(name, T, N, decay, "both", reason, case=case)
            return
        if time.time() > self.until:
            for name in names:
                self.skip(name, T, N, decay, "both", "The time budget of this run was used up.", case=case)
            return
        size = torch.finfo(dtype).bits // 8
        sets = max(1, min(24, int(L2_BYTES / (T * N * 3 * size)) + 1))
        xs = [signal(T, N, decay, case, dtype, seed) for seed in range(sets)]
        gs = [torch.randn(T, N, device="cuda", dtype=dtype) for _ in range(sets)]
        with torch.no_grad():
            truth = lif_replay(xs[0], decay, reset=reset, chunk=T, spike_dtype=torch.uint8)[0]
        for name in names:
            for mode in modes:
                reason = refusal(name, T, N, mode, reset)
                if reason:
                    self.skip(name, T, N, decay, mode, reason, case=case)
                    continue
                row = {
                    "impl": name,
                    "T": T,
                    "N": N,
                    "decay": decay,
                    "reset": reset,
                    "dtype": str(dtype)[6:],
                    "mode": mode,
                }
                if case != "random":
                    row["case"] = case
                try:
                    row |= self.measure(name, IMPLEMENTATIONS[name](decay, reset), xs, gs, mode, truth)
                    row["rate"] = round(truth.float().mean().item(), 4) if truth.numel() < 2**28 else None
                    moved = BYTES[mode] * size * T * N / 1e6 / self.header["copy_gb_s"]
                    row["roof_fraction"] = round(moved / row["kernel_ms"], 4) if row["kernel_ms"] else None
                    self.records.append(row)
                    print(
                        name,
                        T,
                        N,
                        decay,
                        case,
                        mode,
                        row["kernel_ms"],
                        row["eager_ms"],
                        row["roof_fraction"],
                        row["mismatches"],
                        flush=True,
                    )
                except torch.cuda.OutOfMemoryError:
                    self.skip(name, T, N, decay, mode, "Out of memory.", case=case)
                except Exception as error:  # a library that fails is a result, not the end of the run
                    self.skip(name, T, N, decay, mode, f"{type(error).__name__}: {str(error)[:160]}", case=case)
                    print("skipped", self.skipped[-1], flush=True)
        del xs, gs, truth
        torch.cuda.empty_cache()
        self.save()

    def measure(self, name, run, xs, gs, mode, truth):
        train = mode == "fwd+bwd"
        for x in xs:
            x.requires_grad_(train)
        call = lambda i: torch.autograd.grad(run(xs[i]), xs[i], gs[i]) if train else run(xs[i])
        with torch.set_grad_enabled(train):
            spikes, kept, peak = memory(run, xs[0], gs[0], train)
            wrong = int((spikes.detach().to(torch.uint8) != truth).sum())
            del spikes
            big = xs[0].numel() >= 2**27
            eager = eager_ms(lambda: call(0), 0.05 if big else 0.1)
            many = [lambda i=i: call(i) for i in range(len(xs) if eager < 20 else 1)]
            kernel, note = None, NO_CAPTURE.get(name)
            if note is None:
                try:
                    kernel = round(graph_ms(many, 0.05, 3 if big else 5), 5)
                except torch.cuda.OutOfMemoryError:
                    raise
                except RuntimeError as error:  # the user's time is known all the same
                    note = f"No graph could be captured: {str(error).splitlines()[0][:160]}"
        if train:
            for x in xs:
                x.requires_grad_(False)
        made = {
            "kernel_ms": kernel,
            "eager_ms": round(eager, 4),
            "mismatches": wrong,
            "saved_bytes": kept,
            "peak_bytes": peak,
        }
        return made | ({"note": note} if note else {})


def memory(run, x, g, train):
    """Spikes, bytes kept for the backward pass (input included, each storage once), peak memory above the inputs."""
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        spikes = run(x)
    if train:
        torch.autograd.grad(spikes, x, g)
    torch.cuda.synchronize()
    return spikes, sum(kept.values()) if train else 0, torch.cuda.max_memory_allocated() - before


def signal(T, N, decay, case, dtype, seed, device="cuda"):
    """Input by name: ``random`` fires at some 5 to 15 percent, ``dense`` at about half, ``constant`` never lets phases meet."""
    generator = torch.Generator(device=device).manual_seed(seed)
    if case == "constant":
        return torch.full((T, N), 0.7 if decay == 0.5 else (1 - decay) * 3.5, device=device, dtype=dtype)
    x = torch.randn(T, N, device=device, generator=generator, dtype=dtype)
    if case == "dense":
        return x.mul_(0.5).add_(0.5 + (1 - decay) * 0.5)
    return x.mul_(0.9 * (1 - decay**2) ** 0.5).add_(0.8 * (1 - decay))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="experiments/results/timing.json")
    parser.add_argument("--seconds", type=float, default=540, help="stop measuring after this long")
    args = parser.parse_args()
    torch._dynamo.config.cache_size_limit = 64
    bench = Bench(args.out, args.seconds, "python -m experiments.timing --out experiments/results/timing.json")
    pair = ("fptlib", "spikingjelly")
    bench.checks += checks()
    print(*bench.checks, sep="\n", flush=True)
    for decay in (0.5, 0.9):
        for T, N in SHOWN:
            bench.cell(T, N, decay, pair)
        for T, N in ROOF:
            bench.cell(T, N, decay, ("fptlib",))
    bench.networks += network_records()
    print(*bench.networks, sep="\n", flush=True)
    bench.save()
    for case, decay in (("constant", 0.5), ("random", 0.99), ("dense", 0.5), ("dense", 0.9)):
        for T, N in ((4096, 1024), (1024, 16384)):
            bench.cell(T, N, decay, pair, case=case)
    for T, N in ((16, 2**22), (1024, 2**14), (4096, 1024)):
        bench.cell(T, N, 0.5, pair, dtype=torch.bfloat16)
        bench.cell(T, N, 0.5, pair, reset="hard")
        bench.cell(T, N, 0.9, pair, reset="hard")
    for T in STEPS:
        for N in NEURONS:
            for decay in DECAYS:
                bench.cell(T, N, decay, pair if decay == 0.5 else pair[:1])
    # Last, because some of these cannot be captured, and a capture that fails can keep memory from what comes after it.
    others = [name for name in IMPLEMENTATIONS if name not in pair]
    for T, N in SHOWN:
        bench.cell(T, N, 0.5, others)
        bench.cell(T, N, 0.9, [name for name in others if name.startswith("fpt")])
    for name, reason in (
        ("spikingjelly 0.0.0.0.14", "Has the same import name as 2.0.0 and needs its own environment with CuPy; not measured in this run."),
        ("spikingjelly", "Its time does not depend on the decay: beyond the cells of the first table measured at decay 0.5 only."),
        ("spyx 1.0.0", "JAX library: no common graph replay, so no comparable device time; not measured in this run."),
    ):  # fmt: skip
        bench.skip(name, None, None, None, "both", reason)
    bench.save()


if __name__ == "__main__":
    main()
