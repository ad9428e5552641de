"""Trains the restorer of a frozen verifier, in the regime in which the engine uses it.

    python train_restorer.py --verifier ../models/demo --out ../build/restorer                 one GPU, about 13 minutes
    torchrun --nproc-per-node 4 train_restorer.py --verifier ../models/demo --out ../build/restorer       several GPUs, each with its own batches
    python train_restorer.py --verifier DIR --corpus A.txt B.txt --out DIR/restorer             any HF Qwen3 or Llama checkpoint
    python train_restorer.py --verifier ../models/demo --out ../build/smoke --smoke             laptop, CPU, a minute

Every `--report` seconds the weights are written to OUT (config.json, model.safetensors: what the engine loads), with one line in OUT/log.jsonl.
"""

import argparse
import json
import multiprocessing as mp
import os
import pickle
import random
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F

import eval_restorer
import hf_verifier
import packing
import pools
import recurrence
import restorer as restorer_module
import tokenizer as tokenizer_module
from document import FillerPool
from loader import Loader
from muon import BatchedMuon
from ranks import Average
from restorer_regime import ALL, NONE, Regime

FINAL_LR = 0.01  # share of the peak
REGRESSION, DISTILLATION = 0.2, 0.4  # weights beside the divergence
ASKED = 144  # queries a sequence whose attention mass the selector learns


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verifier", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, nargs="+", help="text files; default: the demo's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=700, help="of training, compilation apart")
    parser.add_argument("--steps", type=int, help="instead of --seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup-steps", type=int, default=150)
    parser.add_argument(
        "--cool-from", type=float, default=0.5, help="share of the time at full rate"
    )
    parser.add_argument(
        "--mixture",
        type=float,
        nargs=2,
        default=[0.05, 0.55],
        help="progress of the data's curriculum",
    )
    parser.add_argument("--answer-weight", type=float, default=4.0, help="see `losses`")
    parser.add_argument(
        "--batch-tokens", type=int, default=32768, help="tokens per step and process"
    )
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument(
        "--shares", type=float, nargs="+", help="of the lengths; default: a schedule"
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[4, 8, 16, ALL], help="0: all")
    parser.add_argument("--chunk-shares", type=float, nargs="+", default=[0.2, 0.5, 0.15, 0.15])
    parser.add_argument(
        "--all-until", type=float, default=0.06, help="share of the time with all chunks"
    )
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--report", type=float, default=60)
    parser.add_argument("--probe-n", type=int, default=32)
    parser.add_argument("--prompts", type=Path, help="eval_restorer.py --make-prompts wrote them")
    parser.add_argument("--synthetic-chars", type=int, default=1_000_000)
    parser.add_argument("--found-chars", type=int, default=24_000_000)
    parser.add_argument(
        "--evaluate", action="store_true", help="all of --prompts at the end: OUT/eval.json"
    )
    parser.add_argument("--pool-cache", type=Path, help="file that keeps the texts between runs")
    parser.add_argument("--fingerprint", help="of the verifier, where xxhash is not installed")
    for name in ("layers", "hidden", "heads", "head-dim", "ffn", "code-dim", "token-dim"):
        default = getattr(restorer_module.RestorerConfig, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--summary-dim", type=int, default=128)
    parser.add_argument("--segments", type=int, default=8, help="summaries a chunk")
    parser.add_argument(
        "--no-recurrence", action="store_true", help="the proposer sees its chunks alone"
    )
    parser.add_argument("--init", type=Path, help="a restorer to start from")
    parser.add_argument("--dense-attention", action="store_true", help="no FlexAttention")
    parser.add_argument("--no-compile", action="store_true")
    # Ablations.
    parser.add_argument("--no-kl", action="store_true", help="regression of K and V alone")
    parser.add_argument("--no-int8", action="store_true", help="codes in floating point")
    parser.add_argument("--adamw", action="store_true", help="AdamW for the matrices too")
    parser.add_argument(
        "--after-norm", action="store_true", help="predict K after the norm (not exported)"
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes on the CPU")
    args = parser.parse_args()
    if args.smoke:
        args.device, args.seconds, args.report, args.workers = "cpu", 20, 10, 1
        args.batch_tokens, args.lengths, args.probe_n = 1024, [256, 512], 2
        args.hidden, args.heads, args.layers, args.ffn = 64, 1, 1, 64
        args.synthetic_chars, args.found_chars = 40_000, 500_000
        args.chunks, args.chunk_shares = [2, ALL], [0.7, 0.3]
    return args


def fingerprint(args) -> str:
    if args.fingerprint:
        return args.fingerprint
    try:
        return hf_verifier.fingerprint(args.verifier)
    except ImportError as error:
        raise SystemExit("the fingerprint needs xxhash, or --fingerprint HEX32") from error


def build_pools(args) -> tuple[FillerPool, FillerPool]:
    """(training side, held-out side); with --corpus its last 5 % of each file are held out."""
    if args.pool_cache and args.pool_cache.exists():
        return pickle.loads(args.pool_cache.read_bytes())
    small = min(args.synthetic_chars, 300_000)
    train = pools.build(False, args.synthetic_chars, args.found_chars, seed=args.seed)
    held_out = pools.build(True, small, args.found_chars, seed=args.seed)
    if args.corpus:
        texts = [path.read_text(encoding="utf-8") for path in args.corpus]
        train.texts["books"] = pools._defuse("\n\n".join(t[: int(0.95 * len(t))] for t in texts))
        held_out.texts["books"] = pools._defuse("\n\n".join(t[int(0.95 * len(t)) :] for t in texts))
        for pool in (train, held_out):
            pool.chars_per_token["books"] = 3.0
    if args.pool_cache:
        args.pool_cache.write_bytes(pickle.dumps((train, held_out)))
    return train, held_out


class Optimizer:
    """Muon for the matrices of the proposer and of f_theta, AdamW for the selector, norms and biases."""

    def __init__(self, model: restorer_module.Restorer, adamw: bool, ranks: int):
        self.params = list(model.parameters())
        self.average = Average(self.params, ranks)
        matrices = [] if adamw else model.matrices()
        own = {id(p) for p in matrices}
        others = [p for p in self.params if id(p) not in own]
        self.muon = BatchedMuon(matrices, weight_decay=0.01) if matrices else None
        self.adam = torch.optim.AdamW(
            others, lr=1.0, betas=(0.9, 0.95), weight_decay=0.0, fused=others[0].is_cuda
        )

    @torch.no_grad()
    def step(self, lr: float, progress: float) -> float:
        """One step; returns the `progress` that all ranks agree on."""
        for p in self.params:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        progress = self.average(progress)
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.params])
        torch._foreach_mul_([p.grad for p in self.params], 1.0 / norm.clamp(min=1.0))
        if self.muon:
            self.muon.lr = lr
            self.muon.step()
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        for p in self.params:
            p.grad = None
        return progress


def pick_queries(answers: torch.Tensor, count: int) -> torch.Tensor:
    """(rows, count) positions: a third predict answers, a third come shortly before, a third are any."""
    near = F.max_pool1d(F.pad(answers[:, None].float(), (0, 23)), 24, 1)[:, 0]
    n = count // 3
    parts = [
        (torch.rand_like(near) + 2 * wanted).topk(m, 1).indices
        for wanted, m in ((answers.float(), n), (near, n), (torch.zeros_like(near), count - 2 * n))
    ]
    return torch.cat(parts, 1)


def losses(regime: Regime, ids, weights, k: int, args) -> tuple[torch.Tensor, dict]:
    """ids, weights (rows, length + 1): the loss and its parts."""
    x, after = ids[:, :-1].contiguous(), weights[:, 1:]
    answers = after > 5
    at = pick_queries(answers, min(ASKED, x.shape[1]))
    oracle = regime.oracle(x, at)
    restored = regime.propose(x)
    regression = 0.0
    for got, wanted in ((restored.k, oracle.k), (restored.v, oracle.v)):
        error = (got.float() - wanted.float()).square().mean((1, 2))
        regression = regression + 0.5 * (error / wanted.float().square().mean((1, 2))).mean()
    h, asked = regime.bounded(x, restored, k, at)
    distilled = regime.distillation(asked, oracle.mass, restored.z, at)
    divergence = regime.divergence(oracle.x, h)
    weight = (1 + args.answer_weight * after).flatten()  # answers 6, text 0.6, filler 0
    mean = (divergence * weight).sum() / weight.sum()
    loss = (0.0 if args.no_kl else mean) + REGRESSION * regression + DISTILLATION * distilled
    flat = answers.flatten().float()
    parts = {
        "kl": mean.detach(),
        "kl_answers": ((divergence.detach() * flat).sum() / flat.sum().clamp(min=1)),
        "kl_rest": ((divergence.detach() * (1 - flat)).sum() / (1 - flat).sum()),
        "regression": regression.detach(),
        "selection": distilled.detach(),
    }
    return loss, parts


def length_shares(progress: float, count: int) -> list[float]:
    full = [0.5, 0.3, 0.15, 0.05] if progress < 0.08 else [0.2, 0.3, 0.3, 0.2]
    full = full if progress < 0.4 else [0.12, 0.18, 0.32, 0.38]
    return full[:count] + [full[-1]] * (count - len(full))


def probe(regime, tokenizer, cells, windows, args, full: dict) -> dict:
    """A small recall per test and length, with the default number of chunks; perplexity relative to the oracle's (kept in `full`)."""
    k = regime.restorer.config.chunks
    out = {}
    for cell in cells:
        if cell["length"] in args.lengths:
            part = cell["prompts"][:: max(1, len(cell["prompts"]) // args.probe_n)]
            flags = eval_restorer.recall(
                regime, part, tokenizer, cell["length"], args.batch_tokens, k
            )
            name = "" if cell["test"] == "needle" else cell["test"] + " "
            out[f"{name}{cell['length']}"] = round(sum(flags) / len(flags), 3)
    if len(windows):
        few = windows[::4]
        if "perplexity" not in full:
            full["perplexity"] = eval_restorer.perplexity(
                regime, few, args.batch_tokens, eval_restorer.ORACLE
            )
        got = eval_restorer.perplexity(regime, few, args.batch_tokens, k)
        out["perplexity_ratio"] = round(got / full["perplexity"], 4)
    return out


def join_ranks(args) -> tuple[int, int]:
    """(this process's number, how many there are): as torchrun says, else (0, 1)."""
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if ranks > 1:
        if args.device == "cuda":
            args.device = f"cuda:{os.environ['LOCAL_RANK']}"
            torch.cuda.set_device(args.device)
        dist.init_process_group("gloo" if args.device == "cpu" else "nccl")
    return rank, ranks


def main() -> None:
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    started, rank = time.time(), int(os.environ.get("RANK", 0))
    mark = fingerprint(args)
    tokenizer = tokenizer_module.load(args.verifier)
    pool, held_out = build_pools(args)
    for p in (pool, held_out):
        p.measure(lambda text: tokenizer.encode(text).ids)
    shared = mp.get_context("fork").Value("d", args.mixture[0])
    loader = Loader(
        pool, args.verifier, args.workers, args.lengths, args.batch_tokens, args.seed + 100 * rank, shared,
        packing.RESTORER_MIXTURE,
    )  # fmt: skip
    if args.prompts:
        cells, windows = eval_restorer.load_prompts(args.prompts)
    else:
        cells = eval_restorer.make_cells(
            tokenizer, held_out, args.lengths, args.probe_n, (), max(args.lengths), 0
        )
        windows = eval_restorer.text_windows(
            tokenizer, held_out.texts["books"], 8, args.lengths[len(args.lengths) // 2]
        )
    print(f"prepared in {time.time() - started:.0f} s", flush=True)
    try:
        train(args, loader, shared, tokenizer, cells, windows, mark)
    finally:
        loader.close()


def train(args, loader, shared, tokenizer, cells, windows, mark: str) -> None:
    rank, ranks = join_ranks(args)
    device = torch.device(args.device)
    gpu = device.type == "cuda"
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.recompile_limit = 64
    dtype = torch.bfloat16 if gpu else torch.float32
    verifier = hf_verifier.Verifier(args.verifier, device, dtype)
    s = verifier.shape
    shape = restorer_module.VerifierShape(
        s.layers, s.hidden, s.heads, s.kv_heads, s.head_dim, s.vocabulary
    )
    recurrent = args.token_dim > 0 and not args.no_recurrence
    seen_before = recurrence.RecurrenceConfig() if recurrent else None
    config = restorer_module.RestorerConfig(
        args.layers, args.hidden, args.heads, args.head_dim, args.ffn,
        code_dim=args.code_dim, token_dim=args.token_dim, segments=args.segments,
        summary_dim=args.summary_dim, recurrence=seen_before, verifier=shape,
    )  # fmt: skip
    model = restorer_module.Restorer(config, dtype)
    if args.init:
        # One without recurrence may go on with it: those weights stay zero.
        found = model.load_state_dict(restorer_module.load(args.init).state_dict(), strict=False)
        if found.unexpected_keys or not set(found.missing_keys) <= {"count", "next"}:
            raise SystemExit(f"{args.init} has other parts: {found}")
    model.to(device)
    model.dtype, model.int8 = dtype, not args.no_int8
    count = sum(p.numel() for p in model.parameters())
    if rank == 0:
        print(f"{count / 1e6:.2f} M parameters, {config}", flush=True)
    flex = gpu and not args.dense_attention
    regime = Regime(
        verifier, model, flex=flex, compiled=gpu and not args.no_compile, after_norm=args.after_norm
    )
    optimizer, choose = Optimizer(model, args.adamw, ranks), random.Random(args.seed)

    def batch(wanted: int):
        ids, weights = loader.get(wanted)
        x = torch.from_numpy(ids.astype("int64")).to(device, non_blocking=True)
        return x, torch.from_numpy(weights).to(device).float() / packing.WEIGHT_SCALE

    started, seen = time.time(), set()
    while gpu and len(seen) < len(args.lengths):  # compiles every length
        x, w = batch(min(i for i, n in enumerate(args.lengths) if n not in seen))
        if x.shape[1] - 1 in seen:
            continue
        seen.add(x.shape[1] - 1)
        for k in (ALL, args.chunks[0]):
            losses(regime, x, w, k, args)[0].backward()
        model.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        if rank == 0:
            print(f"length {x.shape[1] - 1} ready after {time.time() - started:.0f} s", flush=True)
    regime.training = gpu
    if ranks > 1:
        dist.barrier()
    begun, reported, step, tokens, last, full, progress = time.time(), 0.0, 0, 0, {}, {}, 0.0
    while True:
        elapsed = time.time() - begun
        finished = progress >= 1
        if rank == 0 and (finished or elapsed - reported >= args.report):
            reported = elapsed
            line = {"step": step, "seconds": round(elapsed, 1), "tokens": tokens}
            line |= {"replayed": loader.replayed} | last
            restorer_module.extend_distances(model, max(args.lengths))
            if not args.after_norm:
                restorer_module.export(model, args.out, mark)
            pause = time.time()
            line |= probe(regime, tokenizer, cells, windows, args, full)
            line["probe_seconds"] = round(time.time() - pause, 1)
            print(json.dumps(line), flush=True)
            with open(args.out / "log.jsonl", "a") as f:
                f.write(json.dumps(line) + "\n")
        if finished:
            break
        shares = args.shares or length_shares(progress, len(args.lengths))
        x, w = batch(choose.choices(range(len(args.lengths)), shares)[0])
        k = ALL
        if progress >= args.all_until:
            k = choose.choices(args.chunks, args.chunk_shares)[0]
        loss, parts = losses(regime, x, w, k, args)
        loss.backward()
        cool = max(FINAL_LR, min(1.0, (1 - progress) / (1 - args.cool_from)))
        lr = args.lr * min(1.0, (step + 1) / args.warmup_steps) * cool
        step, tokens = step + 1, tokens + x[:, 1:].numel() * ranks
        mine = step / args.steps if args.steps else (time.time() - begun) / args.seconds
        agreed = optimizer.step(lr, mine)
        progress = mine if args.steps else agreed  # steps are counted alike everywhere
        shared.value = args.mixture[0] + (args.mixture[1] - args.mixture[0]) * progress
        if step % 50 == 0 and rank == 0:
            last = {n: round(p.item(), 4) for n, p in parts.items()}
            if step % 200 == 0 or step == 50:
                rate = tokens / (time.time() - begun)
                what = f"length {x.shape[1] - 1} k {k or 'all'} {last}"
                ready = f"ready {list(loader.waiting)} replayed {loader.replayed}"
                print(
                    f"step {step} {elapsed:.0f} s {what} {rate / 1e6:.2f} M tokens/s {ready}",
                    flush=True,
                )
    if args.evaluate and rank == 0:
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(p.bfloat16())  # as exported
        arms = [eval_restorer.ORACLE, NONE, 4, 8, 16, ALL]
        result = eval_restorer.evaluate(regime, tokenizer, cells, windows, args.batch_tokens, arms)
        (args.out / "eval.json").write_text(json.dumps(result, indent=1) + "\n")
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
