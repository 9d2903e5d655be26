"""The training loop all experiments share: seeded, checkpointed, resumable to the bit, stopped early on validation.

A learner says what to learn: `network`, `size` (training examples), `loss(network, index)`, `score()` (higher is better),
`generators` (every source of chance, by name), and may `watch()` numbers each epoch and hear of `progress(fraction)`.
"""

import csv
import math
import os
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from experiments.graph import Replayed
from experiments.workers import Workers

WARM_STEPS = 3  # of each process, left out of the step time


@dataclass(frozen=True)
class Plan:
    """How long and how to train; the [train] table of a config."""

    epochs: int = 10
    batch: int = 128
    optimiser: str = "adamw"
    rate: float = 1e-3
    momentum: float = 0.9  # of "sgd"
    weight_decay: float = 0.0
    schedule: str = "cosine"  # or "constant"
    clip: float | None = None
    smoothing: float = 0.0
    patience: int | None = None  # epochs without a better validation score
    bf16: bool = False
    tf32: bool = False  # matrix products of float32 in 19 bits, on GPUs that can
    graph: bool = False  # on a GPU: record the step once and replay it (graph.py)
    eval_batch: int = 1000
    targets: tuple = ()  # validation scores whose time is recorded

    def __post_init__(self):
        if self.optimiser not in ("sgd", "adam", "adamw") or self.schedule not in ("cosine", "constant"):
            raise ValueError(f"[train] optimiser = {self.optimiser!r}, schedule = {self.schedule!r} are not known.")
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"[train] epochs = {self.epochs}, batch = {self.batch}; positive numbers are wanted.")

    @classmethod
    def read(cls, table, **more):
        """The plan of a config's [train] table; ``more`` overrides it."""
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in (table | more).items()})

    def rate_at(self, epoch):
        """Learning rate of an epoch, counted from 0."""
        return self.rate * (0.5 + 0.5 * math.cos(math.pi * epoch / self.epochs) if self.schedule == "cosine" else 1.0)


@dataclass
class State:
    """Where a training stands; all of it is in the checkpoint, beside weights, optimiser and generators."""

    epoch: int = 0
    best: float = -math.inf
    best_epoch: int = -1
    best_weights: dict = field(default_factory=dict)
    train_s: float = 0.0
    step_ms: list = field(default_factory=list)
    peak_bytes: int | None = None
    time_to: dict = field(default_factory=dict)
    epochs_to: dict = field(default_factory=dict)
    log: list = field(default_factory=list)
    diverged: bool = False
    replayed: bool | str = False  # whether the step was a CUDA graph, or why it was not where that was asked for

    def over(self, plan):
        """Whether nothing is left to train."""
        waited = self.epoch - 1 - self.best_epoch
        return self.epoch >= plan.epochs or self.diverged or (plan.patience is not None and waited >= plan.patience)


def make_optimiser(network, plan):
    """The optimiser of a plan."""
    if plan.optimiser == "sgd":
        return torch.optim.SGD(network.parameters(), plan.rate, plan.momentum, weight_decay=plan.weight_decay)
    kind = torch.optim.Adam if plan.optimiser == "adam" else torch.optim.AdamW
    capturable = plan.graph and next(network.parameters()).is_cuda  # counts its steps on the device
    return kind(network.parameters(), plan.rate, weight_decay=plan.weight_decay, capturable=capturable)


def fit(learner, plan, stem, digest, device="cpu", workers=Workers(), budget_s=None, pause=None, talk=print):
    """Train until the plan is done, validation stops improving, or the budget is spent; resume where it stood.

    Args:
        learner: see above. stem: path without ending of the checkpoint (.pt) and the log (.csv); None keeps no files.
        digest: hash of the settings; a checkpoint with another one is refused.
        budget_s: no new epoch begins after this many seconds. pause: nor after this many epochs of this call.

    Returns:
        The `State`; ``state.over(plan)`` says whether training is complete, and then the network has its best weights.
    """
    network = workers.wrap(learner.network)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = plan.tf32
    optimiser = make_optimiser(network, plan)
    state = restore(stem, digest, learner, optimiser)
    stepper = make_stepper(learner, network, optimiser, plan, device, workers)
    begin, first = time.perf_counter(), state.epoch
    while not state.over(plan):
        spent = workers.agree(time.perf_counter() - begin)
        if (budget_s is not None and spent > budget_s) or (pause is not None and state.epoch - first >= pause):
            return state
        one_epoch(learner, network, stepper, plan, state, device, workers, workers.first and talk is print)
        if workers.first:
            save(stem, digest, learner, optimiser, state)
            shown = " ".join(f"{k} {v:.4g}" for k, v in state.log[-1].items() if isinstance(v, float))
            talk(f"  epoch {state.epoch}/{plan.epochs} {shown}")
    if state.best_weights:
        learner.network.load_state_dict(state.best_weights)
    return state


def make_stepper(learner, network, optimiser, plan, device, workers):
    """A function index -> loss that takes one training step, as it is or captured."""
    step = Step(learner, network, optimiser, plan)
    if plan.graph and torch.device(device).type == "cuda" and workers.count == 1:
        return Replayed(step, learner.generators.values())
    return step


class Step:
    """One step of training: loss of some examples, gradients, clip, update."""

    def __init__(self, learner, network, optimiser, plan):
        self.learner, self.network, self.optimiser, self.plan = learner, network, optimiser, plan
        on_device = optimiser.defaults.get("capturable", False)
        self.rate = torch.zeros((), device=next(network.parameters()).device) if on_device else None

    def begin(self, rate):
        """Before an epoch: the learning rate. Returns whether a recording of the step has it as a constant."""
        if self.rate is not None:
            rate = self.rate.fill_(rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return self.rate is None

    def __call__(self, index):
        loss = self.learner.loss(self.network, index)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.plan.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        self.optimiser.step()
        return loss.detach()


def one_epoch(learner, network, stepper, plan, state, device, workers, shown=False):
    """One pass over the training part, then one look at validation; ``shown``: with a bar, where there is a terminal for it."""
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    if hasattr(learner, "progress"):
        learner.progress(state.epoch / plan.epochs)
    stepper.begin(plan.rate_at(state.epoch))
    network.train()
    order = torch.randperm(learner.size, generator=learner.generators["order"]).to(device)
    size = min(plan.batch, learner.size)
    clock, total, begin = Clock(on_gpu), 0.0, time.perf_counter()
    batches = order[: learner.size // size * size].split(size)  # a last, smaller batch is left out
    hidden = None if shown else True  # None: tqdm hides itself where no terminal is, so that logs stay logs
    for index in tqdm(batches, f"  epoch {state.epoch + 1}/{plan.epochs}", leave=False, disable=hidden):
        clock.start()
        loss = stepper(workers.share(index))
        clock.stop()
        total = total + loss
    state.replayed = isinstance(stepper, Replayed) and (stepper.why_not or True)
    mean_loss = workers.agree(float(total) / len(batches))  # waits for the device
    state.train_s += time.perf_counter() - begin
    state.step_ms.append(clock.median(skip=WARM_STEPS if not state.step_ms else 0))
    if on_gpu:
        state.peak_bytes = max(state.peak_bytes or 0, torch.cuda.max_memory_allocated())
    state.diverged = not math.isfinite(mean_loss)
    learner.network.eval()
    score = -math.inf if state.diverged else workers.agree(learner.score())
    watched = learner.watch() if hasattr(learner, "watch") else {}
    state.log.append({"epoch": state.epoch, "loss": mean_loss, "val": score, "train_s": state.train_s} | watched)
    for target in plan.targets:
        if score >= target:
            state.time_to.setdefault(str(target), state.train_s)
            state.epochs_to.setdefault(str(target), state.epoch + 1)
    if score > state.best:
        state.best, state.best_epoch = score, state.epoch
        state.best_weights = {k: v.detach().cpu().clone() for k, v in learner.network.state_dict().items()}
    state.epoch += 1


class Clock:
    """Time of each step: events on a GPU (no waiting between steps), the wall clock elsewhere."""

    def __init__(self, on_gpu):
        self.on_gpu, self.marks = on_gpu, []

    def start(self):
        self.marks.append((self._now(), None))

    def stop(self):
        self.marks[-1] = (self.marks[-1][0], self._now())

    def _now(self):
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def median(self, skip=0):
        """Median step in ms, without the first ``skip`` where more are there."""
        if self.on_gpu:
            torch.cuda.synchronize()
        times = [a.elapsed_time(b) if self.on_gpu else (b - a) * 1e3 for a, b in self.marks]
        return statistics.median(times[skip:] or times)


def save(stem, digest, learner, optimiser, state):
    """Write checkpoint and log; the checkpoint appears whole or not at all."""
    if stem is None:
        return
    kept = {
        "digest": digest,
        "network": learner.network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "generators": {name: generator.get_state() for name, generator in learner.generators.items()},
        "state": vars(state),
    }
    target = Path(f"{stem}.pt")
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(kept, target.with_suffix(".pt.part"))
    os.replace(target.with_suffix(".pt.part"), target)
    with Path(f"{stem}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(state.log[-1]))
        writer.writeheader()
        writer.writerows(state.log)


def restore(stem, digest, learner, optimiser):
    """The state of a checkpoint with the same settings, put back everywhere; a new state where there is none.

    Exact for one process. Of several, all go on with the draws of the first.
    """
    path = None if stem is None else Path(f"{stem}.pt")
    if path is None or not path.is_file():
        return State()
    kept = torch.load(path, map_location="cpu", weights_only=True)
    if kept["digest"] != digest:
        raise ValueError(f"{path} was made with other settings; remove it, or choose another --out folder.")
    learner.network.load_state_dict(kept["network"])
    optimiser.load_state_dict(kept["optimiser"])
    for name, generator in learner.generators.items():
        generator.set_state(kept["generators"][name])
    return State(**kept["state"])
