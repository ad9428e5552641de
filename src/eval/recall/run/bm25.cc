#include "eval/recall/run/bm25.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <set>

#include "cache/window.h"

namespace kakeya {

std::vector<int64_t> ChunksByBm25(std::span<const int32_t> ids, int64_t chunks,
                                  std::span<const int32_t> query, int64_t count) {
  assert(chunks * kChunk <= static_cast<int64_t>(ids.size()));
  constexpr double kK1 = 1.2;
  std::vector<double> scores(chunks);
  std::vector<int> frequency(chunks);
  for (const int32_t term : std::set<int32_t>(query.begin(), query.end())) {
    int64_t documents = 0;
    for (int64_t c = 0; c < chunks; ++c) {
      const auto chunk = ids.subspan(c * kChunk, kChunk);
      frequency[c] = static_cast<int>(std::count(chunk.begin(), chunk.end(), term));
      documents += frequency[c] > 0 ? 1 : 0;
    }
    const double rarity =
        std::log(1 + (static_cast<double>(chunks - documents) + 0.5) / (documents + 0.5));
    for (int64_t c = 0; c < chunks; ++c) {
      scores[c] += rarity * frequency[c] * (kK1 + 1) / (frequency[c] + kK1);
    }
  }
  std::vector<int64_t> order(chunks);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(count, chunks));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace kakeya
