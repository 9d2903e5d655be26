"""Train and test the forecasters of a config file, beside the naive rows; one JSON per run.

    python -m experiments.forecast.run experiments/configs/forecast-pjm.toml [--only NAME] [--budget-s N] [--out DIR]

[data] name, lookback, masked, statistics, every; [model] budget, decay, solver; [train] see loop.Plan; [missing] share,
mechanism, imputation, horizon (all, where not given), train_share; [grid] backbone, neuron, horizon, seed.
"""

import argparse
import hashlib
import json
import time
import tomllib
from itertools import product
from pathlib import Path

import torch

from experiments import record
from experiments.forecast import backbones, metrics, missing, naive, neurons, series
from experiments.loop import Plan, fit
from experiments.workers import Workers
from fptlib.checks import may_look

OUT = Path(".data") / "forecasts"
BLOCKS = 20  # of the test part, for intervals
GAPS_SEED = 7  # the same cells are removed for every network and every naive row


class Forecaster:
    """A backbone on a series, as the loop wants it: loss of some windows, validation error, gaps from their own generator."""

    def __init__(self, tables, data, backbone, neuron, horizon, seed, device):
        self.data, self.horizon, self.device = data, horizon, device
        self.lookback, self.every = tables["data"]["lookback"], tables["data"].get("every", 1)
        self.gaps = tables.get("missing", {})
        self.plan = plan_of(tables)
        solver = tables["model"].get("solver", "exact")
        make = neurons.neuron_maker(neuron, tables["model"].get("decay", 0.9), solver)
        build = lambda width: backbones.build(backbone, make, horizon, width, ann=neuron == "ann")
        self.width = backbones.width_for(tables["model"]["budget"], build)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = build(self.width).to(device)
        for module in self.network.modules():
            if device == "cuda" and solver == "exact" and hasattr(module, "backend"):
                module.backend = "triton"  # the exact kernels, or an error that says why not
        self.starts = data.starts("train", self.lookback, horizon, self.every).to(device)
        self.size = len(self.starts)
        self.generators = {"order": torch.Generator().manual_seed(seed)}
        self.generators["gaps"] = torch.Generator(device).manual_seed(seed + 1)

    def forecast(self, network, x, seen, gone, imputation):
        """Forecast [H, B, C] in the series' normalised units."""
        ready, mean, scale = missing.ready(x, seen, gone, imputation)
        return network(ready) * scale + mean

    def loss(self, network, index):
        """Mean squared error over the observed targets; not finite once a learned parameter of a neuron is not."""
        lost = [raw for raw in neurons.learned(self.network) if may_look() and not raw.isfinite().all()]
        if lost:  # `solve` would refuse the neuron; the loop takes a loss that is not finite as divergence
            return sum(raw.sum() for raw in lost)
        x, seen, y, known = self.data.windows(self.starts[index], self.lookback, self.horizon)
        gone = self.remove(x, self.gaps.get("train_share", 0.0), "entries", self.generators["gaps"])
        made = self.forecast(network, x, seen, gone, self.gaps.get("train_imputation", "honest"))
        return ((made - y).square() * known).sum() / known.sum().clamp(min=1)

    @staticmethod
    def remove(x, share, mechanism, generator):
        if share == 0:
            return torch.zeros_like(x, dtype=torch.bool)
        return missing.removed(x.shape, share, mechanism, generator)

    def score(self):
        """Minus the validation error."""
        starts = self.data.starts("val", self.lookback, self.horizon, self.every)
        (total,) = self.blocks(starts, self.model(), blocks=1)
        return -(total.squared.sum() / total.count.sum()).item()

    def watch(self):
        """What becomes of a two-compartment neuron, one text a layer for the log."""
        found = neurons.reports(self.network)
        return {"neurons": json.dumps(found)} if found else {}

    def model(self, share=0.0, mechanism="entries", imputation="honest"):
        """A function (starts, x, seen) -> forecast with cells removed from the windows; the same cells at every call."""
        generator = torch.Generator(self.device).manual_seed(GAPS_SEED)

        def run(starts, x, seen):
            gone = self.remove(x, share, mechanism, generator)
            return self.forecast(self.network, x, seen, gone, imputation)

        return run

    def blocks(self, starts, forecast, blocks=BLOCKS):
        return block_sums(self.data, starts, self.lookback, self.horizon, forecast, self.plan.eval_batch, blocks)


@torch.no_grad()
def block_sums(data, starts, lookback, horizon, forecast, batch, blocks=BLOCKS):
    """`Sums` of each of ``blocks`` stretches of consecutive windows; ``forecast(starts, x, seen)`` -> [H, B, C]."""
    parts = []
    for some in starts.split(batch):
        x, seen, y, known = data.windows(some, lookback, horizon)
        # Summed on the host: a wait for each sum costs more than the sums where several processes share a GPU.
        parts.append([part.cpu() for part in (forecast(some, x, seen), y, known)])
    stretches = (torch.cat(part, dim=1).tensor_split(min(blocks, len(starts)), dim=1) for part in zip(*parts))
    return [metrics.sums(*stretch) for stretch in zip(*stretches)]


def result(blocks):
    """Scores of the whole test part with the interval of R2 over blocks of time."""
    total = sum(blocks[1:], blocks[0])
    low_high = metrics.block_interval(blocks) if len(blocks) > 1 else None
    return metrics.scores(total) | {"column_constant": metrics.column_constant(total), "r2_interval": low_high}


def plan_of(tables):
    """The [train] table as a `Plan`."""
    return Plan.read(tables["train"])


def named(tables, data, backbone, neuron, horizon, seed):
    """The fields that name a record, before scores."""
    masked = tables["data"].get("masked", True)
    part = "timing run, not a result; " if tables["model"].get("timing") else ""
    part += f"last {1 - sum(series.FRACTIONS):.0%} of the set, after a gap"
    return {
        "dataset": tables["data"]["name"],
        "part": part,
        "what": data.what,
        "backbone": backbone,
        "neuron": neuron,
        "horizon": horizon,
        "seed": seed,
        "lookback": tables["data"]["lookback"],
        "masked": masked,
        "statistics": tables["data"].get("statistics", "train"),
        "solver": tables["model"].get("solver", "exact"),
        "missing": 0.0,
        "mechanism": "none",
        "imputation": "none",
        "params": None,
        "train_s": None,
    }


def naive_records(tables, data, horizon):
    """Persistence, seasonal naive and the shared ridge on the test part: complete, and with the networks' own gaps."""
    lookback, every = tables["data"]["lookback"], tables["data"].get("every", 1)
    starts = data.starts("test", lookback, horizon, every)
    ridge = naive.SharedRidge().fit(data, lookback, horizon, every)
    rows = {
        "persistence": lambda s, x, left: naive.persistence(x, left, horizon),
        "seasonal": lambda s, x, left: naive.seasonal_with_gaps(data, s, x, left, horizon),
        "ridge": lambda s, x, left: ridge(x, left, horizon),
    }
    batch, found = plan_of(tables).eval_batch, []
    for (share, mechanism, how), (name, row) in product(cells_of(tables, horizon), rows.items()):
        generator = torch.Generator(data.values.device).manual_seed(GAPS_SEED)

        def forecast(some, x, seen, row=row, generator=generator):
            gone = Forecaster.remove(x, share, mechanism, generator)
            if how == "papers":  # the mean of the complete window stands where cells were removed
                mean = missing.window_moments(x, torch.ones_like(seen))[0]
                return row(some, torch.where(gone, mean, x), seen)
            return row(some, x, seen & ~gone)

        kind = {"missing": share, "mechanism": mechanism, "imputation": how}
        blocks = block_sums(data, starts, lookback, horizon, forecast, batch)
        found.append(named(tables, data, "naive", name, horizon, None) | kind | result(blocks))
    return record.finite(found)


def cells_of(tables, horizon):
    """(share, mechanism, imputation) of the test's gaps, the complete case first."""
    gaps, cells = tables.get("missing", {}), [(0.0, "none", "none")]
    if horizon in gaps.get("horizon", [horizon]):
        cells += [c for c in product(*(gaps.get(k, []) for k in ("share", "mechanism", "imputation"))) if c[0] > 0]
    return cells


def test_records(tables, learner, state, backbone, neuron, horizon, seed):
    """The one look at the test part: complete, and for each share, mechanism and imputation of [missing]."""
    data, cells = learner.data, cells_of(tables, horizon)
    starts = data.starts("test", learner.lookback, horizon, learner.every)
    base = named(tables, data, backbone, neuron, horizon, seed)
    base |= {"params": backbones.weights(learner.network), "width": learner.width, "train_s": state.train_s}
    base |= {
        "epochs": state.epoch,
        "step_ms": sorted(state.step_ms)[len(state.step_ms) // 2],
        "diverged": state.diverged,
        "replayed": state.replayed,
    }
    if not state.diverged:
        learner.score()  # the firing rates reported are those of the chosen weights on validation
    base |= {"neurons": neurons.reports(learner.network) or None}
    found = []
    for share, mechanism, how in cells:
        kind = {"missing": share, "mechanism": mechanism, "imputation": how}
        if state.diverged:
            found.append(base | kind | dict.fromkeys(("r2", "rse", "mae", "r2_per_channel", "rse_per_channel")))
            continue
        forecast = learner.model(share, *((mechanism, how) if share else ()))
        found.append(base | kind | result(learner.blocks(starts, forecast)))
    found[0]["curve"] = state.log
    return record.finite(found)


def runs(tables):
    """All (backbone, neuron, horizon, seed) of a config, the naive rows of each horizon first."""
    grid = tables["grid"]
    for horizon in grid["horizon"]:
        yield "naive", "rows", horizon, None
        yield from ((b, n, horizon, s) for b, n, s in product(grid["backbone"], grid["neuron"], grid["seed"]))


def name_of(tables, backbone, neuron, horizon, seed):
    """File name of a run."""
    variant = "" if tables["data"].get("masked", True) else "_unmasked"
    variant += "_timing" if tables["model"].get("timing") else ""
    variant += "_loop" if tables["model"].get("solver") == "loop" else ""
    end = "" if seed is None else f"_s{seed}"
    return f"{tables['data']['name']}{variant}_{backbone}_{neuron}_h{horizon}{end}"


def one(tables, run, out, device="cpu", budget_s=None, pause=None, data=None, talk=print):
    """Do one run, or go on with it; returns its records, or None while it is not finished."""
    backbone, neuron, horizon, seed = run
    path = Path(out) / f"{name_of(tables, *run)}.json"
    if path.is_file():
        talk(f"{path.stem}: finished before, skipped")
        return None
    options = {k: v for k, v in tables["data"].items() if k not in ("name", "lookback", "every")}
    if data is None:
        data = series.load(tables["data"]["name"], tables["data"]["lookback"], horizon, **options)
    data = data.to(device)
    if backbone == "naive":
        found = naive_records(tables, data, horizon)
    else:
        learner = Forecaster(tables, data, backbone, neuron, horizon, seed, device)
        talk(
            f"{path.stem}: {backbones.weights(learner.network)} weights (width {learner.width}), {learner.size} windows"
        )
        digest = hashlib.sha256(json.dumps([tables, run], sort_keys=True).encode()).hexdigest()[:16]
        state = fit(learner, learner.plan, path.with_suffix(""), digest, device, Workers(), budget_s, pause, talk)
        if not state.over(learner.plan):
            return None
        found = test_records(tables, learner, state, *run)
    record.write(path, found, record.FORECASTING)
    for row in found:
        label = f"{row['neuron']} missing {row['missing']:g} {row['mechanism']} {row['imputation']}"
        talk(f"  {label}: " + " ".join(f"{k} {row[k]:.4g}" for k in ("r2", "rse", "mae") if row[k] is not None))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--only", default="", help="runs whose name contains this")
    parser.add_argument("--budget-s", type=float, help="begin no epoch after this many seconds")
    parser.add_argument("--out", default=OUT, type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--list", action="store_true", help="print the names of the runs")
    asked = parser.parse_args()
    tables = tomllib.loads(asked.config.read_text(encoding="utf-8"))
    chosen = [run for run in runs(tables) if asked.only in name_of(tables, *run)]
    if not chosen:
        parser.error(f"no run of {asked.config} has {asked.only!r} in its name; --list prints them.")
    if asked.list:
        print("\n".join(name_of(tables, *run) for run in chosen))
        return
    begin = time.perf_counter()
    for run in chosen:
        left = None if asked.budget_s is None else asked.budget_s - (time.perf_counter() - begin)
        if left is not None and left <= 0:
            break
        one(tables, run, asked.out, asked.device, left)


if __name__ == "__main__":
    main()
