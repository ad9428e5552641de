"""A frozen verifier from any Hugging Face Qwen3 or Llama checkpoint, as plain functions of its weights, and its fingerprint.

Grouped-query attention, q and k norms or none, rope default, linear or llama3, one or several safetensors files, tied head or not.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

LEAVES = {
    "norm1": "input_layernorm.weight",
    "norm2": "post_attention_layernorm.weight",
    "q_norm": "self_attn.q_norm.weight",
    "k_norm": "self_attn.k_norm.weight",
    "wq": "self_attn.q_proj.weight",
    "wk": "self_attn.k_proj.weight",
    "wv": "self_attn.v_proj.weight",
    "wo": "self_attn.o_proj.weight",
    "gate": "mlp.gate_proj.weight",
    "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight",
}
NORMS = ("norm1", "norm2", "q_norm", "k_norm")


@dataclass(frozen=True)
class Shape:
    vocabulary: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    rope_theta: float
    rope_scaling: tuple[tuple[str, object], ...] = ()


def shape_of(config: dict) -> Shape:
    kind = config.get("model_type")
    if kind not in ("qwen3", "llama"):
        raise ValueError(f"model_type {kind}: only qwen3 and llama are known")
    if config.get("attention_bias") or config.get("mlp_bias") or config.get("use_sliding_window"):
        raise ValueError("biases and sliding windows are not supported")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = rope.get("rope_theta") or config.get("rope_theta", 10000.0)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind not in ("default", "linear", "llama3"):
        raise ValueError(f"rope_type {kind} is not supported")
    heads = config["num_attention_heads"]
    return Shape(
        config["vocab_size"],
        config["num_hidden_layers"],
        config["hidden_size"],
        heads,
        config.get("num_key_value_heads", heads),
        config.get("head_dim") or config["hidden_size"] // heads,
        config.get("rms_norm_eps", 1e-6),
        float(theta),
        () if kind == "default" else tuple(sorted({**rope, "rope_type": kind}.items())),
    )


def rope_tables(length: int, shape: Shape, device) -> tuple[Tensor, Tensor]:
    """(length, head_dim / 2) cosines and sines in F32."""
    half = torch.arange(0, shape.head_dim, 2, device=device, dtype=torch.float32)
    frequency = 1.0 / shape.rope_theta ** (half / shape.head_dim)
    scaling = dict(shape.rope_scaling)
    if scaling.get("rope_type") == "linear":
        frequency = frequency / scaling["factor"]
    elif scaling:
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        original, factor = scaling["original_max_position_embeddings"], scaling["factor"]
        turns = original * frequency / (2 * math.pi)
        smooth = ((turns - low) / (high - low)).clamp(0, 1)
        frequency = (1 - smooth) * frequency / factor + smooth * frequency
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * frequency
    return angle.cos(), angle.sin()


def weight_files(folder: Path) -> list[Path]:
    """model.safetensors, or the shards that the index lists."""
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    return [folder / name for name in sorted(set(index["weight_map"].values()))]


class Verifier:
    """Weights only: matrices in `dtype`, norms in F32, the embedding in its stored type (as `dtype` for the head)."""

    def __init__(self, folder: Path, device="cpu", dtype: torch.dtype = torch.float32):
        from safetensors.torch import load_file

        config = json.loads((folder / "config.json").read_text())
        self.shape, self.dtype, self.device = shape_of(config), dtype, torch.device(device)
        stored: dict[str, Tensor] = {}
        for file in weight_files(folder):
            stored.update(load_file(str(file)))
        embedding = stored["model.embed_tokens.weight"]
        tied = config.get("tie_word_embeddings", False)
        head = embedding if tied else stored.get("lm_head.weight", embedding)
        self.embedding = embedding.to(device).float()
        self.head = head.to(device, dtype)
        self.norm = stored["model.norm.weight"].to(device).float()
        self.layers = [
            {
                leaf: stored[f"model.layers.{i}.{name}"].to(
                    device, torch.float32 if leaf in NORMS else dtype
                )
                for leaf, name in LEAVES.items()
                if f"model.layers.{i}.{name}" in stored
            }
            for i in range(self.shape.layers)
        ]
        self._tables: dict[int, tuple[Tensor, Tensor]] = {}

    def tables(self, length: int) -> tuple[Tensor, Tensor]:
        if length not in self._tables:
            self._tables[length] = rope_tables(length, self.shape, self.device)
        return self._tables[length]


def normed(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    if weight is None:
        return x
    f = x.float()
    return (f * torch.rsqrt(f.square().mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: (tokens, heads, head_dim); cos, sin: (tokens, head_dim / 2)."""
    a, b = x.float().chunk(2, -1)
    c, s = cos[:, None], sin[:, None]
    return torch.cat((a * c - b * s, b * c + a * s), -1).to(x.dtype)


def before_attention(x, w: dict[str, Tensor], cos, sin, eps: float, head_dim: int):
    """x (tokens, hidden) F32 -> q after its norm and before the rotation, q, pre-norm k, k, v: (tokens, heads, head_dim)."""
    h = normed(x, w["norm1"], eps).to(w["wq"].dtype)
    n = x.shape[0]
    q = normed(F.linear(h, w["wq"]).view(n, -1, head_dim), w.get("q_norm"), eps)
    k = F.linear(h, w["wk"]).view(n, -1, head_dim)
    v = F.linear(h, w["wv"]).view(n, -1, head_dim)
    return q, rotate(q, cos, sin), k, finish_keys(k, w.get("k_norm"), cos, sin, eps), v


def finish_keys(k: Tensor, k_norm: Tensor | None, cos, sin, eps: float) -> Tensor:
    """Pre-norm keys (tokens, kv_heads, head_dim) -> what attention uses: the verifier's own norm and rotation."""
    return rotate(normed(k, k_norm, eps), cos, sin)


def after_attention(x, y, w: dict[str, Tensor], eps: float):
    """x: (tokens, hidden) residual in F32, y: (tokens, heads * head_dim) -> new residual."""
    x = x + F.linear(y, w["wo"]).float()
    h = normed(x, w["norm2"], eps).to(w["wo"].dtype)
    return x + F.linear(F.silu(F.linear(h, w["gate"])) * F.linear(h, w["up"]), w["down"]).float()


def fingerprint(folder: Path) -> str:
    """XXH3-128 of the tensors in the files, in ascending order of their names."""
    import struct

    import xxhash

    tensors: dict[str, tuple[str, list[int], Path, int, int]] = {}
    for file in weight_files(folder):
        with open(file, "rb") as f:
            size = struct.unpack("<Q", f.read(8))[0]
            header = json.loads(f.read(size))
        for name, t in header.items():
            if name != "__metadata__":
                begin, end = t["data_offsets"]
                tensors[name] = (t["dtype"], t["shape"], file, 8 + size + begin, end - begin)
    digest = xxhash.xxh3_128()
    for name in sorted(tensors, key=lambda n: n.encode()):
        dtype, dims, file, begin, length = tensors[name]
        digest.update(name.encode() + b"\0" + dtype.encode() + b"\0")
        digest.update(struct.pack(f"<{len(dims)}Q", *dims))
        with open(file, "rb") as f:
            f.seek(begin)
            while length:
                data = f.read(min(length, 1 << 24))
                digest.update(data)
                length -= len(data)
    return digest.hexdigest()
