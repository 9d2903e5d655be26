"""Chapter 10: the complex leak, the neuron of the decoupled reset, and which products keep the arrow of time."""

import cmath
import math

import numpy as np
import oracle_parallel as oracle
import pytest
import torch
from scipy.integrate import solve_ivp

from fptlib import FixedPoint, Sequential, linear_scan, resonate_and_fire, solve
from fptlib.parallel import PRF
from fptlib.theory import (
    check_resonator_choice,
    complex_leak,
    decoupled_spike_bound,
    resonator_gain,
    truncation_bound,
)

ROUND_OFF = 1e-11  # float64, sums of at most 300 terms of size about one
ANGLES = (0.0, 0.3, math.pi / 2, 2.2, math.pi)


def resonator(x, decay, angle, threshold=None):
    """Complex loop: membrane and spikes; threshold None means no reset."""
    w, u, s = np.zeros(x.shape[1:], complex), np.zeros_like(x), np.zeros_like(x)
    for t in range(len(x)):
        z = decay * cmath.exp(1j * angle) * w + x[t]
        u[t] = z.real
        s[t] = u[t] >= (1.0 if threshold is None else threshold)
        w = z if threshold is None else z - threshold * s[t]
    return u, s


def cosine_matrix(decay, angle, steps):
    lag = np.arange(steps)[:, None] - np.arange(steps)
    return np.where(lag >= 0, float(decay) ** np.maximum(lag, 0) * np.cos(angle * lag), 0.0)


def inputs(steps, columns=30, seed=0):
    return np.random.default_rng(seed).normal(0.2, 1.0, (steps, columns))


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
def test_lem_complex_leak(decay, angle):
    x = inputs(60)
    u, _ = resonator(x, decay, angle)
    assert np.allclose(cosine_matrix(decay, angle, 60) @ x, u, rtol=0, atol=ROUND_OFF)
    c, s = decay * math.cos(angle), decay * math.sin(angle)
    gate = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)[None, :, :, None]
    drive = torch.stack([torch.tensor(x), torch.zeros(60, 30, dtype=torch.float64)], dim=1)
    assert np.allclose(linear_scan(gate, drive)[:, 0].numpy(), u, rtol=0, atol=ROUND_OFF)
    library = solve(resonate_and_fire(decay, angle), torch.tensor(x), Sequential()).membrane[:, 0]
    assert np.allclose(library.numpy(), u, rtol=0, atol=ROUND_OFF)


def test_lem_complex_leak_solves_the_equation():
    decay, angle = complex_leak(damping=50.0, frequency=40.0, dt=0.001)
    field = lambda t, y: [-50 * y[0] - 2 * math.pi * 40 * y[1], 2 * math.pi * 40 * y[0] - 50 * y[1]]
    flow = solve_ivp(field, (0, 0.05), [1.0, 0.0], t_eval=np.arange(51) * 0.001, rtol=1e-10, atol=1e-12)
    assert np.allclose(flow.y[0], decay ** np.arange(51) * np.cos(angle * np.arange(51)), atol=1e-8)
    # At decay 1 a bounded input in step with the turning is not bounded.
    x = np.cos(0.7 * np.arange(1, 400))[:, None]
    assert np.abs(resonator(x, 1.0, 0.7)[0]).max() > 150
    for wrong in ((-1.0, 1.0, 0.001), (1.0, 600.0, 0.001), (1.0, 1.0, 0.0)):
        with pytest.raises(ValueError):
            complex_leak(*wrong)


@pytest.mark.parametrize("decay", [0.0, 0.17, 0.18, 0.5, 0.95])
@pytest.mark.parametrize("angle", ANGLES)
def test_prp_resonator_tuning(decay, angle):
    m = np.arange(900)
    kernel = float(decay) ** m * np.cos(angle * m)
    for at in np.linspace(0, math.pi, 25):
        assert abs(resonator_gain(decay, angle, at) - abs(np.sum(kernel * np.exp(-1j * at * m)))) < 1e-10
    second = 1 / (2 * abs(1 - decay * cmath.exp(-2j * angle)))
    assert abs(resonator_gain(decay, angle, angle) - 1 / (2 * (1 - decay))) <= second + ROUND_OFF
    if angle == 0:
        gains = [resonator_gain(decay, 0.0, at) for at in np.linspace(0, math.pi, 50)]
        assert max(gains) == gains[0] and abs(gains[0] - 1 / (1 - decay)) < 1e-9
    if decay < 3 - 2 * math.sqrt(2):  # too short a memory: the first term stays above 1 / sqrt 2 of its peak
        assert (1 - decay) / abs(1 - decay * cmath.exp(1j * math.pi)) > 1 / math.sqrt(2)
    else:
        width = 2 * math.asin((1 - decay) / (2 * math.sqrt(decay)))
        assert abs(abs(1 / (1 - decay * cmath.exp(1j * width))) * (1 - decay) - 1 / math.sqrt(2)) < 1e-12


def test_prp_resonator_tuning_in_the_time_domain():
    tone = np.cos(0.8 * np.arange(900))[:, None]
    loudest = np.abs(resonator(tone, 0.95, 0.8)[0][-200:]).max()
    assert abs(loudest - resonator_gain(0.95, 0.8, 0.8)) < 0.01
    with pytest.raises(ValueError):
        resonator_gain(1.0, 0.3, 0.3)


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("decay", [0.5, 0.9, 1.0])
def test_prp_resonator_form(decay, angle):
    x, steps = inputs(24), 24
    u, s = resonator(x, decay, angle, threshold=1.0)
    A = cosine_matrix(decay, angle, steps)
    assert np.allclose(A @ x - (A - np.eye(steps)) @ s, u, rtol=0, atol=ROUND_OFF)
    neuron = resonate_and_fire(decay, angle, reset="soft")
    for K in (1, 2, 7, 24):
        swept = solve(neuron, torch.tensor(x), FixedPoint(K), on_failure="return").spikes.numpy()
        assert np.array_equal(swept[:K], s[:K])
    if math.cos(angle) < -1e-9:
        c = decay * math.cos(angle)
        two = np.array([[1.0], [1 - c / 2]])
        free = resonator(two, decay, angle)[1].flatten().tolist()
        assert free == [1, 0] and resonator(two, decay, angle, 1.0)[1].flatten().tolist() == [1, 1]


def test_prp_prf_neuron():
    # Multiples of 1/4 at decay 1: exact arithmetic, ties included.
    x = np.random.default_rng(0).integers(-3, 6, (200, 100)) / 4
    assert np.array_equal(PRF(decay=1.0)(torch.tensor(x)).numpy(), oracle.lif(x, 1.0))
    x = inputs(40, 2000)
    assert np.array_equal(PRF(decay=0.0)(torch.tensor(x)).numpy(), oracle.lif(x, 0.0))
    for beta in (0.1, 0.5, 0.9, 0.99):
        prf = PRF(decay=beta)(torch.tensor(x)).numpy()
        assert np.array_equal(prf[:2], oracle.lif(x, beta)[:2]) and (prf != oracle.lif(x, beta)).any()
        three = np.array([[1.0], [0.0], [1 + (beta - beta**2) / 2]])
        assert PRF(decay=beta)(torch.tensor(three)).flatten().tolist() == [1, 0, 0]
        assert oracle.lif(three, beta).flatten().tolist() == [1, 0, 1]
        # The adaptive neuron without reset whose adaptation never decays.
        free, count = oracle.leaky(x, beta), np.zeros(2000)
        for t in range(len(x)):
            spikes = free[t] - beta * count >= 1
            assert np.array_equal(prf[t], spikes)
            count += spikes


@pytest.mark.parametrize("beta", [0.3, 0.5, 0.9, 1.0])
def test_prp_prf_neuron_fires_a_bounded_number_of_times(beta):
    x = np.abs(inputs(2000, 50))
    spikes = PRF(decay=beta)(torch.tensor(x[:600])).numpy()
    for column in range(50):
        peak = oracle.leaky(x[:600], beta)[:, column].max()
        assert spikes[:, column].sum() <= decoupled_spike_bound(beta, peak)
    if beta < 1:
        constant = np.full((300, 1), 0.8)
        assert oracle.lif(constant, beta)[-50:].sum() > 0
        assert PRF(decay=beta)(torch.tensor(constant)).numpy()[-200:].sum() == 0
    assert decoupled_spike_bound(beta, 0.99) == 0 and decoupled_spike_bound(beta, 1.0) == 1
    with pytest.raises(ValueError):
        decoupled_spike_bound(0.0, 2.0)


def test_leaping_from_spike_to_spike():
    # The paragraph after prp-prf-neuron: one round a spike, rounds bounded by the largest membrane, the bits of the rule.
    u = oracle.leaky(np.abs(inputs(500, 40)), 0.9)
    for beta in (0.3, 0.9, 1.0):
        last, spikes, rounds = np.full(40, -1), np.zeros_like(u), 0
        while True:
            rounds += 1
            able = (u >= 1 + beta * (rounds - 1)) & (np.arange(500)[:, None] > last)
            if not able.any():
                break
            last = np.where(able.any(0), able.argmax(0), 500)
            spikes[last[last < 500], np.flatnonzero(last < 500)] = 1
        count = np.zeros(40)
        for t in range(500):
            assert np.array_equal(spikes[t], u[t] >= 1 + beta * count)
            count += spikes[t]
        assert rounds <= (u.max() - 1) / beta + 2


def test_prf_numbers_in_the_text():
    train = PRF(decay=0.9)(torch.full((400, 1), 0.8, dtype=torch.float64)).flatten()
    assert decoupled_spike_bound(0.9, 8.0) == 8 and train.sum() == 8 and train.nonzero().max() + 1 == 24


def test_scanned_count():
    # Exercise ex-scan-the-count: the count as maps of a finite set, composed pairwise.
    x = np.abs(inputs(64, 1, seed=4))
    free = oracle.leaky(x, 0.9)[:, 0]
    limit = np.floor((free - 1) / 0.9).astype(int) + 1
    size = decoupled_spike_bound(0.9, free.max()) + 1
    maps = [np.maximum(n := np.arange(size), np.minimum(n + 1, f)) for f in limit]
    assert all(m.max() < size for m in maps)
    total, direct = np.arange(size), PRF(decay=0.9)(torch.tensor(x)).numpy().cumsum()
    for t, step in enumerate(maps):
        total = step[total]
        assert total[0] == direct[t]
    while len(maps) > 1:
        maps = [late[early] for early, late in zip(maps[::2], maps[1::2], strict=True)]
    assert np.array_equal(maps[0], total)


@pytest.mark.parametrize("angle", [0.0, 0.7])
@pytest.mark.parametrize("width", [1, 4, 16, 64])
def test_prp_chunked_product(width, angle):
    x = inputs(64)
    pole = 0.9 * cmath.exp(1j * angle)
    lag = np.arange(width)[:, None] - np.arange(width)
    inside = np.where(lag >= 0, pole ** np.maximum(lag, 0), 0)
    end, parts = np.zeros(30, complex), []
    for part in x.reshape(64 // width, width, 30):
        u = inside @ part + pole ** np.arange(1, width + 1)[:, None] * end
        end = u[-1]
        parts.append(u.real)
    assert np.allclose(np.concatenate(parts), resonator(x, 0.9, angle)[0], rtol=0, atol=ROUND_OFF)


def scan32(x, pole, starts=None):
    """The loop in float32, one rounding an operation, from ``starts`` [2, N] or zero; real and imaginary part [T, N]."""
    a, b = (np.float32(part) for part in pole)
    r, i = np.zeros((2, x.shape[1]), np.float32) if starts is None else starts.astype(np.float32)
    train = np.empty((2, *x.shape), np.float32)
    for t in range(len(x)):
        r, i = a * r - b * i + x[t], b * r + a * i
        train[:, t] = r, i
    return train


@pytest.mark.parametrize("width", [1, 7, 64, 400])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 1.0])
def test_prp_scan_rounding(decay, width):
    steps = 400
    for angle in ANGLES:
        pole = np.float32(decay * math.cos(angle)), np.float32(decay * math.sin(angle))
        p = complex(*map(float, pole))
        in_step = np.cos(np.angle(p) * np.arange(steps))[:, None]  # the input that makes the membrane grow
        x = np.concatenate([inputs(steps, 10), 1e4 * inputs(steps, 2, 1), in_step, np.ones((steps, 1))], 1).astype(
            np.float32
        )
        carried, parts = np.zeros(x.shape[1], complex), []
        for m in range(0, steps, width):
            parts.append(scan32(x[m : m + width], pole, np.stack([carried.real, carried.imag])))
            end = scan32(x[m : m + width], pole)[:, -1].astype(float)
            carried = p ** len(x[m : m + width]) * carried + end[0] + 1j * end[1]
        z, reach, growth = np.zeros(x.shape[1], complex), 0, 0
        for t, (chunks, loop) in enumerate(
            zip(np.concatenate(parts, 1).swapaxes(0, 1), scan32(x, pole).swapaxes(0, 1))
        ):
            z = p * z + x[t]
            reach = abs(p) * reach + np.abs(x[t].astype(float))
            growth = abs(p) * growth + reach
            bound = 5 * 2.0**-24 * growth * 1.001  # the last factor for terms of second order
            for found in (chunks, loop):
                assert (np.abs(found[0] + 1j * found[1].astype(float) - z) <= bound).all()


def test_prp_scan_rounding_needs_its_hypothesis():
    # An impulse that fades until its products underflow: then a rounding is no longer relative, and the bound fails.
    pole = np.float32(0.5 * math.cos(0.7)), np.float32(0.5 * math.sin(0.7))
    p, impulse = complex(*map(float, pole)), np.eye(150, 1, dtype=np.float32)
    steps = np.arange(150)
    error = np.abs(np.array([1, 1j]) @ scan32(impulse, pole)[:, :, 0].astype(float) - p**steps)
    bound = 5 * 2.0**-24 * (steps + 1) * abs(p) ** steps
    assert (error <= bound)[:120].all() and not (error <= bound).all()


@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_prp_short_kernel(decay, angle):
    x, steps = inputs(120), 120
    full = cosine_matrix(decay, angle, steps)
    for taps in (1, 10, 60, 120):
        short = np.triu(full, 1 - taps)
        bound = truncation_bound(decay, taps, np.abs(x).max(), steps)
        assert np.abs(full @ x - short @ x).max() <= bound + ROUND_OFF
        if angle == 0:
            missing = (full - short) @ np.ones(steps)
            assert abs(missing[-1] - truncation_bound(decay, taps, 1.0, steps)) < ROUND_OFF
        # With a margin above the bound the spikes of a neuron without reset are the same.
        safe = np.abs(full @ x - 1) > bound
        assert np.array_equal((full @ x >= 1)[safe], (short @ x >= 1)[safe])
    with pytest.raises(ValueError):
        truncation_bound(1.1, 3, 1.0)


def fft_product(x, decay):
    size = 2 * len(x)
    kernel = torch.tensor([float(decay) ** m for m in range(len(x))], dtype=x.dtype)
    spectrum = torch.fft.rfft(kernel, n=size)[:, None] * torch.fft.rfft(x, n=size, dim=0)
    return torch.fft.irfft(spectrum, n=size, dim=0)[: len(x)]


def test_prp_fft_noncausal():
    # Two inputs that agree on the first 300 steps: the scan returns the same bits there, the transform does not.
    draw = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 512, 16, generator=draw)
    other[:300] = one[:300]
    gate = torch.full((1,), 0.9)
    assert torch.equal(linear_scan(gate, one)[:300], linear_scan(gate, other)[:300])
    assert not torch.equal(fft_product(one, 0.9)[:300], fft_product(other, 0.9)[:300])
    Lambda = torch.tensor(cosine_matrix(0.9, 0.0, 512), dtype=torch.float32)
    assert torch.equal((Lambda @ one)[:300], (Lambda @ other)[:300])
    # So do the chunked product and the directly summed short kernel.
    block, powers = Lambda[:64, :64], 0.9 ** torch.arange(1.0, 65.0)[:, None]
    inner = lambda x: block @ x.reshape(8, 64, 16)
    ends = lambda x: linear_scan(torch.full((1,), 0.9**64), inner(x)[:, -1])
    chunked = lambda x: torch.cat([inner(x)[:1], inner(x)[1:] + powers * ends(x)[:-1, None]]).flatten(0, 1)
    short = lambda x: sum(0.9**m * torch.nn.functional.pad(x, (0, 0, m, 0))[:512] for m in range(20))
    assert torch.allclose(chunked(one), linear_scan(gate, one), atol=1e-5)
    for product in (chunked, short):
        assert torch.equal(product(one)[:300], product(other)[:300])
    # Before the first input the transform holds noise of the size of its later errors.
    one[:300] = 0
    noise = (fft_product(one, 0.9).double() - linear_scan(gate.double(), one.double())).square().mean(1).sqrt()
    assert linear_scan(gate, one)[:300].abs().max() == 0
    assert 0.3 < noise[:300].mean() / noise[300:].mean() < 1.5
    # A tie at step 2 whose spike depends on the future.
    future = torch.randn(1024, 300, generator=draw)
    future[:2] = torch.tensor([[0.5], [0.75]])
    fired = int((fft_product(future, 0.5)[1] >= 1).sum())
    assert 0 < fired < 300
    assert (linear_scan(torch.full((1,), 0.5), future)[1] == 1).all()


def test_prp_fft_noncausal_errors_spread_evenly():
    # Part 2 as stated: uncorrelated spectral errors have the same variance at every step.
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(4000, 64)) * np.linspace(0.1, 3, 64) * np.exp(2j * np.pi * rng.random((4000, 64)))
    e = np.fft.ifft(errors, axis=1)
    assert np.allclose((np.abs(e) ** 2).sum(1), (np.abs(errors) ** 2).sum(1) / 64)
    variance = (np.abs(e) ** 2).mean(0)
    # Five standard errors: squares of Gaussians over 4,000 draws.
    assert np.abs(variance / (np.linspace(0.1, 3, 64) ** 2).sum() * 64**2 - 1).max() < 5 * math.sqrt(2 / 4000)


def test_exercise_answers():
    decay, angle = complex_leak(damping=50.0, frequency=440.0, dt=1 / 8000)
    assert abs(decay - 0.99377) < 1e-5 and abs(angle - 0.3456) < 1e-4
    assert abs(resonator_gain(decay, angle, angle) - 80.3) < 1.5
    assert abs((1 - decay) * 8000 / (2 * math.pi) - 7.9) < 0.05
    for d, taps in ((0.5, 25), (0.9, 175), (0.99, 2062)):
        assert truncation_bound(d, taps, 1.0) <= 1e-7 < truncation_bound(d, taps - 1, 1.0)
    assert check_resonator_choice(0.95, 1.0, wanted=1.0, other=0.2).startswith("Correct.")
    assert check_resonator_choice(0.92, 1.0, wanted=1.0, other=0.2).startswith("Correct.")
    for wrong in ((0.9, 1.0), (0.999, 1.0), (0.5, math.nan)):
        assert check_resonator_choice(*wrong, wanted=1.0, other=0.2).startswith("Not yet:")
    # ex-second-order: the real line of order two.
    x, c = inputs(50, 5), 0.9 * math.cos(0.7)
    u, _ = resonator(x, 0.9, 0.7)
    line = np.zeros_like(x)
    for t in range(50):
        line[t] = x[t] + (2 * c * line[t - 1] - c * x[t - 1] if t else 0) - (0.81 * line[t - 2] if t > 1 else 0)
    assert np.allclose(line, u, rtol=0, atol=ROUND_OFF)
