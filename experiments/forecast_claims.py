"""What each claim of the chapter on forecasting is measured by, and what it comes to: for, against or open.

Each claim is decided by one number a set and neuron, by the interval over sets. What else is said of it stands in
forecast_verdicts beside the verdict and does not decide.
"""

import statistics

from experiments import forecast_compare as fc
from experiments.forecast_words import change, grid

WORDS = {"lower": "better", "higher": "worse", "open": "open"}
FREE, STABLE = "ts-lif", "ts-lif-stable"
UNTESTED = "not tested"  # a grid of one horizon says nothing about how an advantage changes with it
NEURONS = {FREE: "free", STABLE: "stable"}


def word(values):
    """better, worse or open."""
    return WORDS[fc.decided(list(values))]


def trend(table, neuron, rival="lif"):
    """By how much the log ratio against LIF falls or grows from the shortest to the longest horizon, for each set."""
    ends = table.horizons()[-1], table.horizons()[0]
    far, near = (fc.compare(table, neuron, rival, horizons=(h,))[0] for h in ends)
    return {name: far[name] - near[name] for name in far if name in near}


def trend_by_seed(table, neuron, rival, dataset):
    """The same on one set, for each seed: the chance of training alone."""
    ends = table.horizons()[-1], table.horizons()[0]
    far, near = (fc.by_seed(table, neuron, rival, sets=(dataset,), horizons=(h,)) for h in ends)
    return {seed: far[seed] - near[seed] for seed in far if seed in near}


def horizon_word(table, neuron):
    """grows: the advantage over LIF grows with the horizon and is one at the longest; shrinks; or open."""
    side = fc.decided(trend(table, neuron).values())
    far = fc.decided(fc.compare(table, neuron, "lif", horizons=table.horizons()[-1:])[0].values())
    return "shrinks" if side == "higher" else "grows" if side == far == "lower" else "open"


def trained(table, neuron):
    """Reports of all trained layers of a neuron."""
    return [r for b in table.backbones() for r in fc.layers(table, neuron, b)]


def two_scales(report):
    """A stable layer with a low-pass dendrite and a high-pass soma that does not get there by alternating."""
    return split(report) and min(report["a"]) >= 0


def split(report):
    """A stable layer with a low-pass dendrite and a high-pass soma."""
    return min(report["gaps"]) > 0 and fc.kinds_of(report) == ["low-pass", "high-pass"]


def two_memories(report):
    """A stable layer with two real positive eigenvalues whose memories differ more than twofold; it decides nothing."""
    large, small = fc.eigenvalues(report)
    if min(report["gaps"]) <= 0 or abs(large.imag) > 0 or min(large.real, small.real) <= 0:
        return False
    return fc.memory(large.real) > 2 * fc.memory(small.real)


def scale_shares(table, neuron):
    """Share of layers with two time scales, for each set."""
    found = {
        name: [two_scales(r) for b in fc.BACKBONES for r in fc.layers(table, neuron, b, sets=(name,))]
        for name in fc.SETS
    }
    return {name: statistics.fmean(values) for name, values in found.items() if values}


def share_word(shares):
    """most, few or open: whether the interval over sets lies on one side of one half."""
    mean, half = fc.interval(shares)
    if half is None or abs(mean - 0.5) <= half:
        return "open"
    return "most" if mean > 0.5 else "few"


def share_shown(shares):
    """A mean share in percent with its interval over sets, cut at 0 and 100."""
    mean, half = fc.interval(shares)
    ends = "" if not half else f" [{100 * max(mean - half, 0):.0f}, {100 * min(mean + half, 1):.0f}]"
    return f"{100 * mean:.0f}{ends} %"


def extra_growth(table, neuron, gap):
    """How much more (or less) the log error of a neuron grows with a gap than LIF's, for each set."""
    own, lif = (fc.growth(table, n, gap) for n in (neuron, "lif"))
    return {name: own[name] - lif[name] for name in own if name in lif}


def mean_growth(table, neuron):
    """The same, averaged over all honest gaps of the record."""
    gaps = [(share, mechanism, "honest") for share in table.shares() for mechanism in fc.MECHANISMS]
    found = [extra_growth(table, neuron, gap) for gap in gaps]
    return {
        name: statistics.fmean(each[name] for each in found) for name in fc.SETS if all(name in each for each in found)
    }


def mean_of(table, one, two):
    """Mean log ratio of errors over sets."""
    return statistics.fmean(fc.compare(table, one, two)[0].values())


def claims(table):
    """{sentence: {neuron: (for, against, open or not tested; what it rests on)}}, one number for each set behind each."""
    sides = {"lower": "for", "higher": "against", "open": "open"}
    change_of = lambda values: (sides[fc.decided(values)], f"{change(values)} %")
    share_of = lambda shares: (
        {"most": "for", "few": "against", "open": "open"}[share_word(shares)],
        share_shown(shares),
    )
    numbers = {
        "better than LIF": lambda n: change_of(fc.compare(table, n, "lif")[0].values()),
        "long dependencies": lambda n: (
            (
                {"grows": "for", "shrinks": "against", "open": "open"}[horizon_word(table, n)],
                f"{change(trend(table, n).values())} %",
            )
            if len(table.horizons()) > 1
            else (UNTESTED, "one horizon")
        ),
        "several time scales": lambda n: share_of(scale_shares(table, n).values()),
        "robust to missing data": lambda n: change_of(mean_growth(table, n).values()),
    }
    return {sentence: {name: find(n) for n, name in NEURONS.items()} for sentence, find in numbers.items()}


MEASURED = {
    "better than LIF": "change of error",
    "long dependencies": "how that changes, shortest to longest horizon",
    "several time scales": "share of layers that split low from high",
    "robust to missing data": "growth of error against LIF's",
}


def survives_table(tables):
    """The four sentences and what is left of them, on each grid; ``tables`` by the name of the grid."""
    found = {grid_name: claims(table) for grid_name, table in tables.items()}
    rows = [
        [f"**{sentence}**: {what}", name, *(": ".join(found[grid_name][sentence][name]) for grid_name in found)]
        for sentence, what in MEASURED.items()
        for name in NEURONS.values()
    ]
    return grid(["sentence: its measure", "neuron", *(f"{grid_name} grid" for grid_name in found)], rows, words=2)


def agreement(one, two):
    """(sentence, neuron) by whether two grids say the same, the opposite, one of them does not decide or does not test it."""
    found = {"same": [], "opposite": [], "one open": [], "one only": []}
    first, second = claims(one), claims(two)
    for sentence, name in ((s, n) for s in first for n in first[s]):
        a, b = first[sentence][name][0], second[sentence][name][0]
        kind = (
            "one only" if UNTESTED in (a, b) else "same" if a == b else "one open" if "open" in (a, b) else "opposite"
        )
        found[kind].append((sentence, name))
    return found
