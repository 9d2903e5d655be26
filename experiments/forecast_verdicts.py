"""The verdicts of the chapter on forecasting, computed by its rule: better or worse where the interval excludes zero, else open."""

import math
import statistics

from experiments import forecast_compare as fc
from experiments.forecast_words import NAMES, change, grid, number

WORDS = {"lower": "better", "higher": "worse", "open": "open"}
FREE, STABLE = "ts-lif", "ts-lif-stable"
HARD = ((0.4, "blocks"), (0.8, "blocks"), (0.4, "sensors"), (0.8, "sensors"))


def word(values):
    """better, worse or open."""
    return WORDS[fc.decided(list(values))]


def against(table, one, two, **options):
    """Values by set of one neuron against another, and how the page writes them."""
    values = fc.compare(table, one, two, **options)[0]
    return values, f"{change(values.values())} %"


def listed(names):
    """a, b and c."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def lif_verdict(table):
    """Claim one."""
    (free, shown_free), (stable, shown_stable) = (against(table, n, "lif") for n in (FREE, STABLE))
    first, second = word(free.values()), word(stable.values())
    spread = {n: max(v.values()) - min(v.values()) for n, v in ((FREE, free), (STABLE, stable))}
    best, worst = (pick(free, key=free.get) for pick in (min, max))
    percent = lambda v: f"{100 * math.expm1(v):+.0f} %".replace("-", "−")
    lines = [
        f"**Verdict: {first} (free), {second} (stable).** Against LIF the error of the free TS-LIF changes by {shown_free}, that of the stable one by {shown_stable}.",
        f"The free one ranges from {percent(free[best])} on {best} to {percent(free[worst])} on {worst}: sets differ more than neurons do."
        if spread[FREE] > spread[STABLE]
        else f"The free one ranges from {percent(free[best])} on {best} to {percent(free[worst])} on {worst}.",
    ]
    for rival, why in (("plif", "one learned decay"), ("tc-lif", "two compartments without the rest")):
        words = [
            f"{n} {against(table, k, rival)[1]}: {word(against(table, k, rival)[0].values())}"
            for n, k in (("free", FREE), ("stable", STABLE))
        ]
        lines.append(f"Against {NAMES[rival]}, which has {why}: {'; '.join(words)}.")
    price = against(table, STABLE, FREE)
    lines.append(
        f"*The price of stability*: the stable map changes the error of the free one by {price[1]}: {word(price[0].values())}."
    )
    return "\n".join(lines)


def naive_verdict(table):
    """The networks against the linear AR."""
    cells = {n: fc.compare(table, n, "ridge")[1].values() for n in fc.NEURONS}
    below = {n: sum(v < 0 for v in c) for n, c in cells.items()}
    total = max(len(c) for c in cells.values())
    spiking = max(below[n] for n in fc.NEURONS[1:])
    none = f"**No network of this grid, spiking or not, has a lower error than the linear AR in any of the {total} cells.**"
    some = f"**A spiking network has a lower error than the linear AR in at most {spiking} of {total} cells** (without spikes: {below['ann']})."
    seasonal = {n: sum(v < 0 for v in fc.compare(table, n, "seasonal")[1].values()) for n in fc.NEURONS[1:]}
    low, high = min(seasonal.values()), max(seasonal.values())
    times = f"{low}" if low == high else f"{low} to {high}"
    return (
        f"{none if not any(below.values()) else some} The seasonal naive forecast is beaten by each spiking network in {times} of {total}. "
        "Small networks, trained briefly: this says what the comparison among neurons is worth here, not what such networks can do with more of everything."
    )


def horizon_verdict(table):
    """Claim two."""
    horizons = table.horizons()
    if len(horizons) < 2:
        return "**Verdict: not tested.** One horizon only has been run on all sets."
    parts = []
    for name, neuron in (("free", FREE), ("stable", STABLE)):
        far, near = (fc.compare(table, neuron, "lif", horizons=(h,))[0] for h in (horizons[-1], horizons[0]))
        trend = [far[s] - near[s] for s in far if s in near]
        grows = {"lower": "grows", "higher": "shrinks", "open": "open"}[fc.decided(trend)]
        parts.append((grows, f"for the {name} neuron the change against LIF itself changes by {change(trend)} %"))
    verdict = parts[0][0] if parts[0][0] == parts[1][0] else f"{parts[0][0]} (free), {parts[1][0]} (stable)"
    alone = ""
    far = {n: against(table, n, "lif", horizons=horizons[-1:]) for n in (FREE, STABLE)}
    decided = [n for n in far if word(far[n][0].values()) != "open"]
    if decided:
        shown = listed(
            f"{word(far[n][0].values())} ({far[n][1]}, {'free' if n == FREE else 'stable'})" for n in decided
        )
        alone = (
            f" At {horizons[-1]} steps taken alone TS-LIF is {shown}; of the many intervals in this chapter a few exclude zero "
            "by chance."
        )
    memories = {n: [fc.memory(r["radius"]) for r in trained(table, n)] for n in (FREE, STABLE)}
    middle = {n: number(statistics.median([v for v in m if v]), 1) for n, m in memories.items()}
    return (
        f"**Verdict: {verdict}.** From {horizons[0]} to {horizons[-1]} steps, {parts[0][1]}; {parts[1][1]}.{alone} And training does not build a long memory: "
        f"both start at {fc.memory(0.9188):.1f} steps and end at a median of {middle[FREE]} (free) and {middle[STABLE]} (stable), "
        f"where LIF with decay 0.9 has {fc.memory(0.9):.1f}."
    )


def trained(table, neuron):
    """Reports of all trained layers of a neuron."""
    return [r for b in table.backbones() for r in fc.layers(table, neuron, b)]


def scales_verdict(table):
    """Claim three."""
    free, stable = trained(table, FREE), trained(table, STABLE)
    outside = [sum(min(r["gaps"]) <= 0 for r in part) for part in (free, stable)]
    splits = [
        [r for r in part if min(r["gaps"]) > 0 and fc.kinds_of(r) == ["low-pass", "high-pass"]]
        for part in (free, stable)
    ]
    ring = [sum(abs(fc.eigenvalues(r)[0].imag) > 0 for r in part) for part in (free, stable)]
    negative, alternating = sum(min(r["a"]) < 0 for r in free), sum(r["a"][1] < 0 for r in splits[0])
    silent = sum(min(r["rates"]) < 1e-3 for r in free + stable)
    shares = f"{len(splits[0])} of {len(free)} free neurons, {len(splits[1])} of {len(stable)} stable ones"
    return (
        f"**Verdict: {shares}** end with a low-pass dendrite and a high-pass soma; {ring[0]} and {ring[1]} oscillate. "
        f"In {alternating} of those {len(splits[0])} the soma's decay is negative (as is some decay in {negative} of all the free ones): such a soma "
        "is high-pass because it alternates, which is not a time scale of the data. "
        f"{'No neuron of either kind ends' if not any(outside) else f'{outside[0]} free and {outside[1]} stable neurons end'} "
        f"outside the stable region, and a compartment has fallen silent in {silent} of {len(free) + len(stable)}: the current here is a real number "
        "of either sign, not a product of two bits as in {prf:ref}`prp-silent-soma`."
    )


def missing_verdict(table):
    """Claim four."""
    found = {}
    for neuron in (FREE, STABLE):
        for share, mechanism in (*HARD, (0.4, "entries"), (0.8, "entries")):
            own, lif = (fc.growth(table, n, (share, mechanism, "honest")) for n in (neuron, "lif"))
            found[neuron, share, mechanism] = [own[s] - lif[s] for s in own if s in lif]
    words = {fc.decided(v) for v in found.values()}
    best = min(found, key=lambda k: statistics.fmean(found[k]))
    named = f"{'free' if best[0] == FREE else 'stable'}, {best[2]}, {100 * best[1]:.0f} %"
    overall = "open" if words == {"open"} else "mixed"
    decided = [
        f"{'free' if n == FREE else 'stable'}, {m} {100 * s:.0f} %: {WORDS[fc.decided(v)]}"
        for (n, s, m), v in found.items()
        if fc.decided(v) != "open"
    ]
    tail = (
        "No interval of TS-LIF excludes zero" if not decided else f"Decided: {'; '.join(decided)}. All others are open"
    )
    dead = {n: fc.level(table, n, (0.8, "sensors", "honest")) for n in ("seasonal", *fc.NEURONS)}
    above = all(statistics.fmean(dead[n].values()) > statistics.fmean(dead["seasonal"].values()) for n in fc.NEURONS)
    return (
        f"**Verdict: {overall}.** {tail}; the largest advantage in the mean is {change(found[best])} % ({named})."
        + (" With four sensors of five gone, every network is worse than the value of one day before." if above else "")
    )


def imputation_verdict(table):
    """What the leak does, and what it does not."""
    say = lambda mechanism, how: statistics.fmean(
        v for n in fc.NEURONS[1:] for v in fc.growth(table, n, (0.8, mechanism, how)).values()
    )
    pairs = {m: [math.exp(say(m, how)) for how in ("honest", "papers")] for m in fc.MECHANISMS}
    shown = [f"{m} from {a:.2f} to {b:.2f}" for m, (a, b) in pairs.items()]
    return (
        "Read the two tables against each other. At 80 % removed, the papers' way changes the factor by which the error of a spiking network grows: "
        f"{listed(shown)} (geometric means). Where whole sensors or long stretches are gone the leak {'helps' if pairs['sensors'][1] < pairs['sensors'][0] else 'does not help'}; "
        f"where single entries are gone, holding the last value is the {'better' if pairs['entries'][0] < pairs['entries'][1] else 'worse'} filler. "
        "So the same neuron looks robust or not by the choice of the filler."
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


def speed_verdict(table):
    """Range of the gain per step."""
    steps = {}
    for row in table.timing:
        if row["neuron"] not in fc.NAIVE:
            steps.setdefault((row["backbone"], row["neuron"]), {})[row["solver"]] = row["step_ms"]
    ratios = [v["loop"] / v["exact"] for v in steps.values() if len(v) == 2]
    return f"**{min(ratios):.0f} to {max(ratios):.0f} times per step**, least where the neuron is a small part of the network."


def survives_table(table):
    """The four sentences and what is left of them."""
    (free, shown_free), (stable, shown_stable) = (against(table, n, "lif") for n in (FREE, STABLE))
    short = lambda text: text.split("**")[1].removeprefix("Verdict: ").rstrip(".")
    rows = [
        [
            "better than LIF",
            f"{word(free.values())} (free, {shown_free}), {word(stable.values())} (stable, {shown_stable})",
        ],
        ["long dependencies", short(horizon_verdict(table))],
        ["several time scales", f"{short(scales_verdict(table))} split low from high"],
        ["robust to missing data", short(missing_verdict(table))],
    ]
    return grid(["sentence", "verdict on this grid"], rows, words=2)
