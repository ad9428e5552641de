"""The restorer: a chunk-local proposer, f_theta and the selector of evicted chunks, with its export.

From token ids alone it gives every layer's K and V of a frozen verifier (K before the verifier's own norm and rotation), and from the
verifier's queries the chunks they should attend to. Everything is a function of whole chunks of 64 positions: a chunk's codes depend on
the ids of its own chunk and of `layers` chunks before it and, by exact recurrence alone, of all that came before; never on what follows.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurrence import RecurrenceConfig, embed_followers

CHUNK = 64
BUCKETS = 16  # of the distance in chunks, by powers of two


@dataclass(frozen=True)
class VerifierShape:
    layers: int = 10
    hidden: int = 256
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    vocab_size: int = 4096


@dataclass(frozen=True)
class RestorerConfig:
    layers: int = 4
    hidden: int = 256
    heads: int = 4
    head_dim: int = 64
    ffn: int = 384
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-6
    code_dim: int = 64
    token_dim: int = 64
    segments: int = 8
    summary_dim: int = 128
    pool_heads: int = 8
    min_share_log: float = -5.5
    chunks: int = 8
    max_distance: int = 8192
    recurrence: RecurrenceConfig | None = None
    verifier: VerifierShape = field(default_factory=VerifierShape)


def rms(x: Tensor, eps: float) -> Tensor:
    f = x.float()
    return f * torch.rsqrt(f.square().mean(-1, keepdim=True) + eps)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return (rms(x, eps) * weight.float()).to(x.dtype)


def rope_angles(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """(positions, head_dim / 2) cosines and sines in F32."""
    half = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32)
    angle = positions.float()[:, None] / theta ** (half / head_dim)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Halves convention; cos and sin broadcast against x (..., head_dim)."""
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


INT8, INT4 = 127, 7  # the largest whole numbers of codes and selector queries, and of summaries


def quantize(x: Tensor, limit: int = INT8) -> tuple[Tensor, Tensor]:
    """(..., n) -> integers in [-limit, limit] (as F32) and the scale of each row: max|x| / limit."""
    x = x.float()
    scale = x.abs().amax(-1, keepdim=True) / limit
    q = torch.where(scale > 0, x / scale.clamp(min=1e-30), 0.0).round().clamp(-limit, limit)
    return q, scale.squeeze(-1)


def fake_quantize(x: Tensor, on: bool = True, limit: int = INT8) -> Tensor:
    """What whole numbers leave of x, in F32; the gradient passes as if nothing had happened."""
    x = x.float()
    if not on:
        return x
    q, scale = quantize(x.detach(), limit)
    return x + (q * scale[..., None] - x).detach()


class ProposerLayer(nn.Module):
    def __init__(self, c: RestorerConfig):
        super().__init__()
        d, a = c.hidden, c.heads * c.head_dim
        self.norm1, self.norm2 = nn.Parameter(torch.ones(d)), nn.Parameter(torch.ones(d))
        self.q_norm = nn.Parameter(torch.ones(c.head_dim))
        self.k_norm = nn.Parameter(torch.ones(c.head_dim))
        std, out = d**-0.5, d**-0.5 / (2 * c.layers) ** 0.5
        self.wq, self.wk, self.wv = (nn.Parameter(torch.randn(a, d) * std) for _ in range(3))
        self.wo = nn.Parameter(torch.randn(d, a) * out)
        self.gate, self.up = (nn.Parameter(torch.randn(c.ffn, d) * std) for _ in range(2))
        self.down = nn.Parameter(torch.randn(d, c.ffn) * out)


class Restorer(nn.Module):
    """`dtype` is the type of the proposer's matrix products; weights, residual, codes and f_theta's outputs stay F32."""

    def __init__(self, config: RestorerConfig, dtype: torch.dtype = torch.float32):
        super().__init__()
        c, v = config, config.verifier
        assert v.heads % v.kv_heads == 0 and CHUNK % c.segments == 0
        assert c.summary_dim % c.pool_heads == 0
        self.config, self.dtype = config, dtype
        self.int8 = True  # codes through int8; off only in an ablation
        d, kv, u = c.hidden, v.kv_heads * v.head_dim, c.code_dim + c.token_dim
        group = v.heads // v.kv_heads * v.head_dim

        def matrix(rows: int, cols: int, gain: float = 1.0) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, cols) * gain * cols**-0.5)

        self.embed_in = matrix(d, v.hidden)
        self.layers = nn.ModuleList(ProposerLayer(c) for _ in range(c.layers))
        self.final_norm = nn.Parameter(torch.ones(d))
        self.code = matrix(c.code_dim, d)
        self.token = matrix(c.token_dim, v.hidden)
        self.pool, self.proj = matrix(c.pool_heads, d), matrix(c.summary_dim, d)
        if c.recurrence:
            # Zeros: a restorer that goes on from one without recurrence begins as that one.
            n = len(c.recurrence.lengths)
            self.count = nn.Parameter(torch.zeros(n, c.recurrence.buckets, d))
            self.next = nn.Parameter(torch.zeros(d, c.recurrence.next * c.token_dim))
        self.k_weight = nn.ParameterList(matrix(kv, u, 0.5) for _ in range(v.layers))
        self.v_weight = nn.ParameterList(matrix(kv, u, 0.5) for _ in range(v.layers))
        self.k_bias = nn.Parameter(torch.zeros(v.layers, kv))
        self.v_bias = nn.Parameter(torch.zeros(v.layers, kv))
        self.select_weight = nn.Parameter(
            torch.randn(v.layers, v.kv_heads, c.summary_dim + 1, group) * 0.5 * group**-0.5
        )
        self.select_bias = nn.Parameter(torch.zeros(v.layers, v.kv_heads, c.summary_dim + 1))
        self.select_distance = nn.Parameter(torch.zeros(v.layers, v.kv_heads, BUCKETS))

    def matrices(self) -> list[nn.Parameter]:
        """The matrices for Muon: proposer, code and f_theta. The selector and the rest are for AdamW."""
        hidden = [p for layer in self.layers for p in layer.parameters() if p.dim() == 2]
        single = [self.embed_in, self.code, self.proj]
        single += [self.token] if self.config.token_dim else []
        single += [self.next] if self.config.recurrence else []
        return hidden + single + list(self.k_weight) + list(self.v_weight)

    def recurrent(self, table: Tensor, counts: Tensor, followers: Tensor) -> Tensor:
        """What recurrence adds to the proposer's input: (..., hidden) F32.

        table: (vocabulary, hidden_v) the verifier's embedding; counts, followers: see recurrence.py.
        """
        x = sum(F.embedding(counts[..., i], w) for i, w in enumerate(self.count))
        features = F.linear(rms(table, self.config.rms_norm_eps), self.token)
        # As the engine keeps them: whole numbers whose products it can sum in 32 bits.
        limit = min(32767, math.isqrt((2**31 - 1) // self.config.token_dim))
        features = fake_quantize(features, limit=limit)
        seen = embed_followers(features, followers).to(self.dtype)
        return x + F.linear(seen, self.next.to(self.dtype)).float()

    def states(
        self, embedding: Tensor, first: Tensor, recurrent: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """h (chunks, 64, hidden) and rms(E[id]) of chunks in a row, F32.

        embedding: (chunks, 64, hidden_v) verifier embeddings of the ids, sequences one after another;
        first: (chunks) bool, true where a sequence begins (no predecessor);
        recurrent: (chunks, 64, hidden) what `recurrent` gives, of a restorer that has it.
        """
        c, n, dtype = self.config, embedding.shape[0], self.dtype
        e = rms(embedding, c.rms_norm_eps)
        x = F.linear(e.to(dtype), self.embed_in.to(dtype)).float()
        if recurrent is not None:
            x = x + recurrent
        at = torch.arange(2 * CHUNK, device=x.device)
        cos, sin = rope_angles(at, c.head_dim, c.rope_theta)
        near, far = (cos[CHUNK:, None], sin[CHUNK:, None]), (cos[:CHUNK, None], sin[:CHUNK, None])
        seen = torch.ones(n, 1, 1, 2 * CHUNK, dtype=torch.bool, device=x.device)
        seen = seen & ~(first[:, None, None, None] & (at < CHUNK))

        def heads(h: Tensor, w: Tensor) -> Tensor:
            return F.linear(h, w.to(dtype)).view(n, CHUNK, c.heads, c.head_dim)

        def with_predecessor(old: Tensor, own: Tensor) -> Tensor:
            return torch.cat((old.roll(1, 0), own), 1).transpose(1, 2)

        for layer in self.layers:
            h = rms_norm(x, layer.norm1, c.rms_norm_eps).to(dtype)
            q = rms_norm(heads(h, layer.wq), layer.q_norm, c.rms_norm_eps)
            k = rms_norm(heads(h, layer.wk), layer.k_norm, c.rms_norm_eps)
            v = heads(h, layer.wv)
            k = with_predecessor(rotate(k, *far), rotate(k, *near))
            y = F.scaled_dot_product_attention(
                rotate(q, *near).transpose(1, 2), k, with_predecessor(v, v), attn_mask=seen
            )
            y = y.transpose(1, 2).reshape(n, CHUNK, -1)
            x = x + F.linear(y, layer.wo.to(dtype)).float()
            g = rms_norm(x, layer.norm2, c.rms_norm_eps).to(dtype)
            g = F.silu(F.linear(g, layer.gate.to(dtype))) * F.linear(g, layer.up.to(dtype))
            x = x + F.linear(g, layer.down.to(dtype)).float()
        return rms_norm(x, self.final_norm, c.rms_norm_eps), e

    def features(self, h: Tensor, e: Tensor) -> Tensor:
        """u (..., code_dim + token_dim) F32: the code as int8 leaves it, and the token's features."""
        code = fake_quantize(F.linear(h, self.code), self.int8)
        return torch.cat((code, F.linear(e, self.token)), -1) if self.config.token_dim else code

    def keys_values(self, u: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """u (tokens, features) -> pre-norm K and V, each (layers, tokens, kv_heads * head_dim)."""
        out = []
        for weights, bias in ((self.k_weight, self.k_bias), (self.v_weight, self.v_bias)):
            w = torch.stack(list(weights)).to(dtype)
            out.append(torch.matmul(u.to(dtype), w.mT) + bias[:, None].to(dtype))
        return out[0], out[1]

    def summaries(self, h: Tensor) -> Tensor:
        """h (chunks, 64, hidden) -> (chunks, segments, dim) before int4."""
        c, n = self.config, h.shape[0]
        h = h.view(n, c.segments, CHUNK // c.segments, -1)
        share = F.linear(h, self.pool).softmax(2)  # over the segment's tokens
        z = F.linear(h, self.proj).unflatten(-1, (c.pool_heads, -1))
        return (share[..., None] * z).sum(2).flatten(-2)

    def ask(self, layer: int, y: Tensor, on: bool = True) -> tuple[Tensor, Tensor]:
        """y (..., kv_heads, group * head_dim) -> selector queries (..., kv_heads, dim) through int8, and null (..., kv_heads)."""
        s = torch.einsum("...hi,hoi->...ho", y.float(), self.select_weight[layer])
        s = s + self.select_bias[layer]
        return fake_quantize(s[..., :-1], on), s[..., -1]

    def scores(self, layer: int, s: Tensor, z: Tensor, chunk_of: Tensor) -> Tensor:
        """Scores (rows, kv_heads, queries, chunks) of every chunk, evicted or not.

        s: (rows, queries, kv_heads, dim); z: (rows, chunks, segments, dim), through int8 and int4;
        chunk_of: (rows or 1, queries) the chunk of each query.
        """
        rows, chunks, segments, _ = z.shape
        dots = torch.einsum("bqhd,bnd->bhqn", s, z.flatten(1, 2))
        best = dots.unflatten(-1, (chunks, segments)).amax(-1)
        return best + self.distance(layer, chunk_of, chunks)

    def distance(self, layer: int, chunk_of: Tensor, chunks: int) -> Tensor:
        """(rows or 1, kv_heads, queries, chunks) the bias of the distance."""
        away = chunk_of[:, :, None] - torch.arange(chunks, device=chunk_of.device)
        bucket = away.clamp(min=1).float().log2().floor().long().clamp(max=BUCKETS - 1)
        return self.select_distance[layer][:, bucket].transpose(0, 1)


def window_begin(positions: Tensor, window: int = CHUNK) -> Tensor:
    """The first position of the window of each query: the start of the chunk that holds i - window + 1."""
    return (positions - window + 1).clamp(min=0) // CHUNK * CHUNK


def choose(scores: Tensor, null: Tensor, evicted: Tensor, k: int, min_share_log: float) -> Tensor:
    """Bool (..., chunks): the k best evicted chunks with score >= null + min_share_log; k = 0: every evicted one."""
    if k == 0:
        return evicted.expand(scores.shape)
    eligible = evicted & (scores >= null[..., None] + min_share_log)
    if k >= scores.shape[-1]:
        return eligible
    # Equal scores go to the lowest id only in the engine; among floats of a random model they do not occur.
    best = scores.masked_fill(~eligible, -torch.inf).topk(k, -1).indices
    return torch.zeros_like(eligible).scatter_(-1, best, True) & eligible


def tensors(model: Restorer) -> dict[str, Tensor]:
    """The weights under the names of the folder `restorer/`."""
    out = {"embed_in.weight": model.embed_in}
    for i, layer in enumerate(model.layers):
        for name, p in layer.named_parameters():
            out[f"layers.{i}.{name}.weight"] = p
    out["final_norm.weight"], out["code.weight"] = model.final_norm, model.code
    if model.config.token_dim:
        out["token.weight"] = model.token
    if model.config.recurrence:
        out["recurrence.count.weight"], out["recurrence.next.weight"] = model.count, model.next
    out["summary.pool.weight"], out["summary.proj.weight"] = model.pool, model.proj
    for i in range(model.config.verifier.layers):
        out[f"f_theta.{i}.k.weight"], out[f"f_theta.{i}.k.bias"] = (
            model.k_weight[i],
            model.k_bias[i],
        )
        out[f"f_theta.{i}.v.weight"], out[f"f_theta.{i}.v.bias"] = (
            model.v_weight[i],
            model.v_bias[i],
        )
        out[f"select.{i}.weight"] = model.select_weight[i]
        out[f"select.{i}.bias"] = model.select_bias[i]
        out[f"select.{i}.distance"] = model.select_distance[i]
    return out


@torch.no_grad()
def extend_distances(model: Restorer, length: int) -> None:
    """Distances that sequences of `length` never had get the bias of the farthest that they had, not an untrained 0."""
    last = (length // CHUNK - 1).bit_length() - 1
    model.select_distance[:, :, last + 1 :] = model.select_distance[:, :, last : last + 1]


PROPOSER = ("layers", "hidden", "heads", "head_dim", "ffn", "rope_theta", "rms_norm_eps")


def export(model: Restorer, folder: Path, fingerprint: str) -> None:
    """Writes config.json and model.safetensors (BF16)."""
    from safetensors.torch import save_file

    c = model.config
    folder.mkdir(parents=True, exist_ok=True)
    stored = {
        n: t.detach().to("cpu", torch.bfloat16).contiguous() for n, t in tensors(model).items()
    }
    save_file(stored, str(folder / "model.safetensors.new"), metadata={"format": "pt"})
    (folder / "model.safetensors.new").chmod(0o644)
    (folder / "model.safetensors.new").replace(folder / "model.safetensors")
    fields = {
        "format": "kakeya-restorer",
        "version": 1,
        "verifier_fingerprint": fingerprint,
        "chunk": CHUNK,
        "proposer": {name: getattr(c, name) for name in PROPOSER},
        "code_dim": c.code_dim,
        "token_dim": c.token_dim,
        "summary": {"segments": c.segments, "dim": c.summary_dim, "pool_heads": c.pool_heads},
        "selection": {"min_share_log": c.min_share_log, "chunks": c.chunks},
        "max_distance": c.max_distance,
        "verifier": asdict(c.verifier),
    }
    if c.recurrence:
        fields["recurrence"] = asdict(c.recurrence)
    (folder / "config.json").write_text(json.dumps(fields, indent=1) + "\n")


def read_recurrence(fields: dict | None) -> RecurrenceConfig | None:
    return fields and RecurrenceConfig(tuple(fields["lengths"]), fields["buckets"], fields["next"])


def load(folder: Path, device="cpu", dtype: torch.dtype = torch.float32) -> Restorer:
    """Reads a folder written by `export`."""
    from safetensors.torch import load_file

    f = json.loads((folder / "config.json").read_text())
    if f["format"] != "kakeya-restorer" or f["version"] != 1 or f["chunk"] != CHUNK:
        raise ValueError(f"{folder}: not a restorer of version 1")
    config = RestorerConfig(
        **f["proposer"],
        code_dim=f["code_dim"],
        token_dim=f["token_dim"],
        segments=f["summary"]["segments"],
        summary_dim=f["summary"]["dim"],
        pool_heads=f["summary"]["pool_heads"],
        **f["selection"],
        max_distance=f["max_distance"],
        recurrence=read_recurrence(f.get("recurrence")),
        verifier=VerifierShape(**f["verifier"]),
    )
    model, stored = Restorer(config, dtype), load_file(str(folder / "model.safetensors"))
    with torch.no_grad():
        for name, p in tensors(model).items():
            p.copy_(stored.pop(name).float())
    if stored:
        raise ValueError(f"{folder}: unknown tensors {sorted(stored)}")
    return model.to(device)
