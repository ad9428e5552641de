#include "decode/gumbel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace kakeya {
namespace {

TEST(GumbelTest, NoiseDependsOnSeedPositionAndTokenOnly) {
  const double late = GumbelAt(9, 77, 5000);
  for (int token = 0; token < 5000; ++token) (void)GumbelAt(9, 76, token);
  EXPECT_EQ(GumbelAt(9, 77, 5000), late);
  EXPECT_NE(GumbelAt(8, 77, 5000), late);
  EXPECT_NE(GumbelAt(9, 78, 5000), late);
  EXPECT_NE(GumbelAt(9, 77, 5001), late);
}

// Kolmogorov and Smirnov's distance of a sample to the distribution exp(-exp(-x)), times the root
// of the sample's size: above 1.95 once in a thousand samples.
double DistanceToGumbel(std::vector<double> sample) {
  std::sort(sample.begin(), sample.end());
  const double n = static_cast<double>(sample.size());
  double distance = 0;
  for (size_t i = 0; i < sample.size(); ++i) {
    const double share = std::exp(-std::exp(-sample[i]));
    distance = std::max(
        {distance, (static_cast<double>(i) + 1) / n - share, share - static_cast<double>(i) / n});
  }
  return distance * std::sqrt(n);
}

TEST(GumbelTest, EveryTokensNoiseFollowsTheGumbelDistribution) {
  std::vector<double> across_tokens;
  for (int token = 0; token < 100000; ++token) across_tokens.push_back(GumbelAt(1, 0, token));
  EXPECT_LT(DistanceToGumbel(across_tokens), 1.95);
  for (const int token : {0, 1, 63, 64, 151935}) {
    std::vector<double> across_positions;
    for (int p = 0; p < 20000; ++p) across_positions.push_back(GumbelAt(2, p, token));
    EXPECT_LT(DistanceToGumbel(across_positions), 1.95) << token;
  }
}

double Correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    aa += (a[i] - 0.5) * (a[i] - 0.5);
    bb += (b[i] - 0.5) * (b[i] - 0.5);
    ab += (a[i] - 0.5) * (b[i] - 0.5);
  }
  return ab / std::sqrt(aa * bb);
}

TEST(GumbelTest, TokensOfABlockAreIndependent) {
  constexpr int kPositions = 20000;
  std::vector<std::vector<double>> shares(GumbelNoise::kBlock + 1);
  for (int token = 0; token <= GumbelNoise::kBlock; ++token) {
    for (int p = 0; p < kPositions; ++p) {
      shares[token].push_back(std::exp(-std::exp(-GumbelAt(3, p, token))));
    }
  }
  for (int token = 1; token <= GumbelNoise::kBlock; ++token) {
    EXPECT_LT(std::fabs(Correlation(shares[0], shares[token])), 4 / std::sqrt(kPositions)) << token;
  }
}

TEST(GumbelTest, NoTokenExceedsItsBlocksMaximumNorThatTheBound) {
  for (int position = 0; position < 300; ++position) {
    const GumbelNoise noise(4, position);
    for (int64_t block = 0; block < 20; ++block) {
      const GumbelNoise::Block b = noise.BlockAt(block);
      double most = -100;
      for (int i = 0; i < GumbelNoise::kBlock; ++i) {
        most = std::max(most, noise.At(static_cast<int32_t>(block * GumbelNoise::kBlock + i)));
      }
      EXPECT_EQ(most, b.maximum);
      EXPECT_EQ(b.winner / GumbelNoise::kBlock, block);
      EXPECT_GE(noise.BoundOf(block), b.maximum - 1e-9);
      if (b.maximum > 6) {
        EXPECT_LE(noise.BoundOf(block), b.maximum + 0.8);
      }
    }
  }
}

}  // namespace
}  // namespace kakeya
