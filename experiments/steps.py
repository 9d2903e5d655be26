"""Time of one training step and its memory, each arm alone on the GPU: the timings of the accuracy experiments.

    python -m experiments.steps OUT CONFIG... [--arm NAME] [--new RECORD] [--budget-s N]

Every distinct (shape, arm, decay, K) of the configs is timed twice: as plain PyTorch runs it (``step_ms``, median of events
around whole steps, data on the device) and recorded as a CUDA graph and replayed (``graph_ms``; null with a reason where it
cannot be recorded). ``experiments.record --steps OUT`` puts the numbers into the records of the same shape.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from experiments import config, record
from experiments.accuracy_missing import done, planned
from experiments.graph import WARM, Replayed
from experiments.loop import Clock, Plan, Step, make_optimiser
from experiments.train import Classifier, shape_of
from experiments.worker import task_of
from experiments.workers import Workers

MOST_STEPS, MOST_S = 15, 1.0  # timed steps, and seconds for them
MOST_NODES = 6000  # of a recorded loop: T times layers; beyond, recording takes longer than it is worth


def median_step(step, index, on_gpu):
    """Median time of a step in ms, after the warm steps."""
    clock, begin = Clock(on_gpu), time.perf_counter()
    for count in range(MOST_STEPS):
        clock.start()
        step(index)
        clock.stop()
        if on_gpu:
            torch.cuda.synchronize()
        if time.perf_counter() - begin > MOST_S and count >= 2:
            break
    return clock.median(skip=1)


def time_one(run, task, plan, device):
    """The record of one arm: step_ms, graph_ms and peak_bytes."""
    on_gpu = device == "cuda"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = plan.tf32
    learner = Classifier(run, task, plan, device, Workers())
    step = Step(learner, learner.network.train(), make_optimiser(learner.network, plan), plan)
    step.begin(plan.rate)
    index = torch.arange(min(plan.batch, len(task.train)), device=device)
    for _ in range(WARM if task.steps < 5000 else 1):
        step(index)
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    made = {"step_ms": median_step(step, index, on_gpu)}
    made["peak_bytes"] = torch.cuda.max_memory_allocated() if on_gpu else None
    replayed = Replayed(step, learner.generators.values())
    made |= {"graph_ms": None, "why_no_graph": "no GPU" if not on_gpu else None}
    loops = run.arm == "lif-loop"
    if on_gpu and loops and task.steps * run.network.get("depth", 7) > MOST_NODES:
        made["why_no_graph"] = f"more than {MOST_NODES} steps of a loop to record"
    elif on_gpu:
        replayed.warm = WARM
        replayed(index)
        made["why_no_graph"] = replayed.why_not
        made["graph_ms"] = None if replayed.why_not else median_step(replayed, index, on_gpu)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--arm", help="this arm alone; the others keep the times they have")
    parser.add_argument("--new", type=Path, help="only what has a run that this record lacks")
    parser.add_argument("--budget-s", type=float, default=1e9)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    begin, records, seen = time.perf_counter(), [], set()
    there = {done(r) for r in json.loads(asked.new.read_text(encoding="utf-8"))["records"]} if asked.new else set()
    for run in (run for path in asked.configs for run in config.expand(config.read(path))):
        plan = Plan.read(run.train, graph=True)
        key = (shape_of(run), run.arm, run.decay, run.k)
        if (
            key in seen
            or planned(run) in there
            or asked.arm not in (None, run.arm)
            or time.perf_counter() - begin > asked.budget_s
        ):
            continue
        seen.add(key)
        task = task_of(json.dumps(run.task, sort_keys=True), asked.device)
        made = {"task": task.name, "shape": shape_of(run), "arm": run.arm, "decay": run.decay, "k": run.k}
        made |= {"network": run.network["name"], "steps": task.steps, "batch": plan.batch, "bf16": plan.bf16}
        made |= {"tf32": plan.tf32, "part": task.note}
        try:
            made |= time_one(run, task, plan, asked.device)
        except Exception as error:  # one arm must not end the list; its record says what happened
            why = "out of memory" if isinstance(error, torch.cuda.OutOfMemoryError) else repr(error)[:300]
            made |= {"step_ms": None, "graph_ms": None, "peak_bytes": None, "why_no_graph": why}
        records.append(record.finite(made))
        shown = [f"{made[name]:.2f}" if made[name] else "-" for name in ("step_ms", "graph_ms")]
        why = f"  [{made['why_no_graph']}]" if made["why_no_graph"] else ""
        gib = (made["peak_bytes"] or 0) / 2**30
        print(f"{made['shape']} {run.arm} {run.decay} k{run.k}: {' '.join(shown)} ms {gib:.2f} GiB{why}", flush=True)
        torch.cuda.empty_cache()
        record.write(asked.out, records, record.STEPS)
    if not records:
        parser.error(f"no arm {asked.arm!r} in {', '.join(asked.configs)} that is asked for, or no time for it.")


if __name__ == "__main__":
    main()
