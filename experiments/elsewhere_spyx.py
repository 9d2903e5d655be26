"""spyx 1.0.0, a JAX library, in a process of its own that imports no torch.

Its leaky neuron is another one than ours. ``spyx.nn.LIF`` reads the spike from the potential before the input arrives and subtracts
the threshold after the decay: s[t] = [V[t-1] > threshold], V[t] = beta V[t-1] + x[t] - threshold s[t]. Ours fires on the potential with
its input, in the same step, and what it subtracts decays. No parameter of spyx turns one into the other (the threshold that fires and the
threshold that is subtracted are one number), so its spikes and gradients are compared with its own equation, computed step by step in
NumPy. What can be configured is: beta = decay, threshold 1, firing at the threshold itself, the sigmoid surrogate of slope 4.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import time
import types
from functools import partial

import numpy as np

from experiments.elsewhere import DECAY, MODES, SLOPE, Report, arguments, cells, said, sets, wall_ms

NAME = "spyx 1.0.0"
UNROLL, SWEEPS = 16, 3
QUEUED = "calls queued one behind the other, divided by their number"
OTHER_NEURON = (
    "Another neuron than ours: s[t] = [V[t-1] >= 1], V[t] = beta V[t-1] + x[t] - s[t]; mismatches count against this equation, "
    "computed step by step."
)


def modules():
    """spyx.nn, spyx.axn and spyx.experimental.parallel_reset, and what had to be done to import them.

    The package imports its loaders of data sets, and with them packages that its neurons do not need. Where one is missing, the three
    modules are imported without the files that import everything.
    """
    names = ("spyx.nn", "spyx.axn", "spyx.experimental.parallel_reset")
    try:
        return [importlib.import_module(name) for name in names], None
    except ImportError as error:
        first = said(error)
    folder = importlib.util.find_spec("spyx").submodule_search_locations[0]
    for name in [m for m in sys.modules if m.split(".")[0] == "spyx"]:
        del sys.modules[name]
    for name, path in (("spyx", folder), ("spyx.experimental", os.path.join(folder, "experimental"))):
        package = types.ModuleType(name)
        package.__path__ = [path]
        sys.modules[name] = package
    return [importlib.import_module(name) for name in names], f"imported without the package's loaders ({first})"


def implementations(nn, axn, parallel):
    """name -> call on x [T, N], each the library's own neuron with its own step."""
    import jax
    from flax import nnx

    def slope(z):
        p = jax.nn.sigmoid(SLOPE * z)
        return SLOPE * p * (1 - p)

    activation = axn.custom(bwd=slope, fwd=lambda z: (z >= 0).astype(z.dtype))
    settings = {"beta": DECAY, "threshold": 1.0, "activation": activation}

    def runner(x):
        """As published: the library's runner, `jax.lax.scan` over its neuron."""
        return nn.run(nn.LIF((x.shape[1],), **settings, rngs=nnx.Rngs(0)), x[:, None])[0][:, 0]

    def unrolled(x):
        """The same steps, several to a turn of the scan, which the runner does not offer."""
        cell = nn.LIF((x.shape[1],), **settings, rngs=nnx.Rngs(0))
        step = lambda v, now: cell(now, v)[::-1]
        return jax.lax.scan(step, cell.initial_state(1), x[:, None], unroll=min(UNROLL, len(x)))[1][:, 0]

    def fixed_point(x):
        """Its experimental neuron without the loop: fixed-point sweeps by associative scans, K of them."""
        return parallel.ParallelResetLIF((x.shape[1],), **settings, rngs=nnx.Rngs(0)).parallel(x[:, None], K=SWEEPS)[
            :, 0
        ]

    return {
        NAME: runner,
        f"{NAME}, scan unrolled {UNROLL}": unrolled,
        f"{NAME}, ParallelResetLIF K = {SWEEPS}": fixed_point,
    }


def own_equation(x, g):
    """Spikes of spyx's documented equation and the gradient of sum(g s), step by step: x, g [T, N] -> s, dL/dx."""
    one, beta = np.float32(1), np.float32(DECAY)
    before, spikes = np.empty_like(x), np.empty(x.shape, np.uint8)
    v = np.zeros_like(x[0])
    for t in range(len(x)):
        before[t] = v
        fired = v >= one
        spikes[t] = fired
        v = beta * v + x[t] - fired
    gradient, adjoint = np.empty_like(x), np.zeros_like(x[0])
    for t in reversed(range(len(x))):
        gradient[t] = adjoint
        p = one / (one + np.exp(-np.float32(SLOPE) * (before[t] - one)))
        adjoint = beta * adjoint + np.float32(SLOPE) * p * (one - p) * (g[t] - adjoint)
    return spikes, gradient


def signal(T, N, seed):
    """The random input of the other measurements, same distribution, from NumPy's generator."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, N), dtype=np.float32)
    x *= np.float32(0.9 * (1 - DECAY**2) ** 0.5)
    x += np.float32(0.8 * (1 - DECAY))
    return x, rng.standard_normal((T, N), dtype=np.float32)


def measure(run, pairs, truth, mode):
    """Equality first, then the times of one implementation in one mode; ``pairs`` are inputs and cotangents on the device."""
    import jax

    if mode == "fwd":
        compiled = jax.jit(lambda x, g: (run(x),))
    else:

        def both(x, g):
            spikes, pull = jax.vjp(run, x)
            return spikes, *pull(g)

        compiled = jax.jit(both)
    result = jax.block_until_ready(compiled(*pairs[0]))
    spikes, gradient = truth
    row = {"mismatches": int((np.asarray(result[0]).astype(np.uint8) != spikes).sum())}
    if mode == "fwd+bwd":
        gap = np.abs(np.asarray(result[1]) - gradient).max() / np.abs(gradient).max()
        row["gradient_error"] = float(f"{gap:.3g}")
    del result
    row["eager_ms"] = round(wall_ms(lambda: compiled(*pairs[0]), jax.block_until_ready), 4)
    row["device_ms"], row["device_by"] = round(queued_ms(compiled, pairs, row["eager_ms"]), 5), QUEUED
    return row | {"peak_bytes": peak_bytes(compiled, pairs[0]), "rate": round(float(spikes.mean()), 4)}


def queued_ms(compiled, pairs, once):
    """Time of one call, in ms, when the next is queued before it ends: the device's time, or the host's where it is slower."""
    import jax

    count = max(4, min(100, int(100 / max(once, 1e-3))))
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        for i in range(count):
            last = compiled(*pairs[i % len(pairs)])
        jax.block_until_ready(last)
        times.append((time.perf_counter() - begin) * 1e3 / count)
    return sorted(times)[1]


def peak_bytes(compiled, pair):
    """Memory of a call above its inputs, by the compiler's account; None where it gives none."""
    try:
        account = compiled.lower(*pair).compile().memory_analysis()
    except Exception:  # an account that a backend does not keep costs the record nothing but this field
        return None
    return account and account.temp_size_in_bytes + account.output_size_in_bytes


def main():
    args = arguments()
    report = Report(args.seconds)
    import jax

    found = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "spyx")}
    report.say("versions", found | {"jax backend": jax.default_backend()})
    if jax.default_backend() != {"cuda": "gpu", "cpu": "cpu"}[args.device]:
        raise SystemExit(f"JAX runs on {jax.default_backend()}, wanted {args.device}: is its CUDA plugin installed?")
    parts, how = modules()
    loops = implementations(*parts)
    names = list(loops)
    note = "; ".join(filter(None, (OTHER_NEURON, how)))
    for wanted in (names[:2], names[2:]):  # the neuron in both forms at every size first
        for T, N in cells(args.device):
            if time.monotonic() > report.until:
                for name in wanted:
                    report.skip(name, T, N, "both", "The time given to this library was used up.")
                continue
            host = [signal(T, N, seed) for seed in range(sets(T, N) if args.device == "cuda" else 1)]
            truth = own_equation(*host[0])
            pairs = [tuple(jax.device_put(part) for part in pair) for pair in host]
            for name in wanted:
                for mode in MODES:
                    report.attempt(name, T, N, mode, partial(measure, loops[name], pairs, truth, mode), note)
            del host, pairs, truth
    report.say("done", True)


if __name__ == "__main__":
    main()
