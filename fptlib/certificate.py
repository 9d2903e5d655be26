"""The certificate: which steps of a train are proved equal to the sequential neuron, and by which argument."""

import torch

from fptlib.brackets import brackets, order_signs, prefix_proof
from fptlib.result import Certificate


def certify(spec, x, v0, run, bounds=None):
    """Prove what can be proved about the train in ``run``, against the loop's arithmetic in the dtype of ``x``.

    Args:
        spec: a NeuronSpec; x: input [T, ...]; v0: initial state [D, ...], in the loop's dtype.
        run: a solver's `Run`.
        bounds: (lower, upper) trains [T, P, ...] already computed by the solver, or None.

    Returns:
        A `Certificate`. Trains proved by construction (the loop itself, verified seams) need no work here; other binary
        trains get the prefix proof and, where the neuron's sweeps reverse order, the brackets; graded ones get nothing.

    Raises:
        Nothing; ``solve`` has checked the arguments.

    Example:
        >>> from fptlib import FixedPoint, lif, solve
        >>> solve(lif(), torch.full((8, 1), 0.7), FixedPoint(sweeps=2)).certificate.prefix
        3

    Book: def-certificate
    """
    steps, squeeze = x.shape[0], spec.channels == 1
    if run.by_construction:
        return Certificate(True, steps, None, None, None, run.by_construction)
    if run.graded:
        mask = torch.ones_like(run.spikes, dtype=torch.bool)
        return Certificate(
            False, 0, mask[:, 0] if squeeze else mask, None, None, "Graded or sampled output is not proved."
        )
    proved = prefix_proof(spec, x, v0, run.spikes, x.dtype)
    reason = "One more sweep reproduces the proved prefix, and no membrane there lies within rounding of the threshold."
    lower = upper = None
    if order_signs(spec) is not None:
        lower, upper = bounds if bounds is not None else brackets(spec, x, v0, x.dtype, run.sweeps + 1)[:2]
        proved = proved | ((lower == upper) & (run.spikes == lower))
        reason = "The lower and the upper train agree on the proved steps, with rounding covered by the guard band."
    open_steps = (~proved).flatten(1).any(1)
    prefix = int(open_steps.nonzero()[0]) if bool(open_steps.any()) else steps
    trains = [None if b is None else b[:, 0] if squeeze else b for b in (~proved, lower, upper)]
    return Certificate(prefix == steps, prefix, *trains, reason)
