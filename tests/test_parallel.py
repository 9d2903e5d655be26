"""Every parallel neuron against a loop, and against the fixed point it says it is: outputs and gradients."""

import numpy as np
import oracle_parallel as oracle
import pytest
import torch

from fptlib.parallel import IPSU, PRF, PSN, PSU, SPSN, FixedPointForm, MaskedPSN, NoResetLIF, SlidingPSN

# Two orders of summation over at most 33 terms of size about 1 in float64.
ROUND_OFF = 1e-12
STEPS = [1, 2, 7, 33]


@pytest.fixture(autouse=True)
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


def sequence(steps, shape=(3, 2), seed=0):
    return torch.randn(steps, *shape, generator=torch.Generator().manual_seed(seed)) + 0.4


def neurons(steps):
    """Every class with weights moved off their start, so that nothing holds by an accident of initialisation."""
    made = {
        "PSN": PSN(steps),
        "MaskedPSN full": MaskedPSN(steps, order=min(3, steps), blend=0.0),
        "MaskedPSN half": MaskedPSN(steps, order=min(3, steps), blend=0.5),
        "MaskedPSN band": MaskedPSN(steps, order=min(3, steps), blend=1.0),
        "SlidingPSN": SlidingPSN(order=4),
        "NoResetLIF": NoResetLIF(torch.nn.Parameter(torch.tensor(0.9))),
        "NoResetLIF 0": NoResetLIF(0.0),
        "NoResetLIF 1": NoResetLIF(1.0),
        "PSU": PSU(steps, decay=0.9),
        "PSU hard": PSU(steps, decay=0.5, slope=None),
        "IPSU": IPSU(steps, decay=0.5),
        "PRF": PRF(decay=0.9),
        "PRF resonant": PRF(decay=0.95, frequency=0.7),
        "PRF no reset": PRF(decay=0.95, frequency=0.7, reset="none"),
        "SPSN mean": SPSN(torch.nn.Parameter(torch.tensor(0.5)), 0.9, sample=False),
    }
    for module in made.values():
        for parameter in module.parameters():
            if parameter.ndim == 2:
                parameter.data += 0.3 * torch.randn(parameter.shape)
    return made


def form_of(module, steps):
    return module.as_fixed_point() if hasattr(module, "steps") else module.as_fixed_point(steps)


@pytest.mark.parametrize("steps", STEPS)
def test_outputs_and_gradients_equal_the_fixed_point(steps):
    weight = torch.randn(steps, 3, 2)
    for name, module in neurons(steps).items():
        x = sequence(steps).requires_grad_()
        wanted = [x, *module.parameters()]
        out, same = module(x), form_of(module, steps)(x)
        # Generic inputs: no membrane within rounding of its threshold, so the spikes are the same bits.
        assert torch.allclose(out, same, rtol=0, atol=ROUND_OFF), name
        if "mean" not in name:
            assert torch.equal(out, same) and set(out.unique().tolist()) <= {0.0, 1.0}, name
        first = torch.autograd.grad((out * weight).sum(), wanted, allow_unused=True)
        second = torch.autograd.grad((same * weight).sum(), wanted, allow_unused=True)
        for g, h in zip(first, second, strict=True):
            g, h = (torch.zeros(()) if k is None else k for k in (g, h))
            assert torch.allclose(g, h, rtol=ROUND_OFF, atol=ROUND_OFF), name


@pytest.mark.parametrize("steps", STEPS)
def test_equal_to_loops(steps):
    x = sequence(steps, (5,))
    n = x.numpy()
    made = neurons(steps)
    for name in ("PSN", "MaskedPSN half", "MaskedPSN band"):
        module = made[name]
        spikes = oracle.free(n, module.matrix().detach().numpy(), module.threshold.detach().numpy())[1]
        assert np.array_equal(module(x).detach().numpy(), spikes), name
    taps = made["SlidingPSN"].taps.detach().numpy()
    assert np.array_equal(made["SlidingPSN"](x).detach().numpy(), oracle.sliding(n, taps) >= 1)
    for decay in (0.0, 0.5, 0.9, 0.99, 1.0):
        free = oracle.leaky(n, decay)
        assert np.array_equal(NoResetLIF(decay)(x).numpy(), free >= 1)
        chance = 1 / (1 + np.exp(-4 * (oracle.leaky(free, 0.5) - 1)))
        assert np.allclose(SPSN(decay, 0.5, sample=False)(x).numpy(), chance, rtol=0, atol=ROUND_OFF)
        for slope in (None, 4.0):
            guess = (lambda u: u >= 1) if slope is None else (lambda u: 1 / (1 + np.exp(-4.0 * (u - 1))))
            u = oracle.estimated_reset(n, decay, 1.0, guess)
            assert np.array_equal(PSU(steps, decay, slope=slope)(x).detach().numpy(), u >= 1)
        u = oracle.estimated_reset(n, decay, 1.0, lambda u: u)
        assert np.array_equal(IPSU(steps, decay)(x).detach().numpy(), u >= 1)
        for reset in ("decoupled", "none"):
            s = oracle.prf(n, decay, 0.7, 1.0, reset == "decoupled")
            assert np.array_equal(PRF(decay, 0.7, reset=reset)(x).numpy(), s)


def test_spsn_draws_are_reproducible_and_straight_through():
    module = SPSN(0.5, 0.9)
    x = sequence(20).requires_grad_()
    draws = [torch.Generator().manual_seed(3) for _ in range(2)]
    out, same = module(x, generator=draws[0]), module.as_fixed_point(20, generator=draws[1])(x)
    assert torch.equal(out, same) and set(out.unique().tolist()) == {0.0, 1.0}
    mean = SPSN(0.5, 0.9, sample=False)(x)
    for a, b in zip(torch.autograd.grad(out.sum(), x), torch.autograd.grad(mean.sum(), x), strict=True):
        assert torch.allclose(a, b, rtol=ROUND_OFF, atol=ROUND_OFF)


def test_ties_fire():
    # Multiples of 1/8 with decay 1/2: every sum is exact, the membrane meets the threshold exactly, and that is a spike.
    x = torch.tensor([0.5, 0.75, 0.5, 0.0])[:, None]
    assert NoResetLIF(0.5)(x).flatten().tolist() == [0, 1, 1, 0]
    assert PSU(4, slope=None)(x).flatten().tolist() == [0, 1, 0, 0]


def test_masked_psn_is_causal_only_when_masked():
    for blend, causal in ((0.0, False), (0.9, False), (1.0, True)):
        module = MaskedPSN(8, order=4, blend=blend)
        x = sequence(8).requires_grad_()
        future = torch.autograd.grad(module(x)[3].sum(), x)[0][4:]
        assert (future.abs().max() == 0) == causal
    module.set_blend(0.25)
    assert "blend=0.25" in repr(module)
    assert torch.equal(MaskedPSN(8, order=8, blend=1.0).band, torch.ones(8, 8).tril())


def test_exact_says_whether_the_sweeps_reach_the_fixed_point():
    # One more evaluation of the last f changes nothing exactly when the record says so.
    for name, module in neurons(12).items():
        form = form_of(module, 12)
        more = FixedPointForm(form.A, form.B, (*form.f, form.f[-1]), form.K + 1, form.exact, form.note)
        x = sequence(12, (50,))
        assert form.K == len(form.f)
        assert torch.equal(form(x), more(x)) == form.exact, name


def test_state_dict_round_trip():
    for (name, one), other in zip(neurons(9).items(), neurons(9).values(), strict=True):
        other.load_state_dict(one.state_dict())
        x = sequence(9)
        assert torch.equal(one(x), other(x)), name
        assert type(one).__name__ in repr(one)


def test_float32_numbers_are_rounded_once():
    x = sequence(40)
    assert NoResetLIF(0.9)(x.float()).dtype == torch.float32
    assert torch.equal(NoResetLIF(0.9).as_fixed_point(5, torch.float64).A[:, 0], 0.9 ** torch.arange(5.0))


@pytest.mark.parametrize(
    "wrong, error, says",
    [
        (lambda: PSN(4)(torch.ones(5, 2)), ValueError, "5 steps"),
        (lambda: PSN(4)(torch.ones(4, 2, dtype=torch.float32)), TypeError, "float32"),
        (lambda: PSN(0), ValueError, "at least 1"),
        (lambda: PSN(2.5), TypeError, "whole number"),
        (lambda: PSN(4, threshold=-1.0), ValueError, "threshold came as"),
        (lambda: MaskedPSN(4, order=5), ValueError, "at most 4"),
        (lambda: MaskedPSN(4, order=2, blend=1.5), ValueError, "blend"),
        (lambda: SlidingPSN(3)(torch.ones(0, 2)), ValueError, "at least one step"),
        (lambda: NoResetLIF(1.2), ValueError, "in \\[0, 1\\]"),
        (lambda: NoResetLIF(torch.tensor([0.5, 0.9])), TypeError, "one number"),
        (lambda: NoResetLIF()(torch.ones(4, dtype=torch.int64)), TypeError, "x.float"),
        (lambda: NoResetLIF()([1.0]), TypeError, "list"),
        (lambda: NoResetLIF()(torch.tensor([1.0, float("nan")])), ValueError, "NaN"),
        (lambda: SPSN(slope=0.0), ValueError, "slope"),
        (lambda: PRF(frequency=4.0), ValueError, "frequency"),
        (lambda: PRF(reset="hard"), ValueError, "hard"),
        (lambda: PSU(4, slope=-1.0), ValueError, "slope"),
        (lambda: IPSU(4, decay=-0.1), ValueError, "decay"),
        (lambda: NoResetLIF().as_fixed_point(3)(torch.ones(4)), ValueError, "4 steps"),
    ],
)
def test_bad_input_is_refused_with_words(wrong, error, says):
    with pytest.raises(error, match=says):
        wrong()
