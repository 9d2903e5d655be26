"""A graph that cannot be captured costs the benchmark one number, not the cell: tried twice, then said."""

from contextlib import nullcontext

import pytest
import torch

from experiments import gpu_clock, timing


@pytest.fixture
def no_gpu(monkeypatch):
    """`torch.cuda` as far as capturing goes, without a GPU; returns what happened, in order."""
    heard = []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: f"graph {len(heard)}")
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: nullcontext())
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: heard.append(name))
    return heard


def failing(times):
    """A call that fails so often, then works."""
    left = [RuntimeError("operation not permitted when stream is capturing")] * times

    def call():
        if left:
            raise left.pop()

    return call


def test_a_spoilt_capture_is_tried_once_more(no_gpu):
    assert gpu_clock._captured([failing(0)]) == "graph 0" and no_gpu == []
    assert gpu_clock._captured([failing(1)]) == "graph 2" and no_gpu == ["synchronize", "empty_cache"]
    with pytest.raises(RuntimeError, match="stream is capturing"):
        gpu_clock._captured([failing(2)])


@pytest.mark.parametrize("error", [RuntimeError("not permitted\nmore"), torch.cuda.OutOfMemoryError("full")])
def test_without_a_graph_the_users_time_stays_unless_memory_is_out(monkeypatch, error):
    def broken(*_):
        raise error

    monkeypatch.setattr(timing, "memory", lambda run, x, *_: (run(x), 4, 5))
    monkeypatch.setattr(timing, "eager_ms", lambda *_: 1.25)
    monkeypatch.setattr(timing, "graph_ms", broken)
    x = torch.tensor([[0.5], [1.5]])
    measure = lambda: timing.Bench.measure(None, "naive loop", lambda x: (x >= 1).float(), [x], [x], "fwd", x >= 1)
    if isinstance(error, torch.cuda.OutOfMemoryError):
        with pytest.raises(torch.cuda.OutOfMemoryError):
            measure()
        return
    made = measure()
    assert (made["kernel_ms"], made["eager_ms"], made["mismatches"]) == (None, 1.25, 0)
    assert made["note"] == "No graph could be captured: not permitted"
