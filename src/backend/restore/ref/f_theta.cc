#include <algorithm>

#include "backend/restore/ref/restore_ref.h"

namespace kakeya::ref {
namespace {

// One half's part of one output: its exact dot product, scaled.
float HalfOf(const RestoreMap::Half& half, int padded, const int16_t* inputs, float token_scale) {
  int32_t dot = 0;
  for (int in = 0; in < half.inputs; ++in) {
    dot += inputs[in] * half.weights.as<int16_t>()[half.WeightIndex(padded, in)];
  }
  return static_cast<float>(dot) * (token_scale * half.scales.as<float>()[padded]);
}

}  // namespace

void RestoreKv(const RestoreMap& map, const CodedChunk& chunk, const TokenFeatures& tokens,
               float* k, float* v) {
  for (int64_t t = 0; t < kChunk; ++t) {
    const int64_t id = chunk.ids[t];
    int16_t codes[kMaxRestoreInputs];
    std::copy_n(chunk.codes + t * map.halves[0].inputs, map.halves[0].inputs, codes);
    for (int output = 0; output < 2 * map.head_dim; ++output) {
      const int padded = map.Padded(output);
      float sum = map.bias.as<float>()[padded];
      if (map.halves[0].inputs != 0) {
        sum += HalfOf(map.halves[0], padded, codes, chunk.code_scales[t]);
      }
      if (tokens.dim != 0) {
        sum += HalfOf(map.halves[1], padded, tokens.values + id * tokens.dim, tokens.scales[id]);
      }
      float* const out = output < map.head_dim ? k : v;
      out[t * map.head_dim + output % map.head_dim] = sum;
    }
  }
}

}  // namespace kakeya::ref
