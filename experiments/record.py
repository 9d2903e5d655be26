"""Results as JSON: a header that says where the numbers come from, and a list of records.

python -m experiments.record experiments/results/accuracy.json .data/runs/*.json      merges parts into one file
"""

import argparse
import json
import math
import platform
import shlex
import subprocess
import sys
import time
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


def header(command=None):
    """Device, driver, versions, date, commit and command of this process."""
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
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "commit": (_ask("git", "rev-parse", "HEAD") or "unknown") + (" with changes" if dirty else ""),
        "command": command or shlex.join(["python", *_as_typed()]),
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
    text = json.dumps({"header": head or header()}, indent=1)[:-2]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{text},\n "records": [\n{rows}\n ]\n}}\n', encoding="utf-8")


def fields_of(records):
    """Which experiment a list of records belongs to."""
    return FORECASTING if records and "dataset" in records[0] else ACCURACY


def merge(paths, out, command=None):
    """Join result files into one; each record keeps the number of the header ("run") it was made under.

    Raises:
        ValueError: two records with the same name (task, arm, seed, ...), or a file without records.
    """
    runs, records, seen = [], [], {}
    for path in map(Path, paths):
        part = json.loads(path.read_text(encoding="utf-8"))
        if not part.get("records"):
            raise ValueError(f"{path} holds no records.")
        heads = part["header"].get("runs", [part["header"]])
        fields = fields_of(part["records"])
        for record in part["records"]:
            key = tuple(str(record.get(name)) for name in KEYS[fields])
            if key in seen:
                raise ValueError(f"{path} and {seen[key]} both hold {key}; merge each record once.")
            seen[key] = path
            records.append(record | {"run": len(runs) + record.get("run", 0)})
        runs += heads
    same = {name: runs[0][name] if all(r[name] == runs[0][name] for r in runs) else "see runs" for name in HEADER}
    head = same | {"command": command or shlex.join(["python", *_as_typed()]), "runs": runs}
    write(out, sorted(records, key=lambda r: [str(r.get(n)) for n in KEYS[fields]]), fields, head)
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("parts", nargs="+")
    asked = parser.parse_args()
    records = merge(asked.parts, asked.out)
    print(f"{len(records)} records from {len(asked.parts)} files in {asked.out}")


if __name__ == "__main__":
    main()
