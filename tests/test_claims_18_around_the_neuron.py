"""Every statement of the chapter on training around the neuron, against NumPy loops and against fptlib's adjoints."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import adversarial_inputs, lif_loop
from torch.utils.flop_counter import FlopCounterMode

from fptlib import Detached, Exact, Sequential, Sigmoid, Truncated, integrate_and_fire, lif, solve
from fptlib.data import results
from fptlib.theory import (
    conversion_discrepancy,
    eligibility_trace,
    leaky_plateau,
    reversal_horizon,
    reverse_gate,
    spike_count,
)

ROUNDING = 1e-11  # relative; float64, sums of at most a few hundred terms in another order
DOUBLE = torch.float64
DECAYS = (0.0, 0.5, 0.9, 0.99, 1.0)
ROOT = Path(__file__).resolve().parents[1]


def cosine(a, b):
    return (a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b))


# ------------------------------------------------------------------------------------------- conversion


@pytest.mark.parametrize("steps", [1, 2, 7, 64])
@pytest.mark.parametrize("start", [0.0, 0.25, 0.5, 0.875])
def test_thm_rate_staircase_on_a_grid_with_ties(steps, start):
    """Dyadic numbers: nothing is rounded, so ties are exact and the count must agree everywhere."""
    x = np.arange(-96, 225) / 128
    spikes = lif_loop(np.tile(x, (steps, 1)), 1.0, v0=np.full_like(x, start))[0]
    count = spike_count(x, steps, v0=start)
    assert (spikes.sum(0) == count).all()
    error, beta = count / steps - np.clip(x, 0, 1), max(start, 1 - start)
    assert np.abs(error).max() <= beta / steps and (start or error.max() == 0)
    dense = np.linspace(0, 1, 40 * steps + 1)
    assert np.abs(spike_count(dense, steps, v0=start) / steps - dense).max() > (beta - 0.05) / steps  # not slack


def test_thm_rate_staircase_scales_with_the_threshold_and_refuses_bad_input():
    assert spike_count(3.0, 8, threshold=4.0, v0=2.0) == spike_count(0.75, 8, v0=0.5) == 6
    for bad in ({"T": 0}, {"T": 2, "threshold": 0.0}, {"T": 2, "v0": 1.0}, {"T": 2, "v0": -0.1}):
        with pytest.raises(ValueError, match="wanted"):
            spike_count(0.5, **bad)


def test_thm_rate_staircase_ties_fall_as_rounding_will():
    counts = [int(lif_loop(np.full((10, 1), 0.1, dtype), 1.0)[0].sum()) for dtype in (np.float32, np.float64)]
    assert counts == [1, 0] and spike_count(0.1, 10) == 1


def test_exm_uneven_input():
    for steps in (2, 10, 1000):
        x = np.where(np.arange(steps) < steps // 2, 1.0, -1.0)[:, None]
        assert lif_loop(x, 1.0)[0].mean() == 0.5 and x.mean() == 0


def counting(p, start=0.0):
    """n[t] = min(n[t-1] + 1, max(n[t-1], p[t]))."""
    n, out = start, []
    for value in p:
        n = np.minimum(n + 1, np.maximum(n, value))
        out.append(n)
    return np.stack(out)


@pytest.mark.parametrize("kind", sorted(adversarial_inputs(1, 1, 1.0)))
def test_lem_if_nonexpansive(kind):
    """Part 1 on adversarial inputs, rounded to a dyadic grid so that sums are exact; part 2 on random pairs."""
    x = np.round(adversarial_inputs(80, 5, 1.0)[kind] * 64) / 64
    spikes = lif_loop(x, 1.0, v0=np.full(5, 0.25))[0]
    assert (counting(np.floor(0.25 + x.cumsum(0)), np.zeros(5)) == spikes.cumsum(0)).all()
    rng = np.random.default_rng(0)
    for spread in (0.0, 0.3, 5.0):
        p = x.cumsum(0)
        other = p + rng.uniform(-spread, spread, p.shape)
        assert np.abs(counting(p) - counting(other)).max() <= np.abs(p - other).max() + ROUNDING * len(x)


def converted(weights, biases, thresholds, signal, start):
    """Cumulative output of every layer, in units of its threshold, by plain loops; signal [T, M]."""
    out = []
    for W, b, theta in zip(weights, biases, thresholds, strict=True):
        drive = signal @ W.T + b
        signal = theta * lif_loop(drive, 1.0, theta, v0=np.full(len(b), start * theta))[0]
        out.append(signal.cumsum(0))
    return out


def clipped(weights, biases, thresholds, y):
    out = []
    for W, b, theta in zip(weights, biases, thresholds, strict=True):
        y = np.clip(W @ y + b, 0, theta)
        out.append(y)
    return out


def random_network(rng, sizes=(9, 12, 8, 7)):
    weights = [rng.normal(size=(n, m)) / np.sqrt(m) for m, n in zip(sizes, sizes[1:])]
    return weights, [rng.normal(size=n) * 0.3 for n in sizes[1:]], rng.uniform(0.5, 2, len(sizes) - 1)


@pytest.mark.parametrize("start", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(8))
def test_thm_conversion_error_at_every_step(seed, start):
    rng = np.random.default_rng(seed)
    net, steps = random_network(rng), 200
    y, norms = rng.uniform(size=9), [np.abs(W).sum(1).max() for W in net[0]]
    t = np.arange(1, steps + 1)[:, None]
    constant = np.tile(y, (steps, 1))
    coded = (rng.random((steps, 9)) < y) * 1.0
    for signal in (constant, coded):
        first = np.abs(signal.cumsum(0) - t * y).max()
        bounds = conversion_discrepancy(norms, net[2], max(start, 1 - start), first)
        trains, ideal = converted(*net, signal, start), clipped(*net, y)
        for counted, wanted, bound in zip(trains, ideal, bounds, strict=True):
            assert np.abs(counted - t * wanted).max() <= bound + ROUNDING * steps
    late = np.concatenate([np.zeros((1, net[0][0].shape[0])), converted(*net, constant, start)[0][:-1]])
    delayed = max(start, 1 - start) * net[2][0] + net[2][0]  # a delay of one step adds at most the threshold
    assert np.abs(late - t * clipped(*net, y)[0]).max() <= delayed + ROUNDING * steps
    with pytest.raises(ValueError, match="wanted"):
        conversion_discrepancy([1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="wanted"):
        conversion_discrepancy([1.0], [1.0], share=0.2)


def test_cor_conversion_margin_proves_classes():
    proved = 0
    for seed in range(12):
        rng = np.random.default_rng(100 + seed)
        net, readout = random_network(rng, (9, 10)), rng.normal(size=(4, 10))
        y, steps = rng.uniform(size=9), 400
        wanted = readout @ clipped(*net, y)[-1]
        second, first = np.sort(wanted)[-2:]
        bound = conversion_discrepancy([np.abs(net[0][0]).sum(1).max()], net[2])[-1]
        needed = 2 * np.abs(readout).sum(1).max() * bound / (first - second)
        said = converted(*net, np.tile(y, (steps, 1)), 0.5)[-1] @ readout.T
        late = np.arange(1, steps + 1) > needed
        proved += late.any()
        assert (said[late].argmax(1) == wanted.argmax()).all()
    assert proved >= 6


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.9, 0.99])
def test_prp_leaky_rate(decay):
    steps, edge = 500, 1e-9  # the ends of a plateau are real numbers; rounding may cross them
    x = np.linspace(0, 1, 201)
    for start in (0.0, 0.4, 0.999):
        spikes, membrane, last = lif_loop(np.tile(x, (steps, 1)), decay, v0=np.full_like(x, start))
        states = np.concatenate([np.full((1, len(x)), start), membrane - spikes])[:-1]
        count = spikes.sum(0)
        assert (states >= 0).all() and (states < 1).all()
        assert np.abs(count - (steps * x + start - last - (1 - decay) * states.sum(0))).max() < 1e-9
        assert (count / steps < x + 1 / steps).all() and (count / steps > x - (1 - decay) - 1 / steps).all()
        assert (count[x < 1 - decay - edge] == 0).all()
        awake = x > 1 - decay + 0.05 * decay
        assert (count[awake] > 1).all()
        for period in (2, 3, 4, 7):
            low, high = leaky_plateau(period, decay)
            inside = np.linspace(low + edge, high - edge, 9)
            if low + edge >= high - edge:
                continue  # narrower than rounding
            fired = lif_loop(np.tile(inside, (steps, 1)), decay, v0=np.full(9, start))[0].sum(0)
            assert (np.abs(fired - steps // period) <= 1).all()
    assert high - low == pytest.approx((1 - decay) ** 2 * decay**6 / (1 - decay**7))
    for bad in ((0, 0.5, 1.0), (2, 1.0, 1.0), (2, 0.5, 0.0)):
        with pytest.raises(ValueError, match="came"):
            leaky_plateau(*bad)


def test_prp_leaky_rate_plateaus_end_where_they_are_said_to_end():
    """One hundredth of the plateau beyond either end, the rate is another one."""
    for decay, period in ((0.5, 2), (0.5, 3), (0.9, 2), (0.9, 5)):
        low, high = leaky_plateau(period, decay)
        beyond = np.array([low - 0.01 * (high - low), high + 0.01 * (high - low)])
        below, above = lif_loop(np.tile(beyond, (20_000, 1)), decay)[0].mean(0)
        assert below < 1 / period - 1e-3 < 1 / period + 1e-3 < above


def test_prp_leaky_rate_numbers_of_the_page():
    assert [round(v, 4) for v in leaky_plateau(2, 0.5)] == [0.6667, 0.8333]
    fired = np.flatnonzero(lif_loop(np.full((30, 1), 0.5, np.float32), 0.5)[0][:, 0])
    assert fired[0] + 1 == 25  # rounding wakes the dead neuron at its very edge


# ------------------------------------------------------------------------------------------- online


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("reset", ["soft", "hard", "none"])
@pytest.mark.parametrize("detached", [False, True])
def test_thm_eligibility_trace_every_row(decay, reset, detached):
    rng = np.random.default_rng(1)
    for steps in (1, 2, 41):
        z = (rng.random((steps, 6)) < 0.4) * 1.0
        W = torch.tensor(rng.integers(-4, 7, (5, 6)) / 8, dtype=DOUBLE, requires_grad=True)  # multiples of 1/8: ties
        ell, kappa = rng.normal(size=(2, steps, 5))
        neuron = lif(decay, reset=reset, v_reset=0.125, surrogate=Sigmoid(4.0))
        run = solve(neuron, torch.tensor(z) @ W.T, Sequential(), adjoint=Detached() if detached else Exact())
        ((run.spikes * torch.tensor(ell)).sum() + (run.membrane * torch.tensor(kappa)).sum()).backward()
        s, u = run.spikes.detach().numpy(), run.membrane.detach().numpy()
        h = Sigmoid(4.0).derivative(torch.tensor(u - 1)).numpy()
        gate = reverse_gate(1.0, 1.0, h, reset, spikes=s, membrane=u, v_reset=0.125, detach_reset=detached)
        trace = eligibility_trace(z[:, None, :], decay, gate[:, :, None])
        forward = ((kappa + h * ell)[:, :, None] * trace).sum(0)
        assert np.abs(forward - W.grad.numpy()).max() <= ROUNDING * (1 + np.abs(forward).max())
        W.grad = None  # a loss on the final state enters the last step through c
        last = rng.normal(size=5)
        run = solve(neuron, torch.tensor(z) @ W.T, Sequential(), adjoint=Detached() if detached else Exact())
        ((run.spikes * torch.tensor(ell)).sum() + (run.final_state * torch.tensor(last)).sum()).backward()
        p = h * ell
        p[-1] += gate[-1] * last
        assert np.abs((p[:, :, None] * trace).sum(0) - W.grad.numpy()).max() <= 10 * ROUNDING
        if reset == "none" or (reset == "soft" and detached):  # all neurons share one trace
            assert (trace == eligibility_trace(z, decay)[:, None, :]).all()


def test_thm_eligibility_trace_is_truncated_at_one_term_and_refuses_other_lengths():
    rng = np.random.default_rng(2)
    z = rng.normal(size=(20, 3))
    W = torch.tensor(rng.normal(size=(2, 3)), requires_grad=True)
    run = solve(lif(0.9, surrogate=Sigmoid(4.0)), torch.tensor(z) @ W.T, Sequential(), adjoint=Truncated(1))
    run.spikes.sum().backward()
    h = Sigmoid(4.0).derivative(run.membrane.detach() - 1).numpy()
    assert np.allclose(h.T @ eligibility_trace(z, 0.9), W.grad.numpy(), rtol=ROUNDING)
    with pytest.raises(ValueError, match="steps"):
        eligibility_trace(z, 0.9, np.ones(3))


def back(p, decay):
    g = np.array(p, dtype=float)
    for t in reversed(range(len(g) - 1)):
        g[t] += decay * g[t + 1]
    return g


@pytest.mark.parametrize("decay", DECAYS)
def test_prp_instantaneous_gradient_bound_and_equality(decay):
    rng = np.random.default_rng(3)
    for steps in (1, 2, 3, 50):
        for shape in ((steps,), (steps, 4)):
            for offset in (0, 3):
                p = rng.normal(size=shape) + offset
                g = back(p, decay)
                for order in (1, 2, np.inf):
                    norm = lambda a, order=order: np.linalg.norm(a.ravel(), order)
                    assert norm(p - g) <= decay * norm(g) * (1 + ROUNDING) + ROUNDING
                assert decay == 1 or cosine(p, g) >= np.sqrt(1 - decay**2) - ROUNDING
    for steps in (3, 10, 60):
        if not decay <= np.cos(np.pi / steps) or decay == 1:
            continue
        values, modes = np.linalg.eigh((np.eye(steps - 1, k=1) + np.eye(steps - 1, k=-1)) / 2)
        assert values[-1] == pytest.approx(np.cos(np.pi / steps))
        share = (1 + decay / values[-1]) / 2
        g = np.concatenate([[0], np.sqrt(share) * modes[:, -1] + np.sqrt(1 - share) * modes[:, 0]])
        p = g - decay * np.append(g[1:], 0)
        assert np.allclose(back(p, decay), g) and cosine(p, g) == pytest.approx(np.sqrt(1 - decay**2), abs=1e-9)


def test_exm_opposite_gradient():
    for decay in (0.1, 0.5, 1.0):
        z, p = np.array([1.0, 0.0]), np.array([1.0, -2 / decay])
        assert (p * eligibility_trace(z, decay)).sum() == pytest.approx(-1) and (p * z).sum() == 1


def layered(weights, slopes, ell, decays):
    """Input gradient of the lowest layer, with a decay for each layer's backward pass; arrays [T, n]."""
    g = None
    for W, h, decay in zip(weights[::-1], slopes[::-1], decays[::-1], strict=True):
        g = back(h * (ell if g is None else g @ W), decay)
    return g


@pytest.mark.parametrize("decay", DECAYS)
def test_prp_dropped_paths(decay):
    """What OTTT and SLTT leave out of the lowest of four layers, below the bound; the top layer is exact."""
    rng = np.random.default_rng(4)
    steps, width, depth = 20, 6, 4
    weights = [rng.normal(size=(width, width)) for _ in range(depth)]  # weights[l] leads from layer l to l + 1
    slopes = [rng.uniform(0, 1, (steps, width)) for _ in range(depth)]
    ell = rng.normal(size=(steps, width))
    m = sum(decay**k for k in range(steps))
    for layers in range(1, depth + 1):
        W, h = [np.eye(width), *weights[-layers:]][-layers:], slopes[-layers:]
        above = layers - 1
        full = layered(W, h, ell, [decay] * layers)
        ottt = layered(W, h, ell, [decay] + [0.0] * above)
        sltt = layered(W, h, ell, [0.0] * layers)
        size = max(a.max() for a in h) ** layers * np.prod(
            [np.abs(w.T).sum(1).max() for w in W[-above:]] if above else 1
        )
        scale = size * np.abs(ell).max()
        assert np.abs(full - ottt).max() <= scale * m * (m**above - 1) * (1 + ROUNDING)
        assert np.abs(full - sltt).max() <= scale * (m**layers - 1) * (1 + ROUNDING)
        if decay == 0 or layers == 1:
            assert (full == ottt).all()
        if decay == 0:
            assert (full == sltt).all()


def test_prp_dropped_paths_against_the_library():
    """Two layers: handing down W^T g is Detached(), and the paths kept are those of the proposition."""
    rng = np.random.default_rng(5)
    z = torch.tensor((rng.random((30, 5)) < 0.4) * 1.0)
    W1, W2 = (torch.tensor(rng.normal(size=(5, 5)), requires_grad=True) for _ in range(2))
    neuron, ell = lif(0.8, surrogate=Sigmoid(4.0)), rng.normal(size=(30, 5))
    one = solve(neuron, z @ W1.T, Sequential(), adjoint=Detached())
    two = solve(neuron, one.spikes @ W2.T, Sequential(), adjoint=Detached())
    (two.spikes * torch.tensor(ell)).sum().backward()
    h1, h2 = (Sigmoid(4.0).derivative(r.membrane.detach() - 1).numpy() for r in (one, two))
    g1 = back(h1 * (back(h2 * ell, 0.8) @ W2.detach().numpy()), 0.8)
    assert np.allclose(g1.T @ z.numpy(), W1.grad.numpy(), rtol=ROUNDING)
    # The exercise on two layers: one trace per synapse makes it online.
    a = eligibility_trace(z.numpy(), 0.8)
    b = eligibility_trace(h1[:, :, None] * a[:, None, :], 0.8)
    online = np.einsum("tk,ki,tij->ij", h2 * ell, W2.detach().numpy(), b)
    assert np.allclose(online, W1.grad.numpy(), rtol=1e-9)


# ------------------------------------------------------------------------------------------- reversal


def reversed_states(x, s, last, decay):
    """States v[T], v[T-1], ..., v[0], and the largest intermediate so far, all in the dtype of x."""
    states, sizes, v = [last], [np.abs(last).max()], last
    for t in reversed(range(len(x))):
        a = v - x[t]
        b = a + s[t]
        v = b / x.dtype.type(decay)
        states.append(v)
        sizes.append(max(sizes[-1], np.abs(a).max(), np.abs(b).max()))
    return np.stack(states), np.array(sizes)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prp_reversal_error_stays_below_its_bound(decay, dtype):
    eta, steps = np.finfo(dtype).eps / 2, 120
    for kind, x in adversarial_inputs(steps, 4, decay, dtype=dtype).items():
        s, u, last = lif_loop(x, decay)
        stored = np.concatenate([np.zeros((1, 4), dtype), u - s])[::-1]
        with np.errstate(over="ignore", invalid="ignore"):
            found, sizes = reversed_states(x, s, last, decay)
            error = np.abs(found.astype(float) - stored.astype(float)).max(1)
        largest = np.maximum(sizes, max(np.abs(u).max(), np.abs(stored).max()))
        grown = np.cumsum(np.concatenate([[0.0], float(dtype(decay)) ** -np.arange(1, steps + 1)]))
        fine = np.isfinite(error)
        assert (error[fine] <= 6 * eta * largest[fine] * grown[fine] * (1 + 1e-3)).all(), kind


def test_prp_reversal_error_amplifies_exactly_and_names_the_horizon():
    x = np.zeros((40, 1))
    s, _, last = lif_loop(x, 0.5)
    off, _ = reversed_states(x, s, last + 2.0**-40, 0.5)
    assert off[-1] == 1.0  # 2^-40 doubled forty times
    assert [round(reversal_horizon(d)) for d in (0.5, 0.9, 0.99)] == [24, 158, 1655]
    assert reversal_horizon(0) == 0 and reversal_horizon(1) == np.inf
    assert reversal_horizon(0.5, 53) == pytest.approx(53)
    for bad in ((1.1, 24), (0.5, 0)):
        with pytest.raises(ValueError, match="wanted"):
            reversal_horizon(*bad)


def test_prp_reversal_error_no_way_around():
    """Two starts that meet in float32 under the same input and spikes cannot be told apart afterwards."""
    x = np.tile(np.linspace(0.3, 0.8, 80, dtype=np.float32)[:, None], (1, 2))
    s, _, last = lif_loop(x, 0.5, v0=np.float32([0.125, 0.126]))
    assert (s[:, 0] == s[:, 1]).all() and last[0] == last[1]
    for reset, decay in (("soft", 0.0), ("hard", 0.9)):
        _, _, v = lif_loop(np.full((1, 2), 1.5, np.float32), decay, reset=reset, v0=np.float32([0.1, 0.7]))
        assert v[0] == v[1]


def test_prp_reversal_error_vanishes_without_leak_on_a_grid():
    x = np.random.default_rng(6).integers(-20, 40, (300, 8)).astype(np.float32) / 64
    s, u, last = lif_loop(x, 1.0)
    assert (reversed_states(x, s, last, 1.0)[0][::-1] == np.concatenate([np.zeros((1, 8)), u - s])).all()


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_prp_coupled_reversible(decay, reset):
    rng = np.random.default_rng(7)
    A, B = rng.normal(size=(2, 6, 6)).astype(np.float32)
    for steps in (1, 2, 100):
        x1, x2 = rng.integers(0, 3, (2, steps, 6)).astype(np.float32)
        F, G = (lambda z, W=W: lif_loop(z @ W.T, decay, reset=reset)[0] for W in (A, B))
        y1 = x1 + F(x2)
        y2 = x2 + G(y1)
        found2 = y2 - G(y1)
        assert (found2 == x2).all() and (y1 - F(found2) == x1).all()


def test_prp_coupled_reversible_needs_exact_additions():
    """The example of the page: 0.3 comes back smaller, and a neuron at that threshold no longer fires."""
    stream = np.float32(0.3)
    found = np.float32(stream + np.float32(1)) - np.float32(1)
    assert found == np.float32(0.29999995)
    fires = [lif_loop(np.full((1, 1), v, np.float32), 0.9, 0.3)[0][0, 0] for v in (stream, found)]
    assert fires == [1, 0]


# ------------------------------------------------------------------------------------------- costs


def kept_bytes(function):
    """Bytes of distinct storages that autograd holds after `function`."""
    held = {}
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: held.setdefault(t.data_ptr(), t), lambda t: t)
    with hooks:
        function()
    return sum(t.untyped_storage().nbytes() for t in held.values())


def test_prp_training_costs_memory_grows_with_time_except_online():
    """Storage of the exact adjoint is linear in T; that of the online gradient has no T in it, by its own code."""
    W = torch.ones(8, 8, requires_grad=True)
    run = lambda steps: solve(integrate_and_fire(), torch.ones(steps, 4, 8) @ W.T / 9, Sequential(), adjoint=Exact())
    kept = {steps: kept_bytes(lambda steps=steps: run(steps).spikes.sum()) for steps in (32, 64, 128)}
    slope = (kept[128] - kept[64]) / 64
    assert slope == (kept[64] - kept[32]) / 32 and slope >= 2 * 4 * 4 * 8  # at least z and one trajectory, float32


def test_prp_training_costs_work():
    """Multiplications in products with the weights, counted by PyTorch (two operations each), for five rows of the table."""
    T, N, M, decay = 12, 5, 7, 0.5
    rng = torch.Generator().manual_seed(0)
    z = (torch.rand(T, 1, M, generator=rng) < 0.4).float()
    W = torch.randn(N, M, generator=rng)
    ell = torch.randn(T, 1, N, generator=rng)

    def adjoint():
        weights, inputs = W.clone().requires_grad_(), z.clone().requires_grad_()
        run = solve(lif(decay), inputs @ weights.T, Sequential(), adjoint=Exact())
        (run.spikes * ell).sum().backward()

    def loop():
        weights, inputs, v, loss = W.clone().requires_grad_(), z.clone().requires_grad_(), 0.0, 0.0
        for t in range(T):
            u = decay * v + inputs[t] @ weights.T
            s = torch.sigmoid(4 * (u - 1))
            v, loss = u - s, loss + (s * ell[t]).sum()
        loss.backward()

    def online(kind, steps=range(T)):
        v, trace, grad = torch.zeros(1, N), torch.zeros(1, M), torch.zeros(N, M)
        for t in range(T):
            u = decay * v + z[t] @ W.T
            trace = (decay if kind == "ottt" else 0.0) * trace + z[t]
            if t in steps:
                p = ell[t] * torch.sigmoid(4 * (u - 1))
                grad += p.T @ trace
                _ = p @ W  # the error handed down
            v = u - (u >= 1).float()

    def backwards():
        v, s = torch.zeros(1, N), []
        for t in range(T):
            u = decay * v + z[t] @ W.T
            s.append((u >= 1).float())
            v = u - s[-1]
        g, grad = torch.zeros(1, N), torch.zeros(N, M)
        for t in reversed(range(T)):
            u = v + s[t]
            v = (u - z[t] @ W.T) / decay
            h = torch.sigmoid(4 * (u - 1))
            g = h * ell[t] + decay * (1 - h) * g
            grad += g.T @ z[t]
            _ = g @ W

    def counted(function):
        with FlopCounterMode(display=False) as counter:
            function()
        return counter.get_total_flops() / 2

    for function in (adjoint, loop, lambda: online("ottt"), lambda: online("sltt")):
        assert counted(function) == 3 * T * N * M
    assert counted(backwards) == 4 * T * N * M
    assert counted(lambda: online("sltt", steps=(2, 5, 9))) == (T + 2 * 3) * N * M


def test_prp_training_costs_sentences_from_the_records():
    timing = [r for r in results("timing")["records"] if r["mode"] == "fwd+bwd" and r["dtype"] == "float32"]
    same = [
        r for r in timing if (r["T"], r["N"], r["decay"], r["reset"]) == (1024, 1024, 0.5, "soft") and "case" not in r
    ]
    by = {r["impl"]: r for r in same}
    loop, exact = by["naive loop"]["eager_ms"], by["fptlib"]["eager_ms"]
    sentence = f"takes {loop:.0f} ms for a forward and backward call and the exact adjoint {exact:.2f} ms."
    assert sentence in (ROOT / "book" / "18-around-the-neuron.md").read_text(encoding="utf-8")
    over = [r["saved_bytes"] / r["T"] / r["N"] - 4 for r in timing if r["impl"] == "fptlib" and r["T"] >= 16]
    assert max(over) <= 0.25
    long = [r for r in results("accuracy")["records"] if r["task"] == "fsdd-raw" and r["steps"] == 18000]
    loop, exact = (next(r for r in long if r["arm"] == arm) for arm in ("lif-loop", "lif-exact"))
    assert loop["step_ms"] > 1000 * exact["step_ms"]
    assert 0.8 < exact["peak_bytes"] / loop["peak_bytes"] < 1.2


def test_numbers_of_the_page_are_those_of_the_notebook():
    page = (ROOT / "book" / "18-around-the-neuron.md").read_text(encoding="utf-8")
    cells = json.loads((ROOT / "notebooks" / "18-around-the-neuron.ipynb").read_text(encoding="utf-8"))["cells"]
    printed = "\n".join("".join(o.get("text", "")) for c in cells for o in c.get("outputs", []))
    for steps, converted_, direct in re.findall(r"^\| (\d+) \| (0\.\d+) \| (0\.\d+)? ?\|$", page, re.M):
        assert re.search(rf"T +{steps}: accuracy {converted_}", printed)
        assert not direct or f"T {steps}: converted {converted_}, trained with time {direct}" in printed
    rows = re.findall(r"^\| (0\.\d+) \| ((?:\d\.\d+, ){3}\d\.\d+) \| ((?:\d\.\d+, ){3}\d\.\d+) \|$", page, re.M)
    assert len(rows) == 3
    steady, late = printed.split("an error at the last step only")
    spread = re.search(r"over the six is up to (0\.\d+), (0\.\d+) and (0\.\d+)", page).groups()
    for (decay, *columns), sd in zip(rows, spread, strict=True):
        for column, block in zip(columns, (steady, late), strict=True):
            numbers = " ".join(column.split(", "))
            found = re.search(rf"^ *{float(decay):.2f} +0\.\d+-0\.\d+ +{numbers} +(0\.\d+)", block, re.M)
            assert found, (decay, column)
        assert found[1] == sd  # of the late error
    shares = [float(v) for pair in re.findall(r"^ *\d\.\d+  (0\.\d+)-(0\.\d+)", printed, re.M) for v in pair]
    assert (min(shares), max(shares)) == (0.08, 0.21) and "firing rates of 8 to 21 %" in page
    for phrase in (
        "ReLU network: test accuracy 0.978",
        "accuracy 0.972 (without",
        "accuracy 0.802 (without",
        "accuracy 0.090 (without",
        "0.63 of the test digits; in fact the same: 1.000",
        "after 24 steps back",
        "after 146 steps back",
        "in 15 of 15 means",
        "in 86 of 90 single cases",
        "(0.3 + 1) - 1 = 0.29999995",
    ):
        assert phrase in printed
    assert "passes a quarter of the threshold after 24 and 146 steps" in page and "86 of the 90 single" in page
    forgetting = (ROOT / "book" / "09-exact-and-fast.md").read_text(encoding="utf-8")
    assert "| soft | 26 steps | 170 steps |" in forgetting and "26 and 170 steps" in page


# ------------------------------------------------------------------------------------------- exercises


def test_ex_steady_signals_and_two_candidates():
    for decay, steps in ((0.5, 1), (0.5, 20), (0.9, 300)):
        z = np.ones(steps)
        ratio = steps / eligibility_trace(z, decay).sum()
        assert ratio == pytest.approx((1 - decay) * steps / (steps - decay * (1 - decay**steps) / (1 - decay)))
    assert ratio == pytest.approx(0.1, rel=0.04)
    rng = np.random.default_rng(8)
    for decay in (0.5, 0.9, 1.0):
        x = rng.uniform(0, 1, (200, 3))
        s, u, _ = lif_loop(x, decay)
        now = u - s
        quiet, fired = (now - x) / decay, (now - x + 1) / decay
        before = np.concatenate([np.zeros((1, 3)), now])[:-1]
        true, other = np.where(s == 1, fired, quiet), np.where(s == 1, quiet, fired)
        assert np.abs(true - before).max() < 1e-12
        inside = (other > 1e-12) & (other < 1 - 1e-12)
        assert not inside.any()


def test_ex_best_guess_and_random_steps():
    """Regression of the detached gradient on the instant; and the mean over all choices of steps, exactly."""
    rng = np.random.default_rng(9)
    for a, decay in ((0.0, 0.9), (0.8, 0.5), (-0.5, 0.9)):
        noise, p = rng.normal(size=200_000), np.zeros(200_000)
        for t in range(1, len(p)):
            p[t] = a * p[t - 1] + noise[t]
        g = back(p, decay)
        assert (g * p).sum() / (p * p).sum() == pytest.approx(1 / (1 - decay * a), abs=0.03)
    parts = rng.normal(size=(5, 3))
    chosen = [parts[list(pair)].sum(0) * 5 / 2 for pair in itertools.combinations(range(5), 2)]
    assert np.allclose(np.mean(chosen, axis=0), parts.sum(0))
