"""The neuron as a table: `NeuronSpec`, and the formula that reads it.

Every neuron of this library is one line. With v the state after reset, u the state before firing and s the spikes,

    u[t] = A v[t-1] + B x[t] + J s[t-1],    s[t] = [C u[t] >= theta],    v[t] = keep * u[t] - R s[t] + (1 - keep) * r.

A table holds A, B, C, J, R, theta and says which states a spike replaces (hard reset) and which it only lowers.
Once the spikes are known all of it is linear: `coefficients` returns that linear recurrence, whoever needs it.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import torch

from fptlib.surrogates import Sigmoid, spike


@dataclass(frozen=True)
class NeuronSpec:
    """One neuron model with D states and P spike channels, as a table of numbers or per-neuron tensors.

    u[t] = A v[t-1] + B x[t] + J s[t-1],  s[t] = [C u[t] >= theta],  v[t] = keep u[t] - R s[t] + (1 - keep) r.

    Args:
        name: the constructor's name.
        transition: A, a D x D tuple; each entry a float or a tensor broadcastable to one time step.
        drive: B, length D.
        readout: C, P x D.
        threshold: theta, length P.
        reset: R, D x P, subtracted at a spike, before the next decay.
        jump: J, D x P, added undecayed one step after a spike.
        hard: length D of booleans: a spike replaces this state by ``reset_to`` (needs P = 1).
        reset_to: r, length D.
        mix: weights of the P spike channels in the layer's output.
        surrogate: derivative of the threshold function for the backward pass.
        detach_reset: leave the reset out of the backward pass.
        recipe: constructor and arguments, from which a spec with learnable parameters is built afresh.

    Shape: input [T, ...]; membrane [T, D, ...] and spikes [T, P, ...], the channel axis dropped when D or P is 1.

    Raises:
        ValueError: when the table's parts have different sizes, or a hard reset comes with several spike channels.

    Example:
        >>> from fptlib import lif
        >>> lif(decay=0.5).transition
        ((0.5,),)

    Book: def-neuron-spec
    """

    name: str
    transition: tuple
    drive: tuple
    readout: tuple
    threshold: tuple
    reset: tuple
    jump: tuple = None
    hard: tuple = None
    reset_to: tuple = None
    mix: tuple = None
    surrogate: object = Sigmoid()
    detach_reset: bool = False
    recipe: tuple = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        d, p = len(self.transition), len(self.threshold)
        defaults = {
            "jump": ((0.0,) * p,) * d,
            "hard": (False,) * d,
            "reset_to": (0.0,) * d,
            "mix": (1.0,) if p == 1 else (1.0 / p,) * p,
        }
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        sizes = {
            "transition": (d, d),
            "readout": (p, d),
            "reset": (d, p),
            "jump": (d, p),
            "drive": (d,),
            "hard": (d,),
            "reset_to": (d,),
            "mix": (p,),
        }
        for name, wanted in sizes.items():
            value = getattr(self, name)
            got = (len(value), len(value[0])) if len(wanted) == 2 else (len(value),)
            if got != wanted:
                raise ValueError(f"NeuronSpec: {name} came with size {got}; {wanted} is wanted for D = {d}, P = {p}.")
        if any(self.hard) and p > 1:
            raise ValueError(f"NeuronSpec: a hard reset came with P = {p} spike channels; use one, or a soft reset.")

    @property
    def states(self):
        """D, the number of states. Book: def-neuron-spec"""
        return len(self.transition)

    @property
    def channels(self):
        """P, the number of spike channels. Book: def-neuron-spec"""
        return len(self.threshold)

    @cached_property
    def fixed(self):
        """Whether the table holds numbers only, the same at every call (no shape). Book: def-neuron-spec"""
        return not self.tensors() and not self.parameters()

    @cached_property
    def memory(self):
        """What one window hands to the next: D states, and the P last spikes where a jump is still due.

        Book: def-neuron-spec
        """
        due = any(not _is_zero(entry) for row in self.jump for entry in row)
        return self.states + (self.channels if due else 0)

    def split(self, state):
        """State after reset and last spikes from a handed-over state; [memory, ...] -> [D, ...], [P, ...].

        Book: def-neuron-spec
        """
        v, late = state[: self.states], state[self.states :]
        return v, late if late.shape[0] else v.new_zeros(self.channels, *v.shape[1:])

    def join(self, v, spikes):
        """The state to hand over; v [D, ...] and last spikes [P, ...] -> [memory, ...]. Book: def-neuron-spec"""
        return torch.cat([v, spikes]) if self.memory > self.states else v

    def parameters(self):
        """Learnable arguments of the constructor, name -> Parameter (any shape). Book: def-neuron-spec"""
        found = {}
        for name, value in (self.recipe[1] if self.recipe else {}).items():
            items = {f"{name}_{i}": v for i, v in enumerate(value)} if isinstance(value, tuple) else {name: value}
            found.update({k: v for k, v in items.items() if isinstance(v, torch.nn.Parameter)})
        return found

    def fresh(self):
        """The same neuron built again, so that learnable parameters enter a new graph. Book: def-neuron-spec"""
        return self.recipe[0](**self.recipe[1]) if not self.fixed and self.parameters() else self

    def tensors(self):
        """All tensors in the table, a list of tensors broadcastable to one step [...]. Book: def-neuron-spec"""
        rows = (*self.transition, *self.readout, *self.reset, *self.jump, self.drive, self.threshold, self.reset_to)
        return [entry for row in rows for entry in row if torch.is_tensor(entry)]

    def map(self, entry):
        """The table with ``entry`` applied to each of its numbers and tensors (shapes kept). Book: def-neuron-spec"""

        def vector(row):
            return tuple(entry(e) for e in row)

        def matrix(rows):
            return tuple(vector(row) for row in rows)

        return replace(
            self,
            transition=matrix(self.transition),
            readout=matrix(self.readout),
            reset=matrix(self.reset),
            jump=matrix(self.jump),
            drive=vector(self.drive),
            threshold=vector(self.threshold),
            reset_to=vector(self.reset_to),
        )

    def cast(self, dtype):
        """The table rounded to ``dtype``, so that all arithmetics see the same numbers. Book: def-arithmetic"""
        known = self.__dict__.setdefault("_casts", {}) if self.fixed else {}  # a table of numbers is rounded once
        if dtype not in known:
            known[dtype] = self.map(lambda e: e.to(dtype) if torch.is_tensor(e) else _rounded(e, dtype))
        return known[dtype]

    def detached(self):
        """The table as numbers, without the graph of learnable parameters. Book: def-neuron-spec"""
        return self if self.fixed else self.map(lambda e: e.detach() if torch.is_tensor(e) else e)

    # One time step, in the arithmetic that defines the neuron. States and spikes are lists of tensors, one a channel.

    def charge(self, v, x, s):
        """u = A v + B x + J s, rounded after each operation, left to right; lists of [...]. Book: def-arithmetic"""
        u = []
        for i in range(self.states):
            terms = [_times(a, v[j]) for j, a in enumerate(self.transition[i]) if not _is_zero(a)]
            terms += [] if _is_zero(self.drive[i]) else [_times(self.drive[i], x)]
            terms += [_times(c, s[p]) for p, c in enumerate(self.jump[i]) if not _is_zero(c)]
            u.append(sum(terms[1:], terms[0]) if terms else torch.zeros_like(x))
        return u

    def sense(self, u):
        """C u, what is compared with the threshold; list of D [...] -> list of P [...]. Book: def-arithmetic"""
        out = []
        for row in self.readout:
            terms = [_times(c, u[i]) for i, c in enumerate(row) if not _is_zero(c)]
            out.append(sum(terms[1:], terms[0]))
        return out

    def fire(self, u):
        """s = [C u >= theta], ties fire; list of D [...] -> list of P [...] zeros and ones. Book: def-arithmetic"""
        return [(c >= th).to(c.dtype) for c, th in zip(self.sense(u), self.threshold)]

    def settle(self, u, s):
        """v, the state after reset; lists of [...] -> list of [...]. Book: def-arithmetic"""
        v = []
        for i in range(self.states):
            value = u[i]
            for p, amount in enumerate(self.reset[i]):
                value = value if _is_zero(amount) else value - amount * s[p]
            if self.hard[i]:
                rest = entry_like(self.reset_to[i], value)
                value = torch.where(s[0] > 0, rest, value)
            v.append(value)
        return v

    # The whole train at once. Channel axis 1: membrane [T, D, ...], spikes [T, P, ...].

    def settle_all(self, membrane, spikes):
        """State after reset for given spikes; [T, D, ...], [T, P, ...] -> [T, D, ...]. Book: def-linear-given-spikes"""
        return torch.stack(self.settle(list(membrane.unbind(1)), list(spikes.unbind(1))), dim=1)

    def sense_all(self, membrane):
        """C u - theta for a whole train; [T, D, ...] -> [T, P, ...]. Book: def-linear-given-spikes"""
        sensed = self.sense(list(membrane.unbind(1)))
        return torch.stack([c - th for c, th in zip(sensed, self.threshold)], dim=1)

    def emit(self, distance, slope=None):
        """Spikes from C u - theta: the threshold, or a sigmoid of that slope; [T, P, ...] -> same. Book: alg-fpt"""
        return spike(distance, self.surrogate) if slope is None else torch.sigmoid(slope * distance)

    def coefficients(self, x, spikes, late=None):
        """Gate and drive of u[t] = gate[t] u[t-1] + drive[t], the linear recurrence left when the spikes are known.

        Args:
            x: input, [T, ...].
            spikes: [T, P, ...], zeros and ones or graded values in [0, 1].
            late: spikes [P, ...] just before the first step, whose reset is already in the state and whose jump is due.

        Returns:
            gate [T or 1, D, D, ...] and drive [T, D, ...]. The first step multiplies the initial state.

        Raises:
            Nothing; ``solve`` checks its arguments.

        Example:
            >>> from fptlib import lif
            >>> lif(decay=0.5).coefficients(torch.ones(3, 1), torch.zeros(3, 1, 1))[1].flatten()
            tensor([1., 1., 1.])

        Book: def-linear-given-spikes
        """
        step, d = x[0], self.states
        before = torch.cat([torch.zeros_like(spikes[:1]), spikes[:-1]])
        jumping = before if late is None else torch.cat([late[None].expand_as(spikes[:1]), spikes[:-1]])
        lowered = []
        for i in range(d):
            amount = torch.zeros_like(before[:, 0])
            for p, r in enumerate(self.reset[i]):
                amount = amount if _is_zero(r) else amount - _times(r, before[:, p])
            lowered.append(amount + self.reset_to[i] * before[:, 0] if self.hard[i] else amount)
        drive = []
        for i in range(d):
            terms = [_times(a, lowered[j]) for j, a in enumerate(self.transition[i]) if not _is_zero(a)]
            terms += [] if _is_zero(self.drive[i]) else [_times(self.drive[i], x)]
            terms += [_times(c, jumping[:, p]) for p, c in enumerate(self.jump[i]) if not _is_zero(c)]
            drive.append(sum(terms[1:], terms[0]).expand(x.shape) if terms else torch.zeros_like(x))
        gate = stack_matrix(self.transition, step)[None]
        if any(self.hard):
            stay = torch.stack([1 - before[:, 0] if h else torch.ones_like(before[:, 0]) for h in self.hard], dim=1)
            gate = gate * stay[:, None]
        return gate, torch.stack(drive, dim=1)


_rounded = lru_cache(maxsize=4096)(lambda number, dtype: torch.tensor(number, dtype=dtype).item())


def stack_matrix(rows, like):
    """Table entries as one tensor [rows, columns, ...], each broadcast to ``like`` [...]. Book: def-neuron-spec"""

    def entry(e):
        return entry_like(e, like).expand(like.shape)

    return torch.stack([torch.stack([entry(e) for e in row]) for row in rows])


def entry_like(entry, like):
    """A table entry as a tensor beside ``like`` [...]; a number is filled in on the device, never copied to it.

    Book: def-neuron-spec
    """
    return entry.to(like) if torch.is_tensor(entry) else like.new_full((), entry)


def _is_zero(entry):
    return not torch.is_tensor(entry) and entry == 0


def _times(entry, value):
    return value if not torch.is_tensor(entry) and entry == 1 else entry * value
