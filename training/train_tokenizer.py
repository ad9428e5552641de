"""Trains the tokenizer on a mixture of the training books, code, licences, generated filler and generated tasks.

python train_tokenizer.py --out ../models/demo
"""

import argparse
import random
from pathlib import Path

import packing
import pools
import tokenizer
from tasks import TaskMaker

# Characters of each kind; the order and the cuts come from one seed.
AMOUNT = {"books": 9_000_000, "source": 4_000_000, "docs": 2_500_000, "licence": 500_000}
SYNTHETIC_AMOUNT = 250_000


def texts(seed: int, scale: float):
    r = random.Random(seed)
    pool = pools.build(False, int(SYNTHETIC_AMOUNT * scale) + 4000, 6_000_000, seed=seed)
    for kind in sorted(pool.texts):
        left = min(AMOUNT.get(kind, SYNTHETIC_AMOUNT), len(pool.texts[kind])) * scale
        if kind in ("syllables", "numbers"):
            left *= 0.3
        while left > 0:
            piece = pool.cut(r, kind, 4000)
            left -= max(1, len(piece))
            yield piece
    maker = TaskMaker(r, pool)
    for _ in range(int(600 * scale)):
        yield packing.make_document(maker, packing.MAIN_MIXTURE, 1000).text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the full mixture (for a quick try)"
    )
    args = parser.parse_args()
    trained = tokenizer.train(texts(args.seed, args.scale))
    tokenizer.save(trained, args.out)
    sample = "The special magic number for the old library is 48213.\nint main(void) { return 0; }"
    print(
        f"{trained.get_vocab_size()} tokens; {sample!r} is {len(trained.encode(sample).ids)} tokens"
    )


if __name__ == "__main__":
    main()
