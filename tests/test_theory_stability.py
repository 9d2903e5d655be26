"""`theory.stability` and `theory.frequency` as functions: shapes, refusals, agreement with the neuron tables."""

import numpy as np
import pytest
import torch

from fptlib import theory
from fptlib.compartments import lm_h, tc_lif, ts_lif, two_compartment

START = (0.8, 0.3, -0.1, -0.8)


def test_numbers_and_tensors_broadcast():
    report = theory.ts_lif_stability(torch.rand(3, 1), 0.3, torch.zeros(4), -0.8)
    assert report.margin.shape == (3, 4) and report.gaps.shape == (3, 4, 3) and report.eigenvalues.shape == (3, 4, 2)
    assert report.margin.dtype == torch.float32
    assert theory.ts_lif_stability(*START).margin.dtype == torch.float64
    assert theory.impulse_response(*START, 7).shape == (7, 2)
    assert theory.transfer_functions(*START, torch.linspace(0, 3, 5)).shape == (5, 2)
    assert theory.bibo_bound(torch.tensor([0.8, 0.5]), 0.3, -0.1, -0.8).input_gain.shape == (2, 2)


def test_the_released_start():
    report = theory.ts_lif_stability(*START)
    assert np.allclose(report.eigenvalues.real, [0.918785, 0.261215], atol=1e-6)
    assert abs(report.margin.item() - 0.06) < 1e-15
    assert np.allclose(theory.bibo_bound(*START, order="released").spike_gain, [19 / 3, 23 / 3])
    assert np.allclose(theory.bibo_bound(*START, order="paper").spike_gain, [7.5, 10.0])


def test_zero_matrix_and_double_root():
    assert theory.ts_lif_stability(0.0, 0.0, 0.0, 0.0).radius.item() == 0
    # A double root keeps half of the digits.
    assert abs(theory.ts_lif_stability(0.5, 0.5, 0.0, 1.0).radius.item() - 0.5) < 1e-7


@pytest.mark.parametrize("order", ["paper", "released"])
def test_tables_of_the_neurons_agree_with_the_matrices(order):
    spec = ts_lif(order=order)
    assert np.allclose(spec.transition, theory.transition(*START)) and np.allclose(spec.drive, theory.drive(*START))
    feedback = np.array(spec.transition) @ np.array(spec.reset) - np.array(spec.jump)
    assert np.allclose(feedback, theory.reset_matrix(*START, order=order))


def test_jacobi_table_agrees():
    spec = two_compartment((0.8, 0.3), (-0.1, -0.8), (0.2, 0.7), (0.5, 1.0), update="jacobi")
    assert np.allclose(spec.transition, theory.transition(*START, update="jacobi"))
    assert np.allclose(spec.drive, theory.drive(*START, update="jacobi"))


def test_relatives_are_members():
    assert np.allclose(tc_lif().transition, theory.transition(1.0, 1.0, -0.5, 0.5))
    assert np.allclose(tc_lif().drive, theory.drive(1.0, 1.0, -0.5, 0.5, gains=(1.0, 0.0)))
    assert np.allclose(lm_h().transition, theory.transition(0.0, 1.0, 0.0, 1.0))


def test_stable_table_is_the_stable_map():
    raw = (0.3, -1.2, 2.0, 0.4)
    spec = ts_lif(stable=True, raw=raw)
    wanted = theory.transition(*theory.stable_parameters(*raw))
    # The table is built in float32 from plain numbers.
    assert np.allclose(np.array([[float(v) for v in row] for row in spec.transition]), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: theory.transition(*START, update="gauss"),
        lambda: theory.drive(*START, update="old"),
        lambda: theory.reset_matrix(*START, order="code"),
        lambda: theory.ts_lif_stability(*START, update=None),
        lambda: theory.impulse_response(*START, 0),
        lambda: theory.unstable_share((0, 0, 0), (1, 1, 1)),
        lambda: theory.unstable_share((0, 0, 1, 0), (1, 1, 0, 1)),
    ],
)
def test_refusals_are_sentences(call):
    with pytest.raises(ValueError, match=r"[a-z].*(wanted|Ask)"):
        call()
