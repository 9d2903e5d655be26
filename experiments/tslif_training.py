"""What training does to a TS-LIF neuron: run `python experiments/tslif_training.py` (about half an hour on one core).

A small forecaster with the neuron of the released code (order of the reset, free gains, free scalars per layer), written
afresh from its equations. Windows of an hourly series are normalised, turned into bits by a convolution and a threshold,
gated to a current in {0, 1}, fed to the neuron along the time axis; a linear head reads its last step. Every `--every` steps
the parameters, firing rates, stability gaps and filter shapes are recorded. Results go to experiments/results/.
"""

import argparse
import json
import platform
import subprocess
import time
from pathlib import Path

import numpy as np
import torch

from fptlib.surrogates import ATan, spike
from fptlib.theory import KINDS, response_kind, response_peak, stable_parameters, ts_lif_stability
from fptlib.theory import free_parameters as to_free

ATAN = ATan(width=2.0)
# Name: (end of training, start of test), end, caption. ETTh1: its usual 12, 4 (unused here) and 4 months; solar: 60, 20, 20 %.
SERIES = {
    "etth1": ((12 * 30 * 24, 16 * 30 * 24), 20 * 30 * 24, "ETTh1 (hourly, 7 variables, CC BY-ND 4.0)"),
    "rts-solar": (
        (5270, 7027),
        8784,
        "RTS-GMLC solar (modelled photovoltaic output, 7 of 56 plants, hourly means, NREL data agreement; "
        "package dispatches-sample-data 22.9.19)",
    ),
}
START = {"decay": (0.8, 0.3), "coupling": (-0.1, -0.8), "gains": (0.2, 0.7)}


class ReleasedNeuron(torch.nn.Module):
    """TS-LIF as released: two decays, two gains, two couplings per layer, all free; weights of the two spikes per unit."""

    def __init__(self, width, stable=False, signs="same"):
        super().__init__()
        self.stable, self.signs = stable, signs
        start = (*START["decay"], *START["coupling"])
        values = to_free(*start, signs=signs) if stable else start
        self.raw = torch.nn.Parameter(torch.tensor([float(v) for v in values]))
        self.gains = torch.nn.Parameter(torch.tensor(START["gains"]))
        self.mix = torch.nn.Parameter(torch.randn(2, width))

    def dynamics(self):
        """a1, a2, b1, b2 as used."""
        return stable_parameters(*self.raw, signs=self.signs) if self.stable else self.raw.unbind()

    def forward(self, current):
        """current [T, rows, width] -> output of the last step [rows, width]; spike rates (soma, dendrite)."""
        a1, a2, b1, b2 = self.dynamics()
        e1, e2 = self.gains
        v_d = v_s = torch.zeros_like(current[0])
        fired = []
        for c in current:
            v_d = a1 * v_d + e1 * c + b1 * v_s
            v_s = a2 * v_s + e2 * c + b2 * v_d
            s_d, s_s = spike(v_d - 1.0, ATAN), spike(v_s - 1.0, ATAN)
            v_d, v_s = v_d - 0.5 * s_d, v_s - s_s
            fired.append((s_s.detach().mean(), s_d.detach().mean()))
        rates = torch.tensor(fired).mean(0)
        return self.mix[0] * s_s + self.mix[1] * s_d, rates


class Forecaster(torch.nn.Module):
    """Window [T, rows] -> next `horizon` values [horizon, rows]; every variable is a row, weights are shared."""

    def __init__(self, horizon, width=64, stable=False, signs="same"):
        super().__init__()
        self.encode = torch.nn.Conv1d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm1d(4)
        self.gate, self.candidate = torch.nn.Linear(4, width), torch.nn.Linear(4, width)
        self.neuron = ReleasedNeuron(width, stable, signs)
        self.head = torch.nn.Linear(width, horizon)

    def forward(self, window):
        mean, scale = window.mean(0), window.std(0) + 1e-5
        bits = spike(self.norm(self.encode(((window - mean) / scale).T.unsqueeze(1))) - 1.0, ATAN).permute(2, 0, 1)
        current = (1 - spike(self.gate(bits), ATAN)) * spike(self.candidate(bits), ATAN)
        out, rates = self.neuron(current)
        return self.head(out).T * scale + mean, rates


def batch(series, starts, lookback, horizon):
    """Windows and targets, [lookback, rows] and [horizon, rows], rows = starts x variables."""
    cut = np.stack([series[s : s + lookback + horizon] for s in starts], 1)
    cut = torch.tensor(cut.reshape(lookback + horizon, -1), dtype=torch.float32)
    return cut[:lookback], cut[lookback:]


def snapshot(step, neuron, rates):
    """One record: parameters, gaps, radius, filters, rates."""
    with torch.no_grad():
        values = [v.double() for v in neuron.dynamics()]
        report = ts_lif_stability(*values)
        gains = tuple(neuron.gains.double())
        peak, kind = response_peak(*values, gains=gains), response_kind(*values, gains=gains)
    inside = bool(report.stable)
    return {
        "step": step,
        "soma_rate": round(rates[0].item(), 5),
        "dendrite_rate": round(rates[1].item(), 5),
        "a": [round(v.item(), 4) for v in values[:2]],
        "b": [round(v.item(), 4) for v in values[2:]],
        "gaps": [round(v, 4) for v in report.gaps.tolist()],
        "radius": round(report.radius.item(), 4),
        "kind": [KINDS[k] for k in kind.tolist()] if inside else None,
        "peak_period": [round(2 * np.pi / w, 2) if w > 0 else None for w in peak.omega.tolist()] if inside else None,
    }


def train(
    series, split, seed, rate, steps, every, lookback, horizon, period, width=64, rows=32, stable=False, signs="same"
):
    """One run; returns its record, with test error beside two trivial forecasts."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Forecaster(horizon, width, stable, signs)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    history, started, silent = [], time.time(), 0
    for step in range(steps + 1):
        window, target = batch(series, rng.integers(0, split[0] - lookback - horizon, rows), lookback, horizon)
        forecast, rates = model(window)
        silent = step if rates[0] == 0 and silent == step - 1 or step == 0 and rates[0] == 0 else silent
        if step % every == 0:
            history.append(snapshot(step, model.neuron, rates))
        if step == steps:
            break
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(forecast, target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.eval()
    starts = np.arange(split[1], len(series) - lookback - horizon, 7)
    errors = np.zeros(3)
    with torch.no_grad():
        for part in np.array_split(starts, max(1, len(starts) // 64)):
            window, target = batch(series, part, lookback, horizon)
            cycle = window[-period:].repeat(-(-horizon // period), 1)[:horizon]
            for i, guess in enumerate((model(window)[0], cycle, window.mean(0).expand_as(target))):
                errors[i] += ((guess - target) ** 2).mean(1).sum().item() * len(part) / horizon
    names = ("test_mse", "seasonal_naive_mse", "window_mean_mse")
    return {
        "seed": seed,
        "rate": rate,
        "stable": stable,
        "signs": signs if stable else None,
        "steps": steps,
        "soma_silent_through_step": silent,
        **{n: round(float(v) / len(starts), 4) for n, v in zip(names, errors)},
        "train_s": round(time.time() - started, 1),
        "history": history,
    }


def normalise(series, train_end):
    """Zero mean and unit deviation, from the training part only."""
    return (series - series[:train_end].mean(0)) / series[:train_end].std(0)


def main():
    from fptlib.data import load

    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--signs", choices=("same", "any"), default="same", help="any: only the second stable map")
    parser.add_argument("--data", choices=tuple(SERIES), default="etth1")
    parser.add_argument("--out", default=Path(__file__).parent / "results" / "tslif_training.json")
    options = parser.parse_args()
    split, end, _ = SERIES[options.data]
    series = normalise(hourly(load(options.data).x.double().numpy(), options.data)[:end], split[0])
    common = {"series": series, "split": split, "lookback": 48, "horizon": 24, "period": 24}
    jobs = [(s, 1e-3, 960, 60, stable) for stable in (False, True) for s in range(options.seeds)]
    jobs += [(s, 1e-4, 1800, 150, False) for s in range(2)]
    if options.data != "etth1":
        jobs = [(s, 1e-3, 960, 60, False) for s in range(options.seeds)]
    if options.signs == "any":
        jobs = [(s, 1e-3, 960, 60, True) for s in range(options.seeds)]
    runs, began = [], time.time()
    for seed, rate, steps, every, stable in jobs:
        runs.append(train(seed=seed, rate=rate, steps=steps, every=every, stable=stable, signs=options.signs, **common))
        print({k: v for k, v in runs[-1].items() if k != "history"}, runs[-1]["history"][-1], flush=True)
        record = {"header": header(round(time.time() - began), options), "runs": runs}
        Path(options.out).write_text(json.dumps(record, indent=1) + "\n")


def hourly(values, name):
    """Values [hours, 7]: ETTh1 as it is; of the solar set the first seven plants, averaged over six 10-minute steps."""
    if name == "etth1":
        return values
    return values[: len(values) // 6 * 6, :7].reshape(-1, 6, 7).mean(1)


def header(seconds, options):
    """Provenance of the results file."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "what": "TS-LIF (released equations, re-implemented) in a small forecaster of this project, followed over training",
        "script": "experiments/tslif_training.py",
        "command": "python experiments/tslif_training.py"
        + (" --signs any --out FILE" if options.signs == "any" else "")
        + (f" --data {options.data} --seeds {options.seeds} --out FILE" if options.data != "etth1" else ""),
        "commit": commit,
        "date": time.strftime("%Y-%m-%d"),
        "device": "cpu",
        "wall_s": seconds,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "data": SERIES[options.data][2] + ": results only, no data in this file",
        "task": "lookback 48, horizon 24, 32 windows of 7 variables a batch, width 64, Adam, gradient norm clipped at 1",
    }


if __name__ == "__main__":
    main()
