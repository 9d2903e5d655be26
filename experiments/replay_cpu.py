"""Portable `Replay` against the Python loop on a CPU: equality first, then time.

    python experiments/replay_cpu.py            writes experiments/results/replay_cpu.json

The loop is the fastest of three ways to write it in torch, all with the same bits: plain expressions over an unbound list,
the same into preallocated rows, and `Sequential`. A NumPy loop is timed too, as a fourth opinion. All on one thread: the
tensors are too small for a second one. Best of several runs each.
"""

import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

import fptlib
from fptlib import Replay, Sequential, lif, solve

STEPS, NEURONS, THREADS = 65536, 16, 1
BARS = {0.5: 40.0, 0.9: 15.0}  # least ratio over the loop
LOOP_RUNS, REPLAY_RUNS = 5, 60
OUT = Path(__file__).parent / "results" / "replay_cpu.json"


def list_loop(x, decay):
    """Membranes and spikes by plain expressions over the unbound input."""
    v, membrane, spikes = torch.zeros_like(x[0]), [], []
    for now in x.unbind(0):
        u = decay * v + now
        s = (u >= 1.0).to(u.dtype)
        v = u - s
        membrane.append(u)
        spikes.append(s)
    return torch.stack(spikes), torch.stack(membrane), v


def row_loop(x, decay):
    """The same into preallocated rows: five calls a step, no allocation."""
    membrane, spikes = torch.empty_like(x), torch.empty_like(x)
    v, one = torch.zeros_like(x[0]), torch.ones(())
    for now, u, s in zip(x.unbind(0), membrane.unbind(0), spikes.unbind(0), strict=True):
        torch.mul(v, decay, out=v)
        torch.add(v, now, out=u)
        torch.ge(u, one, out=s)
        torch.sub(u, s, out=v)
    return spikes, membrane, v


def sequential(x, decay):
    found = solve(lif(decay), x, Sequential())
    return found.spikes, found.membrane, found.final_state


def numpy_loop(x, decay):
    """The same with NumPy rows, whose calls cost less to issue."""
    x, decay = x.numpy(), np.float32(decay)
    membrane, spikes, v = np.empty_like(x), np.empty_like(x), np.zeros_like(x[0])
    for t in range(len(x)):
        u = membrane[t]
        np.multiply(v, decay, out=v)
        np.add(v, x[t], out=u)
        np.greater_equal(u, np.float32(1), out=spikes[t], casting="unsafe")
        np.subtract(u, spikes[t], out=v)
    return tuple(torch.from_numpy(part) for part in (spikes, membrane, v))


def best_time(run, times):
    """Result, least CPU time and least wall time of ``times`` runs, in seconds."""
    work = wall = float("inf")
    for _ in range(times):
        start, start_work = time.perf_counter(), time.process_time()
        result = run()
        work = min(work, time.process_time() - start_work)
        wall = min(wall, time.perf_counter() - start)
    return result, work, wall


def measure(decay):
    generator = torch.Generator().manual_seed(0)
    # About 28 % of the steps fire at decay 0.5 and 7 % at 0.9.
    x = torch.randn(STEPS, NEURONS, generator=generator) * (0.9 * (1 - decay**2) ** 0.5) + 0.8 * (1 - decay)
    found = solve(lif(decay), x, Replay())
    loops, walls, mismatches = {}, {}, 0
    for loop in (list_loop, row_loop, sequential, numpy_loop):
        name = loop.__name__
        wanted, loops[name], walls[name] = best_time(lambda loop=loop: loop(x, decay), LOOP_RUNS)
        got = found.spikes, found.membrane, found.final_state
        mismatches += sum(int((a != b).sum()) for a, b in zip(got, wanted, strict=True))
    if mismatches:
        sys.exit(f"decay {decay}: {mismatches} values differ from the loops; nothing was timed.")
    _, replay, replay_wall = best_time(lambda: solve(lif(decay), x, Replay()), REPLAY_RUNS)
    torch_loops = {name: loops[name] for name in ("list_loop", "row_loop", "sequential")}
    best = min(torch_loops, key=torch_loops.get)
    loop = loops[best]
    return {
        "T": STEPS,
        "N": NEURONS,
        "decay": decay,
        "reset": "soft",
        "dtype": "float32",
        "firing_rate": round(found.spikes.mean().item(), 4),
        "chunk": found.report.chunk,
        "warmup": found.report.warmup,
        "rounds": found.report.rounds,
        "repaired": list(found.report.repaired),
        "path": found.report.path,
        "mismatches": mismatches,
        "loop": best,
        "loop_s": round(loop, 5),
        "all_loops_s": {name: round(seconds, 5) for name, seconds in loops.items()},
        "replay_s": round(replay, 5),
        "loop_wall_s": round(walls[best], 5),
        "replay_wall_s": round(replay_wall, 5),
        "ratio": round(loop / replay, 2),
        "ratio_wall": round(walls[best] / replay_wall, 2),
        "ratio_numpy": round(loops["numpy_loop"] / replay, 2),
        "bar": BARS[decay],
    }


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main():
    torch.set_num_threads(THREADS)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, cwd=OUT.parent)
    header = {
        "device": f"{processor()}, {os.cpu_count()} cores, {THREADS} thread",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
        | {"fptlib": fptlib.__version__},
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip(),
        "command": "python experiments/replay_cpu.py",
        "load_before": [round(v, 2) for v in os.getloadavg()],
        "timing": f"CPU seconds of one thread, so that other processes do not count; best of {LOOP_RUNS} runs of each loop "
        f"and of {REPLAY_RUNS} of Replay, through solve(); wall seconds beside them",
    }
    with torch.no_grad():
        records = [measure(decay) for decay in BARS]
    OUT.write_text(json.dumps({"header": header, "records": records}, indent=1) + "\n")
    for record in records:
        print(
            {k: record[k] for k in ("decay", "loop", "loop_s", "replay_s", "ratio", "ratio_wall", "ratio_numpy", "bar")}
        )
        if record["ratio"] < record["bar"]:
            sys.exit(f"decay {record['decay']}: {record['ratio']} times the loop's speed; {record['bar']} is wanted.")


if __name__ == "__main__":
    main()
