"""Work through the runs of several configs beside other workers, on one GPU or many.

    CUDA_VISIBLE_DEVICES=0 python -m experiments.worker CONFIG... --out DIR [--until SECONDS] [--streams 4] --shared 8

Each worker takes the next run that nobody has taken (a file NAME.claim in --out says so), seed after seed. With ``--streams``
it trains several at a time, a step of each in turn, each on a CUDA stream of its own: small networks leave most of a GPU idle.
``--shared`` says how many runs share this GPU; it goes into the records, whose wall times are then no timings (those come
from `steps`).
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
    """All runs of all configs, seed 0 of each before seed 1 of any: (seed, name, function of (out, device) -> steps)."""
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
    """A function that does one run of `train`, step by step; the data are loaded at the first."""

    def go(out, device):
        task = task_of(json.dumps(run.task, sort_keys=True), device)
        yield from train.steps(run, out, device, task=task, talk=quiet)

    return go


def forecast_job(tables, run):
    """A function that does one run of `forecast.run`, step by step; the data are loaded at the first."""

    def go(out, device):
        data = series_of(json.dumps(tables["data"], sort_keys=True), run[2], device)
        yield from forecast.steps(tables, run, out, device, data=data, talk=quiet)

    return go


@lru_cache(maxsize=4)
def task_of(options, device):
    """A task on its device, kept for the next run of the same."""
    return there(tasks.load(**json.loads(options)).to(device), device)


@lru_cache(maxsize=32)
def series_of(cut, horizon, device):
    """The series of a config on its device, cut for a horizon, kept for the next run of the same."""
    options = json.loads(cut)
    name, lookback, _ = options.pop("name"), options.pop("lookback"), options.pop("every", 1)
    return there(series.load(name, lookback, horizon, **options).to(device), device)


def there(data, device):
    """The same data once its copy to the device has ended: other streams than the copying one will read it."""
    if device == "cuda":
        torch.cuda.synchronize()
    return data


def quiet(*_):
    """Say nothing between the lines of a worker."""


def claim(folder, name):
    """Take a run; False when somebody has."""
    try:
        os.close(os.open(folder / f"{name}.claim", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


class Lane:
    """One run on its way, on a stream of its own."""

    def __init__(self, name, job, out, device):
        self.name, self.out, self.begin = name, out, time.perf_counter()
        self.stream = torch.cuda.Stream() if device == "cuda" else None
        self.steps = job(out, device)

    def go_on(self):
        """One step; False when the run has ended, well or not."""
        try:
            with torch.cuda.stream(self.stream):  # None: nothing changes
                next(self.steps)
            return True
        except StopIteration:
            print(f"{time.perf_counter() - self.begin:6.1f} s  {self.name}", flush=True)
        except Exception:  # the next run has nothing to do with it; the trace is kept
            (self.out / f"{self.name}.error").write_text(traceback.format_exc(), encoding="utf-8")
            print(f"FAILED {self.name}: {traceback.format_exc().splitlines()[-1]}", flush=True)
        self.steps = None
        gc.collect()
        if self.stream is not None:
            torch.cuda.empty_cache()
        return False


def work(waiting, out, device, streams):
    """Do the runs of the iterator ``waiting``, ``streams`` at a time: a step of each in turn."""
    lanes = []
    while True:
        while len(lanes) < streams and (job := next(waiting, None)) is not None:
            lanes.append(Lane(*job, out, device))
        if not lanes:
            return
        lanes = [lane for lane in lanes if lane.go_on()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--until", type=float, default=math.inf, help="begin no run after this time (seconds since 1970)"
    )
    parser.add_argument("--streams", type=int, default=1, help="runs of this process at a time")
    parser.add_argument("--shared", type=int, help="runs on this GPU at a time, for the records")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", default="", help="runs whose name contains this")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.backends.cudnn.benchmark = False
    record.SHARED, record.STREAMS = asked.shared or asked.streams, asked.streams
    if "--until" in sys.argv:  # the command in the records' header is one that works on any day
        place = sys.argv.index("--until")
        del sys.argv[place : place + 2]
    mine = (
        (name, job)
        for _, name, job in jobs(asked.configs)
        if asked.only in name and time.time() <= asked.until and claim(asked.out, name)
    )
    work(mine, asked.out, asked.device, asked.streams)


if __name__ == "__main__":
    main()
