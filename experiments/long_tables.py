"""The tables of the chapter on long tasks, from the record of the accuracy runs.

    python -m experiments.long_tables          rewrite them from experiments/results/accuracy.json

A test fails when page and record differ.
"""

import statistics
from functools import partial
from pathlib import Path

from experiments import pages
from experiments.accuracy_cells import DASH, DECAYS, NAMES, cells, deviation, mean, name, percent, span, table, values
from experiments.timing_tables import significant
from fptlib.data import results

PAGE = Path(__file__).resolve().parents[1] / "book" / "16-long-tasks.md"
NEW_SPEAKER = "held-out speaker theo"
PIXELS = {
    "pixels MNIST": ("pixels-mnist", None),
    "pixels Fashion": ("pixels-fashion-mnist", None),
    "permuted MNIST": ("permuted-mnist", None),
    "permuted Fashion": ("permuted-fashion-mnist", None),
}
SIGNALS = {
    "FSDD, takes": ("fsdd-frames", None),
    "FSDD, new speaker": ("fsdd-frames", NEW_SPEAKER),
    "ECG": ("ecg", None),
}
PLACES = PIXELS | SIGNALS
CONFIGS = {  # the files that run a task
    "pixels MNIST": ("pixels-mnist", "loops-pixels-mnist"),
    "pixels Fashion": ("pixels-fashion-mnist", "loops-pixels-fashion-mnist"),
    "permuted MNIST": ("permuted-mnist", "loops-permuted-mnist"),
    "permuted Fashion": ("permuted-fashion-mnist", "loops-permuted-fashion-mnist"),
    "FSDD, takes": ("fsdd-frames", "loops-fsdd-frames"),
    "FSDD, new speaker": ("fsdd-frames-speaker", "loops-fsdd-frames-speaker"),
    "ECG": ("ecg", "loops-ecg"),
}
LENGTHS = (1000, 2000, 4000, 8000, 16000, 18000)
CLOCKED = {"pixels MNIST": 784, "FSDD, takes": 600, "ECG": 1300}
TARGETS = ("0.3", "0.4", "0.5", "0.6", "0.7")
SEEDS = 3


def rows_of(record, title, arm, decay=None, k=None):
    """The seeds of one cell of a task."""
    return cells(record, *PLACES[title]).get((arm, decay, k), [])


def score(rows, field="test"):
    """'97.3 ± 0.2', with the number of seeds in brackets where it is not three, and the trainings that diverged."""
    count, lost = len(values(rows, field)), sum(r["diverged"] for r in rows)
    text = percent(rows, field) + ("" if count in (0, SEEDS) else f" ({count})")
    return text + (f", {lost} lost" if lost else "")


def there(record, titles=PLACES):
    """The tasks of a list that the record has; the others wait for their runs."""
    return [title for title in titles if cells(record, *PLACES[title])]


def missing(record):
    """A list of what has not been run, with the configs that would run it."""
    waiting = [title for title in PLACES if title not in there(record)]
    made = [f"- {title}: " + ", ".join(f"`{config}`" for config in CONFIGS[title]) for title in waiting]
    done = {steps: {arm for arm, of_arm in raw(record).items() if steps in of_arm} for steps in LENGTHS}
    most = max(map(len, done.values()))
    for steps in LENGTHS:
        if len(done[steps]) < most:
            how = f" (only {', '.join(name(arm) for arm in done[steps])})" if done[steps] else ""
            made.append(f"- FSDD, raw, {steps:,} steps{how}: `fsdd-raw-{steps}`")
    return "\n".join(made or ["Nothing: every config of this chapter has its records."])


def kinds(arm):
    """The values of K an arm is shown with."""
    return (2, 3, 5) if arm in ("fpt", "fpt-graded") else (None,)


def setup_table(record):
    """What was trained and for how long; weights are those of the exact LIF with a fixed decay."""
    made = []
    for title, place in PLACES.items():
        rows = [r for seeds in cells(record, *place).values() for r in seeds]
        if rows:
            size = next(r["params"] for r in rows if r["arm"] == "lif-exact" and r["decay"] == 0.9)
            first = rows[0]
            made.append([title, first["steps"], f"{first['examples']:,}", first["batch"], span(rows), f"{size:,}"])
    return table(["task", "$T$", "training examples", "batch", "epochs", "weights (LIF)"], made)


def accuracy_table(record, titles, weights=False):
    """Test accuracy over seeds: a row for each neuron and decay, a column for each task, and the number of weights."""
    made, titles = [], there(record, titles)
    for arm in NAMES:
        for decay in (*DECAYS, None):
            k = 3 if 3 in kinds(arm) else None
            found = [rows_of(record, title, arm, decay, k) for title in titles]
            if any(found):
                size = [f"{next(filter(None, found))[0]['params']:,}"] if weights else []
                made.append([name(arm, k), DASH if decay is None else decay, *map(score, found), *size])
    return table(["neuron", "decay", *titles, *(["weights"] if weights else [])], made)


def twins(record):
    """(task, decay, exact, loop): the records of both arms wherever both were trained."""
    for title in PLACES:
        for decay in DECAYS:
            pair = [rows_of(record, title, arm, decay) for arm in ("lif-exact", "lif-loop")]
            if all(values(rows, "test") for rows in pair):
                yield title, decay, *pair


def signed(value, digits=2):
    return f"{value:+.{digits}f}".replace("-", "−")


def loop_table(record):
    """The exact arm beside the loop: means, and their difference in points and in units of the loop's deviation."""
    made = []
    for title, decay, exact, loop in twins(record):
        gap, sd = mean(exact, "test") - mean(loop, "test"), deviation(loop, "test")
        made.append([title, decay, score(exact), score(loop), signed(100 * gap), signed(gap / sd) if sd else DASH])
    return table(["task", "decay", "exact", "loop", "difference, points", "in sd of the loop"], made)


def deployed_table(record, titles):
    """FPT as trained → evaluated as the sequential LIF (share of spikes that differ), all in per cent."""
    made, titles = [], there(record, titles)
    for arm in ("fpt", "fpt-graded"):
        for k in kinds(arm):
            for decay in DECAYS:
                found = [deployed(rows_of(record, title, arm, decay, k)) for title in titles]
                if set(found) != {DASH}:
                    made.append([name(arm, k), decay, *found])
    return table(["trained with", "decay", *titles], made)


def deployed(rows):
    """One cell of `deployed_table`."""
    three = [mean(rows, field) for field in ("test", "test_as_sequential_lif", "spike_mismatch")]
    return DASH if None in three else "{:.1f} → {:.1f} ({:.1f})".format(*(100 * v for v in three))


def timed(record, title, arm, field):
    """A field of the step alone on the GPU at decay 0.9 (or without one), FPT with K = 3; None where not measured."""
    k = 3 if 3 in kinds(arm) else None
    rows = rows_of(record, title, arm, 0.9, k) or rows_of(record, title, arm, None, k)
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
        made.append([name(arm, 3 if 3 in kinds(arm) else None), *(DASH if t == "– / –" else t for t in texts)])
    head = [h for title, steps in CLOCKED.items() for h in (f"{title}, $T={steps}$: ms", "× exact")]
    return table(["neuron", *head], made)


def peak_table(record):
    """Peak memory of the same steps, MB."""
    made = []
    for arm in shown_arms(record):
        peaks = [megabytes(timed(record, title, arm, "peak_bytes")) for title in CLOCKED]
        made.append([name(arm, 3 if 3 in kinds(arm) else None), *peaks])
    return table(["neuron", *(f"{title}, $T={steps}$" for title, steps in CLOCKED.items())], made)


def raw(record):
    """{arm: {T: record}} of the runs on raw speech, which are there for time and memory alone."""
    made = {}
    for r in record["records"]:
        if r["task"] == "fsdd-raw":
            made.setdefault(r["arm"], {})[r["steps"]] = r
    return {arm: made[arm] for arm in NAMES if arm in made}


def raw_table(record, fields, shown):
    """Raw speech: a row for each neuron, a column for each T; a cell shows those fields that were measured."""
    found = raw(record)
    fields = [f for f in fields if any(r.get(f) for of_arm in found.values() for r in of_arm.values())]
    lengths = sorted({steps for of_arm in found.values() for steps in of_arm})
    made = []
    for arm, of_arm in found.items():
        texts = [" / ".join(shown(of_arm.get(steps, {}).get(field)) for field in fields) for steps in lengths]
        made.append([name(arm, 3 if 3 in kinds(arm) else None), *(DASH if set(t) <= set("–/ ") else t for t in texts)])
    return table(["neuron", *(f"{steps:,}" for steps in lengths)], made)


def time_table(record):
    """Seconds of training to the first epoch whose validation accuracy reaches a target: median, and how many got there."""
    made = []
    for title in PIXELS:
        for arm in ("lif-exact", "lif-loop", "spikingjelly", "fpt", "psn"):
            k = 3 if 3 in kinds(arm) else None
            for decay in (0.9, None):
                times = [r["time_to"] for r in rows_of(record, title, arm, decay, k) if r.get("time_to") is not None]
                texts = [seconds([t[goal] for t in times if goal in t], len(times)) for goal in TARGETS]
                if set(texts) != {DASH}:
                    made.append([title, name(arm, k), DASH if decay is None else decay, *texts])
    return table(["task", "neuron", "decay", *(f"{100 * float(goal):.0f} %" for goal in TARGETS)], made, left=2)


def seconds(times, runs):
    """Median over the seeds that got there; how many, where not all did."""
    if not times:
        return DASH
    return significant(statistics.median(times)) + ("" if len(times) == runs else f" ({len(times)})")


def learned(record, title, arm="lif-exact"):
    """Mean learned decay of each layer over seeds, [] where nothing was learned."""
    found = [r["learned_decays"] for r in rows_of(record, title, arm, "learned") if r.get("learned_decays")]
    return [statistics.fmean(layer) for layer in zip(*found)]


def learned_table(record):
    """Decay → horizon in steps of each layer, learned by the exact arm."""
    found = {title: learned(record, title) for title in PLACES}
    depth = max(map(len, found.values()))
    made = [[title, *(f"{d:.2f} → {1 / (1 - d):.1f}" for d in decays)] for title, decays in found.items() if decays]
    return table(["task", *(f"layer {i + 1}" for i in range(depth))], made)


def megabytes(value):
    return DASH if value is None else f"{value / 1e6:,.0f}"


BLOCKS = {
    "missing": missing,
    "setup": setup_table,
    "pixels": lambda record: accuracy_table(record, PIXELS, weights=True),
    "signals": lambda record: accuracy_table(record, SIGNALS),
    "loop": loop_table,
    "learned": learned_table,
    "deployed-pixels": lambda record: deployed_table(record, PIXELS),
    "deployed-signals": lambda record: deployed_table(record, SIGNALS),
    "speed": speed_table,
    "peak": peak_table,
    "time-to": time_table,
    "raw-time": lambda record: raw_table(record, ("step_ms", "graph_ms"), significant),
    "raw-memory": lambda record: raw_table(record, ("peak_bytes",), megabytes),
}


def page_with_tables(text, record):
    """The page with its tables from the record."""
    return pages.page_with_tables(text, {block: partial(build, record) for block, build in BLOCKS.items()})


def main():
    PAGE.write_text(page_with_tables(PAGE.read_text(), results("accuracy")))
    print("wrote", PAGE.name)


if __name__ == "__main__":
    main()
