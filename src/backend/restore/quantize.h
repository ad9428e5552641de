// Whole numbers with one scale: int8, as codes and selector outputs are kept, int4, as summaries
// are, and int16, as f_theta multiplies.
#ifndef KAKEYA_BACKEND_RESTORE_QUANTIZE_H_
#define KAKEYA_BACKEND_RESTORE_QUANTIZE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "backend/numerics.h"

namespace kakeya {

// q (n) = x / scale, rounded to nearest even, in [-limit, limit]; gives the scale max|x| / limit.
// Numbers that are none give a NaN as scale and zeros; zeros give the scale 0. REQUIRES: limit is
// an Int.
template <typename Int>
float QuantizeTo(int limit, const float* x, int n, Int* q) {
  float most = 0;
  bool finite = true;
  for (int i = 0; i < n; ++i) {
    const float magnitude = std::fabs(x[i]);
    finite &= magnitude <= std::numeric_limits<float>::max();
    most = std::max(most, magnitude);
  }
  const auto bound = static_cast<float>(limit);
  const float scale = most / bound;
  if (!finite || scale == 0) {
    std::fill_n(q, n, Int{0});
    return finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  }
  for (int i = 0; i < n; ++i) {
    // The clamp is for subnormal scales, whose quotients are coarse.
    const float quotient = std::clamp(x[i] / scale, -bound, bound);
    q[i] = static_cast<Int>((quotient + numerics::kRoundMagic) - numerics::kRoundMagic);
  }
  return scale;
}

inline constexpr int kInt8Limit = 127;
inline constexpr int kInt4Limit = 7;

inline float QuantizeInt8(const float* x, int n, int8_t* q) {
  return QuantizeTo(kInt8Limit, x, n, q);
}
inline float QuantizeInt4(const float* x, int n, int8_t* q) {
  return QuantizeTo(kInt4Limit, x, n, q);
}

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_RESTORE_QUANTIZE_H_
