"""Read before every test module: Triton decides at its first import whether kernels are interpreted, and torch's own tools import it."""

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
