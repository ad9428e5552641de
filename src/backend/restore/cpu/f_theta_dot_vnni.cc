// f_theta's products by AVX-512 VNNI, which multiplies 32 pairs of int16 and adds them by twos to
// int32 in one instruction: twice what a fused multiply-add of floats does.
#include <cstring>

#include "backend/cpu/vnni.h"
#include "backend/cpu/vnni_target.h"
#include "backend/restore/cpu/f_theta_dot.h"

namespace kakeya::cpu {
namespace {

#if defined(KAKEYA_HAS_VNNI)

constexpr int kTokens = 4;  // that share a load of weights
constexpr int kBlocks = 4;  // of outputs that share an input

// One half's part of some tokens and blocks of outputs, added to `sums`.
template <int kCount>
KAKEYA_VNNI inline void AddHalf(const RestoreMap::Half& half, const RestoreInputs& inputs,
                                int token, int block, __m512 (&sums)[kTokens][kCount]) {
  const int pairs = half.pairs();
  const int16_t* const x = inputs.values + token * pairs * 2;
  const int16_t* const weights = half.weights.as<int16_t>() + int64_t{block} * pairs * 32;
  __m512i dots[kTokens][kCount];
  KAKEYA_VNNI_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    KAKEYA_VNNI_UNROLL
    for (int b = 0; b < kCount; ++b) dots[t][b] = _mm512_setzero_si512();
  }
  for (int pair = 0; pair < pairs; ++pair) {
    __m512i w[kCount];
    KAKEYA_VNNI_UNROLL
    for (int b = 0; b < kCount; ++b) w[b] = _mm512_loadu_si512(weights + (b * pairs + pair) * 32);
    KAKEYA_VNNI_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      int32_t two;
      std::memcpy(&two, x + (t * pairs + pair) * 2, sizeof(two));
      const __m512i input = _mm512_set1_epi32(two);
      KAKEYA_VNNI_UNROLL
      for (int b = 0; b < kCount; ++b) dots[t][b] = _mm512_dpwssd_epi32(dots[t][b], input, w[b]);
    }
  }
  KAKEYA_VNNI_UNROLL
  for (int b = 0; b < kCount; ++b) {
    const __m512 scales = _mm512_loadu_ps(half.scales.as<float>() + (block + b) * kPackWidth);
    KAKEYA_VNNI_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(inputs.scales[token + t]), scales);
      sums[t][b] = _mm512_add_ps(sums[t][b], _mm512_mul_ps(_mm512_cvtepi32_ps(dots[t][b]), scale));
    }
  }
}

// kCount blocks of outputs for all tokens of a chunk.
template <int kCount>
KAKEYA_VNNI void RestoreBlocks(const RestoreMap& map, const std::array<RestoreInputs, 2>& inputs,
                               int block, float* k, float* v) {
  static_assert(kPackWidth == 16 && kChunk % kTokens == 0);
  for (int token = 0; token < kChunk; token += kTokens) {
    __m512 sums[kTokens][kCount];
    KAKEYA_VNNI_UNROLL
    for (int b = 0; b < kCount; ++b) {
      const __m512 bias = _mm512_loadu_ps(map.bias.as<float>() + (block + b) * kPackWidth);
      KAKEYA_VNNI_UNROLL
      for (int t = 0; t < kTokens; ++t) sums[t][b] = bias;
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (map.halves[i].inputs != 0) AddHalf(map.halves[i], inputs[i], token, block, sums);
    }
    KAKEYA_VNNI_UNROLL
    for (int b = 0; b < kCount; ++b) {
      KAKEYA_VNNI_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        const RestoreBlock out = OutputBlock(map, block + b, token + t, k, v);
        const auto part = static_cast<__mmask16>((1u << out.count) - 1);
        _mm512_mask_storeu_ps(out.first, part, sums[t][b]);
      }
    }
  }
}

void RestoreProductsVnni(const RestoreMap& map, const std::array<RestoreInputs, 2>& inputs,
                         float* k, float* v) {
  int block = 0;
  for (; block + kBlocks <= map.blocks(); block += kBlocks) {
    RestoreBlocks<kBlocks>(map, inputs, block, k, v);
  }
  for (; block < map.blocks(); ++block) RestoreBlocks<1>(map, inputs, block, k, v);
}

#endif

}  // namespace

void RestoreProducts(const RestoreMap& map, const std::array<RestoreInputs, 2>& inputs, float* k,
                     float* v) {
#if defined(KAKEYA_HAS_VNNI)
  if (UseVnni()) return RestoreProductsVnni(map, inputs, k, v);
#endif
  RestoreProductsPortable(map, inputs, k, v);
}

}  // namespace kakeya::cpu
