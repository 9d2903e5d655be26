"""Horizons of the full grid that not every set has with three seeds: what they show, labelled as deciding nothing.

Sets and seeds are chosen by what has run, not by name: the sets on which every network ran at every horizon, and the seeds that
all of these have. Once a horizon is complete on all sets it moves to the file that decides, and this module has less to say.
"""

import statistics

from experiments import forecast_compare as fc
from experiments.forecast_claims import NEURONS, trend
from experiments.forecast_words import NAMES, amount, change, counted, grid, number
from experiments.pages import listed


def alike(table):
    """(sets, seeds) that have every network at every horizon of the table."""
    found = {}
    for row in table.trainings():
        if row["r2"] is not None:
            found.setdefault((row["dataset"], row["seed"]), set()).add((row["backbone"], row["neuron"], row["horizon"]))
    every = set().union(*found.values())
    whole = {place for place, networks in found.items() if networks == every}
    sets = [name for name in fc.SETS if any(dataset == name for dataset, _ in whole)]
    return sets, sorted(set.intersection(*({s for d, s in whole if d == name} for name in sets)) if sets else ())


def chosen(table):
    """The records of these sets and seeds, with their naive rows, as a table; and the sets and seeds."""
    sets, seeds = alike(table)
    rows = [row for found in table.rows.values() for row in found if row["seed"] in (None, *seeds)]
    return fc.Table([row for row in rows if row["dataset"] in sets]), sets, seeds


def score_table(table):
    """Mean R2 by horizon, over sets, backbones and seeds: the forecasts themselves, the naive rows first."""
    horizons, rows = table.horizons(), []
    for neuron in (*fc.NAIVE, *fc.NEURONS):
        backbones = fc.BACKBONES[:1] if neuron in fc.NAIVE else fc.BACKBONES
        each = {
            h: [1 - e for s in table.sets() for b in backbones for e in table.errors(s, h, b, neuron).values()]
            for h in horizons
        }
        rows.append([NAMES[neuron], *(number(statistics.fmean(found)) for found in each.values())])
    return grid(["mean $R^2$", *(f"$H$ = {h}" for h in horizons)], rows)


def label(sets, seeds):
    """How few these are, said wherever they are shown: "one seed, four of five sets"."""
    return f"{counted(len(seeds), 'seed')}, {amount(len(sets))} of {amount(len(fc.SETS))} sets"


def trend_words(table, sets, seeds):
    """What the change against LIF does from the shortest horizon to the longest, as a hint."""
    ends, parts = (table.horizons()[0], table.horizons()[-1]), []
    for neuron, name in NEURONS.items():
        values = trend(table, neuron)
        each = ", ".join(f"{dataset} {change([value])} %" for dataset, value in values.items())
        parts.append(f"by {change(values.values())} % for the {name} neuron ({each})")
    sides = {fc.decided(trend(table, neuron).values()) for neuron in NEURONS}
    says = "neither interval excludes zero" if sides == {"open"} else "an interval over so few excludes zero easily"
    return (
        f"From {ends[0]} to {ends[1]} steps the change against LIF itself changes {listed(parts)}: {says}, and seeds, of which there "
        f"{'is' if len(seeds) == 1 else 'are'} {amount(len(seeds))}, are not in it."
    )
