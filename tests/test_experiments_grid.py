"""The grid's machinery: workers that share runs, times of steps put into records, recordings of a step, small merged files."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from experiments import config, graph, loop, record, steps, train, worker
from fptlib.data import results

ROOT = Path(__file__).resolve().parents[1]

TABLES = """
[task]
name = "rows-digits"
[network]
name = "stack"
width = 8
depth = 1
[train]
epochs = 1
batch = 400
rate = 3e-3
targets = [0.05]
[grid]
arm = ["lif-loop", "psn"]
decay = [0.5]
k = [3]
seed = [0, 1]
"""


@pytest.fixture
def grid(tmp_path):
    """A config of four small runs, as a path."""
    path = tmp_path / "grid.toml"
    path.write_text(TABLES, encoding="utf-8")
    return path


def work(monkeypatch, grid, out, *more):
    monkeypatch.setattr(sys, "argv", ["worker", str(grid), "--out", str(out), "--device", "cpu", *more])
    worker.main()
    monkeypatch.setattr(record, "SHARED", 1)


def test_jobs_go_seed_by_seed(grid):
    assert [name[-2:] for _, name, _ in worker.jobs([grid])] == ["s0", "s0", "s1", "s1"]


def test_one_arm_is_timed_by_name_and_a_wrong_name_ends_the_command(monkeypatch, grid, tmp_path, capsys):
    ask = ["steps", str(tmp_path / "steps.json"), str(grid), "--device", "cpu", "--arm"]
    monkeypatch.setattr(sys, "argv", [*ask, "psn"])
    steps.main()
    assert [r["arm"] for r in json.loads((tmp_path / "steps.json").read_text())["records"]] == ["psn"]
    monkeypatch.setattr(sys, "argv", [*ask, "nobody"])
    with pytest.raises(SystemExit):
        steps.main()
    assert "no arm 'nobody'" in capsys.readouterr().err


def test_what_a_record_has_with_every_seed_is_not_timed_again(monkeypatch, grid, tmp_path):
    """One seed of the loop is missing: the loop is timed, the PSN is not."""
    runs = config.expand(config.read(grid))
    name = lambda run: {
        "task": run.task["name"],
        "part": "",
        "arm": run.arm,
        "decay": run.decay,
        "k": run.k,
        "seed": run.seed,
    }
    kept = [name(run) for run in runs if (run.arm, run.seed) != ("lif-loop", 1)]
    (tmp_path / "record.json").write_text(json.dumps({"records": kept}))
    ask = ["steps", str(tmp_path / "steps.json"), str(grid), "--device", "cpu", "--new", str(tmp_path / "record.json")]
    monkeypatch.setattr(sys, "argv", ask)
    steps.main()
    assert [r["arm"] for r in json.loads((tmp_path / "steps.json").read_text())["records"]] == ["lif-loop"]


def test_a_worker_leaves_what_another_took_and_times_come_from_steps(monkeypatch, grid, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    assert worker.claim(out, "rows-digits_stack_psn_s1") and not worker.claim(out, "rows-digits_stack_psn_s1")
    work(monkeypatch, grid, out, "--until", "1e12", "--shared", "3")
    found = sorted(path.stem for path in out.glob("*.json"))
    assert found == [f"rows-digits_stack_{run}" for run in ("lif-loop_0.5_s0", "lif-loop_0.5_s1", "psn_s0")]
    assert capsys.readouterr().out.count(" s  rows-digits") == 3
    monkeypatch.setattr(sys, "argv", ["steps", str(tmp_path / "steps.json"), str(grid), "--device", "cpu"])
    steps.main()
    timed = json.loads((tmp_path / "steps.json").read_text())["records"]
    assert [(r["arm"], r["graph_ms"], r["why_no_graph"]) for r in timed] == [
        ("lif-loop", None, "no GPU"),
        ("psn", None, "no GPU"),
    ]
    merged = record.merge(sorted(out.glob("*.json")), tmp_path / "all.json", "python -m merge", tmp_path / "steps.json")
    by_arm = {r["arm"]: r["step_ms"] for r in timed}
    for row in merged:
        assert row["shared"] == 3 and row["step_ms"] == record.rounded(by_arm[row["arm"]])
        whole_epoch = row["step_ms"] / 1e3 * (row["examples"] // row["batch"])
        assert row["time_to"] == pytest.approx({"0.05": whole_epoch * row["epochs_to"]["0.05"]}, rel=1e-4)
    head = json.loads((tmp_path / "all.json").read_text())["header"]
    assert (
        "1797" in head["data"]["rows-digits"]
        and "what" not in merged[0]
        and ("curve" in merged[0]) == (merged[0]["seed"] == 0)
    )


def test_no_run_begins_after_the_end(monkeypatch, grid, tmp_path):
    work(monkeypatch, grid, tmp_path / "late", "--until", "0")
    assert not list((tmp_path / "late").iterdir())


def test_a_failed_run_leaves_its_trace_and_the_next_goes_on(monkeypatch, grid, tmp_path, capsys):
    plain = train.train

    def broken(run, *args, **named):
        if run.arm == "psn":
            raise RuntimeError("no such luck")
        return plain(run, *args, **named)

    monkeypatch.setattr(train, "train", broken)
    work(monkeypatch, grid, tmp_path / "out", "--until", "1e12")
    assert "no such luck" in (tmp_path / "out" / "rows-digits_stack_psn_s0.error").read_text()
    assert len(list((tmp_path / "out").glob("*.json"))) == 2 and capsys.readouterr().out.count("FAILED") == 2


def test_a_time_without_a_training_becomes_a_record_of_its_own(grid):
    row = {"task": "fsdd-raw", "shape": "s", "arm": "psn", "decay": None, "k": None, "steps": 1000}
    row |= {"step_ms": 2.0, "graph_ms": None, "peak_bytes": 5, "part": ""}
    (made,) = record.add_steps([], {"header": {}, "records": [row]}, [])
    assert set(record.ACCURACY) <= set(made) and made["test"] is None and made["part"].startswith("1000 steps")


def test_a_merged_file_grows_and_keeps_its_times(tmp_path):
    bare = dict.fromkeys(record.ACCURACY) | {"task": "t", "shape": "s", "decay": 0.5, "epochs": 1, "part": ""}
    bare |= {"network": "n", "examples": 100, "batch": 10, "epochs_to": {"0.5": 2}, "seed": 0}
    time_of = lambda task, shape, ms: {
        "task": task, "shape": shape, "arm": "psn", "decay": 0.5, "k": None, "step_ms": ms, "graph_ms": None,
        "peak_bytes": 1, "why_no_graph": None, "steps": 9, "network": "n",
    }  # fmt: skip
    record.write(tmp_path / "one.json", [bare | {"arm": "psn"}])
    record.write(tmp_path / "steps.json", [time_of("t", "s", 1.0), time_of("raw", "r1", 3.0)], record.STEPS)
    record.merge([tmp_path / "one.json"], tmp_path / "all.json", "merge", tmp_path / "steps.json")
    record.write(tmp_path / "two.json", [bare | {"arm": "psn", "seed": 1}])
    record.write(tmp_path / "more.json", [time_of("raw", "r2", 4.0), time_of("raw", "r1", 3.0)], record.STEPS)
    parts = [tmp_path / "all.json", tmp_path / "two.json"]
    record.merge(parts, tmp_path / "all.json", "merge", tmp_path / "more.json")
    grown = json.loads((tmp_path / "all.json").read_text())["records"]
    found = [(r["task"], r["shape"], r["seed"], r["step_ms"]) for r in grown]
    assert sorted(found, key=str) == [
        ("raw", "r1", None, 3.0),
        ("raw", "r2", None, 4.0),
        ("t", "s", 0, 1.0),
        ("t", "s", 1, None),
    ]
    assert next(r for r in grown if r["seed"] == 0)["time_to"] == {"0.5": 0.02}


def test_kept_times_win_and_a_record_names_the_run_that_timed_it(tmp_path):
    """A shape that has a time gives it to its new runs; what nobody timed gets the new one; numbers survive a merge."""
    bare = dict.fromkeys(record.ACCURACY) | {"task": "t", "epochs": 1, "part": "", "examples": 100, "batch": 10}
    bare |= {"network": "n", "epochs_to": {"0.5": 2}, "seed": 0, "decay": 0.5, "shape": "s"}
    run = lambda arm, **more: bare | {"arm": arm} | more
    step = lambda arm, ms: {"task": "t", "shape": "s", "arm": arm, "decay": 0.5, "k": None, "step_ms": ms,
                            "graph_ms": None, "peak_bytes": 1, "why_no_graph": None}  # fmt: skip
    first, second, all_ = (tmp_path / f"{name}.json" for name in ("first", "second", "all"))
    head = lambda text: dict.fromkeys(record.HEADER, text)
    record.write(tmp_path / "one.json", [run("psn")], head=head("a"))
    record.write(first, [step("psn", 1.0)], record.STEPS, head("first"))
    record.merge([tmp_path / "one.json"], all_, "merge", first)
    record.write(tmp_path / "two.json", [run("psn", seed=1), run("psu")], head=head("b"))
    record.write(second, [step("psn", 9.0), step("psu", 3.0)], record.STEPS, head("second"))
    record.merge([tmp_path / "two.json", all_], all_, "merge", second, keep=True)
    read = json.loads(all_.read_text())
    timed = {(r["arm"], r["seed"]): (r["step_ms"], read["header"]["runs"][r["timed"]]["date"]) for r in read["records"]}
    assert timed == {("psn", 0): (1.0, "first"), ("psn", 1): (1.0, "first"), ("psu", 0): (3.0, "second")}
    assert {r["seed"]: r["time_to"] for r in read["records"] if r["arm"] == "psn"} == {n: {"0.5": 0.02} for n in (0, 1)}
    record.merge([all_], all_, "merge", second)  # without keep the new time is everywhere
    assert {r["arm"]: r["step_ms"] for r in json.loads(all_.read_text())["records"]} == {"psn": 9.0, "psu": 3.0}


@pytest.mark.parametrize("shared, kept", [(1, (7.0, 5, {"0.5": 0.14})), (16, (None, None, {}))])
def test_a_training_that_shared_its_gpu_leaves_no_time(tmp_path, shared, kept):
    bare = dict.fromkeys(record.ACCURACY) | {"task": "t", "arm": "psn", "seed": 0, "part": "", "train_s": 9.0}
    bare |= {"step_ms": 7.0, "peak_bytes": 5, "time_to": {"0.5": 0.14}}
    head = dict.fromkeys(record.HEADER, "") | {"shared": shared}
    record.write(tmp_path / "one.json", [bare], head=head)
    (made,) = record.merge([tmp_path / "one.json"], tmp_path / "all.json", "merge")
    assert (made["step_ms"], made["peak_bytes"], made["time_to"]) == kept and made["train_s"] == 9.0


def test_shapes_decide_times_not_names():
    run = config.expand(config.read(ROOT / "experiments" / "configs" / "pixels-mnist.toml"))[0]
    twin = config.expand(config.read(ROOT / "experiments" / "configs" / "permuted-fashion-mnist.toml"))[0]
    other = config.expand(config.read(ROOT / "experiments" / "configs" / "rows-mnist.toml"))[0]
    assert train.shape_of(run) == train.shape_of(twin) != train.shape_of(other)


def test_a_step_that_cannot_be_recorded_says_why_and_goes_on(monkeypatch):
    """The recording itself needs a GPU; what happens when it fails does not."""
    seen = []
    step = SimpleNamespace(begin=lambda rate: True)
    replayed = graph.Replayed(lambda index: seen.append(index) or torch.zeros(()), [])
    replayed.step.begin = step.begin
    monkeypatch.setattr(graph, "on_side_stream", lambda work: work())

    def record_nothing(index):
        raise RuntimeError("a copy from the host\nmore")

    monkeypatch.setattr(replayed, "record", record_nothing)
    for count in range(graph.WARM + 2):
        replayed(torch.arange(3))
        assert bool(replayed.why_not) == (count >= graph.WARM)
    assert replayed.why_not == "a copy from the host" and len(seen) == graph.WARM + 2


def test_the_rate_of_a_recorded_step_is_on_the_device():
    network = torch.nn.Linear(2, 2)
    learner = SimpleNamespace(network=network)
    plain = loop.Step(learner, network, torch.optim.SGD(network.parameters(), 0.1), loop.Plan())
    assert plain.begin(0.2) and plain.optimiser.param_groups[0]["lr"] == 0.2
    adam = torch.optim.Adam(network.parameters(), 0.1, capturable=True)
    recorded = loop.Step(learner, network, adam, loop.Plan())
    assert not recorded.begin(0.25) and adam.param_groups[0]["lr"] is recorded.rate and recorded.rate == 0.25


@pytest.mark.parametrize("name", ["accuracy", "forecasting_small"])
def test_a_stored_file_merged_again_is_itself(tmp_path, name):
    stored = results(name)
    record.merge([ROOT / "experiments" / "results" / f"{name}.json"], tmp_path / "again.json", "merge")
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["records"] == stored["records"] and again["header"]["data"] == stored["header"]["data"]
