"""Prompts on the held-out side and what is measured on them: free-running greedy recall and perplexity.

A prompt ends where a user's prompt would end ("...\\nAnswer:", or the assistant's turn of the chat template); the model then generates
greedily, and the answer counts if the generated text begins with it and no letter or digit follows.
"""

import json
import math
import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F

import corpus
import templates as t
from document import ANSWER, Document, FillerPool, bury
from lexicon import digits
from task_pieces import CHARS_PER_TOKEN
from tasks import ASSISTANT, STOP, USER, TaskMaker

FORMS = {
    "raw": ("\nQuestion: ", "\nAnswer:"),
    "qa": ("\n\nQ: ", "\nA:"),
    "chat": None,
    "completion": None,
}
FAMILIES = {family.name: family for family in t.HELD_OUT_FAMILIES}
WELL_KNOWN = ("magic-number", "access-code", "remember", "remember-id")
# What a needle test needs: kinds of haystack of the held-out side.
HAYSTACKS = ("books", "licence", "source", "docs", "log", "json", "legal", "csv")


@dataclass
class Prompt:
    ids: list[int]
    answer: str
    depth: float = 0.0
    label: str = ""


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % Wilson interval of a proportion."""
    if n == 0:
        return 0.0, 1.0
    p, d = hits / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / d, z * math.sqrt(
        p * (1 - p) / n + z * z / (4 * n * n)
    ) / d
    return max(0.0, middle - half), min(1.0, middle + half)


def needle_text(
    maker: TaskMaker,
    filler: str,
    kind: str,
    family: t.HeldOutFamily,
    form: str,
    depth: float,
    key: str,
    value: str,
) -> str:
    """One needle at `depth` of `filler`, asked for at the end in one of `FORMS`."""
    doc = Document()
    doc.add(USER if form == "chat" else "")
    bury(
        doc,
        maker.r,
        filler,
        kind,
        [t.fill(family.statement, key, family.attribute, value)],
        [depth],
    )
    question = t.fill(family.question, key, family.attribute)
    if form == "chat":
        return doc.add("\n\n" + question + STOP + ASSISTANT).text
    if form == "completion" and family.completion:
        return doc.add("\n\n" + t.fill(family.completion, key, family.attribute)).text
    before, after = FORMS[form if form in ("raw", "qa") else "raw"]
    return doc.add(before + question + after).text


def needle_prompt(
    tokenizer,
    maker: TaskMaker,
    length: int,
    kind: str,
    family: t.HeldOutFamily,
    form: str,
    depth: float,
) -> Prompt:
    """A prompt of `length` tokens or at most 48 fewer."""
    key, value = maker.key(), digits(maker.r, 5)
    chars = int(length * maker.pool.chars_per_token[kind] * 2.5) + 200
    filler = maker.pool.cut(maker.r, kind, chars)
    for _ in range(20):
        if len(filler) > 0.8 * chars:
            break
        filler = maker.pool.cut(maker.r, kind, chars)  # the cut met the end of the pool
    while key.removeprefix("the ").lower() in filler.lower():
        key = maker.key()  # a needle's key occurs once
    state, size = maker.r.getstate(), int(len(filler) * 0.36)
    for _ in range(12):
        maker.r.setstate(state)
        ids = tokenizer.encode(
            needle_text(maker, filler[:size].rstrip(" "), kind, family, form, depth, key, value),
            add_special_tokens=False,
        ).ids
        if length - 48 <= len(ids) <= length:
            break
        size = min(
            len(filler),
            max(
                1,
                size
                + int(
                    (length - 20 - len(ids))
                    * size
                    / max(1, len(ids))
                    * (1.0 if len(ids) > 200 else 0.5)
                ),
            ),
        )
    while len(ids) > length:  # cannot happen with text of ordinary density; keep the promise anyway
        size = int(size * 0.9)
        ids = tokenizer.encode(
            needle_text(maker, filler[:size], kind, family, form, depth, key, value),
            add_special_tokens=False,
        ).ids
    return Prompt(ids, value, depth, f"{kind}/{family.name}/{form}")


def needle_prompts(
    tokenizer, pool: FillerPool, seed: int, length: int, kind: str, families, forms, n: int
) -> list[Prompt]:
    """`n` prompts with stratified uniform depths; families and forms take turns."""
    maker = TaskMaker(random.Random(seed), pool, held_out=True)
    return [
        needle_prompt(
            tokenizer,
            maker,
            length,
            kind,
            FAMILIES[families[i % len(families)]],
            forms[(i // len(families)) % len(forms)],
            (i * 0.6180339887 + maker.r.random() / n) % 1.0,
        )
        for i in range(n)
    ]


def mixed_prompts(
    tokenizer, pool: FillerPool, seed: int, length: int, kinds, families, forms, n: int
) -> list[Prompt]:
    """Like `needle_prompts`, with kinds of haystack, families and forms all drawn at random."""
    maker, prompts = TaskMaker(random.Random(seed), pool, held_out=True), []
    for i in range(n):
        kind, form = maker.r.choice(kinds), maker.r.choice(forms)
        family = FAMILIES[maker.r.choice(families)]
        depth = (i + maker.r.random()) / n
        prompts.append(needle_prompt(tokenizer, maker, length, kind, family, form, depth))
    return prompts


def task_prompts(
    tokenizer, pool: FillerPool, seed: int, length: int, task: str, n: int
) -> list[Prompt]:
    """`n` documents of a training task with held-out keys and text, cut before their last answer."""
    maker, prompts = TaskMaker(random.Random(seed), pool, held_out=True), []
    size = length
    while len(prompts) < n:
        doc = getattr(maker, task)(int(size * 0.9 * CHARS_PER_TOKEN))
        begin, end, _ = [s for s in doc.spans if s[2] == ANSWER][-1]
        answer = doc.text[begin:end].removesuffix("<|im_end|>").strip()
        ids = tokenizer.encode(doc.text[:begin].rstrip(" "), add_special_tokens=False).ids
        if len(ids) > length:
            size = int(size * 0.95)
            continue
        prompts.append(Prompt(ids, answer))
    return prompts


def probes(tokenizer, pool: FillerPool, lengths, n: int) -> dict[str, list[Prompt]]:
    """The small set that is watched during training."""
    names = list(FAMILIES)
    out = {}
    for length in lengths:
        kinds = ("books", "source" if "source" in pool.texts else "python", "log", "legal")
        prompts = [
            needle_prompts(tokenizer, pool, 7 + i, length, kind, names, ("raw", "chat"), n // 4)
            for i, kind in enumerate(kinds)
        ]
        out[str(length)] = [p for part in prompts for p in part]
    for task in ("look_alikes", "other_words", "all_values", "chain", "json_pairs"):
        out[task] = task_prompts(tokenizer, pool, 5, lengths[1], task, n // 2)
    return out


@torch.no_grad()
def generate(
    model, prompts: list[list[int]], count: int, batch_tokens: int = 262_144
) -> list[list[int]]:
    """Greedy continuations of `count` tokens; on a GPU recomputed from scratch for every token (no cache that could be wrong)."""
    device = model.embedding.device
    if device.type == "cpu":
        return [model.greedy(ids, count) for ids in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    out: list[list[int]] = [[] for _ in prompts]
    while order:
        longest = len(prompts[order[-1]]) + count
        rows = order[-max(1, batch_tokens // longest) :]
        del order[-len(rows) :]
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        for j, i in enumerate(rows):
            ids[j, : len(prompts[i])] = torch.tensor(prompts[i])
        ids = ids.to(device)
        at = torch.tensor([len(prompts[i]) - 1 for i in rows], device=device)
        index = torch.arange(len(rows), device=device)
        for _ in range(count):
            ids[index, at + 1] = model.logits(ids, at).argmax(-1)
            at = at + 1
        for j, i in enumerate(rows):
            out[i] = ids[j, len(prompts[i]) : len(prompts[i]) + count].tolist()
    return out


def is_right(tokenizer, generated: list[int], answer: str) -> bool:
    text = tokenizer.decode(generated, skip_special_tokens=False).lstrip()
    rest = text[len(answer) :]
    return text.startswith(answer) and not (rest[:1].isalnum())


def recall(
    model, prompts: list[Prompt], tokenizer, batch_tokens: int = 262_144, answers=None
) -> tuple[float, list[bool]]:
    """(share of right answers, one flag per prompt). `answers(prompts, count)` generates in the model's place."""
    count = max(len(tokenizer.encode(" " + p.answer).ids) for p in prompts) + 1
    ids = [p.ids for p in prompts]
    generated = answers(ids, count) if answers else generate(model, ids, count, batch_tokens)
    right = [is_right(tokenizer, g, p.answer) for g, p in zip(generated, prompts)]
    return sum(right) / len(right), right


@torch.no_grad()
def book_perplexity(model, tokenizer, rows: int, length: int) -> float:
    """Per-token perplexity on evenly spaced windows of the held-out books."""
    device, total, count = model.embedding.device, 0.0, 0
    text = "\n\n".join(corpus.books(True))
    for i in range(rows):
        begin = text.index(" ", len(text) // rows * i)
        ids = tokenizer.encode(text[begin : begin + 8 * length]).ids[: length + 1]
        ids = torch.tensor([ids], device=device)
        logits = model.logits(ids[:, :-1])
        total += F.cross_entropy(logits.flatten(0, 1), ids[0, 1:], reduction="sum").item()
        count += ids.shape[1] - 1
    return math.exp(total / count)


def save(rows: list[dict], path) -> None:
    path.write_text(json.dumps(rows, indent=1) + "\n")
