"""The part of the chapter on time about SpikingJelly 0.0.0.0.14 and spyx 1.0.0: from its record, or the sentence that there is none."""

from experiments.elsewhere import SHOWN
from experiments.pages import listed

FUSED, LOOP = "spikingjelly 0.0.0.0.14", "spikingjelly 0.0.0.0.14, backend torch"
PLAIN, UNROLLED = "spyx 1.0.0", "spyx 1.0.0, scan unrolled 16"
SWEPT = "spyx 1.0.0, ParallelResetLIF K = 3"
NAMES = {
    FUSED: "SpikingJelly 0.0.0.0.14, CuPy",
    LOOP: "SpikingJelly 0.0.0.0.14, PyTorch loop",
    PLAIN: "spyx 1.0.0",
    UNROLLED: "spyx 1.0.0, 16 steps a turn",
    SWEPT: "spyx 1.0.0, fixed point, K = 3",
}
HEAD = "| library | $T$ | $N$ | spikes that differ | device, ms | replay's, ms | device ratio | eager ratio |"
ABSENT = (
    "Two libraries need an environment of their own and were not measured: SpikingJelly 0.0.0.0.14, which has the import name of 2.0.0 and "
    "runs on CuPy, and spyx 1.0.0, which runs on JAX. `experiments/timing_elsewhere.py` measures them."
)


def rows_of(record):
    """{(impl, T, N): its record of forward and backward}."""
    return {(r["impl"], r["T"], r["N"]): r for r in record["records"] if r["mode"] == "fwd+bwd"}


def pair(rows, impl, T, N):
    """Device time of a library and of replay, both by the same method where there is one; None for what is not known.

    SpikingJelly's and replay's are sums of kernels in one process. spyx has queued calls only: beside it stands replay's graph
    replay, which holds the gaps between its kernels too.
    """
    theirs, ours = rows[impl, T, N], rows.get(("fptlib", T, N), {})
    field = "kernel_ms" if impl.startswith("spyx") else "device_ms"
    return theirs["device_ms"], ours.get(field)


def quotient(a, b):
    return a / b if a and b else None


def eager_ratio(rows, impl, T, N):
    return quotient(rows[impl, T, N]["eager_ms"], rows.get(("fptlib", T, N), {}).get("eager_ms"))


def table(rows, size, significant):
    """One line a library and size, forward and backward."""
    lines = [HEAD, "|---|" + "---:|" * 7]
    for impl, name in NAMES.items():
        for T, N in SHOWN:
            if (impl, T, N) in rows:
                theirs, ours = pair(rows, impl, T, N)
                numbers = [theirs, ours, quotient(theirs, ours), eager_ratio(rows, impl, T, N)]
                wrong = f"{rows[impl, T, N]['mismatches']:,}"
                lines.append("| " + " | ".join([name, size(T), size(N), wrong, *map(significant, numbers)]) + " |")
    return "\n".join(lines)


def ratios(rows, impl, significant):
    """How the library's times stand to replay's, over the sizes measured, as words."""
    there = [(T, N) for T, N in SHOWN if (impl, T, N) in rows]
    device = [q for q in (quotient(*pair(rows, impl, T, N)) for T, N in there) if q]
    eager = [q for q in (eager_ratio(rows, impl, T, N) for T, N in there) if q]
    between = lambda found: listed(dict.fromkeys((significant(min(found)), significant(max(found)))), "to")
    said = [
        f"{between(found)} times {clock}"
        for found, clock in ((device, "replay's on the device"), (eager, "replay's for the user"))
        if found
    ]
    return listed(said) or "not set beside replay's, which this run did not time"


def differ(rows, impl):
    """How many spikes differ, over how many neuron-steps."""
    mine = [r for (name, _, _), r in rows.items() if name == impl]
    return sum(r["mismatches"] for r in mine), sum(r["T"] * r["N"] for r in mine)


def on_spikingjelly(record, rows, significant):
    """Sentences about the old SpikingJelly, in whichever form ran."""
    if any(impl == FUSED for impl, _, _ in rows):
        wrong, steps = differ(rows, FUSED)
        verdict = (
            "its spikes are the neuron's"
            if wrong == 0
            else f"{wrong:,} of {steps:,} spikes differ, because it computes $u = (x - v/\\tau) + v$ and so rounds once more"
        )
        traced = any(r["device_ms"] for (impl, _, _), r in rows.items() if impl == FUSED)
        device = (
            "the device's time is here the sum of what the driver traces, for both, without the gaps between kernels"
            if traced
            else "the traces that would have given the device's time did not fit into the time of this run"
        )
        return (
            f"**SpikingJelly 0.0.0.0.14**, its fused neuron on CuPy {record['header']['versions']['cupy']}: {verdict}. Its time is "
            f"{ratios(rows, FUSED, significant)}. Its constants are copied to the device in each call, so that no graph can be replayed; "
            f"{device}."
        )
    reason = next((s["reason"] for s in record["skipped"] if s["impl"] == FUSED), "the record does not say why.")
    text = f"**SpikingJelly 0.0.0.0.14**: its fused neuron could not be measured ({reason.rstrip('.')})."
    if any(impl == LOOP for impl, _, _ in rows):
        wrong, steps = differ(rows, LOOP)
        text += (
            f" Its PyTorch loop: {wrong:,} of {steps:,} spikes differ; its time is {ratios(rows, LOOP, significant)}."
        )
    return text


def on_spyx(record, rows, significant):
    """Sentences about spyx: another neuron, its two forms, its fixed point."""
    if not any(impl == PLAIN for impl, _, _ in rows):
        reason = next((s["reason"] for s in record["skipped"] if s["impl"] == PLAIN), "the record does not say why.")
        return f"**spyx 1.0.0** could not be measured ({reason.rstrip('.')})."
    wrong, steps = differ(rows, PLAIN)
    text = (
        "**spyx 1.0.0** has another neuron: it fires on the potential before the input, and subtracts the threshold after the decay. Its "
        f"spikes are compared with its own equation, step by step: {wrong:,} of {steps:,} differ. Its time, compiled by XLA around its own "
        f"runner, is {ratios(rows, PLAIN, significant)}"
    )
    if any(impl == UNROLLED for impl, _, _ in rows):
        text += f"; with sixteen steps to a turn of the scan, which the runner does not offer, {ratios(rows, UNROLLED, significant)}"
    text += ". The device's time is that of calls queued one behind the other, beside replay's by graph replay."
    if any(impl == SWEPT for impl, _, _ in rows):
        wrong, steps = differ(rows, SWEPT)
        text += (
            f" Its experimental parallel neuron makes three sweeps of chapter {{ref}}`ch-iteration`'s kind: {wrong:,} of {steps:,} spikes "
            f"differ from the equation, and its time is {ratios(rows, SWEPT, significant)}."
        )
    return text


def not_reached(rows, size):
    """Which sizes of the table this run had no time for; None where it had time for all."""
    left = []
    for impl in (FUSED, PLAIN, UNROLLED, SWEPT):
        sizes = [f"({size(T)}, {size(N)})" for T, N in SHOWN if (impl, T, N) not in rows]
        if sizes:
            left.append(f"{NAMES[impl]} at {'every size' if len(sizes) == len(SHOWN) else listed(sizes)}")
    return f"Not measured: {'; '.join(left)}; the record says why." if left else None


def block(record, size, significant):
    """Sentences and table from the record, or the one sentence where there is no record."""
    if record is None:
        return ABSENT
    rows = rows_of(record)
    device, date = record["header"]["device"], record["header"]["date"].split()[0]
    intro = (
        "Two libraries need an environment of their own, and have a run of their own, "
        f"`experiments/results/timing_elsewhere.json` ({device}, {date}): each in its process, forward and backward at decay 0.5; replay was "
        "timed again beside the first."
    )
    if record["header"].get("host"):
        intro += f" {record['header']['host']}"
    parts = [intro, on_spikingjelly(record, rows, significant), on_spyx(record, rows, significant)]
    if any(impl in NAMES for impl, _, _ in rows):
        parts.append(table(rows, size, significant))
    parts += filter(None, [not_reached(rows, size)])
    return "\n\n".join(parts)
