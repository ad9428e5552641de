// Scalar arithmetic that every device must reproduce bit for bit: conversions of the stored types,
// our exp, and the fixed tree that ends an interleaved sum. The vector kernels spell the same steps
// (cpu/vector-inl.h).
#ifndef KAKEYA_BACKEND_NUMERICS_H_
#define KAKEYA_BACKEND_NUMERICS_H_

#include <bit>
#include <cmath>
#include <cstdint>

#include "backend/ops.h"

namespace kakeya::numerics {

inline float FromBF16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// Round to nearest even; a NaN stays a NaN (made quiet).
inline uint16_t ToBF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Exact, subnormals included: 0x1p112 moves the exponent bias from 15 to 127.
inline float FromF16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  uint32_t out = std::bit_cast<uint32_t>(value);
  if (magnitude >= 0x7c00u) out |= 0x7f800000u;  // infinity, NaN
  return std::bit_cast<float>(out | sign);
}

// Round to nearest even, to infinity from 65520 on; a NaN stays a NaN (made quiet).
inline uint16_t ToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t out;
  if (magnitude > 0x7f800000u) {
    out = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {
    out = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // normal
    out = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  } else {  // subnormal: 0.5f has the ulp of F16's smallest step, so the addition rounds
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    out = std::bit_cast<uint32_t>(sum) - std::bit_cast<uint32_t>(0.5f);
  }
  return static_cast<uint16_t>(out | sign);
}

// Element `index` of an array of `type`.
inline float Load(DType type, const void* data, int64_t index) {
  switch (type) {
    case DType::kF32:
      return static_cast<const float*>(data)[index];
    case DType::kF16:
      return FromF16(static_cast<const uint16_t*>(data)[index]);
    case DType::kBF16:
      return FromBF16(static_cast<const uint16_t*>(data)[index]);
  }
  return 0;
}

inline void Store(DType type, void* data, int64_t index, float value) {
  switch (type) {
    case DType::kF32:
      static_cast<float*>(data)[index] = value;
      return;
    case DType::kF16:
      static_cast<uint16_t*>(data)[index] = ToF16(value);
      return;
    case DType::kBF16:
      static_cast<uint16_t*>(data)[index] = ToBF16(value);
      return;
  }
}

// exp(x) = 2^n * exp(r) with n = round(x / ln 2), |r| <= ln(2) / 2; the polynomial for exp(r) is
// that of Cephes' expf. Within 2 ulp; 0 below kExpLow (no subnormal results: they are slow, and no
// softmax notices), infinity above kExpHigh.
inline constexpr float kExpLow = -87.0f;
inline constexpr float kExpHigh = 88.0f;
inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2High = 0.693145752f;    // 0x1.62e4p-1: n * kLn2High is exact
inline constexpr float kLn2Low = 1.42860682e-6f;   // ln 2 - kLn2High
inline constexpr float kRoundMagic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
inline constexpr float kExpPolynomial[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                           4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};

inline float Exp(float x) {
  if (x < kExpLow) return 0;
  if (x > kExpHigh) return INFINITY;
  if (x != x) return x;
  const float shifted = std::fma(x, kLog2E, kRoundMagic);
  const float n = shifted - kRoundMagic;
  const float r = std::fma(n, -kLn2Low, std::fma(n, -kLn2High, x));
  float p = kExpPolynomial[0];
  for (int i = 1; i < 6; ++i) p = std::fma(p, r, kExpPolynomial[i]);
  p = std::fma(p, r * r, r) + 1.0f;
  const uint32_t exponent =
      std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRoundMagic) + 127u;
  return p * std::bit_cast<float>(exponent << 23);
}

// x * sigmoid(x).
inline float Silu(float x) { return x / (1.0f + Exp(-x)); }

// The sum of kLanes partial sums: halves are added until one is left.
inline float TreeSum(const float* lanes) {
  float sum[kLanes / 2];
  for (int i = 0; i < kLanes / 2; ++i) sum[i] = lanes[i] + lanes[i + kLanes / 2];
  for (int width = kLanes / 4; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) sum[i] += sum[i + width];
  }
  return sum[0];
}

}  // namespace kakeya::numerics

#endif  // KAKEYA_BACKEND_NUMERICS_H_
