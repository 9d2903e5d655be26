"""The numbers of the chapter on time, from the record: the tables in its page and the data of its moving figure.

    python -m experiments.timing_tables          rewrite both from experiments/results/timing.json

The libraries with an environment of their own come from timing_elsewhere.json, where there is one (`experiments.elsewhere_tables`).

A test fails when page or figure and record differ.
"""

import json
from functools import partial
from pathlib import Path

from experiments import elsewhere_tables, pages
from experiments.elsewhere import SHOWN

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "experiments" / "results" / "timing.json"
ELSEWHERE = RECORD.with_name("timing_elsewhere.json")
PAGE = ROOT / "book" / "14-time.md"
DATA = ROOT / "_static" / "timing-data.js"
NAMES = {
    "fptlib": "exact replay (fptlib)",
    "spikingjelly": "SpikingJelly 2.0.0",
    "torch.compile loop": "loop, torch.compile",
    "naive loop": "loop, PyTorch",
    "snntorch": "snnTorch 1.0.0",
    "fpt dense tf32": "FPT K = 3, dense TF32",
    "fpt dense fp32": "FPT K = 3, dense float32",
    "fpt scan": "FPT K = 3, fused",
}


def cell(timing, impl, T, N, decay, mode="fwd+bwd", reset="soft", dtype="float32", case=None):
    """The one record of a cell, or None where it was not measured."""
    wanted = {"impl": impl, "T": T, "N": N, "decay": decay, "mode": mode, "reset": reset, "dtype": dtype}
    for row in timing["records"]:
        if all(row[k] == v for k, v in wanted.items()) and row.get("case") == case:
            return row
    return None


def plain(row):
    """Whether a record is of the neuron and the input that the figures show: soft reset, float32, random input."""
    return row["reset"] == "soft" and row["dtype"] == "float32" and "case" not in row


def size(number):
    """16384 as 16k, 2^22 as 4.2M."""
    if number >= 1e6:
        return f"{number / 1e6:.1f}M"
    return f"{number // 1024}k" if number >= 1024 and number % 1024 == 0 else str(number)


def significant(value):
    """Three significant digits, no exponent; a dash where nothing was measured."""
    if value is None:
        return "–"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ratio_table(timing):
    """Kernel and eager time, forward and backward, beside SpikingJelly's."""
    rows = [
        "| $T$ | $N$ | decay | replay, ms | of the roof | loop, ms | kernel ratio | eager ratio |",
        "|" + "---:|" * 8,
    ]
    for T, N in SHOWN:
        for decay in (0.5, 0.9):
            a, b = (cell(timing, impl, T, N, decay) for impl in ("fptlib", "spikingjelly"))
            values = (
                size(T), size(N), decay, significant(a["kernel_ms"]), f"{a['roof_fraction']:.2f}",
                significant(b["kernel_ms"]), significant(b["kernel_ms"] / a["kernel_ms"]),
                significant(b["eager_ms"] / a["eager_ms"]),
            )  # fmt: skip
            rows.append("| " + " | ".join(map(str, values)) + " |")
    return "\n".join(rows)


def roof_table(timing):
    """Shares of the roof for trains of at least 2^26 neuron-steps."""
    shares = {}
    for r in timing["records"]:
        if r["impl"] == "fptlib" and plain(r) and r["T"] * r["N"] >= 2**26 and r["decay"] in (0.5, 0.9):
            shares[r["T"], r["N"], r["mode"], r["decay"]] = r["roof_fraction"]
    rows = [
        "| $T$ | $N$ | forward, 0.5 | forward, 0.9 | both, 0.5 | both, 0.9 |",
        "|" + "---:|" * 6,
    ]
    for T, N in sorted({key[:2] for key in shares}):
        values = (shares.get((T, N, mode, d)) for mode in ("fwd", "fwd+bwd") for d in (0.5, 0.9))
        shown = [f"{value:.3f}" if value else "–" for value in values]
        steps = f"$2^{{{T.bit_length() - 1}}}$" if T >= 2**20 else size(T)
        rows.append(f"| {steps} | {size(N)} | " + " | ".join(shown) + " |")
    return "\n".join(rows)


def gains(timing):
    """How many times faster the whole network's step is, by clock and products."""
    times = {}
    for r in timing["networks"]:
        times.setdefault(r["matmul"], {}).setdefault(r["decay"], {})[r["impl"]] = r
    parts = []
    for matmul, rows in times.items():
        ratio = lambda clock: [d["spikingjelly"][clock] / d["fptlib"][clock] for d in rows.values()]
        span = lambda values: f"{min(values):.2f} to {max(values):.2f}"
        parts.append(
            f"with products in {matmul} {span(ratio('kernel_ms'))} times by kernel time and {span(ratio('eager_ms'))} by the user's clock"
        )
    return f"The step is faster {'; '.join(parts)}."


def all_table(timing):
    """Every implementation at one small and one large layer, decay 0.5, with the spikes that differ."""
    head = (
        "| implementation | spikes that differ | forward, ms | both, ms | both, eager ms | bytes kept per neuron-step |"
    )
    parts = []
    for T, N in ((1024, 1024), (16, 2**22)):
        rows = [f"$T$ = {T}, $N$ = {size(N)}:\n", head, "|---|---:|---:|---:|---:|---:|"]
        for impl, name in NAMES.items():
            fwd, both = (cell(timing, impl, T, N, 0.5, mode) for mode in ("fwd", "fwd+bwd"))
            if fwd or both:
                wrong = (fwd or both)["mismatches"]
                kept = f"{both['saved_bytes'] / T / N:.2f}" if both else "–"
                times = [significant(r["kernel_ms"]) if r else "–" for r in (fwd, both)]
                times.append(significant(both["eager_ms"]) if both else "–")
                rows.append(f"| {name} | {wrong:,} | " + " | ".join(times) + f" | {kept} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def bad_table(timing):
    """The inputs and decays made to break chunks."""
    cases = (("constant", 0.5), ("dense", 0.5), ("dense", 0.9), (None, 0.98), (None, 0.99))
    rows = [
        "| input | decay | $T$ | $N$ | replay, ms | of the roof | loop, ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case, decay in cases:
        for T, N in ((4096, 1024), (1024, 16384)):
            a, b = (cell(timing, impl, T, N, decay, case=case) for impl in ("fptlib", "spikingjelly"))
            if a:
                loop = significant(b["kernel_ms"]) if b else "–"
                values = (
                    case or "random",
                    decay,
                    T,
                    size(N),
                    significant(a["kernel_ms"]),
                    f"{a['roof_fraction']:.2f}",
                    loop,
                )
                rows.append("| " + " | ".join(map(str, values)) + " |")
    return "\n".join(rows)


def network_table(timing):
    """One training step of the 700-128-128-20 network."""
    rows = [
        "| decay | products in | implementation | loss | kernel, ms | eager, ms | peak memory, MB |",
        "|---:|---|---|---:|---:|---:|---:|",
    ]
    for r in timing["networks"]:
        name = NAMES.get(r["impl"], r["impl"])
        if "kernel_ms" in r:
            times = f"{significant(r['kernel_ms'])} | {significant(r['eager_ms'])} | {r['peak_bytes'] / 1e6:.0f}"
            rows.append(f"| {r['decay']} | {r['matmul']} | {name} | {r['loss']:.5f} | {times} |")
    return "\n".join(rows) + "\n\n" + gains(timing)


BLOCKS = {"roof": roof_table, "ratios": ratio_table, "all": all_table, "bad": bad_table, "networks": network_table}


def elsewhere():
    """The record of the libraries with an environment of their own, or None where they were not measured."""
    return json.loads(ELSEWHERE.read_text()) if ELSEWHERE.is_file() else None


def page_with_tables(text, timing):
    """The page with its tables from the records."""
    blocks = {name: partial(build, timing) for name, build in BLOCKS.items()}
    blocks["elsewhere"] = lambda: elsewhere_tables.block(elsewhere(), size, significant)
    return pages.page_with_tables(text, blocks)


def figure_data(timing):
    """JavaScript for the page: [implementation, T, N, decay, mode, kernel ms, eager ms, spikes that differ, roof]."""
    rows = [
        [
            r["impl"],
            r["T"],
            r["N"],
            r["decay"],
            r["mode"],
            r["kernel_ms"],
            r["eager_ms"],
            r["mismatches"],
            r["roof_fraction"],
        ]
        for r in timing["records"]
        if r["impl"] in NAMES and plain(r)
    ]
    names = json.dumps(NAMES)
    body = ",\n".join(json.dumps(row) for row in rows)
    return f"window.FPT_TIMING = {{names: {names}, device: {json.dumps(timing['header']['device'])}, rows: [\n{body}\n]}};\n"


def main():
    timing = json.loads(RECORD.read_text())
    PAGE.write_text(page_with_tables(PAGE.read_text(), timing))
    DATA.write_text(figure_data(timing))
    print("wrote", PAGE.name, "and", DATA.name)


if __name__ == "__main__":
    main()
