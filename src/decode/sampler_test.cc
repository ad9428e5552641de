#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace kakeya {
namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

std::vector<int32_t> Tokens(const SamplingParams& params,
                            const std::vector<float>& logits = kLogits) {
  std::vector<int32_t> out;
  for (const TokenProbability& t : *Distribution(logits, params)) out.push_back(t.token);
  return out;
}

TEST(SamplerTest, GreedyTieGoesToTheLowestId) {
  EXPECT_EQ(*SampleAt(kLogits, {}, 0), 1);
  EXPECT_EQ(Tokens({}), std::vector<int32_t>{1});
}

TEST(SamplerTest, UnfilteredDistributionIsTheSoftmax) {
  const auto distribution = Distribution(kLogits, {.temperature = 2});
  double total = 0;
  for (float l : kLogits) total += std::exp(l / 2.0);
  ASSERT_EQ(distribution->size(), kLogits.size());
  for (const auto& [token, p] : *distribution) {
    EXPECT_NEAR(p, std::exp(kLogits[token] / 2.0) / total, 1e-12);
  }
}

TEST(SamplerTest, FiltersKeepTheMostLikely) {
  EXPECT_EQ(Tokens({.temperature = 1, .top_k = 1}), (std::vector<int32_t>{1}));
  EXPECT_EQ(Tokens({.temperature = 1, .top_k = 3}), (std::vector<int32_t>{1, 3, 2}));
  EXPECT_EQ(Tokens({.temperature = 1, .top_k = 99}), (std::vector<int32_t>{1, 3, 2, 0, 4}));
  // exp: 20.1, 20.1, 7.4, 2.7, 0.4 of 50.7: the first two reach 0.79.
  EXPECT_EQ(Tokens({.temperature = 1, .top_p = 0.39}), (std::vector<int32_t>{1}));
  EXPECT_EQ(Tokens({.temperature = 1, .top_p = 0.79}), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(Tokens({.temperature = 1, .top_p = 0.80}), (std::vector<int32_t>{1, 3, 2}));
  EXPECT_EQ(Tokens({.temperature = 1, .min_p = 0.3}), (std::vector<int32_t>{1, 3, 2}));
  EXPECT_EQ(Tokens({.temperature = 1, .min_p = 1}), (std::vector<int32_t>{1, 3}));
}

TEST(SamplerTest, KeptProbabilitiesSumToOne) {
  for (const SamplingParams& params : {SamplingParams{.temperature = 0.7, .top_k = 2},
                                       SamplingParams{.temperature = 3, .top_p = 0.5},
                                       SamplingParams{.temperature = 1, .min_p = 0.2}}) {
    double sum = 0;
    for (const auto& t : *Distribution(kLogits, params)) sum += t.probability;
    EXPECT_NEAR(sum, 1, 1e-12);
  }
}

TEST(SamplerTest, FrequenciesFollowTheDistribution) {
  const SamplingParams params{.temperature = 1, .seed = 42};
  std::map<int32_t, int> count;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) ++count[*SampleAt(kLogits, params, i)];
  for (const auto& [token, p] : *Distribution(kLogits, params)) {
    EXPECT_NEAR(count[token] / double{kDraws}, p, 4 * std::sqrt(p * (1 - p) / kDraws));
  }
}

TEST(SamplerTest, SameSeedAndPositionGiveTheSameTokenInAnyOrder) {
  const SamplingParams params{.temperature = 1, .seed = 9};
  const int32_t late = *SampleAt(kLogits, params, 77);
  for (int i = 0; i < 77; ++i) (void)SampleAt(kLogits, params, i);
  EXPECT_EQ(*SampleAt(kLogits, params, 77), late);
}

TEST(SamplerTest, SeedsDiffer) {
  int differ = 0;
  for (int i = 0; i < 100; ++i) {
    differ += *SampleAt(kLogits, {.temperature = 1, .seed = 1}, i) !=
              *SampleAt(kLogits, {.temperature = 1, .seed = 2}, i);
  }
  EXPECT_GT(differ, 30);
}

TEST(SamplerTest, LogitsThatAreNoNumbersAreAnError) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (double temperature : {0.0, 1.0}) {
    const SamplingParams params{.temperature = temperature};
    EXPECT_FALSE(SampleAt(std::vector<float>{0, nan, 1}, params, 0).ok());
    EXPECT_FALSE(SampleAt(std::vector<float>{0, inf, 1}, params, 0).ok());
    EXPECT_FALSE(SampleAt(std::vector<float>{-inf, -inf}, params, 0).ok());
    EXPECT_EQ(*SampleAt(std::vector<float>{-inf, 0, -inf}, params, 0), 1);
  }
}

TEST(SamplerTest, ParametersOutOfRangeAreNamed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const SamplingParams& params :
       {SamplingParams{.temperature = nan}, SamplingParams{.temperature = -1},
        SamplingParams{.top_k = -1}, SamplingParams{.top_p = 0}, SamplingParams{.top_p = 1.1},
        SamplingParams{.top_p = nan}, SamplingParams{.min_p = -0.1},
        SamplingParams{.min_p = nan}}) {
    EXPECT_EQ(CheckSampling(params).code(), StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(CheckSampling({}).ok());
}

}  // namespace
}  // namespace kakeya
