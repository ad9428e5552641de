#include "proposer/summary.h"

#include <algorithm>
#include <array>

#include "backend/numerics.h"
#include "proposer/quantize.h"
#include "proposer/summary_dot.h"

namespace kakeya {
namespace {

// out (slice) = the mean of `tokens` rows of values, `stride` apart, weighted by the softmax of
// logits, which are `logit_stride` apart. Sums run over the tokens in ascending order.
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

void PoolSummaries(const RestorerConfig::Summary& config, const float* logits,
                   const float* projected, uint8_t* summaries, float* scales) {
  const int tokens = kChunk / config.segments;
  const int slice = config.dim / config.pool_heads;
  std::array<float, kMaxSummaryDim> summary;
  std::array<int8_t, kMaxSummaryDim> narrow;
  std::array<int8_t, kMaxSummaryElements> values;
  for (int segment = 0; segment < config.segments; ++segment) {
    const float* const segment_logits = logits + segment * tokens * config.pool_heads;
    const float* const segment_values = projected + segment * tokens * config.dim;
    for (int head = 0; head < config.pool_heads; ++head) {
      PoolSlice(segment_logits + head, config.pool_heads, segment_values + head * slice, config.dim,
                tokens, slice, summary.data() + head * slice);
    }
    scales[segment] = QuantizeInt4(summary.data(), config.dim, narrow.data());
    for (int i = 0; i < config.dim; ++i) {
      values[SummaryIndex(config.segments, segment, i)] = narrow[i];
    }
  }
  PackSummaries(values.data(), config.segments * config.dim, summaries);
}

}  // namespace kakeya
