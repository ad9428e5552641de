"""Filler pools: all texts of the training or the held-out side, by kind, ready to be cut into documents."""

import os
from concurrent.futures import ProcessPoolExecutor

import corpus
import fillers
from document import FillerPool

SYNTHETIC_KINDS = [*fillers.SYNTHETIC, "shuffled"]
HELD_OUT_SEED = (
    10_000_019  # synthetic filler of the evaluation comes from other seeds than training's
)


def _defuse(text: str) -> str:
    """Source files may spell out control tokens; in filler they must stay plain text."""
    return (
        text.replace("<|", "< |")
        .replace("<tool_", "< tool_")
        .replace("</tool_", "</ tool_")
        .replace("<think>", "< think>")
    )


def _synthesize(job: tuple[str, int, int]) -> str:
    return fillers.synthesize(*job)


def build(
    held_out: bool,
    synthetic_chars: int,
    found_chars: int,
    workers: int | None = None,
    seed: int = 0,
) -> FillerPool:
    """`synthetic_chars` per synthetic kind; at most `found_chars` characters of source code found on this machine."""
    seed += HELD_OUT_SEED if held_out else 0
    pieces = max(1, synthetic_chars // 200_000)
    jobs = [
        (kind, seed + i, synthetic_chars // pieces)
        for kind in SYNTHETIC_KINDS
        for i in range(pieces)
    ]
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        made = list(map(_synthesize, jobs))
    else:
        with ProcessPoolExecutor(workers) as executor:
            made = list(executor.map(_synthesize, jobs))
    texts = {}
    for (kind, _, _), text in zip(jobs, made):
        texts[kind] = texts.get(kind, "") + text
    texts["books"] = "\n\n".join(corpus.books(held_out))
    for (kind, held), found in corpus.found_files(found_chars).items():
        if held == held_out and sum(map(len, found)) > 20_000:
            texts[kind] = _defuse("\n\n".join(found))
    return FillerPool(texts, corpus.book_words(False))
