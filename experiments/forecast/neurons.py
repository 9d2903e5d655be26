"""The neurons that are compared, spiking in data time: [L, rows, width] -> [L, rows, width]; memory is theirs alone.

ann           no spikes: a rectifier (in the GRU backbone: torch's own GRU)
lif           fixed decay               plif            one learned decay a layer
tc-lif        two compartments, learned couplings, decays one
ts-lif        decays and couplings free, as released    ts-lif-stable   the same, stable for every value
"""

import torch
from torch import nn

from experiments.arms import LearnedLIF, Neuron
from fptlib import ATan, Sequential, SpikingLayer, lif, solve, tc_lif, ts_lif
from fptlib.theory import free_parameters, stable_parameters, ts_lif_stability

NEURONS = ("ann", "lif", "plif", "tc-lif", "ts-lif", "ts-lif-stable")
START = {"decay": (0.8, 0.3), "coupling": (-0.1, -0.8)}  # of the released TS-LIF
SURROGATE = ATan(width=2.0)


class TwoCompartments(nn.Module):
    """TS-LIF or TC-LIF with learned parameters, one set a layer; the weights of TS-LIF's two spikes are one pair a unit."""

    def __init__(self, kind, width, solver="auto"):
        super().__init__()
        self.kind, self.solver, self.backend, self.rates = kind, solver, "auto", None
        if kind == "tc-lif":
            start = (0.0, 0.0)  # couplings -sigmoid and sigmoid of these
        elif kind == "ts-lif":
            start = (*START["decay"], *START["coupling"])
        else:
            start = free_parameters(*START["decay"], *START["coupling"])
        self.raw = nn.Parameter(torch.tensor([float(value) for value in start]))
        self.mix = None if kind == "tc-lif" else nn.Parameter(torch.full((2, width), 0.5))

    def dynamics(self):
        """Decays a1, a2 and couplings b1, b2 as used now."""
        if self.kind == "tc-lif":
            one = torch.ones_like(self.raw[0])
            return one, one, -torch.sigmoid(self.raw[0]), torch.sigmoid(self.raw[1])
        return stable_parameters(*self.raw) if self.kind == "ts-lif-stable" else self.raw.unbind()

    def table(self):
        """The neuron with its present parameters."""
        a1, a2, b1, b2 = self.dynamics()
        if self.kind == "tc-lif":
            return tc_lif(coupling=(b1, b2), surrogate=SURROGATE)
        return ts_lif((a1, a2), (b1, b2), mix=tuple(self.mix), surrogate=SURROGATE)

    def forward(self, current):
        """Weighted spikes [L, rows, width] of a current."""
        run = solve(self.table(), current, self.solver, backend=self.backend, validate=False)
        spikes = run.spikes.detach()
        self.rates = spikes.mean([d for d in range(spikes.ndim) if d != 1]) if spikes.ndim == 4 else spikes.mean()[None]
        return run.output

    def report(self):
        """What training did: parameters, gaps to instability, radius, firing rates (dendrite, soma, or the soma alone)."""
        with torch.no_grad():
            values = [value.double().cpu() for value in self.dynamics()]
            stability = ts_lif_stability(*values)
        return {
            "a": [v.item() for v in values[:2]],
            "b": [v.item() for v in values[2:]],
            "gaps": stability.gaps.tolist(),
            "radius": stability.radius.item(),
            "rates": [] if self.rates is None else self.rates.tolist(),
        }


SOLVERS = {"exact": "auto", "loop": Sequential()}  # the same spikes, bit for bit; the loop is there to be timed


def neuron_maker(kind, decay=0.9, solver="exact"):
    """A function width -> `Neuron` of this kind, solved exactly in parallel or by the loop over time."""
    if kind not in NEURONS:
        raise ValueError(f"neuron = {kind!r} is not known; one of {', '.join(NEURONS)} is wanted.")

    if solver not in SOLVERS:
        raise ValueError(f"solver = {solver!r} is not known; 'exact' or 'loop' is wanted.")
    chosen = SOLVERS[solver]

    def make(width):
        if kind == "ann":
            return Neuron(nn.ReLU())
        if kind == "lif":
            return Neuron(SpikingLayer(lif(decay, surrogate=SURROGATE), chosen, validate=False))
        if kind == "plif":
            return Neuron(LearnedLIF(decay, SURROGATE, chosen))
        return Neuron(TwoCompartments(kind, width, chosen))

    return make


def learned(network):
    """The learned parameters of every two-compartment layer of a network, one tensor a layer."""
    return [module.raw for module in network.modules() if isinstance(module, TwoCompartments)]


def reports(network):
    """The report of every two-compartment layer of a network, in order."""
    return [module.report() for module in network.modules() if isinstance(module, TwoCompartments)]
