"""One training step of a network of the shape used for spoken digits (700-128-128-20, batch 256, T = 1000), two libraries."""

import torch

from experiments.gpu_clock import eager_ms, graph_ms
from experiments.timing_impls import IMPLEMENTATIONS

T, BATCH, WIDTHS = 1000, 256, (700, 128, 128, 20)


class Network(torch.nn.Module):
    def __init__(self, library, decay):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in zip(WIDTHS, WIDTHS[1:]))
        self.neurons = [IMPLEMENTATIONS[library](decay, "soft") for _ in self.layers]

    def forward(self, x):
        for layer, neuron in zip(self.layers, self.neurons):
            x = neuron(layer(x))
        return 20 * x.mean(0, dtype=torch.float32)


def network_records():
    """Loss and time of one training step (forward, backward, SGD), both libraries with the same weights and data."""
    generator = torch.Generator(device="cuda").manual_seed(0)
    x = (torch.rand(T, BATCH, WIDTHS[0], device="cuda", generator=generator) < 0.03).float()
    labels = torch.randint(0, WIDTHS[-1], (BATCH,), device="cuda", generator=generator)
    rows = []
    for matmul in ("tf32", "bfloat16 autocast"):
        data = x.bfloat16() if matmul.startswith("b") else x
        torch.backends.cuda.matmul.allow_tf32 = True
        for decay in (0.5, 0.9):
            for library in ("fptlib", "spikingjelly"):
                row = {
                    "network": "700-128-128-20",
                    "batch": BATCH,
                    "T": T,
                    "decay": decay,
                    "impl": library,
                    "matmul": matmul,
                }
                try:
                    rows.append(row | measure(library, decay, data, labels, matmul.startswith("b")))
                except Exception as error:  # a library that fails is a result, not the end of the run
                    rows.append(row | {"failed": f"{type(error).__name__}: {str(error)[:160]}"})
    torch.backends.cuda.matmul.allow_tf32 = False
    return rows


def trainer(library, decay, x, labels, half):
    """A fresh network with fixed weights: its loss and one training step, as functions."""
    network = Network(library, decay).cuda()
    with torch.no_grad():  # strong enough weights for all layers to fire
        for layer in network.layers:
            layer.weight.mul_(4.0 if layer.in_features == WIDTHS[0] else 6.0)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)

    def loss_of():
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=half):
            out = network(x)
        return torch.nn.functional.cross_entropy(out.float(), labels)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_of().backward()
        optimizer.step()

    return loss_of, step


def measure(library, decay, x, labels, half):
    loss_of, step = trainer(library, decay, x, labels, half)
    with torch.no_grad():
        loss = float(loss_of())
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    row = {"loss": round(loss, 6), "peak_bytes": torch.cuda.max_memory_allocated() - before}
    row["eager_ms"] = round(eager_ms(step, 0.5), 4)
    try:
        return row | {"kernel_ms": round(graph_ms([trainer(library, decay, x, labels, half)[1]], 0.2), 4)}
    except RuntimeError:
        torch.cuda.synchronize()
        return row | {"kernel_ms": None}
