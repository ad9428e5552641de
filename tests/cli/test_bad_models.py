#!/usr/bin/env python3
"""Model folders that are wrong, hostile or unlucky: one line, exit 2, no crash, no memory beyond the file's size.

"row N" is the fault's number in the project's list of faults (models 1-24, templates 27).
"""

import json
import os
import pathlib
import random
import shutil
import struct
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import (FIXTURES, MIB, Options, case, cases, copy_model, edit_json, kakeya, main,  # noqa: E402
                     read_safetensors, refused, succeeds, write_safetensors)

SMALL = FIXTURES / "llama-tied"
TEXT = "qwen3-tied-text"
EMBED = "model.embed_tokens.weight"
NORM = "model.norm.weight"
QUERY = "model.layers.0.self_attn.q_proj.weight"
WEIGHTS = "model.safetensors"


def run(folder, scratch, **limits):
    """Loads the model and computes one token from ids (no tokenizer comes into it unless the folder has one)."""
    (scratch / "ids.json").write_text("[1, 2, 3]")
    return kakeya("generate", "-m", folder, "--ids", scratch / "ids.json", "-n", "2", "--json", **limits)


def small(scratch):
    """A copy of the small model with an end-of-text id, so that no warning stands before the error."""
    folder = copy_model("llama-tied", scratch)
    edit_json(folder / "config.json", lambda c: c.update(eos_token_id=0))
    return folder


def replace_weights(folder, header, data, length=None):
    (folder / WEIGHTS).unlink()
    write_safetensors(folder / WEIGHTS, header, data, length)


# --- row 1: what isn't a file ---

def make_empty(path):
    path.write_bytes(b"")


NOT_FILES = {"an empty file": make_empty, "a directory": lambda path: path.mkdir(), "a FIFO": os.mkfifo,
             "a link to nowhere": lambda path: path.symlink_to("nowhere"),
             "a device": lambda path: path.symlink_to("/dev/zero")}


@cases({f"row 1: {what} as {file}": (file, make) for what, make in NOT_FILES.items()
        for file in ("config.json", WEIGHTS, "tokenizer.json")})
def not_a_file(scratch, file, make):
    folder = copy_model(TEXT, scratch)
    (folder / file).unlink()
    make(folder / file)
    if file == "tokenizer.json" and not (folder / file).exists():
        return  # a link to nowhere is a model without a tokenizer
    refused(run(folder, scratch), file if file != WEIGHTS else "model")


@cases({f"row 1: {what} as an optional file": (file, make) for file in ["generation_config.json"]
        for what, make in NOT_FILES.items() if what != "a link to nowhere"})
def optional_not_a_file(scratch, file, make):
    folder = small(scratch)
    make(folder / file)
    refused(run(folder, scratch), file)


@cases({f"row 1: the model is {what}": (make,) for what, make in NOT_FILES.items() if what != "a directory"})
def model_is_no_folder(scratch, make):
    make(scratch / "model")
    for verb in (["inspect"], ["tokenize", "-p", "x"], ["generate", "-p", "x"], ["chat"]):
        refused(kakeya(*verb, "-m", scratch / "model"))


@case("row 1: no folder, an empty folder, a folder without weights")
def missing_pieces(scratch):
    refused(run(scratch / "nothing", scratch), "nothing")
    (scratch / "empty").mkdir()
    refused(run(scratch / "empty", scratch), "config.json")
    folder = small(scratch)
    (folder / WEIGHTS).unlink()
    refused(run(folder, scratch), "safetensors")


# --- rows 2-9, 13, 17, 18: the safetensors header ---

def truncated(scratch, positions):
    folder = small(scratch)
    whole = (SMALL / WEIGHTS).read_bytes()
    (folder / WEIGHTS).unlink()
    for position in positions:
        (folder / WEIGHTS).write_bytes(whole[:position])
        try:
            refused(kakeya("inspect", "-m", folder), WEIGHTS)
        except AssertionError as error:
            raise AssertionError(f"cut at byte {position}: {error}") from error


def header_end(path):
    return 8 + struct.unpack("<Q", path.read_bytes()[:8])[0]


@cases({f"row 3: truncated at header bytes, part {part} of 4": (part,) for part in range(4)})
def truncated_header(scratch, part):
    stride = 4 * (29 if Options.sanitized else 1)
    truncated(scratch, range(part, header_end(SMALL / WEIGHTS) + 1, stride))


@case("row 3: truncated in the data")
def truncated_data(scratch):
    size, begin = (SMALL / WEIGHTS).stat().st_size, header_end(SMALL / WEIGHTS)
    truncated(scratch, [begin + 1, begin + 4097, (begin + size) // 2, size - 4096, size - 2, size - 1])


@cases({f"row {row}: header length {what}": (length,) for row, what, length in [
    (4, "2^63", 1 << 63), (4, "2^64 - 1", (1 << 64) - 1), (5, "2^40", 1 << 40), (9, "2^64 - 8", (1 << 64) - 8),
    (17, "beyond the file", 200000), (17, "0", 0), (17, "1", 1), (17, "short by one", -1)]})
def header_length(scratch, length):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    if length == -1:
        length = header_end(SMALL / WEIGHTS) - 9
    replace_weights(folder, header, data, length)
    refused(run(folder, scratch), WEIGHTS)


@case("row 2: a big-endian header length")
def big_endian(scratch):
    folder = small(scratch)
    whole = (SMALL / WEIGHTS).read_bytes()
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).write_bytes(whole[:8][::-1] + whole[8:])
    refused(run(folder, scratch), WEIGHTS)


@cases({f"row 2: {what} instead of weights": (data,) for what, data in {
    "a GGUF file": b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + bytes(64), "a pickle": b"\x80\x02}q\x00." * 20,
    "a zip file": b"PK\x03\x04" + bytes(100), "text": b"this is no model at all, just a line of text\n"}.items()})
def other_format(scratch, data):
    folder = small(scratch)
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).write_bytes(data)
    refused(run(folder, scratch), WEIGHTS)


@case("row 17: a header of more than 100 MB")
def huge_header(scratch):
    folder = small(scratch)
    (folder / WEIGHTS).unlink()
    with open(folder / WEIGHTS, "wb") as file:
        file.write(struct.pack("<Q", 150_000_000) + b'{"a":')
        file.truncate(200_000_000)
    refused(run(folder, scratch), WEIGHTS, peak=100 * MIB)


@cases({f"row 17: the header is {what}": (raw,) for what, raw in {
    "not an object": b"[1, 2]", "not UTF-8": b'{"\xff\xfe": 1}', "not JSON": b"{ not json }", "spaces": b" " * 40,
    "an open object": b'{"a": ', "followed by bytes": b'{} x', "two objects": b"{}{}", "a number": b"12345678",
    "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "deep lists": b'{"a":' + b"[" * 1_000_000,
    "NaN": b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 4]}}', "a NUL": b'{"a\x00b": 1}'}.items()})
def bad_header(scratch, raw):
    folder = small(scratch)
    _, data = read_safetensors(SMALL / WEIGHTS)
    replace_weights(folder, raw, data)
    refused(run(folder, scratch), WEIGHTS)


HUGE = 1 << 63
SHAPES = {
    "row 6: a product that wraps": [HUGE - 1, 2], "row 6: 2^32 x 2^32": [1 << 32, 1 << 32],
    "row 6: 2^61 elements of 4 bytes": [1 << 61, 4], "row 6: 2^64 in one dimension": [1 << 64, 32],
    "row 8: a negative dimension": [-96, -32], "row 8: one negative dimension": [96, -32],
    "row 8: five dimensions": [96, 32, 1, 1, 1], "row 8: one dimension": [3072], "row 8: no dimension": [],
    "row 8: 100,000 dimensions": [1] * 100_000,
    "row 7: a dimension of 0": [0, 32], "row 6: a fraction": [96.5, 32], "row 6: 1e300": [1e300, 32],
    "row 6: text": ["96", 32], "row 6: no list": 3072, "row 6: null": None, "row 6: one row too many": [97, 32],
    "row 15: transposed": [32, 96],
}


@cases({f"{name}": (shape,) for name, shape in SHAPES.items()})
def bad_shape(scratch, shape):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    header[EMBED]["shape"] = shape
    replace_weights(folder, header, data)
    refused(run(folder, scratch), WEIGHTS, "" if isinstance(shape, list) and len(shape) > 1000 else EMBED)


def shifted(begin, end):
    def change(entry, size):
        first, last = entry["data_offsets"]
        entry["data_offsets"] = [first + begin, last + end]
    return change


def offsets(*values):
    def change(entry, size):
        entry["data_offsets"] = list(values)
    return change


OFFSETS = {
    "row 18: a hole": shifted(4, 4), "row 18: an overlap": shifted(-4, -4), "row 9: past the end": shifted(1 << 30, 1 << 30),
    "row 9: end 2^64 - 1": offsets(0, (1 << 64) - 1), "row 9: both 2^64 - 1": offsets((1 << 64) - 1, (1 << 64) - 1),
    "row 9: begin 2^63": offsets(1 << 63, (1 << 63) + 12288), "row 9: 2^64": offsets(0, 1 << 64),
    "row 9: 1e300": offsets(0, 1e300), "row 8: negative": offsets(-4, 12284), "row 9: end before begin": offsets(12288, 0),
    "row 18: one number": offsets(0), "row 18: three numbers": offsets(0, 12288, 12288), "row 18: text": offsets("0", "12288"),
    "row 18: one byte short": shifted(0, -1), "row 18: one byte long": shifted(0, 1),
}


@cases({f"{name} (offsets)": (change,) for name, change in OFFSETS.items()})
def bad_offsets(scratch, change):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    change(header[QUERY], len(data))
    replace_weights(folder, header, data)
    refused(run(folder, scratch), WEIGHTS)


@case("row 18: trailing bytes, missing bytes")
def trailing(scratch):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    for wrong in (data + b"\0", data + bytes(4096), data[:-1]):
        replace_weights(folder, header, wrong)
        refused(run(folder, scratch), WEIGHTS)


@case("row 7: a tensor without elements is a tensor")
def empty_tensor(scratch):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    header["nothing"] = {"dtype": "F32", "shape": [0, 5], "data_offsets": [len(data), len(data)]}
    replace_weights(folder, header, data)
    outcome = run(folder, scratch)
    assert outcome.code == 0, str(outcome)


@cases({f"row 11: element type {name!r}": (name,) for name in
        ("F64", "I32", "F8_E4M3", "BOOL", "nonsense", "", "f32", "F32\n", 7, None, "F32" * 10000)})
def bad_type(scratch, name):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    header[EMBED]["dtype"] = name
    replace_weights(folder, header, data)
    refused(run(folder, scratch))


@case("row 13: the same tensor twice in one header")
def duplicate_tensor(scratch):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    text = json.dumps(header)
    entry = json.dumps({NORM: header[NORM]})[1:-1]
    replace_weights(folder, (text[:-1] + ", " + entry + "}").encode(), data)
    refused(run(folder, scratch), WEIGHTS)


@case("row 18: the same key twice inside an entry, in the metadata, in config.json")
def duplicate_keys(scratch):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    text = json.dumps(header)
    replace_weights(folder, text.replace('"dtype": "F32"', '"dtype": "F32", "dtype": "F32"', 1).encode(), data)
    refused(run(folder, scratch), WEIGHTS)
    replace_weights(folder, text.replace('{"format": "pt"}', '{"format": "pt", "format": "tf"}', 1).encode(), data)
    refused(run(folder, scratch), WEIGHTS)
    shutil.copyfile(SMALL / WEIGHTS, folder / WEIGHTS)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.rstrip()[:-1] + ', "vocab_size": 96}')
    refused(run(folder, scratch), "config.json", "vocab_size")


@case("row 18: metadata that isn't text")
def bad_metadata(scratch):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    for metadata in ({"format": 1}, [], "pt", {"a": {"b": "c"}}):
        replace_weights(folder, {**header, "__metadata__": metadata}, data)
        refused(run(folder, scratch), WEIGHTS)


@cases({f"random bytes in the header, seed {seed}": (seed,) for seed in range(8)})
def random_header_bytes(scratch, seed):
    """Whatever a spoilt header makes of the model: an error in one line or a model, never a crash."""
    folder = small(scratch)
    whole = (SMALL / WEIGHTS).read_bytes()
    end = header_end(SMALL / WEIGHTS)
    (folder / WEIGHTS).unlink()
    dice = random.Random(seed)
    for _ in range(10 if Options.sanitized else 60):
        spoilt = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            spoilt[dice.randrange(end)] = dice.choice(b'0123456789{}[]",:-e\xff\x00')
        (folder / WEIGHTS).write_bytes(spoilt)
        outcome = run(folder, scratch)
        if outcome.code != 0:
            refused(outcome)


# --- row 15: config.json ---

def setting(**values):
    return lambda config: config.update(values)


def without(key):
    return lambda config: config.pop(key)


CONFIGS = {  # name: (change, words of the message)
    "no layers": (setting(num_hidden_layers=0), ["num_hidden_layers", "0"]),
    "negative layers": (setting(num_hidden_layers=-1), ["num_hidden_layers", "-1"]),
    "10^9 layers": (setting(num_hidden_layers=10**9), ["num_hidden_layers"]),
    "more layers than tensors": (setting(num_hidden_layers=3), ["model.layers.2"]),
    "a fraction of a layer": (setting(num_hidden_layers=2.5), ["num_hidden_layers"]),
    "layers as text": (setting(num_hidden_layers="2"), ["num_hidden_layers"]),
    "layers true": (setting(num_hidden_layers=True), ["num_hidden_layers"]),
    "layers 2^64": (setting(num_hidden_layers=1 << 64), ["num_hidden_layers"]),
    "layers null": (setting(num_hidden_layers=None), ["num_hidden_layers"]),
    "no hidden_size": (without("hidden_size"), ["hidden_size"]),
    "hidden_size 0": (setting(hidden_size=0), ["hidden_size"]),
    "hidden_size 10^12": (setting(hidden_size=10**12), ["hidden_size"]),
    "another hidden_size": (setting(hidden_size=48), ["32", "48"]),
    "heads that KV heads don't divide": (setting(num_attention_heads=5, num_key_value_heads=2, head_dim=8), ["5", "2"]),
    "heads 0": (setting(num_attention_heads=0), ["num_attention_heads"]),
    "KV heads 0": (setting(num_key_value_heads=0), ["num_key_value_heads"]),
    "KV heads beyond heads": (setting(num_key_value_heads=4), ["4", "2"]),
    "head_dim 0": (setting(head_dim=0), ["head_dim"]),
    "head_dim odd": (setting(head_dim=15), ["head_dim", "15"]),
    "head_dim 10^9": (setting(head_dim=10**9), ["head_dim"]),
    "another head_dim": (setting(head_dim=32), ["32", "64"]),
    "a vocabulary that isn't the embedding's": (setting(vocab_size=100), ["100", "96"]),
    "a smaller vocabulary": (setting(vocab_size=95), ["95", "96"]),
    "vocabulary 0": (setting(vocab_size=0), ["vocab_size"]),
    "vocabulary 2^40": (setting(vocab_size=1 << 40), ["vocab_size"]),
    "another intermediate_size": (setting(intermediate_size=65), ["65", "64"]),
    "intermediate_size negative": (setting(intermediate_size=-64), ["intermediate_size"]),
    "context 0": (setting(max_position_embeddings=0), ["max_position_embeddings"]),
    "context negative": (setting(max_position_embeddings=-5), ["max_position_embeddings"]),
    "rope_theta 0": (setting(rope_theta=0), ["rope_theta"]),
    "rope_theta negative": (setting(rope_theta=-1e4), ["rope_theta"]),
    "rope_theta text": (setting(rope_theta="1e4"), ["rope_theta"]),
    "epsilon negative": (setting(rms_norm_eps=-1.0), ["rms_norm_eps"]),
    "epsilon text": (setting(rms_norm_eps="tiny"), ["rms_norm_eps"]),
    "an unknown rope type": (setting(rope_scaling={"rope_type": "spiral", "factor": 2.0}), ["spiral"]),
    "llama3 scaling without its factor": (setting(rope_scaling={"rope_type": "llama3"}), ["factor"]),
    "llama3 scaling with factor 0": (setting(rope_scaling={
        "rope_type": "llama3", "factor": 0, "low_freq_factor": 1, "high_freq_factor": 4,
        "original_max_position_embeddings": 64}), ["factor"]),
    "llama3 scaling with equal factors": (setting(rope_scaling={
        "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
        "original_max_position_embeddings": 64}), ["freq_factor"]),
    "rope_scaling a list": (setting(rope_scaling=[1, 2]), ["rope_scaling"]),
    "another architecture": (setting(model_type="mamba"), ["mamba"]),
    "no architecture": (without("model_type"), ["model_type"]),
    "an architecture with a line break": (setting(model_type="a\nb\x1b[31m"), ["model_type"]),
    "another activation": (setting(hidden_act="gelu"), ["gelu"]),
    "biases": (setting(attention_bias=True), ["attention_bias"]),
    "quantised weights": (setting(quantization_config={"quant_method": "gptq"}), ["quant"]),
    "end-of-text beyond the vocabulary": (setting(eos_token_id=96), ["eos_token_id", "96"]),
    "end-of-text negative": (setting(eos_token_id=-1), ["eos_token_id"]),
    "end-of-text text": (setting(eos_token_id="</s>"), ["eos_token_id"]),
    "tie_word_embeddings text": (setting(tie_word_embeddings="yes"), ["tie_word_embeddings"]),
    "an untied head that isn't there": (setting(tie_word_embeddings=False), ["lm_head"]),
}


@cases({f"row 15: config.json: {name}": row for name, row in CONFIGS.items()})
def bad_config(scratch, change, words):
    folder = small(scratch)
    edit_json(folder / "config.json", change)
    refused(run(folder, scratch), "config.json" if "model.layers" not in words[0] and "lm_head" not in words[0] else "",
            *words, peak=100 * MIB)


@cases({f"row 21: config.json is {name}": (text,) for name, text in {
    "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "a million open lists": b"[" * 1_000_000, "a list": b"[]",
    "not UTF-8": b'{"model_type": "\xff"}', "cut": b'{"model_type": "llama", "hid', "followed by bytes": b"{} {}",
    "a number beyond double": b'{"model_type": "llama", "rope_theta": 1e999}', "nothing": b" ", "NUL": b"\0" * 100,
    "comments": b'{"model_type": /* x */ "llama"}', "a lone surrogate": b'{"model_type": "\\ud800"}'}.items()})
def config_text(scratch, text):
    folder = small(scratch)
    (folder / "config.json").write_bytes(text)
    refused(run(folder, scratch), "config.json", peak=100 * MIB)


@cases({f"rows 1, 21: a {file} of 1 GB of nothing": (file,) for file in ("config.json", "tokenizer.json")})
def sparse_file(scratch, file):
    folder = copy_model(TEXT, scratch)
    os.truncate(folder / file, 1_000_000_000)
    refused(run(folder, scratch), file, peak=100 * MIB)


# --- row 16: weights that are no numbers ---

@cases({f"row 16: {what} in {name}": (name, bits) for name in (EMBED, QUERY, NORM)
        for what, bits in [("NaN", 0x7FC00000), ("infinity", 0x7F800000), ("minus infinity", 0xFF800000)]})
def not_a_number(scratch, name, bits):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    begin = header[name]["data_offsets"][0]
    replace_weights(folder, header, data[:begin + 8] + struct.pack("<I", bits) + data[begin + 12:])
    refused(run(folder, scratch), name)
    refused(kakeya("inspect", "-m", folder, "--check"), name)


@cases({f"row 16: NaN among {kind} weights": (fixture, bits) for kind, fixture, bits in [
    ("BF16", "qwen3-tied-text", 0x7FC0), ("F16", "qwen3-window", 0x7E00)]})
def not_a_number_16_bit(scratch, fixture, bits):
    folder = copy_model(fixture, scratch)
    header, data = read_safetensors(FIXTURES / fixture / WEIGHTS)
    begin = header[QUERY]["data_offsets"][0]
    replace_weights(folder, header, data[:begin + 6] + struct.pack("<H", bits) + data[begin + 8:])
    refused(kakeya("inspect", "-m", folder, "--check"), QUERY)


@case("row 16: finite weights that overflow give no token")
def overflow(scratch):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    begin, end = header[NORM]["data_offsets"]
    replace_weights(folder, header, data[:begin] + struct.pack("<f", 3e38) * ((end - begin) // 4) + data[end:])
    refused(run(folder, scratch))


# --- rows 13, 19: shards ---

def sharded(scratch):
    folder = copy_model("llama-untied-sharded", scratch)
    edit_json(folder / "config.json", lambda c: c.update(eos_token_id=0))
    return folder, folder / "model.safetensors.index.json"


FIRST, SECOND = (f"model-{i:05d}-of-00002.safetensors" for i in (1, 2))


@case("row 19: a shard is missing")
def missing_shard(scratch):
    folder, _ = sharded(scratch)
    (folder / SECOND).unlink()
    refused(run(folder, scratch), SECOND)


@cases({f"row 19: a shard called {name!r}": (name,) for name in (
    "../secret.safetensors", "/etc/passwd", "sub/../../secret.safetensors", "sub/model.safetensors", "..", ".", "",
    "./" + FIRST, "a\0b.safetensors", "a\nb.safetensors", "x" * 300)})
def shard_path(scratch, name):
    folder, index = sharded(scratch)
    shutil.copyfile(FIXTURES / "llama-untied-sharded" / FIRST, scratch / "secret.safetensors")
    (folder / "sub").mkdir()
    edit_json(index, lambda i: i["weight_map"].update({k: name for k, v in i["weight_map"].items() if v == FIRST}))
    refused(run(folder, scratch))


@case("row 19: a tensor listed in another shard than it is in")
def wrong_shard(scratch):
    folder, index = sharded(scratch)
    edit_json(index, lambda i: i["weight_map"].update({"model.norm.weight": FIRST}))
    refused(run(folder, scratch), "model.norm.weight")


@case("row 19: a tensor that the index leaves out")
def unlisted_tensor(scratch):
    folder, index = sharded(scratch)
    edit_json(index, lambda i: i["weight_map"].pop("model.norm.weight"))
    refused(run(folder, scratch), "model.norm.weight")


@case("row 19: a shard that isn't what it says")
def broken_shard(scratch):
    folder, _ = sharded(scratch)
    whole = (FIXTURES / "llama-untied-sharded" / SECOND).read_bytes()
    (folder / SECOND).unlink()
    (folder / SECOND).write_bytes(whole[:-100])
    refused(run(folder, scratch), SECOND)
    (folder / SECOND).unlink()
    os.mkfifo(folder / SECOND)
    refused(run(folder, scratch), SECOND)


@cases({f"row 19: the index is {name}": (text,) for name, text in {
    "empty": b"", "without a map": b"{}", "a list as map": b'{"weight_map": []}', "numbers as files":
    b'{"weight_map": {"model.norm.weight": 1}}', "an empty map": b'{"weight_map": {}}', "deep": b'{"a":' * 100_000,
    "with a tensor twice": b'{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}'}.items()})
def bad_index(scratch, text):
    folder, index = sharded(scratch)
    index.write_bytes(text)
    refused(run(folder, scratch))


# --- row 20: a file that changes under the reader ---

@case("row 20: the file is truncated while it is read")
def truncated_while_read(scratch):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    rows = 400_000  # 51 MB of embeddings: reading them takes long enough to be disturbed
    edit_json(folder / "config.json", lambda c: c.update(vocab_size=rows))
    grown, at = {}, 0
    with open(scratch / "data", "wb") as out:  # in pieces: this process must stay small (see Outcome.peak_bytes)
        for name in sorted((n for n in header if n != "__metadata__"), key=lambda n: header[n]["data_offsets"][0]):
            begin, end = header[name]["data_offsets"]
            size = rows * 32 * 4 if name == EMBED else end - begin
            grown[name] = {**header[name], "data_offsets": [at, at + size]}
            for done in range(0, size, end - begin):
                out.write(data[begin:begin + min(end - begin, size - done)])
            at += size
    grown[EMBED]["shape"] = [rows, 32]
    write_safetensors(scratch / "grown", grown, b"")
    with open(scratch / "grown", "ab") as out, open(scratch / "data", "rb") as source:
        shutil.copyfileobj(source, out)
    (folder / WEIGHTS).unlink()
    shutil.copyfile(scratch / "grown", folder / WEIGHTS)
    (scratch / "ids.json").write_text("[1, 2, 3]")
    good = run(folder, scratch)
    assert good.code == 0, str(good)
    failures = 0
    for round_ in range(4 if Options.sanitized else 16):
        shutil.copyfile(scratch / "grown", folder / WEIGHTS)
        timer = threading.Timer(good.seconds * (round_ + 1) / 18, os.truncate, [folder / WEIGHTS, 8192])
        timer.start()
        outcome = run(folder, scratch)  # a signal fails here
        timer.join()
        if outcome.code != 0:
            refused(outcome, WEIGHTS, peak=400 * MIB)
            failures += 1
    assert failures > 0, "the file never changed in time"


# --- rows 21-24: tokenizer.json ---

def set_in(*path, value):
    def change(tokenizer):
        at = tokenizer
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
    return change


def last_token(tokenizer):
    return max(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)


TOKENIZERS = {
    "row 22: an id beyond 2^31": lambda t: t["model"]["vocab"].update({last_token(t): 1 << 31}),
    "row 22: an id of 2^63": lambda t: t["model"]["vocab"].update({last_token(t): 1 << 63}),
    "row 22: an id of 2^64": lambda t: t["model"]["vocab"].update({last_token(t): 1 << 64}),
    "row 22: a sparse id": lambda t: t["model"]["vocab"].update({last_token(t): 2_000_000_000}),
    "row 22: a negative id": lambda t: t["model"]["vocab"].update({last_token(t): -1}),
    "row 22: a fraction as id": lambda t: t["model"]["vocab"].update({last_token(t): 1.5}),
    "row 22: text as id": lambda t: t["model"]["vocab"].update({last_token(t): "7"}),
    "row 22: two tokens of one id": lambda t: t["model"]["vocab"].update({last_token(t): 5}),
    "row 22: an added token with a negative id": lambda t: t["added_tokens"][0].update(id=-3),
    "row 22: an added token with a sparse id": lambda t: t["added_tokens"][0].update(id=2_000_000_000),
    "row 22: two added tokens of one id": lambda t: t["added_tokens"][0].update(id=t["added_tokens"][1]["id"]),
    "row 22: an added token on a word's id": lambda t: t["added_tokens"][0].update(id=5),
    "row 15: a token beyond the embedding": lambda t: t["added_tokens"].append(
        {**t["added_tokens"][0], "id": 304, "content": "the end", "special": False}),
    "row 23: a merge of an unknown token": lambda t: t["model"]["merges"].append(["zzzz", "qqqq"]),
    "row 23: a merge that makes an unknown token": lambda t: t["model"]["merges"].append(["Z", "Q"]),
    "row 23: a merge of three": lambda t: t["model"]["merges"].append(["a", "b", "c"]),
    "row 23: a merge of one": lambda t: t["model"]["merges"].append("ab"),
    "row 23: a merge of numbers": lambda t: t["model"]["merges"].append([1, 2]),
    "row 23: merges as text": set_in("model", "merges", value="a b"),
    "row 21: no vocabulary": lambda t: t["model"].pop("vocab"),
    "row 21: a list as vocabulary": set_in("model", "vocab", value=["a", "b"]),
    "row 21: another model": set_in("model", "type", value="Unigram"),
    "row 21: no model": lambda t: t.pop("model"),
    "row 21: another pre-tokenizer": set_in("pre_tokenizer", value={"type": "Whitespace"}),
    "row 21: a pre-tokenizer's regex that isn't one": set_in(
        "pre_tokenizer", "pretokenizers", 0, "pattern", value={"Regex": "(unclosed"}),
    "row 21: a pre-tokenizer's regex of 1 MB": set_in(
        "pre_tokenizer", "pretokenizers", 0, "pattern", value={"Regex": "(" * 500_000 + ")" * 500_000}),
    "row 21: another normalizer": set_in("normalizer", value={"type": "Precompiled", "precompiled_charsmap": "AA=="}),
    "row 21: another decoder": set_in("decoder", value={"type": "Metaspace"}),
    "row 21: added tokens that are no list": set_in("added_tokens", value={"a": 1}),
    "row 21: an empty added token": lambda t: t["added_tokens"][0].update(content=""),
}


@cases({f"tokenizer.json: {name}": (change,) for name, change in TOKENIZERS.items()})
def bad_tokenizer(scratch, change):
    folder = copy_model(TEXT, scratch)
    edit_json(folder / "tokenizer.json", change)
    refused(kakeya("generate", "-m", folder, "-p", "the end", "-n", "1", "--json"), peak=100 * MIB)


@cases({f"row 21: tokenizer.json is {name}": (text,) for name, text in {
    "a million levels deep": b"[" * 1_000_000 + b"]" * 1_000_000, "deep objects": b'{"a":' * 300_000, "empty": b"{}",
    "not UTF-8": b'{"model": "\xff\xff"}', "cut": b'{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0',
    "a list": b"[]", "binary": bytes(range(256)) * 10}.items()})
def tokenizer_text(scratch, text):
    folder = copy_model(TEXT, scratch)
    (folder / "tokenizer.json").write_bytes(text)
    refused(kakeya("tokenize", "-m", folder, "-p", "x"), "tokenizer.json", peak=100 * MIB)
    refused(kakeya("generate", "-m", folder, "-p", "x"), "tokenizer.json", peak=100 * MIB)


@case("row 13: the same token twice in the vocabulary")
def duplicate_token(scratch):
    folder = copy_model(TEXT, scratch)
    text = json.dumps(json.loads((folder / "tokenizer.json").read_text()))
    assert '"vocab": {' in text
    (folder / "tokenizer.json").write_text(text.replace('"vocab": {', '"vocab": {"!": 0, ', 1))
    refused(kakeya("tokenize", "-m", folder, "-p", "x"), "tokenizer.json")


@cases({f"row 24: a byte token {name!r}": (name,) for name in ("<0x-1>", "<0xZZ>", "<0x100>", "<0x>")})
def byte_tokens(scratch, name):
    """In a byte-level vocabulary these spell text, whatever byte_fallback says: no byte is ever left over."""
    folder = copy_model(TEXT, scratch)

    def rename(tokenizer):
        last = last_token(tokenizer)
        vocab = tokenizer["model"]["vocab"]
        vocab[name] = vocab.pop(last)
        tokenizer["model"]["merges"] = [m for m in tokenizer["model"]["merges"] if "".join(m) != last]

    edit_json(folder / "tokenizer.json", rename)
    for byte_fallback in (False, True):
        edit_json(folder / "tokenizer.json", lambda t, b=byte_fallback: t["model"].update(byte_fallback=b))
        outcome = kakeya("tokenize", "-m", folder, "-p", f"the {name} \x7f end", "--json")
        assert outcome.code == 0 and all(0 <= i < 304 for i in outcome.json()["ids"]), str(outcome)


# --- row 27: chat templates ---

GROW = "{% set ns = namespace(s='x') %}"
TEMPLATES = {
    "a loop of 10^9": "{% for i in range(1000000000) %}{{ i }}{% endfor %}",
    "nested loops": "{% for i in range(10000) %}{% for j in range(10000) %}{% for k in range(10000) %}x{% endfor %}"
                    "{% endfor %}{% endfor %}",
    "a silent loop": "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "a macro that calls itself": "{% macro f(x) %}{{ f(x + 1) }}{% endmacro %}{{ f(0) }}",
    "two macros that call each other": "{% macro f(x) %}{{ g(x) }}{% endmacro %}{% macro g(x) %}{{ f(x) }}{% endmacro %}"
                                       "{{ f(0) }}",
    "10 GB by multiplication": "{{ 'x' * 10000000000 }}",
    "10 GB in pieces": "{% for i in range(100000) %}{{ 'x' * 100000 }}{% endfor %}",
    "a text that doubles": GROW + "{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
    "a text that doubles by ~": GROW + "{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    "a text that doubles by join": GROW + "{% for i in range(100) %}{% set ns.s = [ns.s, ns.s] | join %}{% endfor %}",
    "a text that doubles by replace": GROW + "{% for i in range(100) %}{% set ns.s = ns.s | replace('x', 'xx') %}"
                                             "{% endfor %}",
    "a list that doubles": "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}"
                           "{% endfor %}",
    "an indent of 10^9": "{{ 'a\\nb' | indent(1000000000) }}",
    "a JSON indent of 10^9": "{{ {'a': [1, 2]} | tojson(indent=1000000000) }}",
    "a deep expression": "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}",
    "deep lists": "{{ " + "[" * 100_000 + "]" * 100_000 + " }}",
    "deep ifs": "{% if true %}" * 50_000 + "{% endif %}" * 50_000,
    "a long chain of nots": "{{ " + "not " * 200_000 + "1 }}",
    "a long chain of minus": "{{ " + "-" * 200_000 + "1 }}",
    "an unclosed block": "{% for m in messages %}",
    "an unknown tag": "{% import 'os' as os %}",
    "an unknown filter": "{{ 'x' | system }}",
    "a syntax error": "{{ 1 + }}",
    "an exception of its own": "{{ raise_exception('roles must alternate') }}",
    "attribute escape by class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attribute escape by globals": "{{ messages.__init__.__globals__ }}",
    "a division by zero": "{{ 1 // 0 }}",
    "modulo zero": "{{ 5 % 0 }}",
    "calling a text": "{{ 'x'() }}",
    "2 MB of template": "x" * 2_000_000,
    "a template that is no text": 7,
}


@cases({f"row 27: chat template: {name}": (template,) for name, template in TEMPLATES.items()})
def bad_template(scratch, template):
    folder = copy_model(TEXT, scratch)
    edit_json(folder / "tokenizer_config.json", lambda c: c.update(chat_template=template))
    outcome = kakeya("chat", "-m", folder, "-n", "2", stdin=b"hi\n")
    outcome.stdout = outcome.stdout.strip()  # a turn that failed still ends its line
    refused(outcome, peak=1000 * MIB)


@case("row 27: a name that isn't there is undefined, not an error")
def undefined_names(scratch):
    folder = copy_model(TEXT, scratch)
    for expression in ("messages[0].nothing", "messages.nothing", "undefined_name"):
        edit_json(folder / "tokenizer_config.json", lambda c, e=expression: c.update(
            chat_template="{{ 'a' if " + e + " is defined else 'b' }}"))
        outcome = kakeya("chat", "-m", folder, "-n", "2", stdin=b"hi\n")
        assert outcome.code == 0, str(outcome)


@cases({f"tokenizer_config.json is {name}": (text,) for name, text in {
    "a directory": None, "deep": b'{"a":' * 100_000, "a list": b"[]", "cut": b'{"chat_template": "x'}.items()})
def bad_tokenizer_config(scratch, text):
    folder = copy_model(TEXT, scratch)
    (folder / "tokenizer_config.json").unlink()
    if text is None:
        (folder / "tokenizer_config.json").mkdir()
    else:
        (folder / "tokenizer_config.json").write_bytes(text)
    refused(kakeya("chat", "-m", folder, stdin=b"hi\n"))


# --- files that people really have ---

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 1192135096\n"


@cases({f"{file} is a Git LFS pointer": (file,) for file in ("config.json", WEIGHTS, "tokenizer.json")})
def lfs_pointer(scratch, file):
    folder = copy_model(TEXT, scratch)
    (folder / file).unlink()
    (folder / file).write_bytes(POINTER)
    refused(run(folder, scratch), str(folder / file), "Git LFS pointer", "1192135096 bytes", "git lfs pull")


@case("a GGUF file is a Git LFS pointer")
def lfs_gguf(scratch):
    (scratch / "m.gguf").write_bytes(POINTER)
    refused(run(scratch / "m.gguf", scratch), "m.gguf", "Git LFS pointer", "git lfs pull")


@case("a file of a model folder means the folder, in every verb")
def file_of_folder(scratch):
    want = run(FIXTURES / TEXT, scratch).json()["tokens"]
    for file in ("config.json", "tokenizer.json", WEIGHTS):
        assert run(FIXTURES / TEXT / file, scratch).json()["tokens"] == want, file
    config = FIXTURES / TEXT / "config.json"
    assert succeeds("inspect", "-m", config, "--json").json() == succeeds("inspect", "-m", FIXTURES / TEXT,
                                                                          "--json").json()
    assert succeeds("tokenize", "-m", config, "-p", "Hi").stdout == succeeds("tokenize", "-m", FIXTURES / TEXT, "-p",
                                                                             "Hi").stdout
    succeeds("quantize", config, scratch / "m.gguf", "F32")


@case("numbers as Python writes them stop nobody who doesn't read them")
def python_numbers(scratch):
    folder = copy_model(TEXT, scratch)
    want = run(folder, scratch).json()["tokens"]
    edit_json(folder / "config.json", lambda c: c.update(time_step_limit=[0.0, float("inf")], x=-float("inf")))
    edit_json(folder / "tokenizer_config.json", lambda c: c.update(model_max_length=float("inf"), x=float("nan")))
    assert "Infinity" in (folder / "config.json").read_text()
    assert run(folder, scratch).json()["tokens"] == want
    succeeds("chat", "-m", folder, "-n", "2", stdin=b"hi\n")
    edit_json(folder / "config.json", lambda c: c.update(rms_norm_eps=float("nan")))
    refused(run(folder, scratch), "config.json", "'rms_norm_eps' is NaN")


# --- tensors that the network doesn't have ---

def with_tensors(scratch, names, fixture="llama-tied"):
    """A copy of a fixture whose weights hold more tensors, of eight numbers each."""
    folder = copy_model(fixture, scratch)
    edit_json(folder / "config.json", lambda c: c.update(eos_token_id=0))
    header, data = read_safetensors(FIXTURES / fixture / WEIGHTS)
    for name in names:
        header[name] = {"dtype": "F32", "shape": [8], "data_offsets": [len(data), len(data) + 32]}
        data += struct.pack("<f", 0.5) * 8
    replace_weights(folder, header, data)
    return folder


@cases({f"{name} is refused by name": (name, words) for name, words in {
    "model.layers.0.self_attn.q_proj.bias": ["biases"], "model.layers.9.mlp.up_proj.weight": ["2 layers"],
    "model.layers.0.self_attn.q_norm.weight": ["config.json"], "model.layers.1.self_attn.sinks": ["config.json"],
    "lm_head.bias": ["biases"]}.items()})
def tensor_refused(scratch, name, words):
    folder = with_tensors(scratch, [name])
    refused(run(folder, scratch), WEIGHTS, name, *words)
    refused(kakeya("quantize", folder, scratch / "m.gguf", "Q8_0"), name, *words)
    assert not (scratch / "m.gguf").exists()


@case("tensors beside the network are one warning, leftovers none")
def tensor_unused(scratch):
    leftovers = ["model.layers.0.self_attn.rotary_emb.inv_freq"]
    outcome = run(with_tensors(scratch, leftovers), scratch)
    assert outcome.code == 0 and outcome.stderr == b"", str(outcome)
    want = outcome.json()["tokens"]
    (scratch / "more").mkdir()
    outcome = run(with_tensors(scratch / "more", [*leftovers, "score.weight", "visual.proj.weight"]), scratch)
    assert outcome.code == 0 and outcome.json()["tokens"] == want, str(outcome)
    text = outcome.stderr.decode()
    assert text.count("\n") == 1 and "2 tensors" in text and "score.weight" in text, text


@case("inspect --check lists every tensor that the network doesn't have, also when the model is refused")
def tensors_listed(scratch):
    names = {"model.layers.0.self_attn.q_proj.bias": "refused", "model.layers.1.self_attn.k_proj.bias": "refused",
             "score.weight": "unused", "model.rotary_emb.inv_freq": "harmless"}
    outcome = kakeya("inspect", "-m", with_tensors(scratch, names), "--check", "--json")
    assert outcome.code == 2 and b"q_proj.bias" in outcome.stderr and b"1 more" in outcome.stderr, str(outcome)
    assert {t["name"]: t["kind"] for t in outcome.json()["tensors"]["unknown"]} == names, str(outcome)
    (scratch / "ok").mkdir()
    folder = with_tensors(scratch / "ok", [name for name, kind in names.items() if kind != "refused"])
    assert len(succeeds("inspect", "-m", folder, "--check", "--json").json()["tensors"]["unknown"]) == 2
    assert b"score.weight" in succeeds("inspect", "-m", folder, "--check").stdout


@case("a tied model's own head is accepted where it is the embedding")
def tied_head(scratch):
    folder = small(scratch)
    header, data = read_safetensors(SMALL / WEIGHTS)
    begin, end = header[EMBED]["data_offsets"]
    head = data[begin:end]
    header["lm_head.weight"] = {**header[EMBED], "data_offsets": [len(data), len(data) + len(head)]}
    replace_weights(folder, header, data + head)
    outcome = run(folder, scratch)
    assert outcome.code == 0 and outcome.stderr == b"", str(outcome)
    write_safetensors(folder / WEIGHTS, header, data + head[:-4] + struct.pack("<f", 0.125))
    outcome = kakeya("inspect", "-m", folder, "--check")  # describes the model, then says what is wrong
    assert outcome.code == 2, str(outcome)
    for word in (b"lm_head.weight", b"tie_word_embeddings", b"row 95"):
        assert word in outcome.stderr, str(outcome)
    write_safetensors(folder / WEIGHTS, header, data + struct.pack("<f", 0.125) + head[4:])
    refused(run(folder, scratch), "lm_head.weight", "tie_word_embeddings", "row 0")


if __name__ == "__main__":
    sys.exit(main())
