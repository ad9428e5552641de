// Attention over sinks, window and restored chunks, in one softmax.
#ifndef KAKEYA_MODEL_RESTORED_ATTENTION_H_
#define KAKEYA_MODEL_RESTORED_ATTENTION_H_

#include <cstdint>

#include "backend/ops.h"
#include "cache/kv_cache.h"
#include "model/config.h"
#include "model/restoration.h"

namespace kakeya {

// One piece of a block in one layer: positions [first_position, first_position + rows), and their
// queries, all (rows, heads, head_dim).
struct RestoredPiece {
  int layer = 0;
  int64_t first_position = 0;
  int rows = 0;
  const float* plain = nullptr;    // after the norm, before the rotation
  const float* rotated = nullptr;  // at their own positions
  float* far = nullptr;            // scratch: rotated at the restorer's max_distance
  float* state = nullptr;          // scratch: (rows, heads, AttentionStateFloats(head_dim))
  float* out = nullptr;
};

// Each query of the piece chooses its chunks, what the buffer lacks is reconstructed, and out
// becomes the attention over all that the query sees. The piece's own keys and values have been
// written to the cache. Errors: those of the restorer.
// REQUIRES: piece.rows <= kStaging; the restorer has been told every position before the piece's
// last window.
Status AttendRestored(const OpContext& context, const LayerConfig& config,
                      const RestoredPiece& piece, KvCache* cache, Restoration* restoration);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_RESTORED_ATTENTION_H_
