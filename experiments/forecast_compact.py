"""The full forecasting grid as one small file: some 8,000 records in less than 2 MB, read whole by `fptlib.data.results`.

    python -m experiments.forecast_compact experiments/results/forecasting.json .data/forecasts \
        --rest experiments/results/forecasting_horizons.json

Joins runs (and the files themselves, to make them larger) as `experiments.record` does. Then (1) what no table, figure or sentence
reads is left out: curves stay for the TS-LIF neurons of seed 0 at horizon 24, R2 of every channel for seed 0 and the naive rows
(else its median), and other numbers than scores and parameters of neurons keep four digits; (2) nothing is said twice: a record with gaps is one row
of numbers in its complete-data record, see `fptlib.data.compact.expanded`, which undoes (2) exactly.
``--rest`` names a second file for what not every set has with three seeds, so that means over sets in the first compare like
with like. Give both files and the new runs as parts later: what has become complete moves to the first.
"""

import argparse
import json
import tempfile
from collections import Counter
from itertools import product
from pathlib import Path

from experiments import record
from experiments.forecast_compare import NEURONS, SETS, is_timing
from fptlib.data.compact import expanded

CURVES = {"seed": 0, "horizon": 24, "masked": True}  # and a TS-LIF neuron
SCORES = ("r2", "rse", "mae", "column_constant")  # all digits of the record: their ratio is tested
WHOLE = (*SCORES, "neurons")  # and what tests compute again from their parts
FIELDS = (
    "missing",
    "mechanism",
    "imputation",
    "r2",
    "rse",
    "mae",
    "r2_channel_median",
    "rse_channel_median",
    "r2_interval",
)
COMPLETE = ("r2_per_channel", "neurons", "width", "step_ms", "epochs", "curve", "r2_channel_median")
GAP = {"r2_per_channel": None}
DIGITS = 4
SEEDS = 3  # of every network that is compared


def lean(row):
    """A record without what nobody reads, in few digits."""
    row = {name: value if name in WHOLE else record.rounded(value, DIGITS) for name, value in row.items()}
    if row.get("curve"):
        told = all(row.get(name) == value for name, value in CURVES.items()) and row["neuron"].startswith("ts-lif")
        kept = ("epoch", "val", "neurons")
        row["curve"] = (
            [{name: epoch[name] for name in kept if name in epoch} for epoch in row["curve"]] if told else None
        )
    if "curve" in row and not row["curve"]:
        del row["curve"]
    if row["seed"] and row.get("r2_per_channel"):
        row |= {
            "r2_channel_median": record.rounded(record.middle(row["r2_per_channel"]), DIGITS),
            "r2_per_channel": None,
        }
    return row


def place(row):
    """What a record shares with that of the same run on complete data."""
    names = ("dataset", "part", "backbone", "neuron", "horizon", "seed", "masked", "solver")
    return tuple(row.get(name) for name in names)


def packed(records):
    """Records stored without repetitions and the rule that undoes it: (records, {"same", "complete", "gap", "fields"})."""
    whole = [dict(row) for row in records if not row["missing"]]
    shared_by_all = set.intersection(*(set(row) for row in whole)) - {"gaps"}
    same = {}
    for name in sorted(shared_by_all):
        (text, count), *_ = Counter(json.dumps(row[name]) for row in whole).most_common(1)
        if count > len(whole) / 2:
            same[name] = json.loads(text)
    rule = {"same": same, "complete": list(COMPLETE), "gap": GAP, "fields": list(FIELDS)}
    by_place, alone = {place(row): row for row in whole}, []
    for row in records:
        if row["missing"]:
            sibling = by_place.get(place(row))
            values = [row.get(name) for name in FIELDS]
            again = {k: v for k, v in (sibling or {}).items() if k not in (*COMPLETE, "gaps")} | GAP
            if again | dict(zip(FIELDS, values)) == row:
                sibling.setdefault("gaps", []).append(values)
            else:
                alone.append(row)
    differs = lambda row, name: name not in same or json.dumps(row[name]) != json.dumps(same[name])
    return [{name: row[name] for name in row if differs(row, name)} for row in whole + alone], rule


def write(path, content):
    """Store a merged file's content, lean and packed, one run a line."""
    records, rule = packed([lean(row) for row in content["records"]])
    text = json.dumps({"header": content["header"] | {"compact": rule}}, indent=1)[:-2]
    rows = ",\n".join(json.dumps(row, allow_nan=False, separators=(",", ":")) for row in records)
    Path(path).write_text(f'{text},\n "records": [\n{rows}\n ]\n}}\n', encoding="utf-8")


def balanced(records):
    """(records to compare, the rest): networks of a backbone or horizon that some set, neuron or seed lacks are the rest."""
    networks = lambda row: (
        row["dataset"] in SETS and row["masked"] and row["backbone"] != "naive" and not is_timing(row)
    )
    found = {}
    for row in filter(networks, records):
        name = row["backbone"], row["neuron"], row["horizon"]
        found.setdefault(name, {}).setdefault(row["dataset"], set()).add(row["seed"])
    whole = lambda sets: len(sets) == len(SETS) and len(set.intersection(*sets.values())) >= SEEDS
    ready = {name for name, sets in found.items() if whole(sets)}
    done = {(b, h) for b, _, h in ready if all((b, neuron, h) in ready for neuron in NEURONS)}
    backbones = {b for b, h in done if h == 24}
    horizons = {h for _, h in done if all((b, h) in done for b in backbones)}
    kept = set(
        product(backbones, horizons)
    )  # every horizon in every backbone, so that trends over horizons mean one thing
    out = sorted({(b, h) for b, _, h in found} - kept)
    if out:
        print("not complete on every set:", ", ".join(f"{b} at horizon {h}" for b, h in out))
    seeds = lambda row: set.intersection(*found[row["backbone"], row["neuron"], row["horizon"]].values())
    lost = {h for _, _, h in found} - horizons  # their naive rows go where their networks go

    def inside(row):
        if networks(row):
            return (row["backbone"], row["horizon"]) in kept and row["seed"] in seeds(row)
        return row["dataset"] not in SETS or is_timing(row) or row["horizon"] not in lost

    return [row for row in records if inside(row)], [row for row in records if not inside(row)]


def merge(parts, out, rest=None):
    """Join runs and earlier files, and store them, in two files where ``rest`` names one; returns the records of the first."""
    with tempfile.TemporaryDirectory() as folder:
        whole = []
        for number, part in enumerate(parts):
            content = json.loads(Path(part).read_text(encoding="utf-8"))
            if "compact" in content["header"]:
                part = Path(folder) / f"{number}.json"
                part.write_text(json.dumps(expanded(content)), encoding="utf-8")
            whole.append(part)
        merged = Path(folder) / "merged.json"
        record.merge(whole, merged)
        content = json.loads(merged.read_text(encoding="utf-8"))
    first, other = balanced(content["records"]) if rest else (content["records"], [])
    write(out, content | {"records": first})
    if other:
        write(rest, content | {"records": other})
    elif rest:
        Path(rest).unlink(missing_ok=True)
    return expanded(json.loads(Path(out).read_text(encoding="utf-8")))["records"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="+", type=Path, help="result files, or folders of them")
    parser.add_argument("--rest", type=Path, help="file for what not every set has")
    asked = parser.parse_args()
    parts = [file for part in asked.parts for file in (sorted(part.glob("*.json")) if part.is_dir() else [part])]
    records = merge(parts, asked.out, asked.rest)
    print(f"{len(records)} records from {len(parts)} files in {asked.out}: {asked.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
