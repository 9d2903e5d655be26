"""NumPy reference for chapters 6 and 8: the family of sweeps in plain loops, Jacobians as dense products. Never imports fptlib."""

import numpy as np


def logistic(slope):
    """sigma_slope and its derivative, as functions of the distance to threshold."""
    value = lambda z: 0.5 * (1 + np.tanh(slope * z / 2))
    return value, lambda z: slope * value(z) * (1 - value(z))


def threshold():
    """The hard threshold and its almost-everywhere derivative."""
    return lambda z: (z >= 0) * 1.0, lambda z: 0.0 * z


def step(decay, theta, fire, reset="soft", v_reset=0.0):
    """One step F without its input, and the derivative of F; `fire` is a pair (value, derivative)."""
    f, df = (lambda u: fire[0](u - theta)), (lambda u: fire[1](u - theta))
    if reset == "soft":
        return lambda u: decay * (u - theta * f(u)), lambda u: decay * (1 - theta * df(u))
    if reset == "hard":
        return (
            lambda u: decay * (u * (1 - f(u)) + v_reset * f(u)),
            lambda u: decay * ((1 - f(u)) - (u - v_reset) * df(u)),
        )
    return lambda u: decay * u, lambda u: decay + 0 * u


def loop(x, F, start=0.0):
    """The recurrence u[t] = F(u[t-1]) + x[t]; `start` = decay * v0 joins the first input."""
    u = [x[0] + start]
    for now in x[1:]:
        u.append(F(u[-1]) + now)
    return np.stack(u)


def sweep(old, x, F, coefficient, start=0.0):
    """new[t] = F(old[t-1]) + x[t] + A[t-1] (new[t-1] - old[t-1]); A [T, ...] or a number."""
    A = coefficient + 0 * old
    new = np.empty_like(old)
    new[0] = x[0] + start
    for t in range(1, len(x)):
        new[t] = F(old[t - 1]) + x[t] + A[t - 1] * (new[t - 1] - old[t - 1])
    return new


def leak(steps, decay):
    """Lambda [T, T]."""
    lag = np.subtract.outer(np.arange(steps), np.arange(steps))
    return np.where(lag >= 0, float(decay) ** np.maximum(lag, 0), 0.0)


def neumann(D, decay, theta, terms):
    """Sum of `terms` terms of sum_j (-theta D A)^j D Lambda, each term from the one before."""
    kernel = leak(len(D), decay)
    A, term = kernel - np.eye(len(D)), np.diag(D) @ kernel
    total = term.copy()
    for _ in range(terms - 1):
        term = -theta * np.diag(D) @ A @ term
        total = total + term
    return total


def unrolled(x, decay, theta, stages):
    """Spikes and Jacobian [T, T] of sweeps on one train; stages = [(value, derivative used backward), ...]."""
    kernel = leak(len(x), decay)
    A, spikes, jacobian = kernel - np.eye(len(x)), np.zeros(len(x)), np.zeros((len(x), len(x)))
    for value, back in stages:
        z = kernel @ x - theta * A @ spikes - theta
        spikes, jacobian = value(z), np.diag(back(z)) @ (kernel - theta * A @ jacobian)
    return spikes, jacobian
