#!/usr/bin/env python3
"""The demo: a fact is hidden in a long text that the model has never seen, and asked for at the end.

Runs `kakeya generate --json` once per cache policy on the same prompt and prints what it measured. Standard library
only.
"""

import argparse
import json
import lzma
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
VALUE = "48213"
NEEDLE = f" The access code for the Marlow archive is {VALUE}."
QUESTION = "\nQuestion: What is the access code for the Marlow archive?\nAnswer:"
CHARACTERS = 22000  # of the book: several thousand tokens
DEPTH = 0.3  # where in the text the fact stands: far outside the window


def held_out_passage():
    """A passage of a book that the model was not trained on, and the book's title."""
    folder = ROOT / "training" / "data"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    book = next(b for b in manifest["books"] if b["held_out"])
    with lzma.open(folder / manifest["file"], "rt", encoding="utf-8") as file:
        file.read(book["start"] + book["chars"] // 3)
        passage = file.read(CHARACTERS)
    return passage[passage.index(". ") + 2:], book["title"]


def hide(passage):
    """The passage with the fact after the sentence that ends next to the wanted depth."""
    at = passage.index(". ", int(len(passage) * DEPTH)) + 1
    return passage[:at] + NEEDLE + passage[at:]


def answer(args, prompt_file, policy):
    command = [args.kakeya, "generate", "-m", args.model, "-f", prompt_file, "-n", "16", "--stop", "\n", "--json",
               "--kv", policy]
    print(f"Reading the text with --kv {policy} ...", flush=True)
    run = subprocess.run(command, stdout=subprocess.PIPE)
    if run.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed with exit code {run.returncode}")
    return json.loads(run.stdout)


def human(count):
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def row(policy, result):
    text = " ".join(result["text"].split())
    return [policy, text if len(text) <= 40 else text[:37] + "...", f"{result['timing']['prefill_tok_s']:,.0f}",
            f"{result['timing']['decode_tok_s']:,.0f}", human(result["kv"]["resident_bytes"]),
            "yes" if VALUE in result["text"] else "no"]


def print_table(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for number, cells in enumerate(rows):
        print(" | ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
        if number == 0:
            print("-+-".join("-" * width for width in widths))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kakeya", default=str(ROOT / "build" / "bin" / "kakeya"))
    parser.add_argument("--model", default=str(ROOT / "models" / "demo"))
    args = parser.parse_args()
    passage, title = held_out_passage()
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as prompt:
        prompt.write(hide(passage) + QUESTION)
        prompt.flush()
        print(f'A passage of "{title}" ({len(passage):,} characters; the model was not trained on this book), with one '
              f"sentence\nput in at {DEPTH:.0%} of it:{NEEDLE}\nThe question at its end:"
              f"{QUESTION.splitlines()[1].removeprefix('Question:')}\n")
        results = {policy: answer(args, prompt.name, policy) for policy in ("full", "window")}
    print()
    print_table([["policy", "answer", "prefill tok/s", "decode tok/s", "resident K/V", "right?"]] +
                [row(policy, result) for policy, result in results.items()])
    full, window = results["full"], results["window"]
    tokens = full["prompt_tokens"]
    print(f"\nThe prompt has {tokens:,} tokens.")
    if VALUE in full["text"] and VALUE not in window["text"]:
        print(f"window keeps the first 4 and the latest 64 to 127 positions: the sentence, some "
              f"{int(tokens * (1 - DEPTH)):,} tokens back, has been evicted,\nand nothing restores it yet.")
        return 0
    print("This is not what the demo is meant to show: full should answer right, window should not.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
