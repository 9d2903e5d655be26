"""What the grids of the chapter on forecasting hold and how their networks were trained, in words; every number is read from a record."""

from itertools import product

from experiments import forecast_compare as fc
from experiments import forecast_horizons as fh
from experiments.forecast_sources import FULL, HORIZONS, SMALL
from experiments.forecast_words import BACKBONES, FACTS, counted, plan, reach, settings
from experiments.pages import listed

PLANNED = len(fc.SETS) * len(fc.BACKBONES) * len(fc.NEURONS) * len(fc.HORIZONS) * 3  # trainings of the full grid


def extent(table):
    """What a grid holds, in words: sets, backbones, neurons, horizons, seeds."""
    rows = list(table.trainings())
    seeds, neurons = {r["seed"] for r in rows}, {r["neuron"] for r in rows}
    backbones = table.backbones()
    parts = [counted(len(table.sets()), "set"), counted(len(neurons), "neuron"), counted(len(seeds), "seed")]
    names = listed(BACKBONES[b] for b in backbones)
    return ", ".join([*parts, f"{counted(len(backbones), 'backbone')} ({names})", reach(table.horizons())])


def size(table):
    """Learned numbers of the networks at horizon 24, rounded to hundreds: "1,700" or "6,100 to 6,900"."""
    found = sorted(round(r["params"], -2) for r in table.trainings() if r["horizon"] == 24)
    return f"{found[0]:,}" if found[0] == found[-1] else f"{found[0]:,} to {found[-1]:,}"


def window(table):
    """Steps of a window, one number for all sets compared."""
    (found,) = {r["lookback"] for r in table.trainings()}
    return found


def updates(horizons):
    """Fewest and most updates of a training over the sets and horizons."""
    found = []
    for (name, (steps, *_rest)), horizon in product(FACTS.items(), horizons):
        every, batch, epochs = plan(name)
        windows = len(range(0, int(steps * 0.7) - settings(name)["data"]["lookback"] - horizon + 1, every))
        found.append(windows // batch * epochs)
    return min(found), max(found)


def what_has_run(s):
    """The box at the top."""
    small = (
        f"the *small grid* (`{SMALL}.json`, one CPU): {extent(s.small)}; windows of {window(s.small)} steps, about {size(s.small)} "
        f"learned numbers, about 800 updates. The GRU type was chosen because there the neuron is the only memory. The commands, with "
        "their commits, are in its header; together they took three quarters of an hour on two cores."
    )
    rows = list(s.main.trainings())
    lost, head = sum(bool(r["diverged"]) for r in rows), s.head
    whole = f"all {PLANNED:,} trainings" if len(rows) >= PLANNED else f"{len(rows):,} of {PLANNED:,} trainings"
    end = (
        "None diverged"
        if not lost
        else f"{lost} diverged and {'is' if lost == 1 else 'are'} marked † in {'its' if lost == 1 else 'their'} row"
    )
    paragraphs = [
        f"**Run, and the ground of the verdicts:** the *full grid* (`{FULL}.json`, {head['device']}): {extent(s.main)}; windows of "
        f"{window(s.main)} steps, {size(s.main)} learned numbers at horizon 24; {whole}. {end}. {beside_the_grid(s.main)}",
        *other_horizons(s),
        f"**Beside it:** {small} It was run first and stands as a second result; where the two agree is said {{ref}}`at the end <sec-beside>`.",
    ]
    text = "\n\n".join(paragraphs)
    return (
        f"```{{admonition}} What has been run{', and what not yet' if s.wide else ''}\n:class: important\n\n{text}\n```"
    )


def beside_the_grid(table):
    """The trainings of the same file that are no part of the grid."""
    count = lambda wanted: sum(
        len(found) for key, found in table.rows.items() if wanted(key) and key[3] != "naive" and key[5:] == fc.COMPLETE
    )
    zeros, week = count(lambda key: not key[1]), count(lambda key: key[0] == "metr-la-week")
    return f"In the same file, deciding nothing: METR-LA with its zeros counted ({zeros} trainings) and one week of it with all sensors ({week})."


def other_horizons(s):
    """The paragraph of the box about what has run of horizons that do not decide; none where every horizon decides."""
    if not s.wide:
        return []
    rest = [h for h in s.wide.horizons() if h not in s.main.horizons()]
    rows = [r for r in s.wide.trainings() if r["horizon"] in rest]
    _, sets, seeds = fh.chosen(s.wide)
    part = [name for name in s.wide.sets() if name not in sets]
    return [
        f"**Run in part, deciding nothing:** {reach(rest)} (`{HORIZONS}.json`), {len(rows)} of "
        f"{PLANNED // len(fc.HORIZONS) * len(rest)} trainings, complete with {counted(len(seeds), 'seed')} on {listed(sets)}"
        + (f", less on {listed(part)}" if part else "")
        + ". They are shown {ref}`apart <sec-horizons>`, with that label. When the others have run, the same command moves what is complete "
        "to the file that decides."
    ]


def how_trained(s):
    """Below the table of budgets."""
    low, high = updates(s.main.horizons())
    plans = [plan(name) for name in fc.SETS]
    rates = {settings(name)["train"]["rate"] for name in fc.SETS}
    batches = sorted({batch for _, batch, _ in plans})
    epochs = sorted(epochs for _, _, epochs in plans)
    steps = window(s.main) + 1
    return (
        "The ordinary GRU spends its budget on recurrence and is narrower. "
        f"Adam, rate {listed(map(str, sorted(rates)))} falling along a cosine, {listed(map(str, batches), 'or')} windows a batch, gradient norm "
        f"clipped at 1, {epochs[0]} to {epochs[-1]} epochs with {round(low, -1):,} to {round(high, -1):,} updates in all, weights of the best validation error; the same for all, tuned for none. The linear AR has ${steps}H$ numbers, "
        f"{24 * steps:,} at $H = 24$. Training is always on **complete** windows; gaps come at test time only."
    )
