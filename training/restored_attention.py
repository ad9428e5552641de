"""Attention of the bounded regime: one softmax over exact sinks and window and over chosen restored chunks.

Query i sees exactly [0, sink) and [WindowBegin(i), i]; of a restored chunk c, evicted for i (c < WindowBegin(i) / 64), it sees every
position but the sinks', if the chunk was chosen for its row and KV head. `seen` (rows, kv_heads, queries, 2 * chunks) says so: true for the
exact half, the choice for the restored half.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from restorer import BUCKETS, CHUNK, window_begin

BLOCK = 128  # of FlexAttention's block mask


@dataclass
class Layout:
    """What depends on the length of the sequences alone."""

    evicted: Tensor  # (queries, chunks) bool
    bucket: Tensor  # (queries, chunks) of the distance
    mask: object  # FlexAttention's BlockMask, or (queries, 2 * queries) bool


def allowed(length: int, sink: int, window: int, i: Tensor, j: Tensor) -> Tensor:
    """May query i see key j of [exact ; restored], before any choice of chunks."""
    begin = window_begin(i, window)
    exact = (j <= i) & ((j < sink) | (j >= begin))
    position = j - length
    return torch.where(j < length, exact, (position >= sink) & (position < begin))


def layout(length: int, sink: int, window: int, device, flex: bool) -> Layout:
    i = torch.arange(length, device=device)
    chunks = torch.arange(length // CHUNK, device=device)
    away = (i[:, None] // CHUNK - chunks).clamp(min=1)
    bucket = away.float().log2().floor().long().clamp(max=BUCKETS - 1)
    evicted = chunks < window_begin(i, window)[:, None] // CHUNK
    if flex:
        from torch.nn.attention.flex_attention import create_block_mask

        rule = partial(allowed, length, sink, window)
        mask = create_block_mask(
            lambda b, h, i, j: rule(i, j), None, None, length, 2 * length, device, BLOCK
        )
    else:
        mask = allowed(
            length, sink, window, i[:, None], torch.arange(2 * length, device=device)[None]
        )
    return Layout(evicted, bucket, mask)


def attend_dense(q, k, v, kr, vr, seen: Tensor, mask: Tensor) -> Tensor:
    """q (rows, heads, queries, head_dim); k, v exact and kr, vr restored (rows, kv_heads, queries, head_dim)."""
    group = q.shape[1] // k.shape[1]
    chosen = seen.repeat_interleave(CHUNK, -1).repeat_interleave(group, 1)
    return F.scaled_dot_product_attention(
        q, torch.cat((k, kr), 2), torch.cat((v, vr), 2), attn_mask=chosen & mask, enable_gqa=True
    )


def attend_flex(q, k, v, kr, vr, seen: Tensor, mask) -> Tensor:
    """The same by FlexAttention: blocks that nobody may see are skipped."""
    from torch.nn.attention.flex_attention import flex_attention

    group = q.shape[1] // k.shape[1]

    def chosen(score, b, h, i, j):
        return torch.where(seen[b, h // group, i, j // CHUNK], score, -float("inf"))

    return flex_attention(
        q,
        torch.cat((k, kr), 2),
        torch.cat((v, vr), 2),
        score_mod=chosen,
        block_mask=mask,
        enable_gqa=True,
    )


def select(y, weight, bias, distance, z_q, z_scale, bucket, evicted, k, min_share_log) -> Tensor:
    """`seen` by top-k. y (rows, queries, kv_heads, group * head_dim); z_q (rows, chunks * segments, dim) integers as F32;
    k and min_share_log are tensors of one element, k at most 16, so that one compiled graph serves all.
    """
    from restorer import quantize

    chunks = evicted.shape[-1]
    s = torch.einsum("bqhi,hoi->bhqo", y.float(), weight) + bias[:, None]
    null, (s_q, s_scale) = s[..., -1], quantize(s[..., :-1])
    dots = torch.matmul(s_q.flatten(1, 2), z_q.mT).unflatten(1, s_q.shape[1:3])
    scores = dots * (s_scale[..., None] * z_scale[:, None, None])
    scores = scores.unflatten(-1, (chunks, -1)).amax(-1) + distance[:, bucket]
    eligible = evicted & (scores >= null[..., None] + min_share_log)
    best = scores.masked_fill(~eligible, -torch.inf).topk(min(16, chunks), -1).indices
    among = (torch.arange(best.shape[-1], device=k.device) < k).expand(best.shape)
    chosen = torch.zeros_like(eligible).scatter(-1, best, among) & eligible
    return torch.cat((torch.ones_like(chosen), chosen), -1)


def chunk_mass(q: Tensor, k: Tensor, at: Tensor, length_layout: Layout, sink: int) -> Tensor:
    """The oracle's attention mass (layers, rows, kv_heads, queries, 1 + chunks) over {exact part, each evicted chunk}, averaged over the group.

    q: (layers, rows, kv_heads, group, queries, head_dim), rotated; k: (layers, rows, kv_heads, positions, head_dim); at: (rows, queries).
    """
    length, group = k.shape[-2], q.shape[3]
    scores = torch.matmul(q.flatten(3, 4), k.mT).float() * q.shape[-1] ** -0.5
    scores = scores.unflatten(3, (group, -1))
    j = torch.arange(length, device=k.device)
    causal = j <= at[..., None]  # (rows, queries, positions)
    share = scores.masked_fill(~causal[None, :, None, None], -torch.inf).softmax(-1).mean(3)
    share[..., :sink] = 0  # sinks are always exact
    chunks = share.unflatten(-1, (-1, CHUNK)).sum(-1)
    chunks = chunks * length_layout.evicted[at][None, :, None]
    null = (1 - chunks.sum(-1, keepdim=True)).clamp(min=0)
    return torch.cat((null, chunks), -1)
