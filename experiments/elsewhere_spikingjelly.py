"""SpikingJelly 0.0.0.0.14, whose fused neuron runs on CuPy, and this library beside it, in one process.

Started by `experiments.timing_elsewhere` with the old release in front of the import path. Its kernels cannot be replayed from a CUDA
graph (`why_no_graph`), so ``device_ms`` is the sum of the durations of everything the device ran in a call, kernels, fills and copies,
as the driver traces them. The gaps between kernels are not in it: for both libraries it is a lower bound. This library's time by graph
replay, ``kernel_ms``, stands beside its own sum.
"""

import contextlib
import importlib.metadata
import os
from functools import partial
from pathlib import Path

import torch

from experiments.elsewhere import DECAY, MODES, SLOPE, Report, arguments, cells, said, sets, wall_ms
from experiments.timing import memory, signal
from experiments.timing_impls import fptlib, naive

OLD = "0.0.0.0.14"
FUSED, LOOP = f"spikingjelly {OLD}", f"spikingjelly {OLD}, backend torch"
STEPS_OF_A_LOOP = 1024  # as in the main benchmark: longer Python loops take too long to be worth a call
TRACED = "sum of the durations of kernels, fills and copies on the device"
NO_GRAPH = (
    "Each call copies its constants to the device from host memory that is free again afterwards: a replay would read what is there "
    "then."
)


def neuron(backend):
    """Its leaky neuron, configured as ours: v = decay v + x, fire at 1, subtract 1, the reset differentiated."""
    from spikingjelly.activation_based import neuron, surrogate

    return neuron.LIFNode(
        tau=1 / (1 - DECAY), decay_input=False, v_threshold=1.0, v_reset=None, surrogate_function=surrogate.Sigmoid(alpha=SLOPE),
        detach_reset=False, step_mode="m", backend=backend,
    )  # fmt: skip


def old_spikingjelly(backend):
    node = neuron(backend)

    def run(x):
        node.reset()
        return node(x)

    return run


def old_numpy():
    """The release asks NumPy for ``np.int``, the name of Python's int that NumPy removed in 1.24. True when it had to be put back."""
    import numpy

    if "int" in vars(numpy):
        return False
    vars(numpy)["int"] = int
    return True


def headers():
    """Folders with CUDA's headers among the installed packages, for CuPy's compiler."""
    try:
        import nvidia
    except ImportError:
        return []
    return [str(f.parent) for root in nvidia.__path__ for f in sorted(Path(root).glob("*/include/cuda_fp16.h"))]


def fused(device):
    """The fused neuron as a call, with what had to be done for it; raises what the library raises."""
    import cupy
    from spikingjelly import configure

    notes = [f"CuPy {cupy.__version__}"]
    if old_numpy():
        notes.append("np.int put back for it")
    x = torch.zeros(4, 64, device=device, requires_grad=True)

    def trial():
        run = old_spikingjelly("cupy")
        torch.autograd.grad(run(x).sum(), x)
        torch.cuda.synchronize()
        return run

    try:
        return trial(), "; ".join(notes)
    except Exception as error:
        found = headers()
        if not found:
            raise
        first = said(error)
    configure.cuda_compiler_options += tuple(f"-I{folder}" for folder in found)
    return trial(), "; ".join([*notes, f"CUDA's headers named to its compiler, without which: {first}"])


def traced_ms(calls):
    """Device time of one call, in ms, as the driver traces it; None where nothing was traced."""
    for call in calls[:2]:
        call()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as trace:
        for call in calls:
            call()
        torch.cuda.synchronize()
    on_device = [e for e in trace.events() if e.device_type == torch.autograd.DeviceType.CUDA]
    total = sum(e.time_range.elapsed_us() for e in on_device)
    return total / 1e3 / len(calls) if total else None


def caller(run, xs, gs, mode):
    """Call number i of one implementation in one mode."""
    if mode == "fwd":
        return lambda i: run(xs[i])
    return lambda i: torch.autograd.grad(run(xs[i]), xs[i], gs[i])


def measure(run, xs, gs, mode, truth, graph):
    """Equality first, then what the user waits and, where it is allowed, graph replay."""
    from experiments.gpu_clock import graph_ms

    cuda, train = xs[0].is_cuda, mode == "fwd+bwd"
    call = caller(run, xs, gs, mode)
    wait = (lambda _: torch.cuda.synchronize()) if cuda else (lambda _: None)
    with attached(xs, train):
        spikes, kept, peak = memory(run, xs[0], gs[0], train) if cuda else (run(xs[0]), None, None)
        row = {"mismatches": int((spikes.detach().to(torch.uint8) != truth["spikes"]).sum())}
        del spikes
        if train:
            gap = (call(0)[0] - truth["gradient"]).abs().max() / truth["gradient"].abs().max()
            row["gradient_error"] = float(f"{gap.item():.3g}")
        eager = wall_ms(lambda: call(0), wait)
        if graph:
            calls = [lambda i=i: call(i) for i in range(len(xs) if eager < 20 else 1)]
            row["kernel_ms"] = round(graph_ms(calls, 0.05, 5), 5)
    rate = round(truth["spikes"].float().mean().item(), 4)
    return row | {"eager_ms": round(eager, 4), "saved_bytes": kept, "peak_bytes": peak, "rate": rate}


def trace(run, xs, gs, mode, row):
    """The record of a cell again, with the device's time as the driver traces it."""
    call = caller(run, xs, gs, mode)
    count = len(xs) if row["eager_ms"] < 20 else 1
    with attached(xs, mode == "fwd+bwd"):
        traced = traced_ms([lambda i=i: call(i % count) for i in range(max(count, 4))])
    return row | {"device_ms": traced and round(traced, 5), "device_by": traced and TRACED}


@contextlib.contextmanager
def attached(xs, train):
    """The inputs ask for gradients, or nothing does."""
    for x in xs:
        x.requires_grad_(train)
    try:
        with torch.set_grad_enabled(train):
            yield
    finally:
        for x in xs:
            x.requires_grad_(False)


def truth_of(x, g, device):
    """Spikes and gradient of the neuron, from the step-by-step kernel on a GPU and the plain loop elsewhere."""
    from fptlib.kernels import lif_replay

    x = x.detach().requires_grad_()
    if device == "cuda":
        spikes = lif_replay(x, DECAY, chunk=len(x), slope=SLOPE)[0]
    else:
        spikes = naive(DECAY, "soft")(x)
    return {"gradient": torch.autograd.grad(spikes, x, g)[0], "spikes": spikes.detach().to(torch.uint8)}


def why_no_graph(run, device):
    """What capturing the fused neuron ends in, tried last because a failed capture spoils a process."""
    x = torch.zeros(16, 64, device=device)
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph), cupy_on(torch.cuda.current_stream()):
            run(x)
    except Exception as error:
        while (
            error.__context__ is not None
        ):  # the end of the capture complains too; what went wrong first is the reason
            error = error.__context__
        return f"Capture ends in {said(error)}. {NO_GRAPH}"
    return f"Capture itself succeeds. {NO_GRAPH}"


def cupy_on(stream):
    """A context in which CuPy works on PyTorch's stream, under the name that its version has for it."""
    import cupy

    if hasattr(cupy.cuda, "ExternalStream"):
        return cupy.cuda.ExternalStream(stream.cuda_stream)
    return cupy.cuda.Stream.from_external(stream)


def rivals(report, device):
    """(name, call, note) of the old release in the best form that runs, or nothing."""
    if device == "cuda":
        try:
            return FUSED, *fused(device)
        except Exception as error:
            report.skip(FUSED, None, None, "both", f"{said(error)}; its PyTorch loop is measured instead.")
    else:
        report.skip(FUSED, None, None, "both", "Its fused neuron needs a GPU; its PyTorch loop is measured instead.")
    try:
        return LOOP, old_spikingjelly("torch"), None
    except Exception as error:
        report.skip(LOOP, None, None, "both", said(error))
    return None


def installed(report):
    """The release that this process imports; stops when it is another one."""
    import spikingjelly

    version = importlib.metadata.version("spikingjelly")
    if version != OLD:
        raise SystemExit(
            f"This process imports SpikingJelly {version} from {spikingjelly.__path__}; it was to be {OLD}."
        )
    report.say("versions", {"torch": torch.__version__, "spikingjelly": version} | cupy_version())


def cupy_version():
    try:
        import cupy
    except ImportError:
        return {"cupy": "not installed"}
    return {"cupy": cupy.__version__}


def inputs(T, N, device):
    """Inputs and cotangents of a cell, the same whenever it is asked."""
    torch.manual_seed(T * N)
    count = sets(T, N) if device == "cuda" else 1
    xs = [signal(T, N, DECAY, "random", torch.float32, seed, device) for seed in range(count)]
    return xs, [torch.randn(T, N, device=device) for _ in range(count)]


def times(report, device, calls):
    """First pass: every cell without a tracer, which would slow the host. Returns what was measured."""
    found = {}
    for T, N in cells(device):
        xs, gs = inputs(T, N, device)
        truth = truth_of(xs[0], gs[0], device)
        for mode in MODES:
            for name, (run, note) in calls.items():
                if name == LOOP and T > STEPS_OF_A_LOOP:
                    reason = f"A Python loop of {T} steps; measured up to T = {STEPS_OF_A_LOOP}."
                    report.skip(name, T, N, mode, reason)
                    continue
                graph = device == "cuda" and name == "fptlib"
                work = partial(measure, run, xs, gs, mode, truth, graph)
                row = report.attempt(name, T, N, mode, work, note)
                if row:
                    found[name, T, N, mode] = row
    return found


def traces(report, device, calls, found):
    """Second pass: the same cells under the tracer, each record reported again with the device's time."""
    for T, N in cells(device):
        xs, gs = inputs(T, N, device)
        for (name, steps, width, mode), row in found.items():
            if (steps, width) == (T, N):
                run, note = calls[name]
                report.attempt(name, T, N, mode, partial(trace, run, xs, gs, mode, row), note)


def main():
    args = arguments()
    report = Report(args.seconds)
    installed(report)
    calls = {"fptlib": (fptlib(DECAY, "soft"), None)}
    rival = rivals(report, args.device)
    if rival:
        calls[rival[0]] = rival[1:]
    found = times(report, args.device, calls)
    if args.device == "cuda":
        traces(report, args.device, calls, found)
        if FUSED in calls:
            report.skip(f"{FUSED}, graph replay", None, None, "both", why_no_graph(calls[FUSED][0], args.device))
    report.say("done", True)


if __name__ == "__main__":
    main()
    os._exit(0)  # after a failed capture CuPy's and PyTorch's own ends may not come
