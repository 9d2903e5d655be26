"""The neurons, decays and shapes that every solver is tested on. To add a neuron: one line here."""

import torch

from fptlib import alif, integrate_and_fire, lif, lm_h, resonate_and_fire, tc_lif, ts_lif

DECAYS = (0.0, 0.5, 0.9, 0.99, 1.0)
STEPS = (1, 2, 15, 16, 17, 63, 64, 65)

NEURONS = {
    "lif-0": lif(0.0),
    "lif-0.5": lif(0.5),
    "lif-0.9": lif(0.9),
    "lif-0.99": lif(0.99),
    "lif-threshold": lif(0.9, threshold=0.75),
    "lif-per-neuron": lif(torch.tensor([0.0, 0.3, 0.5, 0.9, 1.0]), torch.tensor([1.0, 0.5, 1.0, 2.0, 1.0])),
    "if": integrate_and_fire(),
    "hard-0.5": lif(0.5, reset="hard"),
    "hard-0.9": lif(0.9, reset="hard", v_reset=-0.25),
    "none-0.9": lif(0.9, reset="none"),
    "alif": alif(),
    "alif-hard": alif(reset="hard"),
    "resonator": resonate_and_fire(),
    "resonator-soft": resonate_and_fire(0.9, 0.4, reset="soft"),
    "ts-lif": ts_lif(),
    "ts-lif-paper": ts_lif(order="paper"),
    "ts-lif-stable": ts_lif(stable=True),
    "ts-lif-positive": ts_lif(coupling=(0.1, 0.2)),
    "ts-lif-mixed": ts_lif(coupling=(-0.1, 0.3)),
    "tc-lif": tc_lif(),
    "lm-h": lm_h(),
}

N = 5  # neurons a case: matches the per-neuron tensors above
