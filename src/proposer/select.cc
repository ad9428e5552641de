#include "proposer/select.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "cache/window.h"
#include "proposer/latest_chunks.h"
#include "proposer/quantize.h"
#include "proposer/summary_dot.h"

namespace kakeya {
namespace {

constexpr int kTileRows = kMaxDotRows;
constexpr int kTiles = (kMaxSelectRows + kTileRows - 1) / kTileRows;
// Multiplications that are worth waking other threads for.
constexpr int64_t kParallelWork = 1 << 17;
constexpr int32_t kNobody = -1;

// The bucket of a distance in chunks, at least 1.
int DistanceBucket(int64_t distance) {
  assert(distance >= 1);
  return std::min(kDistanceBuckets - 1,
                  static_cast<int>(std::bit_width(static_cast<uint64_t>(distance))) - 1);
}

// The biases of a tile's rows for one chunk after the other. Rows stand in two chunks at most, and
// buckets are few: there is seldom anything to do.
class RowBiases {
 public:
  RowBiases(const float* buckets, int64_t first_position, int rows)
      : buckets_(buckets), first_position_(first_position), rows_(rows) {}

  void MoveTo(int64_t chunk, std::array<float, kMaxDotRows>* biases) {
    const int64_t first = ChunkOf(first_position_);
    const int64_t last = ChunkOf(first_position_ + rows_ - 1);
    // A row that stands in the chunk doesn't see it: any bias will do.
    const int near = DistanceBucket(std::max<int64_t>(1, first - chunk));
    const int far = DistanceBucket(std::max<int64_t>(1, last - chunk));
    if (near == near_ && far == far_) return;
    near_ = near;
    far_ = far;
    for (int r = 0; r < rows_; ++r) {
      (*biases)[r] = buckets_[ChunkOf(first_position_ + r) == first ? near : far];
    }
  }

 private:
  static_assert(kMaxDotRows <= kChunk);
  const float* const buckets_;
  const int64_t first_position_;
  const int rows_;
  int near_ = -1;
  int far_ = -1;
};

}  // namespace

bool Selector::IsBetter(const Candidate& a, const Candidate& b) {
  return a.score > b.score || (a.score == b.score && a.chunk < b.chunk);
}

// Takes the place of the worst, and lets worse ones rise.
void Selector::ReplaceWorst(const Candidate& candidate, std::vector<Candidate>* heap) {
  const size_t size = heap->size();
  size_t at = 0;
  for (size_t child = 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && IsBetter((*heap)[child], (*heap)[child + 1])) ++child;
    if (!IsBetter(candidate, (*heap)[child])) break;
    (*heap)[at] = (*heap)[child];
    at = child;
  }
  (*heap)[at] = candidate;
}

void Selector::Offer(const Candidate& candidate, int64_t max, std::vector<Candidate>* heap) {
  if (static_cast<int64_t>(heap->size()) == max) {
    if (IsBetter(candidate, heap->front())) ReplaceWorst(candidate, heap);
    return;
  }
  heap->push_back(candidate);
  std::push_heap(heap->begin(), heap->end(), IsBetter);
}

Result<Selector> Selector::Create(const RestorerModel* model, MemoryBudget* budget) {
  const RestorerConfig& config = model->config;
  Selector out(model);
  const auto allocate = [&](size_t row_bytes) {
    return budget->Allocate(MemoryTag::kScratch, kTileRows * row_bytes, "selection");
  };
  for (int i = 0; i < config.verifier.kv_heads * kTiles; ++i) {
    Tile tile;
    KAKEYA_ASSIGN_OR_RETURN(tile.q, allocate(config.select_inputs() * sizeof(float)));
    KAKEYA_ASSIGN_OR_RETURN(tile.projected, allocate((config.summary.dim + 1) * sizeof(float)));
    KAKEYA_ASSIGN_OR_RETURN(tile.narrow, allocate(config.summary.dim * sizeof(int8_t)));
    KAKEYA_ASSIGN_OR_RETURN(tile.wide, allocate(config.summary.dim * sizeof(int16_t)));
    KAKEYA_ASSIGN_OR_RETURN(tile.quads, allocate(config.summary.dim * sizeof(int8_t)));
    std::fill_n(tile.quads.data(), tile.quads.size(), std::byte{0});
    tile.candidates.resize(kTileRows);
    out.tiles_.push_back(std::move(tile));
  }
  return out;
}

// The tile's rows as int8 vectors, with their scales and thresholds.
void Selector::Project(const SelectQueries& queries, const TileRows& rows, Tile* tile) const {
  const RestorerConfig& config = model_->config;
  const SelectMap& map = model_->select_at(queries.layer, rows.kv_head);
  const int64_t inputs = config.select_inputs();
  const int64_t q_dim = int64_t{config.verifier.heads} * config.verifier.head_dim;
  const int dim = config.summary.dim;
  for (int r = 0; r < rows.count; ++r) {
    std::copy_n(queries.q + (rows.first + r) * q_dim + rows.kv_head * inputs, inputs,
                tile->q.as<float>() + r * inputs);
  }
  MatMul({}, tile->q.as<float>(), rows.count, map.weight, tile->projected.as<float>());
  const float* const bias = map.bias.as<float>();
  for (int r = 0; r < rows.count; ++r) {
    float* const row = tile->projected.as<float>() + r * (dim + 1);
    for (int i = 0; i <= dim; ++i) row[i] += bias[i];
    int8_t* const narrow = tile->narrow.as<int8_t>() + r * dim;
    tile->scales[r] = QuantizeInt8(row, dim, narrow);
    tile->offsets[r] = -128 * std::accumulate(narrow, narrow + dim, 0);
    std::copy_n(narrow, dim, tile->wide.as<int16_t>() + r * dim);
    for (int i = 0; i + 4 <= dim; i += 4) {
      std::memcpy(tile->quads.as<int8_t>() + i * kMaxDotRows + r * 4, narrow + i, 4);
    }
    // Nothing passes a threshold that is no number, which infinities must not become.
    const bool finite = std::isfinite(tile->scales[r]) && std::isfinite(row[dim]);
    tile->thresholds[r] =
        finite ? row[dim] + config.min_share_log : std::numeric_limits<float>::quiet_NaN();
  }
}

// Leaves each row's best chunks in its candidates.
void Selector::Scan(const SelectQueries& queries, const History& history, const TileRows& rows,
                    Tile* tile) const {
  const RestorerConfig::Summary& config = model_->config.summary;
  const SummaryQueries vectors{.narrow = tile->narrow.as<int8_t>(),
                               .wide = tile->wide.as<int16_t>(),
                               .quads = tile->quads.as<int8_t>(),
                               .offsets = tile->offsets.data(),
                               .scales = tile->scales.data(),
                               .rows = rows.count};
  const std::span<const int64_t> window_begin =
      queries.window_begin.subspan(rows.first, rows.count);
  const ScoreFn score = FastestScores(rows.count, config.segments, config.dim);
  RowBiases biases(model_->select_at(queries.layer, rows.kv_head).distance.as<float>(),
                   queries.first_position + rows.first, rows.count);
  ScoreTest test;
  test.bias.fill(0);
  test.least.fill(std::numeric_limits<float>::quiet_NaN());
  alignas(64) std::array<float, kMaxDotRows> scores;
  for (int r = 0; r < rows.count; ++r) tile->candidates[r].clear();
  // The latest first: they tend to be the best, and what comes then seldom gets into the heap.
  int first = rows.count;  // windows ascend: the rows before it see no chunk so late
  for (int64_t chunk = window_begin.back() / kChunk - 1; chunk >= queries.first_chunk; --chunk) {
    for (; first > 0 && window_begin[first - 1] / kChunk > chunk; --first) {
      test.least[first - 1] = tile->thresholds[first - 1];
    }
    if (IsExcluded(queries, chunk) || history.bad(chunk)) continue;
    const ChunkRecord record = history.At(chunk);
    biases.MoveTo(chunk, &test.bias);
    uint32_t passing = score(vectors,
                             {.values = record.summaries,
                              .scales = record.summary_scales,
                              .segments = config.segments,
                              .dim = config.dim},
                             test, scores.data());
    for (; passing != 0; passing &= passing - 1) {
      const int r = std::countr_zero(passing);
      std::vector<Candidate>& heap = tile->candidates[r];
      Offer({scores[r], chunk}, queries.max_chunks, &heap);
      if (static_cast<int64_t>(heap.size()) == queries.max_chunks) {
        test.least[r] = heap.front().score;
      }
    }
  }
}

// The chunk's visit, found by its hash or made.
ChunkVisit& Selector::VisitOf(int64_t chunk, std::vector<ChunkVisit>* visits) {
  const size_t mask = table_.size() - 1;
  size_t at = (static_cast<uint64_t>(chunk) * 0x9e3779b97f4a7c15u >> 32) & mask;
  for (; table_[at] != kNobody; at = (at + 1) & mask) {
    if ((*visits)[table_[at]].chunk == chunk) return (*visits)[table_[at]];
  }
  table_[at] = static_cast<int32_t>(visits->size());
  return visits->emplace_back(ChunkVisit{chunk, 0});
}

// The choices of all tiles of one KV head, chunk by chunk.
void Selector::Gather(std::span<const Tile> tiles, int rows, std::vector<ChunkVisit>* visits) {
  visits->clear();
  size_t choices = 0;
  for (int row = 0; row < rows; ++row) {
    choices += tiles[row / kTileRows].candidates[row % kTileRows].size();
  }
  table_.assign(std::bit_ceil(2 * choices + 1), kNobody);
  for (int row = 0; row < rows; ++row) {
    for (const Candidate& c : tiles[row / kTileRows].candidates[row % kTileRows]) {
      VisitOf(c.chunk, visits).rows |= uint64_t{1} << row;
    }
  }
  std::sort(visits->begin(), visits->end(),
            [](const ChunkVisit& a, const ChunkVisit& b) { return a.chunk < b.chunk; });
}

void Selector::Select(const OpContext& context, const SelectQueries& queries,
                      const History& history, std::span<std::vector<ChunkVisit>> visits) {
  const RestorerConfig& config = model_->config;
  const int kv_heads = config.verifier.kv_heads;
  assert(queries.rows >= 1 && queries.rows <= kMaxSelectRows);
  assert(static_cast<int>(queries.window_begin.size()) == queries.rows);
  assert(static_cast<int>(visits.size()) == kv_heads);
  assert(queries.window_begin.back() / kChunk <= history.chunks());
  if (queries.max_chunks == kAllChunks) {
    LatestChunks(queries, &visits[0]);
    std::erase_if(visits[0], [&](const ChunkVisit& visit) { return history.bad(visit.chunk); });
    for (int head = 1; head < kv_heads; ++head) visits[head] = visits[0];
    return;
  }
  for (std::vector<ChunkVisit>& head : visits) head.clear();
  const int64_t chunks = queries.window_begin.back() / kChunk - queries.first_chunk;
  if (chunks <= 0 || queries.max_chunks <= 0) return;

  const int tiles = (queries.rows + kTileRows - 1) / kTileRows;
  const int64_t row_work =
      int64_t{config.summary.dim} * (chunks * config.summary.segments + config.select_inputs());
  const bool parallel = queries.rows * kv_heads * row_work >= kParallelWork;
  ParallelFor(parallel ? context.pool : nullptr, int64_t{kv_heads} * tiles, [&](int64_t task) {
    const int head = static_cast<int>(task / tiles);
    const int index = static_cast<int>(task % tiles);
    const int first = index * kTileRows;
    const TileRows rows{head, first, std::min(kTileRows, queries.rows - first)};
    Tile* const tile = &tiles_[head * kTiles + index];
    Project(queries, rows, tile);
    Scan(queries, history, rows, tile);
  });
  for (int head = 0; head < kv_heads; ++head) {
    Gather(std::span(tiles_).subspan(head * kTiles, kTiles), queries.rows, &visits[head]);
  }
}

}  // namespace kakeya
