"""The arms: every neuron that is compared, behind one call, [T, ...] in and [T, ...] out.

An arm is a name, what it takes (a decay, a K) and a builder. `Neuron` is the place in a network where an arm sits, so that
`as_sequential_lif` can put another neuron into the same place of the same weights.
"""

import copy
import importlib.util
from dataclasses import dataclass

import torch
from torch import nn

from experiments.fpt import FPTLayer, WithDecay, published_slopes
from fptlib import (
    ATan,
    Detached,
    Exact,
    FixedPoint,
    Replay,
    Sequential,
    Sigmoid,
    SpikingLayer,
    Triangle,
    Truncated,
    Unrolled,
    lif,
    solve,
)
from fptlib.parallel import IPSU, PRF, PSN, PSU, MaskedPSN, SlidingPSN
from fptlib.surrogates import spike

SURROGATES = {"sigmoid": Sigmoid, "atan": ATan, "triangle": Triangle}


class Neuron(nn.Module):
    """The place of a neuron in a network; in float32 also where the layers around it run in bfloat16."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, current):
        """Spikes [T, ...] for a current [T, ...]."""
        with torch.autocast(current.device.type, enabled=False):
            return self.layer(current.float())


class LearnedLIF(WithDecay):
    """LIF whose decay is sigmoid(raw), one number per layer: it is learned and stays inside (0, 1)."""

    def __init__(self, start, surrogate, solver, adjoint=None):
        super().__init__("learned", start)
        self.surrogate, self.solver, self.adjoint = surrogate, solver, adjoint
        self.backend = "auto"

    def forward(self, x):
        neuron = lif(self.decay, surrogate=self.surrogate)
        run = solve(neuron, x, self.solver, adjoint=self.adjoint, backend=self.backend, validate=False)
        return run.spikes


class LoopLIF(WithDecay):
    """The loop everybody writes: step by step through time, and autograd back through every step."""

    def __init__(self, decay, surrogate, start=0.5):
        super().__init__(decay, start)
        self.surrogate = surrogate

    def forward(self, x):
        """Spikes [T, ...] for a current [T, ...]: u = decay v + x, s = [u >= 1], v = u - s."""
        decay, v, spikes = self.decay, torch.zeros_like(x[0]), []
        for now in x.unbind(0):
            u = decay * v + now
            spikes.append(spike(u - 1.0, self.surrogate))
            v = u - spikes[-1]
        return torch.stack(spikes)


@dataclass(frozen=True)
class Arm:
    """One line of the comparison: builder(decay, k, steps, surrogate, options) -> module, and what it takes."""

    build: object
    has_decay: bool = True
    has_k: bool = False
    learns: bool = False  # the decay may be "learned"
    deploys: bool = False  # is meant as a LIF: evaluated as the sequential one too


def _lif(solver, adjoint):
    """Builder of a LIF with this solver and this gradient; each may depend on k."""

    def build(decay, k, steps, surrogate, options):
        chosen, gradient = solver(k), adjoint(k)
        if decay == "learned":
            return LearnedLIF(options.get("start", 0.5), surrogate, chosen, gradient)
        return SpikingLayer(lif(decay, surrogate=surrogate), chosen, gradient, validate=False)

    return build


def _no_reset(decay, k, steps, surrogate, options):
    """`NoResetLIF` by the kernels, where there are some."""
    return SpikingLayer(lif(decay, reset="none", surrogate=surrogate), Replay(), Exact(), validate=False)


def _fpt(sample, slopes_of=published_slopes, guess=0.0):
    """Builder of fixed-point parallel training as released, or with one thing changed: draw, slopes, first guess."""

    def build(decay, k, steps, surrogate, options):
        return FPTLayer(decay, slopes_of(k), sample, start=options.get("start", 0.5), guess=guess)

    return build


def _order(options, steps):
    return min(options.get("order", 32), steps)


def _spikingjelly(decay, k, steps, surrogate, options):
    from experiments.rival import SpikingJellyLIF

    return SpikingJellyLIF(decay, surrogate)


ARMS = {
    "lif-exact": Arm(_lif(lambda k: Replay(), lambda k: Exact()), learns=True, deploys=True),
    "lif-loop": Arm(lambda d, k, steps, s, o: LoopLIF(d, s, o.get("start", 0.5)), learns=True, deploys=True),
    "lif-detached": Arm(_lif(lambda k: Replay(), lambda k: Detached()), learns=True, deploys=True),
    "lif-truncated": Arm(_lif(lambda k: Replay(), Truncated), has_k=True, learns=True, deploys=True),
    "fpt": Arm(_fpt(sample=True), has_k=True, learns=True, deploys=True),
    "fpt-graded": Arm(_fpt(sample=False), has_k=True, learns=True, deploys=True),
    "fpt-steep": Arm(_fpt(False, lambda k: (12.0,) * k), has_k=True, learns=True, deploys=True),
    "fpt-soft": Arm(_fpt(False, lambda k: (4.0,) * k), has_k=True, learns=True, deploys=True),
    "fpt-guess": Arm(_fpt(False, guess=0.5), has_k=True, learns=True, deploys=True),
    "fpt-hard": Arm(_lif(FixedPoint, lambda k: Unrolled()), has_k=True, learns=True, deploys=True),
    "fpt-hard-exact": Arm(_lif(FixedPoint, lambda k: Exact()), has_k=True, learns=True, deploys=True),
    "psn": Arm(lambda d, k, steps, s, o: PSN(steps, surrogate=s), has_decay=False),
    "psn-masked": Arm(lambda d, k, steps, s, o: MaskedPSN(steps, _order(o, steps), surrogate=s), has_decay=False),
    "psn-sliding": Arm(lambda d, k, steps, s, o: SlidingPSN(_order(o, steps), surrogate=s), has_decay=False),
    "psu": Arm(lambda d, k, steps, s, o: PSU(steps, d, surrogate=s)),
    "ipsu": Arm(lambda d, k, steps, s, o: IPSU(steps, d, surrogate=s)),
    "no-reset": Arm(_no_reset),
    "prf": Arm(lambda d, k, steps, s, o: PRF(d, o.get("frequency", 0.1), surrogate=s)),
    "spikingjelly": Arm(_spikingjelly),
}


def neuron_maker(arm, decay, k, steps, options=None):
    """A function that makes one `Neuron` of this arm at each call, for sequences of ``steps`` steps."""
    options = dict(options or {})
    surrogate = SURROGATES[options.get("surrogate", "sigmoid")]()
    return lambda: Neuron(ARMS[arm].build(decay, k, steps, surrogate, options))


def neurons(network):
    """The `Neuron` places of a network, in the order of its layers."""
    return [module for module in network.modules() if isinstance(module, Neuron)]


def set_progress(network, fraction):
    """Tell the arms how much of training is done: the masked PSN closes its mask over the first eighth."""
    for place in neurons(network):
        if isinstance(place.layer, MaskedPSN):
            place.layer.set_blend(min(1.0, 8 * fraction))


def decay_of(layer):
    """The decay a LIF-like layer has now, as a number."""
    decay = layer.neuron.transition[0][0] if isinstance(layer, SpikingLayer) else layer.decay
    return decay.item() if torch.is_tensor(decay) else float(decay)


def as_sequential_lif(network, solver=None):
    """The deployment: the same weights, every neuron replaced by the sequential LIF with its hard threshold.

    Args:
        network: trained with an arm that is meant as a LIF (``ARMS[arm].deploys``).
        solver: None is `Sequential`, the definition.

    Returns:
        A copy in evaluation mode; the network itself is not touched.
    """
    deployed = copy.deepcopy(network).eval()
    for place in neurons(deployed):
        if not isinstance(place.layer, (SpikingLayer, LearnedLIF, LoopLIF, FPTLayer)):
            raise ValueError(
                f"as_sequential_lif: {type(place.layer).__name__} is not meant as a LIF; it has no such twin."
            )
        place.layer = SpikingLayer(lif(decay_of(place.layer)), solver or Sequential(), validate=False)
    return deployed


@torch.no_grad()
def spike_mismatch(network, x, deployed=None):
    """Share of steps in which each layer's output differs from the sequential LIF's; two lists, one number a layer.

    ``alone``: both get the layer's own input current. ``chained``: the whole deployed network runs on x [T, ...], so that
    differences of earlier layers count too. A graded output counts as a spike from one half on.
    """
    deployed = as_sequential_lif(network) if deployed is None else deployed
    seen = {}

    def watch(tag):
        return lambda place, args, out: seen.setdefault(tag, []).append((args[0], out > 0.5))

    hooks = [p.register_forward_hook(watch(t)) for t, net in (("a", network), ("b", deployed)) for p in neurons(net)]
    network(x)
    deployed(x)
    for hook in hooks:
        hook.remove()
    share = lambda one, two: (one != two).float().mean().item()
    twins = [place(current) > 0.5 for place, (current, _) in zip(neurons(deployed), seen["a"])]
    alone = [share(out, twin) for (_, out), twin in zip(seen["a"], twins)]
    chained = [share(a[1], b[1]) for a, b in zip(seen["a"], seen["b"])]
    return alone, chained


def installed(arm):
    """Whether what this arm needs is installed here (only the rival needs more than this library)."""
    return arm != "spikingjelly" or importlib.util.find_spec("spikingjelly") is not None
