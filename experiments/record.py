"""Results as JSON: a header that says where the numbers come from, and a list of records.

python -m experiments.record experiments/results/accuracy.json .data/runs/*.json      merges parts into one file

``--steps FILE`` (of experiments.steps) puts in the time of a step, measured alone on the GPU. The merged file is kept small:
six digits, training curves of one seed, what a data set is once in the header ("data").
"""

import argparse
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

import numpy
import torch

import fptlib

ACCURACY = (
    "task",
    "network",
    "arm",
    "decay",
    "k",
    "seed",
    "epochs",
    "val",
    "test",
    "test_as_sequential_lif",
    "spike_mismatch",
    "step_ms",
    "train_s",
    "peak_bytes",
)
FORECASTING = (
    "dataset",
    "part",
    "backbone",
    "neuron",
    "horizon",
    "seed",
    "missing",
    "mechanism",
    "r2",
    "rse",
    "mae",
    "r2_per_channel",
    "params",
    "train_s",
)
STEPS = ("task", "shape", "arm", "decay", "k", "step_ms", "graph_ms", "peak_bytes")
KEYS = {  # what names a record: two records with the same values of these are the same experiment
    ACCURACY: ("task", "network", "arm", "decay", "k", "seed", "part"),
    FORECASTING: (
        "dataset",
        "part",
        "backbone",
        "neuron",
        "horizon",
        "seed",
        "missing",
        "mechanism",
        "imputation",
        "masked",
        "solver",
    ),
}
HEADER = ("device", "driver", "versions", "date", "commit", "command")
DIGITS = 6
SHARED = 1  # processes on this device; experiments.worker sets it
STARTED = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())


@lru_cache
def header(command=None, shared=1):
    """Device, driver, versions, date, commit and command of this process; ``shared`` processes were on the device.

    Where the checkout is not a git repository, FPTLIB_COMMIT says the commit.
    """
    on_gpu = torch.cuda.is_available()
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}
    if on_gpu:
        import triton

        versions["triton"] = triton.__version__
    dirty = _ask("git", "status", "--porcelain", "--untracked-files=no", "--", "fptlib", "experiments")
    return {
        "device": torch.cuda.get_device_name() if on_gpu else f"CPU: {platform.processor() or platform.machine()}",
        "driver": _ask("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").split("\n")[0] or None,
        "versions": versions | {"fptlib": fptlib.__version__},
        "date": STARTED,
        "commit": (_ask("git", "rev-parse", "HEAD") or os.environ.get("FPTLIB_COMMIT") or "unknown")
        + (" with changes" if dirty else ""),
        "command": command or shlex.join(["python", *_as_typed()]),
        "shared": shared,
    }


def _as_typed():
    """The words after "python" that started this process, `-m module` put back."""
    spec = sys.modules["__main__"].__spec__
    return ["-m", spec.name, *sys.argv[1:]] if spec else sys.argv


def _ask(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()
    except FileNotFoundError:
        return ""


def finite(value):
    """The same value with None wherever a number is not finite, as JSON wants it; lists and dicts included."""
    if isinstance(value, dict):
        return {name: finite(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check(record, fields):
    """Refuse a record without one of the agreed fields, or with a number JSON cannot hold."""
    missing = [name for name in fields if name not in record]
    if missing:
        raise ValueError(f"record: {', '.join(missing)} missing; a record has {', '.join(fields)}.")
    bad = [name for name, value in record.items() if isinstance(value, float) and not math.isfinite(value)]
    if bad:
        raise ValueError(f"record: {', '.join(bad)} not finite; write None where there is no number.")
    return record


def write(path, records, fields=ACCURACY, head=None):
    """Write {header, records} as JSON, one record a line."""
    rows = ",\n".join("  " + json.dumps(check(record, fields), allow_nan=False) for record in records)
    text = json.dumps({"header": head or header(shared=SHARED)}, indent=1)[:-2]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{text},\n "records": [\n{rows}\n ]\n}}\n', encoding="utf-8")


def fields_of(records):
    """Which experiment a list of records belongs to."""
    return FORECASTING if records and "dataset" in records[0] else ACCURACY


def merge(paths, out, command=None, steps=None, keep=False):
    """Join result files into one; each record keeps the number of the header ("run") it was made under.

    Args:
        steps: path of a file of `experiments.steps`; its times and memory replace those of a run that shared its GPU.
            Without it, such a run keeps neither.
        keep: what the files have timed stays, and ``steps`` adds what they have not.

    Raises:
        ValueError: two records with the same name (task, arm, seed, ...), or a file without records.
    """
    runs, records, seen, what = [], [], {}, {}
    for path in map(Path, paths):
        part = json.loads(path.read_text(encoding="utf-8"))
        if not part.get("records"):
            raise ValueError(f"{path} holds no records.")
        heads = part["header"].get("runs", [part["header"]])
        runs += [head for head in heads if head not in runs]
        what |= part["header"].get("data", {})
        fields = fields_of(part["records"])
        for record in part["records"]:
            key = tuple(str(record.get(name)) for name in KEYS[fields])
            if key in seen:
                raise ValueError(f"{path} and {seen[key]} both hold {key}; merge each record once.")
            seen[key] = path
            head = heads[record.get("run", 0)]
            records.append(record | {"run": runs.index(head), "shared": head.get("shared", 1)})
            if record.get("timed") is not None:
                records[-1]["timed"] = runs.index(heads[record["timed"]])
    if steps:
        records += add_steps(records, json.loads(Path(steps).read_text(encoding="utf-8")), runs, keep)
    elif fields is ACCURACY:
        records = [without_shared_time(record) for record in records]
    records = sorted(slim(records, what), key=lambda r: [str(r.get(n)) for n in KEYS[fields]])
    same = {name: runs[0][name] if all(r[name] == runs[0][name] for r in runs) else "see runs" for name in HEADER}
    dates = sorted(run["date"] for run in runs)
    same |= {"date": dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"}
    same |= {"commit": ", ".join(dict.fromkeys(run["commit"] for run in runs))}
    head = same | {"command": command or shlex.join(["python", *_as_typed()]), "data": what, "runs": runs}
    write(out, records, fields, head)
    return records


def add_steps(records, timed, runs, keep=False):
    """Put step_ms, graph_ms and peak_bytes of `experiments.steps` into the records of the same shape, arm, decay and K.

    A time that no record has (raw speech is there for time alone) becomes a record of its own, without accuracies. ``timed``
    in a record is the number of the header its times were made under: peaks hold all data that a run of `experiments.steps`
    had on the GPU, and compare within one run. With ``keep`` the times that records have win over new ones of their shape.
    """
    name = lambda r: tuple(str(r.get(key)) for key in ("shape", "arm", "decay", "k"))
    times = {name(r): r | {"timed": len(runs)} for r in timed["records"]}
    if keep:
        times |= {name(r): {"timed": None} | r for r in records if "why_no_graph" in r and r["step_ms"]}
    runs.append(timed["header"])
    for record in records:
        found = times.get(name(record), {})
        if not found and "why_no_graph" in record:
            continue  # timed when it was merged before
        record |= {key: found.get(key) for key in ("step_ms", "graph_ms", "peak_bytes", "why_no_graph", "timed")}
        if found and found["step_ms"] and record.get("epochs_to"):
            record["time_to"] = time_to(record, found["step_ms"])
        else:
            record["time_to"] = {}
    trained = {record["task"] for record in records if record["epochs"] is not None}
    present = {name(record) for record in records}
    rest = [r for key, r in times.items() if r["task"] not in trained and key not in present]
    bare = dict.fromkeys(ACCURACY)
    return [
        bare | r | {"run": len(runs) - 1, "shared": 1, "part": f"{r['steps']} steps; time and memory"} for r in rest
    ]


def without_shared_time(record):
    """The record without times and memory of a training that shared its GPU; what `experiments.steps` measured stays."""
    if record["shared"] == 1 or "why_no_graph" in record:
        return record
    return record | dict.fromkeys(("step_ms", "graph_ms", "peak_bytes", "why_no_graph")) | {"time_to": {}}


def time_to(record, step_ms):
    """{target: seconds of training until validation reached it}, at this time of a step."""
    an_epoch = step_ms / 1e3 * (record["examples"] // record["batch"])
    return {target: epochs * an_epoch for target, epochs in record["epochs_to"].items()}


def slim(records, what):
    """The same records in few bytes: see the head of this file. ``what`` collects the descriptions of the data."""
    kept = []
    for record in records:
        record = dict(record)
        if "what" in record:
            what[record.get("task") or record["dataset"]] = record.pop("what")
        if "curve" in record and record["seed"] != 0:
            del record["curve"]
        for row in record.get("curve", []):
            row |= {"neurons": json.loads(row["neurons"])} if isinstance(row.get("neurons"), str) else {}
        if "rse_per_channel" in record:
            record["rse_channel_median"] = middle(record.pop("rse_per_channel"))
        if record.get("missing") and record["r2_per_channel"] is not None:
            record |= {"r2_channel_median": middle(record["r2_per_channel"]), "r2_per_channel": None}
            record = {
                key: value for key, value in record.items() if key not in ("neurons", "width", "step_ms", "epochs")
            }
        if record.get("missing"):
            record.setdefault("r2_channel_median", None)
        kept.append(rounded(record))
    return kept


def middle(channels):
    """Median over the channels that have a value, None where none has."""
    known = [value for value in channels or [] if value is not None]
    return statistics.median(known) if known else None


def rounded(value, digits=DIGITS):
    """Floats to some significant digits, in dicts and lists too."""
    if isinstance(value, dict):
        return {name: rounded(entry, digits) for name, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry, digits) for entry in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("parts", nargs="+", help="result files, or folders of them")
    parser.add_argument("--steps", type=Path, help="file of experiments.steps")
    parser.add_argument(
        "--keep", action="store_true", help="times that the parts have stay; --steps adds what they lack"
    )
    asked = parser.parse_args()
    parts = [
        file for part in map(Path, asked.parts) for file in (sorted(part.glob("*.json")) if part.is_dir() else [part])
    ]
    records = merge(parts, asked.out, steps=asked.steps, keep=asked.keep)
    print(f"{len(records)} records from {len(parts)} files in {asked.out}")


if __name__ == "__main__":
    main()
