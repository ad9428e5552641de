#include "backend/restore/cpu/summary_dot.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/restore/cpu/summary_dot.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE void DotsByElement(const int16_t* query, const int8_t* summaries, int segments, int dim,
                              int32_t* out) {
  for (int s = 0; s < segments; ++s) {
    out[s] = 0;
    for (int i = 0; i < dim; ++i) out[s] += query[i] * summaries[SummaryIndex(segments, s, i)];
  }
}

#if HWY_TARGET != HWY_SCALAR

// out (kRows, segments) for the segments of one vector, whose elements begin at `summaries`.
template <int kRows, class D16>
HWY_INLINE void DotsOfVector(D16 d16, const int16_t* queries, const int8_t* summaries, int segments,
                             int dim, int32_t* out) {
  const hn::RepartitionToWide<D16> d32;
  const hn::RepartitionToWide<decltype(d32)> d64;
  const hn::Rebind<int8_t, D16> d8;
  hn::Vec<decltype(d32)> low[kRows];
  hn::Vec<decltype(d32)> high[kRows];  // stays zero where a product adds neighbours by itself
  for (int r = 0; r < kRows; ++r) low[r] = high[r] = hn::Zero(d32);
  for (int quad = 0; quad < dim / 4; ++quad) {
    const auto z = hn::PromoteTo(d16, hn::LoadU(d8, summaries + quad * segments * 4));
    for (int r = 0; r < kRows; ++r) {
      int64_t four;
      std::memcpy(&four, queries + r * dim + quad * 4, sizeof(four));
      const auto q = hn::BitCast(d16, hn::Set(d64, four));
      low[r] = hn::ReorderWidenMulAccumulate(d32, q, z, low[r], high[r]);
    }
  }
  HWY_ALIGN int32_t pairs[hn::MaxLanes(d32)];
  for (int r = 0; r < kRows; ++r) {
    hn::Store(hn::RearrangeToOddPlusEven(low[r], high[r]), d32, pairs);
    const int count = static_cast<int>(hn::Lanes(d32)) / 2;
    for (int s = 0; s < count; ++s) out[r * segments + s] = pairs[2 * s] + pairs[2 * s + 1];
  }
}

template <int kRows, class D16>
HWY_INLINE void DotsOfRows(D16 d16, const int16_t* queries, const int8_t* summaries, int segments,
                           int dim, int32_t* out) {
  const int lanes = static_cast<int>(hn::Lanes(d16));
  for (int first = 0; first < segments * 4; first += lanes) {
    DotsOfVector<kRows>(d16, queries, summaries + first, segments, dim, out + first / 4);
  }
}

// False if the segments don't fill such vectors.
template <class D16>
HWY_INLINE bool DotsByVector(D16 d16, const int16_t* queries, int rows, const int8_t* summaries,
                             int segments, int dim, int32_t* out) {
  const int lanes = static_cast<int>(hn::Lanes(d16));
  if (lanes < 4 || segments * 4 % lanes != 0) return false;
  int r = 0;
  for (; r + 4 <= rows; r += 4) {
    DotsOfRows<4>(d16, queries + r * dim, summaries, segments, dim, out + r * segments);
  }
  for (; r < rows; ++r) {
    DotsOfRows<1>(d16, queries + r * dim, summaries, segments, dim, out + r * segments);
  }
  return true;
}

#endif

void SummaryDotsTarget(const int16_t* queries, int rows, const int8_t* summaries, int segments,
                       int dim, int32_t* out) {
#if HWY_TARGET != HWY_SCALAR
  const hn::ScalableTag<int16_t> whole;
  const hn::Half<decltype(whole)> half;
  if (DotsByVector(whole, queries, rows, summaries, segments, dim, out)) return;
  if (DotsByVector(half, queries, rows, summaries, segments, dim, out)) return;
#endif
  for (int r = 0; r < rows; ++r) {
    DotsByElement(queries + r * dim, summaries, segments, dim, out + r * segments);
  }
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(SummaryDotsTarget);

}  // namespace

void SummaryDots(const int16_t* queries, int rows, const int8_t* summaries, int segments, int dim,
                 int32_t* out) {
  HWY_DYNAMIC_DISPATCH(SummaryDotsTarget)(queries, rows, summaries, segments, dim, out);
}

void MostsPortable(const SummaryQueries& queries, const ChunkSummaries* chunks, int count,
                   float* mosts) {
  std::array<int32_t, kMaxScanRows * kChunk> dots;  // (rows, segments)
  std::array<int8_t, kMaxSummaryElements> values;
  for (int c = 0; c < count; ++c) {
    const ChunkSummaries& chunk = chunks[c];
    UnpackSummaries(chunk.values, queries.segments * queries.dim, values.data());
    SummaryDots(queries.wide, queries.rows, values.data(), queries.segments, queries.dim,
                dots.data());
    for (int r = 0; r < queries.rows; ++r) {
      float best = -std::numeric_limits<float>::infinity();
      for (int s = 0; s < queries.segments; ++s) {
        const float scale = queries.scales[r] * chunk.scales[s];
        best = std::max(best, static_cast<float>(dots[r * queries.segments + s]) * scale);
      }
      mosts[c * queries.rows + r] = best;
    }
  }
}

uint32_t ScoresPortable(const SummaryQueries& queries, const ChunkSummaries& chunk,
                        const ScoreTest& test, float* scores) {
  MostsPortable(queries, &chunk, 1, scores);
  uint32_t passing = 0;
  for (int r = 0; r < queries.rows; ++r) {
    scores[r] += test.bias[r];
    if (scores[r] >= test.least[r]) passing |= uint32_t{1} << r;
  }
  return passing;
}

}  // namespace kakeya::cpu
#endif
