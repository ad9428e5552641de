// What a restorer gives for a chunk, as numbers.
#ifndef KAKEYA_CACHE_RESTORER_TEST_UTIL_H_
#define KAKEYA_CACHE_RESTORER_TEST_UTIL_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cache/restorer.h"

namespace kakeya::test {

struct LoadedPage {
  Status status;
  std::vector<float> k;  // (kChunk, head_dim), not rotated; NaN where Load failed
  std::vector<float> v;  // (kChunk, head_dim)

  // Keys, then values.
  std::vector<float> Both() const {
    std::vector<float> both = k;
    both.insert(both.end(), v.begin(), v.end());
    return both;
  }
};

inline LoadedPage LoadPage(const Restorer& restorer, int layer, int kv_head, int64_t chunk,
                           int head_dim) {
  const size_t half = static_cast<size_t>(kChunk) * static_cast<size_t>(head_dim) / 2;
  const std::vector<float> cos(half, 1.0f);
  const std::vector<float> sin(half, 0.0f);
  std::vector<std::byte> page(KvHeadBytes(KvType::kF32, head_dim));
  LoadedPage out{
      .status = restorer.Load({}, {.key = {.layer = layer, .kv_head = kv_head, .chunk = chunk},
                                   .type = KvType::kF32,
                                   .head_dim = head_dim,
                                   .cos = cos.data(),
                                   .sin = sin.data(),
                                   .page = page.data()}),
      .k = {},
      .v = {}};
  for (int slot = 0; slot < kChunk; ++slot) {
    for (int d = 0; d < head_dim; ++d) {
      const bool ok = out.status.ok();
      out.k.push_back(ok ? LoadKey(KvType::kF32, page.data(), head_dim, slot, d) : NAN);
      out.v.push_back(ok ? LoadValue(KvType::kF32, page.data(), head_dim, slot, d) : NAN);
    }
  }
  return out;
}

}  // namespace kakeya::test

#endif  // KAKEYA_CACHE_RESTORER_TEST_UTIL_H_
