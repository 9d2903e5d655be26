"""Chapter 13: transfer functions against simulated impulse responses, kinds of filters by brute force, the silent soma."""

import math
import pathlib

import numpy as np
import pytest
import torch

from fptlib import Sequential, solve, theory, ts_lif
from fptlib.data import results

START = (0.8, 0.3, -0.1, -0.8)
# Impulse responses are summed until their terms are below 1e-18; what is left is the rounding of some 1,400 terms.
ROUND_OFF = 1e-12


def impulse(a1, a2, b1, b2, steps, gains=None):
    """Dendrite and soma one after the other after one unit of input; [steps, 2, N]."""
    e1, e2 = gains or (1 - a1, 1 - a2)
    d = s = np.zeros(np.broadcast(a1, b1).shape)
    out = []
    for t in range(steps):
        now = float(t == 0)
        d = a1 * d + b1 * s + e1 * now
        s = a2 * s + b2 * d + e2 * now
        out.append((d, s))
    return np.array(out)


def random_stable(count, seed, low=(0, 0, -1, -1), high=(1, 1, 1, 1), most=1.0):
    points = torch.tensor(np.random.default_rng(seed).uniform(low, high, (8 * count, 4)))
    report = theory.ts_lif_stability(*points.T)
    return points[report.stable & (report.radius < most)][:count].T


@pytest.mark.parametrize("gains", [None, (0.4, -0.3)])
def test_thm_transfer(gains):
    points = random_stable(300, 0, (-1, -1, -1, -1), most=0.97)
    h = impulse(*points.numpy(), 1400, gains)
    omega = np.linspace(0, np.pi, 41)
    fourier = np.einsum("tin,tw->nwi", h, np.exp(-1j * np.outer(np.arange(1400), omega)))
    H = theory.transfer_functions(*points[..., None], torch.tensor(omega), gains=gains).numpy()
    assert np.abs(fourier - H).max() < ROUND_OFF
    assert (
        np.abs(theory.impulse_response(*points, 200, gains=gains).numpy() - h[:200].transpose(0, 2, 1)).max()
        < ROUND_OFF
    )


def test_prp_dc():
    a1, a2, b1, b2 = random_stable(2000, 1)
    gap = (1 - a1) * (1 - a2) - b1 * b2
    wanted = torch.stack([(1 - a2) * (1 - a1 + b1) / gap, (1 - a1) * (1 - a2 + b2) / gap], -1)
    assert torch.allclose(theory.transfer_functions(a1, a2, b1, b2, 0.0).real, wanted, rtol=1e-8)
    assert theory.transfer_functions(0.8, 0.3, -0.1, -0.7, 0.0)[1].abs() < 1e-14
    near = theory.transfer_functions(0.8, 0.3, -0.17, -0.8, 0.0).real
    assert np.allclose(near, [5.25, -5.0])
    assert abs(theory.transfer_functions(0.8, 0.3, -0.17, -0.8, math.pi)[1].abs() - 0.44) < 5e-3
    # "Only if" needs a1 != 1: without leak the dendrite is driven by the soma alone and cancels every constant.
    assert theory.ts_lif_stability(1.0, 0.3, -0.1, 0.8).stable
    assert theory.transfer_functions(1.0, 0.3, -0.1, 0.8, 0.0)[1].abs() < 1e-14
    # At the edge the gains grow like 1 / D(1), unless both numerators vanish there.
    finite = theory.transfer_functions(0.8, 0.3, -0.2 + 1e-6, -0.7 + 1e-6, 0.0).abs()
    assert (finite < 1).all() and (theory.transfer_functions(0.8, 0.3, -0.175 + 1e-6, -0.8, 0.0).abs() > 1e4).all()


def test_the_released_start_in_numbers():
    peak = theory.response_peak(*START)
    ends = theory.transfer_functions(*START, torch.tensor([0.0, math.pi], dtype=torch.float64)).abs()
    assert np.allclose(ends, [[7 / 6, 1 / 3], [3 / 22, 5 / 11]])
    assert abs(peak.omega[1] - 0.3321) < 1e-4 and abs(peak.gain[1] - 0.7377) < 1e-4 and peak.omega[0] == 0
    omega = torch.linspace(0, math.pi, 100_001, dtype=torch.float64)
    gain = theory.transfer_functions(*START, omega).abs()
    half = omega[(gain[:, 0] < gain[0, 0] / math.sqrt(2)).nonzero()[0, 0]]
    louder = gain[:, 1] > gain[:, 0]
    cross = omega[louder.nonzero()[0, 0]]
    assert round(2 * math.pi / half.item()) == 72 and abs(cross - 0.128) < 5e-4 and louder[omega >= cross].all()
    # The band hangs on the sign of b2.
    assert theory.response_kind(0.8, 0.3, -0.1, 0.8).tolist() == [0, 0]
    decibel = lambda p, q: 20 * math.log10(p / q)
    assert abs(decibel(ends[1, 1], ends[0, 1]) - 2.7) < 0.05 and abs(decibel(peak.gain[1], ends[1, 1]) - 4.2) < 0.05


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("low", [(0, 0, -1, -1), (-1, -1, -1, -1)])
def test_prp_peak(low, free):
    points = random_stable(500, 2, low, most=0.98)
    gains = tuple(torch.tensor(np.random.default_rng(6).normal(size=(2, points.shape[1])))) if free else None
    omega = torch.linspace(0, math.pi, 1501, dtype=torch.float64)
    over_omega = gains and tuple(e[:, None] for e in gains)
    gain = theory.transfer_functions(*points[..., None], omega, gains=over_omega).abs()
    slope = torch.diff(gain, dim=1)
    # Below 1e-12 per grid step the curve is flat to rounding; such steps have no sign.
    sign = torch.where(slope.abs() < 1e-12, 0.0, slope.sign())
    rising, falling = sign > 0, sign < 0
    turns_down = (rising[:, :-1] & falling[:, 1:]).sum(1)
    turns_up = (falling[:, :-1] & rising[:, 1:]).sum(1)
    assert (turns_down + turns_up).max() <= 1
    product = points[0] * points[1]
    assert not turns_up[product > 0].any() and not turns_down[product < 0].any()
    peak = theory.response_peak(*points, gains=gains)
    best = gain.max(1)
    assert (best.values - peak.gain).abs().max() < 1e-3 * peak.gain.max()
    kind = theory.response_kind(*points, gains=gains)
    inside = gain[:, 1:-1].amax(1) > torch.maximum(gain[:, 0], gain[:, -1]) * (1 + 1e-9)
    clear = turns_down.bool() == inside
    assert clear.double().mean() > 0.995  # a peak within one grid step of an end is not seen by the grid
    assert ((kind == 2) == inside)[clear].double().mean() > 0.995
    assert ((kind == 3) == turns_up.bool()).double().mean() > 0.995


def test_lem_nonneg_lowpass():
    points = random_stable(20_000, 3, (0, 0, 0, 0))
    assert (theory.response_kind(*points) == 0).all()
    some = points[:, :500, None]
    gain = theory.transfer_functions(*some, torch.linspace(0, math.pi, 200, dtype=torch.float64)).abs()
    assert (gain <= gain[:, :1] * (1 + 1e-12)).all() and (torch.diff(gain, dim=1) <= 1e-12 * gain[:, :1]).all()
    # Excitation of the soma alone is not enough: with an inhibited dendrite a split exists, if rarely.
    split = theory.response_kind(*random_stable(20_000, 7, (0, 0, -1, 0), (1, 1, 0, 1)))
    assert 0 < ((split[:, 0] == 0) & (split[:, 1] == 1)).double().mean() < 0.01
    # One negative coupling is enough to lose it.
    assert (theory.response_kind(*random_stable(2000, 4, (0, 0, 0, -1), (1, 1, 1, 0))) != 0).any()


def test_shares_of_the_split():
    # The evenly spread points of the notebook: soma high-pass, with a low-pass dendrite, and the reverse split.
    unit = torch.quasirandom.SobolEngine(4).draw(2**15, dtype=torch.float64) + 0.5 / 2**15
    box = torch.tensor([0, 0, -1, -1.0]) + torch.tensor([1, 1, 2, 2.0]) * unit
    kind = theory.response_kind(*box[theory.ts_lif_stability(*box.T).stable].T)
    dendrite, soma = kind.unbind(1)
    shares = [soma == 1, (dendrite == 0) & (soma == 1), (dendrite == 1) & (soma == 0)]
    assert len(kind) == 24_566
    assert [round(100 * part.double().mean().item(), 1) for part in shares] == [4.9, 2.6, 2.1]


def test_def_kinds_finds_all_four():
    names = [theory.KINDS[theory.response_kind(*p)[1]] for p in [(0.8, 0.3, 0.1, 0.3), START]]
    assert names == ["low-pass", "band-pass"]
    assert theory.KINDS[theory.response_kind(0.6, -0.6, 0.0, 1.0, gains=(1.0, 0.0))[1]] == "band-stop"
    assert theory.KINDS[theory.response_kind(0.2, 0.0, 0.0, -1.0)[1]] == "high-pass"


def test_prp_silent_soma_on_every_pattern():
    # Every binary input of period 14, 140 steps: long enough for dendritic spikes and their resets.
    patterns = torch.tensor((np.arange(2**14)[None, :] >> np.arange(14)[:, None]) & 1, dtype=torch.float64)
    v, dendritic, highest = None, 0, 0.0
    for _ in range(10):
        run = solve(ts_lif(), patterns, Sequential(), v0=v, validate=False)
        v = run.final_state
        assert not run.spikes[:, 1].any()
        dendritic, highest = dendritic + int(run.spikes[:, 0].sum()), max(highest, run.membrane[:, 1].max().item())
    assert dendritic > 0 and 0.6171 < highest < 0.54 / 0.812


def test_prp_silent_soma_greedy_attack():
    # At every step the input in [0, 1] that leads to the highest soma three steps later, from a grid; and plain random input.
    rng = np.random.default_rng(5)
    graded = torch.tensor(rng.uniform(0, 1, (1500, 300)) ** rng.uniform(0.2, 5, 300))
    assert not solve(ts_lif(), graded, Sequential()).spikes[:, 1].any()
    plans = torch.tensor(np.array(np.meshgrid(*[[0, 0.5, 1.0]] * 3)).reshape(3, -1))
    v, highest = torch.zeros(2, dtype=torch.float64), 0.0
    for _ in range(300):
        run = solve(ts_lif(), plans, Sequential(), v0=v[:, None].expand(2, 27), validate=False)
        best = run.membrane[:, 1].amax(0).argmax()
        first = solve(ts_lif(), plans[:1, best, None], Sequential(), v0=v[:, None])
        v, highest = first.final_state[:, 0], max(highest, first.membrane[0, 1, 0].item())
    assert highest < 0.54 / 0.812


def test_prp_silent_soma_needs_its_hypotheses():
    # Above one, or from another start, the soma fires.
    assert solve(ts_lif(), torch.full((2, 1), 1.63), Sequential()).spikes[:, 1].any()
    assert not solve(ts_lif(), torch.full((400, 1), 1.61), Sequential()).spikes[:, 1].any()
    low = torch.tensor([[-3.0], [0.0]])
    assert solve(ts_lif(), torch.ones(3, 1), Sequential(), v0=low).spikes[:, 1].any()


def stable_records(run):
    return [h for h in run["history"] if min(h["gaps"]) > 0]


def test_training_runs_as_the_page_tells_them():
    record, any_sign, solar = map(results, ("tslif_training", "tslif_training_any_sign", "tslif_training_solar"))
    free = [r for r in record["runs"] if r["rate"] == 1e-3 and not r["stable"]]
    page = (pathlib.Path(__file__).parents[1] / "book" / "13-frequency.md").read_text(encoding="utf-8")
    for run in free:
        outside, last = [h["step"] for h in run["history"] if min(h["gaps"]) <= 0], run["history"][-1]
        rates = f"${last['radius']:.2f}$; ${last['dendrite_rate']:.2f},\\ {last['soma_rate']:.2f}$"
        row = next(
            line
            for line in page.splitlines()
            if line.startswith(f"| {run['seed']} | {run['soma_silent_through_step']} |")
        )
        assert f"| {outside[0]}" in row and rates in row and f"| {run['test_mse']:.3f} |" in row
        gap = [h["gaps"][1] for h in run["history"]]
        if run["seed"] in (0, 1, 3):
            assert min(gap) >= 0.0599 and 0.095 < gap[-1] < 0.105
            assert all(15.5 < p < 18 for p in stable_records(run)[-1]["peak_period"])
        else:
            assert min(gap) < 0 and stable_records(run)[-1]["kind"] == ["low-pass", "low-pass"]
    second = next(r for r in free if r["seed"] == 2)
    back = [h for h in second["history"] if h["step"] >= 480]
    assert all(min(h["gaps"]) > 0 and h["kind"] == ["low-pass", "low-pass"] for h in back)
    assert min(h["gaps"][1] for h in second["history"] if 120 <= h["step"] < 480) < 0
    everything = record["runs"] + any_sign["runs"] + solar["runs"]
    assert not any(h["kind"] == ["low-pass", "high-pass"] for r in everything for h in stable_records(r))
    assert all(r["test_mse"] > r["seasonal_naive_mse"] for r in everything)
    slow = [r for r in record["runs"] if r["rate"] == 1e-4]
    assert [round(r["history"][-1]["b"][0], 2) for r in slow] == [-0.01, 0.11]
    assert all(len(stable_records(r)) == len(r["history"]) and r["soma_silent_through_step"] == 1800 for r in slow)
    assert [round(r["soma_silent_through_step"]) for r in solar["runs"]] == [498, 413, 79, 378]
