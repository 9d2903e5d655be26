"""A kernel call under torch.compile, held against the same call without it: one graph, sizes left open, the same bits."""

import torch
from torch._dynamo.testing import CompileCounterWithBackend

SIZES = ((17, 3), (17, 4), (18, 5), (19, 6))  # (time steps, neurons): few and short where kernels are interpreted
if torch.cuda.is_available():
    SIZES += ((40, 8), (40, 9), (50, 10), (64, 70), (3, 5), (70, 3), (90, 71), (91, 72))


def compiled_like_eager(call, dynamic, device, gradient=True):
    """``call`` of x [T, N] returns spikes or a membrane, and perhaps more tensors and a report, last."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(call, backend=counter, dynamic=dynamic, fullgraph=True)
    for T, N in SIZES:
        data = torch.randn(T, N, generator=torch.Generator().manual_seed(T)).to(device) + 0.3
        outcomes = []
        for function in (call, compiled):
            x = data.clone().requires_grad_(gradient)
            out = function(x)
            *tensors, report = out if isinstance(out, tuple) else (out, None)
            weight = torch.linspace(-1, 1, tensors[0].numel(), device=device).view(tensors[0].shape)
            tensors += torch.autograd.grad((tensors[0] * weight).sum(), x) if gradient else ()
            outcomes.append((tensors, _words(report)))
        (want, said), (got, says) = outcomes
        assert len(want) == len(got) and all(torch.equal(a, b) for a, b in zip(want, got)) and want[0].any()
        # A sentence formed inside the traced function knows no sizes; a report read outside it does.
        assert says == said or isinstance(says, str)
    assert counter.frame_count < len(SIZES)  # not one graph for every size


def _words(report):
    if report is None or isinstance(report, str):
        return report
    return report.kernel, report.chunk, report.warmup, report.reason, report.repaired_seams
