"""Triton kernels of the library. Importing this package imports no Triton: the first call does.

`lif_replay` and `two_state_replay` give the sequential loop bit for bit, with autograd; `fixed_point_sweeps` is FPT, all sweeps
in one pass over memory; `complex_scan` is the membrane of a resonator without reset, `decoupled_spikes` the threshold that only
rises; `available` says why a tensor cannot be taken.
"""

from fptlib.kernels.entry import KernelReport, available, lif_replay

__all__ = [
    "KernelReport",
    "available",
    "complex_scan",
    "decoupled_spikes",
    "fixed_point_sweeps",
    "lif_replay",
    "two_state_replay",
]
_LATER = {
    "complex_scan": "complex_ops",
    "decoupled_spikes": "decoupled_ops",
    "fixed_point_sweeps": "sweeps",
    "two_state_replay": "two_state_ops",
}


def __getattr__(name):
    """Functions whose modules define kernels when imported, and so need Triton. Book: ch-time"""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"fptlib.kernels.{_LATER[name]}"), name)
