#include "model/chunk_rope.h"

#include <algorithm>

namespace kakeya {

Result<ChunkRope> ChunkRope::Create(const Rotation& rotation, MemoryBudget* budget) {
  const size_t bytes = size_t{kEntries} * 2 * kChunk * rotation.frequencies.size() * sizeof(float);
  KAKEYA_ASSIGN_OR_RETURN(Buffer tables,
                          budget->Allocate(MemoryTag::kScratch, bytes, "rotary tables"));
  return ChunkRope(rotation, std::move(tables));
}

ChunkRope::Tables ChunkRope::Of(int64_t chunk) {
  auto entry = std::find_if(entries_.begin(), entries_.end(),
                            [&](const Entry& candidate) { return candidate.chunk == chunk; });
  const bool fresh = entry == entries_.end();
  if (fresh) {
    entry = std::min_element(entries_.begin(), entries_.end(),
                             [](const Entry& a, const Entry& b) { return a.used < b.used; });
  }
  const int64_t half = kChunk * static_cast<int64_t>(rotation_.frequencies.size());
  float* const cos = tables_.as<float>() + (entry - entries_.begin()) * 2 * half;
  float* const sin = cos + half;
  if (fresh) RopeTables(rotation_, chunk * kChunk, kChunk, cos, sin);
  *entry = {chunk, ++now_};
  return {cos, sin};
}

}  // namespace kakeya
