"""Parallel spiking neurons, each with the fixed point U = A X - B f(U) that it evaluates."""

from fptlib.parallel.form import FixedPointForm
from fptlib.parallel.leaky import IPSU, PSU, SPSN, NoResetLIF
from fptlib.parallel.prf import PRF
from fptlib.parallel.psn import PSN, MaskedPSN, SlidingPSN

__all__ = ["FixedPointForm", "IPSU", "MaskedPSN", "NoResetLIF", "PRF", "PSN", "PSU", "SPSN", "SlidingPSN"]
