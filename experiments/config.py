"""Config files: a TOML file with a grid becomes a list of runs, each with a name that says everything about it.

[task]      name = "rows-mnist"          and whatever tasks.py takes
[network]   name = "stack"               and whatever networks.py takes
[arm]       surrogate = "sigmoid"        options common to all arms
[train]     epochs = 20, batch = 128     see loop.Plan
[grid]      arm = [...], decay = [...], k = [...], seed = [...]
"""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

from experiments.arms import ARMS

GRID = ("arm", "decay", "k", "seed")
TABLES = ("task", "network", "arm", "train", "grid")


@dataclass(frozen=True)
class Run:
    """One training: what to learn, with which network and arm, from which seed."""

    task: dict
    network: dict
    train: dict
    arm: str
    decay: float | str | None
    k: int | None
    seed: int
    options: dict = field(default_factory=dict)

    @property
    def name(self):
        """File name of this run, such as rows-mnist_stack_fpt_0.5_k3_s0."""
        decay = [] if self.decay is None else [str(self.decay)]
        k = [] if self.k is None else [f"k{self.k}"]
        task = "-".join(str(part) for part in (self.task["name"], self.task.get("speaker")) if part)
        return "_".join([task, self.network["name"], self.arm, *decay, *k, f"s{self.seed}"])

    @property
    def digest(self):
        """Hash of every setting: a checkpoint of other settings is refused."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def read(path):
    """The tables of a config file, checked for unknown names."""
    with Path(path).open("rb") as file:
        tables = tomllib.load(file)
    unknown = set(tables) - set(TABLES)
    missing = {"task", "network", "train", "grid"} - set(tables)
    if unknown or missing:
        raise ValueError(f"{path}: unknown tables {sorted(unknown)}, missing tables {sorted(missing)}; see config.py.")
    if set(tables["grid"]) != set(GRID):
        raise ValueError(f"{path}: [grid] has {sorted(tables['grid'])}; it needs exactly {', '.join(GRID)}.")
    return tables


def expand(tables):
    """The runs of a config: the product of the grid, without the axes an arm does not have.

    A neuron without decay (or without K) is run once, not once per decay (or K), and a learned decay is left out where
    an arm cannot learn it.
    """
    runs = {}
    for arm, decay, k, seed in product(*(tables["grid"][axis] for axis in GRID)):
        if arm not in ARMS:
            raise ValueError(f"[grid] names the arm {arm!r}; arms.py knows {', '.join(ARMS)}.")
        kind = ARMS[arm]
        if decay == "learned" and not kind.learns and kind.has_decay:
            continue
        run = Run(
            task=tables["task"],
            network=tables["network"],
            train=tables["train"],
            arm=arm,
            decay=decay if kind.has_decay else None,
            k=k if kind.has_k else None,
            seed=seed,
            options=tables.get("arm", {}),
        )
        runs[run.name] = run
    return list(runs.values())
