"""The verdicts of the chapter on forecasting, in words: each by the rule of forecast_claims, with what stands beside it."""

import math
import statistics

from experiments import forecast_compare as fc
from experiments.forecast_claims import (
    FREE,
    NEURONS,
    STABLE,
    horizon_word,
    scale_shares,
    share_shown,
    share_word,
    split,
    trained,
    trend,
    two_memories,
    two_scales,
    word,
)
from experiments.forecast_words import BACKBONES, NAMES, amount, change, number, reach
from experiments.pages import listed

RELEASED = {"a": (0.8, 0.3), "b": (-0.1, -0.8)}  # the start of every TS-LIF layer
START = abs(fc.eigenvalues(RELEASED)[0])


def against(table, one, two, **options):
    """Values by set of one neuron against another, and how the page writes them."""
    values = fc.compare(table, one, two, **options)[0]
    return values, f"{change(values.values())} %"


def lif_verdict(table):
    """Claim one."""
    (free, shown_free), (stable, shown_stable) = (against(table, n, "lif") for n in (FREE, STABLE))
    first, second = word(free.values()), word(stable.values())
    best, worst = (pick(free, key=free.get) for pick in (min, max))
    wide = free[worst] - free[best] > 2 * abs(statistics.fmean(free.values()))
    percent = lambda v: f"{100 * math.expm1(v):+.0f} %".replace("-", "−")
    lines = [
        f"**Verdict: {first} (free), {second} (stable).** Against LIF the error of the free TS-LIF changes by {shown_free}, that of the stable one by {shown_stable}.",
        f"The free one ranges from {percent(free[best])} on {best} to {percent(free[worst])} on {worst}"
        + (": sets differ more than neurons do." if wide else ".")
        + f" Without {best} its mean would be {change(v for name, v in free.items() if name != best)} %.",
        *([learned_decay(table, best)] if wide else []),
    ]
    clear = False
    for rival, why in (("plif", "one learned decay"), ("tc-lif", "two compartments without the rest")):
        words = [
            f"{n} {against(table, k, rival)[1]}: {word(against(table, k, rival)[0].values())}"
            for n, k in (("free", FREE), ("stable", STABLE))
        ]
        lines.append(f"Against {NAMES[rival]}, which has {why}: {'; '.join(words)}.")
        clear |= any(not said.endswith("open") for said in words)
    if clear:
        lines.append(
            "(These comparisons decide no sentence; of the many intervals in this chapter a few exclude zero by chance.)"
        )
    price = against(table, STABLE, FREE)
    lines.append(
        f"*The price of stability*: the stable map changes the error of the free one by {price[1]}: {word(price[0].values())}. {lower_in(table)}"
    )
    return "\n".join(lines)


def learned_decay(table, dataset):
    """On the set of the largest gain over LIF: how much of it PLIF has, which learns one number more than LIF."""
    plif, free = (fc.compare(table, n, "lif", sets=(dataset,))[0][dataset] for n in ("plif", FREE))
    found = f"On {dataset} PLIF, too, changes the error of LIF by {change([plif])} %"
    return f"{found}: most of the gain there is had by learning one decay." if plif < free / 2 < 0 else f"{found}."


def lower_in(table):
    """In how many cells the stable neuron has the lower error, a sentence."""
    cells = fc.compare(table, STABLE, FREE)[1].values()
    return f"It has the lower error in {sum(v < 0 for v in cells)} of {len(cells)} cells."


def below(table, rival):
    """{neuron: in how many cells its error is lower than a naive forecast's}, and the number of cells."""
    cells = {n: fc.compare(table, n, rival)[1].values() for n in fc.NEURONS}
    return {n: sum(v < 0 for v in c) for n, c in cells.items()}, max(map(len, cells.values()))


def ridge_sentence(table):
    """The networks against the linear AR, a main clause."""
    won, total = below(table, "ridge")
    spiking = [won[n] for n in fc.NEURONS[1:]]
    if not any(won.values()):
        return (
            f"no network of this grid, spiking or not, has a lower error than the linear AR in any of the {total} cells"
        )
    if not any(spiking):
        return f"no spiking network has a lower error than the linear AR in any of the {total} cells (without spikes: in {won['ann']})"
    cells = {}
    for neuron in fc.NEURONS[1:]:
        for (name, horizon, backbone), value in fc.compare(table, neuron, "ridge")[1].items():
            if value < 0:
                cells.setdefault(f"{name} at horizon {horizon}, {BACKBONES[backbone]}", []).append(NAMES[neuron])
    if len(cells) > 3:
        often = f"{min(spiking)} to {max(spiking)}" if min(spiking) < max(spiking) else f"{max(spiking)}"
        return f"by neuron, spiking networks have a lower error than the linear AR in {often} of {total} cells (without spikes: in {won['ann']})"
    where = "; ".join(f"{cell}: {' and '.join(names)}" for cell, names in cells.items())
    return (
        f"a spiking network has a lower error than the linear AR in {amount(len(cells))} of the {total} cells ({where}), one without spikes in "
        f"{won['ann']}"
    )


def naive_verdict(table):
    """The networks against the forecasts without one."""
    first = ridge_sentence(table)
    surely = [
        f"{NAMES[n]} {shown}"
        for n in fc.NEURONS[1:]
        for values, shown in [against(table, n, "ridge")]
        if word(values.values()) == "worse"
    ]
    worse = f" The interval over sets puts {amount(len(surely))} of {amount(len(fc.NEURONS) - 1)} spiking neurons above it: {'; '.join(surely)}."
    won, total = below(table, "seasonal")
    counts = [won[n] for n in fc.NEURONS[1:]]
    times = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return (
        f"**{first[0].upper()}{first[1:]}.**{worse if surely else ''} The seasonal naive forecast is beaten by each spiking network in {times} of {total}. "
        "Small networks, trained briefly: this says what the comparison among neurons is worth here, not what such networks can do with "
        "more of everything."
    )


def horizon_verdict(table, other=None):
    """Claim two, from the table; where it has one horizon, from ``other``, and the verdict says so."""
    if len(table.horizons()) > 1:
        words, text = horizon_words(table)
        return f"**Verdict: {joined(words)}.** {text}\n\n*The memory of the neuron.* {memory_sentence(table)}"
    words, text = horizon_words(other)
    return (
        f"**Verdict: not tested on the full grid, {joined(words)} on the small one.** Horizon {table.horizons()[0]} alone has every network "
        f"with three seeds on every set, and one horizon has no trend. On the small grid: {text[0].lower()}{text[1:]}\n\n"
        f"*The memory of the neuron* (full grid). {memory_sentence(table)}"
    )


def horizon_words(table):
    """({neuron: grows, shrinks or open}, the sentences behind it)."""
    horizons = table.horizons()
    words = {name: horizon_word(table, n) for n, name in NEURONS.items()}
    by = lambda rival: listed(f"{change(trend(table, n, rival).values())} % ({name})" for n, name in NEURONS.items())
    far = {name: against(table, n, "lif", horizons=horizons[-1:]) for n, name in NEURONS.items()}
    decided = [f"{word(v.values())} ({shown}, {n})" for n, (v, shown) in far.items() if word(v.values()) != "open"]
    alone = ""
    if decided:
        alone = f" At {horizons[-1]} steps taken alone TS-LIF is {listed(decided)}."
        if "open" in words.values():
            alone = f"{alone[:-1]}; of the many intervals in this chapter a few exclude zero by chance."
    parts = listed(f"{one_set(trend(table, n))} ({name})" for n, name in NEURONS.items())
    said = f"From {horizons[0]} to {horizons[-1]} steps the error relative to LIF's changes by {by('lif')}; relative to PLIF's, by {by('plif')}."
    return words, f"{said} Set by set, against LIF: {parts}.{alone}"


def one_set(values):
    """The set that changes most, and the range of the others."""
    most = max(values, key=lambda name: abs(values[name]))
    rest = sorted(v for name, v in values.items() if name != most)
    return f"{most} {change([values[most]])} %, the others {change(rest[:1])} to {change(rest[-1:])} %"


def joined(words):
    """One word for both neurons, or each with its own."""
    first, second = words.values()
    return first if first == second else ", ".join(f"{word} ({name})" for name, word in words.items())


def memory_sentence(table):
    """What training does to the memory of the neuron itself."""
    start, middle, unstable = fc.memory(START), {}, {}
    for neuron, name in NEURONS.items():
        each = [fc.memory(r["radius"]) for r in trained(table, neuron)]
        middle[name] = statistics.median([m for m in each if m])
        unstable[name] = sum(m is None for m in each)
    shorter = [m < start for m in middle.values()]
    said = (
        "does not build a long memory"
        if all(shorter)
        else "lengthens the memory"
        if not any(shorter)
        else "does not do the same to both"
    )
    shown = listed(f"{number(m, 1)} ({name})" for name, m in middle.items())
    edge = f"{listed(f'{k} {n}' for n, k in unstable.items())} layers at or beyond the edge of stability are left out. "
    return (
        f"{'And training' if all(shorter) else 'Training'} {said}: both start at {start:.1f} steps and end at a median of {shown}. "
        f"{memory_by_horizon(table)}{edge if any(unstable.values()) else ''}LIF with decay 0.9 has {fc.memory(0.9):.1f} steps."
    )


def memory_by_horizon(table):
    """The same medians for each horizon: whether what is trained to look further remembers longer; nothing for one horizon."""
    if len(table.horizons()) == 1:
        return ""
    parts = []
    for neuron, name in NEURONS.items():
        each = []
        for horizon in table.horizons():
            reports = [r for b in table.backbones() for r in fc.layers(table, neuron, b, horizons=(horizon,))]
            each.append(number(statistics.median([m for r in reports if (m := fc.memory(r["radius"]))]), 1))
        parts.append(f"{listed(each)} ({name})")
    return f"At {reach(table.horizons())}, in this order, the medians are {listed(parts)}. "


def scales_verdict(table):
    """Claim three."""
    found = {name: trained(table, n) for n, name in NEURONS.items()}
    shares = {name: scale_shares(table, n).values() for n, name in NEURONS.items()}
    words = {name: share_word(values) for name, values in shares.items()}
    count = lambda test: {name: sum(bool(test(r)) for r in part) for name, part in found.items()}
    both = lambda counts: listed(f"{k} {name}" for name, k in counts.items())
    splits, good = count(split), count(two_scales)
    ring = count(lambda r: abs(fc.eigenvalues(r)[0].imag) > 0)
    outside, silent = count(lambda r: min(r["gaps"]) <= 0), count(lambda r: min(r["rates"] or [1]) < 1e-3)
    total = {name: len(part) for name, part in found.items()}
    lines = [
        f"**Verdict: {joined(words)}.** {listed(f'{splits[n]} of {total[n]} {n}' for n in splits)} layers ({reach(table.horizons())}, all "
        f"seeds) end with a low-pass dendrite and a high-pass soma; {both(ring)} oscillate."
    ]
    lost = {n: splits[n] - good[n] for n in splits}
    if any(lost.values()):
        lines.append(
            f"Of those that split, {both(lost)} have a negative decay: such a filter alternates from step to step, which is not a "
            "time scale of the data, and they do not count."
        )
    shown = listed(f"{share_shown(values)} of the {name} layers" for name, values in shares.items())
    lines.append(f"What counts is {shown} (mean over sets, interval over sets).")
    twofold = count(two_memories)
    lines.append(
        f"\nIn a plainer sense, two real positive eigenvalues whose memories differ more than twofold (the start has {fc.memory(START):.1f} and "
        f"{fc.memory(fc.eigenvalues(RELEASED)[1].real):.1f} steps), two scales are left in {listed(f'{twofold[n]} of {total[n]} {n}' for n in total)} layers. That they are there does not say that they are used."
    )
    lines.append(
        f"{'No layer of either kind ends' if not any(outside.values()) else f'{both(outside)} layers end'} outside the stable region, and "
        f"a compartment has fallen silent in {sum(silent.values())} of {sum(total.values())}: the current here is a real number of either "
        "sign, not a product of two bits as in {prf:ref}`prp-silent-soma`."
    )
    return "\n".join(lines)


def gains(table):
    """{(backbone, neuron): time of a step with the loop over that of the exact solver}."""
    steps = {}
    for row in table.timing:
        if row["neuron"] not in fc.NAIVE:
            steps.setdefault((row["backbone"], row["neuron"]), {})[row["solver"]] = row["step_ms"]
    return {place: v["loop"] / v["exact"] for place, v in steps.items() if len(v) == 2}


def gain(table):
    """The range of these, in words."""
    low, high = (f"{pick(gains(table).values()):.0f}" for pick in (min, max))
    return low if low == high else f"{low} to {high}"


def speed_verdict(table):
    """Range of the gain per step."""
    ratios = gains(table)
    name = lambda place: f"{BACKBONES[place[0]]}, {NAMES[place[1]]}"
    least, most = (name(pick(ratios, key=ratios.get)) for pick in (min, max))
    return f"**{gain(table)} times per step**" + (f", least in *{least}*, most in *{most}*." if least != most else ".")
