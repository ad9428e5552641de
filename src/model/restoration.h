// What a session's attention needs to see evicted chunks again: the restorer that knows them, the
// buffer that holds them, and the count of what was done.
//
// Thread safety: none; it belongs to one session.
#ifndef KAKEYA_MODEL_RESTORATION_H_
#define KAKEYA_MODEL_RESTORATION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/kv_cache.h"
#include "cache/restore_buffer.h"
#include "cache/restorer.h"
#include "model/chunk_rope.h"
#include "model/rope.h"

namespace kakeya {

// Counted in the path that does the work.
struct RestoreStats {
  int64_t pages = 0;          // made: one chunk in one layer and KV head
  int64_t vectors = 0;        // K and V vectors in them
  int64_t failed = 0;         // of the pages, those that held a NaN or an infinity
  std::string first_failure;  // why, of the first of them
  double seconds = 0;         // spent on codes, selection and reconstruction
};

struct Restoration {
  // `chunks` per query and KV head; the buffer takes buffer_bytes. Errors: those of
  // RestoreBuffer::Create; ResourceExhausted.
  static Result<Restoration> Create(const KvShape& shape, const Rotation& rotation,
                                    std::unique_ptr<Restorer> restorer, int64_t chunks,
                                    size_t buffer_bytes, MemoryBudget* budget);

  // Takes back what was told and restored from position n on, if it was. Errors: those of
  // Restorer::Truncate.
  Status Truncate(const OpContext& context, int64_t n);

  std::unique_ptr<Restorer> restorer;
  int64_t chunks = 0;
  RestoreBuffer buffer;
  ChunkRope rope;
  // (head_dim / 2) each: the rotation to the restorer's max_distance, where far pages' queries
  // stand.
  std::vector<float> far_cos;
  std::vector<float> far_sin;
  RestoreStats stats = {};
};

}  // namespace kakeya

#endif  // KAKEYA_MODEL_RESTORATION_H_
