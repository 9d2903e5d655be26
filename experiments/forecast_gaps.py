"""What the chapter on forecasting says of missing data, in words: the fourth verdict, the papers' leak, and zeros that count as measured."""

import math
import statistics

from experiments import forecast_compare as fc
from experiments.forecast_claims import NEURONS, extra_growth, mean_growth
from experiments.forecast_verdicts import joined
from experiments.forecast_words import NAMES, change, number
from experiments.pages import listed


def missing_verdict(table):
    """Claim four."""
    values = {name: mean_growth(table, n).values() for n, name in NEURONS.items()}
    robust = {"lower": "more robust", "higher": "less robust", "open": "open"}
    words = {name: robust[fc.decided(v)] for name, v in values.items()}
    each = {
        (name, share, mechanism): extra_growth(table, n, (share, mechanism, "honest")).values()
        for n, name in NEURONS.items()
        for share in table.shares()
        for mechanism in fc.MECHANISMS
    }
    decided = [
        f"{n}, {m} {100 * s:.0f} %: {robust[fc.decided(v)]}" for (n, s, m), v in each.items() if fc.decided(v) != "open"
    ]
    low = min(each, key=lambda k: statistics.fmean(each[k]))
    tail = (
        f"Of the {len(each)} cells (neuron, share, mechanism) taken one by one, none excludes zero"
        if not decided
        else f"Taken one by one, {len(decided)} of the {len(each)} cells (neuron, share, mechanism) exclude zero ({'; '.join(decided)})"
        if len(decided) <= 6
        else f"Taken one by one, {len(decided)} of the {len(each)} cells (neuron, share, mechanism) exclude zero"
    )
    shown = listed(f"{change(v)} % ({name})" for name, v in values.items())
    dead = {
        n: statistics.fmean(fc.level(table, n, (0.8, "sensors", "honest")).values()) for n in ("seasonal", *fc.NEURONS)
    }
    worse = [n for n in fc.NEURONS if dead[n] > dead["seasonal"]]
    day = {len(fc.NEURONS): "every network is", 0: "no network is"}.get(
        len(worse), f"{len(worse)} of {len(fc.NEURONS)} neurons are"
    )
    return (
        f"**Verdict: {joined(words)}.** Over all shares and mechanisms the factor by which the error grows differs from LIF's by {shown}. "
        f"{tail}; the smallest is {change(each[low])} % ({low[0]}, {low[2]}, {100 * low[1]:.0f} %). With four sensors of five gone, {day} worse than "
        "the value of one day before."
    )


def imputation_verdict(table):
    """What the leak does, and what it does not."""
    say = lambda mechanism, how: statistics.fmean(
        v for n in fc.NEURONS[1:] for v in fc.growth(table, n, (0.8, mechanism, how)).values()
    )
    pairs = {m: [math.exp(say(m, how)) for how in ("honest", "papers")] for m in fc.MECHANISMS}
    shown = [f"{m} from {a:.2f} to {b:.2f}" for m, (a, b) in pairs.items()]
    helps = [m for m in ("blocks", "sensors") if pairs[m][1] < pairs[m][0]]
    gone = {"blocks": "long stretches", "sensors": "whole sensors"}
    where = f"Where {listed(gone[m] for m in helps)} are gone the leak helps" if helps else "The leak helps nowhere"
    return (
        "Read the two tables against each other. At 80 % removed, the papers' way changes the factor by which the error of a "
        f"spiking network grows: {listed(shown)} (geometric means). {where}; where single entries are gone, holding the last value is "
        f"the {'better' if pairs['entries'][0] < pairs['entries'][1] else 'worse'} filler. How robust a neuron looks depends on the filler."
    )


def unmasked_verdict(table):
    """How the order of forecasts is turned round."""
    r2 = lambda name, masked: 1 - table.errors("metr-la", 24, "naive", name, masked=masked)[None]
    show = {n: [number(r2(n, m), 2) for m in (True, False)] for n in fc.NAIVE}
    turned = (r2("persistence", True) < r2("seasonal", True)) and (r2("persistence", False) > r2("seasonal", False))
    moved = "; ".join(f"{NAMES[n]} from {a} to {b}" for n, (a, b) in show.items())
    return f"Counting the zeros moves {moved}. " + (
        "Persistence was behind the seasonal forecast and is now far ahead of it, by cells that nobody measured."
        if turned
        else "The order of the naive forecasts stays."
    )
