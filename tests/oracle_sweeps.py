"""NumPy reference for the sweeps of chapters 4 and 5: plain loops over time, never imports fptlib.

Every function keeps the dtype of `x` and the order of operations u = round(round(decay·v) + x), v = round(u − threshold·s).
"""

import numpy as np

DECAYS = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)


def step(z):
    return (z >= 0).astype(z.dtype)


def logistic(slope):
    def fire(z):
        e = np.exp(-np.abs(slope * z))
        return (np.where(z >= 0, 1.0, e) / (1.0 + e)).astype(z.dtype)

    return fire


def feedback(decay, T):
    """A = Λ − I: decay**(t − j) strictly below the diagonal."""
    lag = np.subtract.outer(np.arange(T), np.arange(T))
    return np.where(lag > 0, float(decay) ** np.maximum(lag, 0), 0.0)


def charge(x, decay, reset, v0=0.0):
    """Membrane when the amount subtracted after each step is given."""
    decay, v = x.dtype.type(decay), np.full_like(x[0], v0)
    u = np.empty_like(x)
    for t in range(len(x)):
        u[t] = decay * v + x[t]
        v = u[t] - reset[t]
    return u


def loop(x, decay, threshold=1.0, fire=step, v0=0.0, hard=None):
    """Sequential neuron: membrane and spikes. `hard` is the value of a hard reset, None for the soft one."""
    decay, threshold, v = x.dtype.type(decay), x.dtype.type(threshold), np.full_like(x[0], v0)
    u, s = np.empty_like(x), np.empty_like(x)
    for t in range(len(x)):
        u[t] = decay * v + x[t]
        s[t] = fire(u[t] - threshold)
        v = u[t] - threshold * s[t] if hard is None else np.where(s[t] > 0, x.dtype.type(hard), u[t])
    return u, s


def chain(x, decay, evaluations, threshold=1.0, fire=step, v0=0.0, start=None):
    """S⁽⁰⁾, …, S⁽ᴷ⁾ and U⁰, …, Uᴷ⁻¹ from no spikes (or from `start`)."""
    spikes, membranes = [np.zeros_like(x) if start is None else start], []
    for _ in range(evaluations):
        membranes.append(charge(x, decay, x.dtype.type(threshold) * spikes[-1], v0))
        spikes.append(fire(membranes[-1] - x.dtype.type(threshold)))
    return spikes, membranes


def inputs(T, seed, decay=0.5, count=40, dtype=np.float64):
    """Inputs meant to be awkward: noise around a useful rate, exact ties, constants, a slow train, silence."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.6 * (1 - min(abs(decay), 1)) + 0.05, 0.5, (T, count))
    eighths = rng.integers(-8, 16, (T, count)) / 8.0
    constants = np.broadcast_to([0.0, 0.5, 0.7, 1.0, 2.0, -1.0], (T, 6))
    return np.concatenate([noise, eighths, constants], axis=1).astype(dtype)


def assert_brackets(spikes, truth):
    """Odd sweeps above, even below, each chain tightening, and consecutive agreement only on the truth."""
    for K, s in enumerate(spikes):
        assert ((s >= truth) if K % 2 else (s <= truth)).all()
    for K in range(len(spikes) - 2):
        assert ((spikes[K + 2] <= spikes[K]) if K % 2 else (spikes[K + 2] >= spikes[K])).all()
    for before, after in zip(spikes, spikes[1:], strict=False):
        assert not ((before == after) & (after != truth)).any()


def solve_forward(drive, F, fire=step):
    s = np.zeros_like(drive)
    for i in range(len(drive)):
        s[i] = fire(drive[i] - F[i] @ s - 1.0)
    return s
