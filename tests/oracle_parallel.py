"""Parallel neurons, written as plain loops over time in NumPy. Never imports fptlib. Inputs [T, N], outputs [T, N]."""

import numpy as np


def leaky(x, decay):
    """u[t] = decay u[t-1] + x[t], no reset."""
    u = np.zeros_like(x)
    for t in range(len(x)):
        u[t] = (decay * u[t - 1] if t else 0.0) + x[t]
    return u


def lif(x, decay, threshold=1.0):
    """Sequential leaky integrate-and-fire neuron with soft reset; spikes."""
    v, s = np.zeros_like(x[0]), np.zeros_like(x)
    for t in range(len(x)):
        u = decay * v + x[t]
        s[t] = u >= threshold
        v = u - threshold * s[t]
    return s


def free(x, weight, threshold):
    """PSN: membrane and spikes of s_t = [sum_j weight[t, j] x[j] >= threshold[t]]."""
    u = np.zeros_like(x)
    for t in range(len(x)):
        for j in range(len(x)):
            u[t] += weight[t, j] * x[j]
    return u, (u >= np.reshape(threshold, (-1, 1))).astype(x.dtype)


def sliding(x, taps):
    """Membrane u[t] = sum_i taps[i] x[t-i]."""
    u = np.zeros_like(x)
    for t in range(len(x)):
        for i in range(min(len(taps), t + 1)):
            u[t] += taps[i] * x[t - i]
    return u


def estimated_reset(x, decay, threshold, estimate):
    """u[t] = free[t] - threshold sum_{j<t} decay^(t-j) estimate(free)[j]: one correction from guessed spikes; membrane."""
    guess = estimate(leaky(x, decay))
    u, lost = np.zeros_like(x), np.zeros_like(x[0])
    membrane = leaky(x, decay)
    for t in range(len(x)):
        u[t] = membrane[t] - threshold * lost
        lost = decay * (lost + guess[t])
    return u


def prf(x, decay, frequency, threshold, decoupled=True):
    """Complex leak without reset; the threshold rises by threshold * decay at each spike (decoupled)."""
    z, count, s = np.zeros(x.shape[1:], complex), np.zeros_like(x[0]), np.zeros_like(x)
    for t in range(len(x)):
        z = decay * np.exp(1j * frequency) * z + x[t]
        s[t] = z.real >= threshold * (1 + decoupled * decay * count)
        count = count + s[t]
    return s
