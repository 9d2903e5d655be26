"""The timing of libraries with an environment of their own: processes, merging, reasons, table; without JAX, CuPy or a GPU."""

import json
import re

import numpy as np
import pytest
import torch

from experiments import elsewhere_spikingjelly, elsewhere_spyx, timing_elsewhere, timing_tables
from experiments.elsewhere import DECAY, FIELDS, SLOPE, Report, sets
from experiments.elsewhere_tables import ABSENT, FUSED, LOOP, NAMES, PLAIN, SWEPT, UNROLLED, block
from experiments.timing_elsewhere import Collected, main, run
from experiments.timing_impls import naive
from fptlib import Sigmoid, spike

SHAPE = {"decay": 0.5, "reset": "soft", "dtype": "float32"}


def row(impl, T=1024, N=1024, mode="fwd+bwd", **known):
    return dict.fromkeys(FIELDS) | SHAPE | {"impl": impl, "T": T, "N": N, "mode": mode, "mismatches": 0} | known


@pytest.fixture
def collected(tmp_path):
    header = {"device": "a GPU", "date": "2026-11-22 19:00:00 UTC", "versions": {"python": "3.12"}, "copy_gb_s": 4000.0}
    return Collected(tmp_path / "out.json", header)


def library(folder, monkeypatch, body):
    """A library named "a 1.0" whose process runs ``body``."""
    (folder / "package").mkdir(parents=True)
    (folder / "elsewhere_child.py").write_text(body)
    monkeypatch.setattr(timing_elsewhere, "LIBRARIES", {"a 1.0": ("elsewhere_child", "package", "--a")})


def test_reports_of_a_process_are_merged_and_a_second_record_replaces_the_first(tmp_path, monkeypatch, collected):
    first, second = row("a 1.0", eager_ms=2.0), row("a 1.0", eager_ms=2.0, device_ms=0.5)
    lines = [
        {"versions": {"a": "1.0"}},
        {"record": first},
        {"skipped": {"impl": "b"}},
        {"record": second},
        {"done": True},
    ]
    said = "\n".join(["some chatter", "[1, 2]", *map(json.dumps, lines)])
    library(tmp_path / "a", monkeypatch, f"print({said!r})")
    run(collected, "a 1.0", tmp_path / "a", "cpu", 20)
    written = json.loads(collected.out.read_text())
    roof = 5 * 4 * 1024 * 1024 / 1e6 / 4000 / 0.5
    assert written["records"] == [second | {"roof_fraction": round(roof, 4)}]
    assert written["skipped"] == [{"impl": "b"}]
    assert written["header"]["versions"] == {"python": "3.12", "a": "1.0"}


def test_a_process_sees_its_folder_first_and_takes_no_memory_in_advance(tmp_path, monkeypatch, collected):
    (tmp_path / "old").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "old"))
    body = (
        "import json, os, sys; print(json.dumps({'versions': {'path': os.environ['PYTHONPATH'], "
        "'prealloc': os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'], 'words': sys.argv[1:]}}))"
    )
    library(tmp_path / "a", monkeypatch, body)
    run(collected, "a 1.0", tmp_path / "a", "cpu", 20)
    versions = collected.header["versions"]
    assert versions["path"].split(":") == [str(tmp_path / "a"), str(tmp_path / "old")]
    assert versions["prealloc"] == "false"
    assert versions["words"] == ["--device", "cpu", "--seconds", "20"]


def test_a_process_that_fails_is_a_reason_and_keeps_what_it_measured(tmp_path, monkeypatch, collected):
    library(
        tmp_path / "a",
        monkeypatch,
        f"print({json.dumps({'record': row('a 1.0')})!r}, flush=True)\nraise OSError('lost')",
    )
    run(collected, "a 1.0", tmp_path / "a", "cpu", 20)
    assert len(collected.records) == 1
    assert collected.skipped[0]["reason"] == "The process ended with code 1: OSError: lost"


def test_a_process_that_does_not_end_is_stopped(tmp_path, monkeypatch, collected):
    monkeypatch.setattr(timing_elsewhere, "GRACE", 0.5)
    library(tmp_path / "a", monkeypatch, "import time; time.sleep(60)")
    run(collected, "a 1.0", tmp_path / "a", "cpu", 0.5)
    assert collected.skipped[0]["reason"].startswith("Stopped after 1 s")


def test_absent_folders_are_said_and_the_file_has_its_provenance(tmp_path, monkeypatch):
    monkeypatch.setenv("FPTLIB_COMMIT", "c0ffee")
    out = tmp_path / "out.json"
    main(["--device", "cpu", "--old", str(tmp_path), "--out", str(out), "--seconds", "5"])
    written = json.loads(out.read_text())
    assert written["records"] == []
    assert [s["impl"] for s in written["skipped"]] == ["spikingjelly 0.0.0.0.14", "spyx 1.0.0"]
    old, spyx = (s["reason"] for s in written["skipped"])
    assert "--old is without it" in old and "spikingjelly==0.0.0.0.14" in old
    assert "--spyx is not named" in spyx and "spyx==1.0.0" in spyx
    assert written["header"]["commit"] == "c0ffee" and written["header"]["date"]
    assert "experiments.timing_elsewhere" in written["header"]["command"]


def test_a_cell_of_which_nobody_spoke_is_listed(collected):
    collected.records["a", 16, 64, "fwd"] = row("a", 16, 64, "fwd")
    collected.skipped.append({"impl": "a", "T": 64, "N": 8, "mode": "both", "reason": "told"})
    timing_elsewhere.dropped(collected, ["a"], "cpu")
    assert [(s["T"], s["N"], s["mode"]) for s in collected.skipped[1:]] == [(16, 64, "fwd+bwd")]


def test_every_record_has_every_field_and_no_other(capsys):
    report = Report(10)
    assert report.attempt("a", 16, 64, "fwd", lambda: {"eager_ms": 1.0}, "a note") == {"eager_ms": 1.0}
    said = json.loads(capsys.readouterr().out)["record"]
    assert said.keys() == {*FIELDS, "note"} and said["eager_ms"] == 1.0 and said["kernel_ms"] is None
    with pytest.raises(ValueError, match="egaer_ms"):
        report.record("a", 16, 64, "fwd", {"egaer_ms": 1.0})


def test_a_failing_library_and_spent_time_are_reasons(capsys):
    assert Report(10).attempt("a", 16, 64, "fwd", lambda: 1 / 0) is None
    assert Report(-1).attempt("a", 16, 64, "fwd", lambda: {"eager_ms": 1.0}) is None
    reasons = [json.loads(line)["skipped"]["reason"] for line in capsys.readouterr().out.splitlines()]
    assert reasons == ["ZeroDivisionError: division by zero", "The time given to this library was used up."]


def test_inputs_rotate_through_more_than_the_cache():
    assert sets(16, 2**22) == 1 and sets(8192, 64) == 21
    assert all(sets(T, N) * T * N * 12 > 128e6 or sets(T, N) == 24 for T, N in ((1024, 1024), (4096, 1024), (8, 8)))


@pytest.mark.parametrize("mode", ["fwd", "fwd+bwd"])
def test_measuring_counts_the_spikes_that_differ(mode):
    xs, gs = elsewhere_spikingjelly.inputs(32, 16, "cpu")
    truth = elsewhere_spikingjelly.truth_of(xs[0], gs[0], "cpu")
    good = elsewhere_spikingjelly.measure(naive(DECAY, "soft"), xs, gs, mode, truth, False)
    bad = elsewhere_spikingjelly.measure(naive(0.9, "soft"), xs, gs, mode, truth, False)
    assert good["mismatches"] == 0 < bad["mismatches"]
    assert good["eager_ms"] > 0 and good["rate"] == round(truth["spikes"].float().mean().item(), 4)
    if mode == "fwd+bwd":
        assert good["gradient_error"] == 0 < bad["gradient_error"]
    assert not xs[0].requires_grad


def test_another_spikingjelly_is_refused():
    pytest.importorskip("spikingjelly")
    with pytest.raises(SystemExit, match=r"it was to be 0\.0\.0\.0\.14"):
        elsewhere_spikingjelly.installed(Report(1))


def test_the_old_name_of_int_is_put_back_once(monkeypatch):
    monkeypatch.delitem(vars(np), "int", raising=False)
    try:
        assert elsewhere_spikingjelly.old_numpy() and np.dtype("int64") == vars(np)["int"]
        assert not elsewhere_spikingjelly.old_numpy()
    finally:
        vars(np).pop("int", None)


def test_the_equation_of_spyx_and_its_gradient():
    """Against autograd on the equation as its documentation writes it."""
    x, g = elsewhere_spyx.signal(40, 24, 3)
    spikes, gradient = elsewhere_spyx.own_equation(x, g)
    inputs = torch.tensor(x, requires_grad=True)
    v, fired = torch.zeros(24), []
    for now in inputs:
        s = spike(v - 1.0, Sigmoid(SLOPE))
        v = DECAY * v + now - s
        fired.append(s)
    fired = torch.stack(fired)
    (expected,) = torch.autograd.grad(fired, inputs, torch.tensor(g))
    assert 0 < spikes.sum() and np.array_equal(spikes, fired.detach().numpy())
    assert np.abs(gradient - expected.numpy()).max() < 1e-6
    ours = naive(DECAY, "soft")(torch.tensor(x)).numpy()
    assert (ours != spikes).any(), "another neuron: the count against ours would say nothing about spyx"


def test_signal_is_the_one_of_the_other_measurements():
    x, g = elsewhere_spyx.signal(512, 512, 0)
    assert abs(x.mean() - 0.4) < 0.01 and abs(x.std() - 0.9 * 0.75**0.5) < 0.01 and x.dtype == g.dtype == np.float32


def record():
    ours = [
        row("fptlib", T, 64 if T == 8192 else 1024, kernel_ms=0.02, device_ms=0.01, eager_ms=0.5) for T in (1024, 8192)
    ]
    theirs = [
        row(FUSED, device_ms=1.0, eager_ms=2.0, mismatches=3),
        row(FUSED, 8192, 64, device_ms=5.0, eager_ms=6.0),
        row(PLAIN, device_ms=4.0, eager_ms=8.0),
        row(UNROLLED, device_ms=2.0, eager_ms=3.0),
        row(SWEPT, device_ms=0.1, eager_ms=0.4, mismatches=70),
        row(PLAIN, mode="fwd", device_ms=99.0, eager_ms=99.0),
    ]
    header = {"device": "a GPU", "date": "2026-11-22 19:00:00 UTC", "versions": {"cupy": "14.2"}}
    return {"header": header, "records": ours + theirs, "skipped": []}


def built(content):
    return block(content, timing_tables.size, timing_tables.significant)


def test_table_and_sentences_are_the_record():
    text = built(record())
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert rows == [
        "| SpikingJelly 0.0.0.0.14, CuPy | 1k | 1k | 3 | 1 | 0.01 | 100 | 4 |",
        "| SpikingJelly 0.0.0.0.14, CuPy | 8k | 64 | 0 | 5 | 0.01 | 500 | 12 |",
        "| spyx 1.0.0 | 1k | 1k | 0 | 4 | 0.02 | 200 | 16 |",
        "| spyx 1.0.0, 16 steps a turn | 1k | 1k | 0 | 2 | 0.02 | 100 | 6 |",
        "| spyx 1.0.0, fixed point, K = 3 | 1k | 1k | 70 | 0.1 | 0.02 | 5 | 0.8 |",
    ]
    assert "CuPy 14.2: 3 of 1,572,864 spikes differ" in text
    assert "100 to 500 times replay's on the device and 4 to 12 times replay's for the user" in text
    assert "70 of 1,048,576 spikes differ from the equation" in text and "99" not in text


def test_sizes_not_reached_untraced_kernels_and_a_busy_host_are_said():
    content = record()
    for r in content["records"]:
        r["device_ms"] = None if r["impl"] == FUSED else r["device_ms"]
    content["header"]["host"] = "The host was busy."
    text = built(content)
    assert "did not fit into the time of this run" in text and "sum of what the driver traces" not in text
    assert "The host was busy." in text
    assert "Not measured: SpikingJelly 0.0.0.0.14, CuPy at (16, 4.2M), (128, 256k), (1k, 16k) and (4k, 1k);" in text
    assert "sum of what the driver traces" in built(record())


def test_a_fused_neuron_that_did_not_run_is_said_with_its_reason():
    content = record()
    content["records"] = [r for r in content["records"] if r["impl"] not in (FUSED, PLAIN, UNROLLED, SWEPT)]
    content["records"].append(row(LOOP, eager_ms=50.0))
    content["skipped"] = [{"impl": FUSED, "reason": "CompileException: no cuda_fp16.h."}]
    text = built(content)
    assert "could not be measured (CompileException: no cuda_fp16.h). Its PyTorch loop: 0 of 1,048,576" in text
    assert "its time is 100 times replay's for the user" in text
    assert "**spyx 1.0.0** could not be measured (the record does not say why)." in text
    assert "| SpikingJelly 0.0.0.0.14, PyTorch loop | 1k | 1k | 0 | – | 0.01 | – | 100 |" in text


def test_nothing_is_compared_where_replay_was_not_timed():
    content = record()
    content["records"] = [r for r in content["records"] if r["impl"] != "fptlib"]
    assert "runner, is not set beside replay's, which this run did not time" in built(content)


def test_the_page_says_what_the_file_says():
    """No file, no numbers; with the file every library's every size, each number as recorded."""
    text = timing_tables.PAGE.read_text()
    content = timing_tables.elsewhere()
    if content is None:
        assert ABSENT in text and not any(f"| {name} |" in text for name in NAMES.values())
        return
    assert ABSENT not in text
    found = {r["impl"]: 0 for r in content["records"]}
    for r in content["records"]:
        if r["mode"] == "fwd+bwd" and r["impl"] in NAMES:
            start = [NAMES[r["impl"]], timing_tables.size(r["T"]), timing_tables.size(r["N"]), f"{r['mismatches']:,}"]
            line = re.escape("| " + " | ".join([*start, timing_tables.significant(r["device_ms"])]) + " |")
            assert len(re.findall(line, text)) == 1, f"run: python -m experiments.timing_tables ({start})"
            found[r["impl"]] += 1
    assert sum(found.values()) == sum(r["mode"] == "fwd+bwd" and r["impl"] in NAMES for r in content["records"])
