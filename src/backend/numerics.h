// Scalar arithmetic that every device must reproduce bit for bit: conversions of the stored types,
// our exp, and the fixed tree that ends an interleaved sum. The vector kernels spell the same steps
// (cpu/vector-inl.h).
#ifndef KAKEYA_BACKEND_NUMERICS_H_
#define KAKEYA_BACKEND_NUMERICS_H_

#include <bit>
#include <cassert>
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

// Element `index` of an array of `type`. REQUIRES: not a block type.
inline float Load(DType type, const void* data, int64_t index) {
  switch (type) {
    case DType::kF32:
      return static_cast<const float*>(data)[index];
    case DType::kF16:
      return FromF16(static_cast<const uint16_t*>(data)[index]);
    case DType::kBF16:
      return FromBF16(static_cast<const uint16_t*>(data)[index]);
    default:
      assert(false);
      return 0;
  }
}

// REQUIRES: not a block type.
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
    default:
      assert(false);
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

// Activations as a product with a block format takes them: x = scale * q, q in [-127, 127]. A block
// whose magnitudes all lie below kQuantTiny is zero (the division would overflow); one that holds a
// NaN or an infinity has the scale NaN, so that every product with it is a NaN, too.
inline constexpr float kQuantTiny = 0x1p-100f;

// Quantises n elements and gives their scale; values halfway go to the even one.
inline float QuantizeBlock(const float* x, int n, int8_t* q) {
  uint32_t largest = 0;  // bits of a magnitude: they are ordered as the numbers are
  for (int i = 0; i < n; ++i) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu;
    if (magnitude > largest) largest = magnitude;
  }
  const float most = std::bit_cast<float>(largest);
  const bool usable = largest < 0x7f800000u && most >= kQuantTiny;
  const float inverse = usable ? 127.0f / most : 0.0f;
  for (int i = 0; i < n; ++i) {
    const float rounded = usable ? x[i] * inverse + kRoundMagic : kRoundMagic;
    q[i] = static_cast<int8_t>(rounded - kRoundMagic);
  }
  if (largest >= 0x7f800000u) return std::bit_cast<float>(0x7fc00000u);
  return usable ? most / 127.0f : 0.0f;
}

// Scale and bias of a group of elements in an affine type (backend/kv_page.h), and what makes codes
// of them.
struct AffineGroup {
  uint16_t scale;  // F16
  uint16_t bias;   // F16
  float offset;    // the bias in F32; 0 in a group that reads as NaN
  float inverse;   // 1 / scale; 0 where every code is 0
};

// From a group's extremes; `finite`: it holds no NaN and no infinity.
inline AffineGroup AffineOf(float min, float max, bool finite, int levels) {
  constexpr uint16_t kInfinity = 0x7c00;
  constexpr AffineGroup kNaN = {.scale = 0, .bias = 0x7e00, .offset = 0, .inverse = 0};
  if (!finite) return kNaN;
  AffineGroup out;
  out.bias = ToF16(min + 0.0f);  // of two zeros, +0: which one is smaller nobody says
  out.scale = ToF16((max - min) / static_cast<float>(levels));
  if ((out.bias & 0x7fff) >= kInfinity || out.scale >= kInfinity) return kNaN;
  out.offset = FromF16(out.bias);
  out.inverse = out.scale == 0 ? 0.0f : 1.0f / FromF16(out.scale);
  return out;
}

// The code of one element. REQUIRES: x is finite, or group.inverse is 0.
inline uint8_t AffineCode(float x, const AffineGroup& group, int levels) {
  if (group.inverse == 0) return 0;
  const float top = static_cast<float>(levels);
  float code = (x - group.offset) * group.inverse;
  code = code < 0 ? 0 : code > top ? top : code;
  return static_cast<uint8_t>((code + kRoundMagic) - kRoundMagic);
}

// Quantises n elements of one position and group.
inline AffineGroup QuantizeAffine(const float* x, int n, int levels, uint8_t* codes) {
  float min = x[0];
  float max = x[0];
  bool finite = true;
  for (int i = 0; i < n; ++i) {
    finite = finite && std::isfinite(x[i]);
    if (x[i] < min) min = x[i];
    if (x[i] > max) max = x[i];
  }
  const AffineGroup group = AffineOf(min, max, finite, levels);
  for (int i = 0; i < n; ++i) codes[i] = AffineCode(x[i], group, levels);
  return group;
}

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
