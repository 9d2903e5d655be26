"""Several processes on one training, as `torchrun` starts them: each takes its share of every batch, the first one speaks."""

import os

import torch
from torch import nn


class Workers:
    """Rank and number of processes, from the variables torchrun sets; one process where there are none."""

    def __init__(self, rank=0, count=1):
        self.rank, self.count = rank, count

    @property
    def first(self):
        return self.rank == 0

    def share(self, index):
        """This process's part of a batch of examples."""
        if len(index) % self.count:
            raise ValueError(
                f"a batch of {len(index)} does not divide among {self.count} processes; change [train] batch."
            )
        return index[self.rank :: self.count]

    def wrap(self, network):
        """The network whose gradients are averaged over the processes; batch norm counts each process's share alone."""
        if self.count == 1:
            return network
        ids = [torch.cuda.current_device()] if next(network.parameters()).is_cuda else None
        return nn.parallel.DistributedDataParallel(network, device_ids=ids)

    def agree(self, number):
        """The first process's number, in all of them."""
        if self.count == 1:
            return number
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        told = torch.tensor([number], dtype=torch.float64, device=device)
        torch.distributed.broadcast(told, 0)
        return told.item()

    def leave(self):
        """Wait for the others and part."""
        if self.count > 1:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()


def join(device):
    """Join the processes torchrun started; returns the `Workers` and this process's device."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Workers(), device
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda":
        torch.cuda.set_device(local)
    torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    return Workers(int(os.environ["RANK"]), count), device
