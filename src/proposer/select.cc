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
// A range of chunks that is worth waking another thread for, and how many there may be.
constexpr int64_t kMinRangeChunks = 16;
constexpr int64_t kMaxRanges = 64;
// Chunks that all heads look at before the next are fetched: their summaries stay in L1.
constexpr int kRunChunks = 16;
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
    const size_t spread = size_t{kFewDotRows} * config.summary.dim * config.summary.segments;
    KAKEYA_ASSIGN_OR_RETURN(tile.spread,
                            budget->Allocate(MemoryTag::kScratch, spread, "selection"));
    tile.candidates.resize(kTileRows);
    out.tiles_.push_back(std::move(tile));
  }
  out.parts_.assign(kMaxRanges, Part(config.verifier.kv_heads, Heaps(kFewDotRows)));
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
    tile->offsets[r] = -kInt4Bias * std::accumulate(narrow, narrow + dim, 0);
    std::copy_n(narrow, dim, tile->wide.as<int16_t>() + r * dim);
    for (int i = 0; i + 4 <= dim; i += 4) {
      std::memcpy(tile->quads.as<int8_t>() + i * kMaxDotRows + r * 4, narrow + i, 4);
    }
    if (rows.count <= kFewDotRows) {
      const int segments = config.summary.segments;
      int8_t* const spread = tile->spread.as<int8_t>() + r * dim * segments;
      for (int i = 0; i < dim; i += 4) {
        for (int s = 0; s < segments; ++s) {
          std::memcpy(spread + SummaryIndex(segments, s, i), narrow + i, 4);
        }
      }
    }
    // Nothing passes a threshold that is no number, which infinities must not become.
    const bool finite = std::isfinite(tile->scales[r]) && std::isfinite(row[dim]);
    tile->thresholds[r] =
        finite ? row[dim] + config.min_share_log : std::numeric_limits<float>::quiet_NaN();
  }
}

// One KV head's rows, on their way from the latest chunk to the first.
class Selector::Scan {
 public:
  // Chunks come in descending order, all below `end`.
  Scan(const Selector& selector, const SelectQueries& queries, const TileRows& rows,
       const Tile& tile, Heaps* candidates)
      : config_(selector.model_->config.summary),
        rows_(rows),
        tile_(tile),
        max_chunks_(queries.max_chunks),
        window_begin_(queries.window_begin.subspan(rows.first, rows.count)),
        vectors_{.wide = tile.wide.as<int16_t>(),
                 .spread = tile.spread.as<int8_t>(),
                 .quads = tile.quads.as<int8_t>(),
                 .offsets = tile.offsets.data(),
                 .scales = tile.scales.data(),
                 .rows = rows.count},
        score_(FastestScores(rows.count, config_.segments, config_.dim)),
        most_(FastestMosts(config_.segments, config_.dim)),
        biases_(selector.model_->select_at(queries.layer, rows.kv_head).distance.as<float>(),
                queries.first_position + rows.first, rows.count),
        first_(rows.count),
        candidates_(*candidates) {
    test_.bias.fill(0);
    test_.least.fill(std::numeric_limits<float>::quiet_NaN());
    for (int r = 0; r < rows.count; ++r) candidates_[r].clear();
  }

  void Visit(int64_t chunk, const ChunkRecord& record) {
    MoveTo(chunk);
    const ChunkSummaries summaries = SummariesOf(record);
    uint32_t passing = score_(vectors_, summaries, test_, scores_.data());
    for (; passing != 0; passing &= passing - 1) Take(std::countr_zero(passing), chunk);
  }

  // Several chunks at once, of at most kFewDotRows rows.
  void VisitRun(std::span<const int64_t> chunks, std::span<const ChunkSummaries> summaries) {
    const int count = static_cast<int>(chunks.size());
    most_(vectors_, summaries.data(), count, mosts_.data());
    for (int c = 0; c < count; ++c) {
      MoveTo(chunks[c]);
      for (int r = 0; r < rows_.count; ++r) {
        scores_[r] = mosts_[c * rows_.count + r] + test_.bias[r];
        if (scores_[r] >= test_.least[r]) Take(r, chunks[c]);
      }
    }
  }

  ChunkSummaries SummariesOf(const ChunkRecord& record) const {
    return {.values = record.summaries,
            .scales = record.summary_scales,
            .segments = config_.segments,
            .dim = config_.dim};
  }

 private:
  // Windows ascend: the rows before first_ see no chunk so late.
  void MoveTo(int64_t chunk) {
    for (; first_ > 0 && window_begin_[first_ - 1] / kChunk > chunk; --first_) {
      test_.least[first_ - 1] = tile_.thresholds[first_ - 1];
    }
    biases_.MoveTo(chunk, &test_.bias);
  }

  void Take(int r, int64_t chunk) {
    std::vector<Candidate>& heap = candidates_[r];
    Offer({scores_[r], chunk}, max_chunks_, &heap);
    if (static_cast<int64_t>(heap.size()) == max_chunks_) test_.least[r] = heap.front().score;
  }

  const RestorerConfig::Summary& config_;
  const TileRows rows_;
  const Tile& tile_;
  const int64_t max_chunks_;
  const std::span<const int64_t> window_begin_;
  const SummaryQueries vectors_;
  const ScoreFn score_;
  const MostFn most_;
  RowBiases biases_;
  int first_;
  ScoreTest test_;
  alignas(64) std::array<float, kMaxDotRows> scores_;
  std::array<float, size_t{kRunChunks} * kFewDotRows> mosts_;
  Heaps& candidates_;
};

// Calls visit(chunk, record) for the chunks that may be chosen, the latest first: they tend to be
// the best, and what comes then seldom gets into a heap.
template <typename Visit>
void ForEachChunk(const History& history, int64_t begin, int64_t end, const Visit& visit) {
  for (int64_t chunk = end - 1; chunk >= begin; --chunk) {
    if (history.bad(chunk)) continue;
    visit(chunk, history.At(chunk));
  }
}

// Many rows: a task is a tile of rows of one KV head, and takes all chunks.
void Selector::ScanByTiles(const OpContext& context, const SelectQueries& queries,
                           const History& history, ChunkRange chunks) {
  const RestorerConfig& config = model_->config;
  const int tiles = (queries.rows + kTileRows - 1) / kTileRows;
  ParallelFor(context.pool, int64_t{config.verifier.kv_heads} * tiles, [&](int64_t task) {
    const int index = static_cast<int>(task % tiles);
    const int first = index * kTileRows;
    const TileRows rows{.kv_head = static_cast<int>(task / tiles),
                        .first = first,
                        .count = std::min(kTileRows, queries.rows - first)};
    Tile* const tile = &tiles_[rows.kv_head * kTiles + index];
    Project(queries, rows, tile);
    Scan scan(*this, queries, rows, *tile, &tile->candidates);
    ForEachChunk(history, chunks.begin, chunks.end,
                 [&](int64_t chunk, const ChunkRecord& record) { scan.Visit(chunk, record); });
  });
}

// All heads' choices among one range.
void Selector::ScanRange(const SelectQueries& queries, const History& history, ChunkRange chunks,
                         Part* part) const {
  std::vector<Scan> scans;
  for (size_t head = 0; head < part->size(); ++head) {
    scans.emplace_back(*this, queries, TileRows{static_cast<int>(head), 0, queries.rows},
                       tiles_[head * kTiles], &(*part)[head]);
  }
  std::array<int64_t, kRunChunks> run;
  std::array<ChunkSummaries, kRunChunks> summaries;
  size_t count = 0;
  const auto visit = [&] {
    for (Scan& scan : scans) scan.VisitRun({run.data(), count}, {summaries.data(), count});
    count = 0;
  };
  ForEachChunk(history, chunks.begin, chunks.end,
               [&](int64_t chunk, const ChunkRecord& record) {
                 run[count] = chunk;
                 summaries[count] = scans[0].SummariesOf(record);
                 if (++count == kRunChunks) visit();
               });
  visit();
}

// Few rows: what costs is to fetch the summaries, so a task is a range of chunks, for all KV heads.
// The best of all ranges' best are the best of all, however they are cut.
void Selector::ScanByRanges(const OpContext& context, const SelectQueries& queries,
                            const History& history, ChunkRange chunks) {
  const int kv_heads = model_->config.verifier.kv_heads;
  const int64_t threads = context.pool == nullptr ? 1 : context.pool->threads();
  const int64_t ranges = std::clamp<int64_t>((chunks.end - chunks.begin) / kMinRangeChunks, 1,
                                             std::min<int64_t>(threads, kMaxRanges));
  ThreadPool* const pool = ranges > 1 ? context.pool : nullptr;
  // So small a product is done before another thread is awake.
  for (int head = 0; head < kv_heads; ++head) {
    Project(queries, {head, 0, queries.rows}, &tiles_[head * kTiles]);
  }
  ParallelFor(pool, ranges, [&](int64_t i) {
    const int64_t count = chunks.end - chunks.begin;
    ScanRange(queries, history,
              {chunks.begin + count * i / ranges, chunks.begin + count * (i + 1) / ranges},
              &parts_[i]);
  });
  for (int head = 0; head < kv_heads; ++head) {
    for (int r = 0; r < queries.rows; ++r) {
      std::vector<Candidate>& heap = tiles_[head * kTiles].candidates[r];
      heap.clear();
      for (int64_t i = 0; i < ranges; ++i) {
        for (const Candidate& candidate : parts_[i][head][r]) {
          Offer(candidate, queries.max_chunks, &heap);
        }
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

  const ChunkRange range{queries.first_chunk, queries.first_chunk + chunks};
  if (queries.rows <= kFewDotRows) {
    ScanByRanges(context, queries, history, range);
  } else {
    ScanByTiles(context, queries, history, range);
  }
  for (int head = 0; head < kv_heads; ++head) {
    Gather(std::span(tiles_).subspan(head * kTiles, kTiles), queries.rows, &visits[head]);
  }
}

}  // namespace kakeya
