"""The same LIF by SpikingJelly, for time to accuracy: an optional package, imported only here."""

import math

from torch import nn


class SpikingJellyLIF(nn.Module):
    """SpikingJelly's multi-step LIF with the conventions of this book: input not scaled, soft reset, threshold one.

    Its leak is 1 - 1 / tau. Version 2 chooses its own code for the device. The memory
    starts at zero in every call, and the reset is not detached.
    """

    def __init__(self, decay, surrogate):
        super().__init__()
        from spikingjelly.activation_based import neuron
        from spikingjelly.activation_based import surrogate as shapes

        tau = 1 / (1 - decay) if decay < 1 else math.inf
        slope = shapes.Sigmoid(alpha=getattr(surrogate, "slope", 4.0))
        if type(surrogate).__name__ != "Sigmoid":
            raise ValueError(f"spikingjelly: the surrogate is {surrogate}; this arm is compared with the sigmoid only.")
        self.node = neuron.LIFNode(
            tau=tau, decay_input=False, v_threshold=1.0, v_reset=None, surrogate_function=slope, step_mode="m"
        )

    def forward(self, x):
        """Spikes [T, ...] for a current [T, ...]."""
        self.node.reset()
        return self.node(x)
