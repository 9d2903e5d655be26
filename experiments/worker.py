"""Work through the runs of several configs beside other workers, on one GPU or many.

    CUDA_VISIBLE_DEVICES=0 python -m experiments.worker CONFIG... --out DIR [--until SECONDS] --shared 3

Each worker takes the next run that nobody has taken (a file NAME.claim in --out says so), seed after seed. ``--shared`` says
how many workers share this GPU; it goes into the records, whose wall times are then no timings (those come from `steps`).
"""

import argparse
import gc
import json
import math
import os
import sys
import time
import tomllib
import traceback
from functools import lru_cache
from pathlib import Path

import torch

from experiments import config, record, tasks, train
from experiments.forecast import run as forecast
from experiments.forecast import series


def jobs(paths):
    """All runs of all configs, seed 0 of each before seed 1 of any: (seed, name, function of (out, device))."""
    found = []
    for path in paths:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        if "data" in tables:
            for run in forecast.runs(tables):
                found.append((run[3] or 0, forecast.name_of(tables, *run), forecast_job(tables, run)))
        else:
            for run in config.expand(config.read(path)):
                found.append((run.seed, run.name, train_job(run)))
    return sorted(found, key=lambda job: job[0])  # a stable sort: configs stay in the order given


def train_job(run):
    """A function that does one run of `train`."""
    return lambda out, device: train.train(
        run, out, device, task=task_of(json.dumps(run.task, sort_keys=True), device), talk=quiet
    )


def forecast_job(tables, run):
    """A function that does one run of `forecast.run`."""
    cut = json.dumps(tables["data"], sort_keys=True)
    return lambda out, device: forecast.one(tables, run, out, device, data=series_of(cut, run[2], device), talk=quiet)


@lru_cache(maxsize=4)
def task_of(options, device):
    """A task on its device, kept for the next run of the same."""
    return tasks.load(**json.loads(options)).to(device)


@lru_cache(maxsize=32)
def series_of(cut, horizon, device):
    """The series of a config on its device, cut for a horizon, kept for the next run of the same."""
    options = json.loads(cut)
    name, lookback, _ = options.pop("name"), options.pop("lookback"), options.pop("every", 1)
    return series.load(name, lookback, horizon, **options).to(device)


def quiet(*_):
    """Say nothing between the lines of a worker."""


def claim(folder, name):
    """Take a run; False when somebody has."""
    try:
        os.close(os.open(folder / f"{name}.claim", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--until", type=float, default=math.inf, help="begin no run after this time (seconds since 1970)"
    )
    parser.add_argument("--shared", type=int, default=1, help="workers on this GPU, for the records")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", default="", help="runs whose name contains this")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.benchmark = False
    record.SHARED = asked.shared
    if "--until" in sys.argv:  # the command in the records' header is one that works on any day
        place = sys.argv.index("--until")
        del sys.argv[place : place + 2]
    for _, name, job in jobs(asked.configs):
        if asked.only not in name or time.time() > asked.until or not claim(asked.out, name):
            continue
        begin = time.perf_counter()
        try:
            job(asked.out, asked.device)
            print(f"{time.perf_counter() - begin:6.1f} s  {name}", flush=True)
        except Exception:  # the next run has nothing to do with it; the trace is kept
            (asked.out / f"{name}.error").write_text(traceback.format_exc(), encoding="utf-8")
            print(f"FAILED {name}: {traceback.format_exc().splitlines()[-1]}", flush=True)
        gc.collect()
        if asked.device == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
