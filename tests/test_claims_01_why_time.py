"""The arithmetic and the two results of chapter 1: assumed numbers, work and depth, and the picture of the wave."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from oracles import leak_matrix, lif_loop

PAGE = Path(__file__).resolve().parents[1] / "book" / "01-why-time.md"
BANDWIDTH, LATENCY, LAUNCH, OPERATION = 3e12, 600e-9, 5e-6, 4 / 1.5e9


def greedy(needs, processors):
    """Units of time of a greedy schedule; ``needs[i]`` lists the operations that operation i waits for (all < i)."""
    done, units = set(), 0
    while len(done) < len(needs):
        ready = [i for i in range(len(needs)) if i not in done and all(j in done for j in needs[i])]
        done.update(ready[:processors])
        units += 1
    return units


def longest_path(needs):
    length = []
    for before in needs:
        length.append(1 + max((length[j] for j in before), default=0))
    return max(length)


@pytest.mark.parametrize("processors", (1, 2, 3, 7, 100))
@pytest.mark.parametrize("density", (0.0, 0.02, 0.2, 1.0))
def test_thm_work_depth(processors, density):
    rng = np.random.default_rng(processors)
    needs = [[j for j in range(i) if rng.random() < density] for i in range(40)]
    work, depth, units = len(needs), longest_path(needs), greedy(needs, processors)
    assert max(work / processors, depth) <= units <= work / processors + depth


@pytest.mark.parametrize("N,T,p", ((4, 30, 4), (4, 30, 64), (2, 60, 64), (8, 24, 4)))
@pytest.mark.parametrize("w,K", ((1, 1), (1, 3), (2, 3)))
def test_prp_sweeps_pay(N, T, p, w, K):
    loop = [[i - N] if i >= N else [] for i in range(N * T)]  # step t of neuron n waits for step t - 1 of neuron n
    layers = w * K  # each layer of N T operations waits for the operation below it: the flattest possible sweeps
    sweeps = [[i - N * T] if i >= N * T else [] for i in range(layers * N * T)]
    loop_units, sweep_units, depth = greedy(loop, p), greedy(sweeps, p), layers
    if p <= N:
        assert loop_units == N * T / p and sweep_units >= loop_units
    else:
        assert loop_units == T
        if w * K * N / p + depth / T < 1:
            assert sweep_units < loop_units
        if w * K * N / p >= 1 or depth / T >= 1:
            assert sweep_units >= loop_units


def test_assumed_numbers():
    assert math.isclose(BANDWIDTH * LATENCY, 1.8e6)
    assert round(4 * 1024 / (BANDWIDTH * LATENCY), 3) == 0.002
    rows = {
        (16, 4_200_000): (0.40e-3, 0.17e-6, 179e-6),
        (1024, 1024): (25.6e-3, 10.9e-6, 2.8e-6),
        (8192, 64): (205e-3, 87.4e-6, 1.4e-6),
    }
    for (T, N), printed in rows.items():
        computed = 5 * T * LAUNCH, 4 * T * OPERATION, 8 * N * T / BANDWIDTH
        assert np.allclose(computed, printed, rtol=0.02), (T, N, computed)
    assert round(4 * OPERATION * BANDWIDTH / 8) == 4000
    assert round(4 * OPERATION * BANDWIDTH / 8 / 1024, 1) == 3.9 and math.floor(4000 / 64) == 62


def test_exercise_numbers():
    assert math.ceil(1.8e6 / 4096) == 440 and math.ceil(1.8e6 / 256) == 7032
    gain = lambda share, r: 1 / (1 - share + share / r)
    assert [round(gain(0.3, r), 2) for r in (10, math.inf)] == [1.37, 1.43]
    assert [round(gain(0.9, r), 2) for r in (10, math.inf)] == [5.26, 10.0]
    promise = [K for K in range(1, 50) if 2 * K * 256 / 16384 + 24 * K / 4096 < 1]
    impossible = [K for K in range(1, 50) if 2 * K * 256 / 16384 >= 1]
    assert promise[-1] == 26 and impossible[0] == 32


def test_picture_shows_the_real_run():
    time = np.arange(1, 17)
    x = 0.5 + 0.35 * np.sin(1.9 * time)
    truth, membrane, _ = lif_loop(x, 0.7)
    assert np.abs(membrane - 1).min() > 0.05  # far from a tie, so any arithmetic gives these spikes
    Lambda = leak_matrix(16, 0.7)
    S, settled, right = np.zeros(16), [], []
    while not settled or settled[-1] < 16:
        S = (Lambda @ x - (Lambda - np.eye(16)) @ S >= 1).astype(float)
        wrong = np.flatnonzero(S != truth)
        settled.append(16 if len(wrong) == 0 else int(wrong[0]))
        right.append(int((S == truth).sum()))
    assert len(settled) == 8
    svg = re.search(r"<figure.*?</figure>", PAGE.read_text(), re.S).group()
    loop_cells, legend = 16 * 17 // 2, 1
    assert svg.count('opacity="0.35"') == sum(right) - sum(settled) + legend
    assert svg.count("<path") == 16 * 8 - sum(right) + legend
    solid = len(re.findall(r'fill="var\(--pst-color-primary,#0a7d91\)"/>', svg))
    assert solid == loop_cells + sum(settled) + legend
