"""The forecasting harness: parts without leakage, metrics and their identity, naive rows, missing data, neurons in backbones."""

import hashlib
import json
import math
import os
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from sklearn.metrics import r2_score

from experiments import loop, record
from experiments.forecast import backbones, metrics, missing, naive, neurons, public, run, series
from fptlib import Sequential, solve

ROOT = Path(__file__).resolve().parents[1]
SAME = 1e-9  # float64 sums in another order


def waves(steps=1200, channels=3, period=24, seed=0):
    """A daily wave per channel plus noise, with very different sizes."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)[:, None]
    size = 10.0 ** np.arange(channels)
    values = size * (
        5 + np.sin(2 * np.pi * t / period + np.arange(channels)) + 0.1 * rng.normal(size=(steps, channels))
    )
    return torch.tensor(values, dtype=torch.float32)


def prepared(gap=30, missing_cells=None, **options):
    return series.prepare("made", waves(), missing_cells, 24, "A made series.", gap, **options)


def random_case(seed, channels=4, horizon=3, windows=50):
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([1.0, 5.0, 20.0, 100.0])[:channels]
    y = torch.randn(horizon, windows, channels, generator=generator, dtype=torch.float64) * size + 3 * size
    return y, y + torch.randn(y.shape, generator=generator, dtype=torch.float64) * size


# ------------------------------------------------------------------------------------------------ parts and statistics


def test_parts_keep_a_gap_and_windows_stay_inside():
    data = prepared()
    (a, b), (c, d), (e, f) = data.parts.values()
    assert (a, f) == (0, 1200) and c - b == e - d == 30
    used = {}
    for part in data.parts:
        starts = data.starts(part, 20, 10)
        used[part] = {step for s in starts.tolist() for step in range(s, s + 30)}
        low, high = data.parts[part]
        assert min(used[part]) == low and max(used[part]) == high - 1
    assert not used["train"] & used["val"] and not used["val"] & used["test"] and not used["train"] & used["test"]


def test_statistics_come_from_observed_training_cells_only():
    values, gone = waves(), torch.zeros(1200, 3, dtype=torch.bool)
    gone[::7, 1] = True
    plain = series.prepare("made", values, gone, 24, "", 30)
    spoiled = values.clone()
    spoiled[840:] = 1e6  # validation and test
    spoiled[gone] = -1e6  # cells nobody measured
    other = series.prepare("made", spoiled, gone, 24, "", 30)
    assert torch.equal(plain.mean, other.mean) and torch.equal(plain.deviation, other.deviation)
    assert torch.equal(plain.values[:840], other.values[:840]) and not plain.values[gone].any()
    train = plain.values[:840][~gone[:840]]
    assert abs(train.mean().item()) < 1e-5 and abs(train.std().item() - 1) < 1e-2


def test_the_papers_variant_sees_everything():
    gone = torch.zeros(1200, 3, dtype=torch.bool)
    gone[::7] = True
    values = waves()
    values[gone] = math.nan
    data = prepared()
    leaky = series.prepare("made", values, gone, 24, "", 30, masked=False, statistics="file")
    assert leaky.observed.all() and len(set(leaky.mean.tolist())) == 1
    assert leaky.mean[0] != data.mean[0]
    _, _, target, known = leaky.windows(torch.arange(0, 50), 20, 10)
    assert known.all() and torch.isfinite(target).all()


def test_a_file_of_the_papers_sets_is_read(tmp_path):
    np.savetxt(tmp_path / "solar.txt.gz", waves().numpy(), delimiter=",")
    found = series.load("solar", 20, 10, file=tmp_path / "solar.txt.gz", period=24)
    assert torch.allclose(found.values, prepared().values, atol=1e-3) and found.period == 24
    with pytest.raises(ValueError, match="without period"):
        series.load("solar", 20, 10, file=tmp_path / "solar.txt.gz")
    with pytest.raises(ValueError, match="'solar' is not known"):
        series.load("solar", 20, 10)


@pytest.fixture
def whole(monkeypatch, tmp_path):
    """One public set of each kind, made: a gzipped file under a pinned sum, and a table with names and times under a record's sum."""
    folder = tmp_path / "papers"
    folder.mkdir()
    plain, named = folder / "plain.txt.gz", folder / "named.csv"
    values = waves().numpy().round(3)
    values[5, 1] = 0
    np.savetxt(plain, values, delimiter=",", fmt="%.3f")
    rows = [f"2012-03-01 00:{i:02d}:00," + ",".join(f"{v:.3f}" for v in row) for i, row in enumerate(values)]
    named.write_text("\n".join([",".join(["", *(str(100 + c) for c in range(values.shape[1]))]), *rows]) + "\n")
    made = lambda file, md5, zeros: public.Public("made://here/", file, md5, values.shape, 24, "Made.", zeros)
    monkeypatch.setitem(
        public.PUBLIC, "pinned", made("plain.txt.gz", hashlib.md5(plain.read_bytes()).hexdigest(), False)
    )
    monkeypatch.setitem(public.PUBLIC, "recorded", made("named.csv", None, True))
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    return folder


def test_the_papers_whole_sets_are_fetched_only_when_asked_and_checked(whole, monkeypatch):
    """What is kept in the folder stands for the network: pooch fetches nothing that is there with the right sum."""
    kept = hashlib.md5((whole / "named.csv").read_bytes()).hexdigest()
    monkeypatch.setattr(
        pooch.Pooch, "load_registry_from_doi", lambda self: self.registry.update({"named.csv": f"md5:{kept}"})
    )
    one, two = (series.load(name, 20, 10, download=True) for name in ("pinned", "recorded"))
    assert one.observed.all() and not two.observed[5, 1] and two.observed.sum() == one.observed.numel() - 1
    assert one.values.shape == waves().shape and one.period == two.period == 24 and two.what == "Made."
    with pytest.raises(ValueError, match="`download = true`"):
        series.load("pinned", 20, 10)
    monkeypatch.setitem(public.PUBLIC, "pinned", replace(public.PUBLIC["pinned"], shape=(7, 3)))
    with pytest.raises(ValueError, match=r"\(7, 3\) is wanted"):
        series.load("pinned", 20, 10, download=True)
    (whole / "plain.txt.gz").write_bytes(b"other")
    with pytest.raises(
        Exception, match="URL|url|http|schema|doi"
    ):  # another content: pooch goes to the network for the right one
        series.load("pinned", 20, 10, download=True)


def test_the_configs_of_the_papers_sets_are_those_of_the_book_on_other_data():
    folder = Path(public.__file__).parents[1] / "configs"
    names = set()
    for path in sorted((folder / "papers").glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        names.add(tables["data"]["name"])
        assert tables["data"]["download"] is True and len(list(run.runs(tables))) > 200
        ours = tomllib.loads((folder / "forecast-pjm.toml").read_text(encoding="utf-8"))
        assert all(tables[part] == ours[part] for part in ("model", "missing", "grid"))
    assert names == set(public.PUBLIC)
    exchange = "9dd5a9c8f8f324e234938400f232fa08"  # the sum torch-timeseries checks for a file of the same repository
    local = Path(os.environ.get("FPTLIB_DATA", "")) / "weather" / "exchange_rate_daily.txt.gz"
    if local.is_file():
        assert hashlib.md5(local.read_bytes()).hexdigest() == exchange


def test_a_stride_that_sees_some_hours_only_is_refused():
    with pytest.raises(ValueError, match="coprime"):
        prepared().starts("train", 20, 10, every=12)
    assert len(prepared().starts("train", 20, 10, every=7)) == 116
    with pytest.raises(ValueError, match="does not fit"):
        prepared().starts("val", 20, 10_000)
    with pytest.raises(ValueError, match="leaves nothing"):
        prepared(gap=120)


# ------------------------------------------------------------------------------------------------ metrics


def test_scores_are_those_of_the_formulas():
    y, forecast = random_case(0)
    found = metrics.scores(metrics.sums(forecast, y))
    assert found["r2"] == pytest.approx(r2_score(y.flatten(), forecast.flatten()), abs=SAME)
    each = (y - y.mean(1, keepdim=True)).square().sum()
    assert found["rse"] == pytest.approx(((y - forecast).square().sum() / each).sqrt().item(), abs=SAME)
    assert found["mae"] == pytest.approx((y - forecast).abs().mean().item(), abs=SAME)
    for c, value in enumerate(found["r2_per_channel"]):
        assert value == pytest.approx(r2_score(y[..., c].flatten(), forecast[..., c].flatten()), abs=SAME)
    error = (y - forecast).square().sum((0, 1)) / (y - y.mean(1, keepdim=True)).square().sum((0, 1))
    assert found["rse_per_channel"] == pytest.approx(error.sqrt().tolist(), abs=SAME)


@pytest.mark.parametrize("masked", [False, True])
def test_rse_squared_over_one_minus_r2_is_a_constant_of_the_data(masked):
    y, forecast = random_case(1)
    known = torch.rand(y.shape, generator=torch.Generator().manual_seed(2)) > 0.3 if masked else None
    rows = [forecast, y.mean(1, keepdim=True).expand_as(y), torch.zeros_like(y), y + 0.1]
    ratios = []
    for row in rows:
        s = metrics.sums(row, y, known)
        found = metrics.scores(s)
        ratios.append(found["rse"] ** 2 / (1 - found["r2"]))
        assert ratios[-1] == pytest.approx(metrics.column_constant(s), rel=1e-6)
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-6)


def test_pooled_r2_is_blind_where_channels_differ_in_size():
    """A forecast that knows nothing but each channel's level: near one pooled, zero or less per channel."""
    y, _ = random_case(3)
    found = metrics.scores(metrics.sums(y.mean((0, 1), keepdim=True).expand_as(y), y))
    assert found["r2"] > 0.7 and max(found["r2_per_channel"]) < 1e-9


def test_sums_of_blocks_are_the_sums_of_all_and_the_interval_holds_the_score():
    y, forecast = random_case(4)
    blocks = [metrics.sums(forecast[:, i : i + 5], y[:, i : i + 5]) for i in range(0, 50, 5)]
    total = sum(blocks[1:], blocks[0])
    assert metrics.scores(total)["r2"] == pytest.approx(metrics.scores(metrics.sums(forecast, y))["r2"], abs=SAME)
    low, high = metrics.block_interval(blocks, draws=200)
    assert low < metrics.scores(total)["r2"] < high
    assert metrics.block_interval(blocks, draws=200) == [low, high]


# ------------------------------------------------------------------------------------------------ naive rows


def test_naive_rows_on_a_pure_wave():
    t = torch.arange(1000.0)[:, None]
    wave = torch.sin(2 * math.pi * t / 24) * torch.tensor([1.0, 7.0])
    data = series.prepare("made", wave, None, 24, "", 58)
    starts = data.starts("test", 48, 10)[:5]
    x, seen, y, _ = data.windows(starts, 48, 10)
    assert torch.allclose(naive.seasonal(data, starts, 48, 10), y, atol=1e-4)
    assert torch.equal(naive.persistence(x, seen, 10)[3], x[-1])
    ridge = naive.SharedRidge(1e-9).fit(data, 48, 10)
    assert torch.allclose(ridge(x, seen, 10), y, atol=1e-3)


def test_a_season_with_gaps_takes_what_is_left():
    data = prepared(gap=58)
    starts = data.starts("test", 30, 10)[:5]
    x, seen, _, _ = data.windows(starts, 30, 10)
    whole = naive.seasonal_with_gaps(data, starts, x, seen, 10)
    assert torch.equal(whole, naive.seasonal(data, starts, 30, 10))
    left = seen.clone()
    left[30 + 3 - 24, 2] = False  # the value a day before the fourth target of the third window
    found = naive.seasonal_with_gaps(data, starts, x, left, 10)
    assert torch.equal(found[3, 2], naive.last_observed(x, left)[2]) and (found != whole).sum() == found.shape[2]


def test_a_season_never_looks_past_the_window():
    data = prepared()
    starts = data.starts("train", 20, 40)[:4]
    late = series.prepare("made", waves(), None, 24, "", 30)
    late.values[int(starts[0]) + 20 :] += 100  # everything after the first window's end
    assert torch.equal(naive.seasonal(data, starts[:1], 20, 40), naive.seasonal(late, starts[:1], 20, 40))


def test_gaps_take_the_last_observed_value():
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
    seen = torch.tensor([False, True, False, False])[:, None, None]
    assert naive.filled(x, seen).flatten().tolist() == [0, 2, 2, 2]
    assert naive.last_observed(x, seen).item() == 2 and naive.last_observed(x, ~seen & False).item() == 0


# ------------------------------------------------------------------------------------------------ missing data


@pytest.mark.parametrize("mechanism", missing.MECHANISMS)
@pytest.mark.parametrize("share", [0.2, 0.8])
def test_mechanisms_remove_their_share_in_their_shape(mechanism, share):
    draw = lambda seed: missing.removed((96, 40, 30), share, mechanism, torch.Generator().manual_seed(seed))
    gone = draw(0)
    assert gone.shape == (96, 40, 30) and abs(gone.float().mean().item() - share) < 0.04
    assert torch.equal(gone, draw(0)) and not torch.equal(gone, draw(1))
    changes = (gone[1:] != gone[:-1]).float().sum(0)
    if mechanism == "sensors":
        assert not changes.any()
    if mechanism == "blocks":  # at most one change every 12 steps
        assert changes.max() <= 8 and changes.any()


def test_honest_imputation_does_not_know_what_was_removed_and_the_papers_does():
    x = 5 + torch.randn(48, 6, 2, generator=torch.Generator().manual_seed(0))
    seen = torch.ones_like(x, dtype=torch.bool)
    gone = missing.removed(x.shape, 0.5, "entries", torch.Generator().manual_seed(1))
    spoiled = torch.where(gone, x + 1000, x)
    honest = [missing.ready(v, seen, gone) for v in (x, spoiled)]
    papers = [missing.ready(v, seen, gone, "papers") for v in (x, spoiled)]
    assert all(torch.equal(a, b) for a, b in zip(*honest))
    assert not torch.allclose(papers[0][1], papers[1][1])
    assert not papers[0][0][gone].any() and honest[0][0][gone].any()
    everything = torch.ones_like(gone)
    blank, mean, scale = missing.ready(x, seen, everything)
    assert not blank.any() and not mean.any() and (scale == 1).all()


# ------------------------------------------------------------------------------------------------ neurons and backbones


@pytest.mark.parametrize("backbone", backbones.BACKBONES)
@pytest.mark.parametrize("kind", neurons.NEURONS)
def test_every_neuron_in_every_backbone(backbone, kind):
    torch.manual_seed(0)
    network = backbones.build(backbone, neurons.neuron_maker(kind), 5, 8, ann=kind == "ann")
    x = 3 * torch.randn(16, 2, 3, generator=torch.Generator().manual_seed(1))
    out = network(x)
    assert out.shape == (5, 2, 3)
    out.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    learned = [m.raw for m in network.modules() if isinstance(m, neurons.TwoCompartments)]
    assert all(raw.grad is not None for raw in learned) and bool(learned) == kind.startswith("t")


@pytest.mark.parametrize("kind", ["tc-lif", "ts-lif", "ts-lif-stable"])
def test_two_compartments_start_as_released_and_equal_the_loop(kind):
    layer = neurons.TwoCompartments(kind, 4)
    start = [v.item() for v in layer.dynamics()]
    assert start == pytest.approx([1, 1, -0.5, 0.5] if kind == "tc-lif" else [0.8, 0.3, -0.1, -0.8], abs=1e-6)
    x = 2 * torch.randn(30, 5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(x), solve(layer.table(), x, Sequential()).output)
    assert torch.equal(layer(x), neurons.neuron_maker(kind, solver="loop")(4)(x))
    report = layer.report()
    assert len(report["gaps"]) == 3 and len(report["rates"]) == (1 if kind == "tc-lif" else 2)
    assert (min(report["gaps"]) > 0) == (kind != "tc-lif")


def test_the_stable_neuron_stays_stable_wherever_training_takes_it():
    layer = neurons.TwoCompartments("ts-lif-stable", 1)
    for seed in range(20):
        torch.nn.init.normal_(layer.raw, 0, 3, generator=torch.Generator().manual_seed(seed))
        assert layer.report()["radius"] <= 1


def test_budgets_are_met_for_every_backbone():
    for name in backbones.BACKBONES:
        for kind in ("ann", "lif", "ts-lif"):
            make = lambda w, n=name, k=kind: backbones.build(n, neurons.neuron_maker(k), 24, w, ann=k == "ann")
            count = backbones.weights(make(backbones.width_for(20000, make)))
            assert abs(count - 20000) < 0.12 * 20000, (name, kind, count)


# ------------------------------------------------------------------------------------------------ runs


def tables(**missing_table):
    return {
        "data": {"name": "made", "lookback": 20, "every": 11},
        "model": {"budget": 300},
        "train": {"epochs": 2, "batch": 16, "optimiser": "adam", "rate": 1e-2, "clip": 1.0, "eval_batch": 64},
        "missing": missing_table,
        "grid": {"backbone": ["gru"], "neuron": ["ts-lif"], "horizon": [4], "seed": [0]},
    }


def test_a_run_writes_all_records_and_the_column_constant_is_one_number(tmp_path):
    asked = tables(share=[0.0, 0.4], mechanism=["blocks"], imputation=["honest", "papers"])
    found = []
    for each in run.runs(asked):
        found += run.one(asked, each, tmp_path, data=prepared(gap=24), talk=lambda text: None)
    assert [row["neuron"] for row in found] == ["persistence", "seasonal", "ridge"] * 3 + ["ts-lif"] * 3
    assert found[0]["r2"] != found[3]["r2"]  # persistence, complete and with gaps
    for row in found:
        record.check(row, record.FORECASTING)
        assert row["rse"] ** 2 / (1 - row["r2"]) == pytest.approx(row["column_constant"], rel=1e-6)
        assert row["r2_interval"][0] < row["r2_interval"][1]
    assert len({round(row["column_constant"], 9) for row in found}) == 1
    assert len(found[0]["r2_per_channel"]) == 3 and found[9]["params"] > 0 and found[9]["neurons"][0]["gaps"]
    files = sorted(tmp_path.glob("*.json"))
    assert [json.loads(p.read_text())["header"].keys() for p in files] == [
        dict.fromkeys((*record.HEADER, "shared")).keys()
    ] * 2
    merged = record.merge(files, tmp_path / "all" / "all.json", "python -m merge")
    assert len(merged) == 12 and all(
        row["rse"] ** 2 / (1 - row["r2"]) == pytest.approx(row["column_constant"], rel=1e-4) for row in merged
    )
    head = json.loads((tmp_path / "all" / "all.json").read_text())["header"]
    assert len(head["runs"]) == 1 and head["data"] == {"made": "A made series."}
    assert run.one(asked, ("gru", "ts-lif", 4, 0), tmp_path, data=prepared(gap=24), talk=lambda text: None) is None


def test_one_and_one_epoch_are_two_bit_for_bit(tmp_path):
    asked, each = tables(train_share=0.3), ("gru", "plif", 4, 0)
    quiet = {"data": prepared(gap=24), "talk": lambda text: None}
    whole = run.one(asked, each, tmp_path / "whole", **quiet)
    assert run.one(asked, each, tmp_path / "cut", pause=1, **quiet) is None
    cut = run.one(asked, each, tmp_path / "cut", **quiet)
    assert [row["loss"] for row in whole[0]["curve"]] == [row["loss"] for row in cut[0]["curve"]]
    assert whole[0]["r2"] == cut[0]["r2"]


def test_every_config_is_complete():
    found = sorted((ROOT / "experiments" / "configs").glob("forecast-*.toml"))
    assert len(found) >= 6
    for path in found:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        assert read["data"]["name"] in series.PERIOD
        assert math.gcd(read["data"].get("every", 1), series.PERIOD[read["data"]["name"]]) == 1
        assert set(read["grid"]["neuron"]) <= set(neurons.NEURONS)
        names = [run.name_of(read, *each) for each in run.runs(read)]
        assert len(set(names)) == len(names)
        loop.Plan(**read["train"])
