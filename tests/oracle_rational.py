"""One neuron in rational arithmetic, where ties and residues are what they are. NumPy-free, never imports fptlib."""

from fractions import Fraction


def lif_rational(x, decay, threshold=1, reset="soft", v_reset=0, v0=0, graded=False):
    """Spikes, membranes before reset and states after it of one neuron, as lists of numbers without rounding."""
    decay, threshold, v_reset, v = (Fraction(p) for p in (decay, threshold, v_reset, v0))
    spikes, before, after = [], [], []
    for sample in x:
        u = decay * v + Fraction(sample)
        s = max(0, u // threshold) if graded else int(u >= threshold)
        v = u - threshold * s if reset == "soft" else (v_reset if s else u)
        spikes.append(int(s))
        before.append(u)
        after.append(v)
    return spikes, before, after


def chunk_rounds(maps, start, guesses):
    """Chunk replay on arbitrary end-state maps: per round the starts and ends, until the prefix rule accepts all."""
    starts, rounds = [start, *guesses], []
    while True:
        ends = [h(y) for h, y in zip(maps, starts, strict=True)]
        accepted = 1
        while accepted < len(maps) and starts[accepted] == ends[accepted - 1]:
            accepted += 1
        rounds.append((starts, ends, accepted))
        if accepted == len(maps):
            return rounds
        starts = [start, *ends[:-1]]
