#!/usr/bin/env python3
"""`kakeya quantize` writes GGUF files that this engine and the format's own package read, with the bytes that the
package's own quantisers give.

"row N" is the fault's number in the project's list of faults.
"""

import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from gguf_files import (ENDS, LAYER, TYPES, UNUSED, add_tokenizer, config_of, fixture_gguf, hf_tensors, interleaved,  # noqa: E402
                        model_gguf, to_f32, with_matrices, write_folder)
from harness import (DEMO, FIXTURES, ROOT, Options, case, cases, generated, kakeya, main, read_tensors,  # noqa: E402
                     refused, succeeds)

MODELS = sorted(path.name for path in FIXTURES.iterdir() if (path / "config.json").is_file())
IDS = [1, 5, 2, 70, 33, 8, 8, 41, 60, 12]
TEXT = FIXTURES / "qwen3-tied-text"
BLOCKS = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")  # what can be written


def quantize(source, out, kind, *flags, **limits):
    return succeeds("quantize", source, out, kind, "--json", *flags, **limits).json()


def logits_of(model, scratch, name):
    (scratch / "ids.json").write_text(json.dumps(IDS))
    out = scratch / f"{name}.safetensors"
    succeeds("eval", "logits", "-m", model, "--ids", scratch / "ids.json", "--out", out)
    return read_tensors(out)["logits"]


def read(path):
    import gguf
    return gguf.GGUFReader(path)


def values_of(reader):
    return {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}


def blocks_of(kind, values):
    """The bytes that the format's own package quantises F32 values to."""
    import gguf
    return gguf.quantize(values, gguf.GGMLQuantizationType[kind]).tobytes()


# --- the same bytes ---

RANDOM = {"hidden_size": 96, "intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2,
          "head_dim": 32, "num_hidden_layers": 2, "vocab_size": 200, "max_position_embeddings": 512,
          "rms_norm_eps": 1e-5, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
          "eos_token_id": None, "bos_token_id": None, "tie_word_embeddings": False}


def random_tensors(config, draw, kind="F32"):
    """name: (type, shape, bytes) of a network; draw(shape) gives its matrices."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    q, kv = (config[f"num_{heads}_heads"] * config["head_dim"] for heads in ("attention", "key_value"))
    shapes = {"model.embed_tokens": [config["vocab_size"], hidden], "lm_head": [config["vocab_size"], hidden],
              "model.norm": [hidden]}
    for layer in range(config["num_hidden_layers"]):
        names = {"input_layernorm": [hidden], "post_attention_layernorm": [hidden], "self_attn.q_proj": [q, hidden],
                 "self_attn.k_proj": [kv, hidden], "self_attn.v_proj": [kv, hidden], "self_attn.o_proj": [hidden, q],
                 "mlp.gate_proj": [inner, hidden], "mlp.up_proj": [inner, hidden], "mlp.down_proj": [hidden, inner]}
        if config["model_type"] == "qwen3":
            names.update({"self_attn.q_norm": [config["head_dim"]], "self_attn.k_norm": [config["head_dim"]]})
        shapes.update({f"model.layers.{layer}.{name}": shape for name, shape in names.items()})
    tensors = {name + ".weight": ("F32", shape, draw(shape).astype("<f4").tobytes()) for name, shape in shapes.items()}
    return tensors if kind == "F32" else with_matrices(tensors, kind)


def draws(random):
    """Matrices of several kinds: smooth, heavy-tailed, tiny, full of ties and of zeros."""
    return {"normal": lambda shape: random.normal(0, 0.05, shape),
            "heavy tails": lambda shape: random.standard_t(2, shape) * 0.02,
            "tiny": lambda shape: random.normal(0, 1e-7, shape),
            "halves": lambda shape: random.integers(-8, 9, shape) / 2.0,
            "sparse": lambda shape: random.normal(0, 1, shape) * (random.random(shape) < 0.02) + 0.0}  # no -0


def wanted_bytes(config, tensors, kind):
    """name in the file: bytes, as the package quantises."""
    ours = model_gguf(config, tensors)  # permutes llama's rows
    return {name: blocks_of(kind, to_f32(old, data).reshape(shape)) if len(shape) == 2 else data
            for name, (old, shape, data) in ours.tensors.items()}


@cases({f"{kind} of {arch}, {what}, from {source}: the package's bytes": (kind, arch, what, source)
        for kind in BLOCKS for what in draws(None) for arch, source in (("llama", "F32"), ("qwen3", "BF16"))})
def package_bytes(scratch, kind, arch, what, source):
    config = {**RANDOM, "model_type": arch}
    tensors = random_tensors(config, draws(numpy.random.default_rng(3))[what], source)
    folder = write_folder(scratch / "folder", config, tensors)
    summary = quantize(folder, scratch / "m.gguf", kind)
    want = wanted_bytes(config, tensors, kind)
    got = {t.name: t.data.tobytes() for t in read(scratch / "m.gguf").tensors}
    assert got.keys() == want.keys()
    wrong = [name for name in want if got[name] != want[name]]
    assert not wrong, wrong
    assert summary["tensor_bytes"] == sum(len(data) for data in want.values())
    assert summary["bytes_by_type"].keys() == {kind, "F32"}


@cases({f"{name} as {kind}: logits have the folder's bits": (name, kind) for name in MODELS for kind in ("F32", "F16")})
def same_bits(scratch, name, kind):
    config = config_of(FIXTURES / name)
    folder = write_folder(scratch / "folder", config, with_matrices(hf_tensors(FIXTURES / name), kind))
    quantize(folder, scratch / "m.gguf", kind)
    want, got = logits_of(folder, scratch, "want"), logits_of(scratch / "m.gguf", scratch, "got")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type") == "llama3":  # the file has rounded factors instead of the formula
        numpy.testing.assert_allclose(got, want, rtol=0, atol=2e-3 * want.std())
    else:
        assert got.tobytes() == want.tobytes(), f"differs by up to {abs(got - want).max()}"


@cases({f"{kind} by way of a GGUF file in {way} has the bytes of the direct one": (kind, way)
        for kind in BLOCKS for way in ("F32", "BF16")})
def two_steps(scratch, kind, way):
    folder = FIXTURES / "llama-untied-sharded"
    tensors = with_matrices(hf_tensors(folder), "BF16")
    source = write_folder(scratch / "folder", config_of(folder), tensors)
    quantize(source, scratch / "direct.gguf", kind)
    quantize(source, scratch / "way.gguf", way)
    quantize(scratch / "way.gguf", scratch / "two.gguf", kind)
    assert (scratch / "direct.gguf").read_bytes() == (scratch / "two.gguf").read_bytes()


@case("threads don't change a byte")
def threads(scratch):
    for n in (1, 5):
        quantize(DEMO, scratch / f"{n}.gguf", "Q4_0", "--threads", n)
    assert (scratch / "1.gguf").read_bytes() == (scratch / "5.gguf").read_bytes()


# --- metadata ---

@case("the demo model keeps its text, and other readers see it")
def demo_text(scratch):
    file = scratch / "demo.gguf"
    summary = quantize(DEMO, file, "BF16")
    assert summary["notes"] == [] and abs(summary["bits_per_weight"] - 16) < 0.1, summary
    reader = read(file)
    values = values_of(reader)
    hand = add_tokenizer(model_gguf(config_of(DEMO), hf_tensors(DEMO)), DEMO, "qwen2", 4096)
    for key, (_, value) in hand.pairs.items():
        assert values[key] == (float(numpy.float32(value)) if isinstance(value, float) else value), key
    assert values["tokenizer.ggml.eot_token_id"] == 4080 and values["tokenizer.ggml.padding_token_id"] == 4080
    assert values["general.name"] == "demo" and values["general.file_type"] == 32
    assert {t.name: tuple(t.shape) for t in reader.tensors} == \
        {name: tuple(reversed(shape)) for name, (_, shape, _) in hand.tensors.items()}
    prompt = "Caf\u00e9 12345, <|im_end|> it's\n\n<think>x"
    want, got = (succeeds("tokenize", "-m", model, "-p", prompt, "--json").stdout for model in (DEMO, file))
    assert want == got
    lines = b"Hello there.\nWhat did I say?\n"
    flags = ["--kv", "full", "-n", "12"]
    want, got = (succeeds("chat", "-m", model, *flags, stdin=lines).stdout for model in (DEMO, file))
    assert want == got and want
    described = succeeds("inspect", "-m", file, "--check", "--json").json()
    assert described["config"]["eos_token_ids"] == [4080, 4082], described["config"]


@cases({f"the demo model in {kind} predicts nearly as well": (kind, most)
        for kind, most in (("Q8_0", 1.01), ("Q4_0", 1.35), ("Q4_1", 1.25), ("Q5_0", 1.1), ("Q5_1", 1.1))})
def demo_quality(scratch, kind, most):
    quantize(DEMO, scratch / "m.gguf", kind)
    (scratch / "text").write_text((ROOT / "README.md").read_text()[:6000])
    command = ["eval", "perplexity", "-f", scratch / "text", "--kv", "full", "--context", 512, "--max-tokens", 1500,
               "--json", "-m"]
    got, want = (succeeds(*command, model, seconds=60).json()["rows"][0]["perplexity"]
                 for model in (scratch / "m.gguf", DEMO))
    assert want / most < got < want * most, (got, want)


@case("a GGUF file keeps every key as it is")
def keeps_keys(scratch):
    source = add_tokenizer(fixture_gguf("qwen3-tied-text"), TEXT, "qwen2", 304).align(64)
    source.pairs.update({"a.u64": ("u64", 2**63 + 5), "a.i8": ("i8", -3), "a.f64": ("f64", 1e-300),
                         "a.list": (["i64"], [-1, 2**40]), "a.none": (["str"], []), "general.file_type": ("u32", 0),
                         "a.text": ("str", b"\xff not UTF-8"), "tokenizer.ggml.bos_token_id": ("u32", 7)})
    source.write(scratch / "in.gguf")
    quantize(scratch / "in.gguf", scratch / "out.gguf", "Q8_0")
    source.pairs["general.file_type"] = ("u32", 7)
    source.pairs["general.quantization_version"] = ("u32", 2)
    for name, (kind, shape, data) in source.tensors.items():
        if len(shape) == 2:
            kept = "Q8_0" if shape[1] % 32 == 0 else "F16"
            source.tensors[name] = (kept, shape, blocks_of(kept, to_f32(kind, data).reshape(shape)))
    assert (scratch / "out.gguf").read_bytes() == source.bytes()
    ids = generated(scratch / "out.gguf", IDS, 8, scratch=scratch)["tokens"]
    assert len(ids) == 8


@case("files without a tokenizer, and folders")
def no_vocab(scratch):
    gguf = fixture_gguf("llama-untied-sharded")
    gguf.pairs["tokenizer.ggml.model"] = ("str", "no_vocab")
    gguf.write(scratch / "in.gguf")
    quantize(scratch / "in.gguf", scratch / "out.gguf", "Q4_0")
    assert values_of(read(scratch / "out.gguf"))["tokenizer.ggml.model"] == "no_vocab"
    summary = quantize(FIXTURES / "llama-untied-sharded", scratch / "folder.gguf", "Q4_0")
    assert any("tokenizer.json" in note for note in summary["notes"])
    for name in ("out", "folder"):
        assert len(generated(scratch / f"{name}.gguf", IDS, 4, scratch=scratch)["tokens"]) == 4
    quantize(DEMO, scratch / "demo.gguf", "Q8_0", "--no-vocab")
    refused(kakeya("tokenize", "-m", scratch / "demo.gguf", "-p", "x"), "no tokenizer")


@case("a tokenizer that GGUF has no name for")
def other_words(scratch):
    folder = scratch / "model"
    folder.mkdir()
    for file in DEMO.iterdir():
        if file.is_file() and file.name != "tokenizer.json":
            (folder / file.name).symlink_to(file)
    tokenizer = json.loads((DEMO / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "[a-z]+"
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    refused(kakeya("quantize", folder, scratch / "m.gguf", "Q8_0"), "tokenizer.json", "--no-vocab")
    assert not (scratch / "m.gguf").exists()
    quantize(folder, scratch / "m.gguf", "Q8_0", "--no-vocab")


# --- shapes and types ---

@case("row 11: rows that are no whole blocks stay F16, and a line says so")
def odd_rows(scratch):
    config = {**RANDOM, "model_type": "qwen3", "intermediate_size": 72}
    tensors = random_tensors(config, draws(numpy.random.default_rng(3))["normal"])
    folder = write_folder(scratch / "folder", config, tensors)
    outcome = succeeds("quantize", folder, scratch / "m.gguf", "Q8_0", "--json")
    text = outcome.stderr.decode()
    assert text.count("ffn_down.weight [96, 72] stays F16") == 2, text
    kinds = {t.name: t.tensor_type.name for t in read(scratch / "m.gguf").tensors}
    assert kinds["blk.1.ffn_down.weight"] == "F16" and kinds["blk.1.ffn_up.weight"] == "Q8_0", kinds
    assert len(generated(scratch / "m.gguf", IDS, 4, scratch=scratch)["tokens"]) == 4


@case("block formats can be read too, with a warning, and what has the type already is copied")
def twice(scratch):
    quantize(DEMO, scratch / "q8.gguf", "Q8_0")
    summary = quantize(scratch / "q8.gguf", scratch / "again.gguf", "Q8_0")
    assert summary["notes"] == []
    assert (scratch / "q8.gguf").read_bytes() == (scratch / "again.gguf").read_bytes()
    summary = quantize(scratch / "q8.gguf", scratch / "q4.gguf", "Q4_0")
    assert any("block formats already" in note for note in summary["notes"]), summary
    import gguf
    for ours, theirs in zip(read(scratch / "q4.gguf").tensors, read(scratch / "q8.gguf").tensors):
        if len(ours.shape) == 2:
            values = gguf.dequantize(theirs.data, theirs.tensor_type).astype("<f4")
            assert ours.data.tobytes() == blocks_of("Q4_0", values), ours.name


@cases({f"{kind} is read as the package reads it": (kind,) for kind in ("Q4_1", "Q5_0", "Q5_1", "IQ4_NL")})
def other_blocks(scratch, kind):
    import gguf
    random = numpy.random.default_rng(5)
    source = fixture_gguf("llama-untied-sharded")
    want = {}
    for name, (_, shape, _) in source.tensors.items():
        _, elements, size = TYPES[kind]
        if len(shape) == 2 and shape[1] % elements == 0:
            blocks = random.integers(0, 256, (shape[0] * shape[1] // elements, size), dtype=numpy.uint8)
            for at in (0, 2) if kind.endswith("_1") else (0,):
                scales = random.uniform(-0.1, 0.1, len(blocks)).astype("<f2")
                blocks[:, at:at + 2] = scales.view(numpy.uint8).reshape(-1, 2)
            source.tensors[name] = (kind, shape, blocks.tobytes())
            values = gguf.dequantize(blocks, gguf.GGMLQuantizationType[kind]).reshape(shape)
            want[name] = blocks_of("Q8_0", values.astype("<f4"))
    source.write(scratch / "in.gguf")
    summary = quantize(scratch / "in.gguf", scratch / "out.gguf", "Q8_0")
    assert any("block formats already" in note for note in summary["notes"]), summary
    got = {t.name: t.data.tobytes() for t in read(scratch / "out.gguf").tensors}
    assert len(want) > 3 and [name for name in want if got[name] != want[name]] == []


@case("what this engine doesn't compute is refused")
def unsupported(scratch):
    source = fixture_gguf("llama-tied")
    kind, shape, data = source.tensors["blk.0.ffn_up.weight"]
    source.tensors["blk.0.ffn_up.weight"] = ("MXFP4", shape, bytes(shape[0] * shape[1] // 32 * 17))
    source.write(scratch / "in.gguf")
    refused(kakeya("quantize", scratch / "in.gguf", scratch / "out.gguf", "Q8_0"), "blk.0.ffn_up.weight", "MXFP4")
    source = fixture_gguf("llama-tied")
    source.pairs["general.architecture"] = ("str", "mamba")
    source.write(scratch / "in.gguf")
    refused(kakeya("quantize", scratch / "in.gguf", scratch / "out.gguf", "Q8_0"), "mamba")
    assert os.listdir(scratch) == ["in.gguf"]


# --- random weights ---

@case("random weights are the seed's, and run")
def random_weights(scratch):
    folder = scratch / "geometry"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**RANDOM, "model_type": "llama"}))
    for name, kind, flags in (("a", "Q8_0", []), ("b", "Q8_0", ["--threads", "3"]), ("c", "Q8_0", ["--seed", "1"]),
                              ("d", "F32", [])):
        summary = quantize(folder, scratch / f"{name}.gguf", kind, "--random-weights", *flags)
        assert summary["source_bytes"] is None
    raw = {name: (scratch / f"{name}.gguf").read_bytes() for name in "abc"}
    assert raw["a"] == raw["b"] != raw["c"]
    for tensor in read(scratch / "d.gguf").tensors:
        values = numpy.asarray(tensor.data)
        if len(tensor.shape) == 1:
            assert (values == 1).all(), tensor.name
        else:
            assert abs(values.mean()) < 0.01 and abs(values.std() * values.shape[1]**0.5 - 1) < 0.05, tensor.name
    assert len(generated(scratch / "a.gguf", IDS, 16, scratch=scratch)["tokens"]) == 16
    refused(kakeya("quantize", scratch / "a.gguf", scratch / "e.gguf", "Q8_0", "--random-weights"), "--random-weights")


# --- faults ---

@cases({"no such type": (["IN", "o.gguf", "Q5_K"], ["TYPE", "Q5_K", "Q4_0"]),
        "an empty type": (["IN", "o.gguf", ""], ["TYPE"]),
        "another ending": (["IN", "o.bin", "Q8_0"], ["OUT", "o.bin", ".gguf"]),
        "no such input": (["none", "o.gguf", "Q8_0"], ["none"]),
        "no such output folder": (["IN", "none/o.gguf", "Q8_0"], ["none/o.gguf"]),
        "an output that is a folder": (["IN", "folder.gguf", "Q8_0"], ["folder.gguf"]),
        "no output": (["IN"], ["OUT"]), "two types": (["IN", "o.gguf", "Q8_0", "Q4_0"], ["Q4_0"]),
        "no threads": (["IN", "o.gguf", "Q8_0", "--threads", "0"], ["--threads"]),
        "a negative seed": (["IN", "o.gguf", "Q8_0", "--seed", "-1"], ["--seed"])})
def bad_words(scratch, words, said):
    (scratch / "folder.gguf").mkdir()
    paths = {"IN": FIXTURES / "llama-tied"}
    command = [paths.get(w, scratch / w if "." in w or w == "none" else w) for w in words]
    refused(kakeya("quantize", *command), *said)
    assert os.listdir(scratch) == ["folder.gguf"]


@case("IN is never overwritten, under any name")
def not_in(scratch):
    file = scratch / "m.gguf"
    fixture_gguf("llama-tied").write(file)
    before = file.read_bytes()
    os.link(file, scratch / "hard.gguf")
    (scratch / "soft.gguf").symlink_to(file)
    for out in (file, scratch / "hard.gguf", scratch / "soft.gguf", scratch / "." / "m.gguf"):
        refused(kakeya("quantize", file, out, "Q8_0"), "same file")
    folder = write_folder(scratch / "folder", config_of(FIXTURES / "llama-tied"), hf_tensors(FIXTURES / "llama-tied"))
    os.link(folder / "model.safetensors", scratch / "weights.gguf")
    refused(kakeya("quantize", folder, scratch / "weights.gguf", "Q8_0"), "weights.gguf")
    assert file.read_bytes() == before


def spoilt(scratch, value):
    tensors = hf_tensors(FIXTURES / "llama-tied")
    name = "model.layers.1.self_attn.q_proj.weight"
    kind, shape, data = tensors[name]
    values = to_f32(kind, data).copy().reshape(shape)
    values[5, 7] = value
    tensors[name] = ("F32", shape, values.tobytes())
    return write_folder(scratch / "folder", config_of(FIXTURES / "llama-tied"), tensors)


@cases({f"row 16: {value} as {kind}": (value, kind, word)
        for kind in ("F32", "F16", "BF16", *BLOCKS)
        for value, word in (("nan", "NaN"), ("inf", "infinity"), ("1e9", "more than"))
        if kind != "F32" and (kind != "BF16" or value != "1e9")})
def not_a_number(scratch, value, kind, word):
    folder = spoilt(scratch, float(value))
    (scratch / "o.gguf").write_text("older")
    refused(kakeya("quantize", folder, scratch / "o.gguf", kind), "model.safetensors", "layers.1.self_attn.q_proj.weight",
            "[5, 7]", word)
    assert (scratch / "o.gguf").read_text() == "older" and sorted(os.listdir(scratch)) == ["folder", "o.gguf"]


@case("row 15: a folder whose tensors aren't those of its config")
def other_shapes(scratch):
    config, tensors = config_of(FIXTURES / "llama-tied"), hf_tensors(FIXTURES / "llama-tied")
    config["vocab_size"] += 1
    folder = write_folder(scratch / "folder", config, tensors)
    refused(kakeya("quantize", folder, scratch / "o.gguf", "Q8_0"), "model.embed_tokens.weight", "config.json wants")
    config["vocab_size"] -= 1
    config["num_hidden_layers"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    refused(kakeya("quantize", folder, scratch / "o.gguf", "Q8_0"), "layers.2", "missing")


@cases({f"row 78: a {what} is one line, and nothing is left of the file": (trap,)
        for what, trap in (("full disk", 'trap "" XFSZ; '), ("limit on the size of files", ""))})
def full_disk(scratch, trap):
    (scratch / "old.gguf").write_bytes(b"old")
    for name in ("m.gguf", "old.gguf"):
        done = subprocess.run(["bash", "-c", trap + 'ulimit -f 2000; exec "$@"', "-", str(Options.kakeya), "quantize",
                               str(DEMO), str(scratch / name), "Q8_0"], capture_output=True, timeout=60)
        text = done.stderr.decode()
        assert done.returncode == 2 and text.count("\n") == 1 and name in text and done.stdout == b"", (done.returncode, text)
        assert os.listdir(scratch) == ["old.gguf"] and (scratch / "old.gguf").read_bytes() == b"old"


# Makes a program see a file system without files without a name (O_TMPFILE).
NO_UNNAMED_FILES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
static int open_named(const char* path, int flags, mode_t mode) {
  if ((flags & O_TMPFILE) == O_TMPFILE) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return ((int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open"))(path, flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
  va_end(list);
  return open_named(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
  va_end(list);
  return open_named(path, flags, mode);
}
"""


def environment(named, folder):
    """For a program that writes on a usual file system, or on one without files without a name."""
    if not named:
        return dict(os.environ)
    (folder / "named.c").write_text(NO_UNNAMED_FILES)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "named.so", folder / "named.c", "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(folder / "named.so"), "ASAN_OPTIONS": "verify_asan_link_order=0"}


def written_in(process, folder):
    """Whether the process has a file of that folder open, with a name or without."""
    links = []
    try:
        for link in os.scandir(f"/proc/{process.pid}/fd"):
            links.append(os.readlink(link.path))
    except OSError:  # it has ended, or has just closed one
        pass
    return any(link.startswith(f"{folder}/") for link in links)


def stopped_while_writing(scratch, number, named):
    """(exit code, stdout, stderr, files of the output folder while it was written) of a quantize that gets a signal."""
    folder = scratch / "out"
    folder.mkdir(exist_ok=True)
    command = [Options.kakeya, "quantize", ROOT / "bench" / "qwen3-0.6b", folder / "m.gguf", "Q4_0", "--random-weights"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(named, scratch)) as process:
        while not written_in(process, folder) and process.poll() is None:
            time.sleep(0.002)
        files = os.listdir(folder)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err, files


@cases({f"{number.name} leaves nothing of the file{', where it has a name' if named else ''}": (number, named)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGKILL)
        for named in (False, True) if not (named and number == signal.SIGKILL)})
def stopped(scratch, number, named):
    code, out, err, files = stopped_while_writing(scratch, number, named)
    assert len(files) == int(named), files  # else this tested nothing
    if number == signal.SIGINT:
        assert code == 130 and b"nothing was kept" in err, (code, out, err)
    else:
        assert code == -number, (code, out, err)
    assert out == b"" and os.listdir(scratch / "out") == [], os.listdir(scratch / "out")


@case("what SIGKILL has to leave goes with the next run, what others write stays")
def stale(scratch):
    code, _, _, files = stopped_while_writing(scratch, signal.SIGKILL, named=True)
    folder = scratch / "out"
    assert code == -signal.SIGKILL and len(files) == 1 and os.listdir(folder) == files
    (folder / "m.gguf.tmp-17-0").write_bytes(b"left by an older version")
    (folder / "m.gguf.tmp-notes").write_bytes(b"a person's")
    with open(folder / "m.gguf.tmp-18-0", "wb") as other:  # of a process that lives
        fcntl.flock(other, fcntl.LOCK_EX)
        quantize(FIXTURES / "llama-tied", folder / "m.gguf", "F16")
        assert sorted(os.listdir(folder)) == ["m.gguf", "m.gguf.tmp-18-0", "m.gguf.tmp-notes"], os.listdir(folder)


@case("a limit on processor time leaves nothing of the file")
def processor_time(scratch):
    (scratch / "out").mkdir()
    for named in (False, True):
        done = subprocess.run(["bash", "-c", 'ulimit -St 1; exec "$@"', "-", str(Options.kakeya), "quantize",
                               str(ROOT / "bench" / "qwen3-0.6b"), str(scratch / "out" / "m.gguf"), "Q4_0",
                               "--random-weights"], capture_output=True, timeout=60, env=environment(named, scratch))
        assert done.returncode == -signal.SIGXCPU, (done.returncode, done.stderr)
        assert os.listdir(scratch / "out") == []


@case("row 1: what is no model")
def no_model(scratch):
    (scratch / "empty").mkdir()
    (scratch / "empty.gguf").write_bytes(b"")
    os.mkfifo(scratch / "fifo.gguf")
    (scratch / "text.gguf").write_text("no GGUF file")
    for name, word in (("empty", "config.json"), ("empty.gguf", "empty"), ("fifo.gguf", "fifo"), ("text.gguf", "GGUF")):
        refused(kakeya("quantize", scratch / name, scratch / "o.gguf", "Q8_0"), name, word)
    assert not (scratch / "o.gguf").exists()


@case("memory stays far below the model's size")
def small_memory(scratch):
    rows = 300_000 if Options.sanitized else 1_500_000
    source = fixture_gguf("llama-tied")
    kind, shape, _ = source.tensors["token_embd.weight"]
    size = {"F32": 4, "BF16": 2, "F16": 2}[kind]
    source.tensors["token_embd.weight"] = (kind, [rows, shape[1]], rows * shape[1] * size)
    source.pairs["llama.vocab_size"] = ("u32", rows)
    source.write(scratch / "in.gguf")
    total = (scratch / "in.gguf").stat().st_size
    outcome = succeeds("quantize", scratch / "in.gguf", scratch / "out.gguf", "Q8_0", seconds=60)
    assert Options.sanitized or outcome.peak_bytes < 120 * 2**20 < total, f"{outcome}, {total} bytes"


if __name__ == "__main__":
    sys.exit(main())
