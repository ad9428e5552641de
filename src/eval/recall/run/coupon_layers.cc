#include "eval/recall/run/coupon_layers.h"

#include <algorithm>

namespace kakeya {

bool HoldsCoupon(const KvPolicy& policy, int64_t position, std::span<const KvPage> pages) {
  const int64_t begin = WindowBegin(policy, position);
  const int64_t sinks = SinkChunks(policy) * kChunk;
  const bool evicted = std::any_of(pages.begin(), pages.end(), [&](const KvPage& page) {
    return page.first_position < begin && page.first_position >= sinks;
  });
  const int64_t allowed = SinkChunks(policy) + WindowChunks(policy);
  return evicted || static_cast<int64_t>(pages.size()) > allowed;
}

std::vector<int> CouponLayers(KvCache* cache) {
  std::vector<int> layers;
  if (cache->size() == 0) return layers;
  const int64_t last = cache->size() - 1;
  for (int layer = 0; layer < cache->layers(); ++layer) {
    const KvPolicy& policy = cache->layer(layer).policy;
    if (!policy.bounded()) continue;
    // What no query is shown now may still be kept, and shown later.
    const int64_t allowed = (SinkChunks(policy) + WindowChunks(policy)) * kChunk;
    const bool too_large = cache->resident_slots(layer) > allowed;
    const bool shown = HoldsCoupon(policy, last, cache->View(layer, last, 1));
    if (too_large || shown) layers.push_back(layer);
  }
  return layers;
}

}  // namespace kakeya
