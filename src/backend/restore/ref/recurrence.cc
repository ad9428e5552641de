#include <algorithm>

#include "backend/restore/ref/restore_ref.h"

namespace kakeya::ref {
namespace {

class History {
 public:
  explicit History(std::span<const int32_t* const> chunks) : chunks_(chunks) {}

  int32_t At(int64_t position) const { return chunks_[position / kChunk][position % kChunk]; }
  // Whether the n-gram that ends at p ends at q, too.
  bool Recurs(int64_t p, int64_t q, int n) const {
    for (int i = 0; i < n; ++i) {
      if (q - i < 0 || At(q - i) != At(p - i)) return false;
    }
    return true;
  }

 private:
  std::span<const int32_t* const> chunks_;
};

}  // namespace

void FindRecurrence(const RecurrenceShape& shape, std::span<const int32_t* const> chunks,
                    ChunkRecurrence* out) {
  const History history(chunks);
  const auto lengths = static_cast<int64_t>(shape.lengths.size());
  const int64_t first = (static_cast<int64_t>(chunks.size()) - 1) * kChunk;
  for (int64_t t = 0; t < kChunk; ++t) {
    const int64_t p = first + t;
    int64_t latest = -1;  // of the longest n-gram that has any
    for (int64_t l = 0; l < lengths; ++l) {
      int count = 0;
      int64_t last = -1;
      for (int64_t q = 0; q < p; ++q) {
        if (!history.Recurs(p, q, shape.lengths[l])) continue;
        count = std::min(count + 1, shape.buckets - 1);
        last = q;
      }
      out->buckets[t * lengths + l] = static_cast<uint8_t>(count);
      if (last >= 0) latest = last;
    }
    for (int64_t j = 1; j <= shape.next; ++j) {
      const bool seen = latest >= 0 && latest + j < p;
      out->followers[t * shape.next + j - 1] = seen ? history.At(latest + j) : kNoToken;
    }
  }
}

}  // namespace kakeya::ref
