// int8 with one scale, as codes, summaries and selector outputs are kept.
#ifndef KAKEYA_PROPOSER_QUANTIZE_H_
#define KAKEYA_PROPOSER_QUANTIZE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "backend/numerics.h"

namespace kakeya {

// q (n) = x / scale, rounded to nearest even, in [-127, 127]; gives the scale max|x| / 127. Numbers
// that are none give a NaN as scale and zeros; zeros give the scale 0.
inline float QuantizeInt8(const float* x, int n, int8_t* q) {
  float most = 0;
  bool finite = true;
  for (int i = 0; i < n; ++i) {
    const float magnitude = std::fabs(x[i]);
    finite &= magnitude <= std::numeric_limits<float>::max();
    most = std::max(most, magnitude);
  }
  const float scale = most / 127.0f;
  if (!finite || scale == 0) {
    std::fill_n(q, n, int8_t{0});
    return finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  for (int i = 0; i < n; ++i) {
    // The clamp is for subnormal scales, whose quotients are coarse.
    const float quotient = std::clamp(x[i] / scale, -127.0f, 127.0f);
    q[i] = static_cast<int8_t>((quotient + numerics::kRoundMagic) - numerics::kRoundMagic);
  }
  return scale;
}

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_QUANTIZE_H_
