"""The chapter on time against its record: every table, figure and sentence with a number."""

from experiments.timing_tables import DATA, PAGE, SHOWN, cell, figure_data, page_with_tables
from fptlib.data import results
from fptlib.kernels import cost

TIMING = results("timing")


def ours(**wanted):
    return [r for r in TIMING["records"] if r["impl"] == "fptlib" and all(r[k] == v for k, v in wanted.items())]


def test_tables_and_moving_figure_are_the_record():
    text = PAGE.read_text()
    assert page_with_tables(text, TIMING) == text, "run: python -m experiments.timing_tables"
    assert DATA.read_text() == figure_data(TIMING)


def test_exact_everywhere():
    assert len(ours()) > 150 and all(r["mismatches"] == 0 for r in ours())
    assert all(c["spikes_differ"] == 0 for c in TIMING["checks"])
    for check in TIMING["checks"]:
        bound = 1e-6 if check["dtype"] == "float32" else 2**-8  # a bfloat16 gradient keeps eight bits
        assert all(v < bound for k, v in check.items() if k.startswith("gradient_error"))


def test_prp_roof_no_method_moves_fewer_bytes():
    """Beyond the caches no implementation passes the roof; and the bytes are those of the definition."""
    for r in TIMING["records"]:
        size = 2 if r["dtype"] == "bfloat16" else 4
        if r["kernel_ms"] and r["T"] * r["N"] * size >= 2**27:
            assert r["roof_fraction"] <= 1
            bytes_moved = {"fwd": 2, "fwd+bwd": 5}[r["mode"]] * size * r["T"] * r["N"]
            fraction = bytes_moved / r["kernel_ms"] / 1e6 / TIMING["header"]["copy_gb_s"]
            assert abs(fraction - r["roof_fraction"]) < 2e-3


def test_sentences_of_the_chapter():
    ratio = {
        (T, N, d): cell(TIMING, "spikingjelly", T, N, d)["kernel_ms"] / cell(TIMING, "fptlib", T, N, d)["kernel_ms"]
        for T, N in SHOWN
        for d in (0.5, 0.9)
    }
    # "within a factor 1.5 of the roof" for wide layers, both libraries; "gain little".
    for T, N in ((16, 2**22), (128, 2**18)):
        for impl in ("fptlib", "spikingjelly"):
            assert cell(TIMING, impl, T, N, 0.5)["roof_fraction"] > 1 / 1.75
        assert 1.2 < ratio[T, N, 0.5] < 1.75
    assert cell(TIMING, "spikingjelly", 8192, 64, 0.5)["roof_fraction"] < 1e-3  # "one part in a thousand"
    assert ratio[8192, 64, 0.5] > 300  # "hundreds of times faster"
    # "In none of the cells that both ran was exact replay slower"; few steps; "1.2 to 1.7 where the memory is the limit".
    gains = {}
    for r in ours():
        case = {k: r[k] for k in ("mode", "reset", "dtype")} | {"case": r.get("case")}
        loop = cell(TIMING, "spikingjelly", r["T"], r["N"], r["decay"], **case)
        if loop:
            gains[r["T"], r["N"], r["mode"], r["decay"], *case.values()] = loop["kernel_ms"] / r["kernel_ms"]
    assert len(gains) > 80 and min(gains.values()) > 1.2
    few = [gain for key, gain in gains.items() if key[0] == 4]
    assert len(few) == 10 and (round(min(few), 1), round(max(few), 1)) == (1.5, 2.4)
    wide = [gain for key, gain in gains.items() if key[1] >= 2**18 and key[2] == "fwd+bwd" and key[0] >= 16]
    assert max(wide) < 1.75
    # "Eager ratios are smaller than kernel ratios" for the small layers.
    for T, N in ((1024, 1024), (4096, 1024), (8192, 64)):
        a, b = (cell(TIMING, impl, T, N, 0.5) for impl in ("fptlib", "spikingjelly"))
        assert b["eager_ms"] / a["eager_ms"] < 0.2 * ratio[T, N, 0.5]
    kept = [r["saved_bytes"] / r["T"] / r["N"] for r in ours(mode="fwd+bwd", dtype="float32") if r["T"] >= 16]
    assert max(kept) < 4.5


def test_the_networks_compute_the_same_thing():
    by_case = {}
    for row in TIMING["networks"]:
        if "loss" in row:
            by_case.setdefault((row["decay"], row["matmul"]), []).append(row["loss"])
    assert len(by_case) == 4
    assert all(len(losses) == 2 and abs(losses[0] - losses[1]) < 1e-4 * losses[0] for losses in by_case.values())


def test_near_one_there_is_one_chunk_where_the_chapter_says_so():
    plan = lambda T, N, decay: cost.plan_forward(T, N, decay, "soft")
    assert all(plan(T, N, 0.99).kernel == "sequential" for T, N in ((4096, 1024), (1024, 2**14)))
    assert 1900 < plan(4096, 1024, 0.98).warmup < 2200 and 3600 < plan(2**20, 64, 0.99).warmup < 4200


def test_exercises():
    assert round(20 * 2**25 / 4e12 * 1e3, 3) == 0.168
    assert round(8 / 56, 2) == 0.14
    slowest = max(ours(), key=lambda r: r["eager_ms"] / r["kernel_ms"])
    assert slowest["T"] * slowest["N"] < 2**17


def test_the_ring_is_worth_what_the_chapter_says():
    """Up to 1.8 times as fast where the model takes it, a few percent slower where it does not; seams that held, chunk by chunk best."""
    won, lost = [], []
    rows = [r for r in results("tuning")["records"] if r["asked"] and not r["repaired"] and r["T"] >= cost.RING_FROM]
    for T, N, decay in {(r["T"], r["N"], r["decay"]) for r in rows}:
        best = lambda ring: min(
            r["fwd_ms"] for r in rows if (r["T"], r["N"], r["decay"], tuple(r["ring"])) == (T, N, decay, ring)
        )
        ratio = best(cost.NO_RING) / best(cost.RING)
        (won if cost.plan_forward(T, N, decay, "soft").ring == cost.RING else lost).append(ratio)
    assert round(max(won), 1) == 1.8 and min(won) > 0.97
    assert 0.95 < min(lost) and max(lost) < 1.04 and len(lost) >= 5


def test_the_cost_model_picks_plans_near_the_fastest_measured():
    """Forward within 10 percent among plans measured without a broken seam (more time, by chance); backward within 7."""
    rows, seen = results("tuning")["records"], 0
    for T, N, decay in {(r["T"], r["N"], r["decay"]) for r in rows}:
        plan = cost.plan_forward(T, N, decay, "soft")
        passes = [r for r in rows if (r["T"], r["N"], r["decay"]) == (T, N, decay) and "bwd_ms" in r]
        (chosen,) = (r for r in passes if r["asked"] == 0)
        assert chosen["bwd_ms"] <= 1.07 * min(r["bwd_ms"] for r in passes), (T, N, decay)
        cell = [r for r in rows if (r["T"], r["N"], r["decay"]) == (T, N, decay) and not r["repaired"]]
        for mine in (
            r for r in cell if (tuple(r["ring"]), r["chunk"], r["warmup"]) == (plan.ring, plan.chunk, plan.warmup)
        ):
            assert mine["fwd_ms"] <= 1.1 * min(r["fwd_ms"] for r in cell), (T, N, decay)
            seen += 1
    assert seen >= 25
