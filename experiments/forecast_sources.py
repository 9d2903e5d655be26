"""Which record the chapter on forecasting stands on: the full grid decides, the small one (one CPU) stands beside it.

Horizons of the full grid that not every set has with three seeds are in a file of their own, which is there only if there are
any: they are shown and decide nothing.
"""

from dataclasses import dataclass

from experiments.forecast_compare import Table
from fptlib.data.results import CHECKOUT, results

FULL, SMALL, HORIZONS = "forecasting", "forecasting_small", "forecasting_horizons"


@dataclass(frozen=True)
class Sources:
    """Tables by their part in the chapter: ``main``, the full grid, decides."""

    main: Table
    small: Table
    wide: Table | None  # the full grid with the horizons that do not decide; None where every horizon decides
    head: dict  # header of main


def stored(folder=CHECKOUT):
    """The committed files, {name: content}."""
    return {name: results(name) for name in (FULL, SMALL, HORIZONS) if (folder / f"{name}.json").is_file()}


def sources(contents):
    """The `Sources` from files by name."""
    tables = {name: Table(content["records"]) for name, content in contents.items()}
    both = [contents[name]["records"] for name in (FULL, HORIZONS) if name in contents]
    wide = Table(sum(both, [])) if len(both) == 2 else None
    return Sources(main=tables[FULL], small=tables[SMALL], wide=wide, head=contents[FULL]["header"])
