"""Data-parallel training: every process takes its own batches, gradients are averaged, and all follow the schedule of process 0."""

import torch
import torch.distributed as dist


class Average:
    """Averages gradients over the processes of the default group; of a single process it changes nothing."""

    def __init__(self, params: list[torch.Tensor], ranks: int):
        self.params, self.ranks = params, ranks
        self.agreed = torch.zeros(1)
        self.arrived = torch.cuda.Event() if params[0].is_cuda else None
        if self.arrived:
            self.agreed = self.agreed.pin_memory()

    @torch.no_grad()
    def __call__(self, progress: float) -> float:
        """Returns rank 0's `progress`, with several ranks that of one step ago: reading this step's would wait for the GPU."""
        if self.ranks == 1:
            return progress
        mine = progress if dist.get_rank() == 0 else 0.0
        if self.arrived:
            self.arrived.synchronize()  # waits for the last step's sum, not for the work just queued
        progress = self.agreed.item()
        flat = torch.cat(
            [p.grad.reshape(-1) for p in self.params]
            + [torch.full((1,), mine * self.ranks, device=self.params[0].device)]
        )
        dist.all_reduce(flat)
        flat /= self.ranks
        for p, g in zip(self.params, flat.split([p.numel() for p in self.params] + [1])):
            p.grad.copy_(g.view_as(p.grad))
        self.agreed.copy_(flat[-1:], non_blocking=True)
        if self.arrived:
            self.arrived.record()
        return progress
