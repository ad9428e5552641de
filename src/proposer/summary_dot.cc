#include "proposer/summary_dot.h"

#include <algorithm>
#include <array>
#include <limits>

#include "backend/cpu/targets.h"
#include "backend/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "proposer/summary_dot.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kakeya::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE int32_t OneDot(const int16_t* query, const int8_t* summary, int dim) {
  int32_t sum = 0;
  for (int i = 0; i < dim; ++i) sum += int32_t{query[i]} * summary[i];
  return sum;
}

#if HWY_TARGET != HWY_SCALAR

using D16 = hn::ScalableTag<int16_t>;
using D32 = hn::RepartitionToWide<D16>;
using V32 = hn::Vec<D32>;
using Block = hn::Full128<int32_t>;

// The sum of a vector's blocks of 128 bits.
template <class D, class V>
HWY_INLINE hn::Vec<Block> SumOfBlocks(D d, V v) {
  if constexpr (hn::MaxLanes(d) <= hn::MaxLanes(Block())) {
    return v;
  } else {
    const hn::Half<D> half;
    return SumOfBlocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

// out[i] = the sum of v[i]'s lanes: all four at once cost what one costs.
HWY_INLINE void SumOfFour(const V32* v, int32_t* out) {
  const D32 d;
  const hn::RepartitionToWide<D32> d64;
  const auto fold = [&](V32 a, V32 b) HWY_ATTR {  // a0 + a2, b0 + b2, a1 + a3, b1 + b3
    return hn::BitCast(d64, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
  };
  const auto low = fold(v[0], v[1]);
  const auto high = fold(v[2], v[3]);
  const V32 sums = hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, low, high)),
                           hn::BitCast(d, hn::InterleaveUpper(d64, low, high)));
  hn::StoreU(SumOfBlocks(d, sums), Block(), out);
}

// Four dot products: of four queries with one summary, or of one query with four. Strides are 0 for
// what there is one of.
template <int kQueryStride, int kSummaryStride>
HWY_INLINE void FourDots(const int16_t* queries, const int8_t* summaries, int dim, int32_t* out) {
  const D16 d16;
  const D32 d32;
  const hn::Rebind<int8_t, D16> d8;
  const int lanes = static_cast<int>(hn::Lanes(d16));
  V32 low[4];
  V32 high[4];  // stays zero where a product adds neighbours by itself
  for (int n = 0; n < 4; ++n) low[n] = high[n] = hn::Zero(d32);
  int i = 0;
  for (; i + lanes <= dim; i += lanes) {
    for (int n = 0; n < 4; ++n) {
      const auto q = hn::LoadU(d16, queries + n * kQueryStride * dim + i);
      const auto z = hn::PromoteTo(d16, hn::LoadU(d8, summaries + n * kSummaryStride * dim + i));
      low[n] = hn::ReorderWidenMulAccumulate(d32, q, z, low[n], high[n]);
    }
  }
  for (int n = 0; n < 4; ++n) low[n] = hn::Add(low[n], high[n]);
  SumOfFour(low, out);
  for (; i < dim; ++i) {
    for (int n = 0; n < 4; ++n) {
      out[n] +=
          int32_t{queries[n * kQueryStride * dim + i]} * summaries[n * kSummaryStride * dim + i];
    }
  }
}

#else  // a single lane has no neighbours

template <int kQueryStride, int kSummaryStride>
HWY_INLINE void FourDots(const int16_t* queries, const int8_t* summaries, int dim, int32_t* out) {
  for (int n = 0; n < 4; ++n) {
    out[n] = OneDot(queries + n * kQueryStride * dim, summaries + n * kSummaryStride * dim, dim);
  }
}

#endif

void SummaryDotsTarget(const int16_t* queries, int rows, const int8_t* summaries, int segments,
                       int dim, int32_t* out) {
  int r = 0;
  for (; r + 4 <= rows; r += 4) {
    for (int s = 0; s < segments; ++s) {
      int32_t dots[4];
      FourDots<1, 0>(queries + r * dim, summaries + s * dim, dim, dots);
      for (int n = 0; n < 4; ++n) out[(r + n) * segments + s] = dots[n];
    }
  }
  for (; r < rows; ++r) {
    int s = 0;
    for (; s + 4 <= segments; s += 4) {
      FourDots<0, 1>(queries + r * dim, summaries + s * dim, dim, out + r * segments + s);
    }
    for (; s < segments; ++s) {
      out[r * segments + s] = OneDot(queries + r * dim, summaries + s * dim, dim);
    }
  }
}

}  // namespace kakeya::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya {
namespace {

HWY_EXPORT(SummaryDotsTarget);

}  // namespace

void SummaryDots(const int16_t* queries, int rows, const int8_t* summaries, int segments, int dim,
                 int32_t* out) {
  HWY_DYNAMIC_DISPATCH(SummaryDotsTarget)(queries, rows, summaries, segments, dim, out);
}

uint32_t ScoresPortable(const SummaryQueries& queries, const ChunkSummaries& chunk,
                        const ScoreTest& test, float* scores) {
  std::array<int32_t, kMaxDotRows * kChunk> dots;  // (rows, segments)
  SummaryDots(queries.wide, queries.rows, chunk.values, chunk.segments, chunk.dim, dots.data());
  uint32_t passing = 0;
  for (int r = 0; r < queries.rows; ++r) {
    float best = -std::numeric_limits<float>::infinity();
    for (int s = 0; s < chunk.segments; ++s) {
      const float scale = queries.scales[r] * chunk.scales[s];
      best = std::max(best, static_cast<float>(dots[r * chunk.segments + s]) * scale);
    }
    scores[r] = best + test.bias[r];
    if (scores[r] >= test.least[r]) passing |= uint32_t{1} << r;
  }
  return passing;
}

}  // namespace kakeya
#endif
