"""The tables of the ablations in the chapter on accuracy, from the cells of a task on which their grid was run.

Seeds that are not three stand in brackets behind a mean.
"""

from itertools import product

from experiments.accuracy_cells import cells, decays_of, score, share, symbol, table, tasks_in

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


def with_ablation(results):
    """{task: its cells} where the grid of the ablations was run."""
    found = {task: cells(results, task) for task in tasks_in(results)}
    return {task: f for task, f in found.items() if any(arm in ABLATION_ONLY for arm, _, _ in f)}


def fixed(found):
    """The decays that were not learned."""
    return [d for d in decays_of(found) if d != "learned"]


def variant_table(found):
    """K = 3, one thing changed at a time: as trained, as the LIF, mismatch."""
    rows = []
    for arm, text in VARIANTS.items():
        ats = [found.get((arm, d, 3), []) for d in fixed(found)]
        cols = [c for at in ats for c in (score(at), score(at, "test_as_sequential_lif"), share(at))]
        rows.append([text, *cols])
    head = ["slopes"] + [h for d in fixed(found) for h in (f"trained, {symbol(d)}", "as LIF", "mismatch, %")]
    return table(head, rows)


def gradient_table(found):
    """The same LIF forward, other gradients; then three hard sweeps forward with two gradients."""
    lines = [("LIF", "exact adjoint", "lif-exact", None), ("LIF", "detached reset", "lif-detached", None)]
    lines += [("LIF", f"series, {k} term{'s' * (k > 1)}", "lif-truncated", k) for k in (1, 2, 3, 5)]
    lines += [("3 hard sweeps", "exact adjoint", "fpt-hard-exact", 3), ("3 hard sweeps", "unrolled", "fpt-hard", 3)]
    rows = []
    for forward, text, arm, k in lines:
        ats = [found.get((arm, d, k), []) for d in fixed(found)]
        if any(ats):
            rows.append([forward, text, *map(score, ats)])
    return table(["forward", "gradient", *map(symbol, fixed(found))], rows, left=2)


def guess_table(found):
    """First guess 0 and 1/2, the same slopes: accuracy, as the LIF, mismatch."""
    rows = []
    for d, k in product(fixed(found), (1, 2, 3, 5)):
        ats = [found.get((arm, d, k), []) for arm in ("fpt-graded", "fpt-guess")]
        cols = [score(at) for at in ats] + [score(at, "test_as_sequential_lif") for at in ats] + [*map(share, ats)]
        rows.append([d, k, *cols])
    head = ["$\\lambda$", "$K$", "trained, from 0", "from 1/2", "as LIF, from 0", "from 1/2"]
    return table([*head, "mismatch, %, from 0", "from 1/2"], rows, left=0)
