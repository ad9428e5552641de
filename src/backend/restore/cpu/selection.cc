// Selector queries in int8, and the scan that compares them with chunk after chunk.
#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "backend/cpu/cpu.h"
#include "backend/restore/cpu/restore_cpu.h"
#include "backend/restore/cpu/summary_dot.h"
#include "backend/restore/quantize.h"

namespace kakeya::cpu {
namespace {

// Chunks that few rows are compared with at once.
constexpr int kRunChunks = 16;

// The bucket of a distance in chunks, at least 1.
int DistanceBucket(int64_t distance) {
  assert(distance >= 1);
  return std::min(kDistanceBuckets - 1,
                  static_cast<int>(std::bit_width(static_cast<uint64_t>(distance))) - 1);
}

// The biases of some rows for one chunk after the other. Rows stand in two chunks at most, and
// buckets are few: there is seldom anything to do.
class RowBiases {
 public:
  RowBiases(const float* buckets, int64_t first_position, int rows)
      : buckets_(buckets), first_position_(first_position), rows_(rows) {}

  void MoveTo(int64_t chunk, std::array<float, kMaxScanRows>* biases) {
    const int64_t first = first_position_ / kChunk;
    const int64_t last = (first_position_ + rows_ - 1) / kChunk;
    // A row that stands in the chunk doesn't see it: any bias will do.
    const int near = DistanceBucket(std::max<int64_t>(1, first - chunk));
    const int far = DistanceBucket(std::max<int64_t>(1, last - chunk));
    if (near == near_ && far == far_) return;
    near_ = near;
    far_ = far;
    for (int r = 0; r < rows_; ++r) {
      (*biases)[r] = buckets_[(first_position_ + r) / kChunk == first ? near : far];
    }
  }

 private:
  static_assert(kMaxScanRows <= kChunk);
  const float* const buckets_;
  const int64_t first_position_;
  const int rows_;
  int near_ = -1;
  int far_ = -1;
};

// Some rows on their way from later chunks to earlier ones.
class Scan {
 public:
  Scan(const ScanArgs& args, std::span<BestChunks> best)
      : args_(args),
        queries_(*args.queries),
        biases_(args.distance, args.first_position, queries_.rows),
        first_(queries_.rows),
        best_(best) {
    // Lanes of nobody's rows are compared, too, where there are many rows.
    const int lanes = queries_.rows <= kFewScanRows ? queries_.rows : kMaxScanRows;
    std::fill_n(test_.bias.begin(), lanes, 0.0f);
    std::fill_n(test_.least.begin(), lanes, std::numeric_limits<float>::quiet_NaN());
  }

  // Several chunks at once, of at most kFewScanRows rows.
  void VisitRuns(std::span<const ChunkSummaries> chunks) {
    const MostFn most = FastestMosts(queries_.segments, queries_.dim);
    std::array<float, size_t{kRunChunks} * kFewScanRows> mosts;
    while (!chunks.empty()) {
      const int count = static_cast<int>(std::min<size_t>(chunks.size(), kRunChunks));
      most(queries_, chunks.data(), count, mosts.data());
      for (int c = 0; c < count; ++c) {
        MoveTo(chunks[c].chunk);
        for (int r = 0; r < queries_.rows; ++r) {
          const float score = mosts[c * queries_.rows + r] + test_.bias[r];
          if (score >= test_.least[r]) Take(r, {score, chunks[c].chunk});
        }
      }
      chunks = chunks.subspan(count);
    }
  }

  // Chunk by chunk, of many rows.
  void Visit(std::span<const ChunkSummaries> chunks) {
    const ScoreFn score = FastestScores(queries_.rows, queries_.segments, queries_.dim);
    alignas(64) std::array<float, kMaxScanRows> scores;
    for (const ChunkSummaries& chunk : chunks) {
      MoveTo(chunk.chunk);
      uint32_t passing = score(queries_, chunk, test_, scores.data());
      for (; passing != 0; passing &= passing - 1) {
        const int r = std::countr_zero(passing);
        Take(r, {scores[r], chunk.chunk});
      }
    }
  }

 private:
  // Windows ascend: the rows before first_ see no chunk so late.
  void MoveTo(int64_t chunk) {
    for (; first_ > 0 && args_.window_begin[first_ - 1] / kChunk > chunk; --first_) {
      SetLeast(first_ - 1);
    }
    biases_.MoveTo(chunk, &test_.bias);
  }

  void Take(int r, const ScoredChunk& candidate) {
    Offer(candidate, args_.max_chunks, &best_[r]);
    SetLeast(r);
  }

  // What gets into a heap that is full reaches the worst there.
  void SetLeast(int r) {
    const bool full = static_cast<int64_t>(best_[r].size()) == args_.max_chunks;
    test_.least[r] = full ? best_[r].front().score : queries_.thresholds[r];
  }

  const ScanArgs& args_;
  const SummaryQueries& queries_;
  RowBiases biases_;
  int first_;
  ScoreTest test_;
  const std::span<BestChunks> best_;
};

// One row of int8 in the other layouts.
void SpreadRow(int r, SummaryQueries* queries) {
  const int dim = queries->dim;
  const int segments = queries->segments;
  const int8_t* const narrow = queries->narrow + r * dim;
  queries->offsets[r] = -kInt4Bias * std::accumulate(narrow, narrow + dim, 0);
  std::copy_n(narrow, dim, queries->wide + r * dim);
  for (int i = 0; i + 4 <= dim; i += 4) {
    std::memcpy(queries->quads + i * kMaxScanRows + r * 4, narrow + i, 4);
  }
  if (queries->rows > kFewScanRows) return;
  int8_t* const spread = queries->spread + r * dim * segments;
  for (int i = 0; i < dim; i += 4) {
    for (int s = 0; s < segments; ++s) {
      std::memcpy(spread + SummaryIndex(segments, s, i), narrow + i, 4);
    }
  }
}

}  // namespace

void ProjectQueries(const SelectProjection& projection, SummaryQueries* queries) {
  const int dim = queries->dim;
  const int64_t inputs = projection.weight->cols();
  for (int64_t r = 0; r < queries->rows; ++r) {
    std::copy_n(projection.q + r * projection.stride, inputs, projection.gathered + r * inputs);
  }
  MatMul(nullptr, projection.gathered, queries->rows, *projection.weight, projection.projected);
  for (int r = 0; r < queries->rows; ++r) {
    float* const row = projection.projected + int64_t{r} * (dim + 1);
    for (int i = 0; i <= dim; ++i) row[i] += projection.bias[i];
    queries->scales[r] = QuantizeInt8(row, dim, queries->narrow + r * dim);
    SpreadRow(r, queries);
    // Nothing passes a threshold that is no number, which infinities must not become.
    const bool finite = std::isfinite(queries->scales[r]) && std::isfinite(row[dim]);
    queries->thresholds[r] =
        finite ? row[dim] + projection.min_share_log : std::numeric_limits<float>::quiet_NaN();
  }
}

void ScanChunks(const ScanArgs& args, std::span<const ChunkSummaries> chunks,
                std::span<BestChunks> best) {
  Scan scan(args, best);
  if (args.queries->rows <= kFewScanRows) return scan.VisitRuns(chunks);
  scan.Visit(chunks);
}

}  // namespace kakeya::cpu
