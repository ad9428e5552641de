#include "backend/restore/cpu/f_theta_dot.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/targets.h"
#include "backend/restore/cpu/restore_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/restore/cpu/f_theta_dot.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// dots (kPackWidth) = one token's inputs (pairs, 2) times a block of weights (pairs, kPackWidth,
// 2).
#if HWY_TARGET == HWY_SCALAR

HWY_INLINE void BlockDots(const int16_t* x, const int16_t* weights, int pairs, int32_t* dots) {
  for (int o = 0; o < kPackWidth; ++o) dots[o] = 0;
  for (int pair = 0; pair < pairs; ++pair) {
    for (int o = 0; o < kPackWidth; ++o) {
      const int16_t* const w = weights + (pair * kPackWidth + o) * 2;
      dots[o] += int32_t{x[2 * pair]} * w[0] + int32_t{x[2 * pair + 1]} * w[1];
    }
  }
}

#else

HWY_INLINE void BlockDots(const int16_t* x, const int16_t* weights, int pairs, int32_t* dots) {
  const hn::CappedTag<int32_t, kPackWidth> d32;
  const hn::Repartition<int16_t, decltype(d32)> d16;
  constexpr int kLanes32 = static_cast<int>(hn::MaxLanes(d32));
  constexpr int kVecs = kPackWidth / kLanes32;
  hn::Vec<decltype(d32)> sums[kVecs];
  hn::Vec<decltype(d32)> more[kVecs];  // stays zero where a product adds neighbours by itself
  for (int v = 0; v < kVecs; ++v) sums[v] = more[v] = hn::Zero(d32);
  for (int pair = 0; pair < pairs; ++pair) {
    int32_t two;
    std::memcpy(&two, x + 2 * pair, sizeof(two));
    const auto input = hn::BitCast(d16, hn::Set(d32, two));
    for (int v = 0; v < kVecs; ++v) {
      const auto w = hn::LoadU(d16, weights + (pair * kPackWidth + v * kLanes32) * 2);
      sums[v] = hn::ReorderWidenMulAccumulate(d32, input, w, sums[v], more[v]);
    }
  }
  for (int v = 0; v < kVecs; ++v) {
    hn::StoreU(hn::RearrangeToOddPlusEven(sums[v], more[v]), d32, dots + v * kLanes32);
  }
}

#endif

void RestoreAll(const RestoreMap& map, const std::array<RestoreInputs, 2>& inputs, float* k,
                float* v) {
  for (int block = 0; block < map.blocks(); ++block) {
    const float* const bias = map.bias.as<float>() + block * kPackWidth;
    for (int t = 0; t < kChunk; ++t) {
      const RestoreBlock out = OutputBlock(map, block, t, k, v);
      float sums[kPackWidth];
      for (int o = 0; o < kPackWidth; ++o) sums[o] = bias[o];
      for (size_t i = 0; i < inputs.size(); ++i) {
        const RestoreMap::Half& half = map.halves[i];
        if (half.inputs == 0) continue;
        const int pairs = half.pairs();
        int32_t dots[kPackWidth];
        BlockDots(inputs[i].values + t * pairs * 2,
                  half.weights.as<int16_t>() + int64_t{block} * pairs * kPackWidth * 2, pairs,
                  dots);
        const float* const scales = half.scales.as<float>() + block * kPackWidth;
        const float token_scale = inputs[i].scales[t];
        for (int o = 0; o < kPackWidth; ++o) {
          sums[o] += static_cast<float>(dots[o]) * (token_scale * scales[o]);
        }
      }
      for (int o = 0; o < out.count; ++o) out.first[o] = sums[o];
    }
  }
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya::cpu {
namespace {

HWY_EXPORT(RestoreAll);

// x (kChunk, pairs, 2) = each token's code.
void GatherCodes(const CodedChunk& chunk, const RestoreMap::Half& half, int16_t* x) {
  const int dim = half.inputs;
  const int row = half.pairs() * 2;
  for (int t = 0; t < kChunk; ++t) {
    std::copy_n(chunk.codes + t * dim, dim, x + t * row);
    if (dim % 2 != 0) x[t * row + dim] = 0;
  }
}

// x (kChunk, pairs, 2) = each token's own features, and their scales.
void GatherOwnFeatures(const CodedChunk& chunk, const TokenFeatures& tokens,
                       const RestoreMap::Half& half, int16_t* x, float* scales) {
  const int dim = tokens.dim;
  const int row = half.pairs() * 2;
  for (int t = 0; t < kChunk && dim > 0; ++t) {
    const int64_t id = chunk.ids[t];
    std::copy_n(tokens.values + id * dim, dim, x + t * row);
    if (dim % 2 != 0) x[t * row + dim] = 0;
    scales[t] = tokens.scales[id];
  }
}

}  // namespace

void RestoreProductsPortable(const RestoreMap& map, const std::array<RestoreInputs, 2>& inputs,
                             float* k, float* v) {
  HWY_DYNAMIC_DISPATCH(RestoreAll)(map, inputs, k, v);
}

void RestoreKv(const RestoreMap& map, const CodedChunk& chunk, const TokenFeatures& tokens,
               float* k, float* v) {
  alignas(64) int16_t codes[kChunk * kMaxRestoreInputs];
  alignas(64) int16_t features[kChunk * kMaxRestoreInputs];
  alignas(64) float feature_scales[kChunk];
  GatherCodes(chunk, map.halves[0], codes);
  GatherOwnFeatures(chunk, tokens, map.halves[1], features, feature_scales);
  RestoreProducts(map,
                  {{{.values = codes, .scales = chunk.code_scales},
                    {.values = features, .scales = feature_scales}}},
                  k, v);
}

}  // namespace kakeya::cpu
#endif
