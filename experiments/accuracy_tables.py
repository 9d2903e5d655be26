"""The tables of the chapter on accuracy, from the record.

    python -m experiments.accuracy_tables          rewrite the tables from experiments/results/accuracy.json

A test fails when page and record differ.
"""

import json
import statistics
from functools import partial
from itertools import pairwise
from pathlib import Path

from experiments import accuracy_ablation, accuracy_words, pages
from experiments.accuracy_cells import (
    DASH,
    DECAYS,
    K_SHOWN,
    SHORT,
    TASKS,
    between,
    cells,
    decays_of,
    drop,
    harm,
    lines_of,
    mean,
    name,
    number,
    percent,
    score,
    seeds,
    share,
    signed,
    span,
    swept_runs,
    symbol,
    table,
    tasks_in,
)
from experiments.accuracy_missing import missing

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "experiments" / "results" / "accuracy.json"
PAGE = ROOT / "book" / "15-accuracy.md"
CLOCKS = ("step_ms", "graph_ms")
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
            row += [score(at), score(at, "test_as_sequential_lif")]
        if (arm, None, k) in found:  # no decay: said once, in the first column
            row = [name(arm, k), score(found[arm, None, k])] + [DASH] * (2 * len(decays) - 1)
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
            TASKS[task], some[0]["steps"], f"{min(exact):,}", f"{some[0]['examples']:,}", f"{some[0]['batch']} × {span(some)}",
            between(map(len, cells(results, task).values())), len(some),
        ])  # fmt: skip
    head = ["task", "$T$", "weights (LIF)", "examples", "batch × epochs", "seeds a cell", "runs"]
    return table(head, rows)


def loop_table(results):
    """The exact solver beside the loop: accuracies, their distance over the seeds that both have, times per step."""
    rows = []
    for task, d, a, b in accuracy_words.twins(results):
        gap = statistics.fmean(accuracy_words.shared(a, b))
        times = [times_as_long(b, a, clock, "{:.3g}") for clock in CLOCKS]
        rows.append([TASKS[task], d, score(a), score(b), signed(100 * gap), *times])
    head = ["task", "$\\lambda$", "exact", "loop", "apart", "step, ratio", "graph, ratio"]
    return table(head, rows)


def times_as_long(rows, base, clock, form):
    """A step of one cell as a multiple of another's; a dash where one of them was not timed."""
    pair = [mean(at, clock) for at in (rows, base)]
    return DASH if None in pair else form.format(pair[0] / pair[1])


def gap_table(results, arm="fpt"):
    """The drop from FPT to the LIF it was meant as, with the mismatch, on every task that has it."""
    found = {task: cells(results, task) for task in tasks_in(results)}
    decays = [d for d in DECAYS if any((arm, d, k) in f for f in found.values() for k in (2, 3, 5))]
    head = ["task", "$T$", "$K$"] + [f"{symbol(d)}: drop, mismatch" for d in decays]
    rows = []
    for task, f in found.items():
        for k in sorted({key[2] for key in f if key[0] == arm and key[2] in K_SHOWN}):
            ats = [f.get((arm, d, k), []) for d in decays]
            steps = next(at[0]["steps"] for at in ats if at)
            rows.append([TASKS[task], steps, k, *map(lost, ats)])
    return table(head, rows)


def lost(rows):
    """'+70.0 ± 2.5, 11 %': points lost by deployment, and the mismatch."""
    return f"{score(rows, drop, sign=True)}, {share(rows)}\u00a0%" if rows else DASH


def bins_table(results):
    """How much is lost at which mismatch: medians and extremes over all FPT runs that do not draw."""
    runs = [run for run in swept_runs(results) if run[3]["arm"] != "fpt"]
    rows = []
    for low, high in pairwise(BINS):
        part = [run for run in runs if low <= run[0] < high]
        if part:
            lost = [run[1] for run in part]
            numbers = (statistics.median(run[2] for run in part), statistics.median(lost), min(lost), max(lost))
            rows.append(
                [
                    f"{100 * low:g} to {min(100, 100 * high):g} %".replace(" ", "\u00a0"),
                    len(part),
                    *(signed(v, 1) for v in numbers),
                ]
            )
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
                cols = score(at), score(at, "test_without_sampling"), percent(at, harm, 2, True)
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


def rivals_table(results):
    """The exact solver beside SpikingJelly's fused kernel: the same LIF, the time to the highest mark all seeds of both reach."""
    rows = []
    for task in tasks_in(results):
        found = cells(results, task)
        for d in decays_of(found):
            pair = [found.get((arm, d, None), []) for arm in ("lif-exact", "spikingjelly")]
            if all(pair):
                ratios = [times_as_long(pair[1], pair[0], clock, "{:.2f}") for clock in CLOCKS]
                rows.append([TASKS[task], d, *map(score, pair), race(pair), *ratios])
    head = ["task", "$\\lambda$", "exact", "SpikingJelly", "to a mark, s", "step, ratio", "graph, ratio"]
    return table(head, rows)


def side_table(results):
    """At decay 0.9, points above the exact LIF as trained: no reset at all, and three sweeps as released and not drawn."""
    rows = []
    for task in tasks_in(results):
        found = cells(results, task)
        base = found.get(("lif-exact", 0.9, None), [])
        ats = [found.get((arm, 0.9, k), []) for arm, k in (("no-reset", None), ("fpt", 3), ("fpt-graded", 3))]
        if base and all(ats):
            fewest = min(map(len, [base, *ats]))
            apart = [signed(100 * (mean(at, "test") - mean(base, "test")), 1) for at in ats]
            rows.append([TASKS[task], base[0]["steps"], *apart, fewest])
    head = ["task", "$T$", "no reset", "three sweeps, released", "not drawn", "seeds, at least"]
    return table(head, rows)


def race(pair):
    """'95 %: 6.16, 7.4': the highest mark that every seed of both arms reached, and the mean seconds of each to it."""
    goals = [g for g in pair[0][0]["time_to"] if all(g in r["time_to"] for rows in pair for r in rows)]
    if not goals:
        return DASH
    goal = max(goals, key=float)
    times = ", ".join(f"{mean(rows, lambda r: r['time_to'][goal]):.3g}" for rows in pair)
    return f"{100 * float(goal):.0f} %: {times}".replace(" ", "\u00a0")


def ablated(build, task):
    """A table of the ablations on one task."""
    return lambda results: build(cells(results, task))


ROWS, FRAMES = "rows-fashion-mnist", "fsdd-frames"
BLOCKS = {
    "setup": setup_table,
    "loop": loop_table,
    **{task: lambda results, task=task: accuracy_table(results, task) for task in SHORT},
    **{f"full {task}": lambda results, task=task: full_table(results, task) for task in SHORT},
    **{f"time {task}": lambda results, task=task: time_table(results, task) for task in SHORT},
    "rivals": rivals_table,
    "gap": gap_table,
    "side": side_table,
    "bins": bins_table,
    "sampling": sampling_table,
    "variants": ablated(accuracy_ablation.variant_table, ROWS),
    "gradients": ablated(accuracy_ablation.gradient_table, ROWS),
    "guess": ablated(accuracy_ablation.guess_table, ROWS),
    "frames variants": ablated(accuracy_ablation.variant_table, FRAMES),
    "frames gradients": ablated(accuracy_ablation.gradient_table, FRAMES),
    "frames guess": ablated(accuracy_ablation.guess_table, FRAMES),
    "missing": missing,
    **accuracy_words.BLOCKS,
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
