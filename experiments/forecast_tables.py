"""The tables, verdicts and still figures of the chapter on forecasting, from the record.

    python book/_tools/notebooks.py execute notebooks/17-forecasting.ipynb      draws the figures
    python -m experiments.forecast_tables          rewrites book/17-forecasting.md from experiments/results/forecasting*.json and
                                                   copies the figures of the stored notebook to _static

A test fails when page and record differ. Averages and intervals are computed in forecast_compare, claims decided in forecast_claims;
forecast_sources says which grid decides.
"""

import base64
import json
import math
import re
import statistics
from pathlib import Path

from experiments import forecast_columns as columns
from experiments import forecast_compare as fc
from experiments import forecast_extent as extent
from experiments import forecast_gaps as gaps
from experiments import forecast_prose as prose
from experiments import forecast_verdicts as fv
from experiments import pages
from experiments.forecast_claims import extra_growth, trend, trend_by_seed
from experiments.forecast_sources import sources, stored
from experiments.forecast_words import BACKBONES, NAMES, change, grid, network, number, sets_table
from fptlib.data import results

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "book" / "17-forecasting.md"
NOTEBOOK = ROOT / "notebooks" / "17-forecasting.ipynb"
STILLS = (
    "forecast-pairs",
    "forecast-horizons",
    "forecast-training",
    "forecast-missing",
)  # in the order in which the notebook draws them

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


def brief(neuron):
    """A name for narrow columns: the two kinds of TS-LIF are called free and stable."""
    return NAMES[neuron].removeprefix("TS-LIF, ")


def pair_rows(table, pairs, columns):
    """Change of error for each pair (rows) and selection (columns), and in how many cells the first was better."""
    for one, two in pairs:
        shown = [change(fc.compare(table, one, two, **options)[0].values()) for options in columns]
        cells = fc.compare(table, one, two)[1].values()
        yield [f"{brief(one)} against {brief(two)}", *shown, (sum(v < 0 for v in cells), len(cells))]


def with_counts(head, rows):
    """A table whose rows end in (lower in, of so many cells): the total stands in the head where it is one for all rows."""
    totals = {total for *_, (_, total) in rows}
    last = f"lower in, of {totals.pop()}" if len(totals) == 1 else "lower in"
    shown = [[*row, f"{won}" if last != "lower in" else f"{won} of {total}"] for *row, (won, total) in rows]
    return grid([*head, last], shown)


def paired_table(table):
    """Claim one: every pair, set by set (a star: seeds alone do not explain it) and together."""
    head = ["change of error, %", *table.sets(), "all"]
    rows = []
    for one, two in PAIRS:
        (name, *_, together, won), *_ = pair_rows(table, [(one, two)], [{}])
        each = []
        for dataset in table.sets():
            sure = fc.decided(fc.by_seed(table, one, two, sets=(dataset,)).values()) != "open"
            each.append(change(fc.compare(table, one, two, sets=(dataset,))[0].values()) + ("\\*" if sure else ""))
        rows.append([name, *each, together, won])
    return with_counts(head, rows)


def backbone_table(table):
    """Claim one, backbone by backbone."""
    found = table.backbones()
    head = ["change of error, %", *(BACKBONES[b] for b in found)]
    return with_counts(head, list(pair_rows(table, PAIRS, [{"backbones": (b,)} for b in found])))


def against_naive_table(table):
    """Each neuron against the naive rows: change of error, and in how many cells it is the lower one."""
    total = len(fc.compare(table, "lif", "ridge")[1])
    head = ["neuron", *(f"against {NAMES[n]}, %" for n in fc.NAIVE), f"lower in, of {total}"]
    rows = []
    for neuron in fc.NEURONS:
        found = [fc.compare(table, neuron, naive) for naive in fc.NAIVE]
        won = [", ".join(str(sum(v < 0 for v in cells.values())) for _, cells in found)]
        rows.append([NAMES[neuron], *(change(by_set.values()) for by_set, _ in found), *won])
    return grid(head, rows)


def horizon_table(table):
    """Claim two: the same by horizon."""
    horizons = table.horizons()
    head = ["change of error, %", *(f"$H$ = {h}" for h in horizons)]
    return with_counts(head, list(pair_rows(table, PAIRS, [{"horizons": (h,)} for h in horizons])))


def trend_table(table):
    """Claim two: from the shortest horizon to the longest, set by set (a star: seeds alone do not explain it) and together."""
    ends = f"{table.horizons()[0]} to {table.horizons()[-1]}"
    rows = []
    for one, two in PAIRS:
        if one not in fc.NAIVE:
            found = trend(table, one, two)
            sure = {name: fc.decided(trend_by_seed(table, one, two, name).values()) != "open" for name in found}
            each = [change([found[name]]) + "\\*" * sure[name] for name in table.sets()]
            rows.append([f"{brief(one)} against {brief(two)}", *each, change(found.values())])
    return grid([f"{ends} steps, %", *table.sets(), "all"], rows)


def trained_table(table):
    """Claim three: what training made of the two compartments."""
    head = ["network", "outside, of all layers", "radius, median [range]", "memory", "oscillate", "low and high", "rates (d, s)",
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
            middle = [number(statistics.median(part), 2) for part in zip(*rates)] or ["–", "–"]
            rows.append([
                f"{BACKBONES[backbone]}, {brief(neuron)}", f"{len(found) - len(inside)} of {len(found)}",
                f"{statistics.median(radius):.3f} [{radius[0]:.2f}, {radius[-1]:.2f}]",
                number(statistics.median(memories), 1) if memories else "–", str(ring), f"{split} of {len(inside)}",
                ", ".join(middle), ", ".join(str(sum(r[part] < 1e-3 for r in rates)) for part in (0, 1)),
            ])  # fmt: skip
    return grid(head, rows)


def missing_table(table, imputation="honest", shown=SHOWN_GAPS):
    """Claim four: error with gaps at test time over that of the linear AR on complete data."""
    head = ["neuron", "complete", *(f"{m} {100 * s:.0f} %" for s, m in shown)]
    rows = []
    for neuron in fc.NAIVE + fc.NEURONS:
        gaps = [fc.COMPLETE, *((share, mechanism, imputation) for share, mechanism in shown)]
        found = [fc.level(table, neuron, gap) for gap in gaps]
        rows.append([NAMES[neuron], *(f"{math.exp(statistics.fmean(v.values())):.2f}" if v else "–" for v in found)])
    return grid(head, rows)


def growth_table(table):
    """Claim four, paired: how much more (or less) the error of a neuron grows than LIF's."""
    rows = []
    for neuron in (*fc.NAIVE, *(n for n in fc.NEURONS if n != "lif")):
        for share in sorted({share for share, _ in SHOWN_GAPS}):
            each = (extra_growth(table, neuron, (share, mechanism, "honest")) for mechanism in fc.MECHANISMS)
            rows.append([NAMES[neuron], f"{100 * share:.0f} %", *(change(values.values()) for values in each)])
    return grid(["growth against LIF's, %", "removed", *fc.MECHANISMS], rows)


def other_shares(table):
    """The shares that the tables above leave out, folded away; nothing where there are none."""
    shown = [(s, m) for m in fc.MECHANISMS for s in table.shares() if s not in {share for share, _ in SHOWN_GAPS}]
    made = [missing_table(table, how, shown) for how in ("honest", "papers") if shown]
    titles = ("Other shares, honest imputation", "Other shares, the papers' imputation")
    return "\n\n".join(columns.folded(title, text) for title, text in zip(titles, made))


def speed_table(table):
    """The exact parallel solver beside the step loop, from the timing records."""
    head = ["network", "loop, ms a step", "exact, ms", "ratio", "loop, two epochs, s", "exact, s", "ratio"]
    rows = []
    for backbone in fc.BACKBONES:
        for neuron in fc.NEURONS:
            at = {r["solver"]: r for r in table.timing if (r["backbone"], r["neuron"]) == (backbone, neuron)}
            cells = []
            for key, digits in (("step_ms", 1), ("train_s", 2)):
                loop, exact = (at.get(solver, {}).get(key) for solver in ("loop", "exact"))
                cells += [number(loop, digits), number(exact, digits), number(loop and exact and loop / exact, 1)]
            if at:
                rows.append([network(backbone, neuron), *cells])
    return grid(head, rows)


def speed_cpu_table():
    """The same on one CPU thread, from its own record."""
    head = ["network", "width", "loop, ms a step", "replay, ms a step", "ratio"]
    rows = []
    for r in results("forecast_speed_cpu")["records"]:
        times = [f"{v:.0f}" for v in (r["loop_ms"], r["exact_ms"])]
        rows.append(
            [network(r["backbone"], r["neuron"]), str(r["width"]), *times, f"{r['loop_ms'] / r['exact_ms']:.2f}"]
        )
    return grid(head, rows)


BLOCKS = {  # name of a block of the page: function of the `Sources`
    "run": extent.what_has_run,
    "sets": lambda s: sets_table(),
    "budgets": lambda s: columns.budget_table(s.main),
    "training": extent.how_trained,
    "unmasked": lambda s: columns.unmasked_table(s.main),
    "unmasked all": lambda s: columns.column_table(s.main, "metr-la", masked=False),
    "paired": lambda s: paired_table(s.main),
    "backbones": lambda s: prose.by_backbone(s, backbone_table),
    "naive": lambda s: against_naive_table(s.main),
    "horizons": lambda s: prose.horizons(s, horizon_table, trend_table),
    "trained": lambda s: trained_table(s.main),
    "missing honest": lambda s: missing_table(s.main),
    "missing papers": lambda s: missing_table(s.main, "papers"),
    "missing shares": lambda s: other_shares(s.main),
    "growth": lambda s: growth_table(s.main),
    "verdict lif": lambda s: fv.lif_verdict(s.main),
    "verdict naive": lambda s: fv.naive_verdict(s.main),
    "verdict horizons": lambda s: fv.horizon_verdict(s.main, s.small),
    "verdict scales": lambda s: fv.scales_verdict(s.main),
    "verdict missing": lambda s: gaps.missing_verdict(s.main),
    "verdict imputation": lambda s: gaps.imputation_verdict(s.main),
    "verdict unmasked": lambda s: gaps.unmasked_verdict(s.main),
    "speed": lambda s: f"{prose.how_timed(s)}\n\n{fv.speed_verdict(s.main)}\n\n{speed_table(s.main)}",
    "speed cpu": lambda s: speed_cpu_table(),
    "survives": prose.what_survives,
    "numbers": lambda s: f"{prose.numbers_head(s)}\n\n{columns.numbers_section(s.main, s.wide)}",
    "beside": prose.other_grid,
    "not tested": prose.not_tested,
    "summary": prose.summary,
}


def page_with_tables(text, contents):
    """The page with its tables from the files; ``contents`` by name."""
    found = sources(contents)
    tight = lambda made: re.sub(r"(?<=[\d\]]) %", "\u00a0%", made)  # a number and its % stay on one line
    return pages.page_with_tables(
        text, {name: lambda build=build: tight(build(found)) for name, build in BLOCKS.items()}
    )


def pictures():
    """The PNG bytes of the stored notebook's figures."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    data = [output.get("data", {}).get("image/png") for cell in cells for output in cell.get("outputs", [])]
    return [base64.b64decode("".join(text)) for text in data if text]


def main():
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8"), stored()), encoding="utf-8")
    for name, picture in zip(STILLS, pictures(), strict=True):
        (ROOT / "_static" / f"{name}.png").write_bytes(picture)
    print("wrote", PAGE.name, "and", ", ".join(STILLS))


if __name__ == "__main__":
    main()
