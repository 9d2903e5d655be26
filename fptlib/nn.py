"""Layers: modules that own a neuron's parameters and call `solve`."""

import torch

from fptlib.adjoints import Exact
from fptlib.solve import solve
from fptlib.spec import NeuronSpec


class SpikingLayer(torch.nn.Module):
    """A neuron as a module: input current [T, ...] in, spikes [T, ...] out.

    s = solve(neuron, x, solver).output; learnable arguments of the neuron become parameters of the module.

    Args:
        neuron: a NeuronSpec; arguments given as `torch.nn.Parameter` are registered under their names.
        solver: a solver object, or "auto".
        adjoint: how the gradient is formed; None is `Exact`.
        backend: as for `solve`.
        carry_state: keep the final state for the next call, cut from the graph; `reset_state` forgets it.
        validate: as for `solve`.

    Returns:
        Spikes [T, ...]; for several spike channels their weighted sum.

    Raises:
        TypeError, ValueError, SolveError: as for `solve`. ValueError when the carried state does not fit the input.

    Example:
        >>> from fptlib import lif
        >>> SpikingLayer(lif(decay=torch.nn.Parameter(torch.tensor(0.5))))(torch.ones(2, 3)).shape
        torch.Size([2, 3])

    Book: def-solution
    """

    def __init__(self, neuron, solver="auto", adjoint=None, backend="auto", carry_state=False, validate=True):
        super().__init__()
        if not isinstance(neuron, NeuronSpec):
            raise TypeError(
                f"SpikingLayer: neuron came as {type(neuron).__name__}; a NeuronSpec is wanted, e.g. lif()."
            )
        self.neuron = neuron
        self.solver = solver
        self.adjoint = Exact() if adjoint is None else adjoint
        self.backend = backend
        self.carry_state = carry_state
        self.validate = validate
        self.state = None
        for name, parameter in neuron.parameters().items():
            self.register_parameter(name, parameter)

    def forward(self, x):
        """Spikes [T, ...] for input [T, ...]. Book: def-solution"""
        solution = solve(
            self.neuron,
            x,
            self.solver,
            v0=self.state,
            adjoint=self.adjoint,
            backend=self.backend,
            validate=self.validate,
        )
        if self.carry_state:
            self.state = solution.final_state.detach()
        return solution.output

    def reset_state(self):
        """Forget the carried state, so that the next window starts from zero (no shape). Book: def-solution"""
        self.state = None

    def extra_repr(self):
        """The neuron and solver in one line. Book: def-solution"""
        solver = self.solver if isinstance(self.solver, str) else type(self.solver).__name__
        return f"neuron={self.neuron.name}, solver={solver}, adjoint={type(self.adjoint).__name__}"
