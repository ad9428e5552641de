"""The verifier in plain Qwen3 architecture, written for training speed, and its export to Hugging Face's layout.

All token-wise work runs on flattened (tokens, hidden) tensors in two functions per layer, before and after attention. They do
not see the sequence length, so one compiled graph serves every length; only the attention between them does.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    vocabulary: int = 4096
    layers: int = 10
    hidden: int = 256
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 768
    rope_theta: float = 1e6
    eps: float = 1e-6
    max_positions: int = 16384


def rope_tables(length: int, config: Config, device) -> tuple[Tensor, Tensor]:
    """(length, head_dim / 2) cosines and sines, computed in F32."""
    half = torch.arange(0, config.head_dim, 2, device=device, dtype=torch.float32)
    angle = torch.arange(length, device=device, dtype=torch.float32)[
        :, None
    ] / config.rope_theta ** (half / config.head_dim)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: (tokens, heads, head_dim); cos, sin: (tokens, head_dim / 2)."""
    a, b = x.float().chunk(2, -1)
    c, s = cos[:, None], sin[:, None]
    return torch.cat((a * c - b * s, b * c + a * s), -1).to(x.dtype)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    f = x.float()
    return (f * torch.rsqrt(f.square().mean(-1, keepdim=True) + eps)).to(x.dtype) * weight.to(
        x.dtype
    )


def before_attention(
    x, norm, wq, wk, wv, q_norm, k_norm, cos, sin, eps: float, head_dim: int, dtype: torch.dtype
):
    """x: (tokens, hidden) -> q (tokens, heads, head_dim), k, v (tokens, kv_heads, head_dim)."""
    h = rms_norm(x, norm, eps).to(dtype)
    n = x.shape[0]
    q = F.linear(h, wq.to(dtype)).view(n, -1, head_dim)
    k = F.linear(h, wk.to(dtype)).view(n, -1, head_dim)
    v = F.linear(h, wv.to(dtype)).view(n, -1, head_dim)
    return rotate(rms_norm(q, q_norm, eps), cos, sin), rotate(rms_norm(k, k_norm, eps), cos, sin), v


def after_attention(x, y, wo, norm, gate, up, down, eps: float, dtype: torch.dtype):
    """x: (tokens, hidden) residual, y: (tokens, heads * head_dim) attention output -> new residual."""
    x = x + F.linear(y, wo.to(dtype)).to(x.dtype)
    h = rms_norm(x, norm, eps).to(dtype)
    h = F.silu(F.linear(h, gate.to(dtype))) * F.linear(h, up.to(dtype))
    return x + F.linear(h, down.to(dtype)).to(x.dtype)


def weighted_loss(x, norm, embedding, targets, weights, eps: float, dtype: torch.dtype):
    """x: (tokens, hidden). Sum of weight * cross-entropy, sum of weights."""
    logits = F.linear(rms_norm(x, norm, eps).to(dtype), embedding.to(dtype)).float()
    losses = F.cross_entropy(logits, targets, reduction="none")
    return (losses * weights).sum(), losses.detach()


class Layer(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        d, a, kv = c.hidden, c.heads * c.head_dim, c.kv_heads * c.head_dim
        self.norm1, self.norm2 = nn.Parameter(torch.ones(d)), nn.Parameter(torch.ones(d))
        self.q_norm, self.k_norm = nn.Parameter(torch.ones(c.head_dim)), nn.Parameter(
            torch.ones(c.head_dim)
        )
        std = 0.02
        out = std / math.sqrt(2 * c.layers)
        self.wq, self.wk, self.wv = (nn.Parameter(torch.randn(n, d) * std) for n in (a, kv, kv))
        self.wo = nn.Parameter(torch.randn(d, a) * out)
        self.gate, self.up = (nn.Parameter(torch.randn(c.ffn, d) * std) for _ in range(2))
        self.down = nn.Parameter(torch.randn(d, c.ffn) * out)


class Verifier(nn.Module):
    """Qwen3 with a tied head; `dtype` is the type of the matrix products, weights and residual stay F32."""

    def __init__(self, config: Config, dtype: torch.dtype = torch.bfloat16):
        super().__init__()
        self.config, self.dtype = config, dtype
        self.embedding = nn.Parameter(torch.randn(config.vocabulary, config.hidden) * 0.02)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.Parameter(torch.ones(config.hidden))
        self.before, self.after, self.loss_fn = before_attention, after_attention, weighted_loss
        self._tables: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def compile(self) -> None:
        self.before = torch.compile(before_attention, dynamic=False)
        self.after = torch.compile(after_attention, dynamic=False)
        self.loss_fn = torch.compile(weighted_loss, dynamic=False)

    def tables(self, rows: int, length: int, device) -> tuple[Tensor, Tensor]:
        if (rows, length) not in self._tables:
            if len(self._tables) > 8:
                self._tables.clear()
            self._tables[rows, length] = tuple(
                t.repeat(rows, 1) for t in rope_tables(length, self.config, device)
            )
        return self._tables[rows, length]

    def hidden(self, ids: Tensor) -> Tensor:
        """(rows, length) ids -> (rows * length, hidden) before the last norm."""
        c, (rows, length) = self.config, ids.shape
        cos, sin = self.tables(rows, length, ids.device)
        x = F.embedding(ids.reshape(-1), self.embedding)
        for layer in self.layers:
            q, k, v = self.before(
                x,
                layer.norm1,
                layer.wq,
                layer.wk,
                layer.wv,
                layer.q_norm,
                layer.k_norm,
                cos,
                sin,
                c.eps,
                c.head_dim,
                self.dtype,
            )
            q, k, v = (t.view(rows, length, -1, c.head_dim).transpose(1, 2) for t in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            y = y.transpose(1, 2).reshape(rows * length, -1)
            x = self.after(
                x, y, layer.wo, layer.norm2, layer.gate, layer.up, layer.down, c.eps, self.dtype
            )
        return x

    @torch.no_grad()
    def greedy(self, ids: list[int], count: int) -> list[int]:
        """`count` greedy tokens after one prompt, with cached keys and values (for the CPU, where recomputing costs too much)."""
        c, device = self.config, self.embedding.device
        cos, sin = self.tables(1, len(ids) + count, device)
        cache: list[tuple[Tensor, Tensor] | None] = [None] * c.layers
        out, at, new = [], 0, torch.tensor(ids, device=device)
        for _ in range(count):
            n = new.shape[0]
            x = F.embedding(new, self.embedding)
            for i, layer in enumerate(self.layers):
                q, k, v = before_attention(
                    x,
                    layer.norm1,
                    layer.wq,
                    layer.wk,
                    layer.wv,
                    layer.q_norm,
                    layer.k_norm,
                    cos[at : at + n],
                    sin[at : at + n],
                    c.eps,
                    c.head_dim,
                    self.dtype,
                )
                q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
                if cache[i] is not None:
                    k, v = torch.cat((cache[i][0], k), 2), torch.cat((cache[i][1], v), 2)
                cache[i] = k, v
                y = F.scaled_dot_product_attention(q, k, v, is_causal=at == 0, enable_gqa=True)
                x = after_attention(
                    x,
                    y[0].transpose(0, 1).reshape(n, -1),
                    layer.wo,
                    layer.norm2,
                    layer.gate,
                    layer.up,
                    layer.down,
                    c.eps,
                    self.dtype,
                )
            logits = F.linear(
                rms_norm(x[-1:], self.norm, c.eps).to(self.dtype), self.embedding.to(self.dtype)
            ).float()
            at, new = at + n, logits.argmax(-1)
            out.append(new.item())
        return out

    def loss(self, ids: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted mean cross-entropy and the per-token losses (no gradient)."""
        x = self.hidden(ids)
        total, losses = self.loss_fn(
            x,
            self.norm,
            self.embedding,
            targets.reshape(-1),
            weights.reshape(-1),
            self.config.eps,
            self.dtype,
        )
        return total / weights.sum().clamp(min=1.0), losses

    def logits(self, ids: Tensor, at: Tensor | None = None) -> Tensor:
        """(rows, length, vocabulary) F32 logits, or (rows, vocabulary) at one position per row."""
        x = self.hidden(ids).view(*ids.shape, -1)
        if at is not None:
            x = x[torch.arange(ids.shape[0], device=ids.device), at]
        return F.linear(
            rms_norm(x, self.norm, self.config.eps).to(self.dtype), self.embedding.to(self.dtype)
        ).float()


HF_NAMES = {
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


def hf_name(name: str) -> str:
    """Our parameter name -> Hugging Face's Qwen3ForCausalLM name."""
    if name == "embedding":
        return "model.embed_tokens.weight"
    if name == "norm":
        return "model.norm.weight"
    _, index, leaf = name.split(".")
    return f"model.layers.{index}.{HF_NAMES[leaf]}"


def export(
    state: dict[str, Tensor], config: Config, folder: Path, eos: list[int], pad: int
) -> None:
    """Writes config.json and model.safetensors (BF16); the head is tied to the embedding."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        hf_name(n): t.detach().to("cpu", torch.bfloat16).contiguous() for n, t in state.items()
    }
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    fields = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": eos[0],
        "pad_token_id": pad,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden,
        "initializer_range": 0.02,
        "intermediate_size": config.ffn,
        "max_position_embeddings": config.max_positions,
        "max_window_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.kv_heads,
        "rms_norm_eps": config.eps,
        "rope_scaling": None,
        "rope_theta": config.rope_theta,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": config.vocabulary,
    }
    (folder / "config.json").write_text(json.dumps(fields, indent=2) + "\n")


def load(folder: Path, device="cpu", dtype: torch.dtype = torch.float32) -> Verifier:
    """Reads a folder written by `export`; `dtype` is the type of the matrix products."""
    from safetensors.torch import load_file

    f = json.loads((folder / "config.json").read_text())
    config = Config(
        f["vocab_size"],
        f["num_hidden_layers"],
        f["hidden_size"],
        f["num_attention_heads"],
        f["num_key_value_heads"],
        f["head_dim"],
        f["intermediate_size"],
        f["rope_theta"],
        f["rms_norm_eps"],
        f["max_position_embeddings"],
    )
    model, tensors = Verifier(config, dtype), load_file(str(folder / "model.safetensors"))
    model.load_state_dict({n: tensors[hf_name(n)].float() for n, _ in model.named_parameters()})
    return model.to(device).eval()
