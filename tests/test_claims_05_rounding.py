"""Rounding and guard band of the chapter on certified spikes, against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest


@pytest.mark.parametrize(("dtype", "unit", "half"), ((np.float32, 24, 150), (np.float64, 53, 1075)))
def test_lem_loop_rounding_formula(dtype, unit, half):
    """δ_t of the lemma itself, M read off the run: negative and unit decay, denormal and large inputs, a start."""
    rng, epsilon, eta = np.random.default_rng(34), Fraction(1, 2**unit), Fraction(1, 2**half)
    for decay in map(dtype, (0.0, 0.5, 0.9, 1.0, -0.9)):
        for scale in (float(np.finfo(dtype).tiny) / 1000, 1.0, 1e6):
            x, s = (scale * rng.normal(size=20)).astype(dtype), (rng.random(20) < 0.4).astype(dtype)
            threshold, v = dtype(scale), dtype(scale * rng.normal())
            real, delta, w, sizes = Fraction(float(v)), Fraction(0), [], [v]
            for c, spike in zip(x, s, strict=True):
                leaked = dtype(decay * v)
                w.append(dtype(leaked + c))
                v = dtype(w[-1] - threshold * spike)
                sizes += [leaked, w[-1], v]
            largest = max(abs(Fraction(float(z))) for z in sizes)
            exact = Fraction(float(decay))
            for t in range(20):
                real = exact * real + Fraction(float(x[t]))
                delta = abs(exact) * (delta + epsilon * largest) + 2 * epsilon * largest + eta
                assert abs(Fraction(float(w[t])) - real) <= delta
                real -= Fraction(float(threshold)) * int(s[t])
            if abs(exact) < 1:
                assert delta <= (3 * epsilon * largest + eta) / (1 - abs(exact))


def test_thm_guarded_brackets_close_where_the_loop_is_clear():
    """Part 2 in exact fractions: the evaluation errs by any amount within η, another one at each call, and is not causal."""
    rng, clear = np.random.default_rng(35), 0
    errors = (Fraction(0), Fraction(1, 100), Fraction(1, 16))
    for _ in range(400):
        T, decay = int(rng.integers(1, 8)), (Fraction(0), Fraction(1, 2), Fraction(9, 10), Fraction(1))[rng.integers(4)]
        x = [Fraction(int(c), 8) for c in rng.integers(-8, 16, T)]
        rho, eta = ([errors[i] for i in rng.integers(3, size=T)] for _ in range(2))

        def real(spikes, x=x, decay=decay):
            v, u = Fraction(0), []
            for c, s in zip(x, spikes, strict=True):
                u.append(decay * v + c)
                v = u[-1] - s
            return u

        def disturbed(u, size):
            return [a + b * int(e) for a, b, e in zip(u, size, rng.integers(-1, 2, len(u)), strict=True)]

        kick, truth = disturbed([Fraction(0)] * T, rho), []
        for t in range(T):  # the rounded loop: its spikes are those of its own disturbed membrane
            truth.append(int(real(truth + [0] * (T - t))[t] + kick[t] >= 1))
        w = [a + b for a, b in zip(real(truth), kick, strict=True)]
        delta = [a + b for a, b in zip(rho, eta, strict=True)]
        low, high = [0] * T, [1] * T
        for k in range(1, T + 2):
            u = disturbed(real(low if k % 2 else high), eta)
            if k % 2:
                high = [min(h, int(a >= 1 - d)) for h, a, d in zip(high, u, delta, strict=True)]
            else:
                low = [max(z, int(a >= 1 + d)) for z, a, d in zip(low, u, delta, strict=True)]
            assert all(a <= s <= b for a, s, b in zip(low, truth, high, strict=True))
        if all(abs(a - 1) > 2 * d for a, d in zip(w, delta, strict=True)):
            clear += 1
            assert low == high == truth
    assert clear > 100
