#!/usr/bin/env python3
"""The model that ships with the engine, through the command line."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import DEMO, MIB, ROOT, Options, case, kakeya, limit, main, succeeds  # noqa: E402


@case("scripts/demo.py: full answers right, window doesn't")
def demo(scratch):
    run = subprocess.run([sys.executable, ROOT / "scripts" / "demo.py", "--kakeya", Options.kakeya], capture_output=True,
                         timeout=limit(120))
    assert run.returncode == 0, run.stdout.decode() + run.stderr.decode()
    rows = {cells[0].strip(): cells for line in run.stdout.decode().splitlines() if len(cells := line.split("|")) == 6}
    assert rows["full"][5].strip() == "yes" and rows["window"][5].strip() == "no", run.stdout.decode()


@case("a fact in a short text is recalled, and another one when the text is edited")
def recall(scratch):
    filler = "The road went on through the hills, and nobody spoke for a long while. " * 12
    for value in ("73051", "90418"):
        prompt = (f"{filler}The locker number of the old violin is {value}. {filler}\n"
                  "Question: What is the locker number of the old violin?\nAnswer:")
        for policy in ("full", "window"):
            result = succeeds("generate", "-m", DEMO, "-p", prompt, "-n", 12, "--kv", policy, "--json").json()
            assert (value in result["text"]) == (policy == "full"), f"{policy}: {result['text']!r}"


@case("a chat goes on turn after turn")
def chat(scratch):
    outcome = kakeya("chat", "-m", DEMO, "-n", 24, stdin=b"Hello there.\nThe gate code is 5150.\nWhat is the gate code?\n")
    assert outcome.code == 0 and outcome.stdout.count(b"\n") >= 3, str(outcome)


@case("the files fit their promise: 18 MiB of weights")
def size(scratch):
    assert (DEMO / "model.safetensors").stat().st_size <= 18 * MIB


@case("memory is bounded by the model and the window")
def memory(scratch):
    (scratch / "long.txt").write_text("All work and no play makes a long text. " * 1500)
    outcome = succeeds("generate", "-m", DEMO, "-f", scratch / "long.txt", "-n", 4, "--kv", "window", "--json", seconds=120)
    result = outcome.json()
    assert result["prompt_tokens"] > 10000 and result["kv"]["resident_bytes"] < 4 * MIB, result["kv"]
    assert Options.sanitized or outcome.peak_bytes < 250 * MIB, str(outcome)


if __name__ == "__main__":
    sys.exit(main())
