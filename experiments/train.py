"""Train the runs of a config file, one after another, and write one JSON per run.

    python -m experiments.train experiments/configs/rows-mnist.toml [--only NAME] [--budget-s N] [--out DIR]
    torchrun --nproc-per-node 4 -m experiments.train ...            the same on several GPUs

A run that is finished is skipped, one that was cut off is resumed. ``--list`` prints the names and trains nothing.
"""

import argparse
import time
from pathlib import Path

import torch

from experiments import arms, config, networks, record, tasks
from experiments.fpt import set_generator, set_sampling
from experiments.loop import Plan, fit
from experiments.workers import Workers, join
from fptlib import Detached, Exact, Replay

OUT = Path(".data") / "runs"


class Classifier:
    """A network on a task, as the loop wants it: loss of a batch, accuracy on validation, every source of chance."""

    def __init__(self, run, task, plan, device, workers):
        self.task, self.plan, self.device = task, plan, device
        maker = arms.neuron_maker(run.arm, run.decay, run.k, task.steps, run.options)
        self.network = networks.build(neuron=maker, task=task, seed=run.seed, **run.network).to(device)
        use_kernels(self.network, device)
        self.size = len(task.train)
        seeds = {"order": ("cpu", 0), "augment": (device, 1 + workers.rank), "draws": (device, 1001 + workers.rank)}
        self.generators = {
            name: torch.Generator(place).manual_seed(run.seed * 10000 + offset)
            for name, (place, offset) in seeds.items()
        }
        set_generator(self.network, self.generators["draws"])

    def loss(self, network, index):
        """Cross-entropy of the examples of an index."""
        x, y, length = self.task.batch(self.task.train, index.to(self.task.train.x.device), self.generators["augment"])
        with mixed(self.device, self.plan.bf16):
            logits = network(x)
        logits = logits.float()
        if self.task.per_step:
            return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-1)
        logits = networks.pooled(logits, length)
        return torch.nn.functional.cross_entropy(logits, y, label_smoothing=self.plan.smoothing)

    def score(self):
        """Accuracy on validation, of the neuron as it will be used (a masked PSN with its mask closed)."""
        arms.set_progress(self.network, 1.0)
        return accuracy(self.network, self.task, self.task.val, self.plan)

    def progress(self, fraction):
        """What the neurons have to know before an epoch."""
        arms.set_progress(self.network, fraction)


def shape_of(run):
    """What decides the time of a step beside the arm: task layout, network, batch, number formats."""
    layout = run.task["name"]
    for tail in ("-fashion-mnist", "-mnist"):  # the same shapes
        layout = layout.removesuffix(tail)
    layout = layout.replace("permuted", "pixels") + "".join(f"-{v}" for v in [run.task.get("steps")] if v)
    network = "-".join(str(v) for v in run.network.values())
    formats = "".join(f"-{name}" for name in ("bf16", "tf32") if run.train.get(name))
    return f"{layout} {network} B{run.train['batch']}{formats}"


def use_kernels(network, device):
    """On a GPU the exact arms must run the kernels, or say why not; elsewhere nothing changes."""
    for place in arms.neurons(network):
        layer = place.layer
        exact = isinstance(getattr(layer, "solver", None), Replay)
        if device == "cuda" and exact and isinstance(layer.adjoint, (Exact, Detached)):
            layer.backend = "triton"


def mixed(device, bf16):
    """Autocast to bfloat16 where asked for; neurons stay in float32 (see `arms.Neuron`)."""
    return torch.autocast(device, torch.bfloat16, enabled=bf16)


@torch.no_grad()
def accuracy(network, task, part, plan):
    """Share of right answers: per example, or per labelled step."""
    network.eval()
    right = count = 0
    for index in torch.arange(len(part), device=part.x.device).split(plan.eval_batch):
        x, y, length = task.batch(part, index)
        with mixed(x.device.type, plan.bf16):
            logits = network(x).float()
        answer = (logits if task.per_step else networks.pooled(logits, length)).argmax(-1)
        right, count = right + ((answer == y) & (y >= 0)).sum(), count + (y >= 0).sum()
    return (right / count).item()


def finish(run, learner, state):
    """The one look at the test part, and the record of issue and chapter: as trained, and as the sequential LIF."""
    task, plan, network = learner.task, learner.plan, learner.network.eval()
    x, _, _ = task.batch(task.val, torch.arange(min(len(task.val), 256), device=task.val.x.device))
    made = {"task": task.name, "network": run.network["name"], "arm": run.arm, "decay": run.decay, "k": run.k}
    made |= {"seed": run.seed, "epochs": state.epoch, "val": state.best, "test_as_sequential_lif": None}
    made |= {"spike_mismatch": None, "spike_mismatch_layers": None, "spike_mismatch_chained": None}
    made["test"] = None if state.diverged else accuracy(network, task, task.test, plan)
    made["test_without_sampling"] = None
    if arms.ARMS[run.arm].deploys and not state.diverged:
        deployed = arms.as_sequential_lif(network)
        made["test_as_sequential_lif"] = accuracy(deployed, task, task.test, plan)
        with mixed(learner.device, plan.bf16):
            alone, chained = arms.spike_mismatch(network, x, deployed)
        made |= {"spike_mismatch": sum(alone) / len(alone)}
        made |= {"spike_mismatch_layers": alone, "spike_mismatch_chained": chained}
        made["learned_decays"] = (
            [arms.decay_of(p.layer) for p in arms.neurons(network)] if run.decay == "learned" else None
        )
        if run.arm == "fpt":
            set_sampling(network, False)
            made["test_without_sampling"] = accuracy(network, task, task.test, plan)
    timed = state.step_ms[1:] or state.step_ms
    made |= {"step_ms": sorted(timed)[len(timed) // 2], "train_s": state.train_s, "peak_bytes": state.peak_bytes}
    made |= {"time_to": state.time_to, "best_epoch": state.best_epoch, "diverged": state.diverged, "steps": task.steps}
    made |= {"batch": plan.batch, "bf16": plan.bf16, "tf32": plan.tf32, "shape": shape_of(run)}
    made |= {"what": task.what, "part": task.note, "examples": learner.size, "epochs_to": state.epochs_to}
    made |= {"replayed": state.replayed}
    made |= {"params": sum(p.numel() for p in network.parameters()), "settings": run.digest, "curve": state.log}
    made["backend"] = sorted({getattr(p.layer, "backend", "torch") for p in arms.neurons(network)})
    return record.finite(made)


def train(run, out, device="cpu", workers=Workers(), budget_s=None, pause=None, task=None, talk=print):
    """Train one run, or go on with it; returns its record, or None while it is not finished."""
    out = Path(out)
    if (out / f"{run.name}.json").is_file():
        if workers.first:
            talk(f"{run.name}: finished before, skipped")
        return None
    plan = Plan.read(run.train)
    task = tasks.load(**run.task).to(device) if task is None else task
    learner = Classifier(run, task, plan, device, workers)
    if workers.first:
        talk(f"{run.name}: {sum(p.numel() for p in learner.network.parameters())} weights, {learner.size} examples")
    state = fit(learner, plan, out / run.name, run.digest, device, workers, budget_s, pause, talk)
    if not state.over(plan) or not workers.first:
        return None
    made = finish(run, learner, state)
    record.write(out / f"{run.name}.json", [made])
    shown = {k: made[k] for k in ("val", "test", "test_as_sequential_lif", "spike_mismatch", "step_ms", "train_s")}
    talk("  " + " ".join(f"{k} {v:.4g}" for k, v in shown.items() if v is not None))
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config")
    parser.add_argument("--only", default="", help="runs whose name contains this")
    parser.add_argument("--budget-s", type=float, help="begin no epoch after this many seconds")
    parser.add_argument("--out", default=OUT, type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--list", action="store_true", help="print the names of the runs")
    asked = parser.parse_args()
    runs = [run for run in config.expand(config.read(asked.config)) if asked.only in run.name]
    if not runs:
        parser.error(f"no run of {asked.config} has {asked.only!r} in its name; --list prints them.")
    if asked.list:
        print("\n".join(run.name for run in runs))
        return
    torch.backends.cudnn.benchmark = False
    workers, device = join(asked.device)
    begin = time.perf_counter()
    task = tasks.load(**runs[0].task).to(device)
    for run in runs:
        left = None if asked.budget_s is None else asked.budget_s - workers.agree(time.perf_counter() - begin)
        if left is not None and left <= 0:
            break
        train(run, asked.out, device, workers, left, task=task)
    workers.leave()


if __name__ == "__main__":
    main()
