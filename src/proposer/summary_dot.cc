#include "proposer/summary_dot.h"

#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "proposer/summary_dot.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kakeya::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// kRows queries against one segment: it is read and widened once for all of them.
template <int kRows>
HWY_INLINE void DotRows(const int16_t* queries, const int8_t* summary, int segments, int dim,
                        int32_t* out) {
  const hn::ScalableTag<int16_t> d16;
  const hn::Rebind<int8_t, decltype(d16)> d8;
  const hn::RepartitionToWide<decltype(d16)> d32;
  using V32 = hn::Vec<decltype(d32)>;
  const int lanes = static_cast<int>(hn::Lanes(d16));
  V32 low[kRows];
  V32 high[kRows];  // stays zero where a product adds neighbours by itself
  for (int r = 0; r < kRows; ++r) low[r] = high[r] = hn::Zero(d32);
  int i = 0;
  for (; i + lanes <= dim; i += lanes) {
    const auto z = hn::PromoteTo(d16, hn::LoadU(d8, summary + i));
    for (int r = 0; r < kRows; ++r) {
      low[r] = hn::ReorderWidenMulAccumulate(d32, hn::LoadU(d16, queries + r * dim + i), z, low[r],
                                             high[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    int32_t sum = hn::GetLane(hn::SumOfLanes(d32, hn::Add(low[r], high[r])));
    for (int j = i; j < dim; ++j) sum += int32_t{queries[r * dim + j]} * summary[j];
    out[r * segments] = sum;
  }
}

void SummaryDotsTarget(const int16_t* queries, int rows, const int8_t* summaries, int segments,
                       int dim, int32_t* out) {
  for (int s = 0; s < segments; ++s) {
    const int8_t* const summary = summaries + s * dim;
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
      DotRows<4>(queries + r * dim, summary, segments, dim, out + r * segments + s);
    }
    for (; r < rows; ++r) {
      DotRows<1>(queries + r * dim, summary, segments, dim, out + r * segments + s);
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

}  // namespace kakeya
#endif
