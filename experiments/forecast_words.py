"""How the chapter on forecasting writes names, numbers and tables, and its table of data sets."""

import re
import statistics
import tomllib
from functools import lru_cache
from pathlib import Path

from experiments import forecast_compare as fc
from experiments.pages import listed
from fptlib.data.catalogue import CATALOGUE

CONFIGS = Path(__file__).parent / "configs"
NAMES = {
    "persistence": "persistence",
    "seasonal": "seasonal naive",
    "ridge": "linear AR (ridge)",
    "ann": "no spikes",
    "lif": "LIF",
    "plif": "PLIF",
    "tc-lif": "TC-LIF",
    "ts-lif": "TS-LIF, free",
    "ts-lif-stable": "TS-LIF, stable",
}
BACKBONES = {"tcn": "TCN", "gru": "GRU", "inverted": "inverted"}
# Steps, channels, length of a step, what it stands for, missing cells in percent; the rest is in the configs.
FACTS = {
    "metr-la": (34272, 10, "5 min", "Metr-la (10 of its 207 sensors)", 7.41),
    "pems08-tail": (7156, 170, "5 min", "Pems-bay (another district of the same network)", 0.0),
    "rts-solar": (52704, 56, "10 min", "Solar (modelled output, as there)", 0.0),
    "pjm": (45336, 10, "1 h", "Electricity (zones, not customers)", 0.01),
    "etth1": (17420, 7, "1 h", "no set of the papers; a common one", 0.0),
}


def grid(head, rows, words=1):
    """A Markdown table; the first ``words`` columns are text, the others numbers, broken before an interval only."""
    line = lambda cells: "| " + " | ".join(cells) + " |"
    whole = lambda row: row[:words] + [re.sub(r" (?!\[)", "\u00a0", cell) for cell in row[words:]]
    rule = "|" + "---|" * words + "---:|" * (len(head) - words)
    return "\n".join([line(head), rule, *(line(whole(row)) for row in rows)])


def number(value, digits=3):
    """Fixed digits with a true minus sign; a dash where there is no number."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def spread(values, digits=3):
    """Mean and standard deviation over seeds, 0.394 ± 0.012 as 0.394(12); the mean alone where there is one seed."""
    values = [v for v in values if v is not None]
    if not values:
        return "–"
    mean = number(statistics.fmean(values), digits)
    return mean if len(values) < 2 else f"{mean}({statistics.stdev(values) * 10**digits:.0f})"


def network(backbone, neuron):
    """Name of a row: a forecast without network, or backbone and neuron."""
    return NAMES[neuron] if neuron in fc.NAIVE else f"{BACKBONES[backbone]}, {NAMES[neuron]}"


def change(values):
    """Change of error in percent with its interval over sets; from 100 % on without decimals."""
    values = list(values)
    if not values:
        return "–"
    mean, low, high = fc.percent(values)
    show = lambda v: (f"{v:+.1f}" if abs(v) < 99.95 else f"{v:+.0f}").replace("-", "−")
    return f"{show(mean)}" if low is None else f"{show(mean)} [{show(low)}, {show(high)}]"


def counted(n, word):
    """One seed, two seeds."""
    return f"{amount(n)} {word}{'' if n == 1 else 's'}"


def reach(horizons):
    """Horizon 24; horizons 6, 24 and 48."""
    return f"horizon{'' if len(horizons) == 1 else 's'} {listed(map(str, horizons))}"


def amount(n):
    """A small number as a word."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[n] if n < len(words) else f"{n:,}"


def plan(name):
    """(stride between windows, windows a batch, epochs) of a set, from its config."""
    tables = settings(name)
    return tables["data"]["every"], tables["train"]["batch"], tables["train"]["epochs"]


@lru_cache
def settings(name):
    """The config of a set in the full grid."""
    return tomllib.loads((CONFIGS / f"forecast-{name}.toml").read_text(encoding="utf-8"))


def sets_table():
    """The data sets, named for what they are."""
    head = ["set", "stands for", "licence", "steps × channels", "step", "every", "missing"]
    rows = []
    for name, (steps, width, step, stands, missing) in FACTS.items():
        numbers = [f"{steps:,} × {width}", step, str(plan(name)[0]), f"{missing:g} %"]
        rows.append([name, stands, CATALOGUE[name].licence, *numbers])
    return grid(head, rows, words=3)
