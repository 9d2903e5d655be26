"""Paragraphs of the chapter on forecasting that depend on which grid has run; every number in them is read from a record."""

import math
import statistics
from itertools import product

from experiments import forecast_claims as claims
from experiments import forecast_compare as fc
from experiments import forecast_horizons as fh
from experiments import forecast_verdicts as fv
from experiments.forecast_extent import window
from experiments.forecast_words import BACKBONES, NAMES, amount, change, counted, network, number, reach
from experiments.pages import listed


def horizons(s, table_of, trend_of):
    """Claim two: the tables of the grid that tests it, and what has run of the other horizons, apart."""
    rests = lambda table: (
        "What the verdict rests on (rows against LIF) and its like, set by set: by how much the error relative to the other's changes from "
        f"{table.horizons()[0]} to {table.horizons()[-1]} steps. A star: the interval over seeds excludes zero, on this set.\n\n{trend_of(table)}"
    )
    drawn = s.main if len(s.main.horizons()) > 1 else s.small
    figure = (
        "```{figure} ../_static/forecast-horizons.png\n:name: fig-forecast-horizons\n:alt: Two panels, free and stable TS-LIF; change of squared "
        "error against LIF at each horizon, a line for each data set and the mean over sets with its interval.\n:width: 100%\n\n"
        f"Change of squared error against LIF by horizon ({'full' if drawn is s.main else 'small'} grid): a grey line for each set, the mean over "
        "sets with its 95 % interval in blue. The claim asks that blue falls to the right, and lies below zero at the right end. Data: METR-LA and "
        "PEMS08 (no licence stated), RTS-GMLC solar (NREL data agreement), PJM (public load data), ETTh1 (CC BY-ND 4.0); the last 20 % of "
        "each. Drawn by the notebook from the record.\n```"
    )
    if drawn is s.main:
        text = (
            f"First the forecasts, $R^2$ averaged over sets, backbones and seeds:\n\n{fh.score_table(s.main)}\n\nThen the change of error, "
            f"horizon by horizon:\n\n{table_of(s.main)}\n\n{rests(s.main)}\n\n{figure}"
        )
    else:
        text = (
            f"The full grid has one complete horizon, {s.main.horizons()[0]}. The small grid (GRU, windows of {window(s.small)} steps, three "
            f"seeds) has two:\n\n{table_of(s.small)}\n\n{rests(s.small)}\n\n{figure}"
        )
    if not s.wide:
        return text
    table, sets, seeds = fh.chosen(s.wide)
    return (
        f"{text}\n\n(sec-horizons)=\n**{fh.label(sets, seeds).capitalize()}; no verdict rests on it.** What has run of the full grid at "
        f"other horizons too, on the sets where every network ran at each of them ({listed(sets)}; {reach(s.main.horizons())} with the same "
        f"seed{'' if len(seeds) == 1 else 's'}). First the "
        f"forecasts, $R^2$ averaged over sets and backbones, then the change of error with its interval over {amount(len(sets))} sets:\n\n"
        f"{fh.score_table(table)}\n\n{table_of(table)}\n\n{fh.trend_words(table, sets, seeds)}"
    )


def by_backbone(s, table_of):
    """Claim one, backbone by backbone."""
    return (
        "The same, backbone by backbone. In the GRU type the neuron is the only memory, and a difference between neurons cannot be "
        "hidden, or made up for, by convolutions or attention; in the other two it can.\n\n"
        f"{table_of(s.main)}\n\n{backbone_words(s.main)}"
    )


def backbone_words(table):
    """Against LIF, what each backbone taken alone says, and whether the mean over backbones hides a change of sign."""
    lines, hidden = [], []
    for neuron, name in claims.NEURONS.items():
        found = {b: fc.compare(table, neuron, "lif", backbones=(b,))[0].values() for b in table.backbones()}
        lines.append(f"{name} " + ", ".join(f"{BACKBONES[b]} {claims.word(values)}" for b, values in found.items()))
        if len({sum(values) < 0 for values in found.values()}) > 1:
            hidden.append(name)
    mixed = f" The sign of the mean is not the same in all backbones ({listed(hidden)}): there the mean over them hides what it averages."
    return f"Against LIF, backbone by backbone: {'; '.join(lines)}.{mixed if hidden else ''} {seeds_apart(table)}"


def seeds_apart(table):
    """Where seeds differ most: what a mean over them hides, as main clauses."""
    spread = {}
    for place in product(table.sets(), table.horizons(), table.backbones(), fc.NEURONS):
        errors = table.errors(*place).values()
        if len(errors) > 1:
            spread[place] = statistics.stdev(map(math.log, errors))
    if not spread:
        return ""
    name, horizon, backbone, neuron = max(spread, key=spread.get)
    scores = lambda n: listed(
        number(1 - e, 2) for e in sorted(table.errors(name, horizon, backbone, n).values(), reverse=True)
    )
    where = name if len(table.horizons()) == 1 else f"{name} at horizon {horizon}"
    others = [n for n in (*claims.NEURONS, "lif") if n != neuron]
    beside = "; ".join(f"{NAMES[n]} {scores(n)}" for n in others)
    return (
        f"Seeds differ most in *{network(backbone, neuron)}* on {where}: $R^2$ of {scores(neuron)} (beside it {beside}). Where trainings end "
        "in places so far apart, a mean over few seeds is a rough number."
    )


def company(rows):
    """How many runs shared the GPU, in words."""
    shared = max(r.get("shared", 1) for r in rows)
    return "alone on it" if shared == 1 else f"{shared} at a time on it"


def how_timed(s):
    """What the table of times is about."""
    rows = [r for r in s.main.timing if r["params"]]
    weights = sorted(round(r["params"], -2) for r in rows)
    runs = s.head.get("runs") or [s.head]
    made = {r.get("run", 0) for r in rows}
    devices = listed(sorted({runs[run]["device"] for run in made}))
    alone = company(rows)
    loops = {(r["backbone"], r["neuron"]) for r in rows if r["solver"] == "loop"}
    gap = {(r["backbone"], r["neuron"]) for r in rows} - loops
    return (
        f"One training step of the PJM forecasters (windows of {rows[0]['lookback']} steps, horizon 24, 128 windows of 10 channels, "
        f"{weights[0]:,} to {weights[-1]:,} learned numbers) on one {devices}, {alone}, as plain PyTorch runs it, and two epochs end to "
        f"end{', in ' + counted(len(made), 'run') + ' of the script' if len(made) > 1 else ''}. An exact training that is the first of its process "
        "also pays for the compilation of the kernels."
        + (
            f" {counted(len(gap), 'loop').capitalize()} {'has' if len(gap) == 1 else 'have'} not been timed (–)."
            if gap
            else ""
        )
    )


def what_survives(s):
    """The table of verdicts, and what may be read from it."""
    table = claims.survives_table({"full": s.main, "small": s.small})
    words = [word for claim in claims.claims(s.main).values() for word, _ in claim.values()]
    if not {"open", claims.UNTESTED} & set(words):
        return table
    seeds = amount(len({r["seed"] for r in s.main.trainings()}))
    more = ", and three seeds at other horizons" if claims.UNTESTED in words else ""
    return (
        f"{table}\n\n*Open* is not *no*. It says that {amount(len(s.main.sets()))} sets, {seeds} seeds and networks of this size cannot "
        f"tell. What would: more sets{more}."
    )


def numbers_head(s):
    """Above the tables of every set."""
    table = s.wide or s.main
    others = [h for h in table.horizons() if h != 24]
    return (
        f"The full grid, one table for each set, at horizon 24, scored on its last 20 % after a gap; {reach(others)}, and horizon 24 with "
        "40 % of the input removed in blocks, are folded away, a table each (and left out of the PDF edition)."
    )


def other_grid(s):
    """The grid that does not decide, the small one, beside the full one."""
    found = claims.agreement(s.main, s.small)
    total = sum(map(len, found.values())) - len(found["one only"])
    name = lambda pairs: listed(
        f"{sentence} ({' and '.join(n for s, n in pairs if s == sentence)})"
        for sentence in dict.fromkeys(s for s, _ in pairs)
    )
    lines = [
        f"Of the {total} verdicts that both grids give (a sentence each, free and stable) they agree in {len(found['same'])}."
    ]
    if found["one only"]:
        lines.append(f"One of the two alone tests: {name(found['one only'])}.")
    if found["one open"]:
        lines.append(f"One of the two does not decide: {name(found['one open'])}.")
    lines.append(
        f"They contradict each other: {name(found['opposite'])}."
        if found["opposite"]
        else "In none do they contradict each other."
    )
    signs = [
        (one, two)
        for one in (claims.FREE, claims.STABLE)
        for two in ("lif", "plif", "tc-lif")
        if claims.mean_of(s.main, one, two) * claims.mean_of(s.small, one, two) > 0
    ]
    lines.append(
        f"The mean change of error against LIF, PLIF and TC-LIF has the same sign in {len(signs)} of 6 comparisons, whatever its interval."
    )
    return (
        "(sec-beside)=\n### The small grid beside the full one\n\nShorter windows, smaller networks, one backbone, another learning rate, the same "
        "sets, cuts, masks and seeds: not a repetition, but a second look at the same questions.\n\n" + "\n".join(lines)
    )


def not_tested(s):
    """What the chapter leaves out."""
    first = []
    if s.wide:
        rest = reach([h for h in s.wide.horizons() if h not in s.main.horizons()])
        first = [f"{rest.capitalize()} of the full grid with three seeds on all sets: see the box at the top."]
    rest = [
        "The papers' own sets, at their own length and width: the configs in `experiments/configs/papers` fetch them, checked, and run the same script; "
        "these tables do not contain them.",
        "Tuning. One learning rate for all neurons favours whoever likes it. The stable map moves its decays more slowly at the same rate "
        "(chapter {ref}`ch-frequency`).",
        "Training *with* gaps.",
        "Whether two time scales, where they are found, are what makes the forecast better.",
        "Energy. Firing rates are given; no energy is computed from them.",
        f"More than {amount(len(s.main.sets()))} sets. The intervals say what that costs.",
    ]
    return "\n".join(f"- {line}" for line in first + rest)


def summary(s):
    """The last section."""
    found = claims.claims(s.main)
    joined = lambda each: fv.joined({name: word for name, (word, _) in each.items()})

    def side(sentence):
        said = joined(found[sentence])
        return f"{said} (small grid: {joined(claims.claims(s.small)[sentence])})" if claims.UNTESTED in said else said

    told = {"several time scales": "several time scales, low split from high"}
    says = "; ".join(f"*{told.get(sentence, sentence)}*: {side(sentence)}" for sentence in found)
    price = {
        "better": "lowers the error",
        "worse": "costs accuracy",
        "open": "has no price that five sets tell from zero",
    }
    values = fc.compare(s.main, claims.STABLE, claims.FREE)[0].values()
    stable = f"{price[claims.word(values)]} ({change(values)} %)"
    clear = [
        f"{name}, against {NAMES[rival]}: {claims.word(found)} ({change(found)} %)"
        for rival in ("plif", "tc-lif")
        for n, name in claims.NEURONS.items()
        for found in [fc.compare(s.main, n, rival)[0].values()]
        if claims.word(found) != "open"
    ]
    rivals = f" Beside them, deciding nothing: {'; '.join(clear)}." if clear else ""
    lines = [
        r"$\mathrm{RSE}^2/(1-R^2)$ is a constant of the column: one metric in two dresses, and a test for mixed tables.",
        'Pooling forgives levels; per-channel scores do not. Zeros that mean "not measured" flatter whoever repeats them.',
        "Persistence, seasonal naive and a linear AR stand in every table, with the same gaps as the networks.",
        "Comparisons are ratios of errors, paired by seed, with an interval over sets.",
        f"On the full grid: {says}.{rivals} Keeping the neuron stable {stable}; {fv.ridge_sentence(s.main)}.",
        f"On a GPU the exact parallel solver makes a training step of these forecasters {fv.gain(s.main)} times as fast as the loop does; on "
        "one CPU thread there is nothing to gain.",
    ]
    return "\n".join(f"- {line}" for line in lines)
