#include "eval/speed/random_fill.h"

#include <algorithm>
#include <cassert>
#include <random>
#include <vector>

namespace kakeya {
namespace {

// Rows that chunks and layers take their values from, each from another row on. More than the rows
// of a chunk: no two chunks in a row are equal.
constexpr int64_t kPoolRows = 4 * kChunk + 1;

std::vector<float> RandomPool(int64_t row_elements, uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<float> pool(static_cast<size_t>(2 * kPoolRows * row_elements));
  for (float& value : pool) {
    value = static_cast<float>(static_cast<int64_t>(generator()) >> 40) * 0x1p-23f;
  }
  return pool;
}

}  // namespace

Status AppendRandom(const OpContext& context, int64_t n, uint64_t seed, KvCache* cache) {
  assert(n >= 1 && cache->staged() == 0);
  const int64_t first = cache->size();
  KAKEYA_RETURN_IF_ERROR(cache->Stage(n));
  // The widest layer's; the others take a part.
  int64_t row_elements = 0;
  for (int layer = 0; layer < cache->layers(); ++layer) {
    const KvLayer& shape = cache->layer(layer);
    row_elements = std::max(row_elements, int64_t{shape.kv_heads} * shape.head_dim);
  }
  const std::vector<float> pool = RandomPool(row_elements, seed);
  for (int layer = 0; layer < cache->layers(); ++layer) {
    const KvPolicy& policy = cache->layer(layer).policy;
    // The next query stands at first + n; later ones see no more of these.
    const int64_t window_begin = WindowBegin(policy, first + n);
    for (int64_t position = first; position < first + n;) {
      const bool seen = position >= window_begin || position < policy.sink;
      if (!seen) {
        position = std::min(first + n, window_begin);
        continue;
      }
      const int64_t rows = std::min(first + n - position, kChunk - position % kChunk);
      const int64_t row = (ChunkOf(position) + 7 * int64_t{layer}) % (kPoolRows - kChunk);
      const float* k = pool.data() + row * row_elements;
      KAKEYA_RETURN_IF_ERROR(cache->Write(context, layer, position, static_cast<int>(rows), k,
                                          k + kPoolRows * row_elements));
      position += rows;
    }
  }
  cache->Commit(n);
  return OkStatus();
}

}  // namespace kakeya
