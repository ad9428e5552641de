#!/usr/bin/env python3
"""`kakeya bench`: which rows it gives and what it refuses. Nothing here depends on how fast a machine is.

"row N" is the fault's number in the project's list of faults.
"""

import csv
import json
import math
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from gguf_files import fixture_gguf  # noqa: E402
from harness import DEMO, FIXTURES, Options, case, cases, kakeya, main, refused, succeeds  # noqa: E402

SMALL = FIXTURES / "llama-tied"
FIELDS = ["test", "kv", "depth", "tokens", "tok_s", "ms", "share_of_read", "turns"]
QUICK = ["--seconds", "0", "--threads", "2"]


def bench(model, *flags, **limits):
    outcome = succeeds("bench", "-m", model, "--json", *QUICK, *flags, **{"seconds": 60, **limits})
    return outcome.json(), outcome.stderr.decode()


def check(report, policies, depths, chunk=512, verify=None):
    """The rows are the ones asked for, in order, with numbers that agree with each other."""
    want = [(test, kv, depth, chunk if test == "prefill" else 1)
            for kv in policies for depth in depths for test in ("prefill", "decode")]
    want += [("verify", verify, 0, n) for n in range(1, 33)] if verify else []
    assert [(r["test"], r["kv"], r["depth"], r["tokens"]) for r in report["rows"]] == want
    assert report["read_gb_s"] > 0
    for row in report["rows"]:
        assert list(row)[:len(FIELDS)] == FIELDS, row
        assert all(math.isfinite(row[key]) and row[key] > 0 for key in ("tok_s", "ms")), row
        if row["share_of_read"] is None:  # said, and never a figure
            assert "read bandwidth" in row["share_fault"], row
        else:
            assert 0 < row["share_of_read"] <= 1.05 and "share_fault" not in row, row
        assert abs(row["tok_s"] * row["ms"] / (1000 * row["tokens"]) - 1) < 0.01, row


@case("every policy at every depth, with the demo's own restorer")
def all_policies(scratch):
    report, _ = bench(DEMO, "--depths", "0,200,1000", "--prefill-chunk", "64")
    check(report, ["full", "window", "restored"], [0, 200, 1000], chunk=64)
    assert report["restorer"] == "trained" and report["model"] == "demo" and report["threads"] == 2
    assert report["load_s"] > 0
    assert report["weights"] == "bf16" and report["kv_type"] == "bf16" and report["seed"] == 0


@case("the peak of loading is the program's own, whoever started it")
def peak_of_loading(scratch):
    if Options.sanitized:
        return  # memory is the sanitizer's
    # A parent's peak is handed down as ru_maxrss; the parent is not this process, whose other children it would reach.
    parent = "import subprocess, sys; grown = bytearray(b'x' * 300_000_000); subprocess.run(sys.argv[1:], check=True)"
    words = [Options.kakeya, "bench", "-m", DEMO, "--json", *QUICK, "--kv", "full", "--depths", "0"]
    done = subprocess.run([sys.executable, "-c", parent, *map(str, words)], check=True, stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    assert report["weight_bytes"] < report["load_peak_bytes"] < 200_000_000, report["load_peak_bytes"]


@case("the verify curve has a row for each number of tokens, of the first policy")
def verify(scratch):
    report, _ = bench(SMALL, "--kv", "window,full", "--depths", "70", "--verify-curve")
    check(report, ["window", "full"], [70], verify="window")


@case("depths go beyond what the model was trained for")
def deep(scratch):
    report, _ = bench(SMALL, "--kv", "window", "--depths", "16000000")
    check(report, ["window"], [16000000])
    report, _ = bench(SMALL, "--kv", "full", "--depths", "5000")
    check(report, ["full"], [5000])


@case("a model without a restorer gets a random one, and is told so")
def random_restorer(scratch):
    report, text = bench(SMALL, "--kv", "restored", "--depths", "0,300")
    check(report, ["restored"], [0, 300])
    assert report["restorer"] == "random" and "random" in text and text.count("\n") == 1, text
    report, text = bench(SMALL, "--kv", "full,window", "--depths", "0")
    assert report["restorer"] is None and text == "", text
    report, text = bench(SMALL, "--kv", "restored", "--depths", "130", "--restorer", "identity", "--prefill-chunk", "16")
    assert report["restorer"] == "identity" and text == "", text


@case("a file without a tokenizer works")
def no_vocab(scratch):
    gguf = fixture_gguf("llama-untied-sharded")
    gguf.pairs["tokenizer.ggml.model"] = ("str", "no_vocab")
    report, _ = bench(gguf.write(scratch / "m.gguf"), "--kv", "full,restored", "--depths", "100")
    check(report, ["full", "restored"], [100])
    assert report["model"] == "m.gguf"


@case("CSV and cells hold the rows of the JSON")
def csv_and_cells(scratch):
    report, _ = bench(SMALL, "--kv", "full", "--depths", "0,64", "--cells", "--csv", scratch / "rows.csv")
    with open(scratch / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report["rows"]) == 4
    for got, want in zip(rows, report["rows"]):
        assert list(got) == FIELDS + ["cells_ms"]
        assert len(want["cells_ms"]) == want["turns"] >= 1
        for key, value in want.items():
            if key == "share_fault":
                continue
            text = "" if value is None else value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            assert got[key] == text, key
    text = succeeds("bench", "-m", SMALL, *QUICK, "--kv", "full", "--depths", "0", "--cells").stdout.decode()
    assert "slowest" in text and "prefill" in text and "GB/s" in text, text


@case("what is not time is the same from run to run")
def deterministic(scratch):
    flags = ["--kv", "full,window", "--depths", "0,100", "--seed", "18446744073709551615"]
    timed = ("tok_s", "ms", "share_of_read", "share_fault")
    runs = []
    for _ in range(2):
        report, _ = bench(SMALL, *flags)
        report["rows"] = [{k: v for k, v in row.items() if k not in timed} for row in report["rows"]]
        for measured in ("read_gb_s", "load_s", "load_peak_bytes"):
            del report[measured]
        runs.append(report)
    assert runs[0] == runs[1] and runs[0]["seed"] == 2**64 - 1


@case("Ctrl-C ends it")
def interrupted(scratch):
    outcome = kakeya("bench", "-m", DEMO, "--kv", "full", "--depths", "0", "--seconds", "50", interrupt_after=2,
                     seconds=30)
    assert outcome.code == 130 and outcome.stdout == b"" and b"stopped" in outcome.stderr, str(outcome)


BAD = {"a negative depth": (["--depths", "0,-1"], ["depth", "-1"]),
       "row 38: depth NaN": (["--depths", "nan"], ["--depths", "nan"]),
       "row 38: depth 3.9": (["--depths", "3.9"], ["--depths", "3.9"]),
       "row 38: depth 1e999": (["--depths", "1e999"], ["--depths"]),
       "depth 10^12": (["--depths", "1000000000000"], ["1000000000000"]),
       "depth 10^30": (["--depths", "1" + "0" * 30], ["--depths", "0" * 30]),
       "a depth behind which something stands": (["--depths", "5x"], ["--depths", "5x"]),
       "a depth twice": (["--depths", "5,5"], ["depth 5", "twice"]),
       "no depth": (["--depths", ""], ["--depths"]),
       "an unknown policy": (["--kv", "full,most"], ["--kv", "most"]),
       "a policy twice": (["--kv", "full,full"], ["--kv", "twice"]),
       "row 63: a window smaller than the sinks": (["--kv", "window", "--sink", "80"], ["window", "sink"]),
       "row 38: seconds NaN": (["--seconds", "nan"], ["--seconds"]),
       "row 38: negative seconds": (["--seconds", "-1"], ["--seconds"]),
       "row 38: seconds without end": (["--seconds", "1e999"], ["--seconds"]),
       "row 38: a negative seed": (["--seed", "-1"], ["--seed"]),
       "row 38: seed 2^64": (["--seed", "18446744073709551616"], ["--seed"]),
       "no threads": (["--threads", "0"], ["--threads"]),
       "a restorer without its policy": (["--kv", "full", "--restorer", "identity"], ["--restorer"]),
       "a restorer that isn't there": (["--kv", "restored", "--restorer", "/nowhere"], ["/nowhere"]),
       "a CSV file that can't be": (["--kv", "full", "--depths", "0", "--seconds", "0", "--csv", "/nowhere/x"],
                                    ["/nowhere/x"])}


@cases({name: row for name, row in BAD.items()})
def bad_words(scratch, flags, said):
    refused(kakeya("bench", "-m", SMALL, *flags, seconds=30), *said, peak=2**31)


@case("row 65: a depth beyond memory is refused before any of it is filled")
def beyond_memory(scratch):
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 300 * 10**9:
        return  # this machine can
    refused(kakeya("bench", "-m", DEMO, "--kv", "full", "--depths", "0,16000000,16000001", "--kv-type", "f32"),
            "depth 1600000", "available")


@cases({"no model": ([], ["-m"]), "a model that isn't there": (["-m", "/nowhere"], ["/nowhere"])})
def bad_models(scratch, flags, said):
    refused(kakeya("bench", *flags), *said)


if __name__ == "__main__":
    sys.exit(main())
