"""Loops in NumPy against which the kernels are held: one operation, one rounding, the float width of the input."""

import numpy as np


def lif_loop(x, decay, threshold, reset, v_reset, v0):
    """Sequential leaky integrate-and-fire; x [T, N] -> spikes [T, N], membrane [T, N], final state [N]."""
    kind = x.dtype.type
    decay, threshold, v_reset = (np.asarray(p, kind) for p in (decay, threshold, v_reset))
    v, spikes, membrane = np.broadcast_to(np.asarray(v0, kind), x.shape[1:]), np.empty_like(x), np.empty_like(x)
    for t in range(len(x)):
        u = decay * v + x[t]
        fired = u >= threshold
        v = {"soft": np.where(fired, u - threshold, u), "hard": np.where(fired, v_reset, u), "none": u}[reset]
        spikes[t], membrane[t] = fired, u
    return spikes, membrane, v


def two_state_loop(x, spec, v0):
    """Sequential neuron with two states, for a table of floats; x [T, N] -> spikes [T, P, N], final state [2, N]."""
    kind = x.dtype.type
    a, b, c = (np.asarray(m, kind) for m in (spec.transition, spec.drive, spec.readout))
    theta, r, jump = (np.asarray(m, kind) for m in (spec.threshold, spec.reset, spec.jump))
    v, s = list(v0), [np.zeros(x.shape[1], kind) for _ in theta]
    out = []
    for t in range(len(x)):
        u = []
        for i in range(2):
            total = a[i, 0] * v[0] + a[i, 1] * v[1] + b[i] * x[t]
            for p in range(len(theta)):
                total = total + jump[i, p] * s[p]
            u.append(total)
        s = [(c[p, 0] * u[0] + c[p, 1] * u[1] >= theta[p]).astype(kind) for p in range(len(theta))]
        v = []
        for i in range(2):
            value = u[i]
            for p in range(len(theta)):
                value = value - r[i, p] * s[p]
            v.append(np.where(s[0] > 0, kind(spec.reset_to[i]), value) if spec.hard[i] else value)
        out.append(np.stack(s))
    return np.stack(out), np.stack(v)


def sweep_loop(x, decay, threshold, sweeps):
    """K hard sweeps of the soft-reset neuron in the loop's order; x [T, N] -> s_K, s_{K-1} [T, N]."""
    kind = x.dtype.type
    s = np.zeros_like(x)
    for _ in range(sweeps):
        before, v, u = s, np.zeros_like(x[0]), np.empty_like(x)
        for t in range(len(x)):
            u[t] = kind(decay) * v + x[t]
            v = u[t] - kind(threshold) * s[t]
        s = (u >= kind(threshold)).astype(kind)
    return s, before


def complex_loop(x, pole, z0):
    """z = p z + x step by step, one rounding an operation; x [T, N], pole and z0 pairs -> real, imaginary part, growth [T, N].

    ``growth`` is sum_j (t - j + 1) |p|^(t-j) |x_j|, the initial state standing before the first step.
    """
    kind = x.dtype.type
    a, b = (np.asarray(p, kind) for p in pole)
    r, i = (np.broadcast_to(np.asarray(p, kind), x.shape[1:]) for p in z0)
    size = np.hypot(a, b)
    reach = np.hypot(r, i)
    growth, real, imag, bound = reach, np.empty_like(x), np.empty_like(x), np.empty_like(x)
    for t in range(len(x)):
        r, i = a * r - b * i + x[t], b * r + a * i
        reach = size * reach + np.abs(x[t])
        growth = size * growth + reach
        real[t], imag[t], bound[t] = r, i, growth
    return real, imag, bound


def decoupled_loop(u, rise, threshold):
    """A threshold that rises at every spike; u [T, N] -> spikes [T, N]."""
    kind, spikes = u.dtype.type, np.empty_like(u)
    count = np.zeros_like(u[0])
    for t in range(len(u)):
        spikes[t] = u[t] - kind(rise) * count >= kind(threshold)
        count = count + spikes[t]
    return spikes
