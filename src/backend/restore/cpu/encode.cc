// Moving, quantising and pooling activations.
#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "backend/cpu/cpu.h"
#include "backend/cpu/targets.h"
#include "backend/restore/cpu/restore_cpu.h"
#include "backend/restore/quantize.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/restore/cpu/encode.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#include "backend/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

// The largest magnitude as its bits, which are ordered as magnitudes are, infinities and NaN last.
uint32_t MostBits(const float* x, int n) {
  const hn::RebindToSigned<F> d;
  const auto magnitude = hn::Set(d, 0x7fffffff);
  auto most = hn::Zero(d);
  int i = 0;
  for (; i + kVecLanes <= n; i += kVecLanes) {
    most = hn::Max(most, hn::And(hn::BitCast(d, LoadVec(x + i)), magnitude));
  }
  int32_t lanes[kVecLanes];
  hn::StoreU(most, d, lanes);
  int32_t out = *std::max_element(lanes, lanes + kVecLanes);
  for (; i < n; ++i) out = std::max(out, std::bit_cast<int32_t>(x[i]) & 0x7fffffff);
  return static_cast<uint32_t>(out);
}

// QuantizeTo for int8.
float QuantizeRow(int limit, const float* x, int n, int8_t* q) {
  const uint32_t bits = MostBits(x, n);
  const bool finite = bits < 0x7f800000u;
  const auto bound = static_cast<float>(limit);
  const float scale = std::bit_cast<float>(bits) / bound;
  if (!finite || scale == 0) {
    std::fill_n(q, n, int8_t{0});
    return finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  const hn::RebindToSigned<F> d32;
  const hn::Rebind<int8_t, F> d8;
  const Vec most = hn::Set(F(), bound);
  const Vec divisor = hn::Set(F(), scale);
  const Vec magic = hn::Set(F(), numerics::kRoundMagic);
  int i = 0;
  for (; i + kVecLanes <= n; i += kVecLanes) {
    const Vec quotient = hn::Div(LoadVec(x + i), divisor);
    const Vec clamped = hn::Min(hn::Max(quotient, hn::Neg(most)), most);
    const Vec rounded = hn::Sub(hn::Add(clamped, magic), magic);
    hn::StoreU(hn::DemoteTo(d8, hn::ConvertTo(d32, rounded)), d8, q + i);
  }
  for (; i < n; ++i) {
    const float quotient = std::clamp(x[i] / scale, -bound, bound);
    q[i] = static_cast<int8_t>((quotient + numerics::kRoundMagic) - numerics::kRoundMagic);
  }
  return scale;
}

// out (dim) = values times a scale.
void ScaleInt16(const int16_t* values, float scale, int dim, float* out) {
  const hn::RebindToSigned<F> d32;
  const hn::Rebind<int16_t, F> d16;
  const Vec factor = hn::Set(F(), scale);
  int i = 0;
  for (; i + kVecLanes <= dim; i += kVecLanes) {
    const auto wide = hn::PromoteTo(d32, hn::LoadU(d16, values + i));
    hn::StoreU(hn::Mul(hn::ConvertTo(F(), wide), factor), F(), out + i);
  }
  for (; i < dim; ++i) out[i] = static_cast<float>(values[i]) * scale;
}

// out (n) += weight * values, rounded twice.
HWY_INLINE void AddScaled(float weight, const float* values, int n, float* out) {
  const Vec factor = hn::Set(F(), weight);
  int i = 0;
  for (; i + kVecLanes <= n; i += kVecLanes) {
    hn::StoreU(hn::Add(LoadVec(out + i), hn::Mul(factor, LoadVec(values + i))), F(), out + i);
  }
  for (; i < n; ++i) out[i] += weight * values[i];
}

// out (slice) = the mean of `tokens` rows of values, `stride` apart, weighted by the softmax of
// logits, which are `logit_stride` apart.
void PoolSlice(const float* logits, int logit_stride, const float* values, int stride, int tokens,
               int slice, float* out) {
  float most = logits[0];
  for (int t = 1; t < tokens; ++t) most = std::max(most, logits[t * logit_stride]);
  float sum = 0;
  std::fill_n(out, slice, 0.0f);
  for (int t = 0; t < tokens; ++t) {
    const float weight = numerics::Exp(logits[t * logit_stride] - most);
    sum += weight;
    AddScaled(weight, values + t * stride, slice, out);
  }
  for (int i = 0; i < slice; ++i) out[i] /= sum;
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(QuantizeRow);
HWY_EXPORT(ScaleInt16);
HWY_EXPORT(PoolSlice);

}  // namespace

void GatherFeatures(const TokenFeatures& tokens, std::span<const int32_t> ids, float* out) {
  for (const int32_t id : ids) {
    if (id == kNoToken) {
      std::fill_n(out, tokens.dim, 0.0f);
    } else {
      HWY_DYNAMIC_DISPATCH(ScaleInt16)
      (tokens.values + int64_t{id} * tokens.dim, tokens.scales[id], tokens.dim, out);
    }
    out += tokens.dim;
  }
}

void QuantizeRows(const float* x, int rows, int dim, int8_t* q, float* scales) {
  for (int64_t r = 0; r < rows; ++r) {
    scales[r] = HWY_DYNAMIC_DISPATCH(QuantizeRow)(kInt8Limit, x + r * dim, dim, q + r * dim);
  }
}

void PoolSummaries(const SummaryShape& shape, const float* logits, const float* projected,
                   uint8_t* summaries, float* scales) {
  const int tokens = kChunk / shape.segments;
  const int slice = shape.dim / shape.pool_heads;
  std::array<float, kMaxSummaryDim> summary;
  std::array<int8_t, kMaxSummaryDim> narrow;
  std::array<int8_t, kMaxSummaryElements> values;
  for (int segment = 0; segment < shape.segments; ++segment) {
    const float* const segment_logits = logits + segment * tokens * shape.pool_heads;
    const float* const segment_values = projected + segment * tokens * shape.dim;
    for (int head = 0; head < shape.pool_heads; ++head) {
      HWY_DYNAMIC_DISPATCH(PoolSlice)
      (segment_logits + head, shape.pool_heads, segment_values + head * slice, shape.dim, tokens,
       slice, summary.data() + head * slice);
    }
    scales[segment] =
        HWY_DYNAMIC_DISPATCH(QuantizeRow)(kInt4Limit, summary.data(), shape.dim, narrow.data());
    for (int i = 0; i < shape.dim; ++i) {
      values[SummaryIndex(shape.segments, segment, i)] = narrow[i];
    }
  }
  PackSummaries(values.data(), shape.segments * shape.dim, summaries);
}

void AddRecurrenceRows(const RecurrenceShape& shape, const ChunkRecurrence& found,
                       const float* counts, int dim, float* x) {
  const auto lengths = static_cast<int64_t>(shape.lengths.size());
  for (int64_t i = 0; i < int64_t{kChunk} * lengths; ++i) {
    const int64_t row = i % lengths * shape.buckets + found.buckets[i];
    AddInPlace(nullptr, x + i / lengths * dim, counts + row * dim, dim);
  }
}

}  // namespace kakeya::cpu
#endif
