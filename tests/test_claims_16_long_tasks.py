"""The chapter on long tasks: how long an input is felt, how far a gradient teaches, and its record of long runs."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import frontend
from experiments.accuracy_cells import cells, deviation, mean
from experiments.accuracy_missing import RAW, coverage, of_long_tasks
from experiments.accuracy_words import complete, shared
from experiments.long_cells import CLOCKED, ORDERED, PERMUTED, PIXELS, PLACES, rows_of, shown_k, there
from experiments.long_speed import earlier, lengths_of, peak, ratio, raw, shown_arms, timed
from experiments.long_tables import FIXED, PAGE, apart, learned, page_with_tables, twins
from fptlib import ATan, Detached, Exact, Replay, Sigmoid, data, lif, solve
from tests.oracles import lif_loop

RECORD = data.results("accuracy")
# Sums of at most 200 terms of size one, in float64.
ROUND_OFF = 1e-12
NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "16-long-tasks.ipynb"


def inputs(decay, steps=80, many=300, seed=0):
    """Random trains, constants, ties on eighths, and the two-phase input; [steps, neurons]."""
    draw = np.random.default_rng(seed)
    random = 0.5 * (1 - decay) + 0.4 * draw.standard_normal((steps, many))
    eighths = draw.integers(-4, 12, (steps, many)) / 8
    constant = np.repeat(draw.uniform(0, 1, (1, many)), steps, 0)
    return np.concatenate([random, eighths, constant, np.full((steps, 1), 0.7), np.ones((steps, 1))], 1)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("delta", [1e-9, 0.3, 1.0, 7.0, -2.5])
def test_prp_memory_horizon(decay, delta):
    at, theta = 12, 1.0
    x = inputs(decay)
    changed = x.copy()
    changed[at] -= delta
    lags = np.arange(x.shape[0] - at)
    fade = (decay**lags * delta)[:, None]
    free = lif_loop(x, decay, reset="none")[1] - lif_loop(changed, decay, reset="none")[1]
    assert np.abs(free[at:] - fade).max() < ROUND_OFF * (1 + abs(delta)) / (1 - decay)

    (s, u, _), (s2, u2, _) = lif_loop(x, decay), lif_loop(changed, decay)
    gap, turned, bound = (u - u2)[at:], (s - s2)[at:], np.maximum(np.abs(fade), decay * theta)
    assert (np.abs(gap[1:]) <= bound[1:] + ROUND_OFF).all()
    told = np.zeros_like(gap)  # sum of decay^(t - i) (s_i - s'_i) for i up to t
    for t in range(len(gap)):
        told[t] = turned[t] + (decay * told[t - 1] if t else 0)
    before = np.concatenate([np.zeros_like(told[:1]), decay * told[:-1]])
    assert np.abs(gap - (fade - theta * before)).max() < ROUND_OFF * (1 + abs(delta)) / (1 - decay)
    most = (np.abs(fade) + np.maximum(np.abs(fade), theta)) / theta
    assert (np.abs(told) <= most + ROUND_OFF).all()
    safe = np.abs(u[at:] - theta)[1:] > bound[1:] + ROUND_OFF
    assert (turned[1:][safe] == 0).all()


def test_the_bound_on_what_is_felt_is_reached_and_need_not_fade():
    x = np.array([[1.0], [0.0]])
    for change in (1e-3, 1e-9):
        u, u2 = lif_loop(x, 0.9)[1], lif_loop(x - [[change], [0]], 0.9)[1]
        assert abs(abs(u - u2)[1, 0] - 0.9) < 2 * change
    x = np.full((400, 1), 0.7)  # two phases: the difference never dies out
    other = x.copy()
    other[0] = 0.0
    assert (np.abs(lif_loop(x, 0.5)[1] - lif_loop(other, 0.5)[1])[-20:] > 0.3).all()
    assert all(decay ** (1 / (1 - decay)) <= 1 / math.e for decay in np.linspace(0.01, 0.999, 500))


def tail(decay, layers, n):
    """P[Bin(n + M - 1, 1 - decay) <= M - 1]."""
    trials = n + layers - 1
    return sum(math.comb(trials, i) * (1 - decay) ** i * decay ** (trials - i) for i in range(layers))


def stack(x, weights, decay, surrogate, solver=None, adjoint=None):
    for weight in weights:
        x = solve(lif(decay, surrogate=surrogate), x @ weight.T, Replay(), adjoint=adjoint or Exact()).spikes
    return x


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("surrogate, steepest", [(Sigmoid(4.0), 1.0), (Sigmoid(8.0), 2.0), (ATan(), 1.0)])
def test_prp_gradient_horizon(layers, decay, surrogate, steepest):
    """At every lag; slope 8 is the edge of the hypothesis, h <= 2 / theta."""
    steps, width = 30, 4
    draw = torch.Generator().manual_seed(layers)
    weights = [torch.randn(width, width, generator=draw, dtype=torch.float64) for _ in range(layers)]
    x = (0.6 * torch.randn(steps, width, generator=draw, dtype=torch.float64)).requires_grad_()
    out = stack(x, weights, decay, surrogate)
    rows = torch.stack([torch.autograd.grad(out[-1, i], x, retain_graph=True)[0] for i in range(width)])
    size = rows.abs().sum(2).amax(0).flip(0)  # by lag
    w = steepest**layers * math.prod(weight.abs().sum(1).max().item() for weight in weights)
    kernel = torch.tensor([math.comb(k + layers - 1, layers - 1) * decay**k for k in range(steps)], dtype=torch.float64)
    assert (size <= w * kernel + ROUND_OFF).all()
    early = torch.autograd.grad(out[3].sum(), x)[0]
    assert not early[4:].any()  # nothing from the future

    n = 6  # part 3: a loss with bounded slope at every step, cut at n steps
    slope = torch.rand(steps, width, generator=draw, dtype=torch.float64)
    slope /= slope.sum(1, keepdim=True)
    jacobian = torch.autograd.functional.jacobian(lambda v: stack(v, weights, decay, surrogate), x.detach())
    far = torch.arange(steps)[:, None] - torch.arange(steps)[None] >= n
    missing = torch.einsum("ti,tijk,tj->jk", slope, jacobian, far.double())
    assert missing.abs().sum(1).max() <= w * (1 - decay) ** -layers * tail(decay, layers, n) + ROUND_OFF


def test_prp_gradient_horizon_is_attained_by_a_detached_reset_at_the_threshold():
    decay, steps = 0.8, 25
    x = torch.zeros(steps, 1, dtype=torch.float64)
    x[0], x[1:] = 1.0, 1.0  # fires at every step; membrane and threshold agree at each
    x.requires_grad_()
    out = solve(lif(decay, surrogate=Sigmoid(4.0)), x, Replay(), adjoint=Detached())
    assert out.spikes.all() and torch.equal(out.membrane, torch.ones_like(x))
    gradient = torch.autograd.grad(out.spikes[-1].sum(), x)[0].flatten().flip(0)
    assert torch.allclose(gradient, decay ** torch.arange(steps).double(), rtol=1e-12)


def test_share_of_a_stack():
    for decay in (0.3, 0.9):
        for layers in (1, 2, 3, 5):
            kernel = [(1 - decay) ** layers * math.comb(k + layers - 1, layers - 1) * decay**k for k in range(1500)]
            assert abs(sum(kernel) - 1) < ROUND_OFF
            assert all(abs(sum(kernel[n:]) - tail(decay, layers, n)) < ROUND_OFF for n in (0, 1, 7, 40))
            mean = sum(k * p for k, p in enumerate(kernel))
            assert abs(mean - layers * decay / (1 - decay)) < 1e-9
    assert tail(0.9, 2, 37) <= 0.1 < tail(0.9, 2, 36)


def test_the_notebooks_front_end_is_that_of_the_experiments():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    (source,) = ("".join(c["source"]) for c in cells if "def sound_to_spikes" in "".join(c["source"]))
    from fptlib import decay_from_tau, linear_scan

    here = {"torch": torch, "math": math, "decay_from_tau": decay_from_tau, "linear_scan": linear_scan}
    exec(source, here)  # noqa: S102
    noise = 0.1 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    for sound in (here["chirp"], noise):
        steps = len(sound) // 8
        wanted, _ = frontend.spikes_of_clips(sound, torch.tensor([0]), torch.tensor([len(sound)]), steps)
        assert torch.equal(here["sound_to_spikes"](sound)[1], wanted[0].bool())


def test_front_end_in_numbers():
    centres, gain = frontend.mel_bank(40, 16000)
    assert len(centres) == 40 and 100 < centres[0] < centres[-1] < 3800
    mel = 2595 * torch.log10(1 + centres.double() / 700)
    assert torch.allclose(mel.diff(), mel.diff().mean().expand(39), rtol=1e-4)
    assert frontend.RATE * 0.001 == 8 and frontend.FLOOR_DB == -60
    assert len((Path(frontend.__file__)).read_text().splitlines()) == 69


def test_exercises():
    pixel = 2 ** (-1 / 28)
    assert round(pixel, 4) == 0.9755 and round(1 / (1 - pixel)) == 41
    assert round(0.9**28, 3) == 0.052 and round(tail(0.9, 3, 28), 3) == 0.411
    assert [round(m * 0.9 / 0.1) for m in (1, 3)] == [9, 27]

    halves, tenths = np.float32(1), np.float32(1)
    zero_at = None
    for k in range(1, 1500):
        halves, tenths = halves * np.float32(0.5), tenths * np.float32(0.9)
        zero_at = zero_at or (k if halves == 0 else None)
    assert zero_at == 150 and tenths == np.float32(4 * 2.0**-149)
    assert 0.9**986 > 2.0**-150 > 0.9**987
    assert [round(24 * math.log(2) / -math.log(decay)) for decay in (0.5, 0.9)] == [24, 158]

    draws = np.random.default_rng(0).standard_normal((2, 3, 200_000))
    beyond = np.abs(draws[0].mean(0) - draws[1].mean(0)) > draws[1].std(0, ddof=1)
    assert round(1 - (1 + 4 / 3) ** -0.5, 3) == 0.345 and abs(beyond.mean() - 0.345) < 0.005
    beyond = np.abs(draws[0].mean(0) - draws[1].mean(0)) > draws.std(1, ddof=1).max(0)
    both = 1 - 2 * (1 + 4 / 3) ** -0.5 + (1 + 8 / 3) ** -0.5
    assert round(both, 3) == 0.213 and abs(beyond.mean() - both) < 0.005

    loss = 20 * math.log10(math.exp(-1 / 5))
    assert round(loss, 2) == -1.74 and round(6 / -loss, 2) == 3.45
    assert [round((1 - 0.104) * 0.7 + 0.104 * p, 3) for p in (0, 1)] == [0.627, 0.731]
    assert f"{3 * 18000**2 * 4096:.1e}" == "4.0e+12" and f"{18000 * 32 * 128 * 128:.1e}" == "9.4e+09"
    assert math.ceil(128 / 3) == 43 and round(4 * 18000**2 / 1e9, 1) == 1.3


@pytest.mark.skipif("FPTLIB_DATA" not in os.environ, reason="FPTLIB_DATA does not name the folder of the data sets")
def test_facts_of_the_data():
    sound = data.load("fsdd")
    length, take = sound.extra["length"], sound.extra["take"]
    theo = torch.tensor([name == "theo" for name in sound.extra["speaker"]])
    assert [int(n) for n in ((take < 45) & (take >= 5)).sum()[None]] == [2400] and int((take < 5).sum()) == 300
    assert [int(p.sum()) for p in ((take < 45) & ~theo, (take >= 45) & ~theo, theo)] == [2250, 250, 500]
    assert int(length.max()) == 18262 and round(float((length // 8 > 600).double().mean()), 1) == 0.1
    heart = data.load("qtdb-ecg")
    assert (len(heart.x) - 62, len(heart.x_test), heart.x.shape[1]) == (556, 141, 1300)
    assert [round(100 * float((y < 0).double().mean())) for y in (heart.y, heart.y_test)] == [8, 10]
    seen = heart.y[:-62][heart.y[:-62] >= 0]
    labelled = heart.y_test[heart.y_test >= 0]
    assert round(100 * float((labelled == seen.mode().values).double().mean()), 1) == 33.6


def test_tables_are_the_record():
    text = PAGE.read_text()
    assert page_with_tables(text, RECORD) == text, "run: python -m experiments.long_tables"


def weights(inputs, width, classes):
    """Two linear layers with batch normalisation, and a readout."""
    return inputs * width + width + 2 * width + width * width + width + 2 * width + width * classes + classes


def test_the_record_holds_what_the_page_says_of_the_runs():
    pictures = PIXELS | PERMUTED
    examples = dict.fromkeys(pictures, 55_000) | {"FSDD, takes": 2_400, "FSDD, new speaker": 2_250, "ECG": 556}
    assert there(RECORD) == list(PLACES)
    for title in there(RECORD):
        rows = [r for seeds in cells(RECORD, PLACES[title]).values() for r in seeds]
        assert {r["steps"] for r in rows} == {784 if title in pictures else CLOCKED.get(title, 600)}
        assert {r["seed"] for r in rows} == {0, 1, 2} and len({r["batch"] for r in rows}) == 1
        assert all(r["tf32"] and not r["bf16"] and not r["diverged"] for r in rows)
        assert len({r["epochs"] for r in rows}) == 1 and {r["examples"] for r in rows} == {examples[title]}
        inputs, width, classes = (1, 64, 10) if title in pictures else (4, 128, 6) if title == "ECG" else (80, 128, 10)
        assert {r["params"] for r in rows_of(RECORD, title, "lif-exact", 0.9)} == {weights(inputs, width, classes)}
    assert {r["batch"] for of_arm in raw(RECORD).values() for r in of_arm.values()} == {32}
    assert RECORD["header"]["device"] == "NVIDIA H200"


def points(title, arm, decay, k=None, field="test"):
    return round(100 * mean(rows_of(RECORD, title, arm, decay, k), field), 1)


def test_exact_beside_loop():
    rows = {(title, decay): both for title, decay, *both in twins(RECORD)}
    assert set(rows) == {(title, decay) for title in PLACES for decay in (0.5, 0.9)}
    full = {cell: apart(*both) for cell, both in rows.items() if complete(*both)}
    assert set(full) == set(rows) and all(abs(pooled) < 1 for _, _, pooled in full.values())
    for title, decay, means in (("permuted MNIST", 0.5, (27.2, 27.0)), ("FSDD, new speaker", 0.5, (26.5, 26.3))):
        assert tuple(points(title, arm, decay) for arm in ("lif-exact", "lif-loop")) == means
    exact, loop = rows["pixels MNIST", 0.9]
    assert round(100 * (mean(loop, "test") - mean(exact, "test") - deviation(loop, "test")), 2) == 0.05
    gaps = sorted(map(abs, shared(exact, loop)))
    assert gaps[1] < 0.001 and round(100 * gaps[2], 1) == 2.3
    for title in PLACES:
        for decay in (0.5, 0.9, "learned"):
            for run in rows_of(RECORD, title, "lif-exact", decay):
                assert run["test_as_sequential_lif"] == run["test"] and run["spike_mismatch"] == 0


def leaks_of(title):
    """{cell: points} of the neurons with one leak, every decay and number of sweeps."""
    arms = (*FIXED, "lif-loop", "spikingjelly")
    return {key: points(title, *key) for key in cells(RECORD, PLACES[title]) if key[0] in arms}


def test_sentences_on_permuted_pixels():
    of = lambda arm, decay=0.9, k=None, title="permuted MNIST": points(title, arm, decay, k)
    change = lambda *key: of(*key) - of(*key, title="pixels MNIST")
    assert [round(-change("lif-exact")), round(-change("psn-sliding", None))] == [10, 30]
    assert abs(change("psn", None)) < 0.1 and round(-change("psu"), 1) == 0.5
    assert round(-change("ipsu"), 1) == 3.4 and round(change("psn-masked", None), 1) == 1.8
    leaks = leaks_of("permuted MNIST")
    every, shown = [*leaks.values()], {key: v for key, v in leaks.items() if key[2] in (None, 3)}
    assert round(shown.pop(("prf", 0.5, None))) == 18 and len(shown) == 16
    assert (round(min(shown.values())), round(max(shown.values()))) == (26, 29)
    assert all(abs(of(*key) - of("lif-exact")) < 0.5 for key in (("fpt", 0.9, 3), ("fpt", 0.9, 5), ("no-reset", 0.9)))
    assert round(of("fpt", k=2) - of("lif-exact")) == 5 and round(of("fpt", k=2)) == 31
    assert round(-change("ipsu", 0.5), 1) == 0.1 and change("psu", 0.5) >= 0
    assert [round(of("lif-exact", 0.5, title=t) - of("lif-exact", title=t)) for t in PERMUTED] == [1, 2]
    falls = [of("lif-exact", 0.5, title=ORDERED[t]) - of("lif-exact", 0.5, title=t) for t in PERMUTED]
    assert [round(v) for v in falls] == [5, 5]
    assert (of("lif-exact"), of("lif-loop")) == (26.1, 26.2)
    assert max(every) < 33
    assert all(ORDERED[title] in PIXELS for title in PERMUTED)


def test_sentences_on_fashion():
    """Pixels in order and permuted; every cell has three seeds."""
    titles = ("pixels Fashion", "permuted Fashion")
    assert all(complete(rows) for title in titles for rows in cells(RECORD, PLACES[title]).values())
    of = lambda arm, decay=0.9, title=titles[0]: points(title, arm, decay, shown_k(arm))
    assert [round(of(arm, None)) for arm in ("psn-sliding", "psn-masked", "psn")] == [66, 78, 86]
    assert [round(of(arm)) for arm in ("prf", "fpt", "ipsu", "psu")] == [36, 60, 76, 84]
    leaks = [of(arm) for arm in FIXED]
    assert (min(leaks), max(leaks)) == (of("prf"), of("fpt"))
    lead = lambda arm, title: of(arm, title=title) - of("lif-exact", title=title)
    assert [round(lead("fpt", title)) for title in titles] == [4, 4]
    assert [round(lead("no-reset", title)) for title in titles] == [1, 2]
    change = lambda arm, decay=0.9: of(arm, decay, titles[1]) - of(arm, decay)
    knows = [change("psn", None), change("psn-masked", None), change("psu"), change("ipsu")]
    assert (round(min(knows), 1), round(max(knows), 1)) == (-0.2, 2.7)
    assert [round(-change("lif-exact")), round(-change("psn-sliding", None))] == [24, 23]
    assert round(-change("prf"), 1) == 2.7
    half = [of("psu", 0.5, titles[1]) - of("psu", 0.5), of("ipsu", 0.5, titles[1]) - of("ipsu", 0.5)]
    assert min(half) > -0.2 and max(half) <= 2.7
    scores = leaks_of(titles[1])
    assert len(scores) == 29 and max(scores.values()) < 38  # the histogram's
    slow = {arm: round(of(arm, 0.5)) for arm in FIXED}
    assert (
        (slow["prf"], slow["no-reset"], slow["lif-exact"])
        == (17, 46, 39)
        == (min(slow.values()), max(slow.values()), 39)
    )
    assert round(of("no-reset", 0.5) - of("lif-exact", 0.5)) == 7 and round(of("fpt", 0.5) - of("lif-exact", 0.5)) == 1
    assert round(of("ipsu", 0.5)) == 84


def test_what_no_grid_holds():
    """SpikingJelly has the pictures alone; the loop has fixed decays."""
    planned = set().union(*(runs for name, runs, _ in coverage(RECORD, of_long_tasks) if not name.startswith(RAW)))
    tasks = lambda arm: {task for task, name, *_ in planned if name == arm}
    assert tasks("spikingjelly") == {PLACES[title] for title in PIXELS | PERMUTED}
    assert tasks("lif-loop") == set(PLACES.values())
    assert {decay for _, arm, decay, *_ in planned if arm == "lif-loop"} == {0.5, 0.9}


def test_sentences_on_the_new_speaker():
    title, found = "FSDD, new speaker", cells(RECORD, PLACES["FSDD, new speaker"])
    assert all(complete(rows) for rows in found.values()) and len(found) == 34
    falls = {key: 100 * mean(rows, lambda r: r["val"] - r["test"]) for key, rows in found.items()}
    slow = ("prf", 0.5, None)
    assert round(falls.pop(slow)) == 21 and round(100 * mean(found[slow], "val")) == 40
    assert (round(min(falls.values())), round(max(falls.values()))) == (43, 58)
    assert {(arm, d, k) for arm, d, k in sorted(falls, key=falls.get)[-2:]} == {
        (a, 0.9, 2) for a in ("fpt", "fpt-graded")
    }
    assert all(mean(rows, "test") <= 0.5 * mean(rows, "val") for rows in found.values())
    tests = {key: 100 * mean(rows, "test") for key, rows in found.items()}
    best, worst = max(tests, key=tests.get), min(tests, key=tests.get)
    assert (best, worst) == (("psu", 0.9, None), slow)
    assert [round(tests[best]), round(tests[worst])] == [36, 19]
    reset = lambda where: points(where, "lif-exact", 0.9) - points(where, "no-reset", 0.9)
    assert (round(reset("FSDD, takes")), round(reset(title))) == (3, -4)
    lead = {
        k: [points(title, a, 0.9, k) - points(title, "lif-exact", 0.9) for a in ("fpt", "fpt-graded")]
        for k in (2, 3, 5)
    }
    assert all(2.9 < v < 4.1 for v in lead[3] + lead[5]) and [round(v) for v in lead[2]] == [-3, -2]
    assert (points(title, "lif-exact", 0.9), points(title, "lif-loop", 0.9)) == (29.1, 28.8)
    assert 100 * 0.30 < tests[best]  # the yardstick's, below


def test_sentences_on_pixels():
    of = lambda arm, decay=0.9, k=None: points("pixels MNIST", arm, decay, k)
    assert [of("lif-exact"), of("no-reset"), of("fpt", k=3)] == [36.1, 44.7, 49.3]
    assert abs(of("lif-exact") - of("lif-loop")) < 1 and abs(of("lif-exact") - of("spikingjelly")) < 1
    assert [round(of(arm, None)) for arm in ("psn-sliding", "psn-masked", "psn")] == [62, 89, 97]
    assert [round(of(arm, d)) for arm, d in (("ipsu", 0.9), ("ipsu", 0.5), ("psu", 0.9), ("psu", 0.5))] == [
        89,
        96,
        97,
        97,
    ]
    slow = [of("lif-exact", 0.5), of("no-reset", 0.5), of("fpt", 0.5, 3)]
    assert [round(slow[0]), round(slow[0] - slow[1]), round(slow[0] - slow[2])] == [32, 1, 2]
    arms = (("lif-exact", None), ("no-reset", None), ("fpt", 3))
    deviations = [100 * deviation(rows_of(RECORD, "pixels MNIST", arm, 0.5, k), "test") for arm, k in arms]
    assert {round(v) for v in deviations} == {1, 2}
    assert round(100 * deviation(rows_of(RECORD, "pixels MNIST", "psn-sliding"), "test")) == 7
    size = lambda arm, decay: rows_of(RECORD, "pixels MNIST", arm, decay)[0]["params"]
    lif_size = size("lif-exact", 0.9)
    clocks = (("psn", None), ("psn-masked", None), ("ipsu", 0.9), ("psu", 0.9))
    assert [round(size(*arm) / lif_size) for arm in clocks] == [238, 238, 238, 474]
    assert size("psn-sliding", None) - lif_size == 2 * 33
    for decay in (0.5, 0.9):
        assert of("prf", decay) == min(
            of(arm, d) for arm, d, k in cells(RECORD, "pixels-mnist") if d == decay and k is None
        )


def test_sentences_on_signals():
    for title, gain, reset in (("FSDD, takes", 12, 3), ("ECG", 19, -3)):
        lif_at = {decay: points(title, "lif-exact", decay) for decay in (0.5, 0.9)}
        assert round(lif_at[0.9] - lif_at[0.5]) == gain
        assert round(lif_at[0.9] - points(title, "no-reset", 0.9)) == reset
        assert points(title, "no-reset", 0.5) - lif_at[0.5] > 3
        others = {
            key: points(title, *key)
            for key in cells(RECORD, PLACES[title])
            if key[2] is None and complete(rows_of(RECORD, title, *key))
        }
        assert {key[0] for key in sorted(others, key=others.get)[:2]} == {"prf"}
        best = max(others, key=others.get)
        assert best == (("psu", 0.9, None) if title != "ECG" else ("psn-sliding", None, None))
        assert max(others.values()) < 86
    assert round(points("ECG", "psn-sliding", None) - points("ECG", "lif-exact", 0.9)) == 8
    bare = rows_of(RECORD, "FSDD, takes", "fpt-guess", 0.9, 1)
    assert round(100 * mean(bare, "test")) == round(points("FSDD, takes", "psu", 0.9)) == 82
    assert bare[0]["params"] == rows_of(RECORD, "FSDD, takes", "lif-exact", 0.9)[0]["params"]
    assert {r["best_epoch"] for r in rows_of(RECORD, "ECG", "psn")} == {3, 4}  # counted from 0


def test_sentences_on_learned_decays():
    ordered = [title for title in PLACES if title not in PERMUTED]
    horizons = [1 / (1 - d) for title in ordered for d in learned(RECORD, title)]
    assert len(horizons) == 10 and {round(h) for h in horizons} == {3, 4, 5}
    own = lambda title, beside: round(points(title, "lif-exact", "learned") - points(title, "lif-exact", beside))
    assert ordered == ["pixels MNIST", "pixels Fashion", "FSDD, takes", "FSDD, new speaker", "ECG"]
    assert [own(title, 0.5) for title in ordered] == [1, 8, 4, 1, 4]
    assert [-own(title, 0.9) for title in ordered] == [3, 9, 8, 2, 15]
    assert [own(title, 0.5) for title in PERMUTED] == [1, 2] and [own(title, 0.9) for title in PERMUTED] == [2, 4]
    for title, shortened, worth in (("permuted MNIST", 0.42, 2), ("permuted Fashion", 0.28, 4)):
        first, second = learned(RECORD, title)
        assert round(first, 2) == shortened < 0.5 < second
        assert round(points(title, "lif-exact", "learned") - points(title, "lif-exact", 0.9)) == worth


def test_sentences_on_deployment():
    both = [(arm, k) for arm in ("fpt", "fpt-graded") for k in (2, 3, 5)]
    as_lif = lambda title, decay: [points(title, arm, decay, k, "test_as_sequential_lif") for arm, k in both]
    ends = lambda values: (round(min(values)), round(max(values)))
    left = {title: ends(as_lif(title, 0.9)) for title in PLACES}
    assert left == {
        "pixels MNIST": (10, 12), "pixels Fashion": (11, 20), "permuted MNIST": (9, 16), "permuted Fashion": (13, 17),
        "FSDD, takes": (21, 32), "FSDD, new speaker": (12, 13), "ECG": (16, 17),
    }  # fmt: skip
    assert [ends(as_lif(title, "learned")) for title in PIXELS] == [(10, 12), (19, 25)]
    wrong = [points(t, arm, 0.9, k, "spike_mismatch") for t in PLACES for arm, k in both]
    assert ends(wrong) == (11, 22)
    lost = lambda title, k: [
        points(title, a, 0.5, k) - points(title, a, 0.5, k, "test_as_sequential_lif") for a in ("fpt", "fpt-graded")
    ]
    many = {title: lost(title, 3) + lost(title, 5) for title in PLACES}
    assert max(many["FSDD, takes"] + many["FSDD, new speaker"]) <= 2.3 + 1e-9
    assert max(many["permuted Fashion"]) <= 2.0 + 1e-9
    cost = {"ECG": (3, 12), "permuted MNIST": (5, 17), "pixels Fashion": (7, 14)}
    assert {title: ends(many[title]) for title in cost} == cost
    pixels = [r for a in ("fpt", "fpt-graded") for k in (3, 5) for r in rows_of(RECORD, "pixels MNIST", a, 0.5, k)]
    assert len(pixels) == 12 and {r["test_as_sequential_lif"] for r in pixels} == {0.098}
    assert points("pixels MNIST", "fpt-graded", 0.5, 5, "spike_mismatch") == 0.2
    assert all(
        points("FSDD, takes", a, 0.5, 2, "test_as_sequential_lif") < 0.5 * points("FSDD, takes", a, 0.5, 2)
        for a in ("fpt", "fpt-graded")
    )
    assert all(
        points("FSDD, new speaker", a, 0.5, 2, "test_as_sequential_lif") < 0.57 * points("FSDD, new speaker", a, 0.5, 2)
        for a in ("fpt", "fpt-graded")
    )
    late = {(r["shape"].split()[0], r["arm"], r["decay"]) for r in RECORD["records"] if r.get("timed") is not None}
    assert {("pixels", arm, 0.5) for arm in (*FIXED, "lif-loop", "spikingjelly", "psu", "ipsu")} <= late
    assert {arm for arm, d in {(a, d) for _, a, d in late} if d == 0.9} <= {"prf", "fpt-graded"}
    share = {k: points("FSDD, takes", "fpt", 0.5, k, "spike_mismatch") for k in (2, 3)}
    assert share == {2: 4.4, 3: 3.5} and round(lost("FSDD, takes", 2)[0]) == 35 and lost("FSDD, takes", 3)[0] <= 0
    own = [points(t, "fpt", 0.9, 3) - points(t, "lif-exact", 0.9) for t in ("ECG", "pixels MNIST", "FSDD, takes")]
    assert [round(v) for v in own] == [5, 13, -2] and points("ECG", "fpt", 0.9, 3) == 76.3
    pair = lambda title: [round(points(title, *key)) for key in (("fpt", 0.9, 3), ("lif-exact", 0.9))]
    assert [pair(title) for title in ("pixels Fashion", "permuted Fashion")] == [[60, 56], [36, 32]]
    half = [round(points(t, "fpt", 0.5, 3) - points(t, "lif-exact", 0.5)) for t in PLACES]
    assert (min(half), max(half)) == (-2, 1)


def test_sentences_on_time():
    at = lambda arm, field="step_ms", title="pixels MNIST": timed(RECORD, title, arm, field)
    times = lambda arm, field="step_ms", title="pixels MNIST": ratio(RECORD, title, arm, field)
    assert round(at("lif-exact"), 1) == 3.7 and round(at("lif-loop")) == 443
    assert round(times("lif-loop")) == 119 and round(times("lif-loop", "graph_ms")) == 17  # the bar is 5
    assert round(times("spikingjelly"), 1) == 1.5 and at("spikingjelly", "graph_ms") is None
    assert [round(times("fpt", f), 1) for f in ("step_ms", "graph_ms")] == [2.2, 4.2]
    bare = [times("no-reset", f, t) for f in ("step_ms", "graph_ms") for t in CLOCKED]
    assert (round(min(bare), 2), round(max(bare), 2)) == (0.59, 1.01)
    short = "FSDD, takes"
    parallel = [arm for arm in shown_arms(RECORD) if arm not in ("lif-loop", "spikingjelly")]
    assert max(parallel, key=lambda arm: at(arm, title=short)) == "lif-exact"
    assert at("lif-exact", title=short) > at("lif-exact", title="ECG") and round(at("lif-exact", title=short), 1) == 6.2
    assert round(mean(rows_of(RECORD, short, "lif-exact", 0.5), "step_ms"), 1) == 3.9
    quick = sorted(parallel, key=lambda arm: at(arm, "graph_ms", short))
    assert quick[:2] == ["no-reset", "lif-exact"] and round(at("lif-exact", "graph_ms", short), 1) == 0.9
    counted = [times("prf", "graph_ms", title) for title in CLOCKED]
    assert (round(min(counted), 1), round(max(counted), 1)) == (1.1, 1.2)
    assert all(peak(RECORD, title, "prf") is None and peak(RECORD, title, "fpt") for title in CLOCKED)
    more = [times("fpt", "peak_bytes", title) for title in CLOCKED]
    assert (round(min(more), 1), round(max(more), 1)) == (1.2, 1.6)
    assert all(abs(times("no-reset", "peak_bytes", title) - 1) < 0.01 for title in CLOCKED)

    goal = lambda arm, target, decay=0.9, title="pixels MNIST": [
        r["time_to"].get(target) for r in rows_of(RECORD, title, arm, decay)
    ]
    first = [sum(goal(arm, "0.3")) / 3 for arm in ("lif-exact", "spikingjelly", "lif-loop")]
    assert [round(first[0], 1), round(first[1], 1), round(first[2])] == [0.9, 1.0, 79]
    epochs = lambda arm: sorted(r["epochs_to"]["0.3"] for r in rows_of(RECORD, "pixels MNIST", arm, 0.9))
    assert [sum(epochs(arm)) for arm in ("lif-exact", "spikingjelly", "lif-loop")] == [7, 5, 5]
    assert goal("lif-exact", "0.5") == [None] * 3
    for title in ("pixels MNIST", "permuted MNIST"):
        assert [round(t, 1) for t in goal("psn", "0.7", None, title)] == [0.6] * 3
        assert {r["epochs_to"]["0.7"] for r in rows_of(RECORD, title, "psn")} == {1}
    assert all(
        goal(arm, "0.3", title="permuted MNIST") == [None] * 3 for arm in ("lif-exact", "lif-loop", "spikingjelly")
    )


def test_sentences_on_raw_sound():
    of = {arm: {steps: r["step_ms"] for steps, r in runs.items()} for arm, runs in raw(RECORD).items()}
    exact, longest = of["lif-exact"], 18000
    assert round(exact[longest], 1) == 7.9 and round(of["lif-loop"][longest] / 1000, 1) == 9.7
    over = {arm: times[longest] / exact[longest] for arm, times in of.items()}
    assert [round(over[a], 1) for a in ("spikingjelly", "psn-sliding")] == [6.4, 4.6]
    assert [round(over[a]) for a in ("fpt", "lif-loop")] == [80, 1228] and abs(over["no-reset"] - 1) < 0.02
    held = {arm: runs[longest]["peak_bytes"] / 1e9 for arm, runs in raw(RECORD).items()}
    assert [round(held[a], 1) for a in ("fpt", "lif-exact")] == [10.7, 3.4]
    assert set(lengths_of(RECORD)) == {1000, 2000, 4000, 8000, 16000, 18000}
    assert earlier(RECORD) == {1000, 4000, 18000}
    a_step = {steps: ms / steps for steps, ms in of["lif-loop"].items()}
    old, new = ([a_step[steps] for steps in lengths] for lengths in ((1000, 4000, 18000), (2000, 8000, 16000)))
    assert [round(v, 2) for v in (min(old), max(old), min(new), max(new))] == [0.52, 0.55, 0.40, 0.50]
    grown = {arm: times[16000] / times[2000] for arm, times in of.items()}
    assert [round(grown[a], 1) for a in ("lif-loop", "spikingjelly")] == [6.4, 6.3] and round(grown["fpt"]) == 46
    assert grown["lif-exact"] < 2
    graph = {arm: {steps: r["graph_ms"] for steps, r in runs.items()} for arm, runs in raw(RECORD).items()}
    captured = lambda arm, steps: graph[arm][steps] / graph["lif-exact"][steps]
    assert [round(graph[a][16000] / graph[a][2000], 1) for a in ("lif-exact",)] == [6.1]
    assert round(graph["fpt"][16000] / graph["fpt"][2000]) == 49
    assert [round(graph["lif-exact"][steps], 1) for steps in (2000, 16000)] == [1.1, 6.6]
    assert round(captured("lif-loop", 2000)) == 87 and round(captured("spikingjelly", 16000), 1) == 6.7
    assert round(captured("fpt", 16000)) == 76
    dearer = [100 / captured("no-reset", steps) - 100 for steps in (2000, 8000, 16000)]
    assert (round(min(dearer)), round(max(dearer))) == (1, 9)
    assert graph["spikingjelly"][2000] is None and not any(graph["lif-loop"][steps] for steps in (8000, 16000))
    peak = {arm: {steps: r["peak_bytes"] for steps, r in runs.items()} for arm, runs in raw(RECORD).items()}
    apart_ = {steps: peak["no-reset"][steps] - peak["lif-exact"][steps] for steps in lengths_of(RECORD)}
    assert all(apart_[steps] == 0 for steps in (2000, 8000, 16000))
    assert all(0.2e9 < apart_[steps] < 0.3e9 for steps in earlier(RECORD))


@pytest.mark.skipif("FPTLIB_DATA" not in os.environ, reason="FPTLIB_DATA does not name the folder of the data sets")
@pytest.mark.parametrize("name, right", [("mnist", 0.33), ("fashion-mnist", 0.38)])
def test_the_yardstick_on_permuted_pixels(name, right):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    found = data.load(name)
    grey = lambda x: np.stack([np.bincount(row, minlength=32) for row in (32 * x.flatten(1)).long().clamp(max=31)])
    seen, labels = grey(found.x[:55_000]), found.y[:55_000].numpy()
    scale = StandardScaler().fit(seen)
    model = LogisticRegression(max_iter=300).fit(scale.transform(seen), labels)
    assert abs(model.score(scale.transform(grey(found.x_test)), found.y_test.numpy()) - right) < 0.01


@pytest.mark.skipif("FPTLIB_DATA" not in os.environ, reason="FPTLIB_DATA does not name the folder of the data sets")
def test_the_yardstick_on_digits():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    found = data.load("fsdd")
    start, length, take = (found.extra[key] for key in ("start", "length", "take"))
    seen = []
    for first, size in zip(start.tolist(), length.clamp(max=4800).tolist()):
        loud = frontend.envelopes(found.x[None, first : first + size])[:, 0].clamp(min=1e-3)
        seen.append(torch.nn.functional.adaptive_avg_pool1d(20 * torch.log10(loud).T[None], 30).flatten())
    x, y = torch.stack(seen).numpy(), found.y.numpy()
    theo = torch.tensor([name == "theo" for name in found.extra["speaker"]])
    splits = ((take >= 5) & (take < 45), take < 5, 0.86), ((take < 45) & ~theo, theo, 0.30)
    for train, test, right in splits:
        scale = StandardScaler().fit(x[train.numpy()])
        model = LogisticRegression(max_iter=300, C=0.05).fit(scale.transform(x[train.numpy()]), y[train.numpy()])
        assert abs(model.score(scale.transform(x[test.numpy()]), y[test.numpy()]) - right) < 0.01
