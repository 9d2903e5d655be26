"""A training step recorded as a CUDA graph and replayed: small networks then wait for the GPU, not for Python.

The numbers are those of the plain step. A number on the host stays in the recording as it was, so the step is recorded
anew when the learning rate is one and changes.
"""

import torch

WARM = 3  # plain steps before the first recording: they compile kernels and make the optimiser's state


class Replayed:
    """A `loop.Step` that is replayed. One that cannot be recorded runs as it is; ``why_not`` then says why, in the record too."""

    def __init__(self, step, generators):
        self.step, self.warm = step, 0
        self.generators = [g for g in generators if g.device.type == "cuda"]
        self.graph = self.index = self.loss = None
        self.rate = self.why_not = None

    def begin(self, rate):
        """Before an epoch, as `loop.Step.begin`; forgets the recording if the rate is part of it."""
        if self.step.begin(rate) and rate != self.rate:
            self.graph = self.loss = None
        self.rate = rate

    def __call__(self, index):
        """Loss of one step on the examples ``index`` [B], on the device."""
        if self.warm < WARM or self.why_not:
            self.warm += 1
            return on_side_stream(lambda: self.step(index))
        if self.graph is None or len(index) != len(self.index):
            try:
                self.record(index)
            except RuntimeError as error:
                self.graph, self.why_not = None, str(error).split("\n")[0][:200]
                return self(index)
        self.index.copy_(index)
        self.graph.replay()
        return self.loss.clone()

    def record(self, index):
        """Record the step for batches of this size; recording runs nothing."""
        self.index, self.graph = index.clone(), torch.cuda.CUDAGraph()
        for generator in self.generators:
            self.graph.register_generator_state(generator)
        with torch.cuda.graph(self.graph):
            self.loss = self.step(self.index)


def on_side_stream(work):
    """Run what returns a tensor on a stream of its own, as recording does, so that autograd ties no leaf to the default stream."""
    here, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(here)
    with torch.cuda.stream(side):
        out = work()
    here.wait_stream(side)
    out.record_stream(here)
    return out
