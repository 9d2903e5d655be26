"""The kernels against loops: interpreted on a CPU, compiled where there is a GPU; scratch memory is full of NaN."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

GPU = torch.cuda.is_available()
pytest.importorskip("triton", reason="Triton is a Linux package; the kernels need it")

from fptlib import kernels  # noqa: E402
from fptlib.kernels import calls, cost, entry, ops  # noqa: E402
from fptlib.neurons import alif, resonate_and_fire  # noqa: E402
from fptlib.surrogates import ATan, Sigmoid, Triangle  # noqa: E402
from tests.compiled import compiled_like_eager  # noqa: E402
from tests.oracle_kernels import lif_loop, sweep_loop, two_state_loop  # noqa: E402

DEVICE = "cuda" if GPU else "cpu"
GRAD_F32 = 1e-6  # float32 backward against float64: some tens of roundings of 6e-8
GRAD_BF16 = 2.0**-8  # the gradient of a bfloat16 input is stored in bfloat16
RESETS = ("soft", "hard", "none")
SURROGATES = {"sigmoid": Sigmoid(4.0), "atan": ATan(2.0), "triangle": Triangle(1.0)}


@pytest.fixture(autouse=True)
def nan_scratch(monkeypatch):
    """What a kernel forgets to write shows as NaN, or as 77 in integers."""

    def full(shape, dtype, device):
        return torch.full(shape, float("nan") if dtype.is_floating_point else 77, dtype=dtype, device=device)

    monkeypatch.setattr(ops, "scratch", full)
    monkeypatch.setattr(ops, "scratch_like", lambda t: full(t.shape, t.dtype, t.device))


def _input(T, N, seed=0, scale=0.8, shift=0.3):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((T, N)) * scale + shift).astype(np.float32)


def _on(array, **options):
    return torch.tensor(array, device=DEVICE, **options)


def _bits(ours, oracle):
    assert np.array_equal(ours.detach().float().cpu().numpy(), oracle)


class _Forced(torch.autograd.Function):
    """The given spikes, with a surrogate's derivative: a float64 loop that fires where the float32 one did."""

    @staticmethod
    def forward(ctx, z, spikes, surrogate):
        ctx.save_for_backward(z)
        ctx.surrogate = surrogate
        return spikes

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.surrogate.derivative(ctx.saved_tensors[0]), None, None


def _bptt(x, decay, threshold, reset, v_reset, v0, spikes, surrogate, detach):
    """Sequential back-propagation through time by autograd, in float64, for given spikes."""
    v, out, membrane = v0, [], []
    for t in range(len(x)):
        u = decay * v + x[t]
        s = _Forced.apply(u - threshold, spikes[t], surrogate)
        r = s.detach() if detach else s
        v = {"soft": u - threshold * r, "hard": u * (1 - r) + v_reset * r, "none": u}[reset]
        out.append(s)
        membrane.append(u)
    return torch.stack(out), torch.stack(membrane), v


def _relative(got, want):
    return float((got.double() - want).norm() / want.norm())


SIZES = [(1, 1), (2, 31), (4, 300), (5, 33), (9, 31), (63, 33), (64, 1), (65, 31)] + (
    [(1000, 33), (1000, 257)] if GPU else []
)


@pytest.mark.parametrize(("T", "N"), SIZES)
@pytest.mark.parametrize("reset", RESETS)
def test_replay_is_the_loop_bit_for_bit(T, N, reset):
    x, v0 = _input(T, N), _input(1, N, seed=1)[0]
    spikes, membrane, final = lif_loop(x, 0.9, 1.0, reset, -0.25, v0)
    ours, last, u, report = kernels.lif_replay(
        _on(x), 0.9, 1.0, reset, -0.25, _on(v0), membrane=True, chunk=16 if T > 63 else None, warmup=16
    )
    _bits(ours, spikes)
    _bits(last, final)
    _bits(u, membrane)
    assert report.chunk >= 1 and report.reason.endswith(".")


def test_seams_that_break_are_repaired_by_the_prefix_rule():
    # Constant input: two phases of a periodic train never meet, and locally every wrong seam agrees with its neighbour.
    x = np.full((60, 3), 0.7, np.float32)
    spikes, _, final = lif_loop(x, 0.5, 1.0, "hard", 0.0, np.full(3, 0.7))
    ours, last, report = kernels.lif_replay(
        _on(x), 0.5, 1.0, "hard", v0=_on(np.full(3, 0.7, np.float32)), chunk=16, warmup=0
    )
    _bits(ours, spikes)
    _bits(last, final)
    assert report.repaired_seams > 0


def test_repair_in_two_rounds(monkeypatch):
    monkeypatch.setattr(cost, "MEND_FROM", 1)
    cost.plan_forward.cache_clear()
    cost.plan_chunks.cache_clear()
    calls.prepare.cache_clear()
    x = _input(90, 33, seed=3)
    x[:, ::2] = 0.55  # half of the neurons never forget their phase
    spikes, _, final = lif_loop(x, 0.9, 1.0, "soft", 0.0, np.zeros(33))
    for grad in (False, True):
        ours, last, report = kernels.lif_replay(_on(x, requires_grad=grad), 0.9, chunk=16, warmup=16)
        _bits(ours, spikes)
        _bits(last, final)
        assert report.repaired_seams > 0
    cost.plan_forward.cache_clear()
    cost.plan_chunks.cache_clear()
    calls.prepare.cache_clear()


@pytest.mark.parametrize("ring", [cost.RING, (12, 4), (3, 16)])
def test_rows_through_the_ring_give_the_same_bits(monkeypatch, ring):
    x = _input(87, 33, seed=5)
    x[:, ::2] = 0.55  # broken seams
    spikes, _, final = lif_loop(x, 0.9, 1.0, "soft", 0.0, np.zeros(33))
    run = lambda: kernels.lif_replay(_on(x, requires_grad=True), 0.9, chunk=16, warmup=16, membrane=True)
    monkeypatch.setattr(cost, "MEND_FROM", 1)
    found = []
    for way in (cost.NO_RING, ring):
        monkeypatch.setattr(cost, "plan_forward", lambda *sizes, way=way: cost.plan_chunks(*sizes, way))
        calls.prepare.cache_clear()
        found.append(run())
        assert found[-1][3].repaired_seams > 0
    calls.prepare.cache_clear()
    _bits(found[1][0], spikes)
    _bits(found[1][1], final)
    assert torch.equal(found[0][2], found[1][2])


def test_the_ring_is_for_few_programs_and_long_warm_ups():
    ring = lambda *sizes, **more: cost.plan_forward(*sizes, "soft", **more).ring
    assert ring(1024, 1024, 0.9) == ring(2**20, 64, 0.9) == ring(1000, 2**15, 0.9) == cost.RING
    assert (
        ring(2**20, 64, 0.5)
        == ring(128, 2**18, 0.5)
        == ring(16, 64, 0.5)
        == ring(1024, 1024, 0.9, itemsize=2)
        == cost.NO_RING
    )
    assert cost.plan_chunks(1024, 1024, 0.9, "soft").ring == cost.NO_RING  # two-state neurons and sweeps


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 1.0])
def test_ties_and_extreme_decays(decay):
    x = np.random.default_rng(5).integers(-2, 6, (40, 31)).astype(np.float32) / 4  # on a grid: exact ties are frequent
    ours, last, _ = kernels.lif_replay(_on(x), decay, chunk=16, warmup=16)
    spikes, _, final = lif_loop(x, decay, 1.0, "soft", 0.0, np.zeros(31))
    _bits(ours, spikes)
    _bits(last, final)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_input_precisions(dtype):
    x = _on(_input(33, 31)).to(dtype)
    wide = x.double() if dtype == torch.float64 else x.float()
    spikes, _, final = lif_loop(wide.cpu().numpy(), 0.9, 1.0, "soft", 0.0, np.zeros(31))
    ours, last, _ = kernels.lif_replay(x, 0.9, chunk=16, warmup=16)
    assert ours.dtype == dtype and last.dtype == wide.dtype
    _bits(ours, spikes)
    assert np.array_equal(last.cpu().numpy(), final)


def test_one_byte_spikes():
    x = _input(20, 31)
    spikes, _, _ = lif_loop(x, 0.5, 1.0, "soft", 0.0, np.zeros(31))
    for dtype in (torch.uint8, torch.bool):
        ours, _, _ = kernels.lif_replay(_on(x), spike_dtype=dtype)
        assert ours.dtype == dtype
        _bits(ours, spikes)
    with pytest.raises(ValueError, match="carry no gradient"):
        kernels.lif_replay(_on(x, requires_grad=True), spike_dtype=torch.bool)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize(("T", "chunk"), [(3, None), (7, None), (37, None), (37, 16)])
def test_gradients_of_input_state_decay_and_threshold(reset, detach, T, chunk):
    N, rng = 31, np.random.default_rng(7)
    x, v0 = _on(_input(T, N)), _on(_input(1, N, seed=1)[0])
    decay = _on(rng.choice([0.0, 0.5, 0.9], N).astype(np.float32))
    threshold = _on(rng.uniform(0.8, 1.2, N).astype(np.float32))
    inputs = [p.requires_grad_() for p in (x, v0, decay, threshold)]
    spikes, last, u, _ = kernels.lif_replay(
        x, decay, threshold, reset, 0.1, v0, detach_reset=detach, chunk=chunk, membrane=True
    )
    weights = [_on(rng.standard_normal(shape)) for shape in ((T, N), (T, N), (N,))]
    got = torch.autograd.grad(sum((w * o).sum() for w, o in zip(weights, (spikes, u, last))), inputs)
    double = [p.detach().double().requires_grad_() for p in inputs]
    out = _bptt(double[0], double[2], double[3], reset, 0.1, double[1], spikes.detach().double(), Sigmoid(4.0), detach)
    want = torch.autograd.grad(sum((w * o).sum() for w, o in zip(weights, out)), double)
    for g, w in zip(got, want):
        assert _relative(g, w) < GRAD_F32


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize(("reset", "decay"), [("soft", 0.5), ("hard", 0.5), ("soft", 0.9)])
def test_truncated_backward_is_exact_to_rounding(name, reset, decay):
    # Floats for decay and threshold: the host can bound the gates, and short chunks with a warm-up from the right are allowed.
    x = _on(_input(70, 5), requires_grad=True)
    slope = {"sigmoid": 4.0, "atan": 2.0, "triangle": 1.0}[name]
    spikes, _, _ = kernels.lif_replay(x, decay, reset=reset, surrogate=name, slope=slope, chunk=16)
    weight = _on(np.random.default_rng(1).standard_normal((70, 5)))
    (got,) = torch.autograd.grad((weight * spikes).sum(), x)
    double = x.detach().double().requires_grad_()
    out = _bptt(
        double, decay, 1.0, reset, 0.0, torch.zeros(5, device=DEVICE), spikes.detach().double(), SURROGATES[name], False
    )
    (want,) = torch.autograd.grad((weight * out[0]).sum(), double)
    assert _relative(got, want) < GRAD_F32


def test_gate_bound_bounds_the_gates():
    z = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    for name, surrogate in SURROGATES.items():
        for width in (0.5, 1.0, 2.0, 8.0):
            h = type(surrogate)(width).derivative(z)
            for threshold, v_reset in ((1.0, 0.0), (0.5, -1.0), (2.0, 1.5)):
                soft = (1 - threshold * h).abs().max()
                fired = (z >= 0).double()
                hard = (1 - fired - (z + threshold - v_reset) * h).abs().max()
                for gate, reset in ((soft, "soft"), (hard, "hard")):
                    bound = cost.gate_bound(0.9, threshold, reset, v_reset, name, width, False)
                    assert 0.9 * float(gate) <= bound + 1e-12
    assert cost.gate_bound(0.9, None, "soft", 0.0, "sigmoid", 4.0, True) == 0.9
    assert cost.gate_bound(None, 1.0, "soft", 0.0, "sigmoid", 4.0, False) is None


def test_gradient_of_bfloat16_input():
    x = _on(_input(37, 31)).bfloat16().requires_grad_()
    v0 = _on(_input(1, 31, seed=2)[0], requires_grad=True)
    spikes, _, _ = kernels.lif_replay(x, 0.9, v0=v0)
    got = torch.autograd.grad(spikes.sum(), (x, v0))
    double = [p.detach().double().requires_grad_() for p in (x, v0)]
    out = _bptt(
        double[0], np.float32(0.9).item(), 1.0, "soft", 0.0, double[1], spikes.detach().double(), Sigmoid(4.0), False
    )
    want = torch.autograd.grad(out[0].sum(), double)
    assert got[0].dtype == torch.bfloat16
    assert _relative(got[0], want[0]) < GRAD_BF16
    assert _relative(got[1], want[1]) < GRAD_F32


def test_saved_for_backward_is_the_input_and_a_quarter_byte():
    x = _on(_input(100, 7), requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        kernels.lif_replay(x, 0.5)
    extra = sum(t.numel() * t.element_size() for t in kept) - x.numel() * 4
    assert 0 < extra <= 0.5 * x.numel()


def test_second_derivatives_are_refused():
    x = _on(_input(5, 3), requires_grad=True)
    spikes, _, _ = kernels.lif_replay(x)
    (grad,) = torch.autograd.grad((spikes * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives"):
        grad.sum().backward()


def test_operators_trace_without_running():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        x = torch.empty(33, 7, device=DEVICE)
        out = torch.ops.fptlib.lif_forward(
            x, None, None, None, 0.5, 1.0, 0.0, 4.0, 0, 0, False, True, False, torch.float32, 0, -1
        )
    assert [tuple(o.shape) for o in out] == [(33, 7), (7,), (0,), (2, 7), (1,)]


TABLES = {
    "alif": alif(),
    "alif-hard": alif(reset="hard", v_reset=-0.1),
    "resonator": resonate_and_fire(decay=0.9, reset="soft"),
}


def _two_state(x, spec, **options):
    return kernels.two_state_replay(
        x,
        spec.transition,
        spec.drive,
        spec.readout,
        spec.threshold,
        spec.reset,
        spec.jump,
        spec.hard,
        spec.reset_to,
        **options,
    )


@pytest.mark.parametrize("name", TABLES)
def test_two_states_are_the_loop_bit_for_bit(name):
    spec, x = TABLES[name], _input(35, 5, scale=2.0)
    v0 = _input(2, 5, seed=1)
    spikes, final = two_state_loop(x, spec, v0)
    memory = np.concatenate([v0, np.zeros((spec.memory - 2, 5), np.float32)])
    ours, last, _ = _two_state(_on(x), spec, v0=_on(memory), chunk=16, warmup=16)
    _bits(ours, spikes)
    _bits(last[:2], final)


def test_two_compartments_with_learned_couplings():
    rng = np.random.default_rng(3)
    base = [
        0.8,
        -0.1,
        -0.64,
        0.38,
        0.2,
        0.54,
        1.0,
        0.1,
        -0.2,
        1.0,
        1.0,
        0.9,
        0.5,
        0.05,
        0.1,
        1.0,
        0.1,
        0.02,
        -0.03,
        0.2,
    ]
    e = [_on(b + 0.05 * rng.standard_normal(5), requires_grad=True) for b in base]
    x = _on(rng.standard_normal((33, 5)) * 2 + 0.5, requires_grad=True)
    parts = ((e[0], e[1]), (e[2], e[3])), (e[4], e[5]), ((e[6], e[7]), (e[8], e[9])), (e[10], e[11])
    parts += (((e[12], e[13]), (e[14], e[15])), ((e[16], e[17]), (e[18], e[19])))
    spikes, _, _ = kernels.two_state_replay(x, *parts, chunk=16, warmup=16)
    v, s, out = [0 * x[0], 0 * x[0]], [0 * x[0], 0 * x[0]], []
    for t in range(33):
        u = [
            e[2 * i] * v[0] + e[2 * i + 1] * v[1] + e[4 + i] * x[t] + e[16 + 2 * i] * s[0] + e[17 + 2 * i] * s[1]
            for i in (0, 1)
        ]
        z = [e[6 + 2 * p] * u[0] + e[7 + 2 * p] * u[1] - e[10 + p] for p in (0, 1)]
        s = [_Forced.apply(z[p], (z[p] >= 0).double(), Sigmoid(4.0)) for p in (0, 1)]
        v = [u[i] - e[12 + 2 * i] * s[0] - e[13 + 2 * i] * s[1] for i in (0, 1)]
        out.append(torch.stack(s))
    assert torch.equal(spikes, torch.stack(out))
    weight = _on(rng.standard_normal(spikes.shape))
    got = torch.autograd.grad((weight * spikes).sum(), [x, *e])
    want = torch.autograd.grad((weight * torch.stack(out)).sum(), [x, *e])
    for g, w in zip(got, want):
        assert _relative(g, w) < 1e-12  # float64 throughout


@pytest.mark.parametrize("sweeps", [1, 3])
def test_fused_sweeps_are_the_sweeps_and_bracket_the_loop(sweeps):
    x = _input(49, 33)
    s, before = sweep_loop(x, 0.5, 1.0, sweeps)
    ours = kernels.fixed_point_sweeps(_on(x), 0.5, sweeps=sweeps, previous=True)
    _bits(ours.spikes, s)
    _bits(ours.previous, before)
    assert ours.residuals[-1] == int((s != before).sum())
    loop, _, _ = lif_loop(x, 0.5, 1.0, "soft", 0.0, np.zeros(33))
    low, high = (before, s) if sweeps % 2 else (s, before)
    assert (low <= loop).all() and (loop <= high).all()


def test_annealed_sweeps():
    x, slopes = _input(20, 5), (2.0, 6.0, 12.0)
    s = np.zeros_like(x)
    for slope in slopes:
        v, u = 0, np.empty_like(x)
        for t in range(20):
            u[t] = np.float32(0.5) * v + x[t]
            v = u[t] - s[t]
        s = 1 / (1 + np.exp(-np.float32(slope) * (u - 1)))
    ours = kernels.fixed_point_sweeps(_on(x), 0.5, sweeps=3, slopes=slopes)
    assert np.abs(ours.spikes.cpu().numpy() - s).max() < 1e-5  # exp differs in its last bits, amplified by slope 12


def _sweeps(x, **options):
    done = kernels.fixed_point_sweeps(x, 0.5, previous=True, membrane=True, **options)
    return done.spikes, done.previous, done.membrane, done.counts.flatten(1).sum(1), None


COMPILED = {
    "lif": lambda x: kernels.lif_replay(x, 0.5),
    "lif-chunks": lambda x: kernels.lif_replay(x, 0.9, reset="hard", membrane=True, chunk=16, warmup=16),
    "two states": lambda x: _two_state(x, TABLES["alif"]),
    "two states, chunks": lambda x: _two_state(x, TABLES["resonator"], chunk=16, warmup=16),
    "sweeps": _sweeps,
    "sweeps, chunks": lambda x: _sweeps(x, slopes=(1.0, 2.0, 4.0), chunk=16, warmup=16),
}


@pytest.mark.parametrize(("name", "dynamic"), [(name, True if "chunks" in name else None) for name in COMPILED])
def test_compiled_for_open_sizes_the_values_and_gradients_are_those_of_eager(name, dynamic):
    compiled_like_eager(COMPILED[name], dynamic, DEVICE, gradient="sweeps" not in name)


def test_a_report_read_inside_a_compiled_function_ends_the_graph_and_is_right():
    def read(x):
        spikes, _, report = kernels.lif_replay(x, 0.5)
        return spikes * report.chunk, report.reason

    x = _on(_input(40, 3))
    torch._dynamo.reset()
    got, _ = torch.compile(read, backend="aot_eager", dynamic=True)(x)
    assert torch.equal(got, read(x)[0]) and got.any()


def test_few_steps_take_small_groups_and_no_more_than_three_binaries():
    shapes = {(cost.plan_forward(T, 2**20, 0.5, "soft").ahead, cost.block(T)) for T in range(1, 17)}
    assert shapes == {(4, 256), (8, 128), (16, 64)}
    for T in (3, 8, 300):
        forward, backward = cost.plan_forward(T, 2**20, 0.5, "soft"), cost.plan_backward(T, 2**20, 0.5)
        assert forward.ahead == backward.ahead == cost.group(T) and backward.block == cost.block(T)


def test_sizes_are_planned_once():
    settings = calls.Settings(0.5, 1.0, 0.0, 4.0, 0, 0, False, True, False, torch.float32, 0, -1)
    one, other = (calls.prepared(torch.empty(40, n), None, None, settings) for n in (32, 48))
    assert one is calls.prepared(torch.empty(40, 32), None, None, settings)
    assert one.name == other.name and one.back_name == other.back_name  # the same binaries serve both
    assert one.name != calls.prepared(torch.empty(40, 33), None, None, settings).name


def test_the_cost_model_speaks():
    long = cost.plan_forward(8192, 64, 0.5, "soft")
    assert long.kernel == "replay" and long.chunk < 1024 and long.warmup >= 32
    assert cost.plan_forward(128, 2**18, 0.5, "soft").kernel == "sequential"
    assert cost.plan_forward(1024, 64, 0.999, "soft").kernel == "sequential"
    assert cost.plan_backward(8192, 64, 1.3).two_passes
    for plan in (long, cost.plan_backward(8192, 64, 0.5)):
        assert plan.reason.endswith(".")


def test_kernels_pass_the_compiler_front_end():
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "tests.compile_kernels"], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 19


def test_reasons_for_refusal():
    assert "int64" in kernels.available(torch.ones(3, 2, dtype=torch.int64))
    assert "shape" in kernels.available(torch.ones(0, 2, device=DEVICE))
    with pytest.MonkeyPatch.context() as patch:  # the Triton of torch 2.5, the second torch the package allows
        patch.setattr("triton.__version__", "3.1.0")
        entry._too_old.cache_clear()
        assert "Triton 3.1.0 is too old" in kernels.available(torch.ones(3, 2, device=DEVICE))
    entry._too_old.cache_clear()
    assert kernels.available(torch.ones(3, 2, device=DEVICE)) is None
    with pytest.raises(ValueError, match="broadcasts"):
        kernels.lif_replay(_on(_input(3, 4)), decay=_on(np.ones(3, np.float32)))
    with pytest.raises(ValueError, match="'soft'"):
        kernels.lif_replay(_on(_input(3, 4)), reset="never")
