// Cuts work that memory limits into tasks.
#ifndef KAKEYA_BACKEND_CPU_GUIDED_FOR_H_
#define KAKEYA_BACKEND_CPU_GUIDED_FOR_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"

namespace kakeya::cpu {

// Most rows of a product that memory limits; with more, sums do, and short tasks share them best.
inline constexpr int kGuidedRows = 16;

// Calls body(begin, end) for pieces that make up [0, items). Each piece is one thread's part of
// what is left, and `least` items at least: the long first ones read memory in long runs, as every
// new run costs the processor's prefetcher a microsecond to notice, and the short last ones let all
// threads end together. Source: guided self-scheduling, Polychronopoulos and Kuck, 1987.
//
// body runs on any thread and doesn't call GuidedFor.
template <typename Body>
void GuidedFor(ThreadPool* pool, int64_t items, int64_t least, const Body& body) {
  if (pool == nullptr) return body(int64_t{0}, items);
  thread_local std::vector<int64_t> cuts;  // keeps its memory between calls
  cuts.assign(1, 0);
  while (cuts.back() < items) {
    const int64_t left = items - cuts.back();
    cuts.push_back(cuts.back() + std::min(left, std::max(least, left / pool->threads())));
  }
  const int64_t* const cut = cuts.data();  // the workers' own `cuts` are others
  ParallelFor(pool, static_cast<int64_t>(cuts.size()) - 1,
              [&](int64_t task) { body(cut[task], cut[task + 1]); });
}

}  // namespace kakeya::cpu

#endif  // KAKEYA_BACKEND_CPU_GUIDED_FOR_H_
