// Integer dot products of queries with a chunk's summaries: the inner loop of selection.
#ifndef KAKEYA_PROPOSER_SUMMARY_DOT_H_
#define KAKEYA_PROPOSER_SUMMARY_DOT_H_

#include <cstdint>

namespace kakeya {

// Rows that one call may have.
inline constexpr int kMaxDotRows = 16;

// out (rows, segments) = queries (rows, dim) times summaries (segments, dim) transposed, exact.
// Elements of both lie in [-127, 127]; queries are widened so that no step has to.
// REQUIRES: rows <= kMaxDotRows, dim <= kMaxSummaryDim.
void SummaryDots(const int16_t* queries, int rows, const int8_t* summaries, int segments, int dim,
                 int32_t* out);

// Some rows of selector queries, as both paths of BestSegments want them.
struct SummaryQueries {
  const int8_t* narrow = nullptr;  // (rows, dim)
  const int16_t* wide = nullptr;   // (rows, dim): the same
  const int32_t* sums = nullptr;   // (rows): of each row's elements
  const float* scales = nullptr;   // (rows)
  int rows = 0;                    // at most kMaxDotRows
};

// One chunk's summaries.
struct ChunkSummaries {
  const int8_t* values = nullptr;  // (segments, dim)
  const float* scales = nullptr;   // (segments)
  int segments = 0;                // at most kChunk
  int dim = 0;                     // at most kMaxSummaryDim
};

// best (rows) = over the segments, the most of dot * (row's scale * segment's scale). The integers
// are exact and the floats come from one expression, so both paths give the same bits (as long as
// no product of scales overflows); the first takes AVX-512 VNNI where the machine and the shape
// allow it.
void BestSegments(const SummaryQueries& queries, const ChunkSummaries& chunk, float* best);
void BestSegmentsPortable(const SummaryQueries& queries, const ChunkSummaries& chunk, float* best);

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_SUMMARY_DOT_H_
