#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "backend/ops_test_util.h"
#include "backend/restore/cpu/f_theta_dot.h"
#include "backend/restore/cpu/restore_cpu.h"
#include "backend/restore/restore_ops.h"

namespace kakeya {
namespace {

constexpr int kVocabulary = 50;

// A random map of one shape.
RestoreMap MakeMap(int code_dim, int token_dim, int head_dim, MemoryBudget* budget) {
  std::mt19937 random(3);
  RestoreMap map;
  map.head_dim = head_dim;
  const size_t padded = static_cast<size_t>(map.blocks()) * kPackWidth;
  const auto allocate = [&](size_t bytes) {
    Buffer out = budget->Allocate(MemoryTag::kWeights, bytes, "test").value();
    std::memset(out.data(), 0, bytes);
    return out;
  };
  map.bias = allocate(padded * sizeof(float));
  const int inputs[] = {code_dim, token_dim};
  const int limits[] = {kCodeWeightLimit, TokenLimit(token_dim)};
  for (size_t i = 0; i < 2; ++i) {
    RestoreMap::Half& half = map.halves[i];
    half.inputs = inputs[i];
    if (half.inputs == 0) continue;
    half.weights = allocate(padded * half.pairs() * 2 * sizeof(int16_t));
    half.scales = allocate(padded * sizeof(float));
    for (int output = 0; output < 2 * head_dim; ++output) {
      const std::vector<float> weights = test::RandomFloats(half.inputs, &random);
      PackRestoreWeights(map, output, limits[i], weights, &half);
    }
  }
  for (int output = 0; output < 2 * head_dim; ++output) {
    map.bias.as<float>()[map.Padded(output)] = test::RandomFloats(1, &random)[0];
  }
  return map;
}

// Codes of a chunk and features of a vocabulary, the extremes among them.
struct Inputs {
  Inputs(const RestoreMap& map, uint32_t seed) {
    std::mt19937 random(seed);
    const auto value = [&](int limit) {
      const int any = static_cast<int>(random() % (2 * limit + 1)) - limit;
      return random() % 9 == 0 ? -limit : any;
    };
    const auto scale = [&] { return static_cast<float>(random() % 1000 + 1) / 7919.0f; };
    token_dim = map.halves[1].inputs;
    for (int t = 0; t < kChunk; ++t) {
      ids.push_back(static_cast<int32_t>(random() % kVocabulary));
      code_scales.push_back(scale());
    }
    for (int i = 0; i < kChunk * map.halves[0].inputs; ++i) {
      codes.push_back(static_cast<int8_t>(value(127)));
    }
    for (int i = 0; i < kVocabulary * token_dim; ++i) {
      features.push_back(static_cast<int16_t>(value(TokenLimit(token_dim))));
    }
    for (int id = 0; id < kVocabulary; ++id) feature_scales.push_back(scale());
  }
  CodedChunk chunk() const { return {ids.data(), codes.data(), code_scales.data()}; }
  TokenFeatures tokens() const { return {features.data(), feature_scales.data(), token_dim}; }

  int token_dim = 0;
  std::vector<int32_t> ids;
  std::vector<int8_t> codes;
  std::vector<float> code_scales;
  std::vector<int16_t> features;
  std::vector<float> feature_scales;
};

// k, then v.
std::vector<float> Restored(const OpContext& context, const RestoreMap& map, const Inputs& inputs) {
  const size_t n = static_cast<size_t>(kChunk) * map.head_dim;
  std::vector<float> out(2 * n);
  RestoreKv(context, map, inputs.chunk(), inputs.tokens(), out.data(), out.data() + n);
  return out;
}

// The same by the kernels that every machine has, also where VNNI is there.
std::vector<float> RestoredPortably(const RestoreMap& map, const Inputs& inputs) {
  std::vector<int16_t> values[2];
  std::vector<float> scales[2];
  for (size_t i = 0; i < 2; ++i) {
    const int dim = map.halves[i].inputs;
    const int row = map.halves[i].pairs() * 2;
    values[i].resize(static_cast<size_t>(kChunk) * row);
    for (int t = 0; t < kChunk; ++t) {
      const int32_t id = inputs.ids[t];
      for (int in = 0; in < dim; ++in) {
        values[i][t * row + in] =
            i == 0 ? inputs.codes[t * dim + in] : inputs.features[id * dim + in];
      }
      scales[i].push_back(i == 0 ? inputs.code_scales[t] : inputs.feature_scales[id]);
    }
  }
  const size_t n = static_cast<size_t>(kChunk) * map.head_dim;
  std::vector<float> out(2 * n);
  cpu::RestoreProductsPortable(
      map, {{{values[0].data(), scales[0].data()}, {values[1].data(), scales[1].data()}}},
      out.data(), out.data() + n);
  return out;
}

// Calls body with a map for each of several shapes: with and without whole pairs and blocks.
template <typename Body>
void ForEachShape(const Body& body) {
  for (const auto& [code, token] : {std::pair{20, 12}, {64, 64}, {7, 0}, {33, 1}, {512, 0}}) {
    for (const int head_dim : {16, 24, 64}) {
      MemoryBudget budget;
      body(MakeMap(code, token, head_dim, &budget));
    }
  }
}

TEST(RestoreKvTest, EveryDeviceAndInstructionSetGivesTheBitsOfTheReference) {
  ForEachShape([](const RestoreMap& map) {
    const Inputs inputs(map, 4);
    const std::vector<float> want = Restored({.device = Device::kRef}, map, inputs);
    test::ForEachTarget([&](const char* target) {
      for (const std::vector<float>& got :
           {Restored({}, map, inputs), RestoredPortably(map, inputs)}) {
        ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0)
            << target << ", inputs " << map.halves[0].inputs << " and " << map.halves[1].inputs
            << ", head " << map.head_dim;
      }
    });
  });
}

// Not by the engine's layout alone: weights and inputs by name.
TEST(RestoreKvTest, IsAffineInCodesAndFeatures) {
  MemoryBudget budget;
  const RestoreMap map = MakeMap(20, 12, 24, &budget);
  Inputs inputs(map, 7);
  const auto weight = [&](const RestoreMap::Half& half, int output, int in) {
    const int padded = output / 24 * 32 + output % 24;  // two blocks of 16 for keys, two for values
    const int64_t at = ((padded / 16 * half.pairs() + in / 2) * 16 + padded % 16) * 2 + in % 2;
    return double{half.scales.as<float>()[padded]} * half.weights.as<int16_t>()[at];
  };
  for (const Device device : {Device::kRef, Device::kCpu}) {
    const std::vector<float> got = Restored({.device = device}, map, inputs);
    for (const int t : {0, 1, 63}) {
      const int32_t id = inputs.ids[t];
      for (const int output : {0, 15, 16, 23, 24, 47}) {
        double want = map.bias.as<float>()[output / 24 * 32 + output % 24];
        for (int in = 0; in < 20; ++in) {
          want +=
              weight(map.halves[0], output, in) * inputs.codes[t * 20 + in] * inputs.code_scales[t];
        }
        for (int in = 0; in < 12; ++in) {
          want += weight(map.halves[1], output, in) * inputs.features[id * 12 + in] *
                  inputs.feature_scales[id];
        }
        const float* const kv = got.data() + output / 24 * kChunk * 24;
        EXPECT_NEAR(kv[t * 24 + output % 24], want, 1e-5 * (1 + std::abs(want)));
      }
    }
  }
}

// The largest weights times the largest inputs, all of one sign: nothing wraps.
TEST(RestoreKvTest, TheLargestSumsFit) {
  ForEachShape([](const RestoreMap& map) {
    Inputs inputs(map, 5);
    const int limits[2] = {127, TokenLimit(map.halves[1].inputs)};
    const int weights[2] = {kCodeWeightLimit, limits[1]};
    double want = map.bias.as<float>()[0];
    const int32_t id = inputs.ids[0];
    for (size_t i = 0; i < 2; ++i) {
      const RestoreMap::Half& half = map.halves[i];
      for (int in = 0; in < half.inputs; ++in) {
        if (i == 0) inputs.codes[in] = static_cast<int8_t>(-limits[0]);
        if (i == 1) inputs.features[id * half.inputs + in] = static_cast<int16_t>(-limits[1]);
        half.weights.as<int16_t>()[half.WeightIndex(0, in)] = static_cast<int16_t>(weights[i]);
      }
      if (half.inputs == 0) continue;
      const float scale = i == 0 ? inputs.code_scales[0] : inputs.feature_scales[id];
      want -= double{1} * half.inputs * limits[i] * weights[i] * scale * half.scales.as<float>()[0];
    }
    for (const Device device : {Device::kRef, Device::kCpu}) {
      EXPECT_NEAR(Restored({.device = device}, map, inputs)[0], want, 1e-5 * std::abs(want));
    }
    EXPECT_LT(want, 0);
  });
}

// Scales may overflow where codes are absurd: that gives infinities, or NaN where the dot product
// is zero, never a number that looks like one.
TEST(RestoreKvTest, ScalesThatOverflowShow) {
  ForEachShape([](const RestoreMap& map) {
    Inputs inputs(map, 6);
    inputs.code_scales.assign(kChunk, 3e38f);
    std::fill_n(map.halves[0].scales.as<float>(), map.blocks() * kPackWidth, 3e38f);
    std::fill_n(inputs.codes.begin(), map.halves[0].inputs, int8_t{0});
    for (const std::vector<float>& kv :
         {Restored({.device = Device::kRef}, map, inputs), Restored({}, map, inputs),
          RestoredPortably(map, inputs)}) {
      EXPECT_TRUE(std::isnan(kv[0]));
      EXPECT_FALSE(std::isfinite(kv[kv.size() - 1]));
    }
  });
}

TEST(RestoreMapTest, TokenLimitsAreTheLargestThatCannotOverflow) {
  EXPECT_EQ(TokenLimit(0), 32767);
  EXPECT_EQ(TokenLimit(1), 32767);
  for (const int dim : {2, 3, 64, 100, 511, 512}) {
    const int64_t limit = TokenLimit(dim);
    EXPECT_LE(limit * limit * dim, INT32_MAX) << dim;
    EXPECT_GT((limit + 1) * (limit + 1) * dim, INT32_MAX) << dim;
  }
}

}  // namespace
}  // namespace kakeya
