#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "backend/ref/ref.h"
#include "backend/restore/quantize.h"
#include "backend/restore/ref/restore_ref.h"

namespace kakeya::ref {
namespace {

// The bucket of a distance in chunks, at least 1.
int DistanceBucket(int64_t distance) {
  assert(distance >= 1);
  int bucket = 0;
  while (bucket < kDistanceBuckets - 1 && distance >= int64_t{2} << bucket) ++bucket;
  return bucket;
}

int32_t Dot(const SummaryQueries& queries, int row, const ChunkSummaries& chunk, int segment) {
  const int half = queries.segments * queries.dim / 2;
  int32_t dot = 0;
  for (int i = 0; i < queries.dim; ++i) {
    const int at = SummaryIndex(queries.segments, segment, i);
    const int packed = at < half ? chunk.values[at] & 0xf : chunk.values[at - half] >> 4;
    dot += queries.narrow[row * queries.dim + i] * (packed - kInt4Bias);
  }
  return dot;
}

// The most over the segments; a NaN never is.
float Most(const SummaryQueries& queries, int row, const ChunkSummaries& chunk) {
  float most = -std::numeric_limits<float>::infinity();
  for (int s = 0; s < queries.segments; ++s) {
    const float scale = queries.scales[row] * chunk.scales[s];
    most = std::max(most, static_cast<float>(Dot(queries, row, chunk, s)) * scale);
  }
  return most;
}

}  // namespace

void ProjectQueries(const SelectProjection& projection, SummaryQueries* queries) {
  const int dim = queries->dim;
  const int64_t inputs = projection.weight->cols();
  for (int64_t r = 0; r < queries->rows; ++r) {
    std::copy_n(projection.q + r * projection.stride, inputs, projection.gathered + r * inputs);
  }
  MatMul(projection.gathered, queries->rows, *projection.weight, projection.projected);
  for (int64_t r = 0; r < queries->rows; ++r) {
    float* const row = projection.projected + r * (dim + 1);
    for (int i = 0; i <= dim; ++i) row[i] += projection.bias[i];
    queries->scales[r] = QuantizeInt8(row, dim, queries->narrow + r * dim);
    const bool finite = std::isfinite(queries->scales[r]) && std::isfinite(row[dim]);
    queries->thresholds[r] =
        finite ? row[dim] + projection.min_share_log : std::numeric_limits<float>::quiet_NaN();
  }
}

void ScanChunks(const ScanArgs& args, std::span<const ChunkSummaries> chunks,
                std::span<BestChunks> best) {
  const SummaryQueries& queries = *args.queries;
  for (const ChunkSummaries& chunk : chunks) {
    for (int r = 0; r < queries.rows; ++r) {
      if (chunk.chunk >= args.window_begin[r] / kChunk) continue;
      const int64_t distance = (args.first_position + r) / kChunk - chunk.chunk;
      const float score = Most(queries, r, chunk) + args.distance[DistanceBucket(distance)];
      if (score >= queries.thresholds[r]) Offer({score, chunk.chunk}, args.max_chunks, &best[r]);
    }
  }
}

}  // namespace kakeya::ref
