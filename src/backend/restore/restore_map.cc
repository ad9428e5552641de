#include "backend/restore/restore_map.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "backend/restore/quantize.h"

namespace kakeya {

int TokenLimit(int token_dim) {
  const double most = std::sqrt(static_cast<double>(INT32_MAX) / std::max(1, token_dim));
  return static_cast<int>(std::min(32767.0, most));
}

void PackRestoreWeights(const RestoreMap& map, int output, int limit,
                        std::span<const float> weights, RestoreMap::Half* half) {
  assert(static_cast<int>(weights.size()) == half->inputs && half->inputs <= kMaxRestoreInputs);
  std::array<int16_t, kMaxRestoreInputs> q;
  const int padded = map.Padded(output);
  half->scales.as<float>()[padded] = QuantizeTo(limit, weights.data(), half->inputs, q.data());
  int16_t* const packed = half->weights.as<int16_t>();
  for (int in = 0; in < half->inputs; ++in) packed[half->WeightIndex(padded, in)] = q[in];
}

}  // namespace kakeya
