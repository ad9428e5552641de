"""Tests of the model and the optimizer: python -m unittest test_model (needs torch, a few seconds on a CPU)."""

import tempfile
import unittest
from pathlib import Path

import torch

import model as model_module
from muon import BatchedMuon

TINY = model_module.Config(
    vocabulary=97, layers=2, hidden=32, heads=4, kv_heads=2, head_dim=8, ffn=48, max_positions=64
)


def random_model() -> model_module.Verifier:
    torch.manual_seed(0)
    model = model_module.Verifier(TINY, torch.float32)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.1)
            p.copy_(p.bfloat16().float())
    return model


class ModelTest(unittest.TestCase):
    def test_logits_equal_transformers(self):
        from transformers import AutoModelForCausalLM

        model, ids = random_model(), torch.randint(0, 97, (2, 40))
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            model_module.export(dict(model.named_parameters()), TINY, Path(folder), [2, 0], 0)
            reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            self.assertLess((reference(ids).logits - model.logits(ids)).abs().max().item(), 1e-4)

    def test_cached_greedy_equals_recomputation(self):
        model, ids = random_model(), torch.randint(0, 97, (20,)).tolist()
        fast, slow = model.greedy(ids, 8), list(ids)
        with torch.no_grad():
            for _ in range(8):
                slow.append(model.logits(torch.tensor([slow]))[0, -1].argmax().item())
        self.assertEqual(fast, slow[20:])

    def test_batched_muon_equals_torch(self):
        torch.manual_seed(1)
        ours = [torch.nn.Parameter(torch.randn(*s)) for s in ((32, 16), (16, 32), (32, 16))]
        theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
        a = BatchedMuon(ours)
        a.lr = 1e-2
        b = torch.optim.Muon(
            theirs,
            lr=1e-2,
            weight_decay=a.weight_decay,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        )
        for _ in range(4):
            for p, q in zip(ours, theirs):
                p.grad = torch.randn_like(p)
                q.grad = p.grad.clone()
            a.step()
            b.step()
        for p, q in zip(ours, theirs):
            self.assertLess((p - q).abs().max().item(), 5e-3)


if __name__ == "__main__":
    unittest.main()
