// f_theta's weights in one layer and KV head, packed for the kernels in int16.
//
// Thread safety: immutable once filled in.
#ifndef KAKEYA_BACKEND_RESTORE_RESTORE_MAP_H_
#define KAKEYA_BACKEND_RESTORE_RESTORE_MAP_H_

#include <array>
#include <cstdint>
#include <span>

#include "backend/packed_matrix.h"
#include "base/memory_budget.h"

namespace kakeya {

// Most inputs that f_theta takes per token.
inline constexpr int kMaxRestoreInputs = 512;

// Outputs come in blocks of kPackWidth: first those of k before the verifier's k_norm, then those
// of v, each filled up to whole blocks.
struct RestoreMap {
  // The part that takes one kind of input: the code, or the token's own features.
  struct Half {
    int inputs = 0;
    Buffer weights;  // (blocks, pairs, kPackWidth, 2): int16, zeros where there is no input
    Buffer scales;   // (blocks, kPackWidth)

    int pairs() const { return (inputs + 1) / 2; }
    // Where the weight of one input and output lies. `padded`: RestoreMap::Padded.
    int64_t WeightIndex(int padded, int input) const {
      return ((int64_t{padded} / kPackWidth * pairs() + input / 2) * kPackWidth +
              padded % kPackWidth) *
                 2 +
             input % 2;
    }
  };
  int head_dim = 0;
  std::array<Half, 2> halves;  // code, token
  Buffer bias;                 // (blocks, kPackWidth)

  int key_blocks() const { return (head_dim + kPackWidth - 1) / kPackWidth; }
  int blocks() const { return 2 * key_blocks(); }
  // Where an output stands among the blocks: of [0, 2 * head_dim), first the keys', then the
  // values'.
  int Padded(int output) const {
    return output / head_dim * key_blocks() * kPackWidth + output % head_dim;
  }
};

// Weights of the code's half lie in [-kCodeWeightLimit, kCodeWeightLimit]: sums of their products
// with codes fit into 32 bits.
inline constexpr int kCodeWeightLimit = 32767;
static_assert(int64_t{127} * kCodeWeightLimit * kMaxRestoreInputs <= INT32_MAX);

// In the token's half weights and features have the same limit, the largest for which that holds.
int TokenLimit(int token_dim);

// Quantises one output's weights of one half, values in [-limit, limit], and puts them and their
// scale where they belong. REQUIRES: the half's buffers have their size; weights.size() is
// half->inputs.
void PackRestoreWeights(const RestoreMap& map, int output, int limit,
                        std::span<const float> weights, RestoreMap::Half* half);

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_RESTORE_RESTORE_MAP_H_
