#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "decode/gumbel.h"

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

// Logits that are the same on every machine: multiples of 1/256 from -8 to 8.
std::vector<float> RandomLogits(size_t tokens, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> logits(tokens);
  for (float& logit : logits) logit = static_cast<float>(random() % 4096) / 256 - 8;
  return logits;
}

const std::vector<SamplingParams>& EveryFilter() {
  static const std::vector<SamplingParams> kAll = {
      {.temperature = 1},
      {.temperature = 3},
      {.temperature = 0.25},
      {.temperature = 1, .top_k = 1},
      {.temperature = 2, .top_k = 20},
      {.temperature = 4, .top_k = 100000},
      {.temperature = 1.5, .top_p = 0.8},
      {.temperature = 5, .top_p = 0.999},
      {.temperature = 2, .top_p = 1 - 1e-12},
      {.temperature = 2, .min_p = 0.05},
      {.temperature = 2, .min_p = 1},
      {.temperature = 3, .top_k = 60, .top_p = 0.9, .min_p = 0.02},
  };
  return kAll;
}

// Chi-square of 200,000 draws, tokens of fewer than 10 expected ones taken together.
TEST(SamplerTest, FrequenciesFollowTheDistribution) {
  constexpr int kDraws = 200000;
  const std::vector<float> logits = RandomLogits(100, 1);
  for (SamplingParams params : {SamplingParams{.temperature = 2},
                                {.temperature = 2, .top_k = 10},
                                {.temperature = 2, .top_p = 0.7},
                                {.temperature = 2, .min_p = 0.05},
                                {.temperature = 3, .top_k = 30, .top_p = 0.9, .min_p = 0.02}}) {
    params.seed = 42;
    std::map<int32_t, int> count;
    for (int i = 0; i < kDraws; ++i) ++count[*SampleAt(logits, params, i)];
    double chi_square = 0, rare = 0, rare_count = 0;
    int cells = 0;
    const auto add = [&](double expected, double seen) {
      chi_square += (seen - expected) * (seen - expected) / expected;
      ++cells;
    };
    int seen_in_all = 0;
    for (const auto& [token, p] : *Distribution(logits, params)) {
      seen_in_all += count[token];
      if (p * kDraws >= 10) {
        add(p * kDraws, count[token]);
      } else {
        rare += p * kDraws;
        rare_count += count[token];
      }
    }
    if (rare >= 10) add(rare, rare_count);
    EXPECT_EQ(seen_in_all, kDraws) << "a token that the filters drop was drawn";
    EXPECT_LT(chi_square, cells - 1 + 4 * std::sqrt(2.0 * cells))
        << cells << " cells, temperature " << params.temperature << ", top_k " << params.top_k
        << ", top_p " << params.top_p << ", min_p " << params.min_p;
  }
}

// The definition, without a single token passed over.
int32_t NaiveSample(const std::vector<float>& logits, const SamplingParams& params,
                    int64_t position) {
  const double most = *std::max_element(logits.begin(), logits.end());
  int32_t winner = -1;
  double best = 0;
  std::vector<int32_t> kept;
  for (const TokenProbability& t : *Distribution(logits, params)) kept.push_back(t.token);
  std::sort(kept.begin(), kept.end());
  for (const int32_t token : kept) {
    const double score = (double{logits[token]} - most) / params.temperature +
                         GumbelAt(params.seed, position, token);
    if (winner < 0 || score > best) {
      winner = token;
      best = score;
    }
  }
  return winner;
}

TEST(SamplerTest, PassingOverTokensNeverChangesTheWinner) {
  for (const size_t tokens : {1, 2, 63, 64, 65, 1000, 5001}) {
    const std::vector<std::vector<float>> kinds = {
        RandomLogits(tokens, tokens), std::vector<float>(tokens, 3.0f),  // all alike
        [&] {  // spread so little that noise decides
          std::vector<float> logits = RandomLogits(tokens, 7);
          for (float& logit : logits) logit = 1e6f + logit;
          return logits;
        }()};
    for (const std::vector<float>& logits : kinds) {
      for (SamplingParams params : EveryFilter()) {
        for (int64_t position = 0; position < 12; ++position) {
          params.seed = position % 3;
          ASSERT_EQ(*SampleAt(logits, params, position), NaiveSample(logits, params, position))
              << tokens << " tokens at " << position << ", temperature " << params.temperature;
        }
      }
    }
  }
}

TEST(SamplerTest, ExtremeTemperaturesAndLogitsHaveAWinner) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> wide = {-3e38f, 3e38f, -inf, 3e38f, 0};
  for (const double temperature : {1e-320, 1e-30, 1.0, 100.0}) {
    for (int64_t position = 0; position < 50; ++position) {
      const int32_t token = *SampleAt(wide, {.temperature = temperature}, position);
      EXPECT_TRUE(token == 1 || token == 3) << token;
    }
  }
}

// What Distribution kept when it sorted the whole vocabulary.
std::vector<int32_t> KeptBySorting(const std::vector<float>& logits, const SamplingParams& params) {
  const double most = *std::max_element(logits.begin(), logits.end());
  std::vector<std::pair<double, int32_t>> all;
  for (size_t i = 0; i < logits.size(); ++i) {
    all.emplace_back(-std::exp((double{logits[i]} - most) / params.temperature), i);
  }
  std::sort(all.begin(), all.end());
  if (params.top_k > 0) all.resize(std::min<size_t>(all.size(), params.top_k));
  double total = 0, sum = 0;
  for (const auto& [minus_p, token] : all) total -= minus_p;
  std::vector<int32_t> kept;
  for (const auto& [minus_p, token] : all) {
    if (!kept.empty() && params.top_p < 1 && sum >= params.top_p * total) break;
    if (-minus_p < params.min_p) break;
    kept.push_back(token);
    sum -= minus_p;
  }
  return kept;
}

TEST(SamplerTest, PartialSelectionKeepsWhatSortingKeeps) {
  for (const size_t tokens : {5, 64, 700, 5001}) {
    const std::vector<float> logits = RandomLogits(tokens, tokens);
    for (const SamplingParams& params : EveryFilter()) {
      EXPECT_EQ(Tokens(params, logits), KeptBySorting(logits, params))
          << tokens << " tokens, temperature " << params.temperature << ", top_k " << params.top_k
          << ", top_p " << params.top_p << ", min_p " << params.min_p;
    }
  }
}

// The drawn tokens themselves, for every compiler and machine: a seed is a promise.
TEST(SamplerTest, TokensAreTheSameEverywhere) {
  const std::vector<float> logits = RandomLogits(20000, 2);
  uint64_t hash = 0;
  for (int64_t position = 0; position < 1000; ++position) {
    SamplingParams params = EveryFilter()[position % EveryFilter().size()];
    params.seed = 5;
    hash = hash * 31 + static_cast<uint64_t>(*SampleAt(logits, params, position));
  }
  EXPECT_EQ(hash, 0xa3f2d0a31f322b10u);
}

// Two distributions that draw with the same noise differ at most 2 TV / (1 + TV) of the time, TV
// being their distance of total variation.
TEST(SamplerTest, CloseDistributionsMostlyDrawTheSameToken) {
  const std::vector<float> logits = RandomLogits(1000, 3);
  std::vector<float> close = logits;
  std::mt19937_64 random(4);
  for (float& logit : close) logit += static_cast<float>(random() % 256) / 1024;
  const SamplingParams params{.temperature = 2};
  std::vector<double> p(logits.size());
  std::vector<double> q(logits.size());
  for (const auto& t : *Distribution(logits, params)) p[t.token] = t.probability;
  for (const auto& t : *Distribution(close, params)) q[t.token] = t.probability;
  double distance = 0;
  for (size_t i = 0; i < p.size(); ++i) distance += std::fabs(p[i] - q[i]) / 2;
  int differ = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    differ += *SampleAt(logits, params, i) != *SampleAt(close, params, i) ? 1 : 0;
  }
  const double most = 2 * distance / (1 + distance);
  EXPECT_LT(differ, kDraws * most + 4 * std::sqrt(kDraws * most));
  EXPECT_GT(differ, 0);
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
