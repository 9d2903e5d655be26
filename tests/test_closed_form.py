"""Closed forms of the neuron without leak: against rational arithmetic, and what they refuse."""

import numpy as np
import pytest
import torch
from oracle_rational import lif_rational

from fptlib import Sequential, graded_count, integrate_and_fire, one_spike_count, solve

GRID = 8  # inputs are multiples of 1/8, so that sums are exact in float32


def trains(low, high, count=60, steps=40, seed=0):
    return np.random.default_rng(seed).integers(low, high, (steps, count)) / GRID


def rational_counts(x, v0, graded):
    return np.stack([np.cumsum(lif_rational(c, 1, v0=s, graded=graded)[0]) for c, s in zip(x.T, v0, strict=True)], 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_graded_count_on_signed_input(dtype):
    x, v0 = trains(-20, 26), np.random.default_rng(1).integers(-12, 20, 60) / GRID
    found = graded_count(torch.tensor(x, dtype=dtype), 1.0, torch.tensor(v0, dtype=dtype))
    assert (found.numpy() == rational_counts(x, v0, True)).all()


def test_one_spike_count_on_large_input():
    x, v0 = trains(0, 30) * (np.random.default_rng(2).random((40, 60)) < 0.4), np.full(60, 0.625)
    found = one_spike_count(torch.tensor(x), 1.0, torch.tensor(v0))
    assert (found.numpy() == rational_counts(x, v0, False)).all()


def test_counts_are_those_of_the_library_neuron():
    x = torch.tensor(trains(-8, 9), dtype=torch.float32)
    loop = solve(integrate_and_fire(), x, Sequential()).spikes.cumsum(0)
    assert torch.equal(graded_count(x), loop)  # no input above the threshold
    assert torch.equal(one_spike_count(x.abs()), solve(integrate_and_fire(), x.abs(), Sequential()).spikes.cumsum(0))


def test_threshold_per_neuron():
    x = torch.tensor(trains(0, 9, count=2))
    both = graded_count(x, torch.tensor([0.5, 2.0], dtype=torch.float64))
    assert torch.equal(both[:, 1], graded_count(x[:, 1], 2.0)) and torch.equal(both[:, 0], graded_count(x[:, 0], 0.5))


def test_refusals():
    with pytest.raises(TypeError, match="floating-point"):
        graded_count(torch.arange(3))
    with pytest.raises(TypeError, match="list"):
        graded_count([1.0])
    with pytest.raises(ValueError, match="at least one time step"):
        graded_count(torch.zeros(0, 2))
    with pytest.raises(ValueError, match="threshold"):
        graded_count(torch.ones(3), 0.0)
    with pytest.raises(ValueError, match="negative values"):
        one_spike_count(torch.tensor([0.5, -0.1]))
    with pytest.raises(ValueError, match="v0 leaves"):
        one_spike_count(torch.ones(3), 1.0, torch.tensor(1.0))
