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
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/restorer.h"
#include "proposer/history.h"
#include "proposer/restorer_model.h"
#include "proposer/summary_dot.h"

namespace kakeya {

class Selector {
 public:
  // The model outlives the selector. Errors: ResourceExhausted.
  static Result<Selector> Create(const RestorerModel* model, MemoryBudget* budget);

  // As Restorer::Select. Chunks that hold no numbers are never taken.
  void Select(const OpContext& context, const SelectQueries& queries, const History& history,
              std::span<std::vector<ChunkVisit>> visits);

 private:
  struct Candidate {
    float score = 0;
    int64_t chunk = 0;
  };
  using Heaps = std::vector<std::vector<Candidate>>;  // per row: a heap, the worst on top
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
    Buffer narrow;     // (rows, dim): int8
    Buffer wide;       // (rows, dim): the same in int16
    Buffer quads;      // (dim / 4, rows, 4): the same in int8
    Buffer spread;     // (kFewDotRows, dim / 4, segments, 4): the same, once per segment
    std::array<int32_t, kMaxDotRows> offsets{};
    std::array<float, kMaxDotRows> scales{};
    std::array<float, kMaxDotRows> thresholds;
    Heaps candidates;
  };

  explicit Selector(const RestorerModel* model) : model_(model) {}
  // Chunks [begin, end).
  struct ChunkRange {
    int64_t begin = 0;
    int64_t end = 0;
  };
  class Scan;
  // Of a few rows: each KV head's candidates among one range of chunks.
  using Part = std::vector<Heaps>;

  static bool IsBetter(const Candidate& a, const Candidate& b);
  static void ReplaceWorst(const Candidate& candidate, std::vector<Candidate>* heap);
  static void Offer(const Candidate& candidate, int64_t max, std::vector<Candidate>* heap);
  void Project(const SelectQueries& queries, const TileRows& rows, Tile* tile) const;
  void ScanByTiles(const OpContext& context, const SelectQueries& queries, const History& history,
                   ChunkRange chunks);
  void ScanByRanges(const OpContext& context, const SelectQueries& queries, const History& history,
                    ChunkRange chunks);
  void ScanRange(const SelectQueries& queries, const History& history, ChunkRange chunks,
                 Part* part) const;
  void Gather(std::span<const Tile> tiles, int rows, std::vector<ChunkVisit>* visits);
  ChunkVisit& VisitOf(int64_t chunk, std::vector<ChunkVisit>* visits);

  const RestorerModel* model_;
  std::vector<Tile> tiles_;     // (kv_heads, tiles of kMaxSelectRows rows)
  std::vector<Part> parts_;     // per range
  std::vector<int32_t> table_;  // scratch of Gather: chunks by hash, as places in its visits
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_SELECT_H_
