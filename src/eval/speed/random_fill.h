// A cache at depth without the prompt that leads there, for measurements of speed.
#ifndef KAKEYA_EVAL_SPEED_RANDOM_FILL_H_
#define KAKEYA_EVAL_SPEED_RANDOM_FILL_H_

#include <cstdint>

#include "backend/ops.h"
#include "base/status.h"
#include "cache/kv_cache.h"

namespace kakeya {

// Appends n positions of random keys and values: uniform in [-1, 1), the same for the same seed.
// What no later query can see is not written, so that a window costs as little at any depth.
// Errors: those of KvCache::Stage; nothing has changed then. REQUIRES: no block is open, n >= 1.
Status AppendRandom(const OpContext& context, int64_t n, uint64_t seed, KvCache* cache);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_SPEED_RANDOM_FILL_H_
