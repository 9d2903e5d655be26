"""Every numbered result, example and solution of chapter 9, with inputs chosen to break it."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from oracle_rational import chunk_rounds, lif_rational

from fptlib import Replay, Sequential, SpikePointers, graded_count, integrate_and_fire, lif, one_spike_count, solve
from fptlib.chunks import NEURON_COST, STEP_COST
from fptlib.pointers import build_tree, first_passage
from fptlib.replay import plan

RNG = np.random.default_rng
DECAYS = (Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(9, 10), Fraction(1))


def rational_input(rng, steps, low=-8, high=14):
    """Multiples of 1/8, so that ties happen."""
    return [Fraction(int(k), 8) for k in rng.integers(low, high, steps)]


def pairs_of_trajectories(reset="soft", count=40, steps=40):
    rng = RNG(9)
    for decay in DECAYS:
        for _ in range(count // len(DECAYS)):
            x, starts = rational_input(rng, steps), [Fraction(int(k), 16) for k in rng.integers(-40, 40, 2)]
            yield decay, [lif_rational(x, decay, reset=reset, v0=v) for v in starts], starts, x


def test_lem_difference():
    for decay, ((s, _, v), (s2, _, v2)), (a, b), _ in pairs_of_trajectories(count=100):
        d = [a - b] + [p - q for p, q in zip(v, v2, strict=True)]
        for t in range(1, len(d)):
            if s[t - 1] == s2[t - 1]:
                assert d[t] == decay * d[t - 1]
            assert abs(d[t]) <= max(decay * abs(d[t - 1]), 1)
            assert abs(d[t]) <= max(decay**t * abs(d[0]), 1)


def test_thm_margin_coalescence():
    certified = broken = 0
    for decay, ((s, u, v), (s2, _, v2)), (a, b), _ in pairs_of_trajectories(count=200):
        d0 = a - b
        for start in range(0, len(u) - 1, 5):
            here = d0 if start == 0 else v[start - 1] - v2[start - 1]
            free = max(decay**start * abs(d0), 1)
            for size in (abs(here), free):
                m = 0
                while start + m < len(u) and decay ** (m + 1) * size < abs(u[start + m] - 1):
                    m += 1
                assert s[start : start + m] == s2[start : start + m]
                certified += m
                broken += start + m < len(u) and s[start + m] != s2[start + m]
    assert certified > 1000 and broken > 10  # it proves much, and the margin is what it takes


def test_a_tie_of_the_reference_voids_the_margin():
    """u = threshold: a copy that is lower by any amount stays silent, so no positive difference can be certified."""
    x, tiny = [Fraction(1)], Fraction(1, 10**9)
    assert lif_rational(x, Fraction(1, 2))[0] == [1]
    assert lif_rational(x, Fraction(1, 2), v0=-tiny)[0] == [0]


def test_thm_hard_coalescence():
    merged = 0
    for decay, ((s, _, v), (s2, _, v2)), (a, b), _ in pairs_of_trajectories("hard", count=200):
        d, common = a - b, False
        for t in range(len(s)):
            common = common or (s[t] == s2[t] == 1)
            if common:
                assert v[t] == v2[t] and s[t:] == s2[t:]
                merged += 1
            elif s[t] == s2[t] == 0:
                assert v[t] - v2[t] == decay * d
            d = v[t] - v2[t]
    assert merged > 1000


def test_thm_hard_coalescence_synchronising_event():
    """One sample at least theta makes all neurons of non-negative state fire, in floating point too; one ulp less does not."""
    start = torch.linspace(0, 1, 1001, dtype=torch.float32)
    one = torch.ones(1, 1001)
    for decay in (0.0, 0.3, 0.9, 1.0):
        assert bool(solve(lif(decay, reset="hard"), one, Sequential(), v0=start).spikes.all())
    below = torch.nextafter(one, torch.zeros(()))
    assert not bool(solve(lif(0.5, reset="hard"), below, Sequential(), v0=start).spikes.all())


def test_exm_two_phases():
    x, half = [Fraction(7, 10)] * 40, Fraction(1, 2)
    _, _, soft = lif_rational(x, half, v0=Fraction(11, 15))
    assert soft[:2] == [Fraction(1, 15), Fraction(11, 15)] and soft[1::2] == [Fraction(11, 15)] * 20
    assert lif_rational(x, half, v0=Fraction(1, 15))[2][1::2] == [Fraction(1, 15)] * 20
    assert lif_rational(x, half, reset="hard")[2][:4] == [Fraction(7, 10), 0, Fraction(7, 10), 0]


def test_exm_residue():
    rng = RNG(0)
    for _ in range(50):
        x, (a, b) = rational_input(rng, 60), (Fraction(int(k), 7) for k in rng.integers(0, 7, 2))
        v, v2 = (lif_rational(x, 1, v0=start)[2] for start in (a, b))
        assert {(p - q) % 1 for p, q in zip(v, v2, strict=True)} == {(a - b) % 1}


@pytest.mark.parametrize(("decay", "x", "count"), [(0.9, 0.05, 7), (0.99, 0.005, 126)])
def test_exm_stalled_rounding(decay, x, count):
    decay, x, v = np.float32(decay), np.float32(x), np.float32(0.5)
    for _ in range(300):
        v = np.nextafter(v, np.float32(0))
    fixed = []
    for _ in range(600):
        v = np.nextafter(v, np.float32(1))
        fixed += [v] if np.float32(decay * v) + x == v else []
    assert len(fixed) == count
    assert fixed[-1] - fixed[0] <= 2 * np.spacing(fixed[-1]) / (1 - decay)  # how far apart two copies can stall
    assert np.float32(0.5) in fixed and np.nextafter(np.float32(0.5), np.float32(1)) in fixed


def random_maps(rng, chunks, values):
    """End-state maps on a few states, from constant (forgets) to permutations (remembers)."""
    for _ in range(chunks):
        image = rng.integers(0, rng.integers(1, values + 1), values)
        yield lambda y, image=image: int(image[y])


def test_thm_chunk_replay():
    rng, tight, local_only = RNG(4), 0, 0
    for _ in range(3000):
        chunks, values = int(rng.integers(1, 9)), int(rng.integers(1, 6))
        maps, start = list(random_maps(rng, chunks, values)), int(rng.integers(values))
        truth = [start]
        for h in maps:
            truth.append(h(truth[-1]))
        rounds = chunk_rounds(maps, start, [int(g) for g in rng.integers(0, values, chunks - 1)])
        assert len(rounds) <= chunks
        for number, (starts, ends, accepted) in enumerate(rounds, 1):
            exact = 1
            while exact < chunks and starts[exact] == truth[exact]:
                exact += 1
            assert accepted == exact >= min(number, chunks)  # the prefix rule, both directions; one chunk a round
            local = [m for m in range(1, chunks) if starts[m] == ends[m - 1]]
            local_only += any(m >= accepted and starts[m] != truth[m] for m in local)
        assert rounds[-1][1] == truth[1:]
        good = [all(ends[m] == truth[m + 1] for _, ends, _ in rounds) for m in range(chunks)]
        longest = run = 0
        for m in range(1, chunks - 1):
            run = 0 if good[m] else run + 1
            longest = max(longest, run)
        assert len(rounds) <= min(chunks, longest + 2)
        tight += len(rounds) == min(chunks, longest + 2) and longest > 0
    assert tight > 50 and local_only > 100  # the bound is attained, and the local test alone would lie


def test_thm_chunk_replay_early_stop():
    """A run that meets the earlier run at one step has its whole future: every later step agrees."""
    x = torch.randn(400, 20, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    for reset in ("soft", "hard"):
        a, b = (solve(lif(0.8, reset=reset), x, Sequential(), v0=torch.full((20,), v)).membrane for v in (0.0, 0.9))
        met = (a == b).int()
        assert bool((met[1:] >= met[:-1]).all()) and bool(met[-1].all())


def test_exm_local_acceptance():
    x, v0, half = [Fraction(7, 10)] * 40, Fraction(7, 10), Fraction(1, 2)
    truth = lif_rational(x, half, reset="hard", v0=v0)
    maps = [lambda y: lif_rational(x[:4], half, reset="hard", v0=y)[2][-1]] * 10
    rounds = chunk_rounds(maps, v0, [Fraction(0)] * 9)
    starts, ends, accepted = rounds[0]
    passing = [m for m in range(1, 10) if starts[m] == ends[m - 1]]
    assert accepted == 1 and passing == list(range(2, 10)) and len(rounds) == 10
    for m in passing:
        assert all(
            p != q for p, q in zip(lif_rational(x[:4], half, reset="hard")[0], truth[0][4 * m : 4 * m + 4], strict=True)
        )


def test_prp_bitwise_replay():
    """Random and tied input, all resets, float32 and float64; also zeros of either sign as input."""
    generator = torch.Generator().manual_seed(1)
    for dtype in (torch.float32, torch.float64):
        for grid in (False, True):
            x = torch.randn(257, 6, generator=generator, dtype=dtype)
            x = (8 * x).round() / 8 if grid else x
            x[::7] = -0.0
            for reset in ("soft", "hard", "none"):
                for decay in (0.0, 0.5, 0.9, 1.0):
                    loop, found = (solve(lif(decay, reset=reset), x, s) for s in (Sequential(), Replay(11, 3)))
                    assert torch.equal(loop.spikes, found.spikes) and torch.equal(loop.membrane, found.membrane)
                    assert torch.equal(loop.final_state, found.final_state)


def test_rem_constant_input_and_ex_warm_up_parity():
    x, v0 = torch.full((40, 1), 0.7), torch.tensor([0.7])
    rounds = [solve(lif(0.5, reset="hard"), x, Replay(4, w), v0=v0).report.rounds for w in (0, 1, 2, 3, 4)]
    assert rounds == [10, 1, 10, 1, 9]


def test_ex_two_phases():
    for k in range(0, 1000, 8):
        v0 = Fraction(k, 1000)
        spikes, _, v = lif_rational([Fraction(7, 10)] * 120, Fraction(1, 2), v0=v0)
        assert all(p + q == 1 for p, q in zip(spikes, spikes[1:], strict=False))
        low = v[-1] if v[-1] < Fraction(2, 5) else v[-2]
        assert abs(low - Fraction(1, 15)) < Fraction(1, 10**12)
        assert spikes[0] == (v0 >= Fraction(3, 5))
        if k % 40 == 0 and v[0] < Fraction(1, 5):
            assert v[2] == v[0] / 4 + Fraction(1, 20)


def test_ex_rounds_without_leak():
    x = [Fraction(3, 10)] * 10
    maps = [lambda y: lif_rational(x, 1, v0=y)[2][-1]] * 6
    rounds = chunk_rounds(maps, Fraction(1, 4), [Fraction(0)] * 5)
    assert len(rounds) == 6 and rounds[0][1] == [Fraction(1, 4)] + [0] * 5


def test_prp_chunk_length():
    a, b, warmup, total = 30e-6, 3e-9, 32, 65536 * 16

    def cost(c):
        return (warmup + c) * (a + b * total / c)

    best = math.sqrt(warmup * b * total / a)
    assert round(best) == 58 and math.isclose(cost(best), (math.sqrt(a * warmup) + math.sqrt(b * total)) ** 2)
    assert all(cost(c) >= cost(best) for c in range(1, 2000))
    chunk, warmup_, gain = plan(lif(0.5), torch.zeros(65536, 16))
    wanted = math.sqrt(warmup_ * NEURON_COST * total / STEP_COST)
    assert wanted <= chunk <= wanted + 32 and gain > 1


def test_ex_best_chunk():
    a, b, warmup = 30e-6, 3e-9, 32
    for neurons, replay, loop in ((16, 7.6e-3, 1.969), (65536, 13.1, 14.9)):
        work = b * neurons * 65536
        assert math.isclose((math.sqrt(a * warmup) + math.sqrt(work)) ** 2, replay, rel_tol=5e-3)
        assert math.isclose(a * 65536 + work, loop, rel_tol=5e-3)


def test_lem_entry_threshold():
    """Random stretches in float64 on a binary grid (decays 1/2 and 1): the tree's tau, o and g are exact."""
    rng = RNG(2)
    for decay in (0.5, 1.0):
        for steps in (1, 2, 4, 8):
            for _ in range(40):
                x = rng.integers(-8, 14, steps) / 8
                g, o, tau = build_tree(
                    torch.tensor(x)[:, None], torch.tensor([decay]).double(), torch.tensor([1.0]).double()
                )[-1]
                free = [sum(decay ** (t - k) * x[k] for k in range(t + 1)) for t in range(steps)]
                wanted = min(decay ** -(t + 1) * (1 - free[t]) for t in range(steps))
                assert tau.item() == wanted and o.item() == free[-1] and g.item() == decay**steps
                for shift in (0.0, 1 / 64, -1 / 64):
                    spikes, before, _ = lif_rational(x, decay, reset="hard", v0=wanted + shift)
                    assert any(spikes) == (shift >= 0)
                    assert any(spikes) or before[-1] == decay**steps * Fraction(wanted + shift) + Fraction(free[-1])


def test_thm_next_spike_pointers():
    """Against rational arithmetic, ties, reset values and starts included; decays whose powers are exact in binary."""
    rng = RNG(3)
    for decay in (Fraction(1, 2), Fraction(1)):
        for v_reset in (Fraction(0), Fraction(1, 4), Fraction(-1, 2)):
            for steps in (1, 2, 5, 16, 33):
                trains = [rational_input(rng, steps) for _ in range(20)]
                starts = [Fraction(int(k), 8) for k in rng.integers(-12, 20, 20)]
                wanted = [lif_rational(c, decay, 1, "hard", v_reset, v)[0] for c, v in zip(trains, starts, strict=True)]
                x = torch.tensor([[float(p) for p in c] for c in trains], dtype=torch.float64).T
                neuron = lif(float(decay), reset="hard", v_reset=float(v_reset))
                v0 = torch.tensor([float(v) for v in starts], dtype=torch.float64)
                found = solve(neuron, x, SpikePointers(verify=False), v0=v0)
                assert found.spikes.T.int().tolist() == wanted


def test_thm_next_spike_pointers_where_only_the_loop_rounds_to_a_tie():
    """-1/8, silence, then the threshold: 1 - 2^-63 is rounded up by the loop; the tree and real arithmetic stay silent."""
    x = [Fraction(-1, 8)] + [Fraction(0)] * 59 + [Fraction(1)]
    assert not any(lif_rational(x, Fraction(1, 2), reset="hard")[0])
    for dtype in (torch.float32, torch.float64):
        train = torch.tensor([float(p) for p in x], dtype=dtype)[:, None]
        loop, tree, proved = (
            solve(lif(0.5, reset="hard"), train, s).spikes
            for s in (Sequential(), SpikePointers(verify=False), SpikePointers())
        )
        assert loop.sum() == loop[60] == 1 and tree.sum() == 0 and torch.equal(proved, loop)


def test_thm_next_spike_pointers_reads_an_underflowed_tie_as_a_spike():
    """g = 2^-256 is 0 in float32 and the node behind it starts with a tie: 0 / 0 means that whatever enters fires."""
    x = torch.zeros(512, 1)
    x[256] = 1.0
    found = solve(lif(0.5, reset="hard"), x, SpikePointers(verify=False)).spikes
    assert found.flatten().nonzero().flatten().tolist() == [256]


def test_thm_next_spike_pointers_depth():
    """The tree has ceil(log2 T) + 1 levels: queries climb and descend it once, whatever the input."""
    for steps in (1, 2, 3, 1000, 1024, 1025):
        tree = build_tree(torch.zeros(steps, 1), torch.ones(1), torch.ones(1))
        assert len(tree) == math.ceil(math.log2(steps)) + 1


def test_ex_monotone_pointers():
    rng = RNG(6)
    for decay in (0.5, 0.9, 1.0):
        x = torch.tensor(rng.random((120, 1)) * 0.9)
        tree = build_tree(x, torch.tensor([decay]).double(), torch.ones(1).double())
        start, zero = torch.arange(120), torch.zeros(120, dtype=torch.long)
        nxt = first_passage(tree, start, zero, torch.zeros(120).double(), 120)
        assert bool((nxt[1:] >= nxt[:-1]).all()) and bool((nxt < 120).any())
        q = np.cumsum(decay ** -np.arange(120.0) * x[:, 0].numpy())
        t, merged, comparisons = 0, [], 0
        for k in range(120):
            t, level = max(t, k), q[k - 1] if k else 0.0
            while t < 120 and q[t] - decay**-t < level:
                t, comparisons = t + 1, comparisons + 1
            comparisons += 1
            merged.append(t)
        assert merged == nxt.tolist() and comparisons <= 2 * 120 + 1


def test_thm_graded_closed_form():
    rng = RNG(7)
    for _ in range(200):
        x, v0 = rational_input(rng, 30, -20, 24), Fraction(int(rng.integers(-16, 24)), 8)
        wanted = np.cumsum(lif_rational(x, 1, v0=v0, graded=True)[0])
        found = graded_count(torch.tensor([float(p) for p in x]), 1.0, torch.tensor(float(v0)))
        assert found.tolist() == wanted.tolist()


def test_thm_graded_closed_form_is_false_for_one_spike_a_step():
    x = torch.tensor([2.5, 0.0, 0.0])
    assert solve(integrate_and_fire(), x[:, None], Sequential()).spikes.cumsum(0).flatten().tolist() == [1, 2, 2]
    assert graded_count(x).tolist() == [2, 2, 2]


def test_prp_one_spike_closed_form():
    rng = RNG(8)
    for _ in range(200):
        small, v0 = rational_input(rng, 30, -20, 9), Fraction(int(rng.integers(-16, 8)), 8)
        found = graded_count(torch.tensor([float(p) for p in small]), 1.0, torch.tensor(float(v0)))
        assert found.tolist() == np.cumsum(lif_rational(small, 1, v0=v0)[0]).tolist()
        large, v0 = (
            [p * int(rng.random() < 0.5) for p in rational_input(rng, 30, 0, 40)],
            Fraction(int(rng.integers(0, 8)), 8),
        )
        found = one_spike_count(torch.tensor([float(p) for p in large]), 1.0, torch.tensor(float(v0)))
        assert found.tolist() == np.cumsum(lif_rational(large, 1, v0=v0)[0]).tolist()


def test_ex_queue():
    x = [Fraction(5, 2), 0, Fraction(3, 2), 0, 0]
    assert np.cumsum(lif_rational(x, 1)[0]).tolist() == [1, 2, 3, 4, 4]
    assert np.cumsum(lif_rational(x, 1, graded=True)[0]).tolist() == [2, 2, 4, 4, 4]
    floats = torch.tensor([float(p) for p in x])
    assert one_spike_count(floats).tolist() == [1, 2, 3, 4, 4] and graded_count(floats).tolist() == [2, 2, 4, 4, 4]


def test_rem_creeping_tie():
    assert not any(lif_rational([Fraction(1, 2)] * 200, Fraction(1, 2))[0])
    for dtype, step in ((torch.float32, 25), (torch.float64, 54)):
        spikes = solve(lif(0.5), torch.full((64, 1), 0.5, dtype=dtype), Sequential()).spikes.flatten()
        assert spikes.nonzero()[0].item() + 1 == step


def test_published_timing_meets_its_bars():
    path = Path(__file__).resolve().parents[1] / "experiments" / "results" / "replay_cpu.json"
    result = json.loads(path.read_text())
    assert {"device", "versions", "date", "commit", "command"} <= result["header"].keys()
    for record in result["records"]:
        assert record["mismatches"] == 0
        assert record["ratio"] >= record["bar"] and math.isclose(
            record["ratio"], record["loop_s"] / record["replay_s"], rel_tol=1e-2
        )
