#!/usr/bin/env python3
"""--kv restored from the outside: whose restorer, what is counted, that it equals --kv full when it restores exactly, and that a restorer
which is wrong, broken or gives no numbers does no harm.

"row N" is the fault's number in the project's list of faults.
"""

import json
import pathlib
import random
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import (FIXTURES, ROOT, case, cases, edit_json, generated, kakeya, main, read_safetensors,  # noqa: E402
                     read_tensors, refused, succeeds, write_safetensors)

# A tiny verifier, and a restorer of random weights that was made for it; then another pair.
VERIFIER, RESTORER = FIXTURES / "qwen3-window", ROOT / "tests" / "fixtures" / "restorer_tiny"
OTHER, OTHER_RESTORER = FIXTURES / "llama-untied-sharded", ROOT / "tests" / "fixtures" / "restorer_tiny_llama"
WEIGHTS = "model.safetensors"


def ids(model, count, seed=1):
    size = json.loads((model / "config.json").read_text())["vocab_size"]
    return [random.Random(seed * 1000 + i).randrange(size) for i in range(count)]


def copy_restorer(scratch, source=RESTORER):
    folder = pathlib.Path(scratch) / "restorer"
    folder.mkdir()
    for file in ("config.json", WEIGHTS):
        shutil.copyfile(source / file, folder / file)
    return folder


def logits(model, tokens, scratch, *flags):
    out, path = pathlib.Path(scratch) / "logits.safetensors", pathlib.Path(scratch) / "ids.json"
    path.write_text(json.dumps(tokens))
    succeeds("eval", "logits", "-m", model, "--ids", path, "--out", out, *flags)
    return read_tensors(out)["logits"]


# --- what it does ---

@cases({f"{model.name}: the restorer is used, counted, and costs the same bytes at any length": (model, restorer)
        for model, restorer in ((VERIFIER, RESTORER), (OTHER, OTHER_RESTORER))})
def counted(scratch, model, restorer):
    short = generated(model, ids(model, 300), 8, "--restorer", restorer, scratch=scratch)
    long = generated(model, ids(model, 3000), 8, "--restorer", restorer, scratch=scratch)
    for report in (short, long):
        assert report["kv"]["policy"] == "restored"
        assert report["restore"]["chunks"] > 0 and report["restore"]["failed"] == 0, report["restore"]
        assert report["restore"]["vectors"] == 128 * report["restore"]["chunks"]
    assert short["kv"]["resident_bytes"] == long["kv"]["resident_bytes"]
    assert long["kv"]["history_bytes"] > short["kv"]["history_bytes"]
    window = generated(model, ids(model, 3000), 8, "--kv", "window", scratch=scratch)
    assert window["restore"] == {"chunks": 0, "vectors": 0, "failed": 0, "seconds": 0}
    assert window["kv"]["resident_bytes"] < long["kv"]["resident_bytes"]


@case("the folder restorer/ of a model is the default, and --kv overrides it")
def default_policy(scratch):
    model = scratch / "model"
    shutil.copytree(VERIFIER, model)
    tokens = ids(model, 200)
    assert generated(model, tokens, 2, scratch=scratch)["kv"]["policy"] == "full"
    (scratch / "other").mkdir()
    shutil.copytree(RESTORER, model / "restorer")
    assert generated(model, tokens, 2, scratch=scratch)["kv"]["policy"] == "restored"
    assert generated(model, tokens, 2, "--kv", "full", scratch=scratch)["kv"]["policy"] == "full"
    assert generated(model, tokens, 2, "--kv", "window", scratch=scratch)["restore"]["chunks"] == 0


@cases({f"{model.name}, {kind}: the identity restorer with all chunks equals --kv full": (model, kind)
        for model in (VERIFIER, OTHER, FIXTURES / "llama-rope3-window") for kind in ("f32", "bf16", "affine8", "affine4")})
def identity_equals_full(scratch, model, kind):
    tokens = ids(model, 1500, 2)
    identity = ("--restorer", "identity", "--kv", "restored", "--restore-chunks", "all", "--kv-type", kind)
    full = logits(model, tokens, scratch, "--kv", "full", "--kv-type", kind)
    restored = logits(model, tokens, scratch, *identity)
    difference = abs(full - restored).max()
    assert difference == 0, f"logits differ by {difference}"
    window = logits(model, tokens, scratch, "--kv", "window", "--kv-type", kind)
    assert abs(full - window).max() > 1e-3, "a window must differ, else the comparison says nothing"
    first = generated(model, tokens, 24, "--kv", "full", "--kv-type", kind, scratch=scratch)
    second = generated(model, tokens, 24, *identity, scratch=scratch)
    assert first["tokens"] == second["tokens"]


@case("restored tokens do not depend on the prefill chunk, the threads or the run")
def invariant(scratch):
    tokens = ids(VERIFIER, 900, 3)
    runs = [generated(VERIFIER, tokens, 30, "--restorer", RESTORER, *flags, scratch=scratch)["tokens"]
            for flags in ((), ("--prefill-chunk", "1"), ("--prefill-chunk", "7"), ("--prefill-chunk", "64"),
                          ("--threads", "1"), ("--threads", "3"))]
    assert all(run == runs[0] for run in runs), runs


@case("the number of chunks decides something, up to all of them")
def chunks_matter(scratch):
    tokens = ids(VERIFIER, 700, 4)
    made = {k: logits(VERIFIER, tokens, scratch, "--kv", "restored", "--restorer", RESTORER, "--restore-chunks", k)
            for k in ("1", "3", "all")}
    assert abs(made["1"] - made["3"]).max() > 0 and abs(made["3"] - made["all"]).max() > 0


# --- rows 30, 63, 64: what must not work, and what must do no harm ---

@case("row 30: the restorer of another verifier")
def foreign_restorer(scratch):
    (scratch / "ids.json").write_text("[1, 2, 3]")
    words = ("generate", "-m", OTHER, "--ids", scratch / "ids.json", "-n", "2")
    refused(kakeya(*words, "--restorer", RESTORER), "another verifier")
    folder = copy_restorer(scratch)
    edit_json(folder / "config.json", lambda c: c.update(verifier_fingerprint="0" * 32))
    refused(kakeya("generate", "-m", VERIFIER, "--ids", scratch / "ids.json", "--restorer", folder), "another verifier")


def spoil(file, change):
    def apply(folder):
        change(folder / file)
    return apply


def config(**fields):
    return spoil("config.json", lambda path: edit_json(path, lambda c: c.update(fields)))


def nested(outer, **fields):
    return spoil("config.json", lambda path: edit_json(path, lambda c: c[outer].update(fields)))


def cut(share):
    return lambda path: path.write_bytes(path.read_bytes()[:int(path.stat().st_size * share)])


def without_tensor(name):
    def change(path):
        header, data = read_safetensors(path)
        header[name + ".gone"] = header.pop(name)
        write_safetensors(path, header, data)
    return change


BROKEN = {
    "no config": (spoil("config.json", pathlib.Path.unlink), "config.json"),
    "no weights": (spoil(WEIGHTS, pathlib.Path.unlink), WEIGHTS),
    "empty config": (spoil("config.json", lambda p: p.write_bytes(b"")), "config.json"),
    "half a config": (spoil("config.json", cut(0.5)), "config.json"),
    "half the weights": (spoil(WEIGHTS, cut(0.5)), WEIGHTS),
    "weights cut in the header": (spoil(WEIGHTS, lambda p: p.write_bytes(p.read_bytes()[:100])), WEIGHTS),
    "a missing tensor": (spoil(WEIGHTS, without_tensor("code.weight")), "code.weight"),
    "another format": (config(format="other"), "format"),
    "a later version": (config(version=2), "version"),
    "another chunk": (config(chunk=32), "chunk"),
    "no code": (config(code_dim=0), "code_dim"),
    "a code beyond all bounds": (config(code_dim=1 << 40), "code_dim"),
    "a negative width": (nested("proposer", hidden=-32), "hidden"),
    "another width than the weights": (nested("proposer", ffn=56), WEIGHTS),
    "segments that do not divide a chunk": (nested("summary", segments=7), "segments"),
    "a distance that is no multiple of a chunk": (config(max_distance=100), "max_distance"),
    "another number of heads": (nested("verifier", heads=2), "verifier"),
    "a threshold that is text": (nested("selection", min_share_log="low"), "min_share_log"),
}


@cases({f"restorer: {name}": row for name, row in BROKEN.items()})
def broken_restorer(scratch, apply, word):
    folder = copy_restorer(scratch)
    apply(folder)
    (scratch / "ids.json").write_text("[1, 2, 3]")
    refused(kakeya("generate", "-m", VERIFIER, "--ids", scratch / "ids.json", "-n", "2", "--restorer", folder), word)


@cases({f"restore flags {' '.join(flags)}": (flags, word) for flags, word in (
    (("--restorer", str(RESTORER), "--window", "63"), "window"),
    (("--restorer", str(RESTORER), "--window", "64", "--sink", "65"), "sink"),
    (("--restorer", str(RESTORER), "--restore-chunks", "0"), "--restore-chunks"),
    (("--restorer", str(RESTORER), "--restore-chunks", "-1"), "--restore-chunks"),
    (("--restorer", str(RESTORER), "--restore-chunks", "8x"), "--restore-chunks"),
    (("--restorer", str(RESTORER), "--restore-chunks", "99999999999999999999"), "--restore-chunks"),
    (("--restorer", str(RESTORER), "--kv", "window"), "--restorer"),
    (("--restorer", "/nowhere"), "/nowhere"),
    (("--kv", "restored"), "--restorer"))})
def refused_flags(scratch, flags, word):
    (scratch / "ids.json").write_text("[1, 2, 3]")
    refused(kakeya("generate", "-m", VERIFIER, "--ids", scratch / "ids.json", "-n", "2", *flags), word)


@case("row 63: the least window that restores, and the largest sink")
def edges(scratch):
    tokens = ids(VERIFIER, 400, 5)
    for flags in (("--window", "64", "--sink", "64"), ("--window", "64", "--sink", "0"), ("--window", "65", "--sink", "4")):
        assert generated(VERIFIER, tokens, 4, "--restorer", RESTORER, *flags, scratch=scratch)["restore"]["chunks"] > 0


def with_bits(name, bits):
    """The first element of a BF16 tensor set to these bits."""
    def change(path):
        header, data = read_safetensors(path)
        begin = header[name]["data_offsets"][0]
        write_safetensors(path, header, data[:begin] + struct.pack("<H", bits) + data[begin + 2:])
    return change


@cases({f"row 64: {name} in {tensor}": (tensor, bits) for name, bits in (("NaN", 0x7fc0), ("infinity", 0x7f80))
        for tensor in ("f_theta.0.k.bias", "f_theta.1.v.weight", "code.weight", "embed_in.weight", "layers.0.wq.weight",
                       "select.0.weight", "summary.proj.weight")})
def no_numbers(scratch, tensor, bits):
    folder = copy_restorer(scratch)
    with_bits(tensor, bits)(folder / WEIGHTS)
    tokens = ids(VERIFIER, 600, 6)
    (scratch / "list.json").write_text(json.dumps(tokens))
    run = succeeds("generate", "-m", VERIFIER, "--ids", scratch / "list.json", "-n", "40", "--json", "--restorer", folder)
    report, text = run.json(), run.stderr.decode()
    assert len(report["tokens"]) == 40 or report["stop"] == "eos"
    if tensor.startswith("f_theta"):
        assert report["restore"]["failed"] > 0, report["restore"]
        assert text.count("gave no numbers") == 1, text
    if tensor in ("code.weight", "embed_in.weight"):  # no chunk has a code: what is left is the window
        assert report["restore"]["failed"] > 0 and report["restore"]["chunks"] == 0, report["restore"]
        assert text.count("gave no numbers") == 1, text
        window = generated(VERIFIER, tokens, 40, "--kv", "window", scratch=scratch)
        assert report["tokens"] == window["tokens"]


if __name__ == "__main__":
    sys.exit(main())
