// What exact recurrence tells about a token: how often the n-grams that end there have occurred
// before, and what followed the latest earlier occurrence. The proposer sees a chunk and few
// predecessors; by this it knows that a key was stated long ago, how often, and what stood next.
//
// Pure functions of the ids up to the token: nothing is kept for them, nothing that follows changes
// them, and the cost is a scan over the ids of the history for each chunk.
#ifndef KAKEYA_PROPOSER_RECURRENCE_H_
#define KAKEYA_PROPOSER_RECURRENCE_H_

#include <array>
#include <cstdint>

#include "backend/ops.h"
#include "proposer/history.h"
#include "proposer/restorer_config.h"

namespace kakeya {

// In place of a follower that there is not.
inline constexpr int32_t kNoFollower = -1;

// For position p and length n, an n-gram's earlier occurrences end at
//   occ_n(p) = { q : n - 1 <= q < p, ids[q - i] == ids[p - i] for i in [0, n) },
// and q* is the last of them for the largest n that has any.
struct ChunkRecurrence {
  // (kChunk, lengths): min(|occ_n(p)|, buckets - 1).
  std::array<uint8_t, size_t{kChunk} * kMaxRecurrenceLengths> buckets;
  // (kChunk, next): ids[q* + 1], ids[q* + 2], ... as far as they stand before p, else kNoFollower.
  std::array<int32_t, size_t{kChunk} * kMaxRecurrenceNext> followers;
};

// REQUIRES: config.used(); the ids of the chunks [0, chunk] are filled in. Any number of threads
// may do this at once.
void FindRecurrence(const RestorerConfig::Recurrence& config, const History& history, int64_t chunk,
                    ChunkRecurrence* out);

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_RECURRENCE_H_
