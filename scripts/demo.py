#!/usr/bin/env python3
"""The demo, in three parts, on text that the model has never seen:

1. a fact is hidden in a long passage and asked for at the end, once per cache policy;
2. the proof: the recall matrix with its failing controls, at two lengths, as a table and as a page with plots;
3. a chat in which a fact from thousands of tokens ago is recalled while the K/V memory stays what it was.

Runs the command line and prints what it measured. Standard library only.
"""

import argparse
import json
import lzma
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

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


def compare_policies(args, passage, title):
    """Part 1. Whether full and restored answer right and window doesn't."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as prompt:
        prompt.write(hide(passage) + QUESTION)
        prompt.flush()
        print(f'A passage of "{title}" ({len(passage):,} characters; the model was not trained on this book), with one '
              f"sentence\nput in at {DEPTH:.0%} of it:{NEEDLE}\nThe question at its end:"
              f"{QUESTION.splitlines()[1].removeprefix('Question:')}\n")
        results = {policy: answer(args, prompt.name, policy) for policy in ("full", "window", "restored")}
    print()
    print_table([["policy", "answer", "prefill tok/s", "decode tok/s", "resident K/V", "right?"]] +
                [row(policy, result) for policy, result in results.items()])
    tokens, restored = results["full"]["prompt_tokens"], results["restored"]
    print(f"\nThe prompt has {tokens:,} tokens. window and restored keep exact keys and values of the first 4 and the latest 64 to"
          f"\n127 positions; the sentence, some {int(tokens * (1 - DEPTH)):,} tokens back, has been evicted. restored reconstructs it "
          f"from codes of\n{restored['kv']['history_bytes'] / restored['prompt_tokens']:.0f} bytes a token, ids included "
          f"(full keeps {results['full']['kv']['resident_bytes'] / tokens:,.0f}).")
    right = {policy: VALUE in result["text"] for policy, result in results.items()}
    return right == {"full": True, "window": False, "restored": True}


def prove(args):
    """Part 2. The verdict's exit code."""
    page = pathlib.Path(args.kakeya).resolve().parent.parent / "proof.html"
    command = [args.kakeya, "prove", "-m", args.model, "--lengths", "1024,2048", "-n", str(args.prompts), "--html", str(page)]
    print("$ " + " ".join(["kakeya", *command[1:]]), flush=True)
    code = subprocess.run(command).returncode
    if code == 0:
        print(f"\nThe same with plots: {page}")
    return code


class Chat:
    """A running `kakeya chat`, one message at a time."""

    def __init__(self, args):
        self.process = subprocess.Popen([args.kakeya, "chat", "-m", args.model, "-n", "40"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
        self.stats = None
        self.seen = threading.Event()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        for line in self.process.stderr:
            if "K/V" in line:
                self.stats = re.search(r"\[(\d+) tokens, K/V (.+) \((\d+) bytes\),.*history ([^\]]+)\]", line).groups()
                self.seen.set()

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def say(self, message, attachment=None):
        """Sends a message and returns the answer and (tokens, K/V, its bytes, history)."""
        if attachment:
            self.send(f"/read {attachment}")
        self.send(message)
        reply = self.process.stdout.readline().strip()
        self.seen.clear()
        self.send("/stats")
        if not self.seen.wait(60):
            sys.exit("the chat has ended early")
        return reply, self.stats

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def talk(args, passage):
    """Part 3. Whether the fact comes back, and at the same K/V bytes as before."""
    chat = Chat(args)
    seen = []

    def turn(message, attachment=None, shown=""):
        reply, (tokens, kv, kv_bytes, history) = chat.say(message, attachment)
        print(f"> {shown}{message}\n{reply}\n    [{int(tokens):,} tokens | K/V {kv} | history {history}]", flush=True)
        seen.append(kv_bytes)
        return reply

    turn(f"Please remember:{NEEDLE}")
    part = len(passage) // 4
    for number in range(4):
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write(passage[number * part:(number + 1) * part])
            file.flush()
            turn("Please go on reading.", file.name, f"(page {number + 1}: {part:,} characters) ")
    reply = turn("What is the access code for the Marlow archive?")
    chat.close()
    return VALUE in reply and len(set(seen)) == 1


def heading(text):
    print(f"\n== {text}\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kakeya", default=str(ROOT / "build" / "bin" / "kakeya"))
    parser.add_argument("--model", default=str(ROOT / "models" / "demo"))
    parser.add_argument("--prompts", type=int, default=4, help="of the proof, per length")
    args = parser.parse_args()
    passage, title = held_out_passage()
    heading("1. One fact, three policies")
    shown = compare_policies(args, passage, title)
    heading("2. The proof, with controls that must fail")
    proved = prove(args) == 0
    heading("3. A chat")
    recalled = talk(args, passage)
    faults = [text for good, text in ((shown, "full and restored should answer right, window should not"),
                                      (proved, "the proof should hold"),
                                      (recalled, "the chat should recall the fact at constant K/V bytes")) if not good]
    for fault in faults:
        print(f"This is not what the demo is meant to show: {fault}.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
