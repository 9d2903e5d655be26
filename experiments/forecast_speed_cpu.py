"""Time of one training step of a forecaster on one CPU thread: the loop over time beside exact replay of chunks.

    OMP_NUM_THREADS=1 python -m experiments.forecast_speed_cpu      writes experiments/results/forecast_speed_cpu.json

The forecasters are those of the forecasting experiments (lookback 168, horizon 24, same budget), on the packaged solar series,
one window of 56 channels a step. (Left to choose, the library takes the loop here; the header's "auto" says so.) Solvers
take turns, so that a busy moment of the machine hits both; forecasts are compared first.
"""

import os
import statistics
import time
from itertools import product
from pathlib import Path

import torch

from experiments import record
from experiments.forecast import backbones, neurons, series
from experiments.forecast.run import Forecaster
from fptlib import Replay, lif, solve

OUT = Path(__file__).parent / "results" / "forecast_speed_cpu.json"
LOOKBACK, HORIZON, WINDOWS, ROUNDS = 168, 24, 1, 5
SPIKING = neurons.NEURONS[1:]
FIELDS = ("backbone", "neuron", "width", "rows", "loop_ms", "exact_ms", "forecasts_differ")


def learner(data, backbone, neuron, solver):
    """A forecaster as the experiments build it, from seed 0."""
    tables = {"data": {"lookback": LOOKBACK}, "model": {"budget": 20000, "solver": solver}, "train": {"batch": WINDOWS}}
    made = Forecaster(tables, data, backbone, neuron, HORIZON, 0, "cpu")
    for module in made.network.modules():
        if solver == "exact" and hasattr(module, "solver"):
            module.solver = Replay()
    return made


def step(model, index):
    """One forward and backward pass, in ms."""
    begin = time.perf_counter()
    model.network.zero_grad(set_to_none=True)
    model.loss(model.network, index).backward()
    return (time.perf_counter() - begin) * 1e3


def timed(data, backbone, neuron):
    """Record of one backbone and neuron."""
    both = {solver: learner(data, backbone, neuron, solver) for solver in ("loop", "exact")}
    index = torch.arange(0, WINDOWS * 31, 31)
    x, seen, _, _ = data.windows(both["loop"].starts[index], LOOKBACK, HORIZON)
    none = torch.zeros_like(seen)
    with torch.no_grad():
        made = [each.forecast(each.network, x, seen, none, "honest") for each in both.values()]
    times = {solver: [] for solver in both}
    for turn in range(ROUNDS + 1):
        for solver, model in both.items():
            found = step(model, index)
            times[solver] += [found] if turn else []  # the first turn warms up
    return {
        "backbone": backbone,
        "neuron": neuron,
        "width": both["loop"].width,
        "rows": WINDOWS * x.shape[2],
        "forecasts_differ": int((made[0] != made[1]).sum()),
        **{f"{solver}_ms": statistics.median(found) for solver, found in times.items()},
    }


def main():
    torch.set_num_threads(1)
    data = series.load("rts-solar", LOOKBACK, HORIZON)
    head = record.header() | {"threads": 1, "load": round(os.getloadavg()[0], 2), "data": data.what, "rounds": ROUNDS}
    head |= {"auto": type(solve(lif(0.9), torch.zeros(LOOKBACK, 56, 44)).solver).__name__}
    records = []
    for backbone, neuron in product(backbones.BACKBONES, SPIKING):
        records.append(record.rounded(timed(data, backbone, neuron)))
        print(records[-1], flush=True)
    record.write(OUT, records, FIELDS, head)


if __name__ == "__main__":
    main()
