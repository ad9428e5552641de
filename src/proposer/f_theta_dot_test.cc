#include "proposer/f_theta_dot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "proposer/proposer_test_util.h"

namespace kakeya {
namespace {

using test::TinyModels;

// Codes, features and scales of a chunk, the extremes among them.
struct Inputs {
  Inputs(const RestoreMap& map, uint32_t seed) {
    std::mt19937 random(seed);
    const int limits[2] = {127, TokenLimit(map.halves[1].inputs)};
    for (size_t i = 0; i < 2; ++i) {
      const RestoreMap::Half& half = map.halves[i];
      values[i].resize(size_t{kChunk} * half.pairs() * 2);
      scales[i].resize(kChunk);
      for (int t = 0; t < kChunk; ++t) {
        scales[i][t] = static_cast<float>(random() % 1000 + 1) / 7919.0f;
        for (int in = 0; in < half.inputs; ++in) {
          const int value = static_cast<int>(random() % (2 * limits[i] + 1)) - limits[i];
          values[i][t * half.pairs() * 2 + in] =
              static_cast<int16_t>(random() % 9 == 0 ? -limits[i] : value);
        }
      }
    }
  }
  std::array<RestoreInputs, 2> view() const {
    return {{{values[0].data(), scales[0].data()}, {values[1].data(), scales[1].data()}}};
  }

  std::vector<int16_t> values[2];
  std::vector<float> scales[2];
};

int16_t* WeightAt(const RestoreMap& map, const RestoreMap::Half& half, int output, int in) {
  const int padded = output / map.head_dim * map.key_blocks() * kPackWidth + output % map.head_dim;
  return half.weights.as<int16_t>() +
         ((padded / kPackWidth * half.pairs() + in / 2) * kPackWidth + padded % kPackWidth) * 2 +
         in % 2;
}
size_t Padded(const RestoreMap& map, int output) {
  return static_cast<size_t>(output / map.head_dim * map.key_blocks() * kPackWidth +
                             output % map.head_dim);
}

// One output as the header's formula reads.
float Expected(const RestoreMap& map, const Inputs& inputs, int token, int output) {
  float sum = map.bias.as<float>()[Padded(map, output)];
  for (size_t i = 0; i < 2; ++i) {
    const RestoreMap::Half& half = map.halves[i];
    if (half.inputs == 0) continue;
    int64_t dot = 0;
    for (int in = 0; in < half.inputs; ++in) {
      dot += int64_t{inputs.values[i][token * half.pairs() * 2 + in]} *
             *WeightAt(map, half, output, in);
    }
    EXPECT_EQ(dot, static_cast<int32_t>(dot));
    const float scale = inputs.scales[i][token] * half.scales.as<float>()[Padded(map, output)];
    sum += static_cast<float>(dot) * scale;
  }
  return sum;
}

// Calls body with a map for each of several shapes: with and without whole pairs and blocks.
template <typename Body>
void ForEachShape(const Body& body) {
  for (const auto& [code, token] : {std::pair{20, 12}, {64, 64}, {7, 0}, {33, 1}, {512, 0}}) {
    for (const int head_dim : {16, 24, 64}) {
      ModelConfig shape = TinyModels::Shape();
      for (LayerConfig& layer : shape.layers) layer.head_dim = head_dim;
      MemoryBudget budget;
      const Model verifier = test::MakeVerifier(shape, &budget);
      RestorerConfig config = test::TinyRestorerConfig(shape);
      config.code_dim = code;
      config.token_dim = token;
      const RestorerModel model = RestorerModel::Random(config, verifier, 3, &budget).value();
      body(model.restore_at(1, 1));
    }
  }
}

TEST(RestoreProductsTest, EveryPathOfEveryInstructionSetIsTheFormula) {
  ForEachShape([](const RestoreMap& map) {
    const Inputs inputs(map, 4);
    const size_t n = static_cast<size_t>(kChunk) * map.head_dim;
    std::vector<float> want;  // k, then v
    for (int half = 0; half < 2; ++half) {
      for (int t = 0; t < kChunk; ++t) {
        for (int o = 0; o < map.head_dim; ++o) {
          want.push_back(Expected(map, inputs, t, half * map.head_dim + o));
        }
      }
    }
    test::ForEachTarget([&](const char* target) {
      for (const auto products : {RestoreProducts, RestoreProductsPortable}) {
        std::vector<float> got(2 * n);
        products(map, inputs.view(), got.data(), got.data() + n);
        ASSERT_EQ(std::memcmp(got.data(), want.data(), 2 * n * sizeof(float)), 0)
            << target << ", inputs " << map.halves[0].inputs << " and " << map.halves[1].inputs
            << ", head " << map.head_dim;
      }
    });
  });
}

// The largest weights times the largest inputs, all of one sign: nothing wraps.
TEST(RestoreProductsTest, TheLargestSumsFit) {
  ForEachShape([](const RestoreMap& map) {
    Inputs inputs(map, 5);
    const int limits[2] = {127, TokenLimit(map.halves[1].inputs)};
    const int weights[2] = {kCodeWeightLimit, limits[1]};
    for (size_t i = 0; i < 2; ++i) {
      for (int in = 0; in < map.halves[i].inputs; ++in) {
        inputs.values[i][in] = static_cast<int16_t>(-limits[i]);
        *WeightAt(map, map.halves[i], 0, in) = static_cast<int16_t>(weights[i]);
      }
    }
    std::vector<float> k(static_cast<size_t>(kChunk) * map.head_dim);
    std::vector<float> v(k.size());
    RestoreProducts(map, inputs.view(), k.data(), v.data());
    EXPECT_EQ(k[0], Expected(map, inputs, 0, 0));
    EXPECT_LT(k[0], 0);
  });
}

// Scales may overflow where codes are absurd: that gives infinities, or NaN where the dot product
// is zero, never a number that looks like one.
TEST(RestoreProductsTest, ScalesThatOverflowShow) {
  ForEachShape([](const RestoreMap& map) {
    Inputs inputs(map, 6);
    inputs.scales[0].assign(kChunk, 3e38f);
    std::fill_n(map.halves[0].scales.as<float>(), map.blocks() * kPackWidth, 3e38f);
    std::fill_n(inputs.values[0].begin(), map.halves[0].pairs() * 2, int16_t{0});
    std::vector<float> k(static_cast<size_t>(kChunk) * map.head_dim);
    std::vector<float> v(k.size());
    for (const auto products : {RestoreProducts, RestoreProductsPortable}) {
      products(map, inputs.view(), k.data(), v.data());
      EXPECT_TRUE(std::isnan(k[0]));
      EXPECT_FALSE(std::isfinite(v[v.size() - 1]));
    }
  });
}

TEST(RestoreProductsTest, TokenLimitsAreTheLargestThatCannotOverflow) {
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
