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
