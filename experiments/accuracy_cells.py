"""The record of the accuracy runs by cell: the seeds of one task, neuron, decay and K, and how their numbers are printed.

Shared by the tables of the chapters on accuracy and on long tasks, by their notebooks' figures and by their tests.
Accuracies are printed in per cent, mean ± deviation over seeds (n - 1 below).
"""

import statistics
from collections import defaultdict

from experiments.record import time_to

SHORT = ("rows-mnist", "rows-fashion-mnist", "columns-cifar10")
SPEAKER = "fsdd-frames-speaker"  # as its config is called; in the record a part of "fsdd-frames"
LONG = (
    "fsdd-frames",
    SPEAKER,
    "pixels-mnist",
    "pixels-fashion-mnist",
    "permuted-mnist",
    "permuted-fashion-mnist",
    "ecg",
)
PARTS = {"fsdd-frames": "official takes", SPEAKER: "held-out speaker theo"}
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
    "columns-cifar10": "CIFAR\u201110,\u00a0columns",
    "fsdd-frames": "spoken\u00a0digits",
    SPEAKER: "digits,\u00a0new\u00a0speaker",
    "pixels-mnist": "MNIST,\u00a0pixels",
    "pixels-fashion-mnist": "Fashion,\u00a0pixels",
    "permuted-mnist": "MNIST,\u00a0permuted",
    "permuted-fashion-mnist": "Fashion,\u00a0permuted",
    "ecg": "ECG",
}
K_SHOWN = (None, 2, 3, 5)  # the tables of tasks; the ablations have K = 1 too
DASH = "–"
SEEDS = 3  # of a complete cell


def cells(results, task):
    """{(arm, decay, k): records, one a seed} of a task; a step that was not timed for this task has the time of its shape."""
    found, steps = defaultdict(list), steps_by_shape(results)
    name = "fsdd-frames" if task == SPEAKER else task
    for r in results["records"]:
        if r["task"] == name and r["seed"] is not None and r["part"] == PARTS.get(task, r["part"]):
            found[r["arm"], r["decay"], r["k"]].append(with_step(r, steps))
    return {key: sorted(rows, key=lambda r: r["seed"]) for key, rows in found.items()}


def shape_key(record):
    """What a step's time depends on: sizes, batch and precision ("shape"), and the neuron."""
    return tuple(record.get(field) for field in ("shape", "arm", "decay", "k"))


def steps_by_shape(results):
    """{shape and neuron: its timed step}: permuted digits make the computation of digits in order, other speakers that of takes."""
    return {
        shape_key(r): {field: r.get(field) for field in ("step_ms", "graph_ms", "peak_bytes", "timed")}
        for r in results["records"]
        if r.get("step_ms")
    }


def with_step(record, steps):
    """The record with the step of its shape and the times that follow from it, where it has none of its own."""
    step = steps.get(shape_key(record))
    if record.get("step_ms") or not step:
        return record
    return record | step | {"time_to": time_to(record, step["step_ms"])}


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


def score(rows, field="test", sign=False):
    """'97.3 ± 0.2', with the number of seeds in brackets where it is not three, and the trainings that diverged."""
    count, lost = len(values(rows, field)), sum(r["diverged"] for r in rows)
    text = percent(rows, field, sign=sign) + ("" if count in (0, SEEDS) else f"\u00a0({count})")
    return text + (f", {lost} lost" if lost else "")


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


def between(counts):
    """'3' or '1 to 3'."""
    got = sorted(set(counts))
    return str(got[0]) if len(got) == 1 else f"{got[0]} to {got[-1]}"


def signed(value, digits=2):
    """A difference with its sign, a true minus."""
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def seeds(rows):
    """How many seeds, and how many of them diverged."""
    lost = sum(r["diverged"] for r in rows)
    return f"{len(rows)}" + (f" ({lost} diverged)" if lost else "")


def tasks_in(results, wanted=SHORT + LONG):
    """The tasks of a list that the record has."""
    return [t for t in wanted if cells(results, t)]


def swept_runs(results):
    """(mismatch, points lost at deployment, points above the exact LIF as trained, record) of every FPT run."""
    runs = []
    for task in tasks_in(results):
        found = cells(results, task)
        for (arm, d, _), rows in found.items():
            base = mean(found.get(("lif-exact", d, None), []), "test")
            if arm.startswith("fpt") and base is not None:
                runs += [
                    (r["spike_mismatch"], 100 * drop(r), 100 * (r["test"] - base), r)
                    for r in rows
                    if drop(r) is not None
                ]
    return runs
