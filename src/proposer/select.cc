#include "proposer/select.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

#include "cache/window.h"
#include "proposer/latest_chunks.h"

namespace kakeya {
namespace {

constexpr int kTileRows = kMaxScanRows;
constexpr int kTiles = (kMaxSelectRows + kTileRows - 1) / kTileRows;
// A range of chunks that is worth waking another thread for, and how many there may be.
constexpr int64_t kMinRangeChunks = 16;
constexpr int64_t kMaxRanges = 64;
// Chunks that all heads look at before the next are fetched: their summaries stay in L1.
constexpr int kRunChunks = 32;
constexpr int32_t kNobody = -1;

// Calls visit(run) for runs of the chunks [begin, end) that may be chosen, the latest first: they
// tend to be the best, and what comes then seldom gets into a heap.
template <typename Visit>
void ForEachRun(const History& history, int64_t begin, int64_t end, const Visit& visit) {
  std::array<ChunkSummaries, kRunChunks> run;
  size_t count = 0;
  for (int64_t chunk = end - 1; chunk >= begin; --chunk) {
    if (history.bad(chunk)) continue;
    const ChunkRecord record = history.At(chunk);
    run[count++] = {.chunk = chunk, .values = record.summaries, .scales = record.summary_scales};
    if (count < run.size()) continue;
    visit(std::span<const ChunkSummaries>(run));
    count = 0;
  }
  if (count > 0) visit(std::span<const ChunkSummaries>(run.data(), count));
}

}  // namespace

Result<Selector::Tile> Selector::NewTile(const RestorerConfig& config, MemoryBudget* budget) {
  const auto allocate = [&](size_t rows, size_t row_bytes) {
    return budget->Allocate(MemoryTag::kScratch, rows * row_bytes, "selection");
  };
  const size_t dim = config.summary.dim;
  Tile tile;
  KAKEYA_ASSIGN_OR_RETURN(tile.q, allocate(kTileRows, config.select_inputs() * sizeof(float)));
  KAKEYA_ASSIGN_OR_RETURN(tile.projected, allocate(kTileRows, (dim + 1) * sizeof(float)));
  KAKEYA_ASSIGN_OR_RETURN(tile.narrow, allocate(kTileRows, dim * sizeof(int8_t)));
  KAKEYA_ASSIGN_OR_RETURN(tile.wide, allocate(kTileRows, dim * sizeof(int16_t)));
  KAKEYA_ASSIGN_OR_RETURN(tile.quads, allocate(kTileRows, dim * sizeof(int8_t)));
  std::fill_n(tile.quads.data(), tile.quads.size(), std::byte{0});
  KAKEYA_ASSIGN_OR_RETURN(tile.spread, allocate(kFewScanRows, dim * config.summary.segments));
  tile.best.resize(kTileRows);
  return tile;
}

Result<Selector> Selector::Create(const RestorerModel* model, MemoryBudget* budget) {
  const RestorerConfig& config = model->config;
  Selector out(model);
  for (int i = 0; i < config.verifier.kv_heads * kTiles; ++i) {
    KAKEYA_ASSIGN_OR_RETURN(Tile tile, NewTile(config, budget));
    out.tiles_.push_back(std::move(tile));
  }
  out.parts_.assign(kMaxRanges,
                    Part(config.verifier.kv_heads, std::vector<BestChunks>(kFewScanRows)));
  return out;
}

// The tile's rows as selector queries.
void Selector::Project(const Task& task, const TileRows& rows, Tile* tile) const {
  const RestorerConfig& config = model_->config;
  const SelectMap& map = model_->select_at(task.queries.layer, rows.kv_head);
  const int64_t q_dim = int64_t{config.verifier.heads} * config.verifier.head_dim;
  tile->queries = {.rows = rows.count,
                   .dim = config.summary.dim,
                   .segments = config.summary.segments,
                   .narrow = tile->narrow.as<int8_t>(),
                   .wide = tile->wide.as<int16_t>(),
                   .spread = tile->spread.as<int8_t>(),
                   .quads = tile->quads.as<int8_t>(),
                   .offsets = tile->offsets.data(),
                   .scales = tile->scales.data(),
                   .thresholds = tile->thresholds.data()};
  const float* const q =
      task.queries.q + rows.first * q_dim + int64_t{rows.kv_head} * config.select_inputs();
  ProjectQueries(task.context,
                 {.q = q,
                  .stride = q_dim,
                  .weight = &map.weight,
                  .bias = map.bias.as<float>(),
                  .min_share_log = config.min_share_log,
                  .gathered = tile->q.as<float>(),
                  .projected = tile->projected.as<float>()},
                 &tile->queries);
}

ScanArgs Selector::ScanOf(const SelectQueries& queries, const TileRows& rows,
                          const Tile& tile) const {
  return {.queries = &tile.queries,
          .distance = model_->select_at(queries.layer, rows.kv_head).distance.as<float>(),
          .first_position = queries.first_position + rows.first,
          .window_begin = queries.window_begin.data() + rows.first,
          .max_chunks = queries.max_chunks};
}

// Many rows: a task is a tile of rows of one KV head, and takes all chunks.
void Selector::ScanByTiles(const Task& task) {
  const SelectQueries& queries = task.queries;
  const int tiles = (queries.rows + kTileRows - 1) / kTileRows;
  ParallelFor(task.context.pool, int64_t{model_->config.verifier.kv_heads} * tiles, [&](int64_t i) {
    const int index = static_cast<int>(i % tiles);
    const int first = index * kTileRows;
    const TileRows rows{.kv_head = static_cast<int>(i / tiles),
                        .first = first,
                        .count = std::min(kTileRows, queries.rows - first)};
    Tile* const tile = &tiles_[rows.kv_head * kTiles + index];
    Project(task, rows, tile);
    const std::span<BestChunks> best(tile->best.data(), rows.count);
    for (BestChunks& row : best) row.clear();
    const ScanArgs args = ScanOf(queries, rows, *tile);
    ForEachRun(
        task.history, task.chunks.begin, task.chunks.end,
        [&](std::span<const ChunkSummaries> run) { ScanChunks(task.context, args, run, best); });
  });
}

// All heads' choices among one range.
void Selector::ScanRange(const Task& task, ChunkRange chunks, Part* part) const {
  std::vector<ScanArgs> args;
  for (size_t head = 0; head < part->size(); ++head) {
    const TileRows rows{static_cast<int>(head), 0, task.queries.rows};
    args.push_back(ScanOf(task.queries, rows, tiles_[head * kTiles]));
    for (BestChunks& row : (*part)[head]) row.clear();
  }
  const size_t rows = task.queries.rows;
  ForEachRun(task.history, chunks.begin, chunks.end, [&](std::span<const ChunkSummaries> run) {
    for (size_t head = 0; head < args.size(); ++head) {
      ScanChunks(task.context, args[head], run, {(*part)[head].data(), rows});
    }
  });
}

// Few rows: what costs is to fetch the summaries, so a task is a range of chunks, for all KV heads.
// The best of all ranges' best are the best of all, however they are cut.
void Selector::ScanByRanges(const Task& task) {
  const int kv_heads = model_->config.verifier.kv_heads;
  const ChunkRange chunks = task.chunks;
  const int64_t count = chunks.end - chunks.begin;
  const int64_t threads = task.context.pool == nullptr ? 1 : task.context.pool->threads();
  const int64_t ranges =
      std::clamp<int64_t>(count / kMinRangeChunks, 1, std::min<int64_t>(threads, kMaxRanges));
  ThreadPool* const pool = ranges > 1 ? task.context.pool : nullptr;
  for (int head = 0; head < kv_heads; ++head) {
    Project(task, {head, 0, task.queries.rows}, &tiles_[head * kTiles]);
  }
  ParallelFor(pool, ranges, [&](int64_t i) {
    ScanRange(task, {chunks.begin + count * i / ranges, chunks.begin + count * (i + 1) / ranges},
              &parts_[i]);
  });
  for (int head = 0; head < kv_heads; ++head) {
    for (int r = 0; r < task.queries.rows; ++r) {
      BestChunks& best = tiles_[head * kTiles].best[r];
      best.clear();
      for (int64_t i = 0; i < ranges; ++i) {
        for (const ScoredChunk& candidate : parts_[i][head][r]) {
          Offer(candidate, task.queries.max_chunks, &best);
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
    choices += tiles[row / kTileRows].best[row % kTileRows].size();
  }
  table_.assign(std::bit_ceil(2 * choices + 1), kNobody);
  for (int row = 0; row < rows; ++row) {
    for (const ScoredChunk& c : tiles[row / kTileRows].best[row % kTileRows]) {
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

  const Task task{.context = context,
                  .queries = queries,
                  .history = history,
                  .chunks = {queries.first_chunk, queries.first_chunk + chunks}};
  if (queries.rows <= kFewScanRows) {
    ScanByRanges(task);
  } else {
    ScanByTiles(task);
  }
  for (int head = 0; head < kv_heads; ++head) {
    Gather(std::span(tiles_).subspan(head * kTiles, kTiles), queries.rows, &visits[head]);
  }
}

}  // namespace kakeya
