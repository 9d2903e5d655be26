"""The tables of the chapter on forecasting, from the record.

    python -m experiments.forecast_tables          rewrite book/17-forecasting.md from experiments/results/forecasting*.json

A test fails when page and record differ. Averages and intervals are computed in forecast_compare; words are in forecast_words, verdicts in forecast_verdicts.
"""

import math
import statistics
from functools import partial
from pathlib import Path

from experiments import forecast_compare as fc
from experiments import forecast_verdicts as fv
from experiments import pages
from experiments.forecast_words import BACKBONES, NAMES, change, grid, network, number, sets_table, spread
from fptlib.data import results

ROOT = Path(__file__).resolve().parents[1]
SMALL, FULL = "forecasting_small", "forecasting_partial"  # the CPU grid; what has run of the full one
PAGE = ROOT / "book" / "17-forecasting.md"

PAIRS = (
    ("ts-lif", "lif"),
    ("ts-lif-stable", "lif"),
    ("ts-lif", "plif"),
    ("ts-lif-stable", "plif"),
    ("ts-lif", "tc-lif"),
    ("ts-lif-stable", "ts-lif"),
    ("ts-lif", "ann"),
    ("persistence", "lif"),
    ("seasonal", "lif"),
    ("ridge", "lif"),
)
SHOWN_GAPS = ((0.4, "entries"), (0.8, "entries"), (0.4, "blocks"), (0.8, "blocks"), (0.4, "sensors"), (0.8, "sensors"))


def places(table, dataset, horizon, gap=fc.COMPLETE, masked=True):
    """(backbone, neuron, records) of a column: the naive rows first."""
    for neuron in fc.NAIVE:
        yield "naive", neuron, table.cell(dataset, horizon, "naive", neuron, gap, masked)
    for backbone in fc.BACKBONES:
        for neuron in fc.NEURONS:
            yield backbone, neuron, table.cell(dataset, horizon, backbone, neuron, gap, masked)


def scores_of(found):
    """R2, its interval over blocks of time, R2 per channel, RSE and MAE of one cell's seeds."""
    kept = [row for row in found if row["r2"] is not None]
    inside = [row["r2_interval"] for row in kept if row.get("r2_interval")]
    blocks = "–"
    if inside:
        blocks = "[" + ", ".join(number(statistics.fmean(ends)) for ends in zip(*inside)) + "]"
    lost = len(found) - len(kept)
    first = spread([row["r2"] for row in kept]) + (f" ({lost} of {len(found)} diverged)" if lost else "")
    per_channel = spread([fc.channels(row) for row in kept])
    return first, blocks, per_channel, spread([r["rse"] for r in kept]), spread([r["mae"] for r in kept])


SCORES = ("$R^2$", "in time", "$R^2$ per channel", "RSE", "MAE")


def column_table(table, dataset, horizons=(24,), gap=fc.COMPLETE, masked=True):
    """All forecasts of a data set at some horizons, every metric."""
    many = len(horizons) > 1
    head = ["$H$"] * many + ["forecast", "weights", *SCORES]
    rows = []
    for horizon in horizons:
        for backbone, neuron, found in places(table, dataset, horizon, gap, masked):
            if found:
                weights = [r["params"] for r in found if r["params"]]
                size = f"{weights[0]:,}" if weights else weight_of(found[0])
                rows.append([str(horizon)] * many + [network(backbone, neuron), size, *scores_of(found)])
    return grid(head, rows, words=1 + many)


def weight_of(row):
    """Learned numbers of a naive row: the ridge has one line of lookback + 1 for each step ahead."""
    return f"{(row.get('lookback', 168) + 1) * row['horizon']:,}" if row["neuron"] == "ridge" else "0"


def budget_table(table):
    """Weights and width of each network at horizon 24 (the same for all sets)."""
    backbones = table.backbones()
    head = ["neuron", *(f"{BACKBONES[b]}: weights (width)" for b in backbones)]
    rows = []
    for neuron in fc.NEURONS:
        found = [next((c[0] for s in fc.SETS if (c := table.cell(s, 24, b, neuron))), None) for b in backbones]
        rows.append([NAMES[neuron], *("–" if r is None else f"{r['params']:,} ({r['width']})" for r in found)])
    return grid(head, rows)


def unmasked_table(table, horizons=fc.HORIZONS):
    """METR-LA with its unmeasured cells masked, and with its zeros taken as numbers."""
    chosen = (0, 2, 3)
    many = len(horizons) > 1
    head = ["$H$"] * many + ["forecast", *(f"{SCORES[i]}, {m}" for m in ("masked", "zeros") for i in chosen)]
    rows = []
    for horizon in horizons:
        pairs = zip(*(places(table, "metr-la", horizon, masked=m) for m in (True, False)))
        for (backbone, neuron, a), (_, _, b) in pairs:
            if a and b:
                cells = [scores_of(found)[i] for found in (a, b) for i in chosen]
                rows.append([str(horizon)] * many + [network(backbone, neuron), *cells])
    return grid(head, rows, words=1 + many)


def pair_rows(table, pairs, columns):
    """Change of error for each pair (rows) and selection (columns), and in how many cells the first was better."""
    for one, two in pairs:
        shown = [change(fc.compare(table, one, two, **options)[0].values()) for options in columns]
        cells = fc.compare(table, one, two)[1].values()
        yield [f"{NAMES[one]} against {NAMES[two]}", *shown, f"{sum(v < 0 for v in cells)} of {len(cells)}"]


def paired_table(table):
    """Claim one: every pair, set by set and together."""
    columns = [{"sets": (name,)} for name in fc.SETS] + [{}]
    head = ["change of error, %", *fc.SETS, "all", "lower in"]
    return grid(head, pair_rows(table, PAIRS, columns))


def against_naive_table(table):
    """Each neuron against the naive rows: change of error, and in how many cells it is the lower one."""
    head = ["neuron", *(f"against {NAMES[n]}, %" for n in fc.NAIVE), *(f"lower than {NAMES[n]} in" for n in fc.NAIVE)]
    rows = []
    for neuron in fc.NEURONS:
        found = [fc.compare(table, neuron, naive) for naive in fc.NAIVE]
        won = [f"{sum(v < 0 for v in cells.values())} of {len(cells)}" for _, cells in found]
        rows.append([NAMES[neuron], *(change(by_set.values()) for by_set, _ in found), *won])
    return grid(head, rows)


def horizon_table(table):
    """Claim two: the same by horizon."""
    horizons = table.horizons()
    head = ["change of error, %", *(f"$H$ = {h}" for h in horizons), "lower in"]
    return grid(head, pair_rows(table, PAIRS, [{"horizons": (h,)} for h in horizons]))


def trained_table(table):
    """Claim three: what training made of the two compartments."""
    head = ["network", "layers", "outside", "radius", "memory", "oscillate", "low and high", "rate, dendrite", "rate, soma",
            "silent (d, s)"]  # fmt: skip
    rows = []
    for backbone in fc.BACKBONES:
        for neuron in ("ts-lif", "ts-lif-stable"):
            found = list(fc.layers(table, neuron, backbone))
            if not found:
                continue
            inside = [r for r in found if min(r["gaps"]) > 0]
            radius = sorted(r["radius"] for r in found)
            memories = [m for r in inside if (m := fc.memory(r["radius"]))]
            ring = sum(abs(fc.eigenvalues(r)[0].imag) > 0 for r in found)
            split = sum(fc.kinds_of(r) == ["low-pass", "high-pass"] for r in inside)
            rates = [r["rates"] for r in found if len(r["rates"]) == 2]
            middle = [number(statistics.median(part)) for part in zip(*rates)] or ["–", "–"]
            rows.append([
                network(backbone, neuron), str(len(found)), str(len(found) - len(inside)),
                f"{statistics.median(radius):.3f} ({radius[0]:.2f} to {radius[-1]:.2f})",
                number(statistics.median(memories), 1) if memories else "–", str(ring), f"{split} of {len(inside)}",
                *middle, ", ".join(str(sum(r[part] < 1e-3 for r in rates)) for part in (0, 1)),
            ])  # fmt: skip
    return grid(head, rows)


def missing_table(table, imputation="honest"):
    """Claim four: error with gaps at test time over that of the linear AR on complete data."""
    head = ["neuron", "complete", *(f"{m} {100 * s:.0f} %" for s, m in SHOWN_GAPS)]
    rows = []
    for neuron in fc.NAIVE + fc.NEURONS:
        gaps = [fc.COMPLETE, *((share, mechanism, imputation) for share, mechanism in SHOWN_GAPS)]
        found = [fc.level(table, neuron, gap) for gap in gaps]
        rows.append([NAMES[neuron], *(f"{math.exp(statistics.fmean(v.values())):.2f}" if v else "–" for v in found)])
    return grid(head, rows)


def growth_table(table):
    """Claim four, paired: how much more (or less) the error of a neuron grows than LIF's."""
    head = ["growth against LIF's, %", *(f"{m} {100 * s:.0f} %" for s, m in SHOWN_GAPS)]
    rows = []
    for neuron in (*fc.NAIVE, *(n for n in fc.NEURONS if n != "lif")):
        cells = []
        for share, mechanism in SHOWN_GAPS:
            gap = share, mechanism, "honest"
            own, lif = (fc.growth(table, n, gap) for n in (neuron, "lif"))
            cells.append(change([own[s] - lif[s] for s in own if s in lif]))
        rows.append([NAMES[neuron], *cells])
    return grid(head, rows)


def speed_table(table):
    """The exact parallel solver beside the step loop, from the timing records."""
    head = ["network", "loop, ms a step", "exact, ms", "ratio", "loop, two epochs, s", "exact, s", "ratio"]
    rows = []
    for backbone in fc.BACKBONES:
        for neuron in fc.NEURONS:
            at = {r["solver"]: r for r in table.timing if (r["backbone"], r["neuron"]) == (backbone, neuron)}
            if len(at) == 2:
                loop, exact = at["loop"], at["exact"]
                cells = []
                for key, digits in (("step_ms", 1), ("train_s", 2)):
                    times = loop[key], exact[key]
                    cells += [f"{v:.{digits}f}" for v in times] + [f"{times[0] / times[1]:.1f}"]
                rows.append([network(backbone, neuron), *cells])
    return grid(head, rows)


def speed_cpu_table(table):
    """The same on one CPU thread, from its own record."""
    head = ["network", "width", "loop, ms a step", "replay, ms a step", "ratio"]
    rows = []
    for r in results("forecast_speed_cpu")["records"]:
        times = [f"{v:.0f}" for v in (r["loop_ms"], r["exact_ms"])]
        rows.append(
            [network(r["backbone"], r["neuron"]), str(r["width"]), *times, f"{r['loop_ms'] / r['exact_ms']:.2f}"]
        )
    return grid(head, rows)


def full_table(table):
    """What has run of the full grid: one seed, PJM, lookback 168."""
    return column_table(table, "pjm", horizons=table.horizons("pjm"))


BLOCKS = {
    "sets": (SMALL, sets_table),
    "budgets": (SMALL, budget_table),
    **{f"{s} 24": (SMALL, partial(column_table, dataset=s)) for s in fc.SETS},
    **{f"{s} 96": (SMALL, partial(column_table, dataset=s, horizons=(96,))) for s in fc.SETS},
    **{f"{s} gaps": (SMALL, partial(column_table, dataset=s, gap=(0.4, "blocks", "honest"))) for s in fc.SETS},
    "unmasked": (SMALL, partial(unmasked_table, horizons=(24,))),
    "unmasked all": (SMALL, partial(column_table, dataset="metr-la", masked=False)),
    "paired": (SMALL, paired_table),
    "naive": (SMALL, against_naive_table),
    "horizons": (SMALL, horizon_table),
    "trained": (SMALL, trained_table),
    "missing honest": (SMALL, missing_table),
    "missing papers": (SMALL, partial(missing_table, imputation="papers")),
    "growth": (SMALL, growth_table),
    "verdict lif": (SMALL, fv.lif_verdict),
    "verdict naive": (SMALL, fv.naive_verdict),
    "verdict horizons": (SMALL, fv.horizon_verdict),
    "verdict scales": (SMALL, fv.scales_verdict),
    "verdict missing": (SMALL, fv.missing_verdict),
    "verdict imputation": (SMALL, fv.imputation_verdict),
    "verdict unmasked": (SMALL, fv.unmasked_verdict),
    "verdict speed": (FULL, fv.speed_verdict),
    "survives": (SMALL, fv.survives_table),
    "full": (FULL, full_table),
    "speed": (FULL, speed_table),
    "speed cpu": (SMALL, speed_cpu_table),
}


def page_with_tables(text, records):
    """The page with its tables from the records; ``records`` by name."""
    tables = {name: fc.Table(record["records"]) for name, record in records.items()}
    blocks = {name: partial(build, tables[source]) for name, (source, build) in BLOCKS.items()}
    return pages.page_with_tables(text, blocks)


def main():
    records = {name: results(name) for name in (SMALL, FULL)}
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8"), records), encoding="utf-8")
    print("wrote", PAGE.name)


if __name__ == "__main__":
    main()
