// Where the keys and values of evicted chunks come from: the seam between the verifier's attention
// and whatever can reconstruct its past (a trained proposer with f_theta, or the verifier itself).
//
// A Restorer belongs to one session. It is told the token ids of the history as they become final,
// says for each query which evicted chunks it attends to, and gives those chunks' K and V. It keeps
// no K/V of evicted positions; what it keeps per token is counted in history_bytes().
//
// Thread safety: Restore may run on several threads at once; everything else is for one thread.
// Invariants: what Select and Restore give is a pure function of the ids told, the query and the
// restorer's own parameters; how the ids were cut into calls, and what was asked before, never
// shows.
#ifndef KAKEYA_CACHE_RESTORER_H_
#define KAKEYA_CACHE_RESTORER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "base/status.h"

namespace kakeya {

// Rows of a block that one call may ask for: they fit into the bits of a mask.
inline constexpr int kMaxSelectRows = 64;

// The queries of one piece of a block, in one layer.
struct SelectQueries {
  int layer = 0;
  const float* q = nullptr;  // (rows, heads, head_dim): after the norm, before the rotation
  int rows = 0;              // at most kMaxSelectRows
  int64_t first_position = 0;
  // Row r may choose among the chunks [first_chunk, window_begin[r] / kChunk).
  int64_t first_chunk = 0;                // the first that doesn't consist of sinks alone
  std::span<const int64_t> window_begin;  // (rows), multiples of kChunk, ascending
  // Per row and KV head; kAllChunks: every one. Those of a smaller number are among those of a
  // larger one.
  int64_t max_chunks = 0;
};

// max_chunks that means: every evicted chunk, whatever its score.
inline constexpr int64_t kAllChunks = INT64_MAX;

// One chunk and the rows that attend to it: bit r stands for row r.
struct ChunkVisit {
  int64_t chunk = 0;
  uint64_t rows = 0;
};

class Restorer {
 public:
  virtual ~Restorer() = default;

  // Tells the ids of the positions that follow those told so far. They are final. Errors:
  // ResourceExhausted; nothing was told then.
  virtual Status Extend(const OpContext& context, std::span<const int32_t> ids) = 0;
  // Positions told so far.
  virtual int64_t size() const = 0;

  // visits[h] = the chunks that KV head h of some row attends to, ascending, each with its rows.
  // REQUIRES: visits.size() is the number of KV heads; every chunk that a row may choose is whole:
  // window_begin[rows - 1] <= size().
  virtual void Select(const OpContext& context, const SelectQueries& queries,
                      std::span<std::vector<ChunkVisit>> visits) = 0;

  // Called before the first Restore of a layer in a block.
  virtual Status BeginLayer(const OpContext& /*context*/, int /*layer*/) { return OkStatus(); }

  // One chunk in one layer and KV head: keys (kChunk, head_dim) as the verifier has them after its
  // k_norm and before the rotation, and values (kChunk, head_dim). May contain NaN or infinities:
  // the caller then does without the chunk.
  virtual void Restore(int layer, int kv_head, int64_t chunk, float* k, float* v) const = 0;

  // Beyond so many positions, counted from chunk to chunk, a chunk is far: queries see it as if it
  // stood just that far away. A multiple of kChunk, or INT64_MAX: nothing is far.
  virtual int64_t max_distance() const = 0;

  // Whole chunks for which there are no codes that are numbers: nobody ever attends to them.
  virtual int64_t bad_chunks() const { return 0; }

  // Bytes kept that grow with the history (codes, summaries), as the allocator counts them.
  virtual size_t history_bytes() const = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_CACHE_RESTORER_H_
