// Numbers into the types that a file may store them in: the plain ones, and the block formats
// (backend/quant_format.h) whose scale follows from the largest element, or from both ends. The
// rounding is that of ggml's reference (ggml-quants.c), so that a quantised file has the same bytes
// whoever made it:
//
//   q8_0: d = max |x| / 127; q = round(x / d), halves away from zero.
//   q4_0: d = m / -8, where m is the first x of largest magnitude, with its sign;
//         q = min(15, floor(x / d + 8.5)).
//   q5_0: the same with d = m / -16; q = min(31, floor(x / d + 16.5)).
//   q4_1: d = (max x - m) / 15, where m is min x; q = min(15, floor((x - m) / d + 0.5)).
//   q5_1: the same with 31.
// All in F32, step by step, without fused multiply-adds. The division is a product with 1 / d, by
// the d before it is rounded to F16, and m is the one before, too. A block of zeros of either sign
// has m = +0, as in ggml's C code.
#ifndef KAKEYA_BACKEND_QUANT_ENCODE_H_
#define KAKEYA_BACKEND_QUANT_ENCODE_H_

#include <cstddef>
#include <cstdint>

#include "base/tensor_view.h"

namespace kakeya {

// Whether EncodeRow writes this type: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.
constexpr bool CanEncode(DType type) { return BlockElements(type) <= 32 && type != DType::kIQ4_NL; }

// Writes the `cols` elements of a row as RowBytes(type, cols) bytes at any alignment. Returns -1,
// or the index of the first element that the type can't hold: a NaN, an infinity, or what would
// become an infinity (of a block whose scale or min is beyond F16: its largest element). REQUIRES:
// CanEncode(type), whole blocks.
int64_t EncodeRow(DType type, const float* x, int64_t cols, std::byte* out);

// The inverse: reads a row of any type at any alignment.
void DecodeRow(DType type, const std::byte* row, int64_t cols, float* out);

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_QUANT_ENCODE_H_
