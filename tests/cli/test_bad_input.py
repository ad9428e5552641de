#!/usr/bin/env python3
"""Prompts, ids and flags that are wrong: one line, exit 2, no crash. "row N": see test_bad_models.py."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import DEMO, FIXTURES, MIB, Options, case, cases, copy_model, edit_json, kakeya, main, refused, succeeds  # noqa: E402

TEXT = FIXTURES / "qwen3-tied-text"
BARE = FIXTURES / "llama-tied"  # has no tokenizer

BAD_TEXT = {
    "bytes that aren't UTF-8": b"caf\xe9 au lait", "a cut character": b"hello \xf0\x9f\x99", "a stray continuation": b"\x80",
    "an overlong slash": b"\xc0\xaf", "an overlong NUL": b"a\xc0\x80b", "an overlong three-byte form": b"\xe0\x80\xaf",
    "a lone surrogate": b"\xed\xa0\x80", "a surrogate pair": b"\xed\xa0\xbd\xed\xb9\x82",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80", "a five-byte form": b"\xf8\x88\x80\x80\x80", "0xff": b"\xff\xfe",
    "a good megabyte and a bad byte": b"good " * 200_000 + b"\xff",
}


@cases({f"row 31: {name}, in a file": (text,) for name, text in BAD_TEXT.items()})
def bad_utf8_file(scratch, text):
    (scratch / "prompt.txt").write_bytes(text)
    refused(kakeya("generate", "-m", TEXT, "-f", scratch / "prompt.txt", "-n", "1"), "UTF-8")
    refused(kakeya("tokenize", "-m", TEXT, "-f", scratch / "prompt.txt"), "UTF-8")


@cases({f"row 31: {name}, as an argument": (text,) for name, text in BAD_TEXT.items() if len(text) < 1000})
def bad_utf8_argument(scratch, text):
    argument = text.decode("utf-8", "surrogateescape")
    refused(kakeya("generate", "-m", TEXT, "-p", argument, "-n", "1"), "UTF-8")


@case("row 31: a NUL in a prompt file")
def nul_in_prompt(scratch):
    (scratch / "prompt.txt").write_bytes(b"before\0after")
    refused(kakeya("generate", "-m", TEXT, "-f", scratch / "prompt.txt", "-n", "1"), "NUL")


@cases({f"row 31: a bad flag value {flag}": (flag,) for flag in ("--stop", "-m", "--kv")})
def bad_utf8_flag(scratch, flag):
    words = ["generate", "-p", "x", "-n", "1"] + ([] if flag == "-m" else ["-m", TEXT])
    refused(kakeya(*words, flag, b"\xff\xfe".decode("utf-8", "surrogateescape")))


@case("row 33: an empty prompt")
def empty_prompt(scratch):
    (scratch / "empty.txt").write_bytes(b"")
    (scratch / "empty.json").write_text("[]")
    for words in (["-p", ""], ["-f", scratch / "empty.txt"], ["-f", "-"], ["--ids", scratch / "empty.json"]):
        refused(kakeya("generate", "-m", TEXT, *words, "-n", "1", "--json"), "empty")
    refused(kakeya("eval", "logits", "-m", TEXT, "--ids", scratch / "empty.json", "--out", scratch / "o.safetensors"))
    assert not (scratch / "o.safetensors").exists()


IDS = {
    "row 34: the vocabulary's size": "[1, 2, 96]", "row 34: far beyond": "[2147483647]", "row 34: 2^31": "[2147483648]",
    "row 34: 2^32": "[4294967296]", "row 34: 2^63": "[9223372036854775808]", "row 34: 2^64": "[18446744073709551616]",
    "row 34: 2^64 + 1": "[18446744073709551617]", "row 34: 10^400": "[1" + "0" * 400 + "]",
    "row 34: negative": "[-1]", "row 34: -2^63": "[-9223372036854775808]", "row 34: a fraction": "[1.5]",
    "row 34: a float": "[1.0]", "row 34: 1e2": "[1e2]", "row 34: text": '["1"]', "row 34: null": "[null]",
    "row 34: true": "[true]", "row 34: a list in the list": "[[1, 2]]", "row 34: an object": '{"ids": [1]}',
    "row 34: a number": "7", "row 37: not JSON": "1, 2, 3", "row 37: trailing bytes": "[1, 2] x",
    "row 37: cut": "[1, 2", "row 37: a million levels": "[" * 1_000_000, "row 37: nothing": "", "row 37: NaN": "[NaN]",
}


@cases({f"{name}, as --ids": (text,) for name, text in IDS.items()})
def bad_ids(scratch, text):
    (scratch / "ids.json").write_text(text)
    out = scratch / "out.safetensors"
    refused(kakeya("generate", "-m", BARE, "--ids", scratch / "ids.json", "-n", "1", "--json"), peak=100 * MIB)
    refused(kakeya("eval", "logits", "-m", BARE, "--ids", scratch / "ids.json", "--out", out), peak=100 * MIB)
    assert not out.exists(), "a file was left behind"


@case("row 1: a FIFO nobody writes to, a directory or nothing as --ids")
def ids_no_file(scratch):
    os.mkfifo(scratch / "fifo")
    for path in (scratch / "fifo", scratch, scratch / "none.json"):
        refused(kakeya("generate", "-m", BARE, "--ids", path, "-n", "1"))


@case("a directory or nothing as -f")
def prompt_no_file(scratch):
    for path in (scratch, scratch / "none.txt"):
        refused(kakeya("generate", "-m", TEXT, "-f", path, "-n", "1"), path.name)


@case("row 36: a prompt of 2 GiB is refused before it is read")
def huge_prompt(scratch):
    with open(scratch / "huge.txt", "wb") as file:
        file.truncate((2 << 30) + 5)
    for verb in (["generate", "-n", "1"], ["tokenize"]):
        outcome = kakeya(*verb, "-m", TEXT, "-f", scratch / "huge.txt", seconds=5)
        refused(outcome, "huge.txt", peak=100 * MIB)


LONG = {
    "spaces": b" ", "one letter": b"a", "line breaks": b"\n", "tabs and breaks": b"\t\r\n", "digits": b"7",
    "punctuation": b"!", "an emoji": "🙂".encode(), "combining marks": "e\u0301".encode(), "only marks": "\u0301".encode(),
    "spaces and letters": b"     a", "contractions": b"'s't're",
}
TOKENIZERS = {"fixture": TEXT, "demo": DEMO}


@cases({f"row 25: 1 MB of {name}, {which} tokenizer": (unit, folder) for name, unit in LONG.items()
        for which, folder in TOKENIZERS.items()})
def linear_time(scratch, unit, folder):
    (scratch / "long.txt").write_bytes(unit * ((1 << 20) // len(unit)))
    succeeds("tokenize", "-m", folder, "-f", scratch / "long.txt", "--json", seconds=6)


FLAGS = {
    "-n": ["-1", "1000000000", "3.9", "1e3", "NaN", "abc", "", "99999999999999999999", "-9223372036854775809"],
    "--temp": ["-1", "nan", "inf", "-inf", "1e999", "hot", ""],
    "--top-k": ["-1", "2.5", "abc", "99999999999999999999"],
    "--top-p": ["-0.1", "1.1", "2", "nan", "inf", "x"],
    "--min-p": ["-0.1", "1.1", "nan", "x"],
    "--seed": ["-1", "1.5", "x", "18446744073709551616"],
    "--threads": ["0", "-1", "1000000", "2.5", "x"],
    "--prefill-chunk": ["0", "-1", "1000000000000", "x"],
    "--sink": ["-1", "x", "1000000000000000", "9223372036854775807"],
    "--window": ["0", "-1", "x", "1000000000000000", "9223372036854775807"],
    "--kv": ["none", "", "Full", "restored-ish"],
    "--kv-type": ["f64", "", "BF16 ", "affine", "affine4,affine8", "q4_0"],
    "--stop": [""],
}


@cases({f"row 38: {flag} {value!r}": (flag, value) for flag, values in FLAGS.items() for value in values})
def bad_flag(scratch, flag, value):
    kv = ["--kv", "window"] if flag in ("--sink", "--window") else []
    # Joined, because a value that begins with a dash would be taken for a flag.
    words = [f"{flag}={value}"] if flag.startswith("--") else [flag, value]
    refused(kakeya("generate", "-m", TEXT, "-p", "x", *kv, *words), peak=100 * MIB)


USAGE = {
    "nothing": [], "an unknown verb": ["dance"], "no model": ["generate", "-p", "x"],
    "an unknown flag": ["generate", "-m", TEXT, "-p", "x", "--magic"], "no prompt": ["generate", "-m", TEXT],
    "two prompts": ["generate", "-m", TEXT, "-p", "x", "-f", "y"], "a stray word": ["generate", "-m", TEXT, "-p", "x", "y"],
    "a flag without its value": ["generate", "-m", TEXT, "-p"], "eval without a measure": ["eval"],
    "eval logits without ids": ["eval", "logits", "-m", TEXT, "--out", "x"],
    "tokenize without text": ["tokenize", "-m", TEXT], "two models": ["generate", "-m", TEXT, "-m", TEXT, "-p", "x"],
}


@cases({f"usage: {name}": (words,) for name, words in USAGE.items()})
def bad_usage(scratch, words):
    refused(kakeya(*words))


@case("usage: --help and --version are no errors")
def help_texts(scratch):
    for words in (["--help"], ["generate", "--help"], ["chat", "--help"], ["eval", "logits", "--help"], ["--version"]):
        outcome = succeeds(*words)
        assert b"kakeya" in outcome.stdout.lower() or b"-m" in outcome.stdout, str(outcome)


@case("text for a model without a tokenizer")
def no_tokenizer(scratch):
    refused(kakeya("generate", "-m", BARE, "-p", "x", "-n", "1"), "tokenizer")
    refused(kakeya("tokenize", "-m", BARE, "-p", "x"), "tokenizer")
    refused(kakeya("chat", "-m", BARE, stdin=b"hi\n"), "tokenizer")
    (scratch / "ids.json").write_text("[1]")
    folder = copy_model("llama-tied", scratch)
    edit_json(folder / "config.json", lambda c: c.update(eos_token_id=0))  # no warning before the error
    refused(kakeya("generate", "-m", folder, "--ids", scratch / "ids.json", "--stop", "x"), "tokenizer")


@case("eval logits: an output that can't be written leaves nothing behind")
def unwritable(scratch):
    (scratch / "ids.json").write_text("[1, 2]")
    for out in (scratch / "no" / "where.safetensors", scratch):
        refused(kakeya("eval", "logits", "-m", BARE, "--ids", scratch / "ids.json", "--out", out))
    assert sorted(p.name for p in scratch.iterdir()) == ["ids.json"]


@case("standard output that is full is an error")
def full_disk(scratch):
    with open("/dev/full", "wb") as full:
        run = subprocess.run([Options.kakeya, "generate", "-m", TEXT, "-p", "x", "-n", "4", "--json"], stdout=full,
                             stderr=subprocess.PIPE, timeout=60)
    assert run.returncode == 2 and run.stderr.startswith(b"kakeya: ") and run.stderr.count(b"\n") == 1, run


@case("standard error that is full or closed loses its lines and nothing else")
def full_stderr(scratch):
    good = ["generate", "-m", TEXT, "-p", "x", "-n", "4"]
    with open("/dev/full", "wb") as full:
        for words, code in ((["nonsense"], 2), (["generate", "-m", scratch, "-p", "x"], 2), (good, 0)):
            run = subprocess.run([Options.kakeya, *words], stdout=subprocess.PIPE, stderr=full, timeout=60)
            assert run.returncode == code, (words, run)
    run = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", Options.kakeya, *good], stdout=subprocess.PIPE, timeout=60)
    assert run.returncode == 0 and run.stdout, run


@case("what is wrong without a model is said before the model is read")
def before_loading(scratch):
    folder = copy_model("qwen3-tied-text", scratch)
    (folder / "model.safetensors").unlink()  # would be the error if it were looked for
    for words, named in ((["-p", ""], "empty"), (["-p", "x", "-f", "y"], "only one"), (["-f", scratch / "none"], "none"),
                         (["-p", "x", "--stop", ""], "stop"), (["-p", "x", "--kv", "window", "--window", "0"], "window"),
                         (["-p", "x", "--window", "0"], "window"), (["-p", "x", "--temp", "-1"], "temperature")):
        refused(kakeya("generate", "-m", folder, *words), named)


@case("a verb that doesn't exist and a model that is no folder are named")
def named_mistakes(scratch):
    refused(kakeya("nonsense"), "nonsense")
    refused(kakeya("generate", "-m", __file__, "-p", "x"), "no GGUF file")
    refused(kakeya("generate", "-m", "", "-p", "x"), "not a model folder")


@case("the batch files of tokenize")
def bad_batches(scratch):
    path = scratch / "batch.json"
    for flag, texts in {"--batch": ["{}", "[1]", '["a", null]', "", "[" * 100_000],
                        "--decode": ["{}", "[1]", "[[-1]]", "[[1.5]]", "[[999999]]", '[["1"]]', "[[2147483648]]"]}.items():
        for text in texts:
            path.write_text(text)
            refused(kakeya("tokenize", "-m", TEXT, flag, path), "batch.json")


if __name__ == "__main__":
    sys.exit(main())
