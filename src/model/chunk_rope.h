// Rotary tables of whole chunks. A page is rotated for every layer and KV head that asks for its
// chunk, and the tables are dearer than the rotation, so those of the last few chunks are kept.
//
// Thread safety: none.
#ifndef KAKEYA_MODEL_CHUNK_ROPE_H_
#define KAKEYA_MODEL_CHUNK_ROPE_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "model/rope.h"

namespace kakeya {

class ChunkRope {
 public:
  struct Tables {
    const float* cos = nullptr;  // (kChunk, frequencies)
    const float* sin = nullptr;
  };

  // Errors: ResourceExhausted.
  static Result<ChunkRope> Create(const Rotation& rotation, MemoryBudget* budget);

  // Tables of the positions [64 * chunk, 64 * chunk + 64). Valid until kEntries other chunks have
  // been asked for.
  Tables Of(int64_t chunk);

  // As many as are near where max_distance is 8,192, and some more.
  static constexpr int kEntries = 160;

 private:
  ChunkRope(Rotation rotation, Buffer tables)
      : rotation_(std::move(rotation)), tables_(std::move(tables)), entries_(kEntries) {}

  struct Entry {
    int64_t chunk = -1;  // whose tables stand here; -1: nobody's
    int64_t used = 0;    // when it was last asked for
  };

  Rotation rotation_;
  Buffer tables_;  // (kEntries, 2, kChunk, frequencies)
  std::vector<Entry> entries_;
  int64_t now_ = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_MODEL_CHUNK_ROPE_H_
