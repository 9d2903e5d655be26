"""The functions of fptlib.theory for chapters 4 and 5: values against SciPy and matrices, edge cases, refusals, checkers."""

import math

import numpy as np
import pytest
import torch
from oracle_sweeps import feedback
from scipy import special, stats

from fptlib import theory

ROUNDING = 1e-9  # two orders of summation


@pytest.mark.parametrize("decay", (-0.9, 0.0, 0.5, 0.99, 1.0, 1.3))
@pytest.mark.parametrize("T", (1, 2, 17))
def test_feedback_norm_is_the_largest_row_sum(decay, T):
    assert theory.feedback_norm(decay, T) == pytest.approx(np.abs(feedback(decay, T)).sum(1).max(), rel=ROUNDING)


def test_constants_at_the_edges():
    assert theory.feedback_norm(0.9) == pytest.approx(9.0)
    assert theory.feedback_norm(1.0) == math.inf and theory.feedback_norm(1.0, 5) == 4.0
    assert theory.largest_contracting_slope(0.0) == math.inf and theory.largest_contracting_slope(0.7, T=1) == math.inf
    assert theory.largest_contracting_slope(1.0) == 0.0
    for decay, slope in ((0.25, 12.0), (0.5, 4.0), (0.75, 4 / 3), (0.9, 4 / 9), (0.95, 4 / 19)):
        assert theory.largest_contracting_slope(decay) == pytest.approx(slope)
        assert theory.contraction_constant(decay, slope) == pytest.approx(1.0)
    assert theory.contraction_constant(0.5, 12.0, threshold=2.0) == 6.0


@pytest.mark.parametrize("decay", (0.1, 0.5, 0.9, 0.99))
def test_row_sums_are_negative_binomial_probabilities(decay):
    T, p = 60, 1.0 - decay
    trials = np.arange(T)  # t − 1
    for k in (1, 2, 7, 30, 59, 60):
        rows = theory.power_row_sum(decay, k, T).numpy()
        by_failures = stats.nbinom.cdf(trials - k, k, p)  # SciPy counts failures, the book counts trials
        by_binomial = np.array([stats.binom.sf(k - 1, n, p) for n in trials])
        assert np.allclose(rows, (decay / p) ** k * by_failures, rtol=ROUNDING, atol=1e-290)
        assert np.allclose(by_failures, by_binomial, rtol=ROUNDING, atol=1e-290)


def test_row_sums_at_the_edges():
    assert theory.power_row_sum(0.0, 0, 3).tolist() == [1.0, 1.0, 1.0]
    assert theory.power_row_sum(0.0, 2, 3).tolist() == [0.0, 0.0, 0.0]
    assert np.allclose(theory.power_row_sum(1.0, 3, 9).numpy(), special.comb(np.arange(9), 3), rtol=ROUNDING)
    assert torch.equal(theory.power_row_sum(-0.5, 3, 9), theory.power_row_sum(0.5, 3, 9))
    assert theory.power_row_sum(0.5, 4, 4).tolist() == [0.0] * 4
    # sums beyond float64: the logarithm stays finite
    assert torch.isfinite(theory.log_power_row_sum(0.99, 600, 100000)[-1])
    assert theory.power_row_sum(0.99, 600, 100000)[-1] == math.inf


def test_bound_at_the_edges():
    assert theory.binomial_tail_bound(0.5, 4.0, 0, 3).tolist() == [1.0, 1.0, 1.0]
    assert theory.binomial_tail_bound(0.5, 0.0, 2, 3).tolist() == [0.0] * 3
    assert theory.binomial_tail_bound(0.5, 0.0, 0, 3).tolist() == [1.0] * 3
    assert theory.binomial_tail_bound(0.9, 50.0, 7, 7).tolist() == [0.0] * 7
    doubled = theory.binomial_tail_bound(0.5, 4.0, 2, 9, threshold=2.0)
    assert torch.allclose(doubled, 4.0 * theory.binomial_tail_bound(0.5, 4.0, 2, 9))
    membrane = theory.binomial_tail_bound(0.5, 4.0, 2, 9, threshold=2.0, of="membrane")
    assert torch.allclose(membrane, 8.0 * theory.power_row_sum(0.5, 3, 9))


def test_margins_by_the_definition():
    u = np.random.default_rng(0).normal(0.5, 1.0, (25, 6))
    u[3, 2] = u[4, 2] = 1.0
    for decay in (0.0, 0.5, 0.9, 1.0):
        kappa = np.zeros(u.shape, int)
        for n in range(6):
            for t in range(1, 26):
                margin = abs(u[t - 1, n] - 1.0)
                w = next(w for w in range(t) if w == t - 1 or sum(decay**m for m in range(w + 1, t)) < margin)
                kappa[t - 1, n] = 1 + max([kappa[j - 1, n] for j in range(t - w, t)], default=0)
        assert np.array_equal(theory.margin_sweeps(torch.from_numpy(u), decay).numpy(), kappa)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    (
        (lambda: theory.feedback_norm(math.nan, 3), ValueError, "decay must be finite"),
        (lambda: theory.feedback_norm(0.5, 0), ValueError, "at least 1"),
        (lambda: theory.feedback_norm(0.5, 2.5), ValueError, "whole number"),
        (lambda: theory.contraction_constant(0.5, -1.0), ValueError, "slope must be at least 0"),
        (lambda: theory.largest_contracting_slope(0.5, 0.0), ValueError, "threshold must be greater than 0"),
        (lambda: theory.power_row_sum(0.5, -1, 3), ValueError, "k must be a whole number"),
        (lambda: theory.binomial_tail_bound(0.5, 1.0, 1, 3, of="volts"), ValueError, "volts"),
        (lambda: theory.best_weight(0.5, 9, 10), ValueError, "membrane is exact"),
        (lambda: theory.chain_ratio(1.0, 0.4), ValueError, "old spikes never fade"),
        (lambda: theory.chain_ratio(0.5, 0.0), ValueError, "density must be greater than 0"),
        (lambda: theory.margin_sweeps([1.0], 0.5), TypeError, "floating-point tensor"),
        (lambda: theory.margin_sweeps(torch.empty(0), 0.5), ValueError, "at least 1"),
        (lambda: theory.rounding_bound(torch.ones(3, dtype=torch.int64), 0.5), TypeError, "floating-point tensor"),
        (lambda: theory.guarded_brackets(None, 0.0, 1.0, 0, (1,)), ValueError, "at least 1"),
        (lambda: theory.signature(torch.ones(2, 3)), ValueError, "square"),
        (
            lambda: theory.interval_brackets(torch.ones(2), torch.ones(2, 2), 1, torch.sigmoid),
            ValueError,
            "strictly lower",
        ),
    ),
)
def test_bad_input_is_refused_with_the_reason(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_signature_follows_connections_in_both_directions():
    F = torch.zeros(4, 4)
    F[2, 0], F[2, 1], F[3, 1] = -1.0, 2.0, -1.0
    signs = theory.signature(F)
    assert (signs[:, None] * F * signs >= 0).all() and set(signs.tolist()) == {1.0, -1.0}
    assert theory.signature(torch.zeros(3, 3)).tolist() == [1.0] * 3
    for closing, exists in (
        (-1.0, False),
        (1.0, True),
    ):  # signs exist when every cycle has an even number of minus signs
        F[3, 0] = closing
        assert (theory.signature(F) is not None) == exists


def test_checker_of_slow_inputs():
    assert theory.check_worst_case_input(theory.worst_case_input(0.9, 12), 0.9).startswith("Correct.")
    assert theory.check_worst_case_input([2.5, 1.25, 1.75], 0.5, threshold=2.0).startswith("Correct.")
    assert "0 of 12" in theory.check_worst_case_input(torch.zeros(12), 0.9)  # stub
    assert "Not yet" in theory.check_worst_case_input(torch.full((12,), 0.7), 0.9)  # a constant input
    assert "Not yet" in theory.check_worst_case_input(theory.worst_case_input(0.5, 12), 0.9)  # another neuron's input
    assert "at least 3 steps" in theory.check_worst_case_input([1.0], 0.5)
    assert "not finite" in theory.check_worst_case_input([1.0, math.nan, 0.0], 0.5)


def test_checker_of_row_sums():
    def right(decay, k, t):
        return 1.0 if k == 0 else sum(math.comb(m - 1, k - 1) * decay**m for m in range(k, t))

    assert theory.check_power_row_sum(right).startswith("Correct.")
    for wrong in (
        lambda decay, k, t: 0.0,
        lambda decay, k, t: 1.0 if k == 0 else sum(math.comb(m, k) * decay**m for m in range(k, t)),
        lambda decay, k, t: 1.0 if k == 0 else right(decay, k, t + 1),
    ):
        assert theory.check_power_row_sum(wrong).startswith("Not yet:")


def test_checker_of_parity():
    assert theory.check_sign_of_error(lambda K: 1 if K % 2 else -1).startswith("Correct.")
    for wrong in (lambda K: 1, lambda K: -1, lambda K: -1 if K % 2 else 1):
        assert theory.check_sign_of_error(wrong).startswith("Not yet:")


def test_checker_of_certified_steps():
    assert theory.check_certified_steps(lambda chain: chain[-1] == chain[-2]).startswith("Correct.")
    stub = theory.check_certified_steps(lambda chain: torch.zeros_like(chain[0], dtype=torch.bool))
    same_side = theory.check_certified_steps(lambda chain: chain[-1] == chain[-3])
    only_prefix = theory.check_certified_steps(lambda chain: (chain[-1] == chain[-2]).long().cumprod(0).bool())
    assert "not marked" in stub and "wrong spikes proved" in same_side and "not marked" in only_prefix
    assert "bool tensor" in theory.check_certified_steps(lambda chain: None)
    assert "bool tensor" in theory.check_certified_steps(lambda chain: chain[-1])
