"""`Replay`: the exact solver for neurons that forget. Chunks of time in parallel, a bitwise proof at every seam."""

import math
from dataclasses import dataclass

import torch

from fptlib.chunks import BLOCK, NEURON_COST, STEP_COST, run_chunks
from fptlib.result import Run
from fptlib.spec import stack_matrix

HARD_SHARE = 0.5  # a common spike merges hard-reset trajectories before rounding does
HARD_LIMIT = 512  # and does so without any leak
PROVED = "Every chunk starts, bit for bit, in the state in which the proved chunk before it ended."


@dataclass(frozen=True)
class Replay:
    """Chunks of time in parallel from guessed states, every seam verified bitwise; the spikes are the loop's, bit for bit.

    H_m runs chunk m; start[m + 1] = H_m(start[m]) is checked at every seam, and what fails runs again.

    Args:
        chunk: steps of a chunk; None chooses by `plan`.
        warmup: steps run before a chunk, from state zero, to forget the guess; None chooses by `plan`.

    Shape: input [T, ...], spikes [T, ...]; any NeuronSpec. ``Solution.report`` is a `ReplayReport`.

    Raises:
        ValueError: when chunk < 1 or warmup < 0, or they are not integers.

    Example:
        >>> from fptlib import lif, solve
        >>> solution = solve(lif(), torch.full((64, 1), 0.7), Replay(chunk=8, warmup=8))
        >>> solution.certificate.exact, solution.report.rounds
        (True, 1)

    Book: thm-chunk-replay
    """

    chunk: int | None = None
    warmup: int | None = None

    def __post_init__(self):
        for name, least in (("chunk", 1), ("warmup", 0)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f"Replay: {name} came as {value!r}; an integer >= {least} is wanted, or None.")

    def run(self, spec, x, v0):
        """Run, verify, repair; x [T, ...], v0 [memory, ...] -> `Run`. Book: thm-chunk-replay"""
        chunk, warmup, _ = plan(spec, x, self.chunk, self.warmup)
        spikes, membrane, final, report = run_chunks(spec, x, v0, chunk, warmup)
        note = f"{report.chunks} chunks of {chunk} steps, warm-up {report.warmup}, {report.rounds} rounds."
        return Run(spikes, membrane, final, report.rounds, (), PROVED, note=note, report=report)


def plan(spec, x, chunk=None, warmup=None):
    """Chunk and warm-up for a neuron and input, and the expected gain over the loop: the one cost function of `Replay`.

    A vectorised step over n neurons costs a + b n. With N neurons, chunks of C steps and warm-up W the first round costs
    (W + C)(a + b N T / C), least at C = sqrt(W b N T / a); C is not taken below W / 2, so that what is forgotten late crosses
    few seams. The loop costs T (a + b N). W is the time in which the neuron forgets (`forgetting_time`). Where that gains less than a factor two, one chunk of T steps is chosen: the loop.

    Args:
        spec: NeuronSpec; x: input [T, ...]; chunk, warmup: steps asked for, or None.

    Returns:
        chunk, warmup (steps) and the expected gain, a number without unit.

    Raises:
        Nothing.

    Example:
        >>> from fptlib import lif
        >>> plan(lif(decay=0.5), torch.zeros(65536, 16))[:2]
        (64, 24)

    Book: prp-chunk-length
    """
    steps, neurons = x.shape[0], max(1, x[0].numel())
    forget = forgetting_time(spec, x.dtype)
    a, b = STEP_COST, NEURON_COST
    best = max(math.sqrt(max(1, min(forget, steps)) * b * neurons * steps / a), min(forget, steps) / 2)
    length = chunk or BLOCK * math.ceil(best / BLOCK)
    gain = steps * (a + b * neurons) / ((forget + length) * (a + b * neurons * steps / length))
    if chunk is None and (gain < 2 or length >= steps):
        length, gain = steps, 1.0
    before = min(forget, steps) if warmup is None else warmup
    return min(length, steps), int(before) if length < steps else 0, gain


def forgetting_time(spec, dtype):
    """Steps in which a difference between two states falls below the resolution of ``dtype``; infinite without leak.

    The largest modulus r of the transition's eigenvalues, over all neurons: 4/3 bits ln 2 / -ln r. Hard reset merges
    trajectories at common spikes; half of that time, and at most 512 steps, is taken. No tensors out, no shape.

    Book: thm-margin-coalescence
    """
    size = torch.broadcast_shapes(*(e.shape for row in spec.transition for e in row if torch.is_tensor(e)))
    matrix = stack_matrix(spec.transition, torch.zeros(size, dtype=torch.float64)).detach()
    if spec.states > 1:
        matrix = torch.linalg.eigvals(matrix.flatten(2).permute(2, 0, 1) if size else matrix)
    radius = matrix.abs().max().item()
    bits = 4 / 3 * (1 - math.log2(torch.finfo(dtype).eps))  # a third more leaves few seams open
    time = 1 if radius == 0 else bits * math.log(2) / -math.log(radius) if radius < 1 else math.inf
    time = min(HARD_SHARE * time, HARD_LIMIT) if all(spec.hard) else time
    return math.ceil(time) if time < math.inf else time
