"""The guard of the certificate against membranes in extended precision: every neuron, long trains, and its own scan."""

import numpy as np
import pytest
import torch
from cases import NEURONS, N

from fptlib import Sequential, lif, solve
from fptlib.brackets import guard, order_signs, run_linear, scan_error

USEFUL = {torch.float32: 1e-2, torch.float64: 1e-9}  # of a threshold 1, at decay 1, after 100 steps


def wide(entry):
    """A table entry in extended precision, one number or one a neuron."""
    return np.asarray(entry.tolist() if torch.is_tensor(entry) else entry, np.longdouble)


def real_distance(spec, x, spikes):
    """C u - theta for given spikes [T, P, N], step by step in extended precision, from rest."""
    D, P = spec.states, spec.channels
    A, C, J, R = (
        [[wide(e) for e in row] for row in rows] for rows in (spec.transition, spec.readout, spec.jump, spec.reset)
    )
    x, spikes = x.astype(np.longdouble), spikes.astype(np.longdouble)
    v, s, out = [np.zeros(x.shape[1:], np.longdouble)] * D, np.zeros_like(spikes[0]), []
    for t in range(len(x)):
        u = [
            sum(A[i][j] * v[j] for j in range(D)) + wide(spec.drive[i]) * x[t] + sum(J[i][p] * s[p] for p in range(P))
            for i in range(D)
        ]
        s = spikes[t]
        v = [u[i] - sum(R[i][p] * s[p] for p in range(P)) for i in range(D)]
        v = [np.where(s[0] > 0, wide(spec.reset_to[i]), v[i]) if spec.hard[i] else v[i] for i in range(D)]
        out.append(np.stack([sum(C[p][i] * u[i] for i in range(D)) - wide(spec.threshold[p]) for p in range(P)]))
    return np.stack(out)


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rem_guard_in_code_covers_the_loop_and_the_scan(name, dtype):
    generator = torch.Generator().manual_seed(5)
    x = (torch.randn(300, N, generator=generator, dtype=torch.float64) * 2 + 0.3).to(dtype)
    x[100] = 1e4  # a large membrane: many later steps carry its rounding
    spec = NEURONS[name].cast(dtype).detached()
    run = solve(spec, x, Sequential())
    spikes = run.spikes.double().reshape(300, spec.channels, N)
    loop = run.membrane.reshape(300, spec.states, N)
    v0, table = torch.zeros(spec.memory, N, dtype=torch.float64), spec.cast(torch.float64)
    scan = run_linear(table, x.double(), spikes, v0)
    bound = guard(table, x.double(), v0, scan.abs(), dtype, spikes if any(spec.hard) else None).numpy()
    truth = real_distance(table, x.double().numpy(), spikes.numpy())
    for computed in (spec.sense_all(loop), table.sense_all(scan)):
        assert (np.abs(computed.double().numpy() - truth) <= bound).all()
    if order_signs(spec) is not None:  # a guard of any size would be right, and useless to the brackets
        assert (bound[:100] < USEFUL[dtype]).all()


def test_rem_guard_in_code_charges_the_scan_step_by_step():
    """A lone large input and a leak so slow that products of 16 x 16 x 16 x 16 gates matter: their roundings add up."""
    for decay in (0.9, 0.999, 0.9999, 1.0):
        x = torch.zeros(20_000, 1, dtype=torch.float64)
        x[0] = 1e6 / 3
        v0, table = torch.zeros(1, 1, dtype=torch.float64), lif(decay).cast(torch.float64)
        membrane = run_linear(table, x, torch.zeros(20_000, 1, 1, dtype=torch.float64), v0).flatten().numpy()
        truth, u = np.empty(20_000, np.longdouble), np.longdouble(0)
        for t, value in enumerate(x.flatten().tolist()):
            truth[t] = u = np.longdouble(decay) * u + np.longdouble(value)
        assert (np.abs(membrane - truth) <= scan_error(table, x, v0).flatten().numpy()).all()
