"""Score tables of the chapter on forecasting: one column (a set, a horizon, a mask) each, the naive rows always first."""

import statistics

from experiments import forecast_compare as fc
from experiments.forecast_words import BACKBONES, NAMES, counted, grid, network, number, spread
from fptlib.data.catalogue import CATALOGUE

TITLES = {
    "metr-la": ("METR-LA, ten sensors", "METR-LA"),
    "pems08-tail": ("PEMS08, tail", "PEMS08"),
    "rts-solar": ("RTS-GMLC solar", "Solar"),
    "pjm": ("PJM", "PJM"),
    "etth1": ("ETTh1", "ETTh1"),
}
SCORES = ("$R^2$", "in time", "$R^2$ per channel", "RSE", "RSE per channel", "MAE")
GAP = 0.4, "blocks", "honest"  # shown in full; the others in the tables and curves of claim four


def places(table, dataset, horizon, gap=fc.COMPLETE, masked=True):
    """(backbone, neuron, records) of a column: the naive rows first."""
    for neuron in fc.NAIVE:
        yield "naive", neuron, table.cell(dataset, horizon, "naive", neuron, gap, masked)
    for backbone in fc.BACKBONES:
        for neuron in fc.NEURONS:
            yield backbone, neuron, table.cell(dataset, horizon, backbone, neuron, gap, masked)


def scores_of(found):
    """R2, its interval over blocks of time, R2 per channel, RSE, RSE per channel and MAE of one cell's seeds."""
    kept = [row for row in found if row["r2"] is not None]
    inside = [row["r2_interval"] for row in kept if row.get("r2_interval")]
    blocks = "–"
    if inside:
        blocks = "[" + ", ".join(number(statistics.fmean(ends)) for ends in zip(*inside)) + "]"
    lost = len(found) - len(kept)
    first = spread([row["r2"] for row in kept]) + "†" * lost
    r2, rse = (spread([fc.channels(row, score) for row in kept]) for score in ("r2", "rse"))
    return first, blocks, r2, spread([row["rse"] for row in kept]), rse, spread([row["mae"] for row in kept])


def column_table(table, dataset, horizons=(24,), gap=fc.COMPLETE, masked=True):
    """All forecasts of a data set at a horizon (or several), every metric that the record has."""
    many, shown, rows = len(horizons) > 1, set(), []
    for horizon in horizons:
        for backbone, neuron, found in places(table, dataset, horizon, gap, masked):
            if found:
                weights = [r["params"] for r in found if r["params"]]
                size = f"{weights[0]:,}" if weights else weight_of(found[0])
                scores = scores_of(found)
                shown |= {i for i, score in enumerate(scores) if score != "–"}
                rows.append(([str(horizon)] * many + [network(backbone, neuron), size], scores))
    head = ["$H$"] * many + ["forecast", "weights", *(SCORES[i] for i in sorted(shown))]
    return grid(head, [names + [scores[i] for i in sorted(shown)] for names, scores in rows], words=1 + many)


def weight_of(row):
    """Learned numbers of a naive row: the ridge has one line of lookback + 1 for each step ahead."""
    return f"{(row['lookback'] + 1) * row['horizon']:,}" if row["neuron"] == "ridge" else "0"


def budget_table(table):
    """Weights and width of each network at horizon 24 (the same for all sets)."""
    backbones = table.backbones()
    head = ["neuron", *(f"{BACKBONES[b]}: weights (width)" for b in backbones)]
    rows = []
    for neuron in fc.NEURONS:
        found = [next((c[0] for s in fc.SETS if (c := table.cell(s, 24, b, neuron))), None) for b in backbones]
        rows.append([NAMES[neuron], *("–" if r is None else f"{r['params']:,} ({r['width']})" for r in found)])
    return grid(head, rows)


def unmasked_table(table, horizon=24):
    """METR-LA with its unmeasured cells masked, and with its zeros taken as numbers."""
    chosen = (0, 2, 3)
    head = ["forecast", *(f"{SCORES[i]}, {m}" for m in ("masked", "zeros") for i in chosen)]
    rows = []
    pairs = zip(*(places(table, "metr-la", horizon, masked=m) for m in (True, False)))
    for (backbone, neuron, a), (_, _, b) in pairs:
        if a and b:
            cells = [scores_of(found)[i] for found in (a, b) for i in chosen]
            rows.append([network(backbone, neuron), *cells])
    return grid(head, rows)


def folded(title, text):
    """A table that the web edition folds away and the PDF edition leaves out."""
    return f"````{{only}} html\n```{{admonition}} {title}\n:class: dropdown\n\n{text}\n```\n````"


def numbers_section(table, wide=None):
    """Every set: horizon 24 in the open, other horizons (those of ``wide`` decide nothing) and a pattern of gaps folded away."""
    parts = []
    for name in table.sets():
        title, short = TITLES[name]
        parts += [f"### {title}", f"Licence of the data: {CATALOGUE[name].licence}.", column_table(table, name)]
        parts += [
            folded(f"{short} at horizon {h}", column_table(table, name, (h,))) for h in table.horizons(name) if h != 24
        ]
        for h in wide.horizons(name) if wide else ():
            if h not in table.horizons():
                found = [r for b, _, c in places(wide, name, h) if b != "naive" for r in c]
                few = f"{counted(len({r['seed'] for r in found}), 'seed')}, {len(found)} trainings"
                title = f"{short} at horizon {h}, {few}: no verdict rests on them"
                parts.append(folded(title, column_table(wide, name, (h,))))
        if any(found for _, _, found in places(table, name, 24, GAP)):
            title = f"{short} at horizon 24, 40 % of the input removed in blocks of 12 steps"
            parts.append(folded(title, column_table(table, name, gap=GAP)))
    week = table.horizons("metr-la-week")
    if week:
        parts += [
            "### One week of METR-LA, all sensors",
            "All 207 sensors, but 2,016 steps only: too short for windows of 168 steps, so 12 are used, one hour. Its gaps were filled by the publisher, so nothing is masked. It takes no part "
            "in any verdict.",
            *(folded(f"METR-LA, one week, at horizon {h}", column_table(table, "metr-la-week", (h,))) for h in week),
        ]
    return "\n\n".join(parts)
