"""Exchange of LIF layers with other frameworks through NIR, the neuromorphic intermediate representation.

NIR's neuron is continuous: tau dv/dt = v_leak - v + R I, fires above v_threshold, restarts at v_reset. With the input held
over a step of length dt its exact step is u = decay v + (1 - decay) R x, decay = exp(-dt / tau); the table here does not
scale its input, so R = 1 / (1 - decay) on the way out, and a factor (1 - decay) R must be one on the way in.
"""

import numpy as np
import torch

from fptlib.neurons import integrate_and_fire, lif
from fptlib.spec import NeuronSpec

_SAME = 1e-6  # NIR files hold float32: the input factor is called one when it is so to this relative error


def to_nir(neuron, shape=(), dt=1e-3, soft_reset="refuse"):
    """Write a LIF or integrate-and-fire neuron as a NIR node: tau = -dt / log(decay), R = 1 / (1 - decay).

    Args:
        neuron: `lif` (0 < decay <= 1) or `integrate_and_fire`, hard reset, or soft reset as ``soft_reset`` says.
        shape: shape of one time step, to which parameters are broadcast [...].
        dt: length of a step in seconds.
        soft_reset: "refuse", or "metadata": NIR's own neuron restarts at v_reset, so a soft reset can only be noted in the
            node's metadata, where `from_nir` finds it and other readers may not look.

    Returns:
        nir.LIF or nir.IF with arrays of ``shape``. NIR fires above the threshold, this library also at a tie.

    Raises:
        ImportError: the package nir is not installed.
        TypeError, ValueError: neurons that NIR cannot hold, or an unknown ``soft_reset``.

    Example:
        >>> float(to_nir(lif(0.5, reset="hard"), dt=1.0).tau)  # doctest: +SKIP
        1.4426950408889634

    Book: sec-nir
    """
    import nir

    if not isinstance(neuron, NeuronSpec) or neuron.name != "lif":
        name = getattr(neuron, "name", type(neuron).__name__)
        raise TypeError(
            f"to_nir: {name} came; NIR holds the LIF and the integrate-and-fire neuron; build one of those."
        )
    if soft_reset not in ("refuse", "metadata"):
        raise ValueError(f"to_nir: soft_reset came as {soft_reset!r}; 'refuse' or 'metadata' is wanted.")
    decay, threshold = (_array(value, shape) for value in (neuron.transition[0][0], neuron.threshold[0]))
    hard = neuron.hard[0]
    if not hard and soft_reset == "refuse":
        raise ValueError(
            "to_nir: this neuron has no hard reset, and NIR's restarts at v_reset; "
            "use lif(reset='hard'), or soft_reset='metadata' if the reader is from_nir."
        )
    soft = not isinstance(neuron.reset[0][0], float) or neuron.reset[0][0] != 0.0
    metadata = {} if hard else {"reset": "soft" if soft else "none"}
    rest = _array(neuron.reset_to[0], shape)
    if (decay == 1).all():
        return nir.IF(r=np.full(shape, 1 / dt), v_threshold=threshold, v_reset=rest, metadata=metadata)
    if not ((decay > 0) & (decay < 1)).all():
        raise ValueError("to_nir: decay 0 (or 1 for some neurons only) has no time constant; 0 < decay < 1 is wanted.")
    tau = -dt / np.log(decay)
    return nir.LIF(tau, 1 / (1 - decay), np.zeros(shape), threshold, rest, metadata=metadata)


def from_nir(node, dt=1e-3, surrogate=None):
    """Read a NIR LIF or IF node as a neuron of this library, exact for input held over each step.

    Args:
        node: nir.LIF or nir.IF with arrays of one shape [...].
        dt: length of a step in seconds.
        surrogate: as for `lif`; None is its default.

    Returns:
        A NeuronSpec with float64 parameters of the node's shape.

    Raises:
        TypeError: another kind of node.
        ValueError: a leak voltage other than 0, or an input factor (1 - decay) R other than 1: scale the layer's weights
            by the factor the message names, and R by its inverse.

    Example:
        >>> from_nir(to_nir(lif(0.5, reset="hard"), dt=1.0), dt=1.0).hard  # doctest: +SKIP
        (True,)

    Book: sec-nir
    """
    kind = type(node).__name__
    if kind not in ("LIF", "IF"):
        raise TypeError(f"from_nir: a {kind} node came; nir.LIF or nir.IF is wanted.")
    extra = {} if surrogate is None else {"surrogate": surrogate}
    reset = (node.metadata or {}).get("reset", "hard")
    threshold, rest = (torch.as_tensor(np.asarray(value, float)) for value in (node.v_threshold, node.v_reset))
    if kind == "IF":
        _check_factor(np.asarray(node.r) * dt)
        return integrate_and_fire(threshold, reset, rest, **extra)
    if np.any(np.asarray(node.v_leak) != 0):
        raise ValueError("from_nir: v_leak is not 0; shift v_threshold and v_reset by it and set it to 0.")
    decay = np.exp(-dt / np.asarray(node.tau, float))
    _check_factor((1 - decay) * np.asarray(node.r))
    return lif(torch.as_tensor(decay), threshold, reset, rest, **extra)


def _check_factor(factor):
    if not np.allclose(factor, 1, rtol=_SAME, atol=0):
        low, high = float(np.min(factor)), float(np.max(factor))
        raise ValueError(
            f"from_nir: each step scales the input by {low:g}..{high:g}; this library's neuron does not scale it; "
            f"multiply the weights before this node by that factor and divide R by it."
        )


def _array(value, shape):
    value = value.detach().double().cpu().numpy() if torch.is_tensor(value) else np.float64(value)
    try:
        return np.broadcast_to(value, shape).copy()
    except ValueError as error:
        sizes = f"{np.shape(value)} does not broadcast to shape {tuple(shape)}"
        raise ValueError(f"to_nir: a parameter of shape {sizes}; pass the shape of one time step.") from error
