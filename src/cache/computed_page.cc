#include "cache/computed_page.h"

#include <bit>
#include <cstdint>

namespace kakeya {
namespace {

// Whether none is beyond `largest`, nor NaN. Compares magnitudes as whole numbers, so that the
// compiler makes vectors of it.
bool AllWithin(const float* values, int64_t n, float largest) {
  const auto most = std::bit_cast<uint32_t>(largest);
  uint32_t found = 0;
  for (int64_t i = 0; i < n; ++i) {
    found |= (std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu) > most ? 1 : 0;
  }
  return found == 0;
}

}  // namespace

Status StoreComputedPage(const OpContext& context, const PageRequest& request, float* k,
                         const float* v) {
  const int64_t elements = int64_t{kChunk} * request.head_dim;
  const float largest = KvLargest(request.type);
  const PageKey& key = request.key;
  const auto unusable = [&](const char* what) {
    return NotFound("chunk {}, layer {}, KV head {}: the restored {} are not finite", key.chunk,
                    key.layer, key.kv_head, what);
  };
  if (!AllWithin(v, elements, largest)) return unusable("values");
  Rope(context, k, kChunk, 1, request.head_dim, request.cos, request.sin);
  // The rotation can make infinities of large numbers.
  if (!AllWithin(k, elements, largest)) return unusable("keys");
  StoreKv(context, k, v, kChunk, 1, request.head_dim, request.type, request.page, 0);
  return OkStatus();
}

}  // namespace kakeya
