"""The tables of the chapter on accuracy, from the record.

    python -m experiments.accuracy_tables          rewrite the tables from experiments/results/accuracy.json

A test fails when page and record differ.
"""

import json
import statistics
from functools import partial
from itertools import pairwise, product
from pathlib import Path

from experiments import pages
from experiments.accuracy_cells import (
    DASH,
    DECAYS,
    K_SHOWN,
    SHORT,
    TASKS,
    cells,
    decays_of,
    drop,
    harm,
    lines_of,
    mean,
    missing_table,
    name,
    number,
    percent,
    seeds,
    share,
    span,
    symbol,
    table,
    tasks_in,
)

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "experiments" / "results" / "accuracy.json"
PAGE = ROOT / "book" / "15-accuracy.md"
ABLATION_ONLY = ("fpt-steep", "lif-truncated")  # arms of the ablations alone
VARIANTS = {
    "fpt": "released: 1, 3, 12, drawn",
    "fpt-graded": "1, 3, 12",
    "fpt-guess": "1, 3, 12, first guess 1/2",
    "fpt-soft": "4, 4, 4",
    "fpt-steep": "12, 12, 12",
    "fpt-hard": "hard, unrolled",
    "fpt-hard-exact": "hard, exact adjoint",
}
BINS = (0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.01)  # of the mismatch


def accuracy_table(results, task):
    """One line a neuron, two columns a decay: as trained and as the sequential LIF."""
    found = cells(results, task)
    decays = decays_of(found)
    head = ["neuron"] + [h for d in decays for h in (symbol(d), "as LIF")]
    rows = []
    for arm, k in lines_of(found):
        row = [name(arm, k)]
        for d in decays:
            at = found.get((arm, d, k), [])
            row += [percent(at), percent(at, "test_as_sequential_lif")]
        if (arm, None, k) in found:  # no decay: said once, in the first column
            row = [name(arm, k), percent(found[arm, None, k])] + [DASH] * (2 * len(decays) - 1)
        rows.append(row)
    return table(head, rows)


def full_table(results, task):
    """Every cell of a task with all that was measured; its epochs are in the set-up."""
    found = cells(results, task)
    head = ["neuron", "$\\lambda$", "test", "as LIF", "drop", "mism., %", "step", "graph", "seeds"]
    rows = []
    for arm, k in lines_of(found):
        for d in [*decays_of(found), None]:
            at = found.get((arm, d, k))
            if at:
                rows.append([
                    name(arm, k), DASH if d is None else d, percent(at), percent(at, "test_as_sequential_lif"),
                    percent(at, drop, sign=True).split("\u00a0")[0], share(at), number(at, "step_ms"), number(at, "graph_ms"),
                    seeds(at),
                ])  # fmt: skip
    return table(head, rows, left=2)


def setup_table(results):
    """What was trained, and for how long."""
    rows = []
    for task in tasks_in(results):
        some = [r for at in cells(results, task).values() for r in at]
        exact = [r["params"] for r in some if r["arm"] in ("lif-exact", "fpt")]
        rows.append([
            TASKS[task], some[0]["steps"], f"{min(exact):,}", f"{some[0]['examples']:,}", some[0]["batch"],
            span(some), len({r["seed"] for r in some}), len(some),
        ])  # fmt: skip
    head = ["task", "$T$", "weights (LIF)", "examples", "batch", "epochs", "seeds", "runs"]
    return table(head, rows)


def loop_table(results):
    """The exact solver beside the loop: accuracies, their distance, times per step."""
    rows = []
    for task in tasks_in(results):
        found = cells(results, task)
        for d in decays_of(found):
            a, b = found.get(("lif-exact", d, None), []), found.get(("lif-loop", d, None), [])
            if mean(a, "test") is None or mean(b, "test") is None:
                continue
            gap = mean(a, "test") - mean(b, "test")
            ratio = mean(b, "step_ms") / mean(a, "step_ms")
            times = [number(a, "step_ms"), number(b, "step_ms"), f"{ratio:.1f}"]
            apart = f"{100 * gap:+.2f}".replace("-", "−")
            rows.append([TASKS[task], a[0]["steps"], d, percent(a), percent(b), apart, *times])
    head = ["task", "$T$", "$\\lambda$", "exact", "loop", "difference", "exact, ms", "loop, ms", "ratio"]
    return table(head, rows)


def gap_table(results, arm="fpt"):
    """The drop from FPT to the LIF it was meant as, with the mismatch, on every task that has it."""
    found = {task: cells(results, task) for task in tasks_in(results)}
    decays = [d for d in DECAYS if any((arm, d, k) in f for f in found.values() for k in (2, 3, 5))]
    head = ["task", "$T$", "$K$"] + [f"{symbol(d)}: drop (mismatch)" for d in decays]
    rows = []
    for task, f in found.items():
        for k in sorted({key[2] for key in f if key[0] == arm and key[2] in K_SHOWN}):
            ats = [f.get((arm, d, k), []) for d in decays]
            steps = next(at[0]["steps"] for at in ats if at)
            rows.append([TASKS[task], steps, k, *map(lost, ats)])
    return table(head, rows)


def lost(rows):
    """'+70.0 ± 2.5 (11 %)': points lost by deployment, and the mismatch."""
    return f"{percent(rows, drop, sign=True)}\u00a0({share(rows)}\u00a0%)" if rows else DASH


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


def bins_table(results):
    """How much is lost at which mismatch: medians and extremes over all FPT runs that do not draw."""
    runs = [run for run in swept_runs(results) if run[3]["arm"] != "fpt"]
    rows = []
    for low, high in pairwise(BINS):
        part = [run for run in runs if low <= run[0] < high]
        if part:
            lost = [run[1] for run in part]
            numbers = (statistics.median(run[2] for run in part), statistics.median(lost), min(lost), max(lost))
            texts = [f"{v:+.1f}".replace("-", "−") for v in numbers]
            rows.append([f"{100 * low:g} to {min(100, 100 * high):g} %", len(part), *texts])
    head = ["mismatch", "runs", "as trained, minus exact LIF", "lost at deployment: median", "least", "most"]
    return table(head, rows)


def sampling_table(results):
    """The published draw at evaluation, on and off, K = 3."""
    rows = []
    for task in tasks_in(results):
        found = cells(results, task)
        for d in decays_of(found):
            at = found.get(("fpt", d, 3))
            if at:
                cols = percent(at), percent(at, "test_without_sampling"), percent(at, harm, 2, True)
                rows.append([TASKS[task], at[0]["steps"], d, *cols])
    return table(["task", "$T$", "$\\lambda$", "drawn", "not drawn", "gained by not drawing"], rows)


def targets_of(found):
    """The validation scores whose time was recorded, those that anybody reached."""
    return sorted({t for rows in found.values() for r in rows for t in r["time_to"]}, key=float)


def time_table(results, task):
    """Seconds of training until validation first reached each target, alone on the device; seeds that reached it."""
    found = cells(results, task)
    goals = targets_of(found)[-3:]
    head = ["neuron", "$\\lambda$"] + [f"to {100 * float(g):.0f} %" for g in goals] + ["step, ms", "graph, ms"]
    rows = []
    for arm, k in lines_of(found):
        if k not in (None, 3):
            continue
        for d in (0.5, 0.9, None):
            at = found.get((arm, d, k))
            if at:
                reached = [reach(at, g) for g in goals]
                rows.append(
                    [name(arm, k), DASH if d is None else d, *reached, number(at, "step_ms"), number(at, "graph_ms")]
                )
    return table(head, rows, left=2)


def reach(rows, goal):
    """'12.3 s', with '(2 of 3)' where not every seed came so far."""
    got = [r["time_to"][goal] for r in rows if goal in r["time_to"]]
    if not got:
        return "never"
    part = "" if len(got) == len(rows) else f" ({len(got)} of {len(rows)})"
    return f"{statistics.fmean(got):.3g}{part}"


def with_ablation(results):
    """{task: its cells} where the grid of the ablations was run."""
    found = {task: cells(results, task) for task in tasks_in(results)}
    return {task: f for task, f in found.items() if any(arm in ABLATION_ONLY for arm, _, _ in f)}


def fixed(found):
    """The decays that were not learned."""
    return [d for d in decays_of(found) if d != "learned"]


def by_task(results, build):
    """One table a task of the ablations, under its name."""
    tables = [(task, build(found)) for task, found in with_ablation(results).items()]
    return "\n\n".join(f"*{TASKS[task]}:*\n\n{text}" for task, text in tables)


def variant_table(found):
    """K = 3, one thing changed at a time: as trained, as the LIF, mismatch."""
    rows = []
    for arm, text in VARIANTS.items():
        ats = [found.get((arm, d, 3), []) for d in fixed(found)]
        cols = [c for at in ats for c in (percent(at), percent(at, "test_as_sequential_lif"), share(at))]
        rows.append([text, *cols, min(map(len, ats))])
    head = ["slopes"] + [h for d in fixed(found) for h in (f"trained, {symbol(d)}", "as LIF", "mismatch, %")]
    return table([*head, "seeds"], rows)


def gradient_table(found):
    """The same LIF forward, other gradients; then three hard sweeps forward with two gradients."""
    lines = [("LIF", "exact adjoint", "lif-exact", None), ("LIF", "detached reset", "lif-detached", None)]
    lines += [("LIF", f"series, {k} term{'s' * (k > 1)}", "lif-truncated", k) for k in (1, 2, 3, 5)]
    lines += [("3 hard sweeps", "exact adjoint", "fpt-hard-exact", 3), ("3 hard sweeps", "unrolled", "fpt-hard", 3)]
    rows = []
    for forward, text, arm, k in lines:
        ats = [found.get((arm, d, k), []) for d in fixed(found)]
        rows.append([forward, text, *map(percent, ats), min(map(len, ats))])
    return table(["forward", "gradient", *map(symbol, fixed(found)), "seeds"], rows, left=2)


def guess_table(found):
    """First guess 0 and 1/2, the same slopes: accuracy, as the LIF, mismatch."""
    rows = []
    for d, k in product(fixed(found), (1, 2, 3, 5)):
        ats = [found.get((arm, d, k), []) for arm in ("fpt-graded", "fpt-guess")]
        cols = [percent(at) for at in ats] + [percent(at, "test_as_sequential_lif") for at in ats] + [*map(share, ats)]
        rows.append([d, k, *cols, min(map(len, ats))])
    head = ["$\\lambda$", "$K$", "trained, from 0", "from 1/2", "as LIF, from 0", "from 1/2"]
    return table([*head, "mismatch, %, from 0", "from 1/2", "seeds"], rows, left=0)


BLOCKS = {
    "setup": setup_table,
    "loop": loop_table,
    **{task: lambda results, task=task: accuracy_table(results, task) for task in SHORT},
    **{f"full {task}": lambda results, task=task: full_table(results, task) for task in SHORT},
    **{f"time {task}": lambda results, task=task: time_table(results, task) for task in SHORT},
    "gap": gap_table,
    "bins": bins_table,
    "sampling": sampling_table,
    "variants": lambda results: by_task(results, variant_table),
    "gradients": lambda results: by_task(results, gradient_table),
    "guess": lambda results: by_task(results, guess_table),
    "missing": missing_table,
}


def page_with_tables(text, results):
    """The page with its tables from the record."""
    return pages.page_with_tables(text, {block: partial(build, results) for block, build in BLOCKS.items()})


def main():
    results = json.loads(RECORD.read_text(encoding="utf-8"))
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    print("wrote", PAGE.name)


if __name__ == "__main__":
    main()
