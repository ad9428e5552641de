// Which positions a query sees: the arithmetic of sinks, window and whole-chunk eviction, in one
// place and pure.
//
// With a window of W positions, query i sees the sinks [0, S) and [WindowBegin(i), i]. The window
// always starts at the start of a chunk: eviction goes by whole chunks, so W to W + kChunk - 1
// positions are exact, and no chunk is half exact, half gone. Prefill, decode and block
// verification all ask here.
//
// A sliding window (Gemma's) goes by position instead: query i sees (i - W, i], and no sinks.
#ifndef KAKEYA_CACHE_WINDOW_H_
#define KAKEYA_CACHE_WINDOW_H_

#include <algorithm>
#include <cstdint>

#include "backend/ops.h"

namespace kakeya {

// Positions that one staged block may hold, on top of sinks and window.
inline constexpr int kStaging = 64;

struct KvPolicy {
  enum class Kind {
    kFull,      // every position stays
    kWindow,    // sinks and window stay; what lies between is evicted
    kRestored,  // as kWindow, and each query attends to evicted chunks that a Restorer reconstructs
    kSliding,   // by position: the last `window` ones, the query's own among them; sink is 0
  };
  Kind kind = Kind::kFull;
  int64_t sink = 4;
  int64_t window = 64;

  // Whether positions are ever evicted.
  constexpr bool bounded() const { return kind != Kind::kFull; }

  bool operator==(const KvPolicy&) const = default;
};

// "full", "window", "restored", "sliding".
inline const char* NameOf(KvPolicy::Kind kind) {
  switch (kind) {
    case KvPolicy::Kind::kFull:
      return "full";
    case KvPolicy::Kind::kWindow:
      return "window";
    case KvPolicy::Kind::kRestored:
      return "restored";
    case KvPolicy::Kind::kSliding:
      return "sliding";
  }
  return "?";
}

// Chunk that holds a position.
constexpr int64_t ChunkOf(int64_t position) { return position / kChunk; }

// First position of the exact window of a query, never falling as the position grows; a multiple of
// kChunk but for kSliding.
constexpr int64_t WindowBegin(const KvPolicy& policy, int64_t position) {
  if (!policy.bounded()) return 0;
  const int64_t oldest = std::max<int64_t>(0, position - policy.window + 1);
  return policy.kind == KvPolicy::Kind::kSliding ? oldest : ChunkOf(oldest) * kChunk;
}

// What the query at a position sees of the exact keys and values.
constexpr RowView ViewOf(const KvPolicy& policy, int64_t position) {
  return {.sink = policy.bounded() ? policy.sink : 0,
          .begin = WindowBegin(policy, position),
          .end = position + 1};
}

// Chunks that must be resident at once so that a block of up to kStaging positions finds the window
// of its first query and room for its last: those touched by an interval of window + kStaging - 1
// positions at its worst alignment.
constexpr int64_t WindowChunks(const KvPolicy& policy) {
  return (policy.window + kStaging - 2 + kChunk - 1) / kChunk + 1;
}

// Chunks that hold the sinks.
constexpr int64_t SinkChunks(const KvPolicy& policy) { return (policy.sink + kChunk - 1) / kChunk; }

}  // namespace kakeya

#endif  // KAKEYA_CACHE_WINDOW_H_
