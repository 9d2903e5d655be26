"""Answers to the exercises of the chapters on convergence and on certified spikes, computed."""

import numpy as np
import pytest
import torch
from oracle_sweeps import assert_brackets, chain, inputs, loop, solve_forward, step

from fptlib import theory


def test_ex_two_steps():
    assert theory.largest_contracting_slope(0.8, T=2) == 5.0
    for K, value in ((0, 1.0), (1, 12 / 4 * 0.8), (2, 0.0)):
        assert float(theory.binomial_tail_bound(0.8, 12.0, K, 2)[1]) == pytest.approx(value)


def test_ex_negative_decay():
    x = np.array([1.25, 1.375, 1.375, 1.375])[:, None]
    assert np.array_equal(theory.worst_case_input(-0.5, 4).numpy(), x[:, 0])
    rows = ["".join(str(int(v)) for v in s[:, 0]) for s in chain(x, -0.5, 4)[0]]
    assert rows == ["0000", "1010", "1101", "1110", "1111"]


def test_ex_threshold_scale():
    x = inputs(20, seed=22, decay=0.9)
    for a, b in zip(chain(x, 0.9, 6)[0], chain(2 * x, 0.9, 6, threshold=2.0)[0]):
        assert np.array_equal(a, b)  # a factor of two changes no rounding
    assert theory.contraction_constant(0.9, 6.0, 2.0, 20) == theory.contraction_constant(0.9, 12.0, 1.0, 20)


def test_ex_slow_input_needs_variation():
    for value in (-0.5, 0.0, 0.1, 0.2, 1.0, 1.3):
        x = np.full((12, 1), value)
        assert np.array_equal(chain(x, 0.8, 1)[0][1], loop(x, 0.8)[1])


def test_ex_brackets_by_hand():
    spikes, _ = chain(np.array([1.2, 0.8, 0.7, 0.9])[:, None], 0.5, 5)
    assert ["".join(str(int(v)) for v in s[:, 0]) for s in spikes] == ["0000", "1111", "1000", "1011", "1010", "1010"]


def test_ex_readout_interval():
    x = inputs(40, seed=40, decay=0.9)
    s, (spikes, _) = loop(x, 0.9)[1], chain(x, 0.9, 3)
    w = np.random.default_rng(41).normal(size=(40, 1))
    low, high = spikes[2], spikes[3]
    up, down = np.maximum(w, 0), np.maximum(-w, 0)
    assert ((up * low - down * high).sum(0) <= (w * s).sum(0) + 1e-12).all()
    assert ((w * s).sum(0) <= (up * high - down * low).sum(0) + 1e-12).all()


def test_ex_two_sided():
    x = inputs(40, seed=42, decay=0.9)
    spikes, _ = chain(x, 0.9, 12)
    other, _ = chain(x, 0.9, 11, start=np.ones_like(x))
    for k in range(1, 11):
        low, high = np.minimum(spikes[k - 1], spikes[k + 1]), np.maximum(spikes[k - 1], spikes[k + 1])
        assert (low <= other[k]).all() and (other[k] <= high).all()


def test_ex_refractory_order():
    x = inputs(40, seed=43, decay=0.9)

    def refractory(guess=None):
        v, s = np.zeros_like(x[0]), np.zeros_like(x)
        felt = s if guess is None else guess
        for t in range(len(x)):
            u = 0.9 * v + x[t]
            s[t] = step(u - 1.0) * (1 - (felt[t - 1] if t else 0))
            v = u - felt[t]
        return s

    spikes = [np.zeros_like(x)]
    for _ in range(10):
        spikes.append(refractory(spikes[-1]))
    assert_brackets(spikes, refractory())


def recurrent_feedback(weights, decay=0.8, threshold=1.0, steps=6):
    N = len(weights)
    F, block = np.zeros((N * steps, N * steps)), decay * threshold * np.eye(N) - weights
    for t in range(steps):
        for j in range(t):
            F[t * N : (t + 1) * N, j * N : (j + 1) * N] = decay ** (t - j - 1) * block
    return F


def test_ex_recurrent_signature():
    rng = np.random.default_rng(44)
    inhibition = -np.abs(rng.normal(size=(4, 4)))
    assert (recurrent_feedback(inhibition) >= 0).all()
    assert theory.signature(torch.from_numpy(recurrent_feedback(-inhibition * (1 - np.eye(4))))) is None  # odd cycles
    two_groups = np.zeros((4, 4))
    two_groups[:2, 2:], two_groups[2:, :2] = 0.7, 0.4
    signs = theory.signature(torch.from_numpy(recurrent_feedback(two_groups)))
    assert signs.tolist() == [1.0, 1.0, -1.0, -1.0] * 6
    strong = 1.5 * np.eye(4) + np.abs(rng.normal(size=(4, 4)))
    F = recurrent_feedback(strong)
    assert (F <= 0).all()
    own = np.diag([1.5, 0.0, 0.0, 0.0])  # one neuron that excites itself by more than its reset: no signs from T = 3 on
    for steps, exists in ((2, True), (3, False)):
        assert (theory.signature(torch.from_numpy(recurrent_feedback(own, steps=steps))) is not None) == exists
    linear = rng.normal(-1.0, 1.0, (24, 50))
    truth, low, high = solve_forward(linear, F), np.zeros((24, 50)), np.ones((24, 50))
    for _ in range(8):  # a monotone sweep: two chains, each on its own side
        low, high = step(linear - F @ low - 1.0), step(linear - F @ high - 1.0)
        assert (low <= truth).all() and (truth <= high).all()


def test_ex_certified_steps_and_the_step_that_causality_adds():
    def agreeing(chain):
        return chain[-1] == chain[-2]

    def causal(chain):
        mask = agreeing(chain)
        mask[1:] |= agreeing(chain).cumprod(0)[:-1].bool()
        mask[0] = True
        return mask

    assert theory.check_certified_steps(agreeing).startswith("Correct.")
    assert theory.check_certified_steps(causal).startswith("Correct.")
    assert theory.check_certified_steps(lambda chain: chain[-1] == chain[-3]).startswith("Not yet:")


@pytest.mark.parametrize("decay", (0.05, 0.25, 0.4))
def test_ex_expected_sweeps(decay):
    T, trains = 64, 500
    x = np.random.default_rng(42).normal(0.0, 1.0, (T, trains))
    ratio = theory.chain_ratio(decay, 1 / np.sqrt(2 * np.pi))
    _, s = loop(x, decay)
    wrong = np.array([(z != s).any(0) for z in chain(x, decay, T)[0]])
    needed = np.where(wrong.any(0), T + 1 - wrong[::-1].argmax(0), 0)  # from here on all spikes are right
    assert needed.mean() <= 1 + np.log(T) / np.log(1 / ratio) + 1 / (1 - ratio)
