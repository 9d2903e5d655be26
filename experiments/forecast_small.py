"""The forecasting experiment at a size one CPU does in an hour: shorter windows, small networks, all five sets, three seeds.

    OMP_NUM_THREADS=1 python -m experiments.forecast_small [--sets pjm,etth1] [--backbones gru] [--horizons 24]
    python -m experiments.record experiments/results/forecasting_small.json .data/small

Code, cuts, masks, neurons, naive rows and gaps are those of `experiments.forecast.run`; what is smaller is in `PLANS` and
`tables_of`. Batches hold about 128 rows (windows x channels) on every set, and every run makes about 800 updates.
"""

import argparse
from pathlib import Path

import torch

from experiments.forecast import neurons, run

OUT = Path(".data") / "small"
LOOKBACK, BUDGET, RATE = 48, 1700, 1e-2
# Stride between windows (coprime to the day), windows a batch, epochs.
PLANS = {
    "pjm": (31, 12, 10),
    "etth1": (7, 18, 8),
    "metr-la": (25, 12, 10),
    "pems08-tail": (25, 1, 4),
    "rts-solar": (97, 2, 4),
}
GAPS = {"share": [0.4, 0.8], "mechanism": ["entries", "blocks", "sensors"], "imputation": ["honest", "papers"]}


def tables_of(name, backbones, horizons, masked=True):
    """The tables of a config of `experiments.forecast.run`, small."""
    every, batch, epochs = PLANS[name]
    data = {"name": name, "lookback": LOOKBACK, "every": every}
    data |= {} if masked else {"masked": False, "statistics": "file"}
    plan = {"epochs": epochs, "batch": batch, "optimiser": "adam", "rate": RATE, "clip": 1.0, "eval_batch": 32}
    grid = {"backbone": list(backbones), "neuron": list(neurons.NEURONS), "horizon": list(horizons), "seed": [0, 1, 2]}
    gaps = GAPS | {"horizon": [24]} if masked else {}
    return {"data": data, "model": {"budget": BUDGET}, "train": plan, "missing": gaps, "grid": grid}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", default=",".join(PLANS))
    parser.add_argument("--backbones", default="gru")
    parser.add_argument("--horizons", default="24")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--unmasked", action="store_true", help="zeros counted, statistics of the whole file (METR-LA)")
    parser.add_argument("--naive-only", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    horizons = [int(h) for h in asked.horizons.split(",")]
    for seed in (int(s) for s in asked.seeds.split(",")):
        for name in asked.sets.split(","):
            tables = tables_of(name, asked.backbones.split(","), horizons, masked=not asked.unmasked)
            for each in run.runs(tables):
                if each[0] == "naive" or (each[3] == seed and not asked.naive_only):
                    run.one(tables, each, OUT)


if __name__ == "__main__":
    main()
