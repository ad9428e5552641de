"""The frozen verifier run three ways over whole sequences: oracle (full attention), window alone, and window with restored chunks.

All passes are what the engine computes token by token: every layer's exact K and V come from the same bounded pass.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

import hf_verifier
import restored_attention as attention
from recurrence import recurrence
from restorer import CHUNK, INT4, Restorer, fake_quantize, quantize

ALL, NONE = 0, -1  # numbers of chunks: every evicted one; none (sink and window alone)


@dataclass
class Oracle:
    x: Tensor  # (tokens, hidden) before the last norm
    k: Tensor  # (layers, tokens, kv_heads * head_dim) before the norm (or what f_theta is to predict)
    v: Tensor
    mass: Tensor | None  # see attention.chunk_mass


@dataclass
class Restored:
    k: Tensor  # (layers, tokens, kv_heads * head_dim) as f_theta gives it
    v: Tensor
    z: Tensor  # (rows, chunks, segments, dim) summaries through int4, with gradient
    z_q: Tensor  # the same as integers (rows, chunks * segments, dim) and scales
    z_scale: Tensor


class Regime:
    """One verifier and one restorer. `flex`: FlexAttention (compiled, on a GPU); otherwise dense masks."""

    def __init__(
        self,
        verifier: hf_verifier.Verifier,
        restorer: Restorer | None,
        sink: int = 4,
        window: int = CHUNK,
        flex: bool = False,
        compiled: bool = False,
        after_norm: bool = False,
    ):
        self.verifier, self.restorer = verifier, restorer
        self.sink, self.window, self.flex, self.after_norm = sink, window, flex, after_norm
        self.training = False  # evaluate with the graphs compiled for training
        self.layouts: dict[int, attention.Layout] = {}
        self.angles: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        wrap = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.before = wrap(hf_verifier.before_attention)
        self.after = wrap(hf_verifier.after_attention)
        self.finish = wrap(self._finish)
        self.select = wrap(attention.select)
        self.attend = wrap(attention.attend_flex) if flex else attention.attend_dense
        self.propose_all = wrap(self._propose)
        self.kl = wrap(kl)

    def layout(self, length: int) -> attention.Layout:
        if length not in self.layouts:
            self.layouts[length] = attention.layout(
                length, self.sink, self.window, self.verifier.device, self.flex
            )
        return self.layouts[length]

    def rope(self, rows: int, length: int) -> tuple[Tensor, Tensor]:
        if (rows, length) not in self.angles:
            self.angles[rows, length] = tuple(
                t.repeat(rows, 1) for t in self.verifier.tables(length)
            )
        return self.angles[rows, length]

    def _finish(self, k: Tensor, k_norm: Tensor | None, cos, sin) -> Tensor:
        s = self.verifier.shape
        k = k.view(k.shape[0], s.kv_heads, s.head_dim)
        return hf_verifier.finish_keys(k, None if self.after_norm else k_norm, cos, sin, s.eps)

    def _propose(self, embedding: Tensor, first: Tensor, *seen) -> tuple[Tensor, Tensor, Tensor]:
        r = self.restorer
        recurrent = r.recurrent(self.verifier.embedding, *seen) if seen else None
        h, e = r.states(embedding, first, recurrent)
        u = r.features(h, e).flatten(0, 1)
        return *r.keys_values(u, self.verifier.dtype), r.summaries(h)

    def propose(self, ids: Tensor) -> Restored:
        rows, length = ids.shape
        chunks = length // CHUNK
        embedding = F.embedding(ids, self.verifier.embedding).view(rows * chunks, CHUNK, -1)
        first = torch.arange(rows * chunks, device=ids.device) % chunks == 0
        seen = ()
        if self.restorer.config.recurrence:
            parts = recurrence(ids, self.restorer.config.recurrence)
            seen = tuple(t.reshape(rows * chunks, CHUNK, -1) for t in parts)
        k, v, z = self.propose_all(embedding, first, *seen)
        z_q, z_scale = quantize(z.detach(), INT4)
        seg = self.restorer.config.segments
        return Restored(
            k,
            v,
            fake_quantize(z, limit=INT4).view(rows, chunks, seg, -1),
            z_q.view(rows, chunks * seg, -1),
            z_scale.view(rows, chunks * seg),
        )

    @torch.no_grad()
    def oracle(self, ids: Tensor, at: Tensor | None = None) -> Oracle:
        """Full attention. `at` (rows, queries): positions whose attention mass by chunk is wanted."""
        v, s, (rows, length) = self.verifier, self.verifier.shape, ids.shape
        cos, sin = self.rope(rows, length)
        x = F.embedding(ids.reshape(-1), v.embedding)
        keys, values, asked, rotated = [], [], [], []
        flat = None if at is None else flat_index(at, length)
        for w in v.layers:
            _, q, k_pre, k, value = self.before(x, w, cos, sin, s.eps, s.head_dim)
            if self.after_norm:
                k_pre = hf_verifier.normed(k_pre, w.get("k_norm"), s.eps)
            keys.append(k_pre.flatten(1))
            values.append(value.flatten(1))
            if flat is not None:
                asked.append(q[flat].view(*at.shape, s.kv_heads, -1, s.head_dim))
                rotated.append(by_head(k, rows))
            y = F.scaled_dot_product_attention(
                *(by_head(t, rows) for t in (q, k, value)), is_causal=True, enable_gqa=True
            )
            x = self.after(x, y.transpose(1, 2).reshape(rows * length, -1), w, s.eps)
        mass = None
        if flat is not None:
            q = torch.stack(asked).permute(0, 1, 3, 4, 2, 5)
            mass = attention.chunk_mass(q, torch.stack(rotated), at, self.layout(length), self.sink)
        return Oracle(x, torch.stack(keys), torch.stack(values), mass)

    def bounded(
        self,
        ids: Tensor,
        restored: Restored | None,
        k: int,
        at: Tensor | None = None,
        min_share_log: float | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """(x before the last norm, each layer's unrotated queries at `at` (rows, queries, kv_heads, group * head_dim))."""
        v, s, (rows, length) = self.verifier, self.verifier.shape, ids.shape
        places, chunks = self.layout(length), length // CHUNK
        cos, sin = self.rope(rows, length)
        x, asked = F.embedding(ids.reshape(-1), v.embedding), []
        flat = None if at is None else flat_index(at, length)
        seen = torch.ones(rows, s.kv_heads, length, 2 * chunks, dtype=torch.bool, device=ids.device)
        if k == NONE:
            seen[..., chunks:] = False
        if k > 0:
            share = self.restorer.config.min_share_log if min_share_log is None else min_share_log
            limits = torch.tensor([k], device=ids.device), torch.tensor(share, device=ids.device)
        for i, w in enumerate(v.layers):
            q_pre, q, _, key, value = self.before(x, w, cos, sin, s.eps, s.head_dim)
            queries = q_pre.detach().view(rows, length, s.kv_heads, -1)
            if flat is not None:
                asked.append(queries.flatten(0, 1)[flat].view(*at.shape, s.kv_heads, -1))
            if k > 0:
                r = self.restorer
                with torch.no_grad():
                    seen = self.select(
                        queries,
                        r.select_weight[i],
                        r.select_bias[i],
                        r.select_distance[i],
                        restored.z_q,
                        restored.z_scale,
                        places.bucket,
                        places.evicted,
                        *limits,
                    )
            if k == NONE:
                kr, vr = torch.zeros_like(key), torch.zeros_like(value)
            else:
                kr = self.finish(restored.k[i], w.get("k_norm"), cos, sin)
                vr = restored.v[i].view_as(value)
            y = self.attend(*(by_head(t, rows) for t in (q, key, value, kr, vr)), seen, places.mask)
            x = self.after(x, y.transpose(1, 2).reshape(rows * length, -1), w, s.eps)
        return x, asked

    def distillation(self, asked: list[Tensor], mass: Tensor, z: Tensor, at: Tensor) -> Tensor:
        """KL(oracle's mass || softmax over {null, evicted chunks}), all layers at once.

        Weighted by the far mass and by its peak: the few heads that look up one chunk among many must choose it, and
        most others spread their attention so wide that no choice of a few chunks matters.
        """
        r, places = self.restorer, self.layout(z.shape[1] * CHUNK)
        y = torch.stack(asked).float()
        s = torch.einsum("lbmhi,lhoi->lbhmo", y, r.select_weight) + r.select_bias[:, None, :, None]
        dots = torch.einsum("lbhmd,bnd->lbhmn", fake_quantize(s[..., :-1]), z.flatten(1, 2))
        best = dots.unflatten(-1, (-1, r.config.segments)).amax(-1)
        bias = r.select_distance[:, :, places.bucket[at]].transpose(
            1, 2
        )  # (layers, rows, kv, m, chunks)
        evicted = places.evicted[at][None, :, None]
        scores = (best + bias).masked_fill(~evicted, -1e9)
        logp = torch.cat((s[..., -1:], scores), -1).log_softmax(-1)
        loss = (mass * (mass.clamp(min=1e-9).log() - logp)).sum(-1)
        peak = mass[..., 1:].amax(-1)
        weight = (1 - mass[..., 0] + 0.03) * (0.15 + 3 * peak) * evicted[..., 0]
        return (loss * weight).sum() / weight.sum().clamp(min=1e-6)

    def divergence(self, oracle: Tensor, restored: Tensor) -> Tensor:
        """KL(oracle || restored) of the next-token distributions, (tokens); in slices if the vocabulary is large."""
        v = self.verifier
        size = max(256, (1 << 27) // v.head.shape[0])
        args = v.norm, v.head, v.shape.eps
        if oracle.shape[0] <= size:
            return self.kl(oracle, restored, *args)
        parts = [
            torch.utils.checkpoint.checkpoint(self.kl, o, r, *args, use_reentrant=False)
            for o, r in zip(oracle.split(size), restored.split(size))
        ]
        return torch.cat(parts)

    def logits(self, x: Tensor) -> Tensor:
        v = self.verifier
        return F.linear(hf_verifier.normed(x, v.norm, v.shape.eps).to(v.dtype), v.head).float()


def by_head(t: Tensor, rows: int) -> Tensor:
    """(tokens, heads, head_dim) -> (rows, heads, positions, head_dim)."""
    return t.view(rows, -1, *t.shape[1:]).transpose(1, 2)


def flat_index(at: Tensor, length: int) -> Tensor:
    return (at + torch.arange(at.shape[0], device=at.device)[:, None] * length).flatten()


def kl(oracle, restored, norm, head, eps: float) -> Tensor:
    p, r = (
        F.linear(hf_verifier.normed(x, norm, eps).to(head.dtype), head).float().log_softmax(-1)
        for x in (oracle, restored)
    )
    return (p.exp() * (p - r)).sum(-1)
