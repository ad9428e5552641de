#!/usr/bin/env python3
"""The model that ships with the engine, through the command line."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import DEMO, MIB, ROOT, Options, case, kakeya, limit, main, succeeds  # noqa: E402


@case("scripts/demo.py: full and restored answer right, window doesn't; the proof holds; the chat recalls")
def demo(scratch):
    run = subprocess.run([sys.executable, ROOT / "scripts" / "demo.py", "--kakeya", Options.kakeya, "--prompts",
                          "1" if Options.sanitized else "2"],
                         capture_output=True, timeout=limit(300))
    text = run.stdout.decode()
    if not Options.sanitized:  # a single prompt decides nothing: there the demo only has to run
        assert run.returncode == 0, text + run.stderr.decode()
    rows = {cells[0].strip(): cells for line in text.splitlines() if len(cells := line.split("|")) == 6}
    right = {policy: rows[policy][5].strip() for policy in ("full", "window", "restored")}
    assert right == {"full": "yes", "window": "no", "restored": "yes"}, text
    assert ("verdict: " if Options.sanitized else "verdict: holds") in text, text


FILLER = "The road went on through the hills, and nobody spoke for a long while. "


@case("a fact is recalled with its bytes bounded, and another one when the text is edited")
def recall(scratch):
    for value in ("73051", "90418"):
        prompt = (f"{FILLER * 12}The locker number of the old violin is {value}. {FILLER * 12}\n"
                  "Question: What is the locker number of the old violin?\nAnswer:")
        for policy in ("full", "window", "restored"):
            result = succeeds("generate", "-m", DEMO, "-p", prompt, "-n", 12, "--kv", policy, "--json").json()
            assert (value in result["text"]) == (policy != "window"), f"{policy}: {result['text']!r}"
            assert (result["restore"]["chunks"] > 0) == (policy == "restored")


@case("what is kept of an evicted token stays below 100 bytes, and K/V at the same bytes")
def bytes_kept(scratch):
    resident = set()
    for repeats in (60, 400):
        result = succeeds("generate", "-m", DEMO, "-p", FILLER * repeats, "-n", 2, "--json").json()
        resident.add(result["kv"]["resident_bytes"])
        assert result["kv"]["policy"] == "restored"
        assert result["kv"]["history_bytes"] <= 100 * result["prompt_tokens"], result
    assert len(resident) == 1, resident


@case("a chat goes on turn after turn")
def chat(scratch):
    outcome = kakeya("chat", "-m", DEMO, "-n", 24, stdin=b"Hello there.\nThe gate code is 5150.\nWhat is the gate code?\n")
    assert outcome.code == 0 and outcome.stdout.count(b"\n") >= 3, str(outcome)


@case("the files fit their promise: 18 MiB of weights, 7 MiB of the restorer's")
def size(scratch):
    assert (DEMO / "model.safetensors").stat().st_size <= 18 * MIB
    assert (DEMO / "restorer" / "model.safetensors").stat().st_size <= 7 * MIB


@case("memory is bounded by the model and the window")
def memory(scratch):
    (scratch / "long.txt").write_text("All work and no play makes a long text. " * 1500)
    outcome = succeeds("generate", "-m", DEMO, "-f", scratch / "long.txt", "-n", 4, "--kv", "window", "--json", seconds=120)
    result = outcome.json()
    assert result["prompt_tokens"] > 10000 and result["kv"]["resident_bytes"] < 4 * MIB, result["kv"]
    assert Options.sanitized or outcome.peak_bytes < 250 * MIB, str(outcome)


if __name__ == "__main__":
    sys.exit(main())
