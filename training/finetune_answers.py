"""Second stage: short dense retrieval documents, upper half of the layers only, anchored to the model it starts from.

    python finetune_answers.py --model ../build/training/last --out ../build/training/tuned --steps 500

The first stage of the shipped weights gave the space before an answer no weight in the loss, so after "Answer:" the model sometimes
began a number with a letter (" H3397" for " 23397"). This stage trains exactly that decision. The lower layers and the embedding stay as they
are, and a KL term keeps every token outside the answers where the first stage left it. It runs on one CPU core.
"""

import argparse
import copy
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import fillers
import model as model_module
import packing
import tokenizer as tokenizer_module
from document import ANSWER, FillerPool
from tasks import TaskMaker

SHORT = {
    "dense": 70,
    "look_alikes": 3,
    "latest": 3,
    "all_values": 6,
    "many_questions": 5,
    "other_words": 6,
    "chain": 6,
}
LONG = {
    "haystack": 60,
    "other_words": 10,
    "json_pairs": 10,
    "all_values": 8,
    "chain": 6,
    "many_questions": 6,
}
FILLERS = ("log", "json", "legal", "python", "c", "story", "markdown", "csv")


def upper(
    model: model_module.Verifier, layers, x: torch.Tensor, rows: int, length: int
) -> torch.Tensor:
    """Runs some layers and the head on residuals x (rows * length, hidden) -> (rows * length, vocabulary) logits."""
    c = model.config
    cos, sin = model.tables(rows, length, x.device)
    for layer in layers:
        q, k, v = model_module.before_attention(
            x,
            layer.norm1,
            layer.wq,
            layer.wk,
            layer.wv,
            layer.q_norm,
            layer.k_norm,
            cos,
            sin,
            c.eps,
            c.head_dim,
            model.dtype,
        )
        q, k, v = (t.view(rows, length, -1, c.head_dim).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = model_module.after_attention(
            x,
            y.transpose(1, 2).reshape(rows * length, -1),
            layer.wo,
            layer.norm2,
            layer.gate,
            layer.up,
            layer.down,
            c.eps,
            model.dtype,
        )
    return x


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--lr", type=float, default=1.5e-4)
    parser.add_argument("--from-layer", type=int, default=5)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tokenizer = tokenizer_module.load(args.model)
    model = model_module.load(args.model)
    texts = {"books": "\n\n".join(corpus.books(False))}
    texts.update({kind: fillers.synthesize(kind, args.seed, 60_000) for kind in FILLERS})
    pool = FillerPool(texts, corpus.book_words(False))
    pool.measure(lambda text: tokenizer.encode(text).ids)
    maker = TaskMaker(random.Random(args.seed), pool)
    trained, frozen = model.layers[args.from_layer :], copy.deepcopy(
        model.layers[args.from_layer :]
    )
    model.requires_grad_(False)
    trained.requires_grad_(True)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1.0, betas=(0.9, 0.98), weight_decay=0.0)
    lower, started, sums = model.layers[: args.from_layer], time.time(), []
    for step in range(args.steps):
        long = step % 5 == 4
        length, rows = (2048, 1) if long else (256, 8)
        packed = [
            packing.pack_row(tokenizer, maker, LONG if long else SHORT, length) for _ in range(rows)
        ]
        ids = torch.from_numpy(np.stack([i for i, _ in packed]).astype("int64"))
        weights = torch.from_numpy(np.stack([w for _, w in packed]))[:, 1:].reshape(-1)
        with torch.no_grad():
            x = upper(
                model, lower, F.embedding(ids[:, :-1].reshape(-1), model.embedding), rows, length
            )
            before = upper(model, frozen, x, rows, length)
        after = upper(model, trained, x, rows, length)
        answers = (weights == ANSWER).nonzero()[:, 0]
        others = (weights < ANSWER).nonzero()[:, 0]
        others = others[torch.randperm(len(others))[:512]]

        def head(h):
            return F.linear(model_module.rms_norm(h, model.norm, model.config.eps), model.embedding)

        ce = F.cross_entropy(head(after[answers]), ids[:, 1:].reshape(-1)[answers])
        anchor = F.kl_div(
            head(after[others]).log_softmax(-1),
            head(before[others]).log_softmax(-1),
            log_target=True,
            reduction="batchmean",
        )
        (ce + anchor).backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = (
            args.lr * min(1.0, (step + 1) / 20) * max(0.02, 1 - step / args.steps)
        )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        sums.append((ce.item(), anchor.item()))
        if step % 25 == 24 or step + 1 == args.steps:
            c, a = np.mean(sums[-25:], 0)
            print(
                f"step {step + 1} {time.time() - started:.0f} s answers {c:.4f} anchor {a:.4f}",
                flush=True,
            )
        if step % 100 == 99 or step + 1 == args.steps:
            stop, end = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
            model_module.export(
                dict(model.named_parameters()), model.config, args.out, [stop, end], end
            )
            for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
                shutil.copyfile(args.model / file, args.out / file)


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.manual_seed(0)
    main()
