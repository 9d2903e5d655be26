"""An attack on the certificate: more than a million trains built to break it, and no false proof among them."""

import numpy as np
import oracles
import pytest
import torch
from cases import NEURONS, N

from fptlib import FixedPoint, Sequential, lif, solve, ts_lif
from fptlib.brackets import order_signs

TRAINS = 26_000  # columns a case; 5 decays x 5 inputs x 2 dtypes x 26,000 = 1.3 million trains
STEPS = 10


def hugging_input(steps, trains, decay, dtype, rng):
    """Input that keeps the loop's membrane within three units in the last place of the threshold at every step."""
    x, v = np.zeros((steps, trains), dtype), np.zeros(trains, dtype)
    for t in range(steps):
        aim = dtype(1) + rng.integers(-3, 4, trains).astype(dtype) * np.finfo(dtype).eps
        x[t] = aim - dtype(decay) * v
        u = dtype(decay) * v + x[t]
        v = u - (u >= 1).astype(dtype)
    return x


def attacks(decay, dtype):
    rng = np.random.default_rng(int(1000 * decay))
    shape = (STEPS, TRAINS)
    constants = np.broadcast_to(rng.integers(0, 33, TRAINS) / 16 * (1 if decay < 0.95 else 0.5), shape)
    return {
        "normal": rng.normal(0.3, 0.8, shape),
        "eighths": rng.integers(-8, 12, shape) / 8,
        "constant": constants,
        "hugging": hugging_input(STEPS, TRAINS, decay, dtype, rng),
        "one ulp off": rng.integers(-8, 12, shape) / 8 + rng.integers(-1, 2, shape) * np.finfo(dtype).eps,
    }


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thm_guarded_brackets_under_attack(decay, dtype):
    proved_trains = 0
    for name, x in attacks(decay, dtype).items():
        x = torch.tensor(np.ascontiguousarray(x).astype(dtype))
        truth = solve(lif(decay), x, Sequential()).spikes
        swept = solve(lif(decay), x, FixedPoint(sweeps=4))
        proof = swept.certificate
        assert bool((proof.undecided | (swept.spikes == truth)).all()), name
        assert bool(((proof.lower <= truth) & (truth <= proof.upper)).all()), name
        assert torch.equal(swept.spikes[: proof.prefix], truth[: proof.prefix]), name
        proved_trains += int((~proof.undecided).all(0).sum())
    # The certificate must also say yes: at least a fifth of all trains are proved whole (every train, without leak).
    assert proved_trains >= TRAINS, proved_trains


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_neuron_gets_a_false_proof(name, dtype):
    for steps in (1, 2, 33):
        inputs = oracles.adversarial_inputs(steps, N, 0.9, dtype=dtype, seed=steps)
        x = torch.tensor(np.stack(list(inputs.values()), axis=1))  # [T, input, N]
        truth = solve(NEURONS[name], x, Sequential()).spikes
        for sweeps in (1, 2, 3, 34):
            swept = solve(NEURONS[name], x, FixedPoint(sweeps=sweeps))
            proof = swept.certificate
            assert bool((proof.undecided | (swept.spikes == truth)).all()), (steps, sweeps)
            assert proof.exact == (not bool(proof.undecided.any())) and proof.exact == (proof.prefix == steps)
            assert torch.equal(swept.spikes[: proof.prefix], truth[: proof.prefix])
            if proof.lower is not None:
                assert bool(((proof.lower <= truth) & (truth <= proof.upper)).all()), (steps, sweeps)


def test_only_the_listed_neurons_claim_brackets():
    claims = {name for name, neuron in NEURONS.items() if order_signs(neuron) is not None}
    refuse = {"hard-0.5", "hard-0.9", "alif-hard", "resonator", "resonator-soft", "ts-lif-mixed", "tc-lif"}
    assert claims == set(NEURONS) - refuse
    assert order_signs(ts_lif()) == (1, -1)  # released signs: dendrite up, soma down
    assert order_signs(ts_lif(coupling=(0.1, 0.2))) == (1, 1)


def test_graded_hard_and_refused_certificates_say_so():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    graded = solve(lif(), x, FixedPoint(3, slopes=(2, 6, 12))).certificate
    assert not graded.exact and graded.prefix == 0 and graded.lower is None and "not proved" in graded.reason
    hard = solve(lif(0.9, reset="hard"), x, FixedPoint(3)).certificate
    assert hard.lower is None and hard.prefix >= 3


def test_cor_prefix_certificate_refuses_a_flipped_spike():
    from fptlib.brackets import prefix_proof

    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
    run = Sequential().run(lif(0.9), x, torch.zeros(1, 4))
    spec = lif(0.9).cast(torch.float32)
    assert bool(prefix_proof(spec, x, torch.zeros(1, 4), run.spikes, x.dtype).all())
    run.spikes[12, 0, 2] = 1 - run.spikes[12, 0, 2]
    proved = prefix_proof(spec, x, torch.zeros(1, 4), run.spikes, x.dtype)[:, 0]
    assert not bool(proved[12:, 2].any()) and bool(proved[:12].all()) and bool(proved[:, [0, 1, 3]].all())
