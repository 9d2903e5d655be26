"""Sentences of the chapter on accuracy that rest on parts of the record which still grow: computed, so that they stay true.

What is complete, three seeds in every cell, is written on the page itself and asserted by its tests.
"""

import math
import statistics

from experiments.accuracy_ablation import VARIANTS
from experiments.accuracy_cells import (
    DECAYS,
    LONG,
    NAMES,
    SEEDS,
    SHORT,
    SPEAKER,
    TASKS,
    between,
    cells,
    decays_of,
    deviation,
    drop,
    mean,
    percent,
    score,
    signed,
    swept_runs,
    tasks_in,
    values,
)
from experiments.pages import listed

COLUMNS, FRAMES = "columns-cifar10", "fsdd-frames"
# How often the means of two samples of three from one normal law are further apart than the larger of their deviations:
# (2/3) Z^2 > max(E, E'), Z standard normal, E and E' exponential (see the exercise on three seeds).
APART = 1 - 2 / math.sqrt(1 + 4 / 3) + 1 / math.sqrt(1 + 8 / 3)
T_FIVE = 2.776  # two-sided 5 % of Student's t with four degrees of freedom
SETS = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
SPOKEN = {f"rows-{data}": f"rows of {name}" for data, name in SETS.items()}
SPOKEN |= {f"pixels-{data}": f"pixels of {name}" for data, name in SETS.items()}
SPOKEN |= {f"permuted-{data}": f"permuted {name}" for data, name in SETS.items()}
SPOKEN |= {COLUMNS: "columns of CIFAR-10", FRAMES: "spoken digits", SPEAKER: "the new speaker's digits"}


def spelled(task):
    """A task's name in a sentence: 'rows of MNIST'."""
    return SPOKEN.get(task, TASKS[task])


def in_percent(rows, field="test"):
    """'77.4 ± 1.6 %', and '55.0 % (1)' where there are not three seeds."""
    count = len(values(rows, field))
    return f"{percent(rows, field)}\u00a0%" + ("" if count in (0, SEEDS) else f"\u00a0({count})")


def shared(one, two):
    """Differences of test accuracy, one minus two, over the seeds that both have."""
    other = {r["seed"]: r["test"] for r in two if r["test"] is not None}
    return [r["test"] - other[r["seed"]] for r in one if r["test"] is not None and r["seed"] in other]


def twins(results, wanted=SHORT + LONG):
    """(task, decay, exact, loop) wherever both were trained."""
    for task in tasks_in(results, wanted):
        found = cells(results, task)
        for decay in decays_of(found):
            pair = [found.get((arm, decay, None), []) for arm in ("lif-exact", "lif-loop")]
            if shared(*pair):
                yield task, decay, *pair


def complete(*cells_):
    """Whether each of some cells has its three seeds."""
    return all(len(values(rows, "test")) >= SEEDS for rows in cells_)


def student(one, two):
    """Student's t of two cells with three seeds each; beyond T_FIVE they differ at 5 %."""
    sds = [deviation(rows, "test") for rows in (one, two)]
    gap = mean(one, "test") - mean(two, "test")
    return gap / math.sqrt(sum(sd**2 for sd in sds) / SEEDS)


def loop_words(results, wanted=SHORT + LONG):
    """How many cells agree within a deviation and by Student's t, and how far apart those are that have fewer seeds."""
    full, rest, beyond, larger, far = 0, [], [], 0, 0
    for task, decay, exact, loop in twins(results, wanted):
        gap = statistics.fmean(shared(exact, loop))
        if not complete(exact, loop):
            rest.append((task, decay, 100 * abs(gap)))
            continue
        full += 1
        sds = [deviation(rows, "test") for rows in (exact, loop)]
        larger += abs(gap) <= max(sds)
        far += abs(student(exact, loop)) > T_FIVE
        if abs(gap) > sds[1]:
            beyond.append(f"{spelled(task)} at {decay}: {signed(100 * gap)} points, deviation {100 * sds[1]:.2f}")
    text = f"In {'all' if larger == full else f'{larger} of the'} {full} cells in which both have three seeds "
    text += "the two means are closer to each other than the larger of their deviations"
    text += f" (of cells in which nothing differs {100 * (1 - APART):.0f} % are)."
    text += f" Against the loop's own deviation alone it is {full - len(beyond)} of {full}"
    text += f" (not {listed(beyond)})." if beyond else "."
    text += f" By Student's $t$, {far or 'none'} of them differ{'s' * (far == 1)} at 5 %; chance alone would make it {0.05 * full:.1f}."
    if rest:
        most = max(rest, key=lambda cell: cell[2])
        text += f" Where seeds are missing ({listed(dict.fromkeys(spelled(t) for t, *_ in rest))}), the two differ, over the seeds they"
        text += f" share, by at most {most[2]:.2f} points."
    return text


def best_cells(found):
    """{arm: its best cell}, the decay (and for FPT the K) that validation likes best: the test part chooses nothing."""
    best = {}
    for (arm, _, _), rows in found.items():
        if arm in NAMES and values(rows, "test"):
            best[arm] = max(best.get(arm, rows), rows, key=lambda at: mean(at, "val"))
    return best


def span_of(numbers, digits=1):
    """'3.7 to 5.8', or one number where both ends are printed alike."""
    low, high = (f"{round(v, digits) + 0.0:.{digits}f}".replace("-", "−") for v in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"


def seeds_words(results):
    """Which tasks have cells without their three seeds."""
    open_ = [task for task in tasks_in(results) if any(len(rows) < SEEDS for rows in cells(results, task).values())]
    return f"Of that kind are cells of {listed(map(spelled, open_))}." if open_ else "No cell is of that kind."


def frames_seeds(results):
    """How many seeds the ablation on spoken digits has."""
    found = cells(results, FRAMES)
    counts = between(len(rows) for (arm, _, _), rows in found.items() if arm not in NAMES)
    text = "The grid was repeated on spoken digits (FSDD, CC BY-SA 4.0; official takes, 600 steps). "
    if counts == "3":
        text += "Every cell has three seeds. "
    else:
        text += f"Its own cells have {counts.replace('1', 'one')} seed{'s' * (counts != '1')} so far, in brackets: observations to be repeated. "
    return (
        text
        + "All are tested on the same 300 clips, so few that an accuracy is uncertain by 2.6 points for this reason alone."
        " With three sweeps:"
    )


def swept_words(found):
    """For each decay how far FPT ends from the exact LIF as trained, and what deployment with each K costs."""
    for d in DECAYS:
        base = mean(found["lif-exact", d, None], "test")
        at = {k: [found.get((arm, d, k), []) for arm in ("fpt", "fpt-graded")] for k in (2, 3, 5)}
        at = {k: [rows for rows in both if complete(rows)] for k, both in at.items()}
        ahead = [100 * (mean(rows, "test") - base) for both in at.values() for rows in both]
        if ahead:
            cost = [f"{span_of([100 * mean(rows, drop) for rows in both])} with {k}" for k, both in at.items() if both]
            where = "with a learned decay" if d == "learned" else f"at $\\lambda={d}$"
            yield (
                f"{where} between {signed(min(ahead), 1)} and {signed(max(ahead), 1)} from the exact LIF as trained, and deployment"
                f" costs {listed(cost)} sweeps"
            )


def columns_words(results):
    """What the columns of CIFAR-10 show; the costs of sweeps from complete cells only."""
    found = cells(results, COLUMNS)
    short = sum(not complete(rows) for rows in found.values())
    order = sorted(best_cells(found).items(), key=lambda entry: -mean(entry[1], "test"))
    named = lambda arm, rows: f"{NAMES[arm]} {score(rows)}"
    head = "**Columns of CIFAR-10** have three seeds a cell"
    head += f", but for {short} (in brackets)." if short else "."
    lines = [
        f"Each neuron at the decay, and FPT at the $K$, that validation likes best: {listed(named(*entry) for entry in order)}."
    ]
    lines.append("FPT, cells with three seeds, in points: " + "; ".join(swept_words(found)) + ".")
    free = {d: mean(found["lif-exact", d, None], "test") - mean(found["no-reset", d, None], "test") for d in (0.5, 0.9)}
    lines.append(
        f"Reset is worth {100 * free[0.5]:.1f} points at $0.5$ and {100 * free[0.9]:.1f} at $0.9$:"
        f" LIF {score(found['lif-exact', 0.5, None])} and {score(found['lif-exact', 0.9, None])}, without reset"
        f" {score(found['no-reset', 0.5, None])} and {score(found['no-reset', 0.9, None])}."
    )
    dead = [r["test"] < 0.11 for r in found["psn-masked", None, None]]
    ends = listed(f"{100 * test:.1f}" for test in values(found["psn", None, None], "test"))
    lines.append(
        f"The masked PSN answers at chance in {sum(dead)} of its {len(dead)} runs; the runs of the full PSN end at {ends} %."
    )
    return head + "\n\n" + "\n".join(f"- {line}" for line in lines)


def label(record):
    """'hard, unrolled, K = 5, λ = 0.5, Fashion, rows': a run of FPT in words."""
    decay = f"$\\lambda={record['decay']}$" if record["decay"] != "learned" else "learned decay"
    kind = {"fpt": "as released", "fpt-graded": "slopes rising, not drawn"}.get(record["arm"])
    kind = kind or {
        "fpt-soft": "slope 4 throughout",
        "fpt-steep": "slope 12 throughout",
        "fpt-guess": "first guess 1/2",
    }.get(record["arm"], f"{VARIANTS[record['arm']]}".replace("hard,", "hard sweeps,"))
    return f"{kind}, $K={record['k']}$, {decay}, {spelled(record['task'])}"


def cheapest(runs):
    """The run with most mismatch that loses less than a point."""
    return max((run for run in runs if run[1] < 1), key=lambda run: run[0])


def dearest(runs):
    """The run with least mismatch that loses more than fifteen points."""
    return min((run for run in runs if run[1] > 15), key=lambda run: run[0])


def bins_words(results):
    """Two runs that show how far the two mismatches overlap."""
    runs = swept_runs(results)
    cheap, dear = cheapest(runs), dearest(runs)
    kept = f"loses {cheap[1]:.1f}" if cheap[1] >= 0 else f"gains {-cheap[1]:.1f}"
    return (
        f"A run with **{100 * dear[0]:.2g} %** wrong spikes loses {dear[1]:.0f} points ({label(dear[3])}); a run with"
        f" **{100 * cheap[0]:.2g} %** {kept} ({label(cheap[3])})."
    )


def frames_words(results):
    """The ablation on spoken digits: what agrees with the rows and what does not."""
    found = cells(results, FRAMES)
    at = lambda arm, k, field="test", d=0.9: in_percent(found[arm, d, k], field)
    lost = lambda arms, k: span_of([100 * mean(found[a, 0.5, k], drop) for a in arms])
    as_lif, rising = "test_as_sequential_lif", ("fpt", "fpt-graded", "fpt-guess")
    others = [100 * mean(found[a, 0.9, 3], as_lif) for a in VARIANTS if a != "fpt-guess"]
    adjoint = percent(found["fpt-hard-exact", 0.5, 3], drop)
    lines = [
        f"*As on rows:* at $\\lambda=0.5$, $K=3$, rising slopes cost {lost(rising, 3)} points at deployment, constant slopes and hard"
        f" sweeps that were unrolled {lost(('fpt-soft', 'fpt-steep', 'fpt-hard'), 3)}. (Hard sweeps with the exact adjoint cost"
        f" {adjoint}; with such a spread between seeds they are on neither side.) At $0.9$ the first guess $\\frac12$ keeps"
        f" {at('fpt-guess', 3, as_lif)}, every other schedule {span_of(others, 0)} %. A second term of the series is worse than none:"
        f" {at('lif-truncated', 2)}, near chance, where one term, the detached reset, has {at('lif-detached', None)} and the full"
        f" gradient {at('lif-exact', None)}.",
        f"*Not as on rows: the gradient of sweeps.* Three hard sweeps at $\\lambda=0.9$, differentiated as they ran, reach"
        f" {at('fpt-hard', 3)} and five {at('fpt-hard', 5)}; the same sweeps with the exact adjoint reach"
        f" {at('fpt-hard-exact', 3)} and {at('fpt-hard-exact', 5)}. Slope 12 throughout, unrolled, gives {at('fpt-steep', 3)} and"
        f" {at('fpt-steep', 5)}.",
        f"*Not as on rows: the first guess.* At $\\lambda=0.9$ it changes the training: three sweeps from $\\frac12$ reach"
        f" {at('fpt-guess', 3)}, from 0 {at('fpt-graded', 3)}; five reach {at('fpt-guess', 5)} and {at('fpt-graded', 5)}, two"
        f" {at('fpt-guess', 2)} and {at('fpt-graded', 2)}. **One** sweep from $\\frac12$ reaches {at('fpt-guess', 1)}, more than the LIF"
        f" (on validation {at('fpt-guess', 1, 'val')} and {at('lif-exact', None, 'val')}), and it has no reset: it is the leak alone, with $\\lambda\\theta/2$ taken from the input at each step but the first."
        f" The bias of the normalisation could learn that; where it had to, one sweep from 0, the network ends at {at('fpt-graded', 1)}."
        " (Seen in the table, not predicted, and not so on rows.)",
        f"*Not as on rows: two sweeps.* At $\\lambda=0.5$ two sweeps with rising slopes lose {lost(rising, 2)} points when deployed,"
        f" slope 4 throughout {percent(found['fpt-soft', 0.5, 2], drop)} and hard sweeps with the exact adjoint"
        f" {percent(found['fpt-hard-exact', 0.5, 2], drop)}. What rising slopes do for deployment they do from three sweeps on.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def low_words(results):
    """Which ten-class FPT runs answer at chance when deployed."""
    runs = [r for *_, r in swept_runs(results) if r["task"] != "ecg"]
    low = [r for r in runs if r["test_as_sequential_lif"] < 0.12]
    many = {}
    for r in low:
        many.setdefault((r["task"], str(r["decay"])), []).append(r)
    ranked = sorted(many.items(), key=lambda entry: -len(entry[1]))
    shown = lambda decay: "a learned decay" if decay == "learned" else f"$\\lambda={decay}$"
    parts = [f"{len(rows)} on {spelled(task)} with {shown(decay)}" for (task, decay), rows in ranked]
    pixels = sum(r["task"] == "pixels-mnist" for r in runs)
    none = ", none of them at $\\lambda=0.5$" if all(r["decay"] != 0.5 for r in low) else ""
    return f"(a) {len(low)} runs{none}: {listed(parts)}. Pixels of MNIST have {pixels} in all."


def hard_words(results):
    """The run of hard sweeps with the smallest mismatch that loses more than fifteen points."""
    mismatch, lost, _, record = dearest([run for run in swept_runs(results) if "hard" in run[3]["arm"]])
    return (
        f"(c) {label(record)[0].upper()}{label(record)[1:]}: {100 * mismatch:.1f} % mismatch, {lost:.0f} points."
        " {prf:ref}`cor-one-sided-mismatch`: nothing cancels, and what is one sided in the first layer shifts the current of the second."
    )


def draw_words(results):
    """The merit of the draw for deployment, K = 3, decay 0.5: on how many tasks, and where it is beyond what seeds do."""
    beyond, within, behind = [], [], []
    for task in tasks_in(results):
        pair = [cells(results, task).get((arm, 0.5, 3), []) for arm in ("fpt", "fpt-graded")]
        if all(pair) and complete(*pair):
            one, two = (mean(rows, drop) for rows in pair)
            far = two - one > max(deviation(rows, drop) for rows in pair)
            told = f"{spelled(task)} ({100 * one:.1f} and {100 * two:.1f})".replace("-0.0", "0.0").replace("(-", "(−")
            (beyond if far else within if two > one else behind).append(told)
    text = f"Points lost with and without draw, $K=3$, $\\lambda=0.5$, tasks with three seeds: on {listed(beyond)} the draw loses less by more"
    text += f" than a deviation; on {listed(within)} it loses less, too, but by no more than seeds do"
    return text + (f"; on {listed(behind)} it loses more." if behind else ".")


BLOCKS = {
    "words loop": loop_words,
    "words seeds": seeds_words,
    "words frames seeds": frames_seeds,
    "words columns": columns_words,
    "words bins": bins_words,
    "words frames": frames_words,
    "words low": low_words,
    "words hard": hard_words,
    "words draw": draw_words,
}
