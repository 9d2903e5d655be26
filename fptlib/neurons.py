"""Neuron constructors: physical or per-step parameters in, one table (`NeuronSpec`) out.

Parameters are floats, tensors broadcastable to one time step, or `torch.nn.Parameter`s (then they are learned).
"""

import math

import torch

from fptlib.checks import check_choice, check_range
from fptlib.spec import NeuronSpec
from fptlib.surrogates import Sigmoid

_RESETS = ("soft", "hard", "none")


def decay_from_tau(tau, dt):
    """Per-step decay of a membrane with time constant tau: decay = exp(-dt / tau).

    Args:
        tau: time constant in seconds, a float or a tensor [...].
        dt: time step in seconds, a float.

    Returns:
        decay in (0, 1), dimensionless, the shape of ``tau``.

    Raises:
        ValueError: when tau or dt is not positive.

    Example:
        >>> round(decay_from_tau(tau=0.02, dt=0.001), 4)
        0.9512

    Book: def-lif
    """
    smallest = tau.min().item() if torch.is_tensor(tau) else tau
    if not smallest > 0 or not dt > 0:
        raise ValueError(f"decay_from_tau: tau = {tau}, dt = {dt}; positive times in seconds are wanted.")
    return torch.exp(-dt / tau) if torch.is_tensor(tau) else math.exp(-dt / tau)


def lif(decay=0.5, threshold=1.0, reset="soft", v_reset=0.0, surrogate=Sigmoid(), detach_reset=False):
    """Leaky integrate-and-fire: u[t] = decay v[t-1] + x[t], s = [u >= threshold]; the input is not scaled by 1 - decay.

    Soft reset: v = u - threshold s. Hard reset: v = u (1 - s) + v_reset s. None: v = u.

    Args:
        decay: leak per step in [0, 1], dimensionless; a float or a tensor broadcastable to one step [...].
        threshold: positive; a float or a tensor broadcastable to one step.
        reset: "soft", "hard" or "none".
        v_reset: state after a spike, used by the hard reset only.
        surrogate: derivative of the threshold for the backward pass.
        detach_reset: leave the reset out of the backward pass.

    Returns:
        A NeuronSpec with D = 1 state and P = 1 spike channel; input [T, ...] gives spikes [T, ...].

    Raises:
        TypeError: when a parameter is neither a number nor a floating-point tensor.
        ValueError: when decay leaves [0, 1], the threshold is not positive, or reset is unknown.

    Example:
        >>> lif(decay=0.5, reset="hard").name
        'lif'

    Book: def-lif
    """
    check_range("decay", decay, 0.0, 1.0)
    check_range("threshold", threshold, 0.0, math.inf, open_low=True)
    check_range("v_reset", v_reset, -math.inf, math.inf)
    check_choice("reset", reset, _RESETS)
    return NeuronSpec(
        name="lif",
        transition=((decay,),),
        drive=(1.0,),
        readout=((1.0,),),
        threshold=(threshold,),
        reset=((threshold if reset == "soft" else 0.0,),),
        hard=(reset == "hard",),
        reset_to=(v_reset if reset == "hard" else 0.0,),
        surrogate=surrogate,
        detach_reset=detach_reset,
        recipe=(lif, dict(locals())),
    )


def integrate_and_fire(threshold=1.0, reset="soft", v_reset=0.0, surrogate=Sigmoid(), detach_reset=False):
    """Integrate-and-fire, the neuron without leak: u[t] = v[t-1] + x[t], s = [u >= threshold].

    Args:
        threshold, reset, v_reset, surrogate, detach_reset: as for `lif`.

    Returns:
        A NeuronSpec with D = 1 and P = 1; input [T, ...] gives spikes [T, ...].

    Raises:
        TypeError, ValueError: as for `lif`.

    Example:
        >>> integrate_and_fire().transition
        ((1.0,),)

    Book: def-lif
    """
    return lif(1.0, threshold, reset, v_reset, surrogate, detach_reset)


def alif(
    decay=0.9,
    threshold=1.0,
    adaptation=0.2,
    adaptation_decay=0.95,
    reset="soft",
    v_reset=0.0,
    surrogate=Sigmoid(),
    detach_reset=False,
):
    """Adaptive LIF: a[t] = adaptation_decay a[t-1] + s[t-1] raises the threshold, s = [u - adaptation a >= threshold].

    u[t] = decay v[t-1] + x[t]; a soft reset subtracts ``threshold`` (not the raised one), so the table stays linear.

    Args:
        decay, adaptation_decay: per-step decays in [0, 1], floats or tensors broadcastable to one step [...].
        threshold: positive; float or tensor.
        adaptation: how much one unit of a raises the threshold; any sign.
        reset, v_reset, surrogate, detach_reset: as for `lif`; they act on u only.

    Returns:
        A NeuronSpec with D = 2 states (u, a) and P = 1; membrane [T, 2, ...], spikes [T, ...].

    Raises:
        TypeError, ValueError: as for `lif`.

    Example:
        >>> alif().states
        2

    Book: def-alif
    """
    check_range("decay", decay, 0.0, 1.0)
    check_range("adaptation_decay", adaptation_decay, 0.0, 1.0)
    check_range("threshold", threshold, 0.0, math.inf, open_low=True)
    check_range("adaptation", adaptation, -math.inf, math.inf)
    check_choice("reset", reset, _RESETS)
    return NeuronSpec(
        name="alif",
        transition=((decay, 0.0), (0.0, adaptation_decay)),
        drive=(1.0, 0.0),
        readout=((1.0, -adaptation),),
        threshold=(threshold,),
        reset=((threshold if reset == "soft" else 0.0,), (0.0,)),
        jump=((0.0,), (1.0,)),
        hard=(reset == "hard", False),
        reset_to=(v_reset if reset == "hard" else 0.0, 0.0),
        surrogate=surrogate,
        detach_reset=detach_reset,
        recipe=(alif, dict(locals())),
    )


def resonate_and_fire(decay=0.95, frequency=0.3, threshold=1.0, reset="none", surrogate=Sigmoid(), detach_reset=False):
    """Resonate-and-fire: z[t] = decay exp(i frequency) z[t-1] + x[t], s = [Re z >= threshold]; a complex leak.

    Args:
        decay: modulus of the leak in [0, 1], float or tensor broadcastable to one step [...].
        frequency: angle of the leak, radians per step, float or tensor.
        threshold: positive; float or tensor.
        reset: "none", or "soft" (threshold subtracted from the real part).
        surrogate, detach_reset: as for `lif`.

    Returns:
        A NeuronSpec with D = 2 states (Re z, Im z) and P = 1; membrane [T, 2, ...], spikes [T, ...].

    Raises:
        TypeError, ValueError: as for `lif`.

    Example:
        >>> resonate_and_fire(decay=0.5, frequency=0.0).transition[0][0]
        0.5

    Book: def-resonator
    """
    check_range("decay", decay, 0.0, 1.0)
    check_range("frequency", frequency, -math.inf, math.inf)
    check_range("threshold", threshold, 0.0, math.inf, open_low=True)
    check_choice("reset", reset, ("soft", "none"))
    recipe = (resonate_and_fire, dict(locals()))
    if torch.is_tensor(frequency):
        cosine, sine = torch.cos(frequency), torch.sin(frequency)
    else:
        cosine, sine = math.cos(frequency), math.sin(frequency)
    return NeuronSpec(
        name="resonate_and_fire",
        transition=((decay * cosine, -decay * sine), (decay * sine, decay * cosine)),
        drive=(1.0, 0.0),
        readout=((1.0, 0.0),),
        threshold=(threshold,),
        reset=((threshold if reset == "soft" else 0.0,), (0.0,)),
        surrogate=surrogate,
        detach_reset=detach_reset,
        recipe=recipe,
    )
