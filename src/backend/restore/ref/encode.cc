#include <algorithm>
#include <array>

#include "backend/numerics.h"
#include "backend/restore/quantize.h"
#include "backend/restore/ref/restore_ref.h"

namespace kakeya::ref {
namespace {

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
    for (int i = 0; i < slice; ++i) out[i] += weight * values[t * stride + i];
  }
  for (int i = 0; i < slice; ++i) out[i] /= sum;
}

}  // namespace

void GatherFeatures(const TokenFeatures& tokens, std::span<const int32_t> ids, float* out) {
  for (size_t n = 0; n < ids.size(); ++n) {
    for (int i = 0; i < tokens.dim; ++i) {
      const int64_t at = int64_t{ids[n]} * tokens.dim + i;
      *out++ =
          ids[n] == kNoToken ? 0.0f : static_cast<float>(tokens.values[at]) * tokens.scales[ids[n]];
    }
  }
}

void QuantizeRows(const float* x, int rows, int dim, int8_t* q, float* scales) {
  for (int64_t r = 0; r < rows; ++r) scales[r] = QuantizeInt8(x + r * dim, dim, q + r * dim);
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
      PoolSlice(segment_logits + head, shape.pool_heads, segment_values + head * slice, shape.dim,
                tokens, slice, summary.data() + head * slice);
    }
    scales[segment] = QuantizeInt4(summary.data(), shape.dim, narrow.data());
    for (int i = 0; i < shape.dim; ++i) {
      values[SummaryIndex(shape.segments, segment, i)] = narrow[i];
    }
  }
  PackSummaries(values.data(), shape.segments * shape.dim, summaries);
}

void AddRecurrenceRows(const RecurrenceShape& shape, const ChunkRecurrence& found,
                       const float* counts, int dim, float* x) {
  const auto lengths = static_cast<int64_t>(shape.lengths.size());
  for (int64_t t = 0; t < kChunk; ++t) {
    for (int64_t l = 0; l < lengths; ++l) {
      const int64_t row = l * shape.buckets + found.buckets[t * lengths + l];
      for (int i = 0; i < dim; ++i) x[t * dim + i] += counts[row * dim + i];
    }
  }
}

}  // namespace kakeya::ref
