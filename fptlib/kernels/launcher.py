"""Launching a kernel again without asking again how it was compiled: the host's share of a small layer's time."""

import triton

from fptlib.kernels.step import LAUNCH

_KNOWN = ("3.6.", "3.7.")  # releases of Triton whose compiled kernels are called below as they call themselves


class Launcher:
    """Calls a kernel; after the first call with a ``key`` it goes straight to the compiled binary.

    The key must hold everything Triton specialises on: device, dtypes, which pointers are None, the constants, whether the
    number of neurons is 1 or divides by 16 (`fptlib.kernels.calls.Prepared`). None as a key asks Triton each time: for pointers
    that are not 16-byte aligned.
    """

    def __init__(self, kernel):
        self.kernel, self.ready = kernel, {}

    def __call__(self, key, grid, args):
        start = self.ready.get(key)
        if start is not None:
            start(grid, args)
            return
        compiled = self.kernel[grid](*args, **LAUNCH)
        if key is not None and compiled is not None:  # interpreted there is nothing to keep: each call passes here
            self.ready[key] = starter(compiled, args[0].device.index)


def starter(compiled, device):
    """A function (grid, args) that launches a compiled kernel on the current stream of its device."""
    if not triton.__version__.startswith(_KNOWN):
        return lambda grid, args: compiled[grid](*args)
    hooks, stream_of = triton.knobs.runtime, triton.runtime.driver.active.get_current_stream
    run, function, metadata = compiled.run, compiled.function, compiled.packed_metadata

    def start(grid, args):
        if hooks.launch_enter_hook.calls or hooks.launch_exit_hook.calls:  # a profiler listens
            compiled[grid](*args)
        else:
            run(*grid, stream_of(device), function, metadata, None, None, None, *args)

    return start


def aligned(*tensors):
    """Whether all the caller's tensors start at multiples of 16 bytes, as memory from torch does unless it was sliced."""
    bits = 0
    for tensor in tensors:
        if tensor is not None:
            bits |= tensor.data_ptr()
    return bits % 16 == 0
