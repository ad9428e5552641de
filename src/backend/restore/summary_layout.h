// How summaries lie in memory: what the operators that write, read and compare them agree on.
#ifndef KAKEYA_BACKEND_RESTORE_SUMMARY_LAYOUT_H_
#define KAKEYA_BACKEND_RESTORE_SUMMARY_LAYOUT_H_

#include <cstdint>

#include "backend/kv_page.h"

namespace kakeya {

// An integer dot product of this many int8 pairs is exact in F32.
inline constexpr int kMaxSummaryDim = 1024;
// Elements of a chunk's summaries: a segment has at least one token.
inline constexpr int kMaxSummaryElements = kChunk * kMaxSummaryDim;

// A chunk's summaries: one for each `segment` of kChunk / segments tokens.
struct SummaryShape {
  int segments = 4;  // kChunk is a multiple of it
  int dim = 128;     // a multiple of 4 and of pool_heads, at most kMaxSummaryDim
  int pool_heads = 8;
};

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
inline void PackSummaries(const int8_t* elements, int n, uint8_t* packed) {
  for (int i = 0; i < n / 2; ++i) {
    packed[i] =
        static_cast<uint8_t>((elements[i] + kInt4Bias) | (elements[n / 2 + i] + kInt4Bias) << 4);
  }
}
inline void UnpackSummaries(const uint8_t* packed, int n, int8_t* elements) {
  for (int i = 0; i < n / 2; ++i) {
    elements[i] = static_cast<int8_t>((packed[i] & 0xf) - kInt4Bias);
    elements[n / 2 + i] = static_cast<int8_t>((packed[i] >> 4) - kInt4Bias);
  }
}

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_RESTORE_SUMMARY_LAYOUT_H_
