// f_theta's products: int16 inputs times int16 weights, with a scale per token and one per output
// for each half of the inputs (the code; the token's own features). Sums of products are whole
// numbers that every path computes exactly, and floats are combined in one expression: all paths
// give the same bits.
#ifndef KAKEYA_BACKEND_RESTORE_CPU_F_THETA_DOT_H_
#define KAKEYA_BACKEND_RESTORE_CPU_F_THETA_DOT_H_

#include <array>
#include <cstdint>

#include "backend/kv_page.h"
#include "backend/restore/restore_map.h"

namespace kakeya::cpu {

// A chunk's inputs of one half.
struct RestoreInputs {
  const int16_t* values = nullptr;  // (kChunk, pairs, 2): zeros where there is no input
  const float* scales = nullptr;    // (kChunk)
};

// Keys k and values v (kChunk, head_dim). Every output is
//   (bias + code dot * (code's scale * weights' scale)) + the same of the features.
// The first takes AVX-512 VNNI where the machine has it.
void RestoreProducts(const RestoreMap& map, const std::array<RestoreInputs, 2>& inputs, float* k,
                     float* v);
void RestoreProductsPortable(const RestoreMap& map, const std::array<RestoreInputs, 2>& inputs,
                             float* k, float* v);

// Where a block of outputs begins in a token's keys or values, and how many of them there are.
struct RestoreBlock {
  float* first = nullptr;
  int count = 0;
};
inline RestoreBlock OutputBlock(const RestoreMap& map, int block, int token, float* k, float* v) {
  const int keys = map.key_blocks();
  const int at = block % keys * kPackWidth;
  float* const row = (block < keys ? k : v) + token * map.head_dim;
  return {row + at, map.head_dim - at < kPackWidth ? map.head_dim - at : kPackWidth};
}

}  // namespace kakeya::cpu

#endif  // KAKEYA_BACKEND_RESTORE_CPU_F_THETA_DOT_H_
