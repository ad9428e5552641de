// Numbers into the types that a file may store them in: the plain ones, and the two block formats
// (backend/quant_format.h) whose scale follows from the largest element. The rounding is that of
// ggml's reference (ggml-quants.c), so that a quantised file has the same bytes whoever made it:
//
//   q8_0: d = max |x| / 127; q = round(x / d), halves away from zero.
//   q4_0: d = m / -8, where m is the first x of largest magnitude, with its sign;
//         q = min(15, floor(x / d + 8.5)).
// All in F32, step by step, without fused multiply-adds. The division is a product with 1 / d, by
// the d before it is rounded to F16. A block of zeros of either sign has m = +0, as in ggml's C
// code.
#ifndef KAKEYA_BACKEND_QUANT_ENCODE_H_
#define KAKEYA_BACKEND_QUANT_ENCODE_H_

#include <cstddef>
#include <cstdint>

#include "base/tensor_view.h"

namespace kakeya {

// Whether EncodeRow writes this type: F32, F16, BF16, Q8_0, Q4_0.
constexpr bool CanEncode(DType type) {
  return !IsBlockType(type) || type == DType::kQ8_0 || type == DType::kQ4_0;
}

// Writes the `cols` elements of a row as RowBytes(type, cols) bytes at any alignment. Returns -1,
// or the index of the first element that the type can't hold: a NaN, an infinity, or what would
// become an infinity (of a block whose scale is beyond F16: its largest element). REQUIRES:
// CanEncode(type), whole blocks.
int64_t EncodeRow(DType type, const float* x, int64_t cols, std::byte* out);

// The inverse: reads a row of any type at any alignment.
void DecodeRow(DType type, const std::byte* row, int64_t cols, float* out);

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_QUANT_ENCODE_H_
