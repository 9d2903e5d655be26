"""The tables of the chapter on long tasks, from the record of the accuracy runs.

    python -m experiments.long_tables          rewrite them from experiments/results/accuracy.json

A test fails when page and record differ.
"""

import math
import statistics
from functools import partial
from pathlib import Path

from experiments import accuracy_words, long_speed, pages
from experiments.accuracy_cells import (
    DASH,
    DECAYS,
    LONG,
    NAMES,
    cells,
    deviation,
    mean,
    name,
    score,
    signed,
    span,
    table,
    values,
)
from experiments.accuracy_missing import missing, of_long_tasks
from experiments.accuracy_words import complete, in_percent, shared
from experiments.long_cells import ORDERED, PERMUTED, PIXELS, PLACES, SIGNALS, kinds, rows_of, shown_k, there
from experiments.pages import listed
from fptlib.data import results

PAGE = Path(__file__).resolve().parents[1] / "book" / "16-long-tasks.md"
FIXED = ("lif-exact", "no-reset", "fpt", "fpt-graded", "prf")  # one leak, the same at every step


def setup_table(record):
    """What was trained and for how long; weights are those of the exact LIF with a fixed decay."""
    made = []
    for title, place in PLACES.items():
        rows = [r for seeds in cells(record, place).values() for r in seeds]
        if rows:
            size = next(r["params"] for r in rows if r["arm"] == "lif-exact" and r["decay"] == 0.9)
            first = rows[0]
            made.append([title, first["steps"], f"{first['examples']:,}", first["batch"], span(rows), f"{size:,}"])
    return table(["task", "$T$", "training examples", "batch", "epochs", "weights (LIF)"], made)


def neurons(record, titles):
    """(arm, decay, its cells on these tasks) in printing order, FPT with K = 3."""
    for arm in NAMES:
        for decay in (*DECAYS, None):
            found = [rows_of(record, title, arm, decay, shown_k(arm)) for title in titles]
            if any(found):
                yield arm, decay, found


def shown_decay(decay):
    return DASH if decay is None else decay


def accuracy_table(record, titles, weights=False):
    """Test accuracy over seeds: a row for each neuron and decay, a column for each task, and the number of weights."""
    made, titles = [], there(record, titles)
    for arm, decay, found in neurons(record, titles):
        size = [f"{next(filter(None, found))[0]['params']:,}"] if weights else []
        made.append([name(arm, shown_k(arm)), shown_decay(decay), *map(score, found), *size])
    return table(["neuron", "decay", *titles, *(["weights"] if weights else [])], made)


def order_table(record):
    """Pixels in a fixed random order, and what the order costs: points against the same pictures in order."""
    made, titles = [], there(record, PERMUTED)
    for arm, decay, found in neurons(record, titles):
        texts = []
        for title, rows in zip(titles, found):
            before = mean(rows_of(record, ORDERED[title], arm, decay, shown_k(arm)), "test")
            apart = None if before is None or not rows else signed(100 * (mean(rows, "test") - before), 1)
            texts += [score(rows), apart or DASH]
        made.append([name(arm, shown_k(arm)), shown_decay(decay), *texts])
    return table(["neuron", "decay", *(h for title in titles for h in (title, "change"))], made)


def speaker_table(record):
    """The official takes, and the speaker who was not heard: validation (other speakers), test, and the distance."""
    made, gap = [], lambda r: r["val"] - r["test"]
    for arm, decay, (new,) in neurons(record, ["FSDD, new speaker"]):
        takes = rows_of(record, "FSDD, takes", arm, decay, shown_k(arm))
        texts = [score(takes), score(new, "val"), score(new), score(new, gap)]
        made.append([name(arm, shown_k(arm)), shown_decay(decay), *texts])
    return table(["neuron", "decay", "takes: test", "speakers heard: validation", "new speaker: test", "gap"], made)


def twins(record):
    """(title, decay, exact, loop): the records of both arms wherever both were trained."""
    for title in PLACES:
        for decay in DECAYS:
            pair = [rows_of(record, title, arm, decay) for arm in ("lif-exact", "lif-loop")]
            if all(values(rows, "test") for rows in pair):
                yield title, decay, *pair


def apart(exact, loop):
    """Exact minus loop over the seeds both have, in units of the loop's deviation and of both pooled."""
    gap, sds = statistics.fmean(shared(exact, loop)), [deviation(rows, "test") for rows in (exact, loop)]
    return gap, gap / sds[1], gap / math.sqrt(sum(sd**2 for sd in sds) / 2)


def loop_table(record):
    """The exact arm beside the loop: means, and their difference in points and in units of deviations."""
    made = []
    for title, decay, exact, loop in twins(record):
        gap, own, pooled = apart(exact, loop)
        made.append([title, decay, score(exact), score(loop), signed(100 * gap), signed(own), signed(pooled)])
    head = ["task", "decay", "exact", "loop", "difference, points", "in sd of the loop", "of both, pooled"]
    return table(head, made)


def verdict(record):
    """In how many cells exact and loop ended within a deviation of the loop, and by how much the others missed it."""
    full = [(f"{title} at {decay}", *apart(a, b)) for title, decay, a, b in twins(record) if complete(a, b)]
    missed = [(where, gap, own) for where, gap, own, _ in full if abs(own) > 1]
    text = f"(1) held in {len(full) - len(missed)} of the {len(full)} cells, a task and a decay, that have three seeds of both"
    over = [f"on {where} by {100 * abs(gap) * (1 - 1 / abs(own)):.2f} points" for where, gap, own in missed]
    return text + (f"; it was missed {listed(over)}." if over else ".")


def pooled_words(record):
    """The same in units of the pooled deviation, complete rows only."""
    full = [apart(a, b)[2] for _, _, a, b in twins(record) if complete(a, b)]
    within = sum(abs(value) < 1 for value in full)
    count = "all" if within == len(full) else f"{within} of the"
    return f"In units of the pooled deviation of both arms {count} {len(full)} complete rows lie within one."


def order_words(record):
    """Fashion-MNIST in both orders, as far as its seeds go."""
    pair = lambda arm, decay=0.9: [
        in_percent(rows_of(record, title, arm, decay, shown_k(arm))) for title in ("pixels Fashion", "permuted Fashion")
    ]
    arrow = lambda arm, decay=0.9: " → ".join(pair(arm, decay))
    fixed = [mean(rows_of(record, "permuted Fashion", arm, 0.9, shown_k(arm)), "test") for arm in FIXED]
    return (
        f"Fashion-MNIST, in order → permuted: LIF {arrow('lif-exact')}, sliding PSN {arrow('psn-sliding', None)},"
        f" masked PSN {arrow('psn-masked', None)}, full PSN {arrow('psn', None)}. Permuted, the neurons with one leak of $0.9$"
        f" lie between {100 * min(fixed):.0f} and {100 * max(fixed):.0f} %."
    )


def deployed_table(record, titles, ks=(2, 3, 5)):
    """FPT as trained → evaluated as the sequential LIF (share of spikes that differ), all in per cent."""
    made, titles = [], there(record, titles)
    for arm in ("fpt", "fpt-graded"):
        for k in (k for k in kinds(arm) if k in ks):
            for decay in DECAYS:
                found = [deployed(rows_of(record, title, arm, decay, k)) for title in titles]
                if set(found) != {DASH}:
                    made.append([name(arm, k), decay, *found])
    return table(["trained with", "decay", *titles], made)


def deployed(rows):
    """One cell of `deployed_table`."""
    three = [mean(rows, field) for field in ("test", "test_as_sequential_lif", "spike_mismatch")]
    count = "" if complete(rows) else f", {len(rows)}\u00a0seed{'s' * (len(rows) > 1)}"
    return DASH if None in three else "{:.1f}\u00a0→\u00a0{:.1f} ({:.1f}{})".format(*(100 * v for v in three), count)


def learned(record, title, arm="lif-exact"):
    """Mean learned decay of each layer over seeds, [] where nothing was learned."""
    found = [r["learned_decays"] for r in rows_of(record, title, arm, "learned") if r.get("learned_decays")]
    return [statistics.fmean(layer) for layer in zip(*found)]


def learned_table(record):
    """Decay → horizon in steps of each layer, learned by the exact arm, and what it is worth beside fixed decays."""
    made = []
    for title in PLACES:
        decays, own = learned(record, title), rows_of(record, title, "lif-exact", "learned")
        if decays:
            fixed = [rows_of(record, title, "lif-exact", d) for d in (0.5, 0.9)]
            worth = [signed(100 * (mean(own, "test") - mean(at, "test")), 1) if at else DASH for at in fixed]
            horizons = [f"{d:.2f}\u00a0→\u00a0{1 / (1 - d):.1f}" for d in decays]
            made.append([title, *horizons, score(own), *(cell for at in zip(map(score, fixed), worth) for cell in at)])
    head = ["task", "layer 1", "layer 2", "learned", "fixed at 0.5", "worth", "fixed at 0.9", "worth"]
    return table(head, made)


BLOCKS = {
    "missing": lambda record: missing(record, of_long_tasks),
    "setup": setup_table,
    "verdict": verdict,
    "pixels": lambda record: accuracy_table(record, PIXELS, weights=True),
    "order": order_table,
    "words order": order_words,
    "signals": lambda record: accuracy_table(record, SIGNALS),
    "speaker": speaker_table,
    "loop": loop_table,
    "words loop": lambda record: accuracy_words.loop_words(record, LONG),
    "words pooled": pooled_words,
    "learned": learned_table,
    "deployed-pictures": lambda record: deployed_table(record, PIXELS | PERMUTED, (3,)),
    "deployed-k": lambda record: deployed_table(record, PIXELS | PERMUTED, (2, 5)),
    "deployed-signals": lambda record: deployed_table(record, ("FSDD, takes", "FSDD, new speaker", "ECG")),
    **long_speed.BLOCKS,
}


def page_with_tables(text, record):
    """The page with its tables from the record."""
    return pages.page_with_tables(text, {block: partial(build, record) for block, build in BLOCKS.items()})


def main():
    PAGE.write_text(page_with_tables(PAGE.read_text(), results("accuracy")))
    print("wrote", PAGE.name)


if __name__ == "__main__":
    main()
