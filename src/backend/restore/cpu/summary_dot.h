// Integer dot products of queries with a chunk's summaries: the inner loop of selection.
#ifndef KAKEYA_BACKEND_RESTORE_CPU_SUMMARY_DOT_H_
#define KAKEYA_BACKEND_RESTORE_CPU_SUMMARY_DOT_H_

#include <array>
#include <cstdint>

#include "backend/restore/restore_ops.h"

namespace kakeya::cpu {

// out (rows, segments) = queries (rows, dim) times the summaries (as SummaryIndex says), exact.
// Elements of both lie in [-127, 127]; queries are widened so that no step has to.
// REQUIRES: rows <= kMaxScanRows, dim <= kMaxSummaryDim, a multiple of 4.
void SummaryDots(const int16_t* queries, int rows, const int8_t* summaries, int segments, int dim,
                 int32_t* out);

// What is added to each row's score, and how much it must reach. NaN: nothing is enough.
struct ScoreTest {
  std::array<float, kMaxScanRows> bias;
  std::array<float, kMaxScanRows> least;
};

// scores (kMaxScanRows): of each row, the most of dot * (row's scale * segment's scale) over the
// segments, plus the row's bias; a product that is no number counts for nothing. Gives the rows
// whose score reaches the least, row r as bit r. The integers are exact and the floats come from
// one expression, so all paths give the same bits.
using ScoreFn = uint32_t (*)(const SummaryQueries& queries, const ChunkSummaries& chunk,
                             const ScoreTest& test, float* scores);
uint32_t ScoresPortable(const SummaryQueries& queries, const ChunkSummaries& chunk,
                        const ScoreTest& test, float* scores);
// The fastest for queries and summaries of this shape: AVX-512 VNNI where the machine has it.
ScoreFn FastestScores(int rows, int segments, int dim);

// mosts (count, rows): the same of several chunks of one shape, without bias and test. For at most
// kFewScanRows rows.
using MostFn = void (*)(const SummaryQueries& queries, const ChunkSummaries* chunks, int count,
                        float* mosts);
void MostsPortable(const SummaryQueries& queries, const ChunkSummaries* chunks, int count,
                   float* mosts);
MostFn FastestMosts(int segments, int dim);

}  // namespace kakeya::cpu

#endif  // KAKEYA_BACKEND_RESTORE_CPU_SUMMARY_DOT_H_
