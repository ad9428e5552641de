// The best chunks that a row has met so far, and what makes one better than another.
#ifndef KAKEYA_BACKEND_RESTORE_BEST_CHUNKS_H_
#define KAKEYA_BACKEND_RESTORE_BEST_CHUNKS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kakeya {

struct ScoredChunk {
  float score = 0;
  int64_t chunk = 0;
};

// A heap, the worst on top.
using BestChunks = std::vector<ScoredChunk>;

// Ties go to the lowest chunk. No two scored chunks are equal, so the best of some are the same
// whatever order they come in. REQUIRES: no score is a NaN.
inline bool IsBetter(const ScoredChunk& a, const ScoredChunk& b) {
  return a.score > b.score || (a.score == b.score && a.chunk < b.chunk);
}

// Takes the place of the worst, and lets worse ones rise.
inline void ReplaceWorst(const ScoredChunk& candidate, BestChunks* best) {
  const size_t size = best->size();
  size_t at = 0;
  for (size_t child = 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && IsBetter((*best)[child], (*best)[child + 1])) ++child;
    if (!IsBetter(candidate, (*best)[child])) break;
    (*best)[at] = (*best)[child];
    at = child;
  }
  (*best)[at] = candidate;
}

// Keeps the candidate if it is among the `max` best so far. REQUIRES: max > 0.
inline void Offer(const ScoredChunk& candidate, int64_t max, BestChunks* best) {
  if (static_cast<int64_t>(best->size()) == max) {
    if (IsBetter(candidate, best->front())) ReplaceWorst(candidate, best);
    return;
  }
  best->push_back(candidate);
  std::push_heap(best->begin(), best->end(), IsBetter);
}

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_RESTORE_BEST_CHUNKS_H_
