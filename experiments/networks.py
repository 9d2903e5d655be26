"""Networks, written once; the neuron is whatever the maker makes. Input [T, B, ...], logits [T, B, classes].

Layers other than neurons do not know time: they see T * B examples at once.
"""

import torch
from torch import nn


class PerStep(nn.Sequential):
    """Layers applied to every step alike: [T, B, ...] is laid flat to [T * B, ...] and back."""

    def forward(self, x):
        flat = super().forward(x.flatten(0, 1))
        return flat.unflatten(0, x.shape[:2])


class Columns(nn.Module):
    """The network of the published sequential script: columns of a picture as time, [32, B, 3, 32] -> [32, B, classes].

    Twice three convolutions (kernel 3, ``width`` channels, batch norm, neuron) along the column and an average pool, then
    two linear layers with a neuron between. With width 128 and 100 classes it has 0.537 million weights.
    """

    def __init__(self, neuron, classes, width=128, channels=3, height=32):
        super().__init__()
        layers, before = [], channels
        for _ in range(2):
            for _ in range(3):
                layers += [PerStep(nn.Conv1d(before, width, 3, padding=1, bias=False), nn.BatchNorm1d(width)), neuron()]
                before = width
            layers += [PerStep(nn.AvgPool1d(2))]
        features = width * (height // 4)
        layers += [PerStep(nn.Flatten(), nn.Linear(features, features // 4)), neuron()]
        layers += [PerStep(nn.Linear(features // 4, classes))]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        """Logits [T, B, classes]."""
        return self.layers(x)


class Stack(nn.Module):
    """Linear layers with a neuron after each, no recurrent weights: all memory is in the neurons. [T, B, F] -> [T, B, classes]."""

    def __init__(self, neuron, classes, inputs, width=128, depth=2, norm=True):
        super().__init__()
        layers, before = [], inputs
        for _ in range(depth):
            layers += [PerStep(nn.Linear(before, width), *([nn.BatchNorm1d(width)] if norm else [])), neuron()]
            before = width
        self.layers = nn.Sequential(*layers, PerStep(nn.Linear(before, classes)))

    def forward(self, x):
        """Logits [T, B, classes]."""
        return self.layers(x)


def build(name, neuron, task, seed, **options):
    """A network for a task, its weights drawn from ``seed`` alone, whatever was drawn before."""
    if name not in ("columns", "stack"):
        raise ValueError(f"[network] name = {name!r}; 'columns' or 'stack' is wanted.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "columns":
            return Columns(neuron, task.classes, channels=task.shape[0], height=task.shape[1], **options)
        return Stack(neuron, task.classes, inputs=task.shape[0], **options)


def pooled(logits, length=None):
    """Mean over time of logits [T, B, classes], over the first ``length`` [B] steps of each example where given."""
    if length is None:
        return logits.mean(0)
    steps = torch.arange(logits.shape[0], device=logits.device)[:, None]
    mask = (steps < length[None]).to(logits.dtype)
    return (logits * mask[..., None]).sum(0) / mask.sum(0)[:, None]
