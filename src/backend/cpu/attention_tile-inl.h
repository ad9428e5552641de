// Attention of a few queries that share one KV head over the pages of one group, compiled once per
// instruction set. A chunk is read once for all queries of the tile:
//   scores   queries x slots: q[d] broadcast against K's row d (K is stored transposed);
//   weights  exp(score - max) of the visible slots, their sum in kLanes lanes;
//   values   queries x head_dim: weight[slot] broadcast against V's row of that slot.
// Slots that a query doesn't see are left out by selection and loop bounds, never by a zero weight:
// they may hold NaN.
#if defined(KAKEYA_BACKEND_CPU_ATTENTION_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KAKEYA_BACKEND_CPU_ATTENTION_TILE_INL_H_
#undef KAKEYA_BACKEND_CPU_ATTENTION_TILE_INL_H_
#else
#define KAKEYA_BACKEND_CPU_ATTENTION_TILE_INL_H_
#endif

#include <algorithm>
#include <cstring>

#include "backend/cpu/attention_tile.h"
#include "backend/cpu/kv_head-inl.h"
#include "backend/cpu/vector-inl.h"
#include "backend/visibility.h"

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

// Queries that share one pass over a chunk: with four blocks each they fill the registers for sums.
constexpr int kMaxPassQueries = std::min(6, kSumBlocks);
constexpr int PassBlocks(int queries) {
  const int blocks = kSumBlocks / queries;
  return blocks >= 8 ? 8 : blocks >= 4 ? 4 : blocks >= 2 ? 2 : 1;
}

// The queries of a tile that see something of the current chunk.
struct ChunkQueries {
  int count = 0;
  SlotRange slots[kTileQueries];  // visible ones, not empty
  const float* q[kTileQueries];   // (head_dim)
  float* partial[kTileQueries];   // of this chunk: PartialSize(head_dim)
  alignas(64) float weights[kTileQueries][kChunk];
};

// weights[i][slots of kBlocks blocks from `slot` on] = q[i] . K, kQueries queries from `first` on.
template <int kQueries, int kBlocks, typename Head>
HWY_INLINE void ScoreBlocks(const Head& head, int head_dim, int first, int slot,
                            ChunkQueries* tile) {
  Block sums[kQueries][kBlocks];
  KAKEYA_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) sums[i][b] = ZeroBlock();
  }
  const float* q[kQueries];
  KAKEYA_UNROLL
  for (int i = 0; i < kQueries; ++i) q[i] = tile->q[first + i];
  for (int begin = 0; begin < head_dim; begin += kKvGroup) {
    const auto run = head.template Slots<kBlocks>(begin / kKvGroup, slot);
    const int end = std::min(begin + kKvGroup, head_dim);
    for (int d = begin; d < end; d += Head::kKeyStep) {
      Block rows[Head::kKeyStep][kBlocks];
      run.Load(d, rows);
      KAKEYA_UNROLL
      for (int step = 0; step < Head::kKeyStep; ++step) {
        KAKEYA_UNROLL
        for (int i = 0; i < kQueries; ++i) {
          const Vec input = hn::Set(F(), q[i][d + step]);
          KAKEYA_UNROLL
          for (int b = 0; b < kBlocks; ++b) FmaInto(input, rows[step][b], &sums[i][b]);
        }
      }
    }
  }
  KAKEYA_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      StoreBlock(sums[i][b], tile->weights[first + i] + slot + b * kBlock);
    }
  }
}

// Whole steps of blocks that hold `slots`.
template <int kQueries, typename Head>
HWY_INLINE void Scores(const Head& head, int head_dim, int first, SlotRange slots,
                       ChunkQueries* tile) {
  constexpr int kBlocks = std::min(PassBlocks(kQueries), kChunk / kBlock);
  constexpr int kStep = kBlocks * kBlock;
  for (int slot = slots.first / kStep * kStep; slot < slots.end; slot += kStep) {
    ScoreBlocks<kQueries, kBlocks>(head, head_dim, first, slot, tile);
  }
}

// Turns the scores of one query into weights; stores their maximum and sum in its partial.
HWY_INLINE void Softmax(float scale, int query, ChunkQueries* tile) {
  float* const weights = tile->weights[query];
  const F f;
  const SlotRange slots = tile->slots[query];
  const Vec first = hn::Set(f, static_cast<float>(slots.first));
  const Vec end = hn::Set(f, static_cast<float>(slots.end));
  const Vec hidden = hn::Neg(hn::Inf(f));
  const Vec scales = hn::Set(f, scale);
  const auto visible = [&](int slot) HWY_ATTR {
    const Vec slot_of = hn::Iota(f, static_cast<float>(slot));
    return hn::And(hn::Ge(slot_of, first), hn::Lt(slot_of, end));
  };
  // A weight's lane is its slot's: blocks begin where they do for a row that sees all slots.
  const int begin = slots.first / kBlock * kBlock;
  Vec top = hidden;
  for (int slot = begin; slot < slots.end; slot += kVecLanes) {
    const Vec score = hn::Mul(LoadVec(weights + slot), scales);
    const Vec seen = hn::IfThenElse(visible(slot), score, hidden);
    hn::StoreU(seen, f, weights + slot);
    top = hn::Max(top, seen);
  }
  const Vec max = hn::MaxOfLanes(f, top);
  Block sums = ZeroBlock();
  for (int slot = begin; slot < slots.end; slot += kBlock) {
    KAKEYA_UNROLL
    for (int i = 0; i < kVecs; ++i) {
      const int at = slot + i * kVecLanes;
      const Vec weight = Exp(hn::Sub(LoadVec(weights + at), max));
      const Vec seen = hn::IfThenElseZero(visible(at), weight);
      hn::StoreU(seen, f, weights + at);
      sums.v[i] = hn::Add(sums.v[i], seen);
    }
  }
  tile->partial[query][kPartialMax] = hn::GetLane(max);
  tile->partial[query][kPartialSum] = TreeSum(sums);
}

// values[i][dimensions of kBlocks blocks from `d` on] += weights of slots [begin, end) times V.
// kPart: fewer than a block's dimensions are left from `d` on.
template <int kQueries, int kBlocks, bool kPart, typename Head>
HWY_INLINE void ValueBlocks(const Head& head, int first, int d, int begin, int end,
                            ChunkQueries* tile) {
  Block sums[kQueries][kBlocks];
  const float* weights[kQueries];
  KAKEYA_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    weights[i] = tile->weights[first + i];
    const float* const old = tile->partial[first + i] + kPartialValues + d;
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) sums[i][b] = LoadBlock(old + b * kBlock);
  }
  for (int slot = begin; slot < end; ++slot) {
    Block row[kBlocks];
    if constexpr (kPart) {
      head.LastValues(slot, d, row);
    } else {
      head.Values(slot, d, row);
    }
    KAKEYA_UNROLL
    for (int i = 0; i < kQueries; ++i) {
      const Vec weight = hn::Set(F(), weights[i][slot]);
      KAKEYA_UNROLL
      for (int b = 0; b < kBlocks; ++b) FmaInto(weight, row[b], &sums[i][b]);
    }
  }
  KAKEYA_UNROLL
  for (int i = 0; i < kQueries; ++i) {
    float* const out = tile->partial[first + i] + kPartialValues + d;
    KAKEYA_UNROLL
    for (int b = 0; b < kBlocks; ++b) StoreBlock(sums[i][b], out + b * kBlock);
  }
}

template <int kQueries, typename Head>
HWY_INLINE void Values(const Head& head, int head_dim, int first, int begin, int end,
                       ChunkQueries* tile) {
  if (begin >= end) return;
  constexpr int kBlocks = PassBlocks(kQueries);
  int d = 0;
  for (; d + kBlocks * kBlock <= head_dim; d += kBlocks * kBlock) {
    ValueBlocks<kQueries, kBlocks, false>(head, first, d, begin, end, tile);
  }
  for (; d + kBlock <= head_dim; d += kBlock) {
    ValueBlocks<kQueries, 1, false>(head, first, d, begin, end, tile);
  }
  if (d < head_dim) {
    ValueBlocks<kQueries, 1, true>(head, first, d, begin, end, tile);
  }
}

// Values of one query of a pass. One function for all passes: it is called where rows begin or end.
template <typename Head>
HWY_NOINLINE void ValuesAlone(const Head& head, int head_dim, int query, int begin, int end,
                              ChunkQueries* tile) {
  Values<1>(head, head_dim, query, begin, end, tile);
}

// Scores, weights and values of kQueries queries from `first` on.
template <int kQueries, typename Head>
HWY_NOINLINE void Pass(const Head& head, int head_dim, float scale, int first, ChunkQueries* tile) {
  SlotRange all = tile->slots[first];
  SlotRange shared = tile->slots[first];
  for (int i = first + 1; i < first + kQueries; ++i) {
    const SlotRange slots = tile->slots[i];
    all = {std::min(all.first, slots.first), std::max(all.end, slots.end)};
    shared = {std::max(shared.first, slots.first), std::min(shared.end, slots.end)};
  }
  Scores<kQueries>(head, head_dim, first, all, tile);
  for (int i = first; i < first + kQueries; ++i) {
    Softmax(scale, i, tile);
    float* const sums = tile->partial[i] + kPartialValues;
    for (int d = 0; d < head_dim; d += kBlock) StoreBlock(ZeroBlock(), sums + d);
  }
  // What all see is read once for all; what lies before and behind it, for each alone. Without a
  // slot in common, each reads its own.
  if (shared.empty()) shared = {all.end, all.end};
  for (int i = first; i < first + kQueries && all.first < shared.first; ++i) {
    const SlotRange slots = tile->slots[i];
    ValuesAlone(head, head_dim, i, slots.first, std::min(shared.first, slots.end), tile);
  }
  Values<kQueries>(head, head_dim, first, shared.first, shared.end, tile);
  for (int i = first; i < first + kQueries && shared.end < all.end; ++i) {
    ValuesAlone(head, head_dim, i, shared.end, tile->slots[i].end, tile);
  }
}

template <int kQueries, typename Head>
HWY_INLINE void PassOf(int queries, const Head& head, int head_dim, float scale, int first,
                       ChunkQueries* tile) {
  if constexpr (kQueries == 1) {
    Pass<1>(head, head_dim, scale, first, tile);
  } else if (queries == kQueries) {
    Pass<kQueries>(head, head_dim, scale, first, tile);
  } else {
    PassOf<kQueries - 1>(queries, head, head_dim, scale, first, tile);
  }
}

// total += next, whose keys come later. Both (PartialSize), neither empty.
HWY_INLINE void MergePartial(const float* next, int head_dim, float* total) {
  const float max = std::max(total[kPartialMax], next[kPartialMax]);
  const F f;
  const Vec old_scale = Exp(hn::Set(f, total[kPartialMax] - max));
  const Vec new_scale = Exp(hn::Set(f, next[kPartialMax] - max));
  const Vec sum = Fma(hn::Set(f, next[kPartialSum]), new_scale,
                      hn::Mul(hn::Set(f, total[kPartialSum]), old_scale));
  total[kPartialMax] = max;
  total[kPartialSum] = hn::GetLane(sum);
  const int padded = PaddedDim(head_dim);
  for (int d = kPartialValues; d < kPartialValues + padded; d += kVecLanes) {
    hn::StoreU(Fma(LoadVec(next + d), new_scale, hn::Mul(LoadVec(total + d), old_scale)), f,
               total + d);
  }
}

// total += next, either may be empty.
HWY_INLINE void JoinPartial(const float* next, int head_dim, float* total) {
  if (next[kPartialEmpty] != 0) return;
  if (total[kPartialEmpty] != 0) {
    std::memcpy(total, next, sizeof(float) * static_cast<size_t>(PartialSize(head_dim)));
  } else {
    MergePartial(next, head_dim, total);
  }
}

// One chunk, one KV head. Query i of `queries` joins target[i]; where that was empty,
// queries->partial[i] is target[i] itself.
template <typename Head>
HWY_INLINE void AttendGathered(const Head& head, int head_dim, float scale, float* const* target,
                               ChunkQueries* queries) {
  for (int first = 0; first < queries->count;) {
    const int left = queries->count - first;
    const int passes = (left + kMaxPassQueries - 1) / kMaxPassQueries;
    const int count = (left + passes - 1) / passes;
    PassOf<kMaxPassQueries>(count, head, head_dim, scale, first, queries);
    first += count;
  }
  for (int i = 0; i < queries->count; ++i) {
    if (queries->partial[i] == target[i]) {
      target[i][kPartialEmpty] = 0;
    } else {
      MergePartial(queries->partial[i], head_dim, target[i]);
    }
  }
}

// out (head_dim) = the values of a complete partial divided by its sum.
HWY_INLINE void FinishPartial(const float* partial, int head_dim, float* out) {
  const float inverse = 1.0f / partial[kPartialSum];
  const float* const values = partial + kPartialValues;
  const Vec scale = hn::Set(F(), inverse);
  int d = 0;
  for (; d + kVecLanes <= head_dim; d += kVecLanes) {
    hn::StoreU(hn::Mul(LoadVec(values + d), scale), F(), out + d);
  }
  for (; d < head_dim; ++d) out[d] = values[d] * inverse;
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // KAKEYA_BACKEND_CPU_ATTENTION_TILE_INL_H_
