"""Time-chunks in parallel: the machinery behind `Replay` and the verification pass of `SpikePointers`.

A chunk is a run of the ordinary loop from a guessed state. All chunks run side by side, as one more batch axis, with the
neuron's own step functions, so each number is computed by the operations of the sequential loop. A seam holds when a chunk
started with the state, bit for bit, in which its left neighbour ended; when every seam of a neuron holds, its train is the
loop's (prefix rule). What does not hold runs again, from the neighbour's end, until it meets its own earlier run.

States are tensors [S, M, N]: S state variables (the spikes too, when the neuron has a jump), M chunks, N neurons.
Chunks have length C and end at T, so chunk 0 may be the shorter one; the missing steps before it are never run.
"""

from dataclasses import dataclass

import torch

BLOCK = 32  # steps of a re-run between two looks at whether it has met the earlier run

# Seconds to issue one vectorised step, and per neuron in it: measured on one CPU core (experiments/replay_cpu.py).
STEP_COST, NEURON_COST = 25e-6, 3e-9


@dataclass(frozen=True)
class ReplayReport:
    """What a replay did: chunks, warm-up, rounds and the steps that had to wait for each other.

    Args:
        chunk, warmup: steps of a chunk, steps run before it to forget the guess.
        chunks: M.
        rounds: runs of the chunks, the first included; at most M.
        repaired: (chunk, neuron) pairs run again in each later round.
        path: dependent steps in total; the sequential loop's is T.
        walked: True when the last round went from left to right, chunk after chunk, because nothing was forgotten.

    Shape: scalars.

    Book: alg-chunk-replay
    """

    chunk: int
    warmup: int
    chunks: int
    rounds: int
    repaired: tuple
    path: int
    walked: bool


def run_chunks(spec, x, v0, chunk, warmup, guess=None):
    """Run a neuron chunk by chunk, verify every seam bitwise, repair until all hold.

    Args:
        spec: NeuronSpec; x: input [T, ...]; v0: state [memory, ...] in the dtype of ``x``.
        chunk, warmup: steps.
        guess: states [memory, M, N] from which the chunks start, instead of zero and a warm-up; None without guess.

    Returns:
        spikes [T, P, ...], membrane [T, D, ...], final state [memory, ...], `ReplayReport`: bitwise those of `Sequential`.

    Raises:
        Nothing; ``solve`` has checked the arguments.

    Book: thm-chunk-replay
    """
    job = Job(spec, x, v0, chunk)
    warmup = 0 if guess is not None else min(warmup, (job.chunks - 1) * chunk)
    starts, ends, trains = job.first_round(warmup, guess)
    repaired, path, spent, walked = [], warmup + chunk, 0.0, False
    budget = job.steps * (STEP_COST + NEURON_COST * job.width)  # what the loop costs: repair may cost as much, not more
    while len(repaired) < job.chunks - 1:
        pairs = job.open_seams(starts, ends)
        if pairs.numel() == 0:
            break
        if spent > budget:
            count, steps = job.walk(starts, ends, trains)
            repaired, path, walked = repaired + [count], path + steps, True
            break
        steps, cost = job.rerun(pairs, starts, ends, trains)
        repaired, path, spent = repaired + [pairs.numel()], path + steps, spent + cost
    report = ReplayReport(chunk, warmup, job.chunks, len(repaired) + 1, tuple(repaired), path, walked)
    return *job.unpack(trains, ends), report


class Job:
    """One neuron and input, flattened to [T, N], with the rounds of chunk replay as methods. Book: alg-chunk-replay"""

    def __init__(self, spec, x, v0, chunk):
        self.shape, self.steps, self.length = x.shape[1:], x.shape[0], chunk
        self.chunks = -(-self.steps // chunk)
        self.pad = self.chunks * chunk - self.steps
        flat = x.reshape(self.steps, -1)
        self.width = flat.shape[1]
        self.x = torch.cat([flat.new_zeros(self.pad, self.width), flat]) if self.pad else flat
        self.spec = spec.map(lambda e: e.expand(self.shape).reshape(-1) if torch.is_tensor(e) and e.ndim else e)
        self.v0 = v0.reshape(spec.memory, -1)

    def step(self, spec, state, now):
        """One time step; state: list of S tensors -> (state, membrane and spikes: list of D + P). Book: def-arithmetic"""
        u = spec.charge(state[: spec.states], now, state[spec.states :])
        s = spec.fire(u)
        after = spec.settle(u, s)
        return after + s if len(state) > spec.states else after, u + s

    def first_round(self, warmup, guess):
        """All chunks at once from the guess; starts, ends [S, M, N] and trains: D + P tensors [M C, N]."""
        size, pad = self.length, self.pad
        blocks = self.x.view(self.chunks, size, self.width)
        starts = self.x.new_zeros(len(self.v0), self.chunks, self.width)
        if guess is not None:
            starts.copy_(guess)
        # Chunk m reads step k of its own time, k < 0 in the warm-up: block m - q, row k mod size. Blocks before 0 and
        # padded rows do not exist; a chunk whose warm-up reaches step 0 joins there, with the true initial state.
        first = self._lowest(-warmup)
        state = list(starts[:, first:].unbind(0))
        if first < self.chunks and first * size - warmup == pad:
            state = self._join([part[1:] for part in state])
        rows = []
        for k in range(-warmup, size):
            q, lowest = -(k // size), self._lowest(k)
            while first > lowest:
                state, first = self._join(state), first - 1
            if k == 0:
                starts[:, first:] = torch.stack(state)
            state, out = self.step(self.spec, state, blocks[lowest - q : self.chunks - q, k % size])
            if k >= 0:
                rows.append(out if lowest == 0 else [torch.cat([part[:1], part]) for part in out])
        starts[:, 0] = self.v0
        trains = [torch.stack(part, dim=1).view(self.x.shape) for part in zip(*rows, strict=True)]
        return starts, torch.stack(state), trains

    def _lowest(self, k):
        return -(k // self.length) + (k % self.length < self.pad)

    def _join(self, state):
        return [torch.cat([new[None], part]) for new, part in zip(self.v0, state, strict=True)]

    def open_seams(self, starts, ends):
        """Flat indices m N + n of the pairs whose start is not their neighbour's end, bit for bit. Book: thm-chunk-replay"""
        differs = (starts[:, 1:] != ends[:, :-1]).any(0)
        return differs.flatten().nonzero()[:, 0] + self.width

    def rerun(self, pairs, starts, ends, trains):
        """Run (chunk, neuron) pairs again from their neighbours' ends, each until it meets its earlier run.

        Pairs [n] of flat indices m N + n; starts, ends and trains are brought up to date in place. A pair that has the
        membrane of the earlier run has its whole future too. Returns dependent steps and estimated cost.
        """
        starts, ends = starts.flatten(1), ends.flatten(1)
        starts[:, pairs] = ends[:, pairs - self.width]
        state = list(starts[:, pairs].unbind(0))
        neuron = pairs % self.width
        place = (pairs // self.width) * (self.length * self.width) + neuron  # where the chunk's first step lies
        spec, x, flat = self._select(neuron), self.x.view(-1), [train.view(-1) for train in trains]
        steps, cost = 0, 0.0
        for k in range(0, self.length, BLOCK):
            rows = torch.arange(k, min(k + BLOCK, self.length), device=x.device)[:, None] * self.width + place
            before = [train[rows[-1]] for train in flat[: spec.states]]
            outs = []
            for now in x[rows].unbind(0):
                state, out = self.step(spec, state, now)
                outs.append(out)
            for train, new in zip(flat, zip(*outs, strict=True), strict=True):
                train[rows] = torch.stack(new)
            steps, cost = steps + len(outs), cost + len(outs) * (STEP_COST + NEURON_COST * len(pairs))
            apart = torch.stack([old != new for old, new in zip(before, outs[-1], strict=False)]).any(0)
            pairs, place, neuron, state = pairs[apart], place[apart], neuron[apart], [part[apart] for part in state]
            if pairs.numel() == 0:
                return steps, cost
            spec = self._select(neuron)
        ends[:, pairs] = torch.stack(state)
        return steps, cost

    def walk(self, starts, ends, trains):
        """Last resort, the loop chunk after chunk: for neurons that forget nothing. Pairs run, dependent steps."""
        count = steps = 0
        for m in range(1, self.chunks):
            pairs = (starts[:, m] != ends[:, m - 1]).any(0).nonzero()[:, 0] + m * self.width
            if pairs.numel():
                count, steps = count + pairs.numel(), steps + self.rerun(pairs, starts, ends, trains)[0]
        return count, steps

    def _select(self, neuron):
        return self.spec.map(lambda e: e[neuron] if torch.is_tensor(e) and e.ndim else e)

    def unpack(self, trains, ends):
        """Spikes [T, P, ...], membrane [T, D, ...], final state [memory, ...]. Book: def-solution"""

        def shaped(part):
            return torch.stack([train[self.pad :] for train in part], dim=1).reshape(self.steps, len(part), *self.shape)

        membrane, spikes = trains[: self.spec.states], trains[self.spec.states :]
        return shaped(spikes), shaped(membrane), ends[:, -1].reshape(len(ends), *self.shape)
