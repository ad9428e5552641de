"""Free-running greedy recall and perplexity of the bounded regime with restored chunks, against the oracle and the window alone.

    python eval_restorer.py --verifier ../models/demo --make-prompts ../build/restorer_prompts.json.gz --n 100      (CPU, minutes)
    python eval_restorer.py --verifier ../models/demo --restorer ../models/demo/restorer --prompts ../build/restorer_prompts.json.gz --device cuda

An answer is generated greedily from the prompt alone. The expected answer only serves as a draft: as in speculative decoding, every token
is kept exactly where it is the argmax after the tokens generated so far, so the outcome is that of generating token by token.
"""

import argparse
import functools
import gzip
import json
import math
import os
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import evaluation
import hf_verifier
import restorer as restorer_module
import tokenizer as tokenizer_module
from restorer_regime import ALL, NONE, Regime

ORACLE = "oracle"
ROOM = 64  # tokens kept free for the answer
TASKS = ("look_alikes", "other_words", "all_values", "many_questions", "chain", "json_pairs")
TASKS += ("chat_memory", "latest", "tools", "dense")


def arm_name(arm) -> str:
    return {ORACLE: ORACLE, NONE: "window", ALL: "restored, all"}.get(arm, f"restored, k={arm}")


def final_states(regime: Regime, ids: torch.Tensor, arm) -> torch.Tensor:
    """(rows, positions, hidden) before the last norm."""
    with torch.set_grad_enabled(regime.training and arm not in (ORACLE, NONE)):
        if arm == ORACLE:
            x = regime.oracle(ids).x
        else:
            restored = None if arm == NONE else regime.propose(ids)
            x = regime.bounded(ids, restored, arm)[0]
    return x.detach().view(*ids.shape, -1)


def verdict(tokenizer, out: list[int], answer: str, finished: bool) -> bool | None:
    """True or False once the text generated so far decides, else None."""
    if finished:
        return evaluation.is_right(tokenizer, out, answer)
    text = tokenizer.decode(out, skip_special_tokens=False).lstrip()
    if text.endswith("\ufffd") or answer.startswith(text):
        return None
    return evaluation.is_right(tokenizer, out, answer)


@torch.no_grad()
def recall(
    regime: Regime, prompts: list[evaluation.Prompt], tokenizer, length: int, tokens: int, arm
) -> list[bool]:
    """One flag per prompt; batches are always of `tokens` ids in rows of `length`."""
    rows, device = max(1, tokens // length), regime.verifier.device
    drafts, counts = [], []
    for p in prompts:
        space = "" if p.ids and tokenizer.decode(p.ids[-1:]).endswith("\n") else " "
        drafts.append(tokenizer.encode(space + p.answer, add_special_tokens=False).ids)
        counts.append(len(tokenizer.encode(" " + p.answer, add_special_tokens=False).ids) + 2)
    out: list[list[int]] = [[] for _ in prompts]
    right: list[bool | None] = [None] * len(prompts)
    waiting = list(range(len(prompts)))
    while waiting:
        batch, waiting = waiting[:rows], waiting[rows:]
        ids = torch.zeros(rows, length, dtype=torch.long)
        width = max(counts[i] for i in batch) + 1
        at = torch.zeros(rows, width, dtype=torch.long)
        rest = []
        for b, i in enumerate(batch):
            known = prompts[i].ids + out[i]
            draft = drafts[i][len(out[i]) :] if drafts[i][: len(out[i])] == out[i] else []
            draft = draft[: length - len(known)]
            ids[b, : len(known) + len(draft)] = torch.tensor(known + draft)
            at[b] = (len(known) - 1 + torch.arange(width)).clamp(max=length - 1)
            rest.append(draft)
        x = final_states(regime, ids.to(device), arm)
        x = x[torch.arange(rows, device=device)[:, None], at.to(device)]
        best = regime.logits(x).argmax(-1).tolist()
        for b, i in enumerate(batch):
            draft = rest[b]
            for step in range(len(draft) + 1):
                out[i].append(best[b][step])
                right[i] = verdict(tokenizer, out[i], prompts[i].answer, len(out[i]) >= counts[i])
                if right[i] is not None or step == len(draft) or best[b][step] != draft[step]:
                    break
            if right[i] is None:
                waiting.append(i)
    return [bool(r) for r in right]


def engine_recall(
    binary: Path, args, prompts: list[evaluation.Prompt], tokenizer, arm
) -> list[bool]:
    """The same by the engine's command line: what is measured is what ships."""
    flags = []
    kv = {ORACLE: "full", NONE: "window"}.get(arm, "restored")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ids.json"
        for p in prompts:
            count = len(tokenizer.encode(" " + p.answer, add_special_tokens=False).ids) + 2
            file.write_text(json.dumps(p.ids))
            command = [binary, "generate", "-m", args.verifier, "--ids", file, "-n", str(count)]
            command += ["--kv", kv, "--json"]
            if kv == "restored":
                command += ["--restorer", args.restorer, "--restore-chunks", str(arm or "all")]
            run = subprocess.run(command, capture_output=True, check=True)
            out = json.loads(run.stdout)["tokens"]
            flags.append(evaluation.is_right(tokenizer, out, p.answer))
    return flags


@torch.no_grad()
def perplexity(regime: Regime, windows: torch.Tensor, tokens: int, arm) -> float:
    """windows: (n, length + 1) ids, length a multiple of 128."""
    rows, total = max(1, tokens // (windows.shape[1] - 1)), 0.0
    for part in windows.split(rows):
        n = part.shape[0]
        full = torch.cat((part, part.new_zeros(rows - n, part.shape[1]))).to(regime.verifier.device)
        x = final_states(regime, full[:, :-1].contiguous(), arm)[:n]
        for row, target in zip(x, full[:n, 1:]):
            total += F.cross_entropy(regime.logits(row), target, reduction="sum").item()
    return math.exp(total / (windows.shape[0] * (windows.shape[1] - 1)))


def text_windows(tokenizer, text: str, rows: int, length: int) -> torch.Tensor:
    """Evenly spaced windows of length + 1 ids."""
    out = []
    for i in range(rows):
        begin = text.find(" ", len(text) // rows * i)
        ids = tokenizer.encode(text[begin : begin + 8 * length], add_special_tokens=False).ids
        if len(ids) > length:
            out.append(ids[: length + 1])
    return torch.tensor(out)


def make_cells(
    tokenizer, pool, lengths, n: int, tasks, task_length: int, task_n: int
) -> list[dict]:
    """Prompts of all held-out phrasings, keys and texts: raw, Q/A and chat; and of other tasks."""
    kinds = [k for k in evaluation.HAYSTACKS if k in pool.texts]
    names, cells = list(evaluation.FAMILIES), []
    for length in lengths:
        prompts = evaluation.mixed_prompts(
            tokenizer, pool, 31 + length, length - ROOM, kinds, names, ("raw", "qa", "chat"), n
        )
        cells.append({"test": "needle", "length": length, "prompts": prompts})
    for task in tasks:
        prompts = evaluation.task_prompts(tokenizer, pool, 33, task_length - ROOM, task, task_n)
        cells.append({"test": task, "length": task_length, "prompts": prompts})
    return cells


def save_prompts(path: Path, cells: list[dict], windows: torch.Tensor) -> None:
    plain = [{**c, "prompts": [vars(p) for p in c["prompts"]]} for c in cells]
    with gzip.open(path, "wt") as f:
        json.dump({"cells": plain, "windows": windows.tolist()}, f)


def load_prompts(path: Path) -> tuple[list[dict], torch.Tensor]:
    with gzip.open(path, "rt") as f:
        data = json.load(f)
    for c in data["cells"]:
        c["prompts"] = [evaluation.Prompt(**p) for p in c["prompts"]]
    return data["cells"], torch.tensor(data["windows"])


def evaluate(regime, tokenizer, cells, windows, tokens: int, arms, answer=None) -> dict:
    """Rows of {test, length, n, and per arm hits}; perplexity per arm. `answer(prompts, arm)` replaces `recall`."""
    rows, missed = [], []
    for cell in cells:
        row = {"test": cell["test"], "length": cell["length"], "n": len(cell["prompts"])}
        for arm in arms:
            if answer:
                flags = answer(cell["prompts"], arm)
            else:
                flags = recall(regime, cell["prompts"], tokenizer, cell["length"], tokens, arm)
            row[arm_name(arm)] = sum(flags)
            missed += [
                {"test": cell["test"], "length": cell["length"], "arm": arm_name(arm),
                 "label": p.label, "depth": round(p.depth, 3)}
                for p, ok in zip(cell["prompts"], flags) if not ok and arm not in (NONE,)
            ]  # fmt: skip
        rows.append(row)
        print(json.dumps(row), flush=True)
    result = {"recall": rows, "missed": missed}
    if len(windows) and not answer:
        result["perplexity"] = {
            arm_name(a): round(perplexity(regime, windows, tokens, a), 4) for a in arms
        }
        result["perplexity"]["windows"] = list(windows.shape)
        print(json.dumps(result["perplexity"]), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verifier", type=Path, required=True)
    parser.add_argument("--restorer", type=Path)
    parser.add_argument("--make-prompts", type=Path, help="write the prompts there and stop")
    parser.add_argument("--prompts", type=Path, help="written by --make-prompts")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--task-length", type=int, default=4096)
    parser.add_argument("--windows", type=int, default=32, help="of the held-out books")
    parser.add_argument("--window-length", type=int, default=4096)
    parser.add_argument("--chunks", type=int, nargs="+", default=[4, 8, 16, ALL], help="0: all")
    parser.add_argument("--batch-tokens", type=int, default=32768)
    parser.add_argument("--found-chars", type=int, default=20_000_000)
    parser.add_argument("--engine", type=Path, help="the kakeya binary: it generates, not PyTorch")
    parser.add_argument("--tests", nargs="+", help="only these tests, as in needle or chain")
    parser.add_argument("--every", type=int, default=1, help="only every N-th prompt")
    parser.add_argument(
        "--arms", nargs="+", choices=("oracle", "window"), default=["oracle", "window"]
    )
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = tokenizer_module.load(args.verifier)
    if args.prompts:
        cells, windows = load_prompts(args.prompts)
    else:
        import pools

        pool = pools.build(True, 400_000, args.found_chars)
        pool.measure(lambda text: tokenizer.encode(text).ids)
        cells = make_cells(
            tokenizer, pool, args.lengths, args.n, TASKS, args.task_length, max(1, args.n // 2)
        )
        windows = text_windows(tokenizer, pool.texts["books"], args.windows, args.window_length)
    if args.make_prompts:
        save_prompts(args.make_prompts, cells, windows)
        print({f"{c['test']} {c['length']}": len(c["prompts"]) for c in cells}, windows.shape)
        return
    if args.prompts:
        cells = [c for c in cells if c["length"] in args.lengths]
    cells = [c for c in cells if not args.tests or c["test"] in args.tests]
    for c in cells:
        c["prompts"] = c["prompts"][:: args.every]
    arms = [{"oracle": ORACLE, "window": NONE}[a] for a in args.arms]
    arms += args.chunks if args.restorer else []
    started = time.time()
    if args.engine:
        answer = functools.partial(engine_recall, args.engine, args)
        result = evaluate(
            None,
            tokenizer,
            cells,
            [],
            0,
            arms,
            lambda prompts, arm: answer(prompts, tokenizer, arm),
        )
        result["seconds"] = round(time.time() - started)
        if args.out:
            args.out.write_text(json.dumps(result, indent=1) + "\n")
        return
    gpu = args.device.startswith("cuda")
    torch.set_float32_matmul_precision("high")
    dtype = torch.bfloat16 if gpu else torch.float32
    verifier = hf_verifier.Verifier(args.verifier, args.device, dtype)
    model = restorer_module.load(args.restorer, args.device, dtype) if args.restorer else None
    regime = Regime(verifier, model, flex=gpu, compiled=gpu)
    result = evaluate(regime, tokenizer, cells, windows, args.batch_tokens, arms)
    result["seconds"] = round(time.time() - started)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
