// Where the keys and values of evicted chunks come from: the seam between the verifier's attention
// and whatever can reconstruct its past (a trained proposer with f_theta, or the verifier itself).
//
// A Restorer belongs to one session. It is told the token ids of the history as they become final,
// says for each query which evicted chunks it attends to, and loads the pages of those chunks: made
// by a network, computed anew, or read from wherever exact ones were put. What it keeps per token
// is counted in history_bytes().
//
// Thread safety: Load may run on several threads at once; every other call comes alone, but from
// any thread, and while another session's restorer is called: what restorers share they must guard.
// Invariants: what Select and Load give is a pure function of the ids told, the query and the
// restorer's own parameters; how the ids were cut into calls, what was told and taken back, and
// what was asked before never shows.
#ifndef KAKEYA_CACHE_RESTORER_H_
#define KAKEYA_CACHE_RESTORER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "backend/ops.h"
#include "base/status.h"
#include "cache/saved_state.h"

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

// One chunk in one layer and KV head; `far` pages hold their keys rotated by slot.
struct PageKey {
  int layer = 0;
  int kv_head = 0;
  int64_t chunk = 0;
  bool far = false;

  bool operator==(const PageKey&) const = default;
  bool operator<(const PageKey& other) const {
    return std::tie(layer, kv_head, chunk, far) <
           std::tie(other.layer, other.kv_head, other.chunk, other.far);
  }
};

// A page that is wanted, and where it goes.
struct PageRequest {
  PageKey key;
  KvType type = KvType::kBF16;  // as the page is stored (backend/kv_page.h), of one KV head
  int head_dim = 0;
  // (kChunk, head_dim / 2): what turns keys that are not rotated yet. Exact pages come as they were
  // stored, rotated to their own positions.
  const float* cos = nullptr;
  const float* sin = nullptr;
  void* page = nullptr;  // KvHeadBytes(type, head_dim)
};

class Restorer {
 public:
  virtual ~Restorer() = default;

  // Tells the ids of the positions that follow those told so far. They are final. Errors:
  // ResourceExhausted; nothing was told then.
  virtual Status Extend(const OpContext& context, std::span<const int32_t> ids) = 0;
  // Takes back the positions from n on. Errors: ResourceExhausted; then the restorer is as it was.
  // REQUIRES: 0 <= n <= size().
  virtual Status Truncate(const OpContext& context, int64_t n) = 0;
  // Positions told so far.
  virtual int64_t size() const = 0;

  // visits[h] = the chunks that KV head h of some row attends to, ascending, each with its rows.
  // REQUIRES: visits.size() is the number of KV heads; every chunk that a row may choose is whole:
  // window_begin[rows - 1] <= size(). Errors: whatever keeps the summaries from being read; the
  // step fails.
  virtual Status Select(const OpContext& context, const SelectQueries& queries,
                        std::span<std::vector<ChunkVisit>> visits) = 0;

  // Called before the first Load of a layer in a block. Errors fail the step.
  virtual Status BeginLayer(const OpContext& /*context*/, int /*layer*/) { return OkStatus(); }

  // Pages that Load is about to be asked for, all of one round of a layer, in the order in which
  // they are wanted: a hint, for sources that fetch many in one go. A page may be loaded without.
  virtual void Prefetch(const OpContext& /*context*/, std::span<const PageKey> /*pages*/) {}

  // Fills one page. Errors: NotFinite where the source has no numbers to give (a code that is NaN):
  // queries do without this page, and it is counted. Any other error, such as an unreadable file,
  // fails the step: its message names the chunk.
  virtual Status Load(const OpContext& context, const PageRequest& request) const = 0;

  // Beyond so many positions, counted from chunk to chunk, a chunk is far: queries see it as if it
  // stood just that far away. A multiple of kChunk, or INT64_MAX: nothing is far.
  virtual int64_t max_distance() const = 0;

  // Whole chunks for which there are no codes that are numbers: nobody ever attends to them.
  virtual int64_t bad_chunks() const { return 0; }

  // Bytes kept that grow with the history (codes, summaries), as the allocator counts them.
  virtual size_t history_bytes() const = 0;

  // What a saved state belongs to: a restorer goes on from the states of those of the same name, to
  // the same bits. Empty: the state can't be saved.
  virtual std::string StateName() const { return {}; }
  // Writes the state, without the ids told. Errors: the sink's; Unsupported where StateName() is
  // empty.
  virtual Status SaveState(StateSink* /*sink*/) const {
    return Unsupported("the state of this session's restorer can't be saved");
  }
  // Takes over what SaveState wrote after these ids had been told. Errors: Corrupt,
  // ResourceExhausted; the restorer is of no use then. REQUIRES: size() == 0.
  virtual Status LoadState(StateSource* /*source*/, std::span<const int32_t> /*ids*/) {
    return Unsupported("the state of this session's restorer can't be loaded");
  }
};

}  // namespace kakeya

#endif  // KAKEYA_CACHE_RESTORER_H_
