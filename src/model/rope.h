// Rotary position embedding (Su et al. 2021): frequencies, their scaling, and the tables of a
// block.
#ifndef KAKEYA_MODEL_ROPE_H_
#define KAKEYA_MODEL_ROPE_H_

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace kakeya {

// (head_dim / 2) frequencies theta^(-2i / head_dim), after the config's scaling (linear,
// Llama 3.1's by wavelength, or a factor each).
std::vector<float> RopeFrequencies(const ModelConfig& config);

// cos and sin (rows, frequencies.size()) of position * frequency for the positions [first, first +
// rows). The angle is rounded to F32, as the reference implementation does; its sine is computed in
// F64, with the same bits on every machine (base/elementary.h).
void RopeTables(const std::vector<float>& frequencies, int64_t first, int64_t rows, float* cos,
                float* sin);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_ROPE_H_
