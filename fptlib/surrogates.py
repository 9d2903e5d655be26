"""Surrogates: a smooth primitive, its slope, and the one spike function that uses them.

A surrogate stands in for the derivative of the threshold function. Forward, a spike is exactly 0 or 1;
backward, the derivative of the surrogate's primitive takes the place of the derivative that does not exist.
"""

import math
from dataclasses import dataclass
from functools import wraps

import torch


@dataclass(frozen=True)
class Sigmoid:
    """Logistic surrogate, primitive(x) = 1 / (1 + exp(-slope x)), largest derivative slope / 4 at x = 0.

    Shape: elementwise, [...] -> [...].

    Raises:
        ValueError: when ``slope`` is not a positive finite number.

    Example:
        >>> float(Sigmoid(slope=4.0).derivative(torch.tensor(0.0)))
        1.0

    Book: def-surrogate
    """

    slope: float = 4.0

    def __post_init__(self):
        _check_positive("slope", self.slope)

    def primitive(self, x):
        """Smooth stand-in for the step function, shape [...] -> [...]. Book: def-surrogate"""
        return torch.sigmoid(self.slope * x)

    def derivative(self, x):
        """Derivative of the primitive, shape [...] -> [...]. Book: def-surrogate"""
        p = torch.sigmoid(self.slope * x)
        return self.slope * p * (1 - p)


@dataclass(frozen=True)
class ATan:
    """Arctangent surrogate, derivative (width / 2) / (1 + (pi width x / 2)^2), largest value width / 2.

    Shape: elementwise, [...] -> [...].

    Raises:
        ValueError: when ``width`` is not a positive finite number.

    Example:
        >>> float(ATan(width=2.0).derivative(torch.tensor(0.0)))
        1.0

    Book: def-surrogate
    """

    width: float = 2.0

    def __post_init__(self):
        _check_positive("width", self.width)

    def primitive(self, x):
        """Smooth stand-in for the step function, shape [...] -> [...]. Book: def-surrogate"""
        return torch.atan(math.pi / 2 * self.width * x) / math.pi + 0.5

    def derivative(self, x):
        """Derivative of the primitive, shape [...] -> [...]. Book: def-surrogate"""
        return self.width / 2 / (1 + (math.pi / 2 * self.width * x).square())


@dataclass(frozen=True)
class Triangle:
    """Triangular surrogate, derivative max(0, 1 - |x| / width) / width: zero beyond ``width`` from the threshold.

    Shape: elementwise, [...] -> [...].

    Raises:
        ValueError: when ``width`` is not a positive finite number.

    Example:
        >>> float(Triangle(width=1.0).derivative(torch.tensor(0.5)))
        0.5

    Book: def-surrogate
    """

    width: float = 1.0

    def __post_init__(self):
        _check_positive("width", self.width)

    def primitive(self, x):
        """Smooth stand-in for the step function, shape [...] -> [...]. Book: def-surrogate"""
        z = (x / self.width).clamp(-1, 1)
        return 0.5 + z - z * z.abs() / 2

    def derivative(self, x):
        """Derivative of the primitive, shape [...] -> [...]. Book: def-surrogate"""
        return (1 - (x / self.width).abs()).clamp(min=0) / self.width


def first_derivative_only(backward):
    """Make a Function's ``backward`` (any shapes) refuse to be differentiated again, with a sentence.

    A surrogate's slope is not the derivative of the forward pass; its own derivative would mean nothing.

    Book: sec-compile
    """

    @wraps(backward)
    def once(ctx, *grads):
        with torch.no_grad():
            results = backward(ctx, *grads)
        if not torch.is_grad_enabled():
            return results
        results = results if isinstance(results, tuple) else (results,)
        return tuple(_RefuseSecond.apply(r, *grads) if torch.is_tensor(r) else r for r in results)

    return once


class _RefuseSecond(torch.autograd.Function):
    @staticmethod
    def forward(ctx, result, *grads):
        return result.view_as(result)

    @staticmethod
    def backward(ctx, grad):
        raise RuntimeError(
            "fptlib: this gradient was differentiated again (create_graph=True, then backward); surrogate gradients "
            "have no second derivative; use a first-order method."
        )


def spike(x, surrogate):
    """Spike where the distance to threshold is not negative: s = [x >= 0], with the surrogate's derivative backward.

    Args:
        x: distance to threshold u - threshold, shape [...], floating point.
        surrogate: ``Sigmoid``, ``ATan``, ``Triangle`` or any object with a ``derivative`` method.

    Returns:
        Zeros and ones in the dtype of ``x``, shape [...]. A tie (x = 0) is a spike.

    Raises:
        TypeError: when ``x`` is not a floating-point tensor.

    Example:
        >>> spike(torch.tensor([-1.0, 0.0]), Sigmoid())
        tensor([0., 1.])

    Book: def-surrogate
    """
    if not torch.is_tensor(x) or not x.is_floating_point():
        raise TypeError(f"spike: x came as {_kind(x)}; a floating-point tensor is wanted; convert it with .float().")
    return _Spike.apply(x, surrogate)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, surrogate):
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x >= 0).to(x.dtype)

    @staticmethod
    @first_derivative_only
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * ctx.surrogate.derivative(x), None


def _kind(x):
    return f"a tensor of {x.dtype}" if torch.is_tensor(x) else type(x).__name__


def _check_positive(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} came as {value!r}; a positive finite number is wanted.")
