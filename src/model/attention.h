// The attention half of a layer over a bounded cache.
#ifndef KAKEYA_MODEL_ATTENTION_H_
#define KAKEYA_MODEL_ATTENTION_H_

#include <cstdint>

#include "backend/ops.h"
#include "cache/kv_cache.h"
#include "model/config.h"
#include "model/forward.h"
#include "model/weights.h"

namespace kakeya {

// workspace->hidden (rows, hidden_size) += o(attention(norm(hidden))) for the rows at
// first_position and on, whose keys and values go into the cache's open stage. Errors and
// REQUIRES: as Forward.
Status AttentionBlock(const OpContext& context, const ModelConfig& config,
                      const LayerWeights& weights, int layer, int64_t first_position, int rows,
                      KvCache* cache, Restoration* restoration, Workspace* workspace);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_ATTENTION_H_
