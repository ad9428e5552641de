"""From documents to arrays: tokenise whole documents, map weights onto tokens, pack them into rows."""

import random

import numpy as np

from document import Document
from task_pieces import CHARS_PER_TOKEN
from tasks import TaskMaker

EARLY_MIXTURE = {"dense": 56, "copy_noise": 18, "haystack": 14, "copy_text": 4, "plain": 8}
MAIN_MIXTURE = {
    "haystack": 31,
    "dense": 9,
    "look_alikes": 6,
    "latest": 4,
    "all_values": 6,
    "many_questions": 5,
    "other_words": 8,
    "chain": 6,
    "json_pairs": 6,
    "chat_memory": 5,
    "tools": 3,
    "small_talk": 0.5,
    "copy_noise": 3,
    "copy_text": 4,
    "plain": 5,
}
# Of a restorer: more of what needs one chunk among many alike, or several chunks at once.
RESTORER_MIXTURE = {
    "haystack": 20,
    "dense": 6,
    "look_alikes": 12,
    "latest": 3,
    "all_values": 4,
    "several_values": 12,
    "many_questions": 5,
    "other_words": 8,
    "chain": 13,
    "json_pairs": 3,
    "pair_list": 18,
    "chat_memory": 8,
    "tools": 2,
    "small_talk": 0.3,
    "copy_noise": 1.5,
    "copy_text": 3,
    "plain": 9,
}
EARLY_UNTIL, MAIN_FROM = 0.03, 0.12  # shares of the training time
LENGTHS = (1024, 2048, 4096, 8192, 16384)


def curriculum(progress: float, main: dict[str, float]) -> tuple[dict[str, float], float]:
    """(mixture, ease) at a point of training between 0 and 1, on the way to the mixture `main`."""
    u = min(1.0, max(0.0, (progress - EARLY_UNTIL) / (MAIN_FROM - EARLY_UNTIL)))
    names = {**main, **EARLY_MIXTURE}
    return {
        n: (1 - u) * EARLY_MIXTURE.get(n, 0) + u * main.get(n, 0) for n in names
    }, 0.8 * (1 - u) + 0.03


def length_shares(progress: float) -> list[float]:
    """How often each of `LENGTHS` is trained on (every step has the same number of tokens)."""
    if progress < EARLY_UNTIL:
        return [1, 0, 0, 0, 0]
    if progress < 0.08:
        return [0.5, 0.25, 0.15, 0.1, 0]
    return [0.2, 0.17, 0.25, 0.34, 0.04]


def make_document(maker: TaskMaker, mixture: dict[str, float], tokens: int) -> Document:
    names = [n for n, w in mixture.items() if w > 0]
    name = maker.r.choices(names, [mixture[n] for n in names])[0]
    return getattr(maker, name)(int(tokens * CHARS_PER_TOKEN))


def encode(tokenizer, doc: Document) -> tuple[list[int], np.ndarray]:
    """Ids of the whole document, tokenised at once as at inference, and the loss weight of each token."""
    encoding = tokenizer.encode(doc.text, add_special_tokens=False)
    weights = np.full(len(encoding.ids), doc.base, np.float32)
    for begin, end, weight in doc.spans:
        first, last = encoding.char_to_token(begin), encoding.char_to_token(end - 1)
        if first is not None and last is not None:
            weights[first : last + 1] = weight
    return encoding.ids, weights


def _target_tokens(r: random.Random, left: int, row: int) -> int:
    u = r.random()
    if u < (0.6 if row > 1024 else 0.4):
        return left
    if u < 0.8:
        return int(left * r.uniform(0.2, 1.0))
    return min(left, r.randint(120, 1500))


def pack_row(
    tokenizer, maker: TaskMaker, mixture: dict[str, float], row: int
) -> tuple[np.ndarray, np.ndarray]:
    """`row` + 1 ids and weights: documents one after another, the last one cut off only if little room was left."""
    ids, weights, size = [], [], row + 1
    while len(ids) < size:
        left = size - len(ids)
        target = _target_tokens(maker.r, left, row)
        for _ in range(4):
            doc = (
                make_document(maker, mixture, int(target * 0.96))
                if left > 160
                else Document().add(maker.pool.cut(maker.r, maker.kind(), 900))
            )
            got, w = encode(tokenizer, doc)
            if len(got) <= left or left <= 160:
                break
            target = int(target * 0.9 * left / len(got))
        ids += got[:left]
        weights.append(w[:left])
    small = tokenizer.get_vocab_size() <= 1 << 16
    return np.array(ids, np.uint16 if small else np.uint32), np.concatenate(weights)


WEIGHT_SCALE = 40  # weights travel as bytes: 6.0 -> 240


def pack_batch(
    tokenizer,
    maker: TaskMaker,
    progress: float,
    row: int,
    rows: int,
    main: dict[str, float] = MAIN_MIXTURE,
) -> tuple[np.ndarray, np.ndarray]:
    """(rows, row + 1) ids as uint16 (uint32 for a large vocabulary) and weights as uint8 in units of 1 / WEIGHT_SCALE."""
    mixture, maker.ease = curriculum(progress, main)
    made = [pack_row(tokenizer, maker, mixture, row) for _ in range(rows)]
    weights = np.stack([w for _, w in made])
    return np.stack([x for x, _ in made]), np.rint(weights * WEIGHT_SCALE).astype(np.uint8)
