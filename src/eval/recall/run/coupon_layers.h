// Layers that kept what the policy says is gone. If one did, recall proves nothing: the answer may
// have come from there.
#ifndef KAKEYA_EVAL_RECALL_RUN_COUPON_LAYERS_H_
#define KAKEYA_EVAL_RECALL_RUN_COUPON_LAYERS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "cache/kv_cache.h"

namespace kakeya {

// Whether the pages that the query at `position` is shown hold an exact position that is neither a
// sink's chunk nor in its window, or more slots than sinks, window and staging take.
bool HoldsCoupon(const KvPolicy& policy, int64_t position, std::span<const KvPage> pages);

// Asks the cache, layer by layer, what the last query was shown, and how much it has room for.
// Empty for the full policy and an empty cache. REQUIRES: no block is open.
std::vector<int> CouponLayers(KvCache* cache);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_COUPON_LAYERS_H_
