#!/usr/bin/env python3
"""Tokens per second of `kakeya generate` by cache policy and length of the prompt: medians of several runs, taken in turn so that
a slow minute of the machine hits all policies. Prints a table; --json writes every run. Standard library only.

The prompts are the beginning of a book that the model was not trained on, cut at round numbers of bytes."""

import argparse
import json
import lzma
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIZES = (2600, 5700, 12600, 53000)  # bytes: about 1k, 2k, 4k and 16k tokens; full K/V has to hold the last
POLICIES = ("full", "window", "restored")
FLAGS = ["-n", "200", "--ignore-eos", "--temp", "0.7", "--seed", "3"]


def book(size):
    folder = ROOT / "training" / "data"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    held_out = next(b for b in manifest["books"] if b["held_out"])
    with lzma.open(folder / manifest["file"], "rt", encoding="utf-8") as file:
        file.read(held_out["start"])
        text = file.read(size)
    return text.encode()[:size].decode(errors="ignore")


def run(args, prompt, policy):
    done = subprocess.run([args.kakeya, "generate", "-m", args.model, "-f", prompt, *FLAGS, "--kv", policy, "--json"],
                          stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"--kv {policy} with {prompt} failed with exit code {done.returncode}")
    result = json.loads(done.stdout)
    return {"prompt_tokens": result["prompt_tokens"], **{k: result["timing"][k] for k in ("prefill_tok_s", "decode_tok_s")},
            "resident_bytes": result["kv"]["resident_bytes"], "history_bytes": result["kv"]["history_bytes"],
            "pages": result["restore"]["chunks"]}


def machine():
    try:
        names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kakeya", default=str(ROOT / "build" / "bin" / "kakeya"))
    parser.add_argument("--model", default=str(ROOT / "models" / "demo"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", help="file to write")
    args = parser.parse_args()
    version = subprocess.run([args.kakeya, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in SIZES:
            prompt = pathlib.Path(scratch) / "prompt.txt"
            prompt.write_text(book(size), encoding="utf-8")
            runs = {policy: [] for policy in POLICIES}
            for _ in range(args.repeats):
                for policy in POLICIES:
                    runs[policy].append(run(args, prompt, policy))
            for policy in POLICIES:
                median = {k: statistics.median(r[k] for r in runs[policy]) for k in runs[policy][0]}
                rows.append({"policy": policy, **median, "runs": runs[policy]})
    report = {"version": version, "machine": machine(), "flags": FLAGS, "repeats": args.repeats, "rows": rows}
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{version}; {report['machine']}; medians of {args.repeats} runs of: kakeya generate {' '.join(FLAGS)}\n")
    print(f"{'policy':<9} {'prompt tokens':>13} {'prefill tok/s':>13} {'decode tok/s':>12} {'K/V bytes':>11} {'history bytes':>13}")
    for row in rows:
        print(f"{row['policy']:<9} {row['prompt_tokens']:>13,.0f} {row['prefill_tok_s']:>13,.0f} {row['decode_tok_s']:>12,.0f} "
              f"{row['resident_bytes']:>11,.0f} {row['history_bytes']:>13,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
