"""What the processes of `experiments.timing_elsewhere` share, some of it with `experiments.timing`. Nothing here imports torch, JAX or CuPy.

Each library that cannot live in the environment of the other measurements has a process of its own. It reports in lines of JSON on
its standard output, ``{"record": {...}}``, ``{"skipped": {...}}``, ``{"versions": {...}}`` and at its end ``{"done": true}``; every
other line is somebody's chatter.
"""

import argparse
import json
import statistics
import time

SHOWN = ((16, 2**22), (128, 2**18), (1024, 2**14), (1024, 1024), (4096, 1024), (8192, 64))
TINY = ((16, 64), (64, 8))  # for a processor: long enough to spike, short enough for a test
MODES = ("fwd", "fwd+bwd")
BYTES = {"fwd": 2, "fwd+bwd": 5}  # tensors read or written per neuron-step by any method that keeps nothing else
DECAY, SLOPE = 0.5, 4.0
L2_BYTES = 128e6  # inputs rotate through more memory than any present cache holds
FIELDS = (
    "impl", "T", "N", "decay", "reset", "dtype", "mode", "kernel_ms", "device_ms", "device_by", "eager_ms", "mismatches",
    "gradient_error", "saved_bytes", "peak_bytes", "rate",
)  # fmt: skip


class Report:
    """The voice of one process: records and reasons, one line each, and the time that is left."""

    def __init__(self, seconds):
        self.until = time.monotonic() + seconds

    def say(self, kind, value):
        print(json.dumps({kind: value}), flush=True)

    def skip(self, impl, T, N, mode, reason):
        self.say("skipped", {"impl": impl, "T": T, "N": N, "decay": DECAY, "mode": mode, "reason": reason})

    def record(self, impl, T, N, mode, measured, note=None):
        """One record with every field; what a library cannot say is null."""
        unknown = measured.keys() - set(FIELDS)
        if unknown:
            raise ValueError(f"Fields {sorted(unknown)} are none of {FIELDS}; add them there or leave them out.")
        cell = {"impl": impl, "T": T, "N": N, "decay": DECAY, "reset": "soft", "dtype": "float32", "mode": mode}
        row = dict.fromkeys(FIELDS) | cell | measured
        self.say("record", row | {"note": note} if note else row)

    def attempt(self, impl, T, N, mode, measure, note=None):
        """Measure and report; a library that fails, or time that is up, becomes a reason. Returns what was measured, or None."""
        if time.monotonic() > self.until:
            self.skip(impl, T, N, mode, "The time given to this library was used up.")
            return None
        try:
            measured = measure()
        except Exception as error:  # a library that fails is a result, not the end of the run
            self.skip(impl, T, N, mode, said(error))
            return None
        self.record(impl, T, N, mode, measured, note)
        return measured


def said(error):
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:240]}"


def arguments():
    """The command line of such a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=50, help="stop measuring after this long")
    return parser.parse_args()


def cells(device):
    return SHOWN if device == "cuda" else TINY


def sets(T, N):
    """On how many inputs the calls rotate, so that none finds its input in the cache."""
    return max(1, min(24, int(L2_BYTES / (T * N * 12)) + 1))


def as_file(parts):
    """The text of a result file from its parts by name: a list has one item a line, so that files that differ in one record differ in one line."""
    lines = lambda items: "[\n" + ",\n".join("  " + json.dumps(i) for i in items) + "\n ]"
    shown = (f' "{k}": {lines(v) if isinstance(v, list) else json.dumps(v)}' for k, v in parts.items())
    return "{\n" + ",\n".join(shown) + "\n}\n"


def wall_ms(call, wait, budget_s=0.1):
    """Median time a user waits for one call, in ms; ``wait(result)`` returns when the device is done with it."""
    for _ in range(3):
        wait(call())
    times, until = [], time.perf_counter() + budget_s
    while len(times) < 5 or (time.perf_counter() < until and len(times) < 200):
        begin = time.perf_counter()
        wait(call())
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)
