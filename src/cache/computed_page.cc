#include "cache/computed_page.h"

#include <cstdint>

namespace kakeya {
Status StoreComputedPage(const OpContext& context, const PageRequest& request, float* k,
                         const float* v) {
  const int64_t elements = int64_t{kChunk} * request.head_dim;
  const float largest = KvLargest(request.type);
  const PageKey& key = request.key;
  const auto unusable = [&](const char* what) {
    return NotFinite("chunk {}, layer {}, KV head {}: the restored {} are not finite", key.chunk,
                     key.layer, key.kv_head, what);
  };
  if (!AllWithin(context, v, elements, largest)) return unusable("values");
  Rope(context, k, kChunk, 1, request.head_dim, request.cos, request.sin);
  // The rotation can make infinities of large numbers.
  if (!AllWithin(context, k, elements, largest)) return unusable("keys");
  StoreKv(context, {.k = k, .v = v, .rows = kChunk, .head_dim = request.head_dim}, request.type,
          request.page, 0);
  return OkStatus();
}

}  // namespace kakeya
