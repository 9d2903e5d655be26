"""Measured results of the book, as committed under experiments/results: read from the checkout, else from the installed package."""

import json
from pathlib import Path

from fptlib.data.compact import expanded

CHECKOUT = Path(__file__).resolve().parents[2] / "experiments" / "results"
INSTALLED = Path(__file__).resolve().parent / "measured"  # setup.py copies them there when it builds a wheel


def results(name):
    """Read a committed results file by name: ``{"header": provenance, "records": [...]}``.

    Args:
        name: "timing", "replay_cpu", "tuning", ...: the file's name without .json.

    Returns:
        The file's content, a dict. Shape: none.

    Raises:
        FileNotFoundError: there is no such file; the message lists those there are.

    Example:
        >>> results("replay_cpu")["header"]["command"]  # doctest: +SKIP
        'python experiments/replay_cpu.py'

    Book: ch-time
    """
    folder = CHECKOUT if CHECKOUT.is_dir() else INSTALLED
    path = folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.json")))
        raise FileNotFoundError(
            f"results({name!r}): {folder.name}/ has {known or 'no results'}; choose one of these, or run its script in a checkout."
        )
    return expanded(json.loads(path.read_text()))
