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

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_SUMMARY_DOT_H_
