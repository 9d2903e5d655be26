"""The record of the accuracy runs by cell: the seeds of one task, neuron, decay and K, and how their numbers are printed.

Shared by the tables of the chapters on accuracy and on long tasks, by their notebooks' figures and by their tests.
Accuracies are printed in per cent, mean ± deviation over seeds (n - 1 below).
"""

import statistics
from collections import defaultdict
from pathlib import Path

from experiments import config

CONFIGS = Path(__file__).resolve().parent / "configs"
SHORT = ("rows-mnist", "rows-fashion-mnist", "columns-cifar10")
LONG = ("fsdd-frames", "pixels-mnist", "pixels-fashion-mnist", "permuted-mnist", "permuted-fashion-mnist", "ecg")
DECAYS = (0.5, 0.9, "learned")
NAMES = {
    "lif-exact": "LIF, exact",
    "lif-loop": "LIF, loop",
    "spikingjelly": "LIF, SpikingJelly",
    "fpt": "FPT released",
    "fpt-graded": "FPT not drawn",
    "no-reset": "LIF without reset",
    "psn": "PSN",
    "psn-masked": "masked PSN",
    "psn-sliding": "sliding PSN",
    "psu": "PSU",
    "ipsu": "IPSU",
    "prf": "PRF",
}
TASKS = {  # as printed, unbreakable
    "rows-mnist": "MNIST,\u00a0rows",
    "rows-fashion-mnist": "Fashion,\u00a0rows",
    "columns-cifar10": "CIFAR-10,\u00a0columns",
    "fsdd-frames": "spoken\u00a0digits",
    "pixels-mnist": "MNIST,\u00a0pixels",
    "pixels-fashion-mnist": "Fashion,\u00a0pixels",
    "permuted-mnist": "MNIST,\u00a0permuted",
    "permuted-fashion-mnist": "Fashion,\u00a0permuted",
    "ecg": "ECG",
}
K_SHOWN = (None, 2, 3, 5)  # the tables of tasks; the ablations have K = 1 too
DASH = "–"


def cells(results, task, part=None):
    """{(arm, decay, k): records, one a seed} of a task; of a spoken-digit task the official takes unless ``part`` is given."""
    found = defaultdict(list)
    for r in results["records"]:
        wanted = (part or "official takes") if task.startswith("fsdd") else r["part"]
        if r["task"] == task and r["seed"] is not None and r["part"] == wanted:
            found[r["arm"], r["decay"], r["k"]].append(r)
    return {key: sorted(rows, key=lambda r: r["seed"]) for key, rows in found.items()}


def values(rows, field):
    """The numbers of a field over seeds; runs without one (diverged, not evaluated) are left out."""
    got = [field(r) if callable(field) else r[field] for r in rows]
    return [v for v in got if v is not None]


def drop(record):
    """Accuracy as trained minus accuracy as the sequential LIF, or None."""
    parts = record["test"], record["test_as_sequential_lif"]
    return None if None in parts else parts[0] - parts[1]


def harm(record):
    """Accuracy without minus accuracy with the draw at evaluation, or None."""
    parts = record["test_without_sampling"], record["test"]
    return None if None in parts else parts[0] - parts[1]


def mean(rows, field):
    """Mean over seeds, or None."""
    got = values(rows, field)
    return statistics.fmean(got) if got else None


def deviation(rows, field):
    """Deviation over seeds (n - 1 below), or None for fewer than two."""
    got = values(rows, field)
    return statistics.stdev(got) if len(got) > 1 else None


def percent(rows, field="test", digits=1, sign=False):
    """'97.3 ± 0.2' in per cent, unbreakable; the deviation is left out for one seed, a dash stands for none."""
    m, sd = mean(rows, field), deviation(rows, field)
    if m is None:
        return DASH
    text = f"{100 * m:+.{digits}f}" if sign else f"{100 * m:.{digits}f}"
    text = text.replace("-", "−")
    return text if sd is None else f"{text}\u00a0±\u00a0{100 * sd:.{digits}f}"


def number(rows, field):
    """Mean with three significant digits, or a dash."""
    m = mean(rows, field)
    return DASH if m is None else f"{m:.3g}" if m < 100 else f"{m:,.0f}"


def share(rows, field="spike_mismatch"):
    """A share in per cent: 0 stays 0, small ones keep two digits."""
    m = mean(rows, field)
    return DASH if m is None else "0" if m == 0 else f"{100 * m:.2g}" if m < 0.1 else f"{100 * m:.0f}"


def name(arm, k=None, names=NAMES):
    """A neuron's name as printed, with its K."""
    return names.get(arm, arm) + (f", $K={k}$" if k is not None else "")


def table(head, rows, left=1):
    """A Markdown table; the first ``left`` columns are set left, the others right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * left + "---:|" * (len(head) - left)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def decays_of(found):
    """Decays of a table in printing order, those of neurons without one left out."""
    got = {d for _, d, _ in found if d is not None}
    return sorted(got - {"learned"}) + (["learned"] if "learned" in got else [])


def lines_of(found, names=NAMES):
    """(arm, k) in printing order."""
    order = {arm: i for i, arm in enumerate(names)}
    return sorted(
        {(a, k) for a, _, k in found if a in order and k in K_SHOWN}, key=lambda line: (order[line[0]], line[1] or 0)
    )


def symbol(decay):
    """A decay as printed in a head."""
    return f"$\\lambda={decay}$" if decay != "learned" else "learned"


def span(rows, field="epochs"):
    """'8' or '8 to 12' over seeds."""
    got = sorted(values(rows, field))
    return DASH if not got else str(got[0]) if got[0] == got[-1] else f"{got[0]} to {got[-1]}"


def seeds(rows):
    """How many seeds, and how many of them diverged."""
    lost = sum(r["diverged"] for r in rows)
    return f"{len(rows)}" + (f" ({lost} diverged)" if lost else "")


def tasks_in(results, wanted=SHORT + LONG):
    """The tasks of a list that the record has."""
    return [t for t in wanted if cells(results, t)]


def missing_table(results):
    """The grids of the configs beside what of them is in the record."""
    part = lambda r: "held-out" if r["part"].startswith("held-out") else ""
    done = [r for r in results["records"] if r["seed"] is not None]
    have = {tuple(map(str, (r["task"], part(r), r["arm"], r["decay"], r["k"], r["seed"]))) for r in done}
    rows = []
    for path in sorted(CONFIGS.glob("*.toml")):
        if path.name.startswith(("forecast-", "digits", "fsdd-raw")):
            continue
        runs = config.expand(config.read(path))
        count = sum(tuple(map(str, named(run))) in have for run in runs)
        if count < len(runs):
            rows.append([f"`{path.name}`", len(runs), count or "none"])
    return table(["config", "runs in its grid", "in the record"], rows)


def named(run):
    """What names a run in the record; spoken digits with a speaker held out are another part."""
    task, speaker = run.task["name"], run.task.get("speaker")
    return task, "held-out" if speaker else "", run.arm, run.decay, run.k, run.seed
