"""The processes of a run: one, or torchrun's."""

import os
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among all of them."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls) -> "World":
        """Join torchrun's process group where there is one: NCCL on GPUs, Gloo without."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(local)
        if size > 1:
            distributed.init_process_group("nccl" if cuda else "gloo")
        return cls(int(os.environ.get("RANK", "0")), size, torch.device(f"cuda:{local}" if cuda else "cpu"))

    def leave(self) -> None:
        if self.size > 1:
            distributed.destroy_process_group()

    def total(self, value: torch.Tensor) -> float:
        """Sum over all processes."""
        if self.size > 1:
            distributed.all_reduce(value)
        return float(value)

    def from_first(self, *values: float) -> list[float]:
        """What the process of rank 0 has."""
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        if self.size > 1:
            distributed.broadcast(shared, 0)
        return [float(value) for value in shared]
