"""Time on a GPU, the same way for every implementation: graph replay for the device's work, a wall clock for the user's wait."""

import os
import statistics
import subprocess
import time

import torch

from experiments.elsewhere import wall_ms


def graph_ms(calls, budget_s=0.25, rounds=5):
    """Median device time of one call, in ms: all calls captured in one CUDA graph, the graph replayed.

    ``calls`` are the same computation on different inputs, so that a replay does not find its input in the cache.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for call in calls[:2]:
            call()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = _captured(calls)
    graph.replay()
    once = _replay(graph, 1)
    repeats = max(1, min(200, int(budget_s * 1e3 / rounds / max(once, 1e-3))))
    times = [_replay(graph, repeats) / repeats for _ in range(rounds)]
    del graph
    return statistics.median(times) / len(calls)


def _captured(calls):
    """The calls as one CUDA graph. A capture can be spoilt by memory that an earlier one gives back: so twice, if need be."""
    for last in (False, True):
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                for call in calls:
                    call()
            return graph
        except RuntimeError:
            torch.cuda.synchronize()
            if last:
                raise
            torch.cuda.empty_cache()


def _replay(graph, repeats):
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(repeats):
        graph.replay()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def eager_ms(call, budget_s=0.3):
    """Median time a user waits for one call, in ms: launch, autograd and all, until the device is done."""
    return wall_ms(call, lambda _: torch.cuda.synchronize(), budget_s)


class _Nothing(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx, grad):
        return torch.empty_like(grad)


def eager_floor_ms():
    """What forward and backward of a function that computes nothing cost the user, in ms: the host's floor under every eager time."""
    x = torch.zeros(16, device="cuda", requires_grad=True)
    g = torch.zeros(16, device="cuda")
    return eager_ms(lambda: torch.autograd.grad(_Nothing.apply(x), x, g))


def copy_gb_s(elements=2**28):
    """Measured copy bandwidth, GB/s, bytes read and written: the best of a device copy and of an elementwise kernel."""
    x = torch.randn(elements, device="cuda")
    y = torch.empty_like(x)
    best = min(graph_ms([lambda: torch.mul(x, 2.0, out=y)]), _events_ms(lambda: y.copy_(x)))
    return 8 * elements / best / 1e6


def _events_ms(call, repeats=20):
    call()
    torch.cuda.synchronize()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(repeats):
        call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / repeats


def header(command):
    """Provenance: device, driver, versions, date, commit, command."""
    import platform

    import triton

    ask = lambda *words: subprocess.run(words, capture_output=True, text=True).stdout.strip()
    return {
        "device": torch.cuda.get_device_name(),
        "driver": ask("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").splitlines()[0],
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "triton": triton.__version__},
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "commit": os.environ.get("FPTLIB_COMMIT") or ask("git", "rev-parse", "HEAD"),
        "command": command,
    }
