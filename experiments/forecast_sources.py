"""Which record the chapter on forecasting stands on, decided here and nowhere else: the full grid where its file is, else the small one.

The small grid (one CPU) stays beside the full one as a second result. Horizons of the full grid that not every set has with
three seeds are in a file of their own, are shown and decide nothing. Without the full grid, its part that has run is shown instead.
"""

from dataclasses import dataclass

from experiments.forecast_compare import Table
from fptlib.data.results import CHECKOUT, results

FULL, SMALL, PARTIAL, HORIZONS = "forecasting", "forecasting_small", "forecasting_partial", "forecasting_horizons"


@dataclass(frozen=True)
class Sources:
    """Tables by their part in the chapter: ``main`` decides; ``part`` is what has run of the full grid, None once it is main."""

    full: bool
    main: Table
    small: Table
    part: Table | None
    wide: Table | None  # the full grid with the horizons that do not decide; None where every horizon decides
    speed: Table
    zeros: Table  # METR-LA with its zeros counted
    heads: dict  # header of each of the tables, by the names of the fields


def stored(folder=CHECKOUT):
    """The committed files, {name: content}."""
    return {name: results(name) for name in (FULL, SMALL, PARTIAL, HORIZONS) if (folder / f"{name}.json").is_file()}


def timed_pairs(table):
    """How many networks were timed with the loop and with the exact solver."""
    timed = [r for r in table.timing if r["backbone"] != "naive"]
    loop, exact = ({(r["backbone"], r["neuron"]) for r in timed if r["solver"] == name} for name in ("loop", "exact"))
    return len(loop & exact)


def sources(contents):
    """The `Sources` from files by name. Speed is read where more networks were timed, the full grid first."""
    tables = {name: Table(content["records"]) for name, content in contents.items()}
    both = [contents[name]["records"] for name in (FULL, HORIZONS) if name in contents]
    wide = Table(sum(both, [])) if len(both) == 2 else None
    main = FULL if FULL in tables else SMALL
    speed = max((name for name in (FULL, PARTIAL) if name in tables), key=lambda name: timed_pairs(tables[name]))
    zeros = next(name for name in (main, SMALL) if any(not key[1] for key in tables[name].rows))
    names = {"main": main, "small": SMALL, "part": PARTIAL if main == SMALL else None, "speed": speed, "zeros": zeros}
    heads = {part: contents[name]["header"] for part, name in names.items() if name}
    return Sources(
        full=main == FULL, wide=wide, heads=heads, **{part: tables.get(name) for part, name in names.items()}
    )
