"""What a user may pass wrongly, and the sentence each mistake gets."""

import pytest
import torch

import fptlib
from fptlib import (
    ATan,
    FixedPoint,
    Sequential,
    Sigmoid,
    SpikingLayer,
    Triangle,
    alif,
    lif,
    linear_scan,
    solve,
    spike,
    ts_lif,
)

X = torch.zeros(4, 3)

REFUSED = [
    (lambda: solve("lif", X), TypeError, "neuron came as str"),
    (lambda: solve(lif(), [1.0]), TypeError, "x came as list"),
    (lambda: solve(lif(), torch.ones(4, 3, dtype=torch.int64)), TypeError, r"x came as torch.int64.*x.float\(\)"),
    (lambda: solve(lif(), torch.ones(4, 3, dtype=torch.bool)), TypeError, "x came as torch.bool"),
    (lambda: solve(lif(), torch.zeros(0, 3)), ValueError, r"shape \(0, 3\).*at least one time step"),
    (lambda: solve(lif(), torch.tensor(1.0)), ValueError, r"shape \(\)"),
    (lambda: solve(lif(), torch.full((4, 3), torch.nan)), ValueError, "NaN or infinity"),
    (lambda: solve(lif(), torch.full((4, 3), torch.inf)), ValueError, "NaN or infinity"),
    (lambda: solve(lif(), X, v0=torch.zeros(2)), ValueError, r"v0 came with shape \(2,\); one state \(3,\)"),
    (lambda: solve(ts_lif(), X, v0=torch.zeros(3)), ValueError, r"one state \(2, 3\)"),
    (lambda: solve(lif(), X, v0=torch.full((3,), torch.nan)), ValueError, "v0 holds NaN"),
    (lambda: solve(lif(), X, v0=torch.zeros(3, dtype=torch.int64)), TypeError, "v0 came as torch.int64"),
    (lambda: solve(lif(), X, v0=[0.0]), TypeError, "v0 came as list"),
    (lambda: solve(lif(torch.full((5,), 0.5)), X), ValueError, r"shape \(5,\) does not broadcast to one step \(3,\)"),
    (lambda: solve(lif(), X, "fast"), (TypeError, ValueError), "solver came as 'fast'"),
    (lambda: solve(lif(), X, Sequential), TypeError, "solver came as"),
    (lambda: solve(lif(), X, adjoint="exact"), TypeError, "adjoint came as 'exact'"),
    (lambda: solve(lif(), X, backend="cuda"), ValueError, "backend came as 'cuda'"),
    (lambda: solve(lif(), X, Sequential(), backend="triton"), ValueError, "backend='triton'"),
    (lambda: solve(lif(), X, on_failure="ignore"), ValueError, "on_failure came as 'ignore'"),
    (lambda: lif(decay=1.5), ValueError, r"decay came as 1.5..1.5; finite values in \[0, 1\]"),
    (lambda: lif(decay=-0.1), ValueError, "decay came as -0.1"),
    (lambda: lif(decay=float("nan")), ValueError, "decay came as nan"),
    (lambda: lif(decay="0.5"), TypeError, "decay came as str"),
    (lambda: lif(decay=True), TypeError, "decay came as bool"),
    (lambda: lif(decay=torch.tensor([1])), TypeError, "decay came as a tensor of torch.int64"),
    (lambda: lif(decay=torch.tensor([0.5, 1.2])), ValueError, "decay came as 0.5..1.2"),
    (lambda: lif(threshold=0.0), ValueError, r"threshold came as 0..0; finite values in \(0, inf\]"),
    (lambda: lif(reset="zero"), ValueError, "reset came as 'zero'; one of 'soft', 'hard', 'none'"),
    (lambda: lif(v_reset=float("inf")), ValueError, "v_reset came as inf"),
    (lambda: alif(adaptation_decay=2.0), ValueError, "adaptation_decay came as 2"),
    (lambda: fptlib.resonate_and_fire(reset="hard"), ValueError, "reset came as 'hard'; one of 'soft', 'none'"),
    (lambda: ts_lif(decay=0.5), ValueError, "decay came as 0.5; a pair"),
    (lambda: ts_lif(order="new"), ValueError, "order came as 'new'"),
    (lambda: ts_lif(raw=(0, 0, 0, 0)), ValueError, "raw came without stable=True"),
    (lambda: ts_lif(coupling=(0.1, 0.1), stable=True), ValueError, "outside the stable parametrisation"),
    (lambda: FixedPoint(sweeps=0), ValueError, "sweeps came as 0"),
    (lambda: FixedPoint(sweeps=2.5), ValueError, "sweeps came as 2.5"),
    (lambda: FixedPoint(sweeps=3, slopes=(2, 6)), ValueError, "2 slopes came with sweeps=3"),
    (lambda: FixedPoint(sweeps=2, slopes=(2, -6)), ValueError, "positive numbers"),
    (lambda: FixedPoint(sweeps=None, slopes=(2,)), ValueError, "1 slopes came with sweeps=None"),
    (lambda: FixedPoint(product="fft"), ValueError, "product came as 'fft'"),
    (lambda: FixedPoint(sample=True), ValueError, "sample=True came without slopes"),
    (lambda: Sigmoid(slope=0.0), ValueError, "slope came as 0.0"),
    (lambda: ATan(width=-1.0), ValueError, "width came as -1.0"),
    (lambda: Triangle(width=float("nan")), ValueError, "width came as nan"),
    (lambda: spike(torch.tensor([1]), Sigmoid()), TypeError, "x came as a tensor of torch.int64"),
    (lambda: linear_scan(torch.ones(3), torch.ones(4)), ValueError, "gate came with shape"),
    (lambda: linear_scan(torch.ones(3).double(), torch.ones(3)), TypeError, "gate is torch.float64"),
    (lambda: linear_scan(torch.ones(3), [1.0]), TypeError, "drive came as list"),
    (lambda: linear_scan(torch.ones(0), torch.ones(0)), ValueError, "at least one time step"),
    (lambda: linear_scan(torch.ones(3), torch.ones(3), torch.ones(2)), ValueError, "v0 came as"),
    (lambda: SpikingLayer("lif"), TypeError, "neuron came as str"),
    (lambda: fptlib.decay_from_tau(0.0, 1.0), ValueError, "positive times"),
    (
        lambda: fptlib.NeuronSpec("x", ((0.5,),), (1.0,), ((1.0,),), (1.0,), ((1.0, 1.0),)),
        ValueError,
        "reset came with size",
    ),
]


@pytest.mark.parametrize("call, error, message", REFUSED)
def test_bad_input_gets_its_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_values_go_unchecked_only_when_asked():
    bad = torch.full((4, 3), torch.nan)
    assert solve(lif(), bad, validate=False).spikes.shape == (4, 3)


def test_a_state_that_overflows_is_a_status():
    runaway = fptlib.two_compartment((3.0, 3.0), (0.0, 0.0), (1.0, 1.0), (0.5, 1.0))
    x = torch.ones(200, 2)
    with pytest.raises(fptlib.SolveError, match="left the finite numbers"):
        solve(runaway, x, Sequential())
    run = solve(runaway, x, Sequential(), on_failure="return")
    assert run.status is fptlib.Status.NONFINITE


def test_auto_on_a_cpu_never_interprets(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert solve(lif(), torch.ones(4, 2)).backend == "torch"
