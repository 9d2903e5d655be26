"""Time and memory in the chapter on long tasks: a step on three tasks, training to a mark, and raw speech against T."""

import statistics

from experiments.accuracy_cells import DASH, NAMES, SEEDS, mean, name, table
from experiments.long_cells import CLOCKED, PERMUTED, PIXELS, rows_of, shown_k
from experiments.timing_tables import significant

TARGETS = ("0.3", "0.4", "0.5", "0.6", "0.7")


def timed(record, title, arm, field):
    """A field of the step alone on the GPU at decay 0.9 (or without one), FPT with K = 3; None where not measured."""
    rows = rows_of(record, title, arm, 0.9, shown_k(arm)) or rows_of(record, title, arm, None)
    return mean(rows, field) if rows else None


def ratio(record, title, arm, field):
    """Time of an arm's step over that of the exact arm, or None."""
    pair = [timed(record, title, a, field) for a in (arm, "lif-exact")]
    return None if None in pair else pair[0] / pair[1]


def multiple(value):
    """Two digits: 25, 4.2, 0.98."""
    return DASH if value is None else f"{value:.2g}" if value < 100 else f"{value:.0f}"


def shown_arms(record):
    return [arm for arm in NAMES if any(timed(record, title, arm, "step_ms") for title in CLOCKED)]


def speed_table(record):
    """A training step of every neuron on three tasks: eager / captured ms, and both as multiples of the exact arm's."""
    made = []
    both = lambda show, read: " / ".join(show(read(field)) for field in ("step_ms", "graph_ms"))
    for arm in shown_arms(record):
        texts = []
        for title in CLOCKED:
            texts.append(both(significant, lambda f, t=title: timed(record, t, arm, f)))
            texts.append(both(multiple, lambda f, t=title: ratio(record, t, arm, f)))
        made.append([name(arm, shown_k(arm)), *(DASH if t == "– / –" else t for t in texts)])
    head = [h for title, steps in CLOCKED.items() for h in (f"{title}, $T={steps}$: ms", "× exact")]
    return table(["neuron", *head], made)


def run_of(record, title, arm):
    """Number of the run of `experiments.steps` that timed an arm; None stands for the first ones."""
    rows = rows_of(record, title, arm, 0.9, shown_k(arm)) or rows_of(record, title, arm, None)
    return rows[0].get("timed") if rows else None


def peak(record, title, arm):
    """Peak of an arm's step where it was timed together with the exact arm's: a peak holds all data that lay on the GPU."""
    together = run_of(record, title, arm) == run_of(record, title, "lif-exact")
    return timed(record, title, arm, "peak_bytes") if together else None


def peak_table(record):
    """Peak memory of the same steps, MB."""
    made = []
    for arm in shown_arms(record):
        peaks = [megabytes(peak(record, title, arm)) for title in CLOCKED]
        if set(peaks) != {DASH}:
            made.append([name(arm, shown_k(arm)), *peaks])
    return table(["neuron", *(f"{title}, $T={steps}$" for title, steps in CLOCKED.items())], made)


def raw(record):
    """{arm: {T: record}} of the runs on raw speech, which are there for time and memory alone."""
    made = {}
    for r in record["records"]:
        if r["task"] == "fsdd-raw":
            made.setdefault(r["arm"], {})[r["steps"]] = r
    return {arm: made[arm] for arm in NAMES if arm in made}


def lengths_of(record):
    return sorted({steps for of_arm in raw(record).values() for steps in of_arm})


def earlier(record):
    """The lengths timed in the first run, whose program could not yet record a step with this optimiser."""
    runs = [r for of_arm in raw(record).values() for r in of_arm.values()]
    return {r["steps"] for r in runs if "capturable" in (r["why_no_graph"] or "")}


def raw_table(record, field, shown):
    """Raw speech: a row for each neuron, a column for each T where the field was measured; the first run's are starred."""
    found, old = raw(record), earlier(record)
    lengths = [t for t in lengths_of(record) if any(of_arm.get(t, {}).get(field) for of_arm in found.values())]
    made = [
        [name(arm, shown_k(arm)), *(shown(of_arm.get(steps, {}).get(field)) for steps in lengths)]
        for arm, of_arm in found.items()
    ]
    return table(["neuron", *(f"{steps:,}" + "\\*" * (steps in old) for steps in lengths)], made)


def time_table(record):
    """Seconds of training to the first epoch whose validation accuracy reaches a target: mean, and how many got there."""
    made = []
    for title in PIXELS | PERMUTED:
        for arm in ("lif-exact", "lif-loop", "spikingjelly", "fpt", "psn"):
            rows = rows_of(record, title, arm, 0.9, shown_k(arm)) or rows_of(record, title, arm, None)
            texts = [seconds([r["time_to"][goal] for r in rows if goal in r["time_to"]], len(rows)) for goal in TARGETS]
            if set(texts) != {DASH}:
                made.append([title, name(arm, shown_k(arm)), *texts])
    return table(["task", "neuron", *(f"{100 * float(goal):.0f} %" for goal in TARGETS)], made, left=2)


def seconds(times, runs):
    """Mean over the seeds that got there: '1.59 (1 of 3)' where not all did, '0.397 (2)' where there are not three."""
    if not times:
        return DASH
    part = "" if runs == SEEDS else f" ({runs})"
    return significant(statistics.fmean(times)) + (part if len(times) == runs else f" ({len(times)} of {runs})")


def megabytes(value):
    return DASH if value is None else f"{value / 1e6:,.0f}"


BLOCKS = {
    "speed": speed_table,
    "peak": peak_table,
    "time-to": time_table,
    "raw-time": lambda record: raw_table(record, "step_ms", significant),
    "raw-graph": lambda record: raw_table(record, "graph_ms", significant),
    "raw-memory": lambda record: raw_table(record, "peak_bytes", megabytes),
}
