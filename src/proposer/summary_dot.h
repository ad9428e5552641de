// Integer dot products of queries with a chunk's summaries: the inner loop of selection.
#ifndef KAKEYA_PROPOSER_SUMMARY_DOT_H_
#define KAKEYA_PROPOSER_SUMMARY_DOT_H_

#include <array>
#include <cstdint>

namespace kakeya {

// Rows that one call may have.
inline constexpr int kMaxDotRows = 32;
// Rows up to which a query is compared with several chunks at once, rather than one with many rows.
inline constexpr int kFewDotRows = 5;

// What is added to an int4 so that it has no sign.
inline constexpr int kInt4Bias = 8;

// Where element i of a segment's summary lies. All segments' elements 4 q to 4 q + 3 stand
// together, as (dim / 4, segments, 4): a vector holds neighbours of several segments, and sums over
// dim need no sums across its lanes.
constexpr int SummaryIndex(int segments, int segment, int i) {
  return (i / 4 * segments + segment) * 4 + i % 4;
}

// Summaries are kept as int4, [-7, 7], two a byte and 8 larger so that they have no sign: of n
// elements in the order of SummaryIndex, element i in the low half of byte i, element n / 2 + i in
// the high one. A vector of bytes gives two vectors of elements without moving any. REQUIRES: n is
// even.
void PackSummaries(const int8_t* elements, int n, uint8_t* packed);
void UnpackSummaries(const uint8_t* packed, int n, int8_t* elements);

// out (rows, segments) = queries (rows, dim) times the summaries (as SummaryIndex says), exact.
// Elements of both lie in [-127, 127]; queries are widened so that no step has to.
// REQUIRES: rows <= kMaxDotRows, dim <= kMaxSummaryDim, a multiple of 4.
void SummaryDots(const int16_t* queries, int rows, const int8_t* summaries, int segments, int dim,
                 int32_t* out);

// Some rows of selector queries, in the layouts that the different paths want.
struct SummaryQueries {
  const int16_t* wide = nullptr;     // (rows, dim)
  const int8_t* spread = nullptr;    // (rows, dim / 4, segments, 4): the same, each four elements
                                     // once per segment; used up to kFewDotRows rows
  const int8_t* quads = nullptr;     // (dim / 4, kMaxDotRows, 4): the same; nobody's rows are zeros
  const int32_t* offsets = nullptr;  // (kMaxDotRows): -8 times the sum of a row's elements
  const float* scales = nullptr;     // (kMaxDotRows)
  int rows = 0;                      // at most kMaxDotRows
};

// One chunk's summaries.
struct ChunkSummaries {
  const uint8_t* values = nullptr;  // (segments * dim / 2), packed
  const float* scales = nullptr;    // (segments)
  int segments = 0;                 // at most kChunk
  int dim = 0;                      // at most kMaxSummaryDim
};

// What is added to each row's score, and how much it must reach. NaN: nothing is enough.
struct ScoreTest {
  std::array<float, kMaxDotRows> bias;
  std::array<float, kMaxDotRows> least;
};

// scores (kMaxDotRows): of each row, the most of dot * (row's scale * segment's scale) over the
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
// kFewDotRows rows.
using MostFn = void (*)(const SummaryQueries& queries, const ChunkSummaries* chunks, int count,
                        float* mosts);
void MostsPortable(const SummaryQueries& queries, const ChunkSummaries* chunks, int count,
                   float* mosts);
MostFn FastestMosts(int segments, int dim);

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_SUMMARY_DOT_H_
