// Who attends to what: the sinks, the window and the chosen chunks of each query, as visits that
// attention takes one after another. Pure; the one place where a query's view is put together.
#ifndef KAKEYA_MODEL_VISIT_PLAN_H_
#define KAKEYA_MODEL_VISIT_PLAN_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "cache/restorer.h"
#include "cache/window.h"

namespace kakeya {

// Exact pages have their data, restored ones get it when they have been made.
struct PlannedVisit {
  PageVisit visit;
  bool restored = false;
};

// The queries of one piece of a block, which stand at [first_position, first_position + rows).
struct PlanArgs {
  KvPolicy policy;
  int64_t first_position = 0;
  int rows = 0;                      // at most 64
  int64_t max_distance = INT64_MAX;  // of the restorer
  std::span<const KvPage> pages;     // the cache's view of the piece
  size_t head_bytes = 0;             // of one KV head within a page
};

// The visits of one KV head by ascending chunk, given what its rows have chosen. Row r sees:
//   * its window, [begin, end) of ViewOf;
//   * the chunks it chose, whole;
//   * the sinks, as a part of one of these or on their own.
std::vector<PlannedVisit> PlanVisits(const PlanArgs& args, int kv_head,
                                     std::span<const ChunkVisit> chosen);

// Rows for which a chunk is far: more than max_distance away, counted from chunk to chunk.
uint64_t FarRows(const PlanArgs& args, int64_t chunk);

// One KV head's K and V within a page.
inline void* HeadData(const KvPage& page, int kv_head, size_t head_bytes) {
  return static_cast<std::byte*>(page.data) + static_cast<size_t>(kv_head) * head_bytes;
}

}  // namespace kakeya

#endif  // KAKEYA_MODEL_VISIT_PLAN_H_
