"""What of the grids in experiments/configs is not in the record of the accuracy runs: one rule for both chapters that list it."""

from pathlib import Path

from experiments import config
from experiments.accuracy_cells import SPEAKER, table

CONFIGS = Path(__file__).resolve().parent / "configs"
RAW = "fsdd-raw"  # for the time and memory of a step: no seed


def planned(run):
    """What names a run of a config: task (raw speech with its length), neuron, decay, K and seed."""
    task = run.task["name"]
    if task == RAW:
        return f"{RAW}-{run.task['steps']}", run.arm, run.decay, run.k, None
    return SPEAKER if run.task.get("speaker") else task, run.arm, run.decay, run.k, run.seed


def done(record):
    """The same name of a record."""
    task = record["task"]
    if task == RAW:
        task = f"{RAW}-{record['steps']}"
    elif record["part"].startswith("held-out"):
        task = SPEAKER
    return task, record["arm"], record["decay"], record["k"], record["seed"]


def coverage(results, wanted=lambda name: True):
    """[(config, names of its runs, those of them in the record)]; ``wanted`` chooses configs by name."""
    have = {done(r) for r in results["records"]}
    made = []
    for path in sorted(CONFIGS.glob("*.toml")):
        if path.stem.startswith(("forecast-", "digits")) or not wanted(path.stem):
            continue
        runs = {planned(run) for run in config.expand(config.read(path))}
        made.append((path.stem, runs, runs & have))
    return made


def of_trainings(name):
    """Configs of trainings; those of raw speech are there for times."""
    return not name.startswith(RAW)


def of_long_tasks(name):
    """Configs of the chapter on long tasks; the ablations belong to the chapter on accuracy."""
    return not name.startswith(("rows-", "columns-", "ablation-"))


def missing(results, wanted=of_trainings):
    """A table of the configs that are not complete, and how many trainings that is; one sentence where nothing is missing."""
    grids = coverage(results, wanted)
    rows = [[f"`{name}`", len(runs), len(there) or "none"] for name, runs, there in grids if there != runs]
    if not rows:
        count = len(set().union(*(runs for _, runs, _ in grids)))
        return f"Nothing: each of the {count:,} runs of these configs is in the record."
    left = set().union(*(runs - there for _, runs, there in grids))
    text = f"In all {len(left)} trainings; a run that two configs share is counted once."
    return table(["config", "runs in its grid", "in the record"], rows) + "\n\n" + text
