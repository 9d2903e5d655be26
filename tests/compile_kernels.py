"""Puts the kernels through the compiler's front end, for a Hopper GPU, on a machine without one: run by a test.

The interpreter accepts programs that the compiler refuses (a name that changes its type inside a branch, say).
"""

import triton.language as tl
from triton._C.libtriton import ir
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend

from fptlib.kernels import decoupled, lif_backward, lif_forward, resonance, sweeps, two_state, two_state_backward

FLAGS = {"DECAY": 2, "THRESHOLD": 1, "V_RESET": 0, "SLOPE": 0, "RESET": 1, "STATE": tl.float32, "U": 16, "BLOCK": 64}
FLAGS |= {"SURROGATE": 0, "DETACH": False, "SEAMS": 16, "AFTER_MEND": True, "K": 3, "ANNEALED": False}
FLAGS |= {"STAGES": 0, "R": 8}
FLAGS |= {"PER_NEURON": True, "CHANNELS": 2, "MEMORY": 4, "HARD0": False, "HARD1": False}
SIZES = ("T", "N", "chunk", "warmup", "chunks")
FLAGS |= {"REVERSE": False, "MEASURE": False, "TANGENT": True}
NUMBERS = ("v_reset", "slope")


def build(kernel, absent=(), **flags):
    """Lines of intermediate code of one kernel: ``absent`` pointers None, the others float32 (int32 for counts)."""
    flags, signature, constants = {**FLAGS, **flags}, {}, {}
    for i, name in enumerate(kernel.arg_names):
        if name in absent or name in flags:
            signature[name] = "constexpr"
            constants[(i,)] = flags.get(name)
        elif name in SIZES:
            signature[name] = "i32"
        elif name in NUMBERS:
            signature[name] = "fp32"
        else:
            signature[name] = "*i32" if name in ("repaired", "residuals") else "*fp32"
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    target = GPUTarget("cuda", 90, 32)
    backend = make_backend(target)
    options = backend.parse_options({"num_warps": 1, "enable_fp_fusion": False})
    context = ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    module = source.make_ir(
        target, options, backend.get_codegen_implementation(options), backend.get_module_map(), context
    )
    return str(module).count("\n")


def main():
    gradients = ("grad_membrane", "grad_final", "grad_v0")
    found = {
        "replay": build(lif_forward._replay, ("membrane",)),
        "ring": build(lif_forward._replay, ("membrane",), STAGES=6),
        "mend": build(lif_forward._mend, ("membrane",)),
        "walk": build(lif_forward._walk, ("membrane", "states")),
        "reverse": build(lif_backward._reverse, PASS=1),
        "measure": build(lif_backward._reverse, (*gradients, "grad_x", "grad_decay", "grad_threshold"), PASS=0),
        "carry": build(lif_backward._carry),
        "sweeps": build(sweeps._sweeps, ("slopes", "previous"), RESET=0),
        "replay2": build(two_state._replay2, ("membrane",), BLOCK=32),
        "walk2": build(two_state._walk2, ("membrane",), BLOCK=32),
        "reverse2": build(two_state_backward._reverse2, gradients, BLOCK=32, MEASURE=False),
        "carry2": build(two_state_backward._carry2, BLOCK=32),
        "resonate": build(resonance._resonate, ("y",)),
        "transpose": build(resonance._resonate, ("imag", "spikes"), REVERSE=True),
        "ends": build(resonance._resonate, ("y", "real", "imag", "spikes", "final"), MEASURE=True),
        "carries": build(resonance._carry),
        "pole": build(resonance._tangent),
        "count": build(decoupled._count),
        "uncount": build(decoupled._reverse_count, SLOPE=False),
    }
    for name, lines in found.items():
        print(name, lines)


if __name__ == "__main__":
    main()
