"""The chapter on forecasting from a whole grid: a small made grid goes through storing, reading, tables and verdicts."""

import json
import math
from itertools import product

import numpy as np
import pytest
import torch

from experiments import forecast_claims as claims
from experiments import forecast_compact as compact
from experiments import forecast_compare as fc
from experiments import forecast_gaps, record
from experiments import forecast_horizons as fh
from experiments import forecast_sources as fs
from experiments import forecast_tables as ft
from experiments import forecast_verdicts as fv
from fptlib import theory
from fptlib.data.compact import expanded

HORIZONS, SHARES, KAPPA = (6, 24), (0.4, 0.8), 1.05
HEAD = dict.fromkeys(record.HEADER, "made for a test") | {"versions": {}, "shared": 8}
OUTCOMES = {"for": -0.2, "against": 0.2, "open": 0.0}


def report(generator, scales):
    """A stable layer; ``scales``: low-pass dendrite and high-pass soma with positive decays."""
    a, b = ((0.88, 0.02), (0.39, -1.5)) if scales else ((0.5 + 0.1 * generator.random(), 0.4), (0.0, 0.0))
    found = theory.ts_lif_stability(*(torch.tensor(v, dtype=torch.float64) for v in (*a, *b)))
    return {"a": list(a), "b": list(b), "gaps": found.gaps.tolist(), "radius": found.radius.item(), "rates": [0.1, 0.2]}


def scores(error, channels, generator):
    each = [error * math.exp(abs(0.1 * generator.normal())) for _ in range(channels)]
    found = {"r2": 1 - error, "rse": math.sqrt(KAPPA * error), "mae": math.sqrt(error), "column_constant": KAPPA}
    found |= {"r2_per_channel": [1 - e for e in each], "rse_per_channel": [math.sqrt(KAPPA * e) for e in each]}
    return found | {"r2_interval": [0.9 - error, 1.05 - error]}


def runs(shift):
    """One list of records for each run; ``shift`` is what TS-LIF does to log errors, more at a long horizon and with gaps."""
    generator = np.random.default_rng(0)
    sets = [(name, True) for name in fc.SETS] + [("metr-la", False), ("metr-la-week", True)]
    gaps = list(product(SHARES, fc.MECHANISMS, ("honest", "papers")))
    for number, (dataset, masked) in enumerate(sets):
        own = shift + (0.002 if shift else 0.1) * (-1) ** number
        for horizon, place, seed in product(HORIZONS, ("naive", *fc.BACKBONES), (0, 1)):
            if place == "naive" and seed or (not masked and horizon != 24):
                continue
            for neurons in [fc.NAIVE] if place == "naive" else [(n,) for n in fc.NEURONS]:
                network, rows = place != "naive", []
                cells = [fc.COMPLETE] + (gaps if horizon == 24 and masked and dataset in fc.SETS else [])
                lost = (dataset, place, neurons[0], seed, horizon) == ("pjm", "tcn", "ts-lif", 1, 6)
                for neuron, (share, mechanism, how) in product(neurons, cells):
                    ts = own * (1 + math.log(horizon / 6) + 2 * share) if neuron.startswith("ts") else 0
                    row = {"dataset": dataset, "part": "the end", "what": "made", "backbone": place, "neuron": neuron}
                    row |= {
                        "horizon": horizon,
                        "seed": seed if network else None,
                        "lookback": 12 if "week" in dataset else 168,
                    }
                    row |= {"masked": masked, "statistics": "train", "solver": "exact", "missing": share}
                    row |= {
                        "mechanism": mechanism,
                        "imputation": how,
                        "params": 6000 if network else None,
                        "train_s": 1.0,
                    }
                    error = math.exp(-1 + ts + share + 0.002 * generator.normal())
                    row |= (
                        dict.fromkeys(("r2", "rse", "mae", "r2_per_channel")) if lost else scores(error, 4, generator)
                    )
                    if network:
                        layers = [report(generator, shift < 0)] if neuron.startswith("ts") else None
                        row |= {
                            "neurons": layers,
                            "width": 8,
                            "step_ms": 1.0,
                            "epochs": 2,
                            "diverged": lost,
                            "replayed": True,
                        }
                    rows.append(row)
                if network:
                    log = {"loss": 1.0, "val": -1.0, "train_s": 1.0}
                    log |= {"neurons": json.dumps(rows[0]["neurons"])} if rows[0]["neurons"] else {}
                    rows[0]["curve"] = [{"epoch": e} | log for e in range(2)]
                yield f"{dataset}_{masked}_{horizon}_{place}_{neurons[0]}_{seed}", rows
                if (dataset, horizon, place, seed) == ("pjm", 24, "gru", 0) and neurons[0] in ("lif", "ts-lif"):
                    for solver in ("exact", "loop")[: 2 - (neurons[0] == "ts-lif")]:  # a loop that nobody timed
                        own_time = {
                            "part": "timing, not a result",
                            "solver": solver,
                            "step_ms": 9.0 if solver == "loop" else 1.0,
                        }
                        timed = {k: v for k, v in rows[0].items() if k != "curve"} | own_time
                        yield f"timing_{solver}_{neurons[0]}", [timed]


def key(row):
    return json.dumps([row.get(name) for name in record.KEYS[record.FORECASTING]])


@pytest.fixture(scope="module", params=OUTCOMES)
def outcome(request, tmp_path_factory):
    """(word, folder of runs, stored file) of a made grid."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "runs").mkdir()
    for name, rows in runs(OUTCOMES[request.param]):
        record.write(folder / "runs" / f"{name}.json", rows, record.FORECASTING, HEAD)
    compact.merge(sorted((folder / "runs").glob("*.json")), folder / "forecasting.json")
    return request.param, folder / "runs", folder / "forecasting.json"


@pytest.fixture
def contents(outcome):
    committed = {name: content for name, content in fs.stored().items() if name != fs.HORIZONS}
    return committed | {fs.FULL: expanded(json.loads(outcome[2].read_text()))}


def test_nothing_is_lost_by_storing_without_repetitions(outcome, tmp_path):
    word, folder, path = outcome
    if word != "for":  # the same code whatever the numbers
        assert path.stat().st_size > 0
        return
    record.merge(sorted(folder.glob("*.json")), tmp_path / "flat.json", "merge")
    flat = json.loads((tmp_path / "flat.json").read_text())["records"]
    found = {key(row): row for row in expanded(json.loads(path.read_text()))["records"]}
    assert found == {key(row): compact.lean(row) for row in flat} and len(found) == len(flat)
    assert path.stat().st_size < 0.4 * (tmp_path / "flat.json").stat().st_size
    for row in flat:
        record.check(found[key(row)], record.FORECASTING)
        for score in compact.SCORES:
            assert found[key(row)].get(score) == row.get(score)
        for score in ("r2", "rse"):
            medians = [fc.channels(each, score) for each in (found[key(row)], row)]
            assert medians[0] == (medians[1] and pytest.approx(medians[1], rel=1e-3))
    compact.merge([path], tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text())["records"] == json.loads(path.read_text())["records"]


def test_a_file_grows_by_merging_itself_with_new_runs(outcome, tmp_path):
    _, folder, path = outcome
    parts = sorted(folder.glob("etth1_True_24_*_1.json"))
    first = [part for part in sorted(folder.glob("etth1_True_24_*.json")) if part not in parts]
    whole = compact.merge([*first, *parts], tmp_path / "whole.json")
    compact.merge(first, tmp_path / "first.json")
    grown = compact.merge([tmp_path / "first.json", *parts], tmp_path / "first.json")
    assert {key(r): r for r in grown} == {key(r): r for r in whole}


def test_what_not_every_set_has_goes_to_a_file_of_its_own(outcome, tmp_path, capsys, monkeypatch):
    """Nothing is lost, a cell stands beside its naive rows, and what becomes complete moves to the file that decides."""
    monkeypatch.setattr(compact, "SEEDS", 2)
    late = outcome[1] / "etth1_True_6_gru_lif_1.json"
    parts = [part for part in sorted(outcome[1].glob("*.json")) if part != late]
    whole, rest = tmp_path / "some.json", tmp_path / "rest.json"
    rows = compact.merge(parts, whole, rest)
    assert "gru at horizon 6" in capsys.readouterr().out
    compared = [r for r in rows if r["dataset"] in fc.SETS and r["masked"]]
    assert {(r["backbone"], r["horizon"]) for r in compared} == set(product((*fc.BACKBONES, "naive"), (24,)))
    assert any(r["dataset"] == "metr-la-week" and r["backbone"] == "gru" and r["horizon"] == 6 for r in rows)
    others = expanded(json.loads(rest.read_text()))["records"]
    assert {(r["dataset"], r["horizon"]) for r in others} == set(product(fc.SETS, (6,)))
    assert {r["neuron"] for r in others} == {*fc.NAIVE, *fc.NEURONS}
    flat = compact.merge(parts, tmp_path / "flat.json")
    assert {key(r): r for r in rows + others} == {key(r): r for r in flat} and len(rows + others) == len(flat)
    grown = compact.merge([whole, rest, late], whole, rest)
    assert not rest.exists() and {r["horizon"] for r in grown if r["dataset"] in fc.SETS} == set(HORIZONS)


def test_other_horizons_are_shown_and_decide_nothing(outcome, contents):
    """A horizon of one set less and one seed: in its own table, in no verdict."""
    full = contents[fs.FULL]
    lost = lambda r: r["dataset"] in fc.SETS and r["horizon"] == 6 and not (r["seed"] == 1 or r["dataset"] == "pjm")
    split = contents | {
        fs.FULL: full | {"records": [r for r in full["records"] if r["dataset"] not in fc.SETS or r["horizon"] == 24]},
        fs.HORIZONS: full | {"records": [r for r in full["records"] if lost(r)]},
    }
    sources = fs.sources(split)
    table, sets, seeds = fh.chosen(sources.wide)
    assert (sets, seeds) == ([name for name in fc.SETS if name != "pjm"], [0]) and table.horizons() == list(HORIZONS)
    for one, horizon in product(("ts-lif", "ridge"), HORIZONS):  # by hand, from the records
        found = fc.compare(table, one, "lif", horizons=(horizon,))[0]
        assert set(found) == set(sets)
        for name, value in found.items():
            errors = {
                (r["backbone"], r["neuron"]): math.log(1 - r["r2"])
                for r in full["records"]
                if (r["dataset"], r["masked"], r["horizon"], r["missing"]) == (name, True, horizon, 0)
                and r["seed"] in (0, None)
            }
            own = lambda b: errors[("naive" if one == "ridge" else b), one]
            assert value == pytest.approx(np.mean([own(b) - errors[b, "lif"] for b in fc.BACKBONES]))
    found = claims.claims(sources.main)
    assert found["long dependencies"] == dict.fromkeys(claims.NEURONS.values(), (claims.UNTESTED, "one horizon"))
    without = fs.sources({name: content for name, content in split.items() if name != fs.HORIZONS})
    assert claims.claims(without.main) == found and without.wide is None
    assert len(claims.agreement(sources.main, sources.small)["one only"]) == 2
    page = ft.page_with_tables(ft.PAGE.read_text(encoding="utf-8"), split)
    assert "**One seed, four of five sets; no verdict rests on it.**" in page and "(sec-horizons)=" in page
    assert "**Verdict: not tested on the full grid, open on the small one.**" in page
    assert ft.page_with_tables(page, split) == page


def test_verdicts_follow_the_numbers_of_the_full_grid(outcome, contents):
    word = outcome[0]
    sources = fs.sources(contents)
    assert sources.wide is None and sources.main is not sources.small
    found = claims.claims(sources.main)
    for sentence in ("better than LIF", "long dependencies", "robust to missing data"):
        assert {side for side, _ in found[sentence].values()} == {word}, sentence
    scales = {side for side, _ in found["several time scales"].values()}
    assert scales == {"for" if word == "for" else "against"}
    texts = [
        fv.lif_verdict(sources.main),
        fv.horizon_verdict(sources.main),
        forecast_gaps.missing_verdict(sources.main),
    ]
    starts = {
        "for": ("better (free), better (stable)", "grows", "more robust"),
        "against": ("worse (free), worse (stable)", "shrinks", "less robust"),
        "open": ("open (free), open (stable)", "open", "open"),
    }
    for text, start in zip(texts, starts[word]):
        assert text.startswith(f"**Verdict: {start}.**")
    agreed = claims.agreement(sources.main, sources.small)
    assert sum(map(len, agreed.values())) == 8 and not (word == "open" and agreed["opposite"])


def test_the_page_is_rewritten_whole(outcome, contents):
    text = ft.PAGE.read_text(encoding="utf-8")
    page = ft.page_with_tables(text, contents)
    for words in (
        "`forecasting.json`",
        "(sec-beside)=",
        "RSE per channel",
        "One week of METR-LA",
        "backbone by backbone",
        "PJM at horizon 6",
        "| 6 to 24 steps, % |",
        "(full grid): a grey line for each set",
        "**9 times per step**",
        "8 at a time on it",
        "One loop has not been timed (–).",
    ):
        assert words in page, words
    for words in ("not yet", "has run of the full grid", "no verdict rests"):
        assert words not in page, words
    assert "†" in page.split("### PJM")[1] and "nan" not in page
    assert "None" not in page.replace("None stated", "").replace("None diverged", "").replace('"None stated"', "")
    assert ft.page_with_tables(page, contents) == page


def test_only_what_is_stored_is_read(tmp_path):
    assert set(fs.stored(tmp_path)) == set()
    (tmp_path / f"{fs.SMALL}.json").write_text("{}")
    assert set(fs.stored(tmp_path)) == {fs.SMALL}
