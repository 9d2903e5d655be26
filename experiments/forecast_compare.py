"""Forecasting records read and compared: cells, ratios of errors, intervals. The tables and tests of the chapter stand on this.

In one column (a data set, a horizon, a mask, a normalisation) 1 - R2, RSE^2 and the mean squared error are the same number up
to a factor of the data. So two forecasts are compared by the ratio of their 1 - R2, and no metric has to be chosen.
"""

import json
import math
import statistics
from functools import cache
from itertools import product

from scipy.stats import t as student

from fptlib.theory import KINDS, response_kind

SETS = ("metr-la", "pems08-tail", "rts-solar", "pjm", "etth1")
BACKBONES = ("tcn", "gru", "inverted")
NEURONS = ("ann", "lif", "plif", "tc-lif", "ts-lif", "ts-lif-stable")
NAIVE = ("persistence", "seasonal", "ridge")
HORIZONS = (6, 24, 48, 96)
MECHANISMS = ("entries", "blocks", "sensors")
COMPLETE = (0.0, "none", "none")


def is_timing(row):
    """Whether a record was made to time a step, not to be a result."""
    return row["part"].startswith("timing") or row.get("solver") == "loop"


class Table:
    """Records by (dataset, masked, horizon, backbone, neuron, share, mechanism, imputation); timing records are kept apart."""

    def __init__(self, records):
        self.timing = [row for row in records if is_timing(row)]
        self.rows, self.known = {}, {}
        for row in records:
            if not is_timing(row):
                gap = row["missing"], row["mechanism"], row["imputation"]
                key = row["dataset"], row["masked"], row["horizon"], row["backbone"], row["neuron"], *gap
                self.rows.setdefault(key, []).append(row)

    def cell(self, dataset, horizon, backbone, neuron, gap=COMPLETE, masked=True):
        """The records of one cell, one per seed; a naive row stands in every backbone."""
        place = "naive" if neuron in NAIVE else backbone
        return self.rows.get((dataset, masked, horizon, place, neuron, *gap), [])

    def errors(self, *place, **options):
        """1 - R2 of a cell, {seed: error}; diverged runs are left out."""
        key = *place, *options.items()
        if key not in self.known:
            self.known[key] = {r["seed"]: 1 - r["r2"] for r in self.cell(*place, **options) if r["r2"] is not None}
        return self.known[key]

    def backbones(self, dataset=None):
        """The backbones with results (of a set), in the book's order."""
        found = {key[3] for key in self.rows if dataset in (None, key[0])}
        return [name for name in BACKBONES if name in found]

    def horizons(self, dataset=None):
        """The horizons at which networks were trained (on a set, or on any of the sets compared)."""
        wanted = SETS if dataset is None else (dataset,)
        return sorted({key[2] for key in self.rows if key[0] in wanted and key[1] and key[3] != "naive"})

    def sets(self):
        """The compared sets with results of networks, in the book's order."""
        found = {key[0] for key in self.rows if key[3] != "naive"}
        return [name for name in SETS if name in found]

    def trainings(self):
        """One record for each network that was trained: complete data, masked, the sets compared."""
        for key, found in self.rows.items():
            if key[0] in SETS and key[1] and key[3] != "naive" and key[5:] == COMPLETE:
                yield from found

    def shares(self):
        """The shares removed in the missing-data cells, 0 left out."""
        return sorted({key[5] for key in self.rows if key[5]})


def log_ratios(one, two):
    """log(error of one / error of two), seed by seed; a naive forecast (seed None) is paired with every seed."""
    if None in one or None in two:
        return [math.log(a / b) for a, b in product(one.values(), two.values())]
    return [math.log(one[seed] / two[seed]) for seed in sorted(set(one) & set(two))]


def compare(table, one, two, backbones=BACKBONES, horizons=HORIZONS, sets=SETS, gap=COMPLETE):
    """Mean log ratio of errors of ``one`` over ``two`` for each set: {set: mean over its cells}, and the cells themselves.

    A cell (set, backbone, horizon) is the mean over seeds, a set the mean over its cells: sets are the units of chance.
    """
    cells = {}
    for place in product(sets, horizons, backbones):
        found = log_ratios(table.errors(*place, one, gap=gap), table.errors(*place, two, gap=gap))
        if found:
            cells[place] = statistics.fmean(found)
    by_set = {name: [v for place, v in cells.items() if place[0] == name] for name in sets}
    return {name: statistics.fmean(values) for name, values in by_set.items() if values}, cells


def by_seed(table, one, two, sets=SETS, backbones=BACKBONES, horizons=HORIZONS):
    """Mean log ratio of errors for each seed, over the cells in which every seed has one: the chance of training alone."""
    found = {}
    for place in product(sets, horizons, backbones):
        a, b = table.errors(*place, one), table.errors(*place, two)
        seeds = (set(a) | set(b)) - {None}
        both = {s: (a.get(s, a.get(None)), b.get(s, b.get(None))) for s in seeds}
        if all(None not in pair for pair in both.values()):
            for seed, (x, y) in both.items():
                found.setdefault(seed, []).append(math.log(x / y))
    return {seed: statistics.fmean(values) for seed, values in sorted(found.items())}


def growth(table, neuron, gap, backbones=BACKBONES, sets=SETS, horizon=24):
    """Mean log ratio of a neuron's error with gaps over its own without, for each set."""
    found = {}
    for name in sets:
        logs = []
        for backbone in backbones:
            place = name, horizon, backbone, neuron
            logs += log_ratios(table.errors(*place, gap=gap), table.errors(*place))
        if logs:
            found[name] = statistics.fmean(logs)
    return found


def interval(values, level=0.95):
    """Mean of independent numbers and the half width of Student's interval; None where there is one number only."""
    values = list(values)
    mean, n = statistics.fmean(values), len(values)
    if n < 2:
        return mean, None
    return mean, student.ppf((1 + level) / 2, n - 1) * statistics.stdev(values) / math.sqrt(n)


def percent(values):
    """Log ratios as a change of error in percent with its interval, (middle, low, high); low and high None for one number."""
    mean, half = interval(values)
    change = lambda v: 100 * math.expm1(v)
    return (change(mean), None, None) if half is None else (change(mean), change(mean - half), change(mean + half))


def decided(values):
    """'lower', 'higher' or 'open': whether the interval of the change of error excludes zero, and on which side."""
    _, low, high = percent(values)
    if low is None or low <= 0 <= high:
        return "open"
    return "lower" if high < 0 else "higher"


def channels(row, score="r2"):
    """Median over channels of R2 or RSE per channel; None where the record has none."""
    if row.get(f"{score}_per_channel"):
        known = [v for v in row[f"{score}_per_channel"] if v is not None]
        return statistics.median(known) if known else None
    return row.get(f"{score}_channel_median")


def reports(entry):
    """Reports of the two-compartment layers of an epoch's log line or of a record (some store them as text)."""
    found = entry.get("neurons") or []
    return json.loads(found) if isinstance(found, str) else found


def eigenvalues(report):
    """Both eigenvalues of a layer's linear part, larger modulus first."""
    (a1, a2), (b1, b2) = report["a"], report["b"]
    half, det = (a1 + a2 + b1 * b2) / 2, a1 * a2
    root = (half * half - det + 0j) ** 0.5
    return sorted((half + root, half - root), key=abs, reverse=True)


def memory(radius):
    """Steps in which a deviation falls to 1/e; None at or beyond the edge of stability."""
    return -1 / math.log(radius) if 0 < radius < 1 else None


def layers(table, neuron, backbone, horizons=HORIZONS, sets=SETS):
    """Reports of all trained layers of one neuron in one backbone, all sets, horizons and seeds."""
    for name in sets:
        for horizon in horizons:
            for row in table.cell(name, horizon, backbone, neuron):
                if not row.get("diverged"):
                    yield from reports(row)


def kinds_of(report):
    """Names of the filters of dendrite and soma."""
    return list(kinds_at(*report["a"], *report["b"]))


@cache
def kinds_at(a1, a2, b1, b2):
    """The same of a pair; tables ask for it again and again."""
    return tuple(KINDS[k] for k in response_kind(a1, a2, b1, b2).tolist())


def level(table, neuron, gap, backbones=BACKBONES):
    """Error with gaps over the error of the linear AR without, geometric mean over sets, backbones and seeds."""
    found = {}
    for name in SETS:
        linear = table.errors(name, 24, "naive", "ridge")
        logs = [
            v
            for b in (backbones if neuron not in NAIVE else backbones[:1])
            for v in log_ratios(table.errors(name, 24, b, neuron, gap=gap), linear)
        ]
        if logs:
            found[name] = statistics.fmean(logs)
    return found
