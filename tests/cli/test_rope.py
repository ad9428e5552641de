#!/usr/bin/env python3
"""Rotary scaling: logits against a forward pass in double precision that shares no code with the engine, and against
themselves under every way of computing them. Split files and folders of GGUF files are in test_gguf.py."""

import json
import math
import pathlib
import sys

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import (FIXTURES, case, cases, copy_model, edit_json, kakeya, main, read_tensors, refused,  # noqa: E402
                     succeeds)

TOLERANCE = 1e-3  # largest difference of any logit, as in logits_parity.py
IDS = [(37 * i + i * i // 5) % 80 for i in range(300)]
ORIGINAL = 64
LISTS = {"short_factor": [1 + i / 8 for i in range(8)], "long_factor": [1 + 3 * i / 4 for i in range(8)]}
SCALINGS = {
    "yarn": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": ORIGINAL},
    "yarn with all options": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": ORIGINAL,
                              "beta_fast": 16.0, "beta_slow": 2.0, "mscale": 0.7, "mscale_all_dim": 1.0,
                              "truncate": False},
    "longrope": {"rope_type": "longrope", "original_max_position_embeddings": ORIGINAL, **LISTS},
    "longrope within its original context": {"rope_type": "longrope", "factor": 4.0,
                                             "original_max_position_embeddings": 1 << 20, **LISTS},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
}


def yarn(theta, head_dim, scaling):
    """Peng et al. 2023, with the options of transformers' _compute_yarn_parameters."""
    factor, original = scaling["factor"], scaling["original_max_position_embeddings"]

    def dimension(turns):
        return head_dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension(scaling.get("beta_fast", 32)), dimension(scaling.get("beta_slow", 1))
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    high += 0.001 if low == high else 0
    plain = theta ** (-numpy.arange(0, head_dim, 2) / head_dim)
    ramp = numpy.clip((numpy.arange(head_dim // 2) - low) / (high - low), 0, 1)

    def magnitude(mscale):
        return 0.1 * mscale * math.log(factor) + 1

    attention = magnitude(1)
    if "mscale" in scaling:
        attention = magnitude(scaling["mscale"]) / magnitude(scaling["mscale_all_dim"])
    return plain / factor * ramp + plain * (1 - ramp), attention


def rotation(config, head_dim):
    """Frequencies and what cos and sin are multiplied by."""
    scaling, theta = config["rope_scaling"], config["rope_theta"]
    plain = theta ** (-numpy.arange(0, head_dim, 2) / head_dim)
    if scaling["rope_type"] == "yarn":
        return yarn(theta, head_dim, scaling)
    if scaling["rope_type"] == "longrope":
        original, context = scaling["original_max_position_embeddings"], config["max_position_embeddings"]
        factors = scaling["long_factor" if context > original else "short_factor"]
        factor = scaling.get("factor", context / original)
        return plain / numpy.array(factors), math.sqrt(1 + math.log(factor) / math.log(original))
    return plain, 1.0


def norm(x, weight, epsilon):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def logits(folder, ids):
    """The whole network, row by row as the papers have it, in double precision."""
    config = json.loads((folder / "config.json").read_text())
    tensors = {name: t.astype(numpy.float64) for name, t in read_tensors(folder / "model.safetensors").items()}
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim, epsilon = config.get("head_dim") or config["hidden_size"] // heads, config["rms_norm_eps"]
    frequencies, attention_factor = rotation(config, head_dim)
    angles = numpy.outer(numpy.arange(len(ids)), frequencies)
    cos, sin = (numpy.tile(f(angles), 2)[:, None] * attention_factor for f in (numpy.cos, numpy.sin))

    def turned(x):
        left, right = numpy.split(x, 2, axis=-1)
        return x * cos + numpy.concatenate([-right, left], axis=-1) * sin

    x = tensors["model.embed_tokens.weight"][ids]
    causal = numpy.triu(numpy.full((len(ids), len(ids)), -numpy.inf), 1)
    for i in range(config["num_hidden_layers"]):
        layer = {name[len(f"model.layers.{i}."):-len(".weight")]: t for name, t in tensors.items()
                 if name.startswith(f"model.layers.{i}.")}
        y = norm(x, layer["input_layernorm"], epsilon)
        q, k, v = ((y @ layer[f"self_attn.{p}_proj"].T).reshape(len(ids), -1, head_dim) for p in "qkv")
        if "self_attn.q_norm" in layer:
            q, k = (norm(t, layer[f"self_attn.{p}_norm"], epsilon) for t, p in ((q, "q"), (k, "k")))
        q, k = turned(q), turned(k)
        out = numpy.zeros_like(q)
        for head in range(heads):
            kv = head // (heads // kv_heads)
            scores = q[:, head] @ k[:, kv].T / math.sqrt(head_dim) + causal
            weights = numpy.exp(scores - scores.max(-1, keepdims=True))
            out[:, head] = weights / weights.sum(-1, keepdims=True) @ v[:, kv]
        x = x + out.reshape(len(ids), -1) @ layer["self_attn.o_proj"].T
        y = norm(x, layer["post_attention_layernorm"], epsilon)
        gate = y @ layer["mlp.gate_proj"].T
        x = x + (gate / (1 + numpy.exp(-gate)) * (y @ layer["mlp.up_proj"].T)) @ layer["mlp.down_proj"].T
    head = tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"])
    return norm(x, tensors["model.norm.weight"], epsilon) @ head.T


def ours(model, scratch, *flags):
    ids, out = scratch / "ids.json", scratch / "out.safetensors"
    ids.write_text(json.dumps(IDS))
    succeeds("eval", "logits", "-m", model, "--ids", ids, "--out", out, *flags)
    result = read_tensors(out)["logits"]
    out.unlink()
    return result


def scaled(name, scratch, scaling):
    """A fixture with this scaling, which its weights were never trained for: the numbers are as good as any."""
    folder = copy_model(name, scratch)
    edit_json(folder / "config.json", lambda c: (c.pop("rope_parameters", None), c.update(
        rope_scaling=scaling, rope_theta=c.get("rope_theta") or 1e4, max_position_embeddings=512)))
    return folder


@cases({f"{name} with {what}: logits as in double precision": (name, scaling)
        for name in ("qwen3-untied", "llama-tied") for what, scaling in SCALINGS.items()})
def as_in_double(scratch, name, scaling):
    folder = scaled(name, scratch, scaling)
    want, got = logits(folder, IDS), ours(folder, scratch)
    difference = numpy.abs(got - want)
    assert difference.max() <= TOLERANCE, f"off by {difference.max():.3g}"
    (scratch / "plain").mkdir()
    plain = logits(scaled(name, scratch / "plain", {"rope_type": "default"}), IDS)
    if scaling["rope_type"] != "dynamic":
        assert numpy.abs(want - plain).max() > 10 * TOLERANCE, "the scaling changes too little for this test"


@cases({f"{what}: bits don't depend on how a text is cut, nor on what was recomputed": (scaling,)
        for what, scaling in SCALINGS.items()})
def same_bits(scratch, scaling):
    folder = scaled("qwen3-untied", scratch, scaling)
    want = ours(folder, scratch)
    identity = ["--kv", "restored", "--restorer", "identity", "--window", 64]
    for flags in (["--prefill-chunk", 1], ["--prefill-chunk", 7], identity, [*identity, "--prefill-chunk", 50]):
        assert ours(folder, scratch, *flags).tobytes() == want.tobytes(), flags


@cases({f"{what} in a GGUF file: logits of the folder": (what, scaling) for what, scaling in SCALINGS.items()})
def quantised(scratch, what, scaling):
    folder = scaled("llama-tied", scratch, scaling)
    succeeds("quantize", folder, scratch / "m.gguf", "F32", "--no-vocab")
    difference = numpy.abs(ours(scratch / "m.gguf", scratch) - ours(folder, scratch))
    assert difference.max() <= TOLERANCE, f"off by {difference.max():.3g}"
    said = succeeds("inspect", "-m", scratch / "m.gguf", "--json").json()["config"]
    kind = "factors" if scaling.get("truncate") is False else scaling["rope_type"]
    assert said["rope_scaling"] == ("none" if kind == "dynamic" else kind), said


@case("a context beyond a dynamic model's is refused, not stretched")
def dynamic_ends(scratch):
    folder = scaled("llama-tied", scratch, SCALINGS["dynamic"])
    edit_json(folder / "config.json", lambda c: c.update(max_position_embeddings=100, eos_token_id=0))
    (scratch / "ids.json").write_text(json.dumps(IDS))
    refused(kakeya("generate", "-m", folder, "--ids", scratch / "ids.json", "-n", 1), "context", "100")


if __name__ == "__main__":
    sys.exit(main())
