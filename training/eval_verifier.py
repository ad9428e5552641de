"""Evaluates exported verifier weights (a Hugging Face folder) on text, keys and phrasings that training never saw.

python eval_verifier.py --model ../models/demo --device cuda --n 200 --out ../build/training/eval.json
python eval_verifier.py --model ../models/demo --engine ../build/bin/kakeya --tests mixed    (no GPU: half an hour on two cores)
"""

import argparse
import functools
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import engine
import evaluation
import model as model_module
import pools
import tokenizer as tokenizer_module

TASKS = (
    "haystack",
    "look_alikes",
    "other_words",
    "all_values",
    "many_questions",
    "chain",
    "json_pairs",
    "chat_memory",
    "latest",
    "tools",
    "dense",
    "small_talk",
)
_shared = {}


def _build(job):
    makers = {
        "needle": evaluation.needle_prompts,
        "mixed": evaluation.mixed_prompts,
        "task": evaluation.task_prompts,
    }
    kind, args = job[0], job[1:]
    return makers[kind](_shared["tokenizer"], _shared["pool"], *args)


def plan(args, kinds) -> list[tuple[dict, tuple]]:
    """(description, job) of every cell of the report that `args.tests` asks for."""
    cells, held_out, known = [], list(evaluation.FAMILIES), list(evaluation.WELL_KNOWN)

    def cell(test: str, haystack: str, length: int, form: str, *job) -> None:
        row = {"test": test, "haystack": haystack, "length": length, "form": form}
        if any(test.startswith(name) for name in args.tests):
            cells.append((row, job))

    forms = ("raw", "qa", "chat")
    for length in args.lengths:
        job = ("mixed", 20 + length, length, kinds, held_out, forms, args.n)
        cell("mixed", "all kinds", length, ", ".join(forms), *job)
        for kind in kinds:
            job = ("needle", 11, length, kind, held_out, forms, args.n)
            cell("held-out phrasings", kind, length, ", ".join(forms), *job)
        for form in ("raw", "chat", "completion"):
            families = known[:2] if form == "completion" else known
            job = ("needle", 12, length, "books", families, (form,), args.n)
            cell("well-known phrasings", "books", length, form, *job)
        for family in held_out:
            job = ("needle", 13, length, "books", [family], ("raw",), max(1, args.n // 4))
            cell(f"family {family}", "books", length, "raw", *job)
    for length in args.task_lengths:
        for task in TASKS:
            job = ("task", 14, length, task, max(1, args.n // 2))
            cell(f"task {task}", "mixed", length, "mixed", *job)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--engine", type=Path, help="the kakeya binary: it generates, not PyTorch")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--task-lengths", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--tests",
        nargs="+",
        default=["mixed", "held-out", "well-known", "family", "task", "perplexity"],
        help="beginnings of the names of the tests to run",
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: PyTorch's choice")
    parser.add_argument(
        "--part",
        type=int,
        nargs=2,
        default=[0, 1],
        metavar=("I", "N"),
        help="only every N-th cell from I on",
    )
    parser.add_argument(
        "--f32", action="store_true", help="matrix products in F32 (on a GPU the default is BF16)"
    )
    parser.add_argument("--found-chars", type=int, default=20_000_000)
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    started = time.time()
    tokenizer = tokenizer_module.load(args.model)
    pool = pools.build(True, 400_000, args.found_chars)
    pool.measure(lambda text: tokenizer.encode(text).ids)
    _shared.update(tokenizer=tokenizer, pool=pool)
    cells = plan(args, [k for k in evaluation.HAYSTACKS if k in pool.texts])[
        args.part[0] :: args.part[1]
    ]
    with ProcessPoolExecutor(os.cpu_count()) as executor:
        prompts = list(executor.map(_build, [job for _, job in cells]))
    print(f"{sum(map(len, prompts))} prompts in {time.time() - started:.0f} s", flush=True)
    import torch

    model = model_module.load(
        args.model,
        args.device,
        torch.float32 if args.f32 or args.device == "cpu" else torch.bfloat16,
    )
    if args.threads:
        torch.set_num_threads(args.threads)
    answers = functools.partial(engine.generate, args.engine, args.model) if args.engine else None
    rows = []
    for (row, _), part in zip(cells, prompts):
        share, right = evaluation.recall(model, part, tokenizer, answers=answers)
        low, high = evaluation.wilson(sum(right), len(right))
        missed = [f"{p.label}@{p.depth:.2f}" for p, ok in zip(part, right) if not ok][:12]
        rows.append(
            {
                **row,
                "n": len(part),
                "tokens": max(len(p.ids) for p in part),
                "recall": round(share, 4),
                "ci_low": round(low, 4),
                "ci_high": round(high, 4),
                "missed": missed,
            }
        )
        print(
            f"{row['test']:24} {row['haystack']:9} {row['form']:14} {row['length']:6} "
            f"{share:6.3f} [{low:.3f}, {high:.3f}] n={len(part)} {missed[:6] or ''}",
            flush=True,
        )
    for length in args.lengths if "perplexity" in args.tests else []:
        value = evaluation.book_perplexity(model, tokenizer, max(4, 2**18 // length), length)
        rows.append(
            {"test": "perplexity, held-out books", "length": length, "perplexity": round(value, 3)}
        )
        print(f"perplexity of the held-out books, windows of {length}: {value:.3f}", flush=True)
    print(f"done in {time.time() - started:.0f} s")
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
