#include "eval/perplexity/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace kakeya {
namespace {

TEST(NegativeLogLikelihoodTest, IsTheLogSoftmax) {
  const std::vector<float> even(8, 3.0f);
  EXPECT_NEAR(NegativeLogLikelihood(even, 5), std::log(8.0), 1e-12);
  const std::vector<float> two = {0, std::log(3.0f)};
  EXPECT_NEAR(NegativeLogLikelihood(two, 1), std::log(4.0 / 3), 1e-7);
  EXPECT_NEAR(NegativeLogLikelihood(two, 0), std::log(4.0), 1e-7);
}

TEST(NegativeLogLikelihoodTest, StaysExactFarFromZero) {
  const std::vector<float> large = {10000, 10001, 9000};
  EXPECT_NEAR(NegativeLogLikelihood(large, 0), 1 + std::log1p(std::exp(-1.0)), 1e-9);
  const std::vector<float> impossible = {0, -std::numeric_limits<float>::infinity()};
  EXPECT_EQ(NegativeLogLikelihood(impossible, 0), 0);
  EXPECT_FALSE(std::isfinite(NegativeLogLikelihood(impossible, 1)));
  const std::vector<float> broken = {0, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_FALSE(std::isfinite(NegativeLogLikelihood(broken, 0)));
}

class PerplexityTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string dir = std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/models/qwen3-window";
    Result<std::unique_ptr<Engine>> engine = Engine::Load(dir, {.threads = 2});
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    engine_ = *std::move(engine);
    for (int i = 0; i < 300; ++i) ids_.push_back((i * 37 + i * i) % vocabulary());
  }
  int vocabulary() const { return engine_->model().config.vocab_size; }
  PerplexityOptions Options(int64_t context, std::vector<KvPolicy> policies) const {
    PerplexityOptions options{.context = context, .sessions = {}};
    for (const KvPolicy& policy : policies) {
      options.sessions.push_back({.kv = policy, .kv_type = KvType::kF32});
    }
    return options;
  }
  std::unique_ptr<Engine> engine_;
  std::vector<int32_t> ids_;
};

constexpr KvPolicy kWindow{.kind = KvPolicy::Kind::kWindow, .sink = 4, .window = 64};

TEST_F(PerplexityTest, CountsEveryTokenOfAWindowButItsFirst) {
  const Result<Perplexity> whole = MeasurePerplexity(engine_.get(), ids_, Options(300, {{}}));
  ASSERT_TRUE(whole.ok()) << whole.status().message();
  EXPECT_EQ(whole->tokens, 299);
  EXPECT_EQ(whole->windows, 1);
  const Result<Perplexity> cut = MeasurePerplexity(engine_.get(), ids_, Options(100, {{}}));
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut->tokens, 297);
  EXPECT_EQ(cut->windows, 3);
  // The mean over windows is that of the windows one by one.
  double nll = 0;
  for (int w = 0; w < 3; ++w) {
    const Result<Perplexity> one =
        MeasurePerplexity(engine_.get(), std::span(ids_).subspan(w * 100, 100), Options(100, {{}}));
    ASSERT_TRUE(one.ok());
    nll += one->rows[0].nll / 3;
  }
  EXPECT_NEAR(cut->rows[0].nll, nll, 1e-12);
  EXPECT_NEAR(cut->rows[0].perplexity, std::exp(nll), 1e-9);
}

TEST_F(PerplexityTest, LeavesASingleLastTokenOut) {
  const std::span<const int32_t> ids = std::span(ids_).first(201);
  const Result<Perplexity> measured = MeasurePerplexity(engine_.get(), ids, Options(100, {{}}));
  ASSERT_TRUE(measured.ok());
  EXPECT_EQ(measured->tokens, 198);
  EXPECT_EQ(measured->windows, 2);
}

TEST_F(PerplexityTest, ComparesPoliciesOnTheSameText) {
  int64_t last = 0;
  PerplexityOptions options = Options(150, {{}, kWindow, {}});
  options.progress = [&](int64_t done, int64_t total) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, 900);
    last = done;
  };
  const Result<Perplexity> measured = MeasurePerplexity(engine_.get(), ids_, options);
  ASSERT_TRUE(measured.ok());
  EXPECT_EQ(last, 900);
  EXPECT_EQ(measured->rows[0].ratio, 1);
  EXPECT_FALSE(measured->rows[0].ratio_interval);
  EXPECT_EQ(measured->rows[2].nll, measured->rows[0].nll);
  EXPECT_EQ(measured->rows[2].ratio, 1);
  EXPECT_NE(measured->rows[1].ratio, 1);
  ASSERT_TRUE(measured->rows[1].ratio_interval);
  EXPECT_LT(measured->rows[1].ratio_interval->low, measured->rows[1].ratio);
  EXPECT_GT(measured->rows[1].ratio_interval->high, measured->rows[1].ratio);
}

TEST_F(PerplexityTest, DoesNotDependOnTheBlocks) {
  PerplexityOptions options = Options(300, {kWindow, kWindow, kWindow});
  options.sessions[1].prefill_block = 7;
  options.sessions[2].prefill_block = 1;
  const Result<Perplexity> measured = MeasurePerplexity(engine_.get(), ids_, options);
  ASSERT_TRUE(measured.ok());
  EXPECT_NEAR(measured->rows[1].nll, measured->rows[0].nll, 1e-12);
  EXPECT_NEAR(measured->rows[2].nll, measured->rows[0].nll, 1e-12);
}

TEST_F(PerplexityTest, RefusesWhatCannotBeMeasured) {
  const std::span<const int32_t> ids(ids_);
  EXPECT_FALSE(MeasurePerplexity(engine_.get(), ids.first(1), Options(100, {{}})).ok());
  EXPECT_FALSE(MeasurePerplexity(engine_.get(), ids, Options(1, {{}})).ok());
  ids_[120] = vocabulary();
  const Result<Perplexity> bad = MeasurePerplexity(engine_.get(), ids_, Options(100, {{}}));
  EXPECT_EQ(bad.status().code(), StatusCode::kInvalidArgument);
  PerplexityOptions stopped = Options(50, {{}});
  stopped.interrupted = [] { return true; };
  EXPECT_EQ(MeasurePerplexity(engine_.get(), ids, stopped).status().code(), StatusCode::kCancelled);
}

}  // namespace
}  // namespace kakeya
