"""`SpikePointers`: hard reset without waiting. After a spike only the time of that spike matters, so every step can ask
in advance when a neuron reset just before it would fire next; the answers are pointers, followed by doubling.

The questions are answered on a binary tree over time. Its node over a silent stretch holds o, what the input adds to the
state, and tau, the least state on entry for which the neuron fires inside; a state v leaves as g v + o, g = decay ** length.
Each node counts from its own first step, so nothing grows and float32 survives any number of steps.
"""

from dataclasses import dataclass

import torch

from fptlib.brackets import run_linear
from fptlib.chunks import run_chunks
from fptlib.replay import PROVED, plan
from fptlib.result import Run
from fptlib.solvers import finish


@dataclass(frozen=True)
class SpikePointers:
    """Hard reset in O(log T) dependent steps, by next-spike pointers; then, unless told otherwise, proved by a replay.

    nxt(k) = first t >= k with sum_{k <= i <= t} decay^(t-i) x[i] >= threshold; the spikes are nxt along k -> nxt(k) + 1.
    The pointers' comparisons round differently from the loop's and may decide an exact tie differently. The replay starts
    chunks from the pointers' states and verifies every seam bitwise; without it nothing is claimed but what the
    certificate can prove.

    Args:
        verify: run the replay; its spikes, bit for bit those of the loop, are returned.
        chunk: steps of a chunk in that replay; None chooses.

    Shape: input [T, ...], spikes [T, ...]; one state, hard reset, decay in [0, 1].

    Raises:
        ValueError: when chunk is not a positive integer; in ``solve``, when the neuron is not of this kind.

    Example:
        >>> from fptlib import lif, solve
        >>> solution = solve(lif(reset="hard"), torch.full((6, 1), 0.7), SpikePointers())
        >>> solution.spikes.flatten(), solution.certificate.exact
        (tensor([0., 1., 0., 1., 0., 1.]), True)

    Book: thm-next-spike-pointers
    """

    verify: bool = True
    chunk: int | None = None

    def __post_init__(self):
        given, whole = self.chunk is not None, isinstance(self.chunk, int) and not isinstance(self.chunk, bool)
        if given and not (whole and self.chunk >= 1):
            raise ValueError(f"SpikePointers: chunk came as {self.chunk!r}; an integer >= 1 is wanted, or None.")

    def run(self, spec, x, v0):
        """Pointers, then proof; x [T, ...], v0 [1, ...] -> `Run`. Book: thm-next-spike-pointers"""
        spikes = pointer_spikes(spec, x, v0)
        membrane = run_linear(spec, x, spikes[:, None], v0)
        if not self.verify:
            return finish(spec, membrane, spikes[:, None], 1, ())
        rest = 2 * x.numel() // max(1, int(spikes.sum()))  # steps in which a neuron fires twice, on average
        chunk = min(self.chunk or max(rest, plan(spec, x)[0]), x.shape[0])
        states = spec.settle_all(membrane, spikes[:, None])
        seams = [v0] + [states[t - 1] for t in range(x.shape[0] % chunk or chunk, x.shape[0], chunk)]
        guess = torch.stack(seams, dim=1).reshape(1, len(seams), -1)
        proved, membrane, final, report = run_chunks(spec, x, v0, chunk, 0, guess)
        moved = int((proved[:, 0] != spikes).sum())
        note = f"pointers, proved by replay in {report.rounds} rounds; the loop's rounding moved {moved} spikes."
        return Run(proved, membrane, final, report.rounds, (), PROVED, note=note, report=report)


def pointer_spikes(spec, x, v0):
    """Spikes of a hard-reset neuron by pointers alone, in the pointers' own arithmetic.

    Args:
        spec: NeuronSpec with one state and a hard reset, decay in [0, 1]; x: input [T, ...]; v0: state [1, ...].

    Returns:
        spikes [T, ...], zeros and ones.

    Raises:
        ValueError: when the neuron has several states, no hard reset, or a decay outside [0, 1].

    Example:
        >>> from fptlib import lif
        >>> pointer_spikes(lif(reset="hard"), torch.ones(3, 1), torch.zeros(1, 1)).flatten()
        tensor([1., 1., 1.])

    Book: thm-next-spike-pointers
    """
    decay, threshold, rest, drive = _numbers(spec, x)
    steps, width = x.shape[0], decay.numel()
    flat = drive * x.reshape(steps, -1)
    shifted, level = flat - (1 - decay) * rest, threshold - rest
    safe = torch.where(decay > 0, decay, torch.ones_like(decay))
    tree = build_tree(shifted, safe, level)
    neuron = torch.arange(width, device=x.device)
    first = first_passage(tree, torch.zeros_like(neuron), neuron, v0.reshape(-1) - rest, steps)
    start = torch.arange(steps, device=x.device).repeat_interleave(width)
    every = neuron.repeat(steps)
    nxt = first_passage(tree, start, every, torch.zeros_like(start, dtype=x.dtype), steps).view(steps, width)
    fired = follow(nxt, first)
    spikes = torch.where(decay > 0, fired.to(x.dtype), (flat >= threshold).to(x.dtype))
    return spikes.view(x.shape)


def build_tree(x, decay, threshold):
    """Levels (g [N], o [T / 2^j, N], tau [T / 2^j, N]) of the tree over time; padded steps never fire. x [T, N].

    Book: lem-entry-threshold
    """
    size = 1 << (x.shape[0] - 1).bit_length()
    pad = (size - x.shape[0], x.shape[1])
    g, o = decay, torch.cat([x, x.new_zeros(pad)])
    tau = torch.cat([(threshold - x) / decay, x.new_full(pad, torch.inf)])
    levels = [(g, o, tau)]
    while len(o) > 1:
        later = (tau[1::2] - o[0::2]) / g
        # g has underflowed and the comparison is a tie: whatever enters, the neuron fires.
        later = torch.where(later.isnan(), -torch.inf, later)
        o, tau, g = g * o[0::2] + o[1::2], torch.minimum(tau[0::2], later), g * g
        levels.append((g, o, tau))
    return levels


def first_passage(tree, start, neuron, v, steps):
    """First step >= start at which a neuron with state v before ``start`` fires, ``steps`` if none; all [n] -> [n].

    Climb over nodes of growing size until one fires, then descend into it: 2 log2 T dependent steps. Book: lem-entry-threshold
    """
    answer = torch.full_like(start, steps)
    query, node, waiting = torch.arange(len(start), device=start.device), start, []
    top = len(tree) - 1
    for j, level in enumerate(tree):
        odd = (node & 1).bool() | (j == top)
        fires, after = _enter(level, node, neuron, v)
        here = odd & fires
        waiting.append((query[here], node[here], neuron[here], v[here]))
        v = torch.where(odd, after, v)
        node = (node + 1) >> 1  # an odd node was crossed, an even one is the left child of the next level
        on = ~here & (node < (1 << (top - j - 1)) if j < top else torch.zeros_like(here))
        query, node, neuron, v = query[on], node[on], neuron[on], v[on]
    found = waiting[top]
    for j in range(top - 1, -1, -1):
        query, node, neuron, v = found
        left = 2 * node
        fires, after = _enter(tree[j], left, neuron, v)
        found = (query, torch.where(fires, left, left + 1), neuron, torch.where(fires, v, after))
        found = tuple(torch.cat(pair) for pair in zip(found, waiting[j], strict=True))
    answer[found[0]] = found[1].clamp(max=steps)  # a tie that rounding broke may end on a padded step: no spike
    return answer


def _enter(level, node, neuron, v):
    g, o, tau = level
    place = node * o.shape[1] + neuron
    return v >= tau.view(-1)[place], g[neuron] * v + o.view(-1)[place]


def follow(nxt, first):
    """Spikes [T, N] met from the first one along k -> nxt(k) + 1, by pointer doubling; nxt [T, N], first [N].

    Book: thm-next-spike-pointers
    """
    steps, width = nxt.shape
    jump = torch.cat([(nxt + 1).clamp(max=steps), nxt.new_full((1, width), steps)])
    reach = torch.zeros_like(jump, dtype=torch.bool).scatter_(0, (first + 1).clamp(max=steps)[None], True)
    while bool((jump[:-1] < steps).any()):
        node, neuron = reach.nonzero(as_tuple=True)
        reach[jump[node, neuron], neuron] = True
        jump = jump.gather(0, jump)
    fired = torch.zeros_like(jump, dtype=torch.bool).scatter_(0, first[None], True)
    node, neuron = reach[:-1].nonzero(as_tuple=True)
    fired[nxt[node, neuron], neuron] = True
    return fired[:-1]


def _numbers(spec, x):
    """Decay, threshold, reset value and input weight as [N] each; refuses neurons of another kind."""
    kind = spec.states == spec.channels == 1 and spec.hard[0] and _is(spec.readout[0][0], 1) and _is(spec.jump[0][0], 0)
    if not kind:
        raise ValueError(
            f"SpikePointers: {spec.name} came with {spec.states} states and "
            f"{'a hard' if any(spec.hard) else 'no hard'} reset; one state with a hard reset is wanted; use Replay()."
        )
    one = x.new_zeros(x.shape[1:])
    entries = (spec.transition[0][0], spec.threshold[0], spec.reset_to[0], spec.drive[0])
    numbers = [torch.as_tensor(e, dtype=x.dtype, device=x.device).expand(one.shape).reshape(-1) for e in entries]
    if bool(((numbers[0] < 0) | (numbers[0] > 1)).any()):
        raise ValueError("SpikePointers: a decay lies outside [0, 1]; the order of voltages would flip; use Replay().")
    return numbers


def _is(entry, value):
    return not torch.is_tensor(entry) and entry == value
