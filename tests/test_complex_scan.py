"""The complex scan and the decoupled reset: kernels, torch code and PRF against loops; scratch memory is full of NaN."""

import math

import numpy as np
import pytest
import torch

GPU = torch.cuda.is_available()

from fptlib import complex_scan, kernels  # noqa: E402
from fptlib.parallel import PRF  # noqa: E402
from fptlib.parallel.decoupled import _Decoupled, leap, walk  # noqa: E402
from fptlib.surrogates import ATan, Sigmoid, Triangle, spike  # noqa: E402
from tests.compiled import compiled_like_eager  # noqa: E402
from tests.oracle_kernels import complex_loop, decoupled_loop  # noqa: E402

HAS_TRITON = kernels.available(torch.ones(1, 1, device="cuda" if GPU else "cpu")) is None
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is a Linux package; the kernels need it")
BACKENDS = ["torch", pytest.param("triton", marks=needs_triton)]
DEVICE = "cuda" if GPU else "cpu"
GRAD_F32 = 1e-6  # float32 backward against float64: some tens of roundings of 6e-8
GRAD_F64 = 1e-12
ROUNDINGS = 5  # the stated bound of the kernel, in units eps / 2
SLOPES = {"sigmoid": Sigmoid(4.0), "atan": ATan(2.0), "triangle": Triangle(1.0)}


@pytest.fixture(autouse=True)
def nan_scratch(monkeypatch):
    """What a kernel forgets to write shows as NaN, or as 77 in integers."""
    if not HAS_TRITON:
        return
    from fptlib.kernels import ops

    def full(shape, dtype, device):
        return torch.full(shape, float("nan") if dtype.is_floating_point else 77, dtype=dtype, device=device)

    monkeypatch.setattr(ops, "scratch", full)
    monkeypatch.setattr(ops, "scratch_like", lambda t: full(t.shape, t.dtype, t.device))


def _on(array, **options):
    return torch.tensor(array, device=DEVICE, **options)


def _relative(got, want):
    return float((got.double() - want.double()).norm() / want.double().norm())


def _case(T, N, dtype=np.float32, seed=0):
    """Input, poles of every modulus from 0 to 1 and every angle, initial state."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((T, N)) * 0.8 + 0.3).astype(dtype)
    decay = rng.choice([0.0, 0.5, 0.9, 0.99, 1.0], N)
    angle = rng.choice([0.0, 0.3, math.pi / 2, 2.2, math.pi], N)
    return (
        x,
        [(decay * turn(angle)).astype(dtype) for turn in (np.cos, np.sin)],
        rng.standard_normal((2, N)).astype(dtype),
    )


SIZES = [
    (1, 1, None),
    (2, 31, None),
    (5, 33, None),
    (9, 31, None),
    (63, 1, 16),
    (64, 33, 16),
    (65, 31, 32),
    (300, 3, 16),
]


@needs_triton
@pytest.mark.parametrize(("T", "N", "chunk"), SIZES + ([(1000, 33, 64), (1000, 257, None)] if GPU else []))
def test_scan_within_its_bound_and_one_chunk_is_the_loop(T, N, chunk):
    from fptlib.kernels import cost

    x, pole, z0 = _case(T, N)
    u, final, imag, report = kernels.complex_scan(_on(x), [_on(p) for p in pole], _on(z0), imag=True, chunk=chunk)
    real, im, _ = complex_loop(x, pole, z0)
    whole = 16 * -(-T // 16)  # one chunk holds all whole groups of 16 steps
    assert report.chunk == (chunk or cost.plan_scan(T, N).chunk)
    one = report.chunk >= whole
    assert report.kernel == ("complex sequential" if one else "complex scan")
    assert one or T > 32  # a short train is one chunk, unless shorter ones are asked for
    same = [np.array_equal(ours.cpu().numpy(), loop) for ours, loop in ((u, real), (imag, im))]
    assert all(same) or not one
    wide = [p.astype(np.float64) for p in pole]
    real, im, bound = complex_loop(x.astype(np.float64), wide, z0.astype(np.float64))
    bound = ROUNDINGS * np.finfo(np.float32).eps / 2 * (1 + 1e-3) * bound  # the bound is to first order
    for part, want in ((u, real), (imag, im)):
        assert (np.abs(part.cpu().numpy() - want) <= bound).all()
    assert np.allclose(final.cpu().numpy(), np.stack([real[-1], im[-1]]), rtol=0, atol=bound[-1].max())
    assert report.reason.endswith(".")


@needs_triton
@pytest.mark.parametrize("pole", [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.5, 0.0), (0.0, 0.0)])
def test_on_a_grid_chunks_are_exact_and_ties_fire(pole):
    # Quarter turns without leak, or a leak of one half over eight bits: every sum is exact, whatever its order.
    x = np.random.default_rng(5).integers(-4, 8, (40 if pole[0] != 0.5 else 8, 31)).astype(np.float32) / 4
    real, _, _ = complex_loop(x, pole, (0.0, 0.0))
    spikes, _, _ = kernels.complex_scan(_on(x), pole, threshold=1.0, chunk=16)
    assert np.array_equal(spikes.cpu().numpy(), real >= 1) and (real == 1).any()


@needs_triton
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_input_precisions(dtype):
    x, pole, _ = _case(33, 31, np.float64)
    x = _on(x).to(dtype).requires_grad_()
    state = torch.float64 if dtype == torch.float64 else torch.float32
    pole = [p.astype(np.float64 if dtype == torch.float64 else np.float32) for p in pole]
    u, _, _ = kernels.complex_scan(x, [_on(p) for p in pole])
    want, _, _ = complex_loop(x.detach().to(state).cpu().numpy(), pole, (0.0, 0.0))
    assert u.dtype == state and np.array_equal(u.detach().cpu().numpy(), want)
    (grad,) = torch.autograd.grad(u.sum(), x)
    assert grad.dtype == dtype and torch.isfinite(grad).all()
    with torch.no_grad():
        spikes = kernels.complex_scan(x, [_on(p) for p in pole], threshold=_on(np.linspace(0.5, 1.5, 31)))[0]
    assert spikes.dtype == dtype
    assert np.array_equal(spikes.float().cpu().numpy(), want >= np.linspace(0.5, 1.5, 31).astype(want.dtype))


@needs_triton
@pytest.mark.parametrize(
    ("T", "chunk", "shared"), [(1, None, False), (7, None, True), (37, 16, False), (37, 16, True), (275, 16, False)]
)
def test_gradients_of_input_state_and_pole(T, chunk, shared):
    x, pole, z0 = _case(T, 5)
    pole = [p[:1] * 0.9 + 0.05 for p in pole] if shared else pole
    inputs = [_on(p, requires_grad=True) for p in (x, z0, *pole)]
    u, final, imag, _ = kernels.complex_scan(inputs[0], inputs[2:], inputs[1], imag=True, chunk=chunk)
    rng = np.random.default_rng(1)
    weights = [_on(rng.standard_normal(s)) for s in ((T, 5), (T, 5), (2, 5))]
    got = torch.autograd.grad(sum((w * o).sum() for w, o in zip(weights, (u, imag, final))), inputs)
    double = [p.detach().double().requires_grad_() for p in inputs]
    xs, z, a, b = double
    r, i, reals, imags = z[0], z[1], [], []
    for now in xs:
        r, i = a * r - b * i + now, b * r + a * i
        reals.append(r)
        imags.append(i)
    out = (torch.stack(reals), torch.stack(imags), torch.stack([r, i]))
    want = torch.autograd.grad(sum((w * o).sum() for w, o in zip(weights, out)), double)
    for g, w in zip(got, want):
        assert _relative(g, w) < GRAD_F32


@needs_triton
@pytest.mark.parametrize("T", [1, 33])
def test_gradient_of_the_input_alone_needs_no_memory(T):
    x, pole, _ = _case(T, 5)
    ours, theirs = _on(x, requires_grad=True), _on(x.astype(np.float64), requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        u, _, _ = kernels.complex_scan(ours, [_on(p) for p in pole], chunk=16)
    assert sum(t.numel() for t in kept) == 10  # the table
    decay, angle = (_on(p.astype(np.float64)) for p in (np.hypot(*pole), np.arctan2(pole[1], pole[0])))
    same, _, _ = complex_scan(decay, angle, theirs, backend="torch")
    weight = _on(np.random.default_rng(1).standard_normal((T, 5)))
    (got,), (want,) = (torch.autograd.grad((w * weight).sum(), t) for w, t in ((u, ours), (same, theirs)))
    assert _relative(got, want) < GRAD_F32


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("T", [1, 2, 33])
def test_front_door_of_the_scan(backend, T):
    rng = np.random.default_rng(0)
    x, z0 = rng.standard_normal((T, 3, 2)), rng.standard_normal((2, 3, 2))
    decay, angle = rng.uniform(0.2, 1, 2), rng.uniform(0, 3, (3, 1))
    inputs = [_on(p, requires_grad=True) for p in (decay, angle, x, z0)]
    u, final, note = complex_scan(*inputs, backend=backend)
    pole = (decay * np.cos(angle)).reshape(-1), (decay * np.sin(angle)).reshape(-1)
    real, imag, _ = complex_loop(x.reshape(T, 6), pole, z0.reshape(2, 6))
    assert np.allclose(u.detach().cpu().numpy().reshape(T, 6), real, rtol=0, atol=GRAD_F64) and note.startswith(backend)
    assert np.allclose(final.detach().cpu().numpy().reshape(2, 6), (real[-1], imag[-1]), rtol=0, atol=GRAD_F64)
    scanned = lambda *given: complex_scan(*given, backend=backend)[:2]
    assert backend == "triton" or torch.autograd.gradcheck(
        scanned, inputs
    )  # finite differences cost the interpreter minutes
    with pytest.raises(RuntimeError, match="derivative"):
        (grad,) = torch.autograd.grad((u * u).sum(), inputs[2], create_graph=True)
        grad.sum().backward()


def test_bad_input_is_refused_with_words():
    x = torch.ones(3, 2, device=DEVICE)
    for call, error, says in (
        (lambda: complex_scan(0.5, 0.1, [1.0]), TypeError, "list"),
        (lambda: complex_scan(0.5, 0.1, x[:0]), ValueError, "at least one time step"),
        (lambda: complex_scan(0.5, 0.1, x, backend="cuda"), ValueError, "'triton' is wanted"),
        (lambda: PRF(backend="never")(x), ValueError, "never"),
    ):
        with pytest.raises(error, match=says):
            call()
    if HAS_TRITON:
        with pytest.raises(ValueError, match="broadcast"):
            kernels.complex_scan(x, (torch.ones(3, device=DEVICE), 0.0))
        with pytest.raises(ValueError, match="no gradient"):
            kernels.complex_scan(x.clone().requires_grad_(), (0.5, 0.1), threshold=1.0)
        with pytest.raises(ValueError, match="float32 or float64"):
            kernels.decoupled_spikes(x.half(), 0.5)
        with pytest.raises(ValueError, match="not Steep"):
            PRF(surrogate=Steep(), backend="triton")(x)


class Steep(Sigmoid):
    """A surrogate that the kernels cannot know."""


# ------------------------------------------------------------------------------------------------ the decoupled reset


def _membranes(T, N, seed=0):
    """Random, constant, rising, tied and silent membranes side by side."""
    u = np.random.default_rng(seed).standard_normal((T, N)) * 1.5 + 1
    u[:, :: max(1, N // 5)] = np.linspace(0, 12, T)[:, None]
    u[:, 1 :: max(2, N // 4)] = 3.0
    u[:, 2 :: max(3, N // 3)] = np.round(u[:, 2 :: max(3, N // 3)] * 2) / 2
    u[:, N - 1] = -1.0
    return u


@pytest.mark.parametrize("rise", [0.0, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("T", "N"), [(1, 1), (2, 31), (16, 33), (65, 31)])
def test_walk_leap_and_kernel_are_the_loop_bit_for_bit(T, N, rise):
    u = _membranes(T, N).astype(np.float32)
    want = decoupled_loop(u, rise, 1.0)
    ways = [walk(_on(u), rise, 1.0), leap(_on(u), rise, 1.0)]
    ways += [kernels.decoupled_spikes(_on(u), rise)[0]] if HAS_TRITON else []
    for spikes in ways:
        assert np.array_equal(spikes.cpu().numpy(), want)


@needs_triton
def test_spikes_of_the_kernel_in_other_types():
    u = _membranes(20, 9)
    for dtype in (torch.float64, torch.bfloat16):
        spikes, _ = kernels.decoupled_spikes(_on(u), 0.5, spike_dtype=dtype)
        assert spikes.dtype == dtype and np.array_equal(spikes.float().cpu().numpy(), decoupled_loop(u, 0.5, 1.0))


def loop_with_graph(u, rise, threshold, surrogate):
    """What the neuron is by definition, left to autograd: the count carries a gradient."""
    count, spikes = torch.zeros_like(u[0]), []
    for now in u:
        spikes.append(spike(now - rise * count - threshold, surrogate))
        count = count + spikes[-1]
    return torch.stack(spikes)


@pytest.mark.parametrize(
    ("T", "chunk", "name"),
    [(1, 0, "sigmoid"), (9, 0, "atan"), (9, 0, "triangle"), (65, 16, "triangle")],
)
def test_gradient_of_the_count_is_that_of_the_loop(name, T, chunk):
    u = _on(_membranes(T, 5), requires_grad=True)
    weight = _on(np.random.default_rng(2).standard_normal((T, 5)))
    for rise in (0.1, 0.9):
        loop = loop_with_graph(u, rise, 1.0, SLOPES[name])
        (want,) = torch.autograd.grad((loop * weight).sum(), u)
        for way in (walk, leap):
            ours = _Decoupled.apply(u, rise, 1.0, SLOPES[name], way)
            (got,) = torch.autograd.grad((ours * weight).sum(), u)
            assert torch.equal(ours, loop) and _relative(got, want) < GRAD_F64
        if HAS_TRITON:
            slope = {"sigmoid": 4.0, "atan": 2.0, "triangle": 1.0}[name]
            spikes, counts = torch.ops.fptlib.count_spikes(
                u.detach(), rise, 1.0, slope, list(SLOPES).index(name), True, u.dtype
            )
            got = torch.ops.fptlib.count_spikes_backward(
                u.detach(), counts, weight, rise, 1.0, slope, list(SLOPES).index(name), chunk
            )
            assert torch.equal(spikes, loop.detach()) and _relative(got, want) < GRAD_F64


def prf_as_it_was(module, x):
    """The dense matrix and the loop with graph: the definition that PRF computes in other ways."""
    u = (module.matrix(x.shape[0], x.dtype, x.device) @ x.reshape(x.shape[0], -1)).reshape(x.shape)
    if module.reset == "none":
        return spike(u - module.threshold, module.surrogate)
    return loop_with_graph(u, module.threshold * module.decay, module.threshold, module.surrogate)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("reset", ["decoupled", "none"])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.95, 1.0])
def test_prf_has_the_spikes_and_gradients_of_its_definition(backend, reset, decay):
    rng = np.random.default_rng(3)
    x = _on(rng.standard_normal((70, 3, 2)) + 0.4, requires_grad=True)
    for frequency in (0.0, 0.7):
        module = PRF(decay, frequency, threshold=0.8, reset=reset, backend=backend)
        weight = _on(rng.standard_normal(x.shape))
        ours, before = module(x), prf_as_it_was(module, x)
        assert torch.equal(ours, before) and backend in module.ran
        got, want = (torch.autograd.grad((s * weight).sum(), x)[0] for s in (ours, before))
        assert _relative(got, want) < GRAD_F64


@pytest.mark.parametrize("backend", BACKENDS)
def test_prf_of_half_input_keeps_its_state_in_float32(backend):
    x = _on(np.random.default_rng(4).standard_normal((33, 7)) + 0.4).bfloat16()
    module = PRF(0.9, 0.3, backend=backend)
    assert module(x).dtype == torch.bfloat16
    assert torch.equal(module(x).float(), prf_as_it_was(module, x.float()))


def test_leaps_are_taken_where_spikes_are_fewer_than_steps():
    few, many = PRF(0.9), PRF(0.01)
    x = torch.full((600, 2), 0.3)
    few(x), many(30 * x)
    assert few.ran.endswith("from spike to spike") and many.ran.endswith("step by step")


@needs_triton
def test_operators_trace_without_running():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        x, table = torch.empty(33, 7, device=DEVICE), torch.empty(2, device=DEVICE)
        out = torch.ops.fptlib.complex_scan(x, None, table, None, True, False, False, False, torch.float32, 0)
        spikes, counts = torch.ops.fptlib.count_spikes(x, 0.5, 1.0, 4.0, 0, True, torch.bfloat16)
    assert [tuple(o.shape) for o in out] == [(33, 7), (0,), (0,), (2, 7)]
    assert spikes.dtype == torch.bfloat16 and counts.shape == (2, 7)


COMPILED = {
    "scan": lambda x: kernels.complex_scan(x, (0.6, 0.3), chunk=16),
    "count": lambda u: kernels.decoupled_spikes(u, 0.5),
    "front door": lambda x: complex_scan(0.9, 0.3, x, backend="triton"),
}


@needs_triton
@pytest.mark.parametrize(("name", "dynamic"), [("scan", True), ("count", None), ("front door", None)])
def test_compiled_for_open_sizes_the_values_and_gradients_are_those_of_eager(name, dynamic):
    compiled_like_eager(COMPILED[name], dynamic, DEVICE)
