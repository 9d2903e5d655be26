"""The exact solver for a neuron and input, and the sentence that says why: what ``solver="auto"`` runs."""

from fptlib.pointers import SpikePointers
from fptlib.replay import Replay, plan
from fptlib.solvers import Sequential


def exact_solver(spec, x):
    """Choose by neuron, T and N among the solvers whose spikes are the loop's, bit for bit.

    Replay's cost function (`plan`) says what chunks would gain over the loop. Constant input does not let trajectories
    merge; there pointers take over for a hard reset, and the loop for every other neuron.

    Args:
        spec: NeuronSpec; x: input [T, ...].

    Returns:
        A solver and one sentence.

    Raises:
        Nothing.

    Example:
        >>> import torch
        >>> from fptlib import lif
        >>> exact_solver(lif(), torch.rand(4, 1))[0]
        Sequential()

    Book: sec-which-solver
    """
    chunk, warmup, gain = plan(spec, x)
    if chunk >= x.shape[0]:
        return Sequential(), "auto: the loop, as chunks of time would not halve its cost here"
    if bool((x == x[:1]).all()):
        if spec.states == spec.channels == 1 and spec.hard[0] and spec.name == "lif":
            return SpikePointers(), "auto: pointers, as constant input lets no trajectories merge"
        return Sequential(), "auto: the loop, as constant input keeps trajectories apart"
    return Replay(), f"auto: replay, as the neuron forgets in about {warmup} steps (expected gain {gain:.0f})"
