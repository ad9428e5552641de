// Rotary position embedding (Su et al. 2021): frequencies, their scaling, and the tables of a
// block.
#ifndef KAKEYA_MODEL_ROPE_H_
#define KAKEYA_MODEL_ROPE_H_

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace kakeya {

// How the heads of a model turn.
struct Rotation {
  std::vector<float> frequencies;  // (head_dim / 2), after scaling
  float magnitude = 1;             // cos and sin are multiplied by it
};

// Elements of the heads that the config's `rope`-th rotary embedding turns.
int RotaryHeadDim(const ModelConfig& config, int rope);

// Its frequencies after scaling, and its attention factor.
Rotation RotationOf(const ModelConfig& config, int rope);

// (head_dim / 2) frequencies theta^(-2i / head_dim), after the config's scaling. They depend on
// nothing but the config: kLongRope's list is the one for max_positions.
std::vector<float> RopeFrequencies(const ModelConfig& config, int rope);

// cos and sin (rows, frequencies) of position * frequency for the positions [first, first + rows),
// times the magnitude. The angle is rounded to F32, as the reference implementation does; its sine
// is computed in F64, with the same bits on every machine (base/elementary.h).
void RopeTables(const Rotation& rotation, int64_t first, int64_t rows, float* cos, float* sin);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_ROPE_H_
