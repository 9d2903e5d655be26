"""fptlib: spiking neurons solved in parallel over time, with a certificate of exactness."""

from fptlib.adjoints import Detached, Exact, Truncated, Unrolled
from fptlib.closed_form import graded_count, one_spike_count
from fptlib.compartments import lm_h, tc_lif, ts_lif, two_compartment
from fptlib.iterations import CentredFixedPoint, Jacobi, Newton
from fptlib.neurons import alif, decay_from_tau, integrate_and_fire, lif, resonate_and_fire
from fptlib.nn import SpikingLayer
from fptlib.pointers import SpikePointers
from fptlib.replay import Replay
from fptlib.result import Certificate, Solution, SolveError, Status
from fptlib.scan import complex_scan, linear_scan
from fptlib.solve import solve
from fptlib.solvers import FixedPoint, Sequential
from fptlib.spec import NeuronSpec
from fptlib.surrogates import ATan, Sigmoid, Triangle, spike

__version__ = "0.1.0"

__all__ = [
    "ATan",
    "CentredFixedPoint",
    "Certificate",
    "Detached",
    "Exact",
    "FixedPoint",
    "Jacobi",
    "NeuronSpec",
    "Newton",
    "Replay",
    "Sequential",
    "Sigmoid",
    "Solution",
    "SolveError",
    "SpikePointers",
    "SpikingLayer",
    "Status",
    "Triangle",
    "Truncated",
    "Unrolled",
    "alif",
    "complex_scan",
    "decay_from_tau",
    "graded_count",
    "integrate_and_fire",
    "lif",
    "linear_scan",
    "lm_h",
    "one_spike_count",
    "resonate_and_fire",
    "solve",
    "spike",
    "tc_lif",
    "ts_lif",
    "two_compartment",
]
