#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "model/rope.h"

namespace kakeya {
namespace {

ModelConfig ConfigWith(double theta, int head_dim) {
  ModelConfig config;
  config.layers = {{.head_dim = head_dim}};
  config.ropes[0].theta = theta;
  return config;
}

uint64_t HashOf(const std::vector<float>& values) {
  uint64_t hash = 0;
  for (const float value : values) {
    hash = (hash ^ std::bit_cast<uint32_t>(value)) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash;
}

struct Tables {
  Tables(const std::vector<float>& frequencies, int64_t first, int64_t rows)
      : cos(frequencies.size() * static_cast<size_t>(rows)), sin(cos.size()) {
    RopeTables({.frequencies = frequencies}, first, rows, cos.data(), sin.data());
  }
  std::vector<float> cos;
  std::vector<float> sin;
};

TEST(RopeBitsTest, FrequenciesAreThePowersOfTheta) {
  for (const double theta : {1e4, 1e5, 5e5, 1e6, 1e7}) {
    for (const int head_dim : {32, 64, 96, 128, 256}) {
      const std::vector<float> got = RopeFrequencies(ConfigWith(theta, head_dim), 0);
      ASSERT_EQ(got.size(), static_cast<size_t>(head_dim / 2));
      for (int i = 0; i < head_dim / 2; ++i) {
        EXPECT_EQ(got[i], static_cast<float>(1.0 / std::pow(theta, 2.0 * i / head_dim)))
            << theta << " " << head_dim << " " << i;
      }
    }
  }
}

// 2.2 million sines and cosines. Both are within an ulp of double, so they may round to different
// floats for one in some 10^9 of them.
TEST(RopeBitsTest, TablesRoundToTheSameFloatsAsTheLibrarysFunctions) {
  const std::vector<float> frequencies = RopeFrequencies(ConfigWith(1e6, 128), 0);
  int64_t compared = 0;
  int64_t different = 0;
  for (const int64_t first : {int64_t{0}, int64_t{40000}, int64_t{1} << 20, int64_t{1} << 23}) {
    constexpr int64_t kRows = 4300;
    const Tables tables(frequencies, first, kRows);
    for (int64_t row = 0; row < kRows; ++row) {
      for (size_t i = 0; i < frequencies.size(); ++i) {
        const size_t at = static_cast<size_t>(row) * frequencies.size() + i;
        const double angle = double{static_cast<float>(first + row) * frequencies[i]};
        different += tables.cos[at] != static_cast<float>(std::cos(angle)) ? 1 : 0;
        different += tables.sin[at] != static_cast<float>(std::sin(angle)) ? 1 : 0;
        compared += 2;
      }
    }
  }
  EXPECT_GT(compared, 2000000);
  EXPECT_LE(different, 2);
}

// For every compiler and machine.
TEST(RopeBitsTest, BitsAreTheSameEverywhere) {
  const std::vector<float> slow = RopeFrequencies(ConfigWith(1e6, 128), 0);
  const std::vector<float> fast = RopeFrequencies(ConfigWith(1e4, 64), 0);
  EXPECT_EQ(HashOf(slow), 0xbdc5f76af31289b8u);
  EXPECT_EQ(HashOf(fast), 0xa972857db4b0926bu);
  const Tables near(slow, 0, 2048);
  const Tables far(fast, (int64_t{1} << 24) - 1000, 1000);
  EXPECT_EQ(HashOf(near.cos), 0xf9bcf89f77d7cb3du);
  EXPECT_EQ(HashOf(near.sin), 0xe8d2a6404ba73807u);
  EXPECT_EQ(HashOf(far.cos), 0x42e0ee2aa25df648u);
  EXPECT_EQ(HashOf(far.sin), 0x5ed82f81c1b0fc77u);
}

}  // namespace
}  // namespace kakeya
