"""Measured results of the book, as committed under experiments/results: read from the checkout, or fetched where there is none."""

import json
from pathlib import Path
from urllib.request import urlopen

CHECKOUT = Path(__file__).resolve().parents[2] / "experiments" / "results"
PUBLISHED = "https://raw.githubusercontent.com/fptlib/fptlib/main/experiments/results"


def results(name):
    """Read a committed results file by name: ``{"header": provenance, "records": [...]}``.

    Args:
        name: "timing", "replay_cpu", "tuning", ...: the file's name without .json.

    Returns:
        The file's content, a dict. Shape: none.

    Raises:
        FileNotFoundError: the checkout has no such file; the message lists those it has.
        OSError: there is no checkout (as in Colab) and the published file cannot be fetched.

    Example:
        >>> results("replay_cpu")["header"]["command"]  # doctest: +SKIP
        'python experiments/replay_cpu.py'

    Book: ch-time
    """
    if not CHECKOUT.is_dir():
        with urlopen(f"{PUBLISHED}/{name}.json") as page:
            return json.load(page)
    path = CHECKOUT / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in CHECKOUT.glob("*.json")))
        raise FileNotFoundError(f"results({name!r}): the checkout has {known}; choose one of these, or run its script.")
    return json.loads(path.read_text())
