"""The same numbers through other people's code: SpikingJelly 2.0.0, snnTorch 1.0.0, and NIR files."""

import nir
import numpy as np
import pytest
import torch

from fptlib import NeuronSpec, Replay, Sequential, Sigmoid, lif, resonate_and_fire, solve
from fptlib.exchange import from_nir, to_nir

GRADIENT = 1e-12  # float64, at most 200 steps, sums in another order
SINGLE = 1e-5  # snnTorch's surrogate returns float32 spikes, so its gradient passes through float32
STEPS, NEURONS = 200, 7


def currents(seed=0):
    x = torch.randn(STEPS, NEURONS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (0.8 * x + 0.3).requires_grad_()


def gradients(spikes, x):
    weights = torch.randn(spikes.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return torch.autograd.grad((spikes * weights).sum(), x)[0]


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("reset, v_reset", [("soft", None), ("hard", 0.0), ("hard", -0.3)])
@pytest.mark.parametrize("tau", [2.0, 10.0])
def test_same_spikes_and_gradients_as_spikingjelly(tau, reset, v_reset, detached):
    from spikingjelly.activation_based import neuron, surrogate

    peer = neuron.LIFNode(
        tau=tau,
        decay_input=False,
        v_reset=v_reset,
        surrogate_function=surrogate.Sigmoid(4.0),
        detach_reset=detached,
        step_mode="m",
    )
    if v_reset:
        # Its leak pulls to v_reset, ours to 0: in coordinates shifted by v_reset the two are one neuron.
        ours = lif(1 - 1 / tau, 1.0 - v_reset, reset, 0.0, Sigmoid(4.0), detached)
        peer.v = torch.full((NEURONS,), v_reset, dtype=torch.float64)
    else:
        ours = lif(1 - 1 / tau, 1.0, reset, 0.0, Sigmoid(4.0), detached)
    x = currents()
    theirs = peer(x)
    for solver in (Sequential(), Replay()):
        mine = solve(ours, x, solver).spikes
        assert mine.sum() > 20 and torch.equal(mine, theirs.detach())
        assert torch.allclose(gradients(mine, x), gradients(peer_again(peer, x, v_reset), x), atol=GRADIENT)


def peer_again(peer, x, v_reset):
    peer.reset()
    if v_reset:
        peer.v = torch.full((NEURONS,), v_reset, dtype=torch.float64)
    return peer(x)


@pytest.mark.parametrize("mechanism, reset", [("subtract", "soft"), ("zero", "hard"), ("none", "none")])
def test_same_spikes_and_gradients_as_snntorch(mechanism, reset):
    import snntorch

    x = (0.35 * currents(1)).detach().requires_grad_()
    peer = snntorch.Leaky(
        beta=0.9, spike_grad=snntorch.surrogate.sigmoid(slope=4), reset_mechanism=mechanism, reset_delay=False
    ).double()
    memory, out = peer.reset_mem(), []
    for now in x:
        spk, memory = peer(now, memory)
        out.append(spk)
    theirs = torch.stack(out)
    beta = float(peer.beta)  # it stores 0.9 as float32
    run = solve(lif(beta, reset=reset, surrogate=Sigmoid(4.0)), x, Sequential())
    # From 2 thresholds on it would subtract once more in the next step, where this library fires again.
    assert mechanism != "subtract" or run.membrane.max() < 2
    assert run.spikes.sum() > 20 and torch.equal(run.spikes, theirs.detach())
    assert torch.allclose(gradients(run.spikes, x), gradients(theirs, x), atol=SINGLE)


def test_snntorch_default_subtracts_undecayed_and_is_a_row_of_the_table():
    import snntorch

    x = currents(2).detach()
    peer = snntorch.Leaky(beta=0.5, reset_mechanism="subtract").double()  # reset_delay=True, its default
    memory, out = peer.reset_mem(), []
    for now in x:
        spk, memory = peer(now, memory)
        out.append(spk)
    undecayed = NeuronSpec("undecayed", ((0.5,),), (1.0,), ((1.0,),), (1.0,), ((0.0,),), jump=((-1.0,),))
    assert torch.equal(solve(undecayed, x, Sequential()).spikes, torch.stack(out))
    assert not torch.equal(solve(lif(0.5), x, Sequential()).spikes, torch.stack(out))


def test_ties_fire_here_and_in_spikingjelly_but_not_in_snntorch():
    import snntorch
    from spikingjelly.activation_based import neuron

    x = torch.ones(1, 1)
    assert solve(lif(0.5), x, Sequential()).spikes.item() == 1
    assert neuron.LIFNode(tau=2.0, decay_input=False, step_mode="m")(x).item() == 1
    peer = snntorch.Leaky(beta=0.5)
    assert peer(x[0], peer.reset_mem())[0].item() == 0


@pytest.mark.parametrize("decay", [0.5, 0.9, torch.tensor([0.3, 0.9, 0.99]), 1.0])
def test_nir_round_trip(tmp_path, decay):
    x = torch.randn(80, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for neuron, rule in ((lif(decay, 1.2, "hard", -0.1), "refuse"), (lif(decay, 1.2), "metadata")):
        node = to_nir(neuron, (3,), dt=1e-3, soft_reset=rule)
        nir.write(tmp_path / "layer.nir", nir.NIRGraph.from_list(node))
        read = next(n for n in nir.read(tmp_path / "layer.nir").nodes.values() if type(n) is type(node))
        back = from_nir(read, dt=1e-3)
        assert back.hard == neuron.hard
        assert torch.equal(solve(back, x, Sequential()).spikes, solve(neuron, x, Sequential()).spikes)


def test_nir_step_is_the_exact_solution_of_its_equation():
    tau, dt, current = 0.02, 0.001, 0.7
    node = nir.LIF(*(np.array([v]) for v in (tau, 1 / (1 - np.exp(-dt / tau)), 0.0, 50.0)))
    u = solve(from_nir(node, dt), torch.full((400, 1), current, dtype=torch.float64), Sequential()).membrane
    times = dt * torch.arange(1, 401, dtype=torch.float64)
    assert torch.allclose(u[:, 0], current * float(node.r[0]) * (1 - torch.exp(-times / tau)), rtol=1e-10)


def test_nir_refuses_what_it_cannot_hold():
    ones = np.ones(2)
    for call, error, message in (
        (lambda: to_nir(lif()), ValueError, "no hard reset"),
        (lambda: to_nir(resonate_and_fire()), TypeError, "resonate_and_fire came"),
        (lambda: to_nir(lif(0.0, reset="hard")), ValueError, "no time constant"),
        (lambda: to_nir(lif(reset="hard"), soft_reset="yes"), ValueError, "soft_reset came as 'yes'"),
        (lambda: to_nir(lif(torch.ones(4) / 2, reset="hard"), (3,)), ValueError, "does not broadcast"),
        (lambda: from_nir(nir.LI(ones, ones, ones)), TypeError, "a LI node came"),
        (lambda: from_nir(nir.LIF(ones, ones, ones, ones)), ValueError, "v_leak is not 0"),
        (lambda: from_nir(nir.LIF(ones, ones, 0 * ones, ones)), ValueError, "scales the input"),
    ):
        with pytest.raises(error, match=message):
            call()
