#!/usr/bin/env python3
"""A GGUF file is taken wherever a model folder is, and computes what the folder that it was made from does.

"row N" is the fault's number in the project's list of faults.
"""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import threading

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "parity"))
from gguf_files import (TYPES, Gguf, add_tokenizer, config_of, fixture_gguf, hf_tensors, interleaved,  # noqa: E402
                        model_gguf, to_f32, with_matrices, write_folder)
from harness import (DEMO, FIXTURES, ROOT, Options, case, cases, generated, kakeya, main, read_tensors,  # noqa: E402
                     refused, succeeds)

TEXT = FIXTURES / "qwen3-tied-text"
MODELS = sorted(path.name for path in FIXTURES.iterdir() if (path / "config.json").is_file())
IDS = [1, 5, 2, 70, 33, 8, 8, 41, 60, 12]


def logits_of(model, scratch, name, ids=IDS):
    (scratch / "ids.json").write_text(json.dumps(ids))
    out = scratch / f"{name}.safetensors"
    succeeds("eval", "logits", "-m", model, "--ids", scratch / "ids.json", "--out", out)
    return read_tensors(out)["logits"]


# --- the same model, twice ---

def has_llama3_scaling(config):
    return (config.get("rope_parameters") or config.get("rope_scaling") or {}).get("rope_type") == "llama3"


@cases({f"{name} in {kind}: logits have the folder's bits": (name, kind)
        for name in MODELS for kind in ("F32", "F16", "BF16")})
def same_bits(scratch, name, kind):
    config = config_of(FIXTURES / name)
    tensors = with_matrices(hf_tensors(FIXTURES / name), kind)
    folder = write_folder(scratch / "folder", config, tensors)
    file = model_gguf(config, tensors).write(scratch / "m.gguf")
    want, got = logits_of(folder, scratch, "want"), logits_of(file, scratch, "got")
    if has_llama3_scaling(config):
        # The file has rounded factors instead of the formula: a last bit of some frequencies differs.
        numpy.testing.assert_allclose(got, want, rtol=0, atol=2e-3 * want.std())
    else:
        assert got.tobytes() == want.tobytes(), f"differs by up to {abs(got - want).max()}"
    for flags in ([], ["--kv", "window"]):
        folder_tokens = generated(folder, IDS, 24, *flags, scratch=scratch)["tokens"]
        assert generated(file, IDS, 24, *flags, scratch=scratch)["tokens"] == folder_tokens


@case("projections that are kept apart have the bits of those that are stacked")
def apart(scratch):
    name = "llama-untied-sharded"
    config, rounded = config_of(FIXTURES / name), with_matrices(hf_tensors(FIXTURES / name), "BF16")
    stacked = with_matrices(rounded, "F32")
    mixed = {key: rounded[key] if "v_proj" in key else tensor for key, tensor in stacked.items()}
    files = [model_gguf(config, tensors).write(scratch / f"{i}.gguf") for i, tensors in enumerate((stacked, mixed))]
    ids = [(7 * i) % 100 for i in range(300)]
    (scratch / "ids.json").write_text(json.dumps(ids))
    for flags in ([], ["--kv", "restored", "--restorer", "identity", "--window", 64]):
        want, got = (succeeds("eval", "logits", "-m", file, "--ids", scratch / "ids.json", "--out", scratch / "out",
                              *flags) and read_tensors(scratch / "out")["logits"].tobytes() for file in files)
        assert got == want, flags


@case("a file of the format's own package is read as one of ours")
def reference_writer(scratch):
    import gguf
    ours = fixture_gguf("llama-untied-sharded")
    ours.write(scratch / "ours.gguf")
    theirs = gguf.GGUFWriter(scratch / "theirs.gguf", "llama")
    for key, (kind, value) in ours.pairs.items():
        if key != "general.architecture":
            {"u32": theirs.add_uint32, "f32": theirs.add_float32, "str": theirs.add_string}[kind](key, value)
    for name, (kind, shape, data) in ours.tensors.items():
        raw = numpy.frombuffer(data, numpy.uint8).reshape(*shape[:-1], -1)
        theirs.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType[kind])
    theirs.write_header_to_file()
    theirs.write_kv_data_to_file()
    theirs.write_tensors_to_file()
    theirs.close()
    assert logits_of(scratch / "ours.gguf", scratch, "a").tobytes() == \
        logits_of(scratch / "theirs.gguf", scratch, "b").tobytes()
    read = gguf.GGUFReader(scratch / "ours.gguf")
    assert [t.name for t in read.tensors] == list(ours.tensors), "the package reads other tensors"


# --- block formats ---

def random_blocks(kind, rows, cols, random):
    """Blocks of any integers; the scales are such that elements are about 0.05."""
    _, elements, size = TYPES[kind]
    blocks = random.integers(0, 256, (rows * cols // elements, size), dtype=numpy.uint8)
    scale = {"Q8_0": 7e-4, "Q4_0": 1e-2, "Q4_1": 1e-2, "Q5_0": 5e-3, "Q5_1": 5e-3, "IQ4_NL": 7e-4, "Q4_K": 2e-4,
             "Q5_K": 1e-4, "Q6_K": 4e-5}[kind]
    at = {"Q6_K": [208]}.get(kind, [0])
    # Mins move what is never negative around 0: they are added, or in k-quants a scale of those that are taken away.
    min_factor = {"Q4_1": -7.5, "Q5_1": -15.5, "Q4_K": 4, "Q5_K": 4}.get(kind)
    if min_factor is not None:
        at.append(2)
    for i, offset in enumerate(at):
        factor = min_factor if i else 1
        scales = (scale * factor * random.uniform(0.5, 1.5, len(blocks))).astype("<f2")
        blocks[:, offset:offset + 2] = scales.view(numpy.uint8).reshape(-1, 2)
    return blocks.tobytes()


WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 8, "num_key_value_heads": 2,
        "head_dim": 32, "num_hidden_layers": 2, "vocab_size": 96, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "eos_token_id": None, "bos_token_id": None}


def quantized_model(arch, kinds, seed=1):
    """A random model in block formats (`kinds` by part of a name, "" for the rest): its config, HF tensors of the same
    values in F32, and the GGUF file."""
    import gguf as reference
    config = {**WIDE, "model_type": arch, "tie_word_embeddings": False}
    random = numpy.random.default_rng(seed)
    hidden, inner, q, kv = 256, 512, 8 * 32, 2 * 32
    shapes = {"model.embed_tokens": [96, hidden], "lm_head": [96, hidden], "model.norm": [hidden]}
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        shapes.update({prefix + "input_layernorm": [hidden], prefix + "post_attention_layernorm": [hidden],
                       prefix + "self_attn.q_proj": [q, hidden], prefix + "self_attn.k_proj": [kv, hidden],
                       prefix + "self_attn.v_proj": [kv, hidden], prefix + "self_attn.o_proj": [hidden, q],
                       prefix + "mlp.gate_proj": [inner, hidden], prefix + "mlp.up_proj": [inner, hidden],
                       prefix + "mlp.down_proj": [hidden, inner]})
        if arch == "qwen3":
            shapes.update({prefix + "self_attn.q_norm": [32], prefix + "self_attn.k_norm": [32]})
    plain, blocks = {}, {}
    for name, shape in shapes.items():
        name += ".weight"
        if len(shape) == 1:
            plain[name] = ("F32", shape, random.uniform(0.5, 1.5, shape).astype("<f4").tobytes())
            blocks[name] = plain[name]
            continue
        kind = next(kinds[part] for part in sorted(kinds, reverse=True) if part in name)
        data = random_blocks(kind, *shape, random)
        raw = numpy.frombuffer(data, numpy.uint8).reshape(shape[0], -1)
        values = reference.dequantize(raw, reference.GGMLQuantizationType[kind])
        plain[name] = ("F32", shape, values.astype("<f4").tobytes())
        blocks[name] = (kind, shape, data)
    return config, plain, model_gguf(config, blocks)


KINDS = {kind: {"": kind} for kind in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "Q4_K", "Q5_K", "Q6_K")}
KINDS["Q4_K with v and down in Q6_K"] = {"": "Q4_K", "v_proj": "Q6_K", "down_proj": "Q6_K", "lm_head": "Q6_K"}
KINDS["Q4_K with v in Q5_1, down in Q5_0"] = {"": "Q4_K", "v_proj": "Q5_1", "down_proj": "Q5_0", "lm_head": "IQ4_NL"}
KINDS["Q4_0, Q8_0 and Q5_K for q, k and v"] = {"": "Q8_0", "q_proj": "Q4_0", "v_proj": "Q5_K"}


@cases({f"{arch} in {name}: logits are near those of the same weights in F32": (arch, kinds)
        for arch in ("qwen3", "llama") for name, kinds in KINDS.items()})
def near_plain(scratch, arch, kinds):
    config, plain, gguf = quantized_model(arch, kinds)
    folder = write_folder(scratch / "folder", config, plain)
    file = gguf.write(scratch / "m.gguf")
    want, got = logits_of(folder, scratch, "want"), logits_of(file, scratch, "got")
    # Activations are rounded to 8 bits; a wrong row, nibble or scale moves logits by their own size.
    error = numpy.sqrt(((got - want) ** 2).mean()) / want.std()
    assert error < 0.05, f"relative error {error:.4f}"
    result = generated(file, IDS, 8, scratch=scratch)
    assert len(result["tokens"]) == 8
    # Each K and V takes two bytes: the cache is BF16 where the embedding comes in blocks.
    assert result["kv"]["resident_bytes"] % (2 * 2 * 2 * 32 * 2) == 0
    assert generated(file, IDS, 8, "--kv-type", "bf16", scratch=scratch)["kv"] == result["kv"]


@cases({f"{kind}: where the tensors begin doesn't matter": (kind,) for kind in ("F32", *KINDS)})
def any_alignment(scratch, kind):
    gguf = fixture_gguf("llama-tied") if kind == "F32" else quantized_model("llama", KINDS[kind])[2]
    want = logits_of(gguf.write(scratch / "32.gguf"), scratch, "want")
    for alignment in (1, 256):
        gguf.pairs["general.name"] = ("str", "an odd length")
        file = gguf.align(alignment).write(scratch / f"{alignment}.gguf")
        assert logits_of(file, scratch, "got").tobytes() == want.tobytes(), alignment


@case("a type that no kernel computes is refused with tensor and type")
def other_type(scratch):
    gguf = fixture_gguf("llama-tied")
    _, shape, _ = gguf.tensors["blk.1.ffn_up.weight"]
    rows, cols = shape
    gguf.tensors["blk.1.ffn_up.weight"] = ("MXFP4", shape, b"\0" * (rows * cols // 32 * 17))
    refused(load(gguf, scratch), "m.gguf", "blk.1.ffn_up.weight", "MXFP4", "this engine reads")


@case("a norm in blocks is refused")
def norm_in_blocks(scratch):
    gguf = fixture_gguf("llama-tied")
    gguf.tensors["output_norm.weight"] = ("Q8_0", [32], b"\0" * 34)
    refused(load(gguf, scratch), "output_norm.weight", "Q8_0")


# --- text ---

def demo_gguf():
    config = config_of(DEMO)
    return add_tokenizer(model_gguf(config, hf_tensors(DEMO)), DEMO, "qwen2", config["vocab_size"])


def tokenized(model, texts, scratch, *flags):
    (scratch / "texts.json").write_text(json.dumps(texts))
    return succeeds("tokenize", "-m", model, "--batch", scratch / "texts.json", *flags, seconds=60).json()["ids"]


def mean_strings():
    from tokenizer_parity import CORNERS, MARKED, PHRASES, SPACES
    words = ["<|im_start|>user\nhi<|im_end|>", "<think> a </think>", "<tool_call>{}</tool_call>", "a<|endoftext|>b"]
    return PHRASES + SPACES + CORNERS + MARKED + words + ["".join(PHRASES)]


@case("the demo model tokenizes as its folder")
def demo_tokens(scratch):
    file = demo_gguf().write(scratch / "m.gguf")
    texts = mean_strings()
    assert len(texts) > 100
    for flags in ([], ["--special"], ["--no-bos"]):
        assert tokenized(file, texts, scratch, *flags) == tokenized(DEMO, texts, scratch, *flags), flags
    ids = tokenized(file, texts, scratch)
    (scratch / "lists.json").write_text(json.dumps(ids))
    for flags in ([], ["--keep-special"]):
        got, want = (succeeds("tokenize", "-m", model, "--decode", scratch / "lists.json", *flags).json()
                     for model in (file, DEMO))
        assert got == want, flags


LLAMA3_WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def bytes_only(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


RECIPES = {  # tokenizer.ggml.pre: (steps of the pre-tokenizer, NFC, ignore_merges, a beginning of text)
    "llama-bpe": ([{"type": "Split", "pattern": {"Regex": LLAMA3_WORDS}, "behavior": "Isolated", "invert": False},
                   bytes_only(False)], False, True, True),
    "smollm": ([{"type": "Digits", "individual_digits": True}, bytes_only(True)], False, False, False),
    "gpt-2": ([bytes_only(True)], False, False, False),
}


@cases({f"the pre-tokenizer {pre} cuts as its model's own": (pre,) for pre in RECIPES})
def pre_tokenizers(scratch, pre):
    steps, nfc, ignore_merges, bos = RECIPES[pre]
    folder = scratch / "folder"
    folder.mkdir()
    file = json.loads((DEMO / "tokenizer.json").read_text())
    file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    file["normalizer"] = {"type": "NFC"} if nfc else None
    file["model"]["ignore_merges"] = ignore_merges
    if bos:
        start = {"id": "<|endoftext|>", "ids": [4080], "tokens": ["<|endoftext|>"]}
        file["post_processor"] = {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": {"<|endoftext|>": start}}
    (folder / "tokenizer.json").write_text(json.dumps(file))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<|endoftext|>"}))
    gguf = add_tokenizer(fixture_gguf("qwen3-tied-text"), folder, pre, 4096)
    gguf.write(scratch / "m.gguf")
    assert gguf.pairs["tokenizer.ggml.bos_token_id"] == ("u32", 4080)
    for flags in ([], ["--special"], ["--no-bos"]):
        assert tokenized(scratch / "m.gguf", mean_strings(), scratch, *flags) == \
            tokenized(folder, mean_strings(), scratch, *flags), flags


@case("a file without tokenizer.ggml.pre cuts by default rules, with a warning")
def missing_pre(scratch):
    gguf = add_tokenizer(fixture_gguf("qwen3-tied-text"), TEXT, "default", 304)
    named = succeeds("tokenize", "-m", gguf.write(scratch / "m.gguf"), "-p", "it's 12345 <= $3", "--json")
    assert b"tokenizer.ggml.pre" not in named.stderr, str(named)
    del gguf.pairs["tokenizer.ggml.pre"]
    missing = succeeds("tokenize", "-m", gguf.write(scratch / "m.gguf"), "-p", "it's 12345 <= $3", "--json")
    assert b"tokenizer.ggml.pre" in missing.stderr and missing.json() == named.json(), str(missing)


@case("add_bos_token decides, whatever the pre-tokenizer's habit")
def bos_flag(scratch):
    for pre, flag, wanted in (("llama-bpe", None, True), ("llama-bpe", False, False), ("qwen2", None, False),
                              ("qwen2", True, True)):
        gguf = add_tokenizer(fixture_gguf("qwen3-tied-text"), TEXT, pre, 304)
        gguf.pairs["tokenizer.ggml.bos_token_id"] = ("u32", 292)
        if flag is not None:
            gguf.pairs["tokenizer.ggml.add_bos_token"] = ("bool", flag)
        ids = tokenized(gguf.write(scratch / "m.gguf"), ["abc"], scratch)[0]
        assert (ids[0] == 292) == wanted, (pre, flag, ids)


@case("the demo model generates and chats as its folder without the restorer")
def demo_chat(scratch):
    file = demo_gguf().write(scratch / "m.gguf")
    flags = ["-n", 24, "--kv", "full"]
    for verb in (["generate", "-p", "The capital of France is"], ["chat"]):
        want = succeeds(*verb, "-m", DEMO, *flags, stdin=b"Say hello.\nAnd again.\n", seconds=60)
        got = succeeds(*verb, "-m", file, *flags, stdin=b"Say hello.\nAnd again.\n", seconds=60)
        assert got.stdout == want.stdout, f"{got}, wanted {want}"
    assert kakeya("generate", "-m", file, "-p", "x", "-n", 1, "--json").json()["kv"]["policy"] == "full"


@case("inspect describes a file as it does a folder")
def inspected(scratch):
    file = demo_gguf().write(scratch / "m.gguf")
    want = succeeds("inspect", "-m", DEMO, "--json").json()
    got = succeeds("inspect", "-m", file, "--json", "--check", "--tensors").json()
    assert {**want["config"], "eos_token_ids": [4080, 4082]} == got["config"]
    assert got["kv"] == want["kv"] and got["restorer"] is None
    assert got["text"] == {"tokenizer": {"tokens": 4096}, "chat_template": True}
    assert got["tensors"]["files"] == 1 and got["tensors"]["parameters"] == want["tensors"]["parameters"]
    assert set(got["tensors"]["bytes_by_type"]) == {"BF16", "F32"}
    assert any(t["name"] == "token_embd.weight" and t["shape"] == [4096, 256] for t in got["tensors"]["list"])


@case("perplexity and prove take a file")
def other_verbs(scratch):
    file = demo_gguf().write(scratch / "m.gguf")
    (scratch / "text").write_text("It was the best of times, it was the worst of times. " * 40)
    command = ["eval", "perplexity", "-f", scratch / "text", "--kv", "full", "--context", 128, "--json", "-m"]
    got, want = (succeeds(*command, model, seconds=60).json()["rows"][0]["nll"] for model in (file, DEMO))
    assert got == want
    outcome = kakeya("prove", "-m", file, "--lengths", 256, "-n", 1, "--arms", "oracle,window", "--json",
                     scratch / "report.json", seconds=120)
    assert outcome.code in (0, 1), str(outcome)
    assert json.loads((scratch / "report.json").read_text())["rows"], str(outcome)


@cases({f"the demo model quantised to {kind} by the format's own package predicts nearly as well": (kind, most)
        for kind, most in [("Q8_0", 1.005), ("Q4_0", 1.15), ("Q4_1", 1.15), ("Q5_0", 1.05), ("Q5_1", 1.05)]})
def quantized_demo(scratch, kind, most):
    import gguf as reference
    gguf = demo_gguf()
    for name, (old, shape, data) in gguf.tensors.items():
        if len(shape) == 2:
            blocks = reference.quantize(to_f32(old, data).reshape(shape), reference.GGMLQuantizationType[kind])
            gguf.tensors[name] = (kind, shape, blocks.tobytes())
    file = gguf.write(scratch / "m.gguf")
    (scratch / "text").write_text((ROOT / "LICENSE").read_text())
    command = ["eval", "perplexity", "-f", scratch / "text", "--kv", "full", "--context", 512, "--max-tokens", 2048,
               "--json", "-m"]
    got, want = (succeeds(*command, model, seconds=60).json()["rows"][0]["perplexity"] for model in (file, DEMO))
    assert 1 / most < got / want < most, (got, want)


def iq4_nl(values):
    """IQ4_NL blocks near the values: the package only reads them."""
    import gguf as reference
    levels = numpy.array(reference.quants.IQ4_NL.kvalues, "<f4")
    blocks = values.reshape(-1, 32)
    largest = numpy.take_along_axis(blocks, abs(blocks).argmax(-1, keepdims=True), -1)
    d = (largest / levels[0]).astype("<f2")
    scaled = blocks / numpy.where(d == 0, 1, d.astype("<f4"))
    q = abs(scaled[:, :, None] - levels).argmin(-1).astype(numpy.uint8)
    return numpy.concatenate([d.view(numpy.uint8), q[:, :16] | q[:, 16:] << 4], -1)


# Activations meet blocks in 8 bits and floats as they are, so the two differ a little: what is asked for is that both
# say the same next token nearly everywhere, which no mistake in a format's layout survives.
@cases({f"the demo model in {kind} predicts what its dequantised weights do": (kind,)
        for kind in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL")})
def same_predictions(scratch, kind):
    import gguf as reference
    config, plain, blocks = config_of(DEMO), {}, {}
    for name, (old, shape, data) in hf_tensors(DEMO).items():
        plain[name] = blocks[name] = ("F32", shape, to_f32(old, data).tobytes())
        if len(shape) == 2:
            values, number = to_f32(old, data).reshape(shape), reference.GGMLQuantizationType[kind]
            stored = iq4_nl(values) if kind == "IQ4_NL" else reference.quantize(values, number)
            read = reference.dequantize(stored, number).astype("<f4")
            plain[name], blocks[name] = ("F32", shape, read.tobytes()), (kind, shape, stored.tobytes())
    folder = write_folder(scratch / "folder", config, plain)
    file = model_gguf(config, blocks).write(scratch / "m.gguf")
    ids = tokenized(DEMO, [(ROOT / "LICENSE").read_text()], scratch)[0][:200]
    want, got = (logits_of(model, scratch, name, ids) for name, model in (("want", folder), ("got", file)))
    same = (want.argmax(-1) == got.argmax(-1)).mean()
    apart = abs(want - got).mean() / want.std()
    assert same >= 0.9 and apart < 0.03, (same, apart)


# --- files without a tokenizer, or with another kind ---

OTHER = {"no tokenizer": ({}, "no tokenizer"),
         "no_vocab": ({"tokenizer.ggml.model": ("str", "no_vocab")}, "no tokenizer"),
         "SentencePiece": ({"tokenizer.ggml.model": ("str", "llama")}, "SentencePiece"),
         "WordPiece": ({"tokenizer.ggml.model": ("str", "bert")}, "'bert'"),
         "another pre-tokenizer": ({"tokenizer.ggml.model": ("str", "gpt2"), "tokenizer.ggml.pre": ("str", "gemma4")},
                                   "'gemma4'")}


@cases({f"{name}: ids work, text says why not": row for name, row in OTHER.items()})
def without_tokenizer(scratch, pairs, word):
    gguf = fixture_gguf("qwen3-window")
    gguf.pairs.update({**pairs, "tokenizer.ggml.eos_token_id": ("u32", 0)})
    file = gguf.write(scratch / "m.gguf")
    want = generated(FIXTURES / "qwen3-window", IDS, 8, scratch=scratch)["tokens"]
    assert generated(file, IDS, 8, scratch=scratch)["tokens"] == want
    for verb in (["generate", "-p", "x"], ["tokenize", "-p", "x"], ["chat"]):
        refused(kakeya(*verb, "-m", file), "m.gguf", word, "only --ids works")
    assert word in succeeds("inspect", "-m", file, "--json").json()["text"]["tokenizer_error"]


@case("row 30: a restorer made for a folder is refused for a file made from that")
def foreign_restorer(scratch):
    file = demo_gguf().write(scratch / "m.gguf")
    refused(kakeya("generate", "-m", file, "-p", "x", "--kv", "restored", "--restorer", DEMO / "restorer"), "restorer")
    refused(kakeya("generate", "-m", file, "-p", "x", "--kv", "restored"), "GGUF", "--restorer")


# --- models in several files ---

def write_parts(gguf, folder, count, name="m"):
    """What gguf-split makes of a file: all metadata in the first part, tensors in turn."""
    names, paths = list(gguf.tensors), []
    for part in range(count):
        piece = Gguf()
        if part == 0:
            piece.pairs.update(gguf.pairs)
        piece.pairs.update({"split.no": ("u16", part), "split.count": ("u16", count),
                            "split.tensors.count": ("i32", len(names))})
        share = -(-len(names) // count)
        piece.tensors = {key: gguf.tensors[key] for key in names[part * share:(part + 1) * share]}
        paths.append(piece.write(folder / f"{name}-{part + 1:05}-of-{count:05}.gguf"))
    return paths


@case("any part of a model in several files is the model")
def any_part(scratch):
    whole, folder = fixture_gguf("llama-untied-sharded"), scratch / "parts"
    folder.mkdir()
    want = logits_of(whole.write(scratch / "whole.gguf"), scratch, "whole").tobytes()
    parts = write_parts(whole, folder, 3)
    for path in (*parts, folder):
        assert logits_of(path, scratch, "part").tobytes() == want, path
    assert succeeds("inspect", "-m", parts[2], "--json").json()["tensors"]["files"] == 3
    succeeds("quantize", parts[1], scratch / "joined.gguf", "F32")
    assert (scratch / "joined.gguf").read_bytes().count(b"split.") == 0
    assert logits_of(scratch / "joined.gguf", scratch, "joined").shape == logits_of(parts[0], scratch, "part").shape
    refused(kakeya("quantize", parts[2], parts[0], "Q8_0"), "holds the weights")


@case("a part that is missing, of another model, or holds what another holds is named")
def bad_parts(scratch):
    def opened(part=1):
        return load(scratch / f"m-{part:05}-of-00003.gguf", scratch)

    write_parts(small(), scratch, 3)
    second = scratch / "m-00002-of-00003.gguf"
    kept = second.read_bytes()
    second.unlink()
    refused(opened(3), "m-00003-of-00003.gguf", "part 2 of 3 is missing")
    other = fixture_gguf("llama-untied-sharded")
    (scratch / "other").mkdir()
    second.write_bytes(write_parts(other, scratch / "other", 3)[1].read_bytes())
    refused(opened(), "m-00002-of-00003.gguf", "split.tensors.count", "another model")
    second.write_bytes((scratch / "m-00003-of-00003.gguf").read_bytes())
    refused(opened(), "m-00002-of-00003.gguf", "split.no")
    second.write_bytes(kept[:100])
    refused(opened(3), "m-00002-of-00003.gguf")


@case("a folder that holds one GGUF file is that file, of several one has to be named")
def folder_of_gguf(scratch):
    folder = scratch / "folder"
    folder.mkdir()
    small().write(folder / "m-f32.gguf")
    assert load(folder, scratch).json()["tokens"] == load(folder / "m-f32.gguf", scratch).json()["tokens"]
    small().write(folder / "m-other.gguf")
    refused(load(folder, scratch), "2 models", "m-f32.gguf, m-other.gguf")


# --- bad files ---

def load(gguf, scratch, *verb, **limits):
    """Loads the model and computes one token from ids."""
    (scratch / "ids.json").write_text("[1, 2, 3]")
    file = gguf.write(scratch / "m.gguf") if hasattr(gguf, "write") else gguf
    words = verb or ("generate", "--ids", scratch / "ids.json", "-n", "2", "--json")
    return kakeya(*words, "-m", file, **limits)


def small():
    """A small llama with an end of text, so that no warning stands before the error."""
    gguf = fixture_gguf("llama-tied")
    gguf.pairs["tokenizer.ggml.eos_token_id"] = ("u32", 0)
    return gguf


@cases({f"row 1: {what} as m.gguf": (make,) for what, make in {
    "an empty file": lambda p: p.write_bytes(b""), "a folder": lambda p: p.mkdir(), "a FIFO": os.mkfifo,
    "nothing": lambda p: None, "a link to nowhere": lambda p: p.symlink_to("nowhere"),
    "a device": lambda p: p.symlink_to("/dev/zero"), "a text": lambda p: p.write_text("GGUF is a format")}.items()})
def no_file(scratch, make):
    make(scratch / "m.gguf")
    for verb in (["inspect"], ["tokenize", "-p", "x"], ["generate", "-p", "x"], ["chat"]):
        refused(kakeya(*verb, "-m", scratch / "m.gguf"), "m.gguf")


@cases({f"row 2: version {version}": (version, word) for version, word in [
    (1, "version 1"), (4, "version 4"), (0x03000000, "big-endian")]})
def version(scratch, version, word):
    gguf = small()
    gguf.version = version
    refused(load(gguf, scratch), "m.gguf", word)


@case("row 3: truncated anywhere in the header, and in the data")
def truncated(scratch):
    raw = small().bytes()
    header = len(small().header())
    stride = 97 if Options.sanitized else 13
    for length in [*range(0, header, stride), header, header + 40, len(raw) - 64, len(raw) - 33]:
        (scratch / "m.gguf").write_bytes(raw[:length])
        refused(load(scratch / "m.gguf", scratch), "m.gguf")


def patched(old, new):
    """The small file with the first `old` replaced by as many bytes."""
    raw = small().bytes()
    assert len(old) == len(new) and old in raw
    return raw.replace(old, new, 1)


def at_offset(offset, value):
    raw = small().bytes()
    return raw[:offset] + struct.pack("<Q", value) + raw[offset + 8:]


def with_tensor(kind, shape, data=b"\0" * 64):
    gguf = small()
    gguf.tensors["extra"] = (kind, shape, data)
    return gguf.bytes()


def with_alignment(kind, value):
    gguf = small()
    gguf.pairs["general.alignment"] = (kind, value)
    return gguf.bytes()


def with_type(number):
    raw, header = small().bytes(), len(small().header())  # it ends with the last tensor's type and offset
    return raw[:header - 12] + struct.pack("<I", number) + raw[header - 8:]


def last_offset(value):
    return at_offset(len(small().header()) - 8, value)


HEADERS = {
    "row 4: 2^63 keys": (lambda: at_offset(16, 2**63), ["keys"]),
    "row 4: 2^63 tensors": (lambda: at_offset(8, 2**63), ["tensors"]),
    "row 5: a key of 2^40 bytes": (lambda: at_offset(24, 2**40), ["key at offset 24"]),
    "row 6: dimensions whose product overflows": (lambda: with_tensor("F32", [2, 2**63 - 1]), ["extra", "too large"]),
    "row 7: a dimension of 0": (lambda: with_tensor("F32", [4, 0]), ["extra", "dimension 0 is 0"]),
    "row 8: a dimension of -1": (lambda: with_tensor("F32", [4, 2**64 - 1]), ["extra", "-1"]),
    "row 8: five dimensions": (lambda: with_tensor("F32", [1, 1, 1, 1, 1]), ["extra", "5 dimensions"]),
    "row 9: a size that wraps when padded": (lambda: with_tensor("F32", [2**62 - 1]), ["extra"]),
    "row 10: alignment 0": (lambda: with_alignment("u32", 0), ["general.alignment"]),
    "row 10: alignment 3": (lambda: with_alignment("u32", 3), ["general.alignment"]),
    "row 10: alignment 2^31": (lambda: with_alignment("u32", 2**31), ["general.alignment"]),
    "row 10: alignment a text": (lambda: with_alignment("str", "32"), ["general.alignment"]),
    "row 11: a type that nobody knows": (lambda: with_type(1000), ["unknown tensor type 1000"]),
    "row 11: a row that isn't whole blocks": (lambda: with_tensor("Q8_0", [2, 33]), ["extra", "33"]),
    "row 12: an offset that isn't aligned": (lambda: last_offset(33), ["unaligned"]),
    "row 12: an offset into another tensor": (lambda: last_offset(32), ["overlapping"]),
    "row 12: an offset beyond the end": (lambda: last_offset(2**40), ["leaving a hole"]),
    "row 13: a tensor twice": (lambda: patched(b"blk.1.attn_k.weight", b"blk.0.attn_k.weight"),
                               ["blk.0.attn_k.weight", "twice"]),
    "row 13: a key twice": (lambda: patched(b"attention.key_length", b"attention.head_count"),
                            ["llama.attention.head_count", "twice"]),
}


@cases({name: row for name, row in HEADERS.items()})
def bad_header(scratch, make, words):
    (scratch / "m.gguf").write_bytes(make())
    refused(load(scratch / "m.gguf", scratch), "m.gguf", *words)
    refused(load(scratch / "m.gguf", scratch, "inspect"), "m.gguf", *words)


NETWORKS = {
    "layers 0": ({"llama.block_count": ("u32", 0)}, ["llama.block_count", "is 0"]),
    "layers missing": ({"llama.block_count": None}, ["llama.block_count", "missing"]),
    "layers a text": ({"llama.block_count": ("str", "2")}, ["llama.block_count"]),
    "layers more than there are": ({"llama.block_count": ("u32", 3)}, ["blk.2.attn_norm.weight", "missing"]),
    "layers 2^32 - 1": ({"llama.block_count": ("u32", 2**32 - 1)}, ["llama.block_count", "4294967295"]),
    "heads no multiple": ({"llama.attention.head_count_kv": ("u32", 3)},
                          ["llama.attention.head_count 2", "llama.attention.head_count_kv 3"]),
    "heads -1": ({"llama.attention.head_count": ("i32", -1)}, ["llama.attention.head_count", "-1"]),
    "heads per layer": ({"llama.attention.head_count": (["u32"], [2, 2])}, ["llama.attention.head_count"]),
    "vocabulary larger than the embedding": ({"llama.vocab_size": ("u32", 97)},
                                             ["token_embd.weight", "[96, 32]", "[97, 32]", "llama.vocab_size"]),
    "vocabulary of another size than the tokens": ({"tokenizer.ggml.tokens": (["str"], ["a", "b"])},
                                                   ["llama.vocab_size", "96", "2 tokens"]),
    "tokens no array": ({"tokenizer.ggml.tokens": ("str", "a")}, ["tokenizer.ggml.tokens", "array"]),
    "head dimensions of their own": ({"llama.attention.value_length": ("u32", 8)}, ["value_length 8", "16"]),
    "half a rotation": ({"llama.rope.dimension_count": ("u32", 8)}, ["rope.dimension_count 8", "16"]),
    "key length against the tensor": ({"llama.attention.key_length": ("u32", 24), "llama.attention.value_length": None,
                                       "llama.rope.dimension_count": None},
                                      ["blk.0.attn_q.weight", "[32, 32]", "[48, 32]"]),
    "feed forward against the tensor": ({"llama.feed_forward_length": ("u32", 65)},
                                        ["blk.0.ffn_gate.weight", "[64, 32]", "[65, 32]", "feed_forward_length 65"]),
    "another architecture": ({"general.architecture": ("str", "gemma3")}, ["'gemma3'", "qwen3, llama"]),
    "no architecture": ({"general.architecture": None}, ["general.architecture", "missing"]),
    "experts": ({"llama.expert_count": ("u32", 8)}, ["llama.expert_count 8"]),
    "a sliding window": ({"llama.attention.sliding_window": ("u32", 64)}, ["sliding_window 64"]),
    "an unknown rotary scaling": ({"llama.rope.scaling.type": ("str", "spiral")}, ["'spiral'", "yarn, longrope"]),
    "longrope without its factors": ({"llama.rope.scaling.type": ("str", "longrope")}, ["rope_factors_long.weight"]),
    "yarn with theta 1": ({"llama.rope.scaling.type": ("str", "yarn"), "llama.rope.freq_base": ("f32", 1)},
                          ["rope.freq_base 1 must be above 1"]),
    "stretched by NaN": ({"llama.rope.scaling.factor": ("f32", float("nan"))}, ["rope.scaling.factor"]),
    "stretched by 0.5": ({"llama.rope.scaling.factor": ("f32", 0.5)}, ["rope.scaling.factor", "0.5"]),
    "theta 0": ({"llama.rope.freq_base": ("f32", 0)}, ["rope.freq_base"]),
    "no epsilon": ({"llama.attention.layer_norm_rms_epsilon": None}, ["layer_norm_rms_epsilon", "missing"]),
    "end of text beyond the vocabulary": ({"tokenizer.ggml.eos_token_id": ("u32", 96)},
                                          ["tokenizer.ggml.eos_token_id", "96"]),
    "one of three files under another name": ({"split.count": ("u32", 3)}, ["one of 3 files", "-00001-of-00003.gguf"]),
}


@cases({f"row 15: {name}": row for name, row in NETWORKS.items()})
def bad_network(scratch, pairs, words):
    gguf = small()
    gguf.pairs.update(pairs)
    gguf.pairs = {key: value for key, value in gguf.pairs.items() if value is not None}
    refused(load(gguf, scratch), "m.gguf", *words)


@case("rows 8, 15: tensors that are missing, of another shape, or too many")
def bad_tensors(scratch):
    gguf = small()
    del gguf.tensors["blk.1.ffn_down.weight"]
    refused(load(gguf, scratch), "m.gguf", "blk.1.ffn_down.weight", "missing")
    gguf = small()
    gguf.tensors["blk.0.attn_q.bias"] = ("F32", [32], b"\0" * 128)
    refused(load(gguf, scratch), "m.gguf", "blk.0.attn_q.bias")
    gguf = small()
    kind, shape, data = gguf.tensors["blk.0.ffn_up.weight"]
    gguf.tensors["blk.0.ffn_up.weight"] = (kind, shape[::-1], data)
    refused(load(gguf, scratch), "blk.0.ffn_up.weight", "[32, 64]", "[64, 32]")
    for factors in (b"\0" * 32, struct.pack("<f", float("inf")) * 8, b"\0" * 16):
        gguf = small()
        gguf.tensors["rope_freqs.weight"] = ("F32", [len(factors) // 4], factors)
        refused(load(gguf, scratch), "m.gguf", "rope_freqs.weight")


@cases({f"{name} is refused by name": (name,) for name in (
    "blk.0.attn_q.scale", "blk.0.attn_q_norm.weight", "blk.1.attn_sinks.weight", "blk.0.post_attention_norm.weight",
    "blk.9.ffn_up.weight", "output_norm.bias", "rope_factors_long.weight")})
def unknown_tensor(scratch, name):
    gguf = small()
    gguf.tensors[name] = ("F32", [32], b"\0" * 128)
    refused(load(gguf, scratch), "m.gguf", f"'{name}'")
    refused(kakeya("quantize", scratch / "m.gguf", scratch / "o.gguf", "Q8_0"), "m.gguf", f"'{name}'")


@cases({f"row 16: {what} in {name}": (name, bits) for name in ("token_embd.weight", "blk.1.attn_q.weight",
                                                              "output_norm.weight")
        for what, bits in [("NaN", 0x7FC00000), ("infinity", 0x7F800000)]})
def not_a_number(scratch, name, bits):
    gguf = small()
    kind, shape, data = gguf.tensors[name]
    gguf.tensors[name] = (kind, shape, data[:8] + struct.pack("<I", bits) + data[12:])
    refused(load(gguf, scratch), "m.gguf", name, "NaN")
    refused(load(gguf, scratch, "inspect", "--check"), name)


@cases({f"row 16: a scale that is no number in {kind}": (kind, offset) for kind, offset in [
    ("Q8_0", 0), ("Q4_0", 0), ("Q4_K", 0), ("Q4_K", 2), ("Q5_K", 2), ("Q6_K", 208)] if offset != 0 or kind != "Q4_K"})
def bad_scale(scratch, kind, offset):
    _, _, gguf = quantized_model("llama", {"": kind})
    old, shape, data = gguf.tensors["blk.1.attn_k.weight"]
    at = 3 * TYPES[kind][2] + offset
    gguf.tensors["blk.1.attn_k.weight"] = (old, shape, data[:at] + struct.pack("<H", 0x7E00) + data[at + 2:])
    refused(load(gguf, scratch, "inspect", "--check"), "m.gguf", "blk.1.attn_k.weight", "NaN")


TOKENIZERS = {
    "row 14: scores typed u8": ({"tokenizer.ggml.scores": (["u8"], [0] * 304)}, ["tokenizer.ggml.scores", "u8"]),
    "row 14: scores for other tokens": ({"tokenizer.ggml.scores": (["f32"], [0] * 3)}, ["scores", "3", "304"]),
    "row 14: token types of floats": ({"tokenizer.ggml.token_type": (["f32"], [1] * 304)}, ["token_type", "f32"]),
    "row 14: too few token types": ({"tokenizer.ggml.token_type": (["i32"], [1] * 303)}, ["token_type", "303", "304"]),
    "a token type of its own": ({"tokenizer.ggml.token_type": (["i32"], [1] * 303 + [6])}, ["token_type[303]", "6"]),
    "tokens that are numbers": ({"tokenizer.ggml.tokens": (["u32"], [1] * 304)}, ["tokenizer.ggml.tokens", "strings"]),
    "tokens that aren't UTF-8": ({"tokenizer.ggml.tokens": (["str"], [b"\xff"] * 304)}, ["tokenizer.ggml.tokens"]),
    "row 22: a token twice": ({"tokenizer.ggml.tokens": (["str"], ["a"] * 304)}, ["tokenizer.ggml.tokens[1]", "'a'"]),
    "row 23: a merge of unknown tokens": ({"tokenizer.ggml.merges": (["str"], ["zzz qqq"])},
                                          ["tokenizer.ggml.merges[0]", "'zzz'"]),
    "row 23: a merge of one": ({"tokenizer.ggml.merges": (["str"], ["ab"])}, ["tokenizer.ggml.merges[0]"]),
    "merges missing": ({"tokenizer.ggml.merges": None}, ["tokenizer.ggml.merges", "missing"]),
    "tokens missing": ({"tokenizer.ggml.tokens": None}, ["tokenizer.ggml.tokens", "missing"]),
    "add_bos_token without one": ({"tokenizer.ggml.add_bos_token": ("bool", True)}, ["add_bos_token", "bos_token_id"]),
    "add_bos_token a number": ({"tokenizer.ggml.add_bos_token": ("u32", 1)}, ["add_bos_token"]),
}


@cases({name: row for name, row in TOKENIZERS.items()})
def bad_tokenizer(scratch, pairs, words):
    gguf = add_tokenizer(fixture_gguf("qwen3-tied-text"), TEXT, "qwen2", 304)
    gguf.pairs.update(pairs)
    gguf.pairs = {key: value for key, value in gguf.pairs.items() if value is not None}
    refused(load(gguf, scratch, "tokenize", "-p", "x"), "m.gguf", *words)
    refused(load(gguf, scratch, "generate", "-p", "x"), "m.gguf", *words)


@case("rows 27, 29: a chat template that is none, or is missing")
def bad_template(scratch):
    gguf = add_tokenizer(fixture_gguf("qwen3-tied-text"), TEXT, "qwen2", 304)
    gguf.pairs["tokenizer.chat_template"] = ("str", "{% for x in %}")
    refused(load(gguf, scratch, "chat"), "template")
    del gguf.pairs["tokenizer.chat_template"]
    refused(load(gguf, scratch, "chat"), "m.gguf", "template")
    assert load(gguf, scratch, "generate", "-p", "x", "-n", "1").code == 0


def grown(rows):
    """The small model with an embedding of many rows of zeros."""
    gguf = small()
    kind, shape, _ = gguf.tensors["token_embd.weight"]
    gguf.tensors["token_embd.weight"] = (kind, [rows, shape[1]], rows * shape[1] * 4)
    gguf.pairs["llama.vocab_size"] = ("u32", rows)
    return gguf


@case("row 20: the file is truncated while it is read")
def truncated_while_read(scratch):
    file = grown(400_000).write(scratch / "grown.gguf")
    (scratch / "ids.json").write_text("[1, 2, 3]")
    command = ["generate", "--ids", scratch / "ids.json", "-n", "2", "--json", "-m", scratch / "m.gguf"]
    shutil.copyfile(file, scratch / "m.gguf")
    good = succeeds(*command)
    failures = 0
    for round_ in range(4 if Options.sanitized else 16):
        shutil.copyfile(file, scratch / "m.gguf")
        timer = threading.Timer(good.seconds * (round_ + 1) / 18, os.truncate, [scratch / "m.gguf", 8192])
        timer.start()
        outcome = kakeya(*command)  # a signal fails here
        timer.join()
        if outcome.code != 0:
            refused(outcome, "m.gguf", peak=400 * 2**20)
            failures += 1
    assert failures > 0, "the file never changed in time"


@case("row 65: no memory for the weights names the tensor")
def out_of_memory(scratch):
    if Options.sanitized:
        return  # the sanitizers need the address space
    file = grown(2_000_000).write(scratch / "m.gguf")  # 256 MB, mapped once and allocated once
    (scratch / "ids.json").write_text("[1, 2, 3]")
    done = subprocess.run(["bash", "-c", 'ulimit -v 450000; exec "$@"', "-", str(Options.kakeya), "generate", "--ids",
                           str(scratch / "ids.json"), "-n", "1", "--threads", "1", "-m", str(file)],
                          capture_output=True, timeout=60)
    text = done.stderr.decode()
    assert done.returncode == 2 and text.count("\n") == 1 and "token_embd.weight" in text, text


@case("the rows of llama's q and k are permuted as converters do it")
def permutation(scratch):
    rows = numpy.arange(2 * 8, dtype="<f4").reshape(16, 1)
    moved = numpy.frombuffer(interleaved(rows.tobytes(), 2, 16), "<f4")
    assert moved.tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]


if __name__ == "__main__":
    sys.exit(main())
