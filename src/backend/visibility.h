// What a row of Attention sees, chunk by chunk: pure arithmetic, shared by all devices.
#ifndef KAKEYA_BACKEND_VISIBILITY_H_
#define KAKEYA_BACKEND_VISIBILITY_H_

#include <algorithm>
#include <cstdint>

#include "backend/ops.h"

namespace kakeya {

// Slots of the chunk at `chunk_begin` (a multiple of kChunk) that row `row` sees. They are always
// the first ones: a chunk lies wholly in the window or before it, where only sinks are visible.
inline int VisibleSlots(const AttentionArgs& args, int row, int64_t chunk_begin) {
  const int64_t position = args.first_position + row;
  int64_t end = position + 1;
  if (chunk_begin < args.window_begin[row]) end = std::min(end, args.sink);
  return static_cast<int>(std::clamp<int64_t>(end - chunk_begin, 0, kChunk));
}

// Slots of a visited page that row `row` sees, if it is one of the visit's rows.
inline int VisibleSlots(const VisitArgs& args, int row, const PageVisit& visit) {
  int64_t end = args.first_position + row + 1;
  if (visit.sink_only) end = std::min(end, args.sink);
  return static_cast<int>(std::clamp<int64_t>(end - visit.first_position, 0, kChunk));
}

// The group whose partial a chunk joins.
inline int64_t GroupOf(int64_t chunk_begin) { return chunk_begin / kChunk / kChunksPerGroup; }

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_VISIBILITY_H_
