"""Fixed-point parallel training as its authors released it: dense products, annealed sigmoids, a Bernoulli draw.

The library's `FixedPoint` with `Unrolled` computes the same (a test says so) and also counts what each sweep changed, which
makes a GPU wait. This layer does not, so that the published method is timed at its best.
"""

import torch
from torch import nn

from fptlib.adjoints import Flattened
from fptlib.parallel.form import lower_toeplitz, over_time
from fptlib.solvers import Bernoulli

PUBLISHED = {3: (1.0, 3.0, 12.0)}  # the released script of the sequential task


def published_slopes(k):
    """Slopes of K sweeps: the released ones for K = 3, else a geometric rise between the same ends, 1 and 12."""
    if k in PUBLISHED:
        return PUBLISHED[k]
    return tuple(12.0 ** (i / (k - 1)) for i in range(k)) if k > 1 else (12.0,)


class WithDecay(nn.Module):
    """A layer with a decay: a number, or ("learned") the sigmoid of one parameter, so that it stays inside (0, 1)."""

    def __init__(self, decay, start=0.5):
        super().__init__()
        self.raw = nn.Parameter(torch.logit(torch.tensor(start))) if decay == "learned" else None
        self.fixed = decay

    @property
    def decay(self):
        return self.fixed if self.raw is None else torch.sigmoid(self.raw)


class FPTLayer(WithDecay):
    """LIF by K sweeps of the dense fixed-point map: U = Lambda X - theta (Lambda - I) S, S = sigmoid(slope (U - theta)).

    The first sweep has S = ``guess`` everywhere, released: 0. Backwards each sigmoid has the flatter slope max(1, slope / 3); the sweeps are differentiated
    as they ran. ``sample`` draws the output from the last sigmoid, in training and, as released, in evaluation too.
    """

    def __init__(self, decay, slopes, sample=True, threshold=1.0, start=0.5, guess=0.0):
        super().__init__(decay, start)
        self.slopes, self.sample, self.threshold, self.guess = tuple(slopes), sample, threshold, guess
        self.back = tuple(max(1.0, slope / 3) for slope in self.slopes)
        self.kept, self.generator = {}, None

    def leak(self, steps, like):
        """Lambda [T, T]; kept between calls while the decay is a number."""
        key = (steps, like.device)
        if self.raw is None and key in self.kept:
            return self.kept[key]
        powers = torch.as_tensor(self.decay, device=like.device) ** torch.arange(steps, device=like.device)
        matrix = lower_toeplitz(powers.to(like.dtype))
        if self.raw is None:
            self.kept[key] = matrix
        return matrix

    def forward(self, x):
        """Spikes (or probabilities) [T, ...] for a current [T, ...]."""
        leak = self.leak(x.shape[0], x)
        free, feedback = over_time(leak, x), self.threshold * leak.tril(-1)
        first = free - self.guess * feedback.sum(1).reshape(-1, *(1,) * (x.ndim - 1)) if self.guess else free
        spikes = Flattened.apply(first - self.threshold, self.slopes[0], self.back[0])
        for slope, back in zip(self.slopes[1:], self.back[1:]):
            spikes = Flattened.apply(free - over_time(feedback, spikes) - self.threshold, slope, back)
        return Bernoulli.apply(spikes, self.generator) if self.sample else spikes

    def __deepcopy__(self, memo):
        """A copy with its own parameters that draws from the same generator (a generator cannot be copied)."""
        start = 0.5 if self.raw is None else float(torch.sigmoid(self.raw.detach()))
        twin = FPTLayer(self.fixed, self.slopes, self.sample, self.threshold, start, self.guess)
        if self.raw is not None:
            twin.raw = nn.Parameter(self.raw.detach().clone())
        twin.generator = self.generator
        return twin.train(self.training)


def set_generator(network, generator):
    """Let every sampling layer of a network draw from this generator."""
    for module in network.modules():
        if isinstance(module, FPTLayer):
            module.generator = generator


def set_sampling(network, sample):
    """Switch the draw of every `FPTLayer` on or off; returns how many there are."""
    layers = [module for module in network.modules() if isinstance(module, FPTLayer)]
    for layer in layers:
        layer.sample = sample
    return len(layers)
