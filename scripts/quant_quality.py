#!/usr/bin/env python3
"""What quantising costs: perplexity, divergence and agreement of `kakeya quantize`'s types against the weights they are made from, on
the beginning of a book that the model was not trained on. Prints a table. Needs numpy.

agreement: how often both models hold the same next token for the most likely one, behind the same text
KL: mean divergence of the quantised model's next-token distribution from the original's, in nats"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np

import speed

TYPES = ("BF16", "F16", "Q8_0", "Q4_0")


def kakeya(args, *words):
    return subprocess.run([args.kakeya, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True).stdout


def token_ids(args, folder):
    text = folder / "text.txt"
    text.write_text(speed.book(6 * args.windows * args.context), encoding="utf-8")
    ids = json.loads(kakeya(args, "tokenize", "-m", args.model, "-f", text, "--json"))["ids"]
    whole = [ids[i : i + args.context] for i in range(0, len(ids) - args.context, args.context)]
    return whole[: args.windows]


def log_probabilities(args, model, ids, folder):
    """(positions, vocabulary), natural logarithms, F64."""
    (folder / "ids.json").write_text(json.dumps(ids))
    out = folder / "logits.safetensors"
    kakeya(args, "eval", "logits", "-m", model, "--ids", folder / "ids.json", "--out", out, "--kv", "full")
    data = out.read_bytes()
    size = int.from_bytes(data[:8], "little")
    shape = json.loads(data[8 : 8 + size])["logits"]["shape"]
    logits = np.frombuffer(data, np.float32, offset=8 + size).reshape(shape).astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kakeya", default=str(speed.ROOT / "build" / "bin" / "kakeya"))
    parser.add_argument("--model", default=str(speed.ROOT / "models" / "demo"))
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--context", type=int, default=1024, help="tokens of a window")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files = {t: folder / f"{t}.gguf" for t in TYPES}
        for kind, file in files.items():
            kakeya(args, "quantize", args.model, file, kind)
        sums = {t: np.zeros(3) for t in TYPES}  # of nats, divergence, agreement
        original, count = 0.0, 0
        for ids in token_ids(args, folder):
            told = np.array(ids[1:])
            truth = log_probabilities(args, args.model, ids, folder)[:-1]
            original -= truth[np.arange(len(told)), told].sum()
            count += len(told)
            for kind, file in files.items():
                got = log_probabilities(args, file, ids, folder)[:-1]
                divergence = (np.exp(truth) * (truth - got)).sum()
                sums[kind] += (-got[np.arange(len(told)), told].sum(), divergence,
                               (got.argmax(1) == truth.argmax(1)).sum())
        sizes = {t: f.stat().st_size for t, f in files.items()}
    print(f"{count} tokens in windows of {args.context}; the original's perplexity is {np.exp(original / count):.3f}")
    print("type   megabytes  perplexity  relative  KL, nats  agreement")
    for kind, (nats, divergence, agreed) in sums.items():
        print(f"{kind:<6} {sizes[kind] / 1e6:9.2f}  {np.exp(nats / count):10.3f}  {np.exp((nats - original) / count):8.4f}"
              f"  {divergence / count:8.5f}  {100 * agreed / count:7.2f} %")


if __name__ == "__main__":
    main()
