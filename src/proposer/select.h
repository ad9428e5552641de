// Which evicted chunks a query attends to: its group's heads are projected to one vector of int8,
// compared with every chunk's summaries, and the best chunks above a learned threshold win.
//
// The choice is a pure function of the query, its position and the history: integer dot products
// are exact, and floats are combined per chunk in one fixed expression.
//
// Thread safety: none; a selector belongs to one session.
#ifndef KAKEYA_PROPOSER_SELECT_H_
#define KAKEYA_PROPOSER_SELECT_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "backend/restore/restore_ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/restorer.h"
#include "proposer/history.h"
#include "proposer/restorer_model.h"

namespace kakeya {

class Selector {
 public:
  // The model outlives the selector. Errors: ResourceExhausted.
  static Result<Selector> Create(const RestorerModel* model, MemoryBudget* budget);

  // As Restorer::Select. Chunks that hold no numbers are never taken.
  void Select(const OpContext& context, const SelectQueries& queries, const History& history,
              std::span<std::vector<ChunkVisit>> visits);

 private:
  // Some rows of one KV head: the work of one task.
  struct TileRows {
    int kv_head = 0;
    int first = 0;
    int count = 0;
  };
  // What such a task needs and leaves.
  struct Tile {
    Buffer q;          // (rows, group * head_dim)
    Buffer projected;  // (rows, dim + 1)
    Buffer narrow;     // SummaryQueries::narrow, and so on
    Buffer wide;
    Buffer quads;
    Buffer spread;
    std::array<int32_t, kMaxScanRows> offsets{};
    std::array<float, kMaxScanRows> scales{};
    std::array<float, kMaxScanRows> thresholds{};
    SummaryQueries queries;        // of the above
    std::vector<BestChunks> best;  // (rows)
  };
  // Chunks [begin, end).
  struct ChunkRange {
    int64_t begin = 0;
    int64_t end = 0;
  };
  // Of a few rows: each KV head's best among one range of chunks, per row.
  using Part = std::vector<std::vector<BestChunks>>;
  // The queries, and what they choose from.
  struct Task {
    const OpContext& context;
    const SelectQueries& queries;
    const History& history;
    ChunkRange chunks;
  };

  explicit Selector(const RestorerModel* model) : model_(model) {}

  static Result<Tile> NewTile(const RestorerConfig& config, MemoryBudget* budget);
  void Project(const Task& task, const TileRows& rows, Tile* tile) const;
  ScanArgs ScanOf(const SelectQueries& queries, const TileRows& rows, const Tile& tile) const;
  void ScanByTiles(const Task& task);
  void ScanByRanges(const Task& task);
  void ScanRange(const Task& task, ChunkRange chunks, Part* part) const;
  void Gather(std::span<const Tile> tiles, int rows, std::vector<ChunkVisit>* visits);
  ChunkVisit& VisitOf(int64_t chunk, std::vector<ChunkVisit>* visits);

  const RestorerModel* model_;
  std::vector<Tile> tiles_;     // (kv_heads, tiles of kMaxSelectRows rows)
  std::vector<Part> parts_;     // per range
  std::vector<int32_t> table_;  // scratch of Gather: chunks by hash, as places in its visits
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_SELECT_H_
