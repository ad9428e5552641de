"""Trains the demo verifier.

    python train_verifier.py --out ../build/training --gpus 2 --seconds 1080
    python train_verifier.py --out ../build/smoke --smoke         (laptop, CPU, a minute)

Every `--report` seconds the newest weights are written to OUT/last (BF16, Hugging Face layout) and OUT/ema, with recall on held-out
text, keys and phrasings in the log.
"""

import argparse
import json
import multiprocessing as mp
import os
import random
import shutil
import time
from pathlib import Path

import torch
import torch.distributed as dist

import evaluation
import model as model_module
import packing
import pools
import tokenizer as tokenizer_module
from loader import Loader
from muon import BatchedMuon
from ranks import Average

PEAK_LR, WARMUP_STEPS, COOL_FROM, FINAL_LR = 2e-3, 200, 0.55, 0.01
EMA = 0.9985


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--tokenizer", type=Path, default=Path(__file__).resolve().parent.parent / "models" / "demo"
    )
    parser.add_argument(
        "--gpus", type=int, default=1, help="0: train on the CPU; more than one: one process each"
    )
    parser.add_argument(
        "--processes",
        type=int,
        default=0,
        help="with --gpus 0: CPU processes, to try the distributed path",
    )
    parser.add_argument(
        "--seconds", type=float, default=1080, help="training time after compilation"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=98304, help="tokens per step and GPU")
    parser.add_argument("--workers", type=int, default=14, help="loader processes per GPU")
    parser.add_argument("--report", type=float, default=90, help="seconds between reports")
    parser.add_argument("--lengths", type=int, nargs="+", default=list(packing.LENGTHS))
    parser.add_argument("--synthetic-chars", type=int, default=2_000_000)
    parser.add_argument("--found-chars", type=int, default=48_000_000)
    parser.add_argument("--attention", choices=("auto", "flash", "cudnn"), default="auto")
    parser.add_argument("--init", type=Path, help="folder with weights to start from")
    parser.add_argument("--smoke", action="store_true", help="tiny model and data, on the CPU")
    args = parser.parse_args()
    if args.smoke:
        args.gpus, args.seconds, args.report, args.workers = 0, 30, 10, 1
        args.batch_tokens, args.lengths = 2048, [128, 256, 512, 1024, 2048]
        args.synthetic_chars, args.found_chars = 40_000, 500_000
    return args


def learning_rate(step: int, progress: float) -> float:
    cool = (
        1.0 if progress < COOL_FROM else max(FINAL_LR, 1 - (progress - COOL_FROM) / (1 - COOL_FROM))
    )
    return PEAK_LR * min(1.0, (step + 1) / WARMUP_STEPS) * cool


class Optimizer:
    """Muon for the layers' matrices, AdamW for the embedding and the norms; averages gradients over the ranks."""

    def __init__(self, model: model_module.Verifier, ranks: int):
        self.params = list(model.parameters())
        matrices = [p for layer in model.layers for p in layer.parameters() if p.dim() == 2]
        others = [p for p in self.params if not any(p is m for m in matrices)]
        self.muon = BatchedMuon(matrices)
        self.adam = torch.optim.AdamW(
            others, lr=1.0, betas=(0.9, 0.95), weight_decay=0.0, fused=others[0].is_cuda
        )
        self.average = Average(self.params, ranks)

    @torch.no_grad()
    def step(self, lr: float, progress: float) -> float:
        """One step; returns the `progress` that all ranks agree on."""
        progress = self.average(progress)
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.params])
        torch._foreach_mul_([p.grad for p in self.params], (1.0 / norm.clamp(min=1.0)))
        self.muon.lr = lr
        self.muon.step()
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        for p in self.params:
            p.grad = None
        return progress


def report(
    args, config, state: dict, ema: dict, probes, tokenizer, device, log: dict, final: bool
) -> None:
    """Writes both sets of weights and prints one line of JSON with losses and recall."""
    stop, end = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    for name, tensors in (("last", state), ("ema", ema)):
        folder = args.out / name
        model_module.export(tensors, config, folder, [stop, end], end)
        for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            shutil.copyfile(args.tokenizer / file, folder / file)
        if name == "ema" and not final:
            continue  # evaluated at the end only
        plain = model_module.load(
            folder, device, torch.bfloat16 if device.type == "cuda" else torch.float32
        )
        log[name] = {
            key: round(evaluation.recall(plain, prompts, tokenizer)[0], 3)
            for key, prompts in probes.items()
        }
        log[name]["perplexity"] = round(
            evaluation.book_perplexity(plain, tokenizer, 24, args.lengths[1]), 2
        )
    line = json.dumps(log)
    print(line, flush=True)
    with open(args.out / "log.jsonl", "a") as f:
        f.write(line + "\n")


def train(rank: int, args, loader: Loader, shared_progress, probes) -> None:
    device = torch.device("cuda", rank) if args.gpus else torch.device("cpu")
    ranks = args.processes or max(1, args.gpus)
    if args.gpus:
        torch.cuda.set_device(device)
    if ranks > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29511")
        dist.init_process_group("nccl" if args.gpus else "gloo", rank=rank, world_size=ranks)
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    if args.attention != "auto":
        torch.backends.cuda.enable_flash_sdp(args.attention == "flash")
        torch.backends.cuda.enable_cudnn_sdp(args.attention == "cudnn")
    config = (
        model_module.Config(
            vocabulary=4096,
            layers=2,
            hidden=64,
            heads=2,
            kv_heads=1,
            head_dim=32,
            ffn=128,
            max_positions=2048,
        )
        if args.smoke
        else model_module.Config()
    )
    model = model_module.Verifier(config, torch.bfloat16 if args.gpus else torch.float32)
    if args.init:
        model.load_state_dict(model_module.load(args.init).state_dict())
    model.to(device)
    if args.gpus:
        model.compile()
    tokenizer = tokenizer_module.load(args.tokenizer)
    optimizer = Optimizer(model, ranks)
    ema = {n: p.detach().clone() for n, p in model.named_parameters()}
    choose = random.Random(args.seed)
    progress, step, tokens, begun, reported, seen = 0.0, 0, 0, None, 0.0, {}
    while progress < 1:
        wanted = choose.choices(range(len(args.lengths)), packing.length_shares(progress))[0]
        ids, weights = loader.get(wanted)
        x = torch.from_numpy(ids.astype("int32")).to(device, non_blocking=True).long()
        w = torch.from_numpy(weights).to(device, non_blocking=True).float() / packing.WEIGHT_SCALE
        loss, losses = model.loss(x[:, :-1], x[:, 1:].contiguous(), w[:, 1:].contiguous())
        loss.backward()
        now = time.time()
        begun = now if step == 20 or (begun is None and args.smoke) else begun
        elapsed = now - begun if begun else 0.0
        progress = optimizer.step(learning_rate(step, progress), elapsed / args.seconds)
        torch._foreach_lerp_(
            list(ema.values()),
            [p.detach() for p in model.parameters()],
            1 - min(EMA, (step + 1) / (step + 10)),
        )
        step, tokens = step + 1, tokens + x[:, 1:].numel() * ranks
        if rank == 0:
            shared_progress.value = progress
            if step % 25 == 0:
                answers = losses[w[:, 1:].reshape(-1) > 5].mean().item()
                seen[x.shape[1] - 1] = answers
                if step % 100 == 0:
                    rate = tokens / (now - begun) if begun else 0
                    print(
                        f"step {step} {elapsed:.0f} s loss {loss.item():.3f} answers {({k: round(v, 3) for k, v in sorted(seen.items())})} "
                        f"{rate / 1e6:.2f} M tokens/s replayed {loader.replayed} ready {list(loader.waiting)}",
                        flush=True,
                    )
            if elapsed - reported >= args.report or progress >= 1:
                reported = elapsed
                if args.gpus:
                    torch.cuda.synchronize()
                report(
                    args,
                    config,
                    dict(model.named_parameters()),
                    ema,
                    probes,
                    tokenizer,
                    device,
                    {
                        "step": step,
                        "seconds": round(elapsed, 1),
                        "tokens": tokens,
                        "loss": round(loss.item(), 4),
                        "replayed": loader.replayed,
                    },
                    progress > 0.97,
                )
    if ranks > 1:
        dist.destroy_process_group()


def main() -> None:
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    started = time.time()
    pool = pools.build(False, args.synthetic_chars, args.found_chars, seed=args.seed)
    tokenizer = tokenizer_module.load(args.tokenizer)
    pool.measure(lambda text: tokenizer.encode(text).ids)
    held_out = pools.build(
        True, min(args.synthetic_chars, 300_000), args.found_chars, seed=args.seed
    )
    held_out.measure(lambda text: tokenizer.encode(text).ids)
    probes = evaluation.probes(tokenizer, held_out, args.lengths[:4], 16 if args.smoke else 40)
    print(
        f"pools: {({k: f'{len(v) / 1e6:.1f} MB' for k, v in pool.texts.items()})} in {time.time() - started:.0f} s",
        flush=True,
    )
    context = mp.get_context("fork")
    shared = context.Value("d", 0.0)
    ranks = args.processes or max(1, args.gpus)
    loaders = [
        Loader(
            pool,
            args.tokenizer,
            args.workers,
            args.lengths,
            args.batch_tokens,
            args.seed + 100 * i,
            shared,
        )
        for i in range(ranks)
    ]
    if ranks == 1:
        train(0, args, loaders[0], shared, probes)
        loaders[0].close()
        return
    processes = [
        context.Process(target=train, args=(i, args, loaders[i], shared, probes))
        for i in range(ranks)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    for loader in loaders:
        loader.close()
    if any(process.exitcode for process in processes):
        raise SystemExit("a training process failed")


if __name__ == "__main__":
    main()
