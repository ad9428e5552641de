#!/usr/bin/env python3
"""`eval perplexity` counts what it says: compared with the logits that the same engine writes, and with itself."""

import json
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import FIXTURES, ROOT, case, cases, kakeya, main, read_tensors, refused, succeeds  # noqa: E402

MODEL = FIXTURES / "qwen3-tied-text"
TEXT = (ROOT / "README.md").read_text()[:4000]


def text_file(scratch, text=TEXT):
    path = pathlib.Path(scratch) / "text.txt"
    path.write_text(text)
    return path


def measured(scratch, *words, text=TEXT):
    return succeeds("eval", "perplexity", "-m", MODEL, "-f", text_file(scratch, text), "--json", *words).json()


def token_ids(text=TEXT):
    from tokenizers import Tokenizer
    return Tokenizer.from_file(str(MODEL / "tokenizer.json")).encode(text, add_special_tokens=False).ids


def nll_from_logits(scratch, ids, *flags):
    """Sum over all tokens but the first, from `eval logits`."""
    import numpy
    (scratch / "ids.json").write_text(json.dumps(ids))
    succeeds("eval", "logits", "-m", MODEL, "--ids", scratch / "ids.json", "--out", scratch / "logits.safetensors", *flags)
    logits = numpy.asarray(read_tensors(scratch / "logits.safetensors")["logits"], dtype=numpy.float64)
    top = logits.max(axis=1)
    norm = top + numpy.log(numpy.exp(logits - top[:, None]).sum(axis=1))
    return sum(norm[i] - logits[i, ids[i + 1]] for i in range(len(ids) - 1))


@cases({f"agrees with the logits: {policy}": (policy,) for policy in ("full", "window")})
def agrees(scratch, policy):
    ids = token_ids()
    context = 256
    result = measured(scratch, "--kv", policy, "--context", context, "--kv-type", "f32")
    pieces = [ids[i:i + context] for i in range(0, len(ids), context)]
    pieces = [piece for piece in pieces if len(piece) > 1]
    total = sum(nll_from_logits(scratch, piece, "--kv", policy) for piece in pieces)
    tokens = sum(len(piece) - 1 for piece in pieces)
    (row,) = result["rows"]
    assert (result["tokens"], result["windows"], result["context"]) == (tokens, len(pieces), context)
    assert math.isclose(row["nll"], total / tokens, rel_tol=1e-9), (row, total / tokens)
    assert math.isclose(row["perplexity"], math.exp(total / tokens), rel_tol=1e-9)


@case("several policies are compared with the first, and the restored one by exact restoration is the full one")
def compared(scratch):
    result = measured(scratch, "--kv", "full,window,restored", "--restorer", "identity", "--restore-chunks", "all", "--kv-type", "f32",
                      "--context", "200", "--max-tokens", "500")
    full, window, restored = result["rows"]
    assert [r["kv"] for r in result["rows"]] == ["full", "window", "restored"]
    assert full["ratio"] == 1 and full["ratio_interval"] is None
    assert math.isclose(window["ratio"], window["perplexity"] / full["perplexity"], rel_tol=1e-12) and window["ratio"] != 1
    assert window["ratio_interval"][0] <= window["ratio"] <= window["ratio_interval"][1]
    assert math.isclose(restored["ratio"], 1, abs_tol=1e-6), restored
    assert result["tokens"] == 500 - 3 and result["windows"] == 3
    assert window["kv_resident_bytes"] < restored["kv_resident_bytes"]


@case("a text that fits the window is predicted the same; the text output names the ratios")
def short_text(scratch):
    result = measured(scratch, text=TEXT[:80])
    assert [r["kv"] for r in result["rows"]] == ["full", "window"]
    assert result["rows"][0]["nll"] == result["rows"][1]["nll"]
    text = succeeds("eval", "perplexity", "-m", MODEL, "-f", text_file(scratch), "--context", "512").stdout.decode()
    assert "full      perplexity" in text and "window    perplexity" in text and " x full" in text, text
    piped = succeeds("eval", "perplexity", "-m", MODEL, "-f", "-", "--context", "512", stdin=TEXT.encode()).stdout.decode()
    assert piped == text


@cases({f"refused: {name}": row for name, row in {
    "a context beyond the model's": (["--context", "9000"], TEXT * 40, "context_length_exceeded"),
    "a context of one": (["--context", "1"], TEXT, "--context"),
    "a policy that is none": (["--kv", "full,half"], TEXT, "half"),
    "restored without a restorer": (["--kv", "restored"], TEXT, "restorer"),
    "a restorer that nobody uses": (["--kv", "full,window", "--restorer", "identity"], TEXT, "--restorer"),
    "an empty text": ([], "", "0 tokens"),
    "a text of one token": ([], "a", "1 token"),
}.items()})
def bad_usage(scratch, words, text, word):
    refused(kakeya("eval", "perplexity", "-m", MODEL, "-f", text_file(scratch, text), *words), word)


@case("refused: a file that isn't there, a text that is no text, a model without tokenizer")
def bad_files(scratch):
    refused(kakeya("eval", "perplexity", "-m", MODEL, "-f", "/nowhere/text"), "/nowhere/text")
    (scratch / "bytes").write_bytes(b"abc\xff")
    refused(kakeya("eval", "perplexity", "-m", MODEL, "-f", scratch / "bytes"), "bytes")
    refused(kakeya("eval", "perplexity", "-m", FIXTURES / "qwen3-window", "-f", text_file(scratch)), "tokenizer")


@case("refused: a text with a NUL")
def nul(scratch):
    (scratch / "nul").write_bytes(b"abc\0" * 400)
    refused(kakeya("eval", "perplexity", "-m", MODEL, "-f", scratch / "nul"), "NUL at byte 3")


@case("several texts are read one after another, and named with what measured them")
def several(scratch):
    one, two = scratch / "one.txt", scratch / "two.txt"
    one.write_text(TEXT[:1500])
    two.write_text(TEXT[1500:])
    result = succeeds("eval", "perplexity", "-m", MODEL, "-f", one, "-f", two, "--context", "256", "--json").json()
    whole = measured(scratch, "--context", "256")
    assert [r["nll"] for r in result["rows"]] == [r["nll"] for r in whole["rows"]]
    assert result["texts"] == ["one.txt", "two.txt"] and whole["texts"] == ["text.txt"]
    assert len(result["build"]) == 40 and "core" in result["machine"] and "Student" in result["interval_method"]
    assert all(r["failed_pages"] == 0 for r in result["rows"])


@case("Ctrl-C ends with 130 and a line that says so")
def interrupted(scratch):
    outcome = kakeya("eval", "perplexity", "-m", MODEL, "-f", text_file(scratch, TEXT * 600), interrupt_after=2.0, seconds=60)
    assert outcome.code == 130 and outcome.stdout == b"" and outcome.stderr.count(b"\n") == 1 and b"stopped" in outcome.stderr, str(outcome)


if __name__ == "__main__":
    sys.exit(main())
