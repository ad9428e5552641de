"""What exact recurrence tells about a token: how often the n-gram that ends there has occurred before, and what followed it last time.

Both are functions of the ids alone, of all that came before, so the engine can compute them at any time and keeps nothing for them. They
tell a chunk-local proposer what it can't see: that a key has been stated before, and with which value.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ABSENT = -1


@dataclass(frozen=True)
class RecurrenceConfig:
    lengths: tuple[int, ...] = (1, 2, 3, 5)  # of the n-grams, ascending
    buckets: int = 8  # of the number of earlier occurrences: 0, 1, ..., buckets - 1 and more
    next: int = 8  # tokens after the latest earlier occurrence


def _mix(a: Tensor, b: Tensor) -> Tensor:
    """A hash of pairs of int64 (products wrap): among a few thousand n-grams no two collide."""
    x = a * 0x1E3779B97F4A7C15 + (b + 1) * 0x2545F4914F6CDD1D
    x = (x ^ ((x >> 32) & 0xFFFFFFFF)) * 0x3F58476D1CE4E5B9
    return x ^ ((x >> 29) & 0x7FFFFFFFF)


def _earlier(key: Tensor) -> tuple[Tensor, Tensor]:
    """key (rows, length) -> how many earlier positions of the row have the same key, and the latest of them (ABSENT: none)."""
    length = key.shape[1]
    order, at = key.sort(dim=1, stable=True)
    place = torch.arange(length, device=key.device).expand_as(key)
    fresh = torch.ones_like(key, dtype=torch.bool)
    fresh[:, 1:] = order[:, 1:] != order[:, :-1]
    count = place - torch.where(fresh, place, 0).cummax(1).values
    before = torch.where(fresh, ABSENT, at.roll(1, 1))
    return torch.empty_like(at).scatter_(1, at, count), torch.empty_like(at).scatter_(1, at, before)


@torch.no_grad()
def recurrence(ids: Tensor, c: RecurrenceConfig) -> tuple[Tensor, Tensor]:
    """ids (rows, length) -> buckets (rows, length, lengths) and ids of the followers (rows, length, next), ABSENT where there is none."""
    rows, length = ids.shape
    place = torch.arange(length, device=ids.device).expand(rows, length)
    key, size, buckets = ids.long(), 1, []
    latest = torch.full_like(key, ABSENT)
    for n in c.lengths:
        while size < n:  # an n-gram is its last n - 1 tokens and the one before them
            older = ids.long().roll(size, 1)
            key, size = _mix(key, older), size + 1
        # An n-gram that would begin before the text occurs nowhere else.
        alone = torch.where(place >= n - 1, key, -1 - place)
        count, before = _earlier(alone)
        buckets.append(count.clamp(max=c.buckets - 1))
        latest = torch.where(before >= 0, before, latest)
    at = latest[..., None] + 1 + torch.arange(c.next, device=ids.device)
    seen = (latest[..., None] >= 0) & (at < place[..., None])
    followers = ids.long().gather(1, at.clamp(0, length - 1).flatten(1)).view_as(at)
    return torch.stack(buckets, -1), torch.where(seen, followers, ABSENT)


def embed_followers(table: Tensor, followers: Tensor) -> Tensor:
    """table (vocabulary, features), followers (..., next) -> (..., next * features); zeros where there is none."""
    rows = F.embedding(followers.clamp(min=0), table) * (followers >= 0)[..., None]
    return rows.flatten(-2)
