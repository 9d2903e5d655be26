"""Backbones, written once: window [L, B, C] -> forecast [H, B, C]; neurons run along the window's own time axis.

In "tcn" and "gru" each channel is a row of its own and all rows share the weights. In "inverted" the channels are tokens.
Every head reads the same two things: the neurons' last output and their mean over the window.
"""

import torch
from torch import nn

BACKBONES = ("tcn", "gru", "inverted")


def rows_of(x):
    """[L, B, C] -> [L, B C, 1]: every channel a row."""
    return x.flatten(1)[..., None]


def summary(out):
    """Last and mean output, [L, rows, F] -> [rows, 2 F]."""
    return torch.cat([out[-1], out.mean(0)], dim=-1)


class Gated(nn.Module):
    """GRU-type. Gate and candidate come from the input alone, as in the released spiking GRU: the neuron is the memory.

    With neuron "ann" it is torch's GRU instead, recurrence and all: the honest non-spiking counterpart.
    """

    def __init__(self, neuron, horizon, width, ann=False):
        super().__init__()
        self.cell = nn.GRU(1, width) if ann else None
        if not ann:
            self.gate, self.candidate, self.neuron = nn.Linear(1, width), nn.Linear(1, width), neuron(width)
        self.head = nn.Linear(2 * width, horizon)

    def forward(self, x):
        """Forecast [H, B, C]."""
        rows = rows_of(x)
        if self.cell is not None:
            out = self.cell(rows)[0]
        else:
            out = self.neuron(torch.sigmoid(self.gate(rows)) * self.candidate(rows))
        return self.head(summary(out)).T.unflatten(1, x.shape[1:])


class CausalConv(nn.Module):
    """A convolution over the past, [L, rows, F] -> [L, rows, G], with ``dilation`` steps between its taps."""

    def __init__(self, before, after, kernel, dilation):
        super().__init__()
        self.reach = (kernel - 1) * dilation
        self.conv = nn.Conv1d(before, after, kernel, dilation=dilation)

    def forward(self, x):
        """Same length, no look ahead."""
        return self.conv(nn.functional.pad(x.permute(1, 2, 0), (self.reach, 0))).permute(2, 0, 1)


class TCN(nn.Module):
    """Dilated causal convolutions (1, 2, 4, ...), a neuron after each, and a residual path around each pair."""

    def __init__(self, neuron, horizon, width, levels=3, kernel=3):
        super().__init__()
        self.first = CausalConv(1, width, 1, 1)
        self.convs = nn.ModuleList([CausalConv(width, width, kernel, 2**level) for level in range(levels)])
        self.neurons = nn.ModuleList([neuron(width) for _ in range(levels)])
        self.head = nn.Linear(2 * width, horizon)

    def forward(self, x):
        """Forecast [H, B, C]."""
        out = self.first(rows_of(x))
        for conv, neuron in zip(self.convs, self.neurons):
            out = out + neuron(conv(out))
        return self.head(summary(out)).T.unflatten(1, x.shape[1:])


class Inverted(nn.Module):
    """Transformer with channels as tokens. Each token is made from spikes along the channel's window; attention mixes tokens."""

    def __init__(self, neuron, horizon, width, heads=4, depth=1, taps=8):
        super().__init__()
        self.encode, self.neuron = CausalConv(1, width, taps, 1), neuron(width)
        self.embed = nn.Linear(2 * width, width)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, norm_first=True, batch_first=True)
        self.mixer = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, horizon)

    def forward(self, x):
        """Forecast [H, B, C]."""
        tokens = self.embed(summary(self.neuron(self.encode(rows_of(x))))).unflatten(0, x.shape[1:])
        return self.head(self.mixer(tokens)).permute(2, 0, 1)


def build(name, neuron, horizon, width, ann=False):
    """A backbone by name."""
    if name == "gru":
        return Gated(neuron, horizon, width, ann)
    if name == "tcn":
        return TCN(neuron, horizon, width)
    if name == "inverted":
        return Inverted(neuron, horizon, width)
    raise ValueError(f"backbone = {name!r} is not known; one of {', '.join(BACKBONES)} is wanted.")


def weights(network):
    """Number of learned numbers."""
    return sum(parameter.numel() for parameter in network.parameters())


def width_for(budget, make, step=4, most=1024):
    """The width whose network has the number of weights closest to a budget; ``make(width)`` builds it."""
    best = step
    with torch.random.fork_rng(devices=[]):
        for width in range(step, most + 1, step):
            count = weights(make(width))
            if abs(count - budget) <= abs(weights(make(best)) - budget):
                best = width
            if count > 2 * budget:
                break
    return best
