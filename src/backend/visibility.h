// What a row of attention sees, chunk by chunk: pure arithmetic, shared by all devices.
#ifndef KAKEYA_BACKEND_VISIBILITY_H_
#define KAKEYA_BACKEND_VISIBILITY_H_

#include <algorithm>
#include <cstdint>

#include "backend/ops.h"

namespace kakeya {

// The slots [first, end) of a chunk.
struct SlotRange {
  int first = 0;
  int end = 0;

  bool empty() const { return first >= end; }
};

// Slots of the chunk at `chunk_begin` (a multiple of kChunk) that hold positions of [begin, end).
inline SlotRange SlotsOf(int64_t begin, int64_t end, int64_t chunk_begin) {
  return {static_cast<int>(std::clamp<int64_t>(begin - chunk_begin, 0, kChunk)),
          static_cast<int>(std::clamp<int64_t>(end - chunk_begin, 0, kChunk))};
}

// Slots of a chunk that a row sees. They are one run: a row with sinks has its `begin` at the begin
// of a chunk, and of the chunks before that it sees sinks alone.
inline SlotRange VisibleSlots(const RowView& view, int64_t chunk_begin) {
  if (chunk_begin < view.begin && chunk_begin < view.sink) {
    return SlotsOf(0, view.sink, chunk_begin);
  }
  return SlotsOf(view.begin, view.end, chunk_begin);
}

// Slots of a visited page that a row sees, if it is one of the visit's rows.
inline SlotRange VisibleSlots(const RowView& view, const PageVisit& visit) {
  switch (visit.part) {
    case VisitPart::kUpToEnd:
      return SlotsOf(0, view.end, visit.first_position);
    case VisitPart::kWindow:
      return SlotsOf(view.begin, view.end, visit.first_position);
    case VisitPart::kSinks:
      return SlotsOf(0, std::min(view.sink, view.end), visit.first_position);
  }
  return {};
}

// Whether a view keeps the promises of RowView.
inline bool IsValid(const RowView& view) {
  return view.begin >= 0 && view.begin < view.end &&
         (view.sink == 0 || (view.sink > 0 && view.begin % kChunk == 0));
}

// The group whose partial a chunk joins.
inline int64_t GroupOf(int64_t chunk_begin) { return chunk_begin / kChunk / kChunksPerGroup; }

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_VISIBILITY_H_
