"""The libraries that need an environment of their own, timed beside this one: SpikingJelly 0.0.0.0.14 and spyx 1.0.0.

    pip install --no-deps --target OLD spikingjelly==0.0.0.0.14
    pip install --no-deps --target SPYX spyx==1.0.0
    python -m experiments.timing_elsewhere --old OLD --spyx SPYX --out experiments/results/timing_elsewhere.json

The old SpikingJelly has the import name of the new one and runs on CuPy; spyx runs on JAX. Each gets a process with its folder in front
of the import path (`experiments.elsewhere_spikingjelly`, `experiments.elsewhere_spyx`), one after the other, so that one at a time has
the device. Records have the fields of `experiments.timing` and three more: ``device_ms`` with ``device_by``, how it was measured where
no graph can be replayed, and ``gradient_error``, relative. What was not measured is under ``skipped`` with the reason. The file is
rewritten after every line that a process reports.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from experiments.elsewhere import BYTES, as_file, cells

COMMAND = "python -m experiments.timing_elsewhere --old OLD --spyx SPYX --out experiments/results/timing_elsewhere.json"
GRACE = 25.0  # seconds after its own limit in which a process may finish the call that it is in
LIBRARIES = {
    "spikingjelly 0.0.0.0.14": ("experiments.elsewhere_spikingjelly", "spikingjelly", "--old"),
    "spyx 1.0.0": ("experiments.elsewhere_spyx", "spyx", "--spyx"),
}


class Collected:
    """What the processes report, merged and written."""

    def __init__(self, out, header):
        self.out, self.header = Path(out), header
        self.records, self.skipped = {}, []

    def take(self, line):
        """One line of a process; anything that is not one of its reports is passed over. True at the end of the process."""
        try:
            kind, value = next(iter(json.loads(line).items()))
        except (ValueError, AttributeError, StopIteration):
            return False
        if kind == "record":
            self.records[tuple(value[k] for k in ("impl", "T", "N", "mode"))] = self.with_roof(value)
        elif kind == "skipped":
            self.skipped.append(value)
        elif kind == "versions":
            self.header["versions"] |= value
        self.save()
        return kind == "done"

    def with_roof(self, row):
        """The record with its share of the measured copy bandwidth, as in the main benchmark."""
        spent, bandwidth = row["kernel_ms"] or row["device_ms"], self.header["copy_gb_s"]
        if not (spent and bandwidth):
            return row | {"roof_fraction": None}
        moved = BYTES[row["mode"]] * 4 * row["T"] * row["N"] / 1e6 / bandwidth
        return row | {"roof_fraction": round(moved / spent, 4)}

    def skip(self, impl, reason):
        self.skipped.append({"impl": impl, "T": None, "N": None, "decay": None, "mode": "both", "reason": reason})
        self.save()

    def save(self):
        parts = {"header": self.header, "records": list(self.records.values()), "skipped": self.skipped}
        self.out.write_text(as_file(parts))


def environment(folder, device):
    """The environment of a process: its folder first, no memory taken in advance, nothing accelerated on a processor."""
    path = os.pathsep.join(filter(None, (str(Path(folder).resolve()), os.environ.get("PYTHONPATH"))))
    extra = {"PYTHONPATH": path, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONUNBUFFERED": "1"}
    if device == "cpu":
        extra |= {"JAX_PLATFORMS": "cpu", "TRITON_INTERPRET": "1"}
    return os.environ | extra


def run(collected, name, folder, device, seconds):
    """One library in its process, to its end or to its limit; what goes wrong becomes a reason."""
    module, package, option = LIBRARIES[name]
    if folder is None or not (Path(folder) / package).is_dir():
        where = "not named" if folder is None else "without it"
        collected.skip(
            name, f"The folder of {option} is {where}: pip install --no-deps --target FOLDER {name.replace(' ', '==')}"
        )
        return
    if seconds <= 0:
        collected.skip(name, "The time of this run was used up.")
        return
    command = [sys.executable, "-m", module, "--device", device, "--seconds", f"{seconds:.0f}"]
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(folder, device)
        )
        late = threading.Timer(seconds + GRACE, child.kill)
        late.start()
        done = False
        for line in child.stdout:
            done = collected.take(line) or done
        code = child.wait()
        late.cancel()
        errors.seek(0)
        said = errors.read()
    sys.stderr.write(said)
    if not done:
        collected.skip(name, why(code, said, seconds))


def why(code, said, seconds):
    """One sentence for a process that did not reach its end."""
    if code == -9:
        return f"Stopped after {seconds + GRACE:.0f} s, before its end; what it had measured by then is above."
    last = [line for line in said.splitlines() if line.strip()][-1:] or ["no word of it"]
    return f"The process ended with code {code}: {last[0].strip()[:240]}"


def header(device, seconds):
    """Provenance as in the main benchmark; on a processor what there is of it."""
    command = f"{COMMAND} --seconds {seconds:.0f}"
    if device == "cuda":
        import torch

        from experiments.gpu_clock import copy_gb_s
        from experiments.gpu_clock import header as provenance

        found = provenance(command) | {"copy_gb_s": round(copy_gb_s(), 1)}
        torch.cuda.empty_cache()  # the memory of the measurement goes back before the processes start
        return found
    import platform

    commit = (
        os.environ.get("FPTLIB_COMMIT")
        or subprocess.run(("git", "rev-parse", "HEAD"), capture_output=True, text=True).stdout.strip()
    )
    return {
        "device": platform.machine(), "driver": None, "versions": {"python": platform.python_version()},
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()), "commit": commit, "command": command + " --device cpu",
        "copy_gb_s": None,
    }  # fmt: skip


def dropped(collected, names, device):
    """What neither a record nor a reason speaks of, so that no cell is silently absent."""
    told = {(s["impl"], s["T"], s["N"]) for s in collected.skipped}
    for name in names:
        for T, N in cells(device):
            for mode in BYTES:
                missing = (name, T, N, mode) not in collected.records
                if missing and not told & {(name, T, N), (name, None, None)}:
                    collected.skipped.append(
                        {
                            "impl": name,
                            "T": T,
                            "N": N,
                            "decay": 0.5,
                            "mode": mode,
                            "reason": "Its process ended before it.",
                        }
                    )
    collected.save()


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="experiments/results/timing_elsewhere.json")
    parser.add_argument("--old", help="folder with spikingjelly 0.0.0.0.14")
    parser.add_argument("--spyx", help="folder with spyx 1.0.0")
    parser.add_argument(
        "--seconds", type=float, default=100, help="time for everything, start of the processes included"
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: tiny sizes, for tests")
    args = parser.parse_args(words)
    until = time.monotonic() + args.seconds
    collected = Collected(args.out, header(args.device, args.seconds))
    folders = dict(zip(LIBRARIES, (args.old, args.spyx), strict=True))
    for k, (name, folder) in enumerate(folders.items()):
        left = until - time.monotonic()
        run(collected, name, folder, args.device, 0.45 * left if k == 0 else left)
    dropped(collected, folders, args.device)
    for row in collected.records.values():
        shown = ("impl", "T", "N", "mode", "kernel_ms", "device_ms", "eager_ms", "mismatches", "gradient_error")
        print(*(row[k] for k in shown))
    print(*collected.skipped, sep="\n")


if __name__ == "__main__":
    main()
