"""Oracles: the neurons written once more, in NumPy, one step at a time. Never imports fptlib.

Every operation is one NumPy call on arrays of one dtype, so each result is rounded once, as the definitions say.
"""

import numpy as np


def lif_loop(x, decay, threshold=1.0, reset="soft", v_reset=0.0, v0=None):
    """Spikes, membrane before reset, final state of the LIF; x [T, ...] float32 or float64."""
    dtype = x.dtype.type
    decay, threshold, v_reset = (np.asarray(p, dtype=x.dtype) for p in (decay, threshold, v_reset))
    v = np.zeros(x.shape[1:], x.dtype) if v0 is None else np.array(v0, x.dtype)
    spikes, membrane = np.zeros_like(x), np.zeros_like(x)
    for t in range(x.shape[0]):
        u = (decay * v).astype(x.dtype) + x[t]
        fired = u >= threshold
        if reset == "soft":
            v = u - (threshold * fired.astype(x.dtype)).astype(x.dtype)
        elif reset == "hard":
            v = np.where(fired, v_reset, u).astype(x.dtype)
        else:
            v = u
        spikes[t], membrane[t] = fired.astype(dtype), u
    return spikes, membrane, v


def alif_loop(x, decay, threshold, adaptation, adaptation_decay, reset="soft", v_reset=0.0):
    """Adaptive LIF: a[t] = rho a[t-1] + s[t-1]; fires where u - b a >= threshold."""
    cast = lambda p: np.asarray(p, dtype=x.dtype)
    decay, threshold, b, rho, r = map(cast, (decay, threshold, adaptation, adaptation_decay, v_reset))
    v, a, s = (np.zeros(x.shape[1:], x.dtype) for _ in range(3))
    out = np.zeros_like(x)
    for t in range(x.shape[0]):
        u, a = decay * v + x[t], rho * a + s
        s = (u + (-b) * a >= threshold).astype(x.dtype)
        v = np.where(s > 0, r, u) if reset == "hard" else u - (threshold * s if reset == "soft" else 0 * s)
        out[t] = s
    return out


def resonator_loop(x, decay, frequency, threshold=1.0, reset="none"):
    """Resonate-and-fire with complex numbers; x [T, ...] float64."""
    z = np.zeros(x.shape[1:], complex)
    out = np.zeros_like(x)
    for t in range(x.shape[0]):
        z = decay * np.exp(1j * frequency) * z + x[t]
        out[t] = z.real >= threshold
        z = z - threshold * out[t] * (reset == "soft")
    return out


def two_compartment_loop(
    x, decay, coupling, gains, reset, threshold=1.0, fires="both", update="gauss-seidel", order="released"
):
    """Dendrite and soma by their own two update lines; x [T, ...] float64. Returns spikes [T, 2 or 1, ...], states [T, 2, ...]."""
    (a1, a2), (b1, b2), (e1, e2), (g1, g2) = decay, coupling, gains, reset
    vd, vs, sd, ss = (np.zeros(x.shape[1:]) for _ in range(4))
    spikes, states = [], []
    for t in range(x.shape[0]):
        late_d, late_s = (g1 * sd, g2 * ss) if order == "paper" else (0.0, 0.0)
        new_d = a1 * vd + b1 * vs + e1 * x[t] - late_d
        new_s = a2 * vs + b2 * (new_d if update == "gauss-seidel" else vd) + e2 * x[t] - late_s
        ss = (new_s >= threshold).astype(float)
        sd = (new_d >= threshold).astype(float) if fires == "both" else ss
        states.append(np.stack([new_d, new_s]))
        spikes.append(np.stack([sd, ss]) if fires == "both" else ss[None])
        vd, vs = (new_d, new_s) if order == "paper" else (new_d - g1 * sd, new_s - g2 * ss)
    return np.stack(spikes), np.stack(states)


def leak_matrix(steps, decay):
    """Lambda [T, T]: decay^(t - j) on and below the diagonal."""
    lag = np.subtract.outer(np.arange(steps), np.arange(steps))
    return np.where(lag >= 0, float(decay) ** np.maximum(lag, 0), 0.0)


def adversarial_inputs(steps, neurons, decay, threshold=1.0, dtype=np.float64, seed=0):
    """Named inputs [T, N]: random, constant, exact ties, alternating, sparse, near-threshold, zero."""
    rng = np.random.default_rng(seed)
    shape = (steps, neurons)
    grid = rng.integers(-8, 12, shape) / 8.0
    wave = np.where(np.arange(steps)[:, None] % 2, 1.5, -0.5) * np.ones(shape)
    near = threshold * (1 - decay / 2) + rng.choice([-1, 1], shape) * np.finfo(dtype).eps
    return {
        "normal": rng.normal(0.3, 0.8, shape).astype(dtype),
        "drive": rng.normal(0.6 * (1 - decay), 0.5, shape).astype(dtype),
        "constant": np.full(shape, 0.7, dtype),
        "ties": grid.astype(dtype),
        "threshold": np.full(shape, threshold, dtype),
        "alternating": wave.astype(dtype),
        "sparse": (rng.random(shape) < 0.05).astype(dtype) * dtype(1.0),
        "near": near.astype(dtype),
        "zero": np.zeros(shape, dtype),
    }
