#include "proposer/select.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
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
constexpr int64_t kParallelWork = 1 << 20;

// The bucket of a distance in chunks, at least 1.
int DistanceBucket(int64_t distance) {
  assert(distance >= 1);
  return std::min(kDistanceBuckets - 1,
                  static_cast<int>(std::bit_width(static_cast<uint64_t>(distance))) - 1);
}

}  // namespace

bool Selector::IsBetter(const Candidate& a, const Candidate& b) {
  return a.score > b.score || (a.score == b.score && a.chunk < b.chunk);
}

void Selector::Offer(const Candidate& candidate, int64_t max, std::vector<Candidate>* heap) {
  if (static_cast<int64_t>(heap->size()) == max) {
    if (!IsBetter(candidate, heap->front())) return;
    std::pop_heap(heap->begin(), heap->end(), IsBetter);
    heap->pop_back();
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
    tile->sums[r] = std::accumulate(narrow, narrow + dim, 0);
    std::copy_n(narrow, dim, tile->wide.as<int16_t>() + r * dim);
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
  const float* const biases = model_->select_at(queries.layer, rows.kv_head).distance.as<float>();
  const std::span<const int64_t> window_begin =
      queries.window_begin.subspan(rows.first, rows.count);
  std::array<float, kTileRows> best;
  for (int r = 0; r < rows.count; ++r) tile->candidates[r].clear();
  // The latest first: they tend to be the best, and what comes then seldom gets into the heap.
  int first = rows.count - 1;  // windows ascend: the rows before it see no chunk so late
  for (int64_t chunk = window_begin.back() / kChunk - 1; chunk >= queries.first_chunk; --chunk) {
    while (first > 0 && window_begin[first - 1] / kChunk > chunk) --first;
    if (IsExcluded(queries, chunk) || history.bad(chunk)) continue;
    const ChunkRecord record = history.At(chunk);
    BestSegments({.narrow = tile->narrow.as<int8_t>() + first * config.dim,
                  .wide = tile->wide.as<int16_t>() + first * config.dim,
                  .sums = tile->sums.data() + first,
                  .scales = tile->scales.data() + first,
                  .rows = rows.count - first},
                 {.values = record.summaries,
                  .scales = record.summary_scales,
                  .segments = config.segments,
                  .dim = config.dim},
                 best.data());
    int64_t distance = 0;
    float bias = 0;
    for (int r = first; r < rows.count; ++r) {
      const int64_t own_chunk = ChunkOf(queries.first_position + rows.first + r);
      if (own_chunk - chunk != distance) {
        distance = own_chunk - chunk;
        bias = biases[DistanceBucket(distance)];
      }
      const float score = best[r - first] + bias;
      if (score >= tile->thresholds[r]) {
        Offer({score, chunk}, queries.max_chunks, &tile->candidates[r]);
      }
    }
  }
}

// The choices of all tiles of one KV head, chunk by chunk.
void Selector::Gather(std::span<const Tile> tiles, int rows, std::vector<ChunkVisit>* visits) {
  static_assert(std::has_single_bit(static_cast<unsigned>(kMaxSelectRows)));
  chosen_.clear();
  for (int row = 0; row < rows; ++row) {
    for (const Candidate& c : tiles[row / kTileRows].candidates[row % kTileRows]) {
      chosen_.push_back(static_cast<uint64_t>(c.chunk) * kMaxSelectRows + row);
    }
  }
  std::sort(chosen_.begin(), chosen_.end());
  visits->clear();
  for (const uint64_t choice : chosen_) {
    const int64_t chunk = static_cast<int64_t>(choice / kMaxSelectRows);
    if (visits->empty() || visits->back().chunk != chunk) visits->push_back({chunk, 0});
    visits->back().rows |= uint64_t{1} << (choice % kMaxSelectRows);
  }
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
