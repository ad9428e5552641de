"""Muon for many small matrices: orthogonalised momentum, all matrices of one shape in one batched iteration.

Same update as torch.optim.Muon(adjust_lr_fn="match_rms_adamw", nesterov=True); a step over 70 matrices takes a few dozen
kernel launches instead of thousands.
"""

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # quintic Newton-Schulz iteration of the Muon reference


def orthogonalize(g: Tensor, steps: int = 5, eps: float = 1e-7) -> Tensor:
    """(n, rows, cols) -> matrices with singular values near 1 and the same singular vectors, in BF16."""
    a, b, c = COEFFICIENTS
    x = g.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.flatten(1).norm(dim=1).clamp(min=eps)[:, None, None]
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class BatchedMuon:
    def __init__(self, params: list[Tensor], momentum: float = 0.95, weight_decay: float = 0.1):
        self.momentum, self.weight_decay, self.lr = momentum, weight_decay, 0.0
        shapes = sorted({tuple(p.shape) for p in params})
        self.groups = [[p for p in params if tuple(p.shape) == s] for s in shapes]
        self.buffers = [torch.zeros(len(g), *g[0].shape, device=g[0].device) for g in self.groups]

    @torch.no_grad()
    def step(self) -> None:
        for group, buffer in zip(self.groups, self.buffers):
            grad = torch.stack([p.grad for p in group])
            buffer.lerp_(grad, 1 - self.momentum)
            update = orthogonalize(grad.lerp(buffer, self.momentum))
            rate = self.lr * 0.2 * max(buffer.shape[-2:]) ** 0.5  # matches AdamW's RMS
            torch._foreach_mul_(group, 1 - self.lr * self.weight_decay)
            torch._foreach_add_(group, list(update.to(group[0].dtype).unbind()), alpha=-rate)
