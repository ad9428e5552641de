#include "eval/speed/speed.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "eval/speed/speed_report.h"

namespace kakeya {
namespace {

constexpr KvPolicy kWindow{.kind = KvPolicy::Kind::kWindow, .sink = 4, .window = 64};

TEST(MedianTest, IsTheMiddle) {
  EXPECT_EQ(Median({3}), 3);
  EXPECT_EQ(Median({9, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 2, 100}), 3);
}

TEST(HasSettledTest, WantsValuesAndAgreement) {
  EXPECT_FALSE(HasSettled({1, 1, 1, 1}));
  EXPECT_TRUE(HasSettled({1, 1, 1, 1, 1}));
  EXPECT_FALSE(HasSettled({1, 2, 3, 4, 5}));
  EXPECT_TRUE(HasSettled({1, 1.001, 0.999, 1, 1, 50}));  // one that was disturbed
}

TEST(KvBytesReadTest, CountsWhatIsInView) {
  EXPECT_EQ(KvBytesRead({}, 0, 1, 10), 10u);
  EXPECT_EQ(KvBytesRead({}, 1000, 1, 10), 10010u);
  EXPECT_EQ(KvBytesRead({}, 1000, 8, 10), 10080u);
  // Position 1000 sees [896, 1000] (937 lies in the chunk at 896) and the sinks.
  EXPECT_EQ(KvBytesRead(kWindow, 1000, 1, 10), (1001u - 896 + 4) * 10);
  // Nothing has been evicted: the sinks are in the window.
  EXPECT_EQ(KvBytesRead(kWindow, 50, 1, 10), 510u);
}

TEST(CheckSpeedDepthsTest, RefusesWhatCannotBeMeasured) {
  const auto code = [](std::vector<int64_t> depths) { return CheckSpeedDepths(depths).code(); };
  EXPECT_EQ(code({0, 1, kMaxSpeedDepth}), StatusCode::kOk);
  for (const int64_t bad : {int64_t{-1}, kMaxSpeedDepth + 1, std::numeric_limits<int64_t>::max(),
                            std::numeric_limits<int64_t>::min()}) {
    EXPECT_EQ(code({0, bad}), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(code({5, 7, 5}), StatusCode::kInvalidArgument);
}

TEST(ShareOfReadTest, MoreThanMemoryGivesIsNoFigure) {
  EXPECT_EQ(ShareOfRead(5e8, 0.05, 20e9), 0.5);
  EXPECT_EQ(ShareOfRead(1.05e9, 0.05, 20e9), 1.05);  // noise
  EXPECT_EQ(ShareOfRead(1.06e9, 0.05, 20e9), std::nullopt);
  EXPECT_EQ(ShareOfRead(1.18e9, 0.05, 20e9), std::nullopt);
  EXPECT_EQ(ShareOfRead(1e9, 0, 20e9), std::nullopt);
}

class SpeedTestFixture : public testing::Test {
 protected:
  void SetUp() override { Load(0); }
  void Load(size_t memory_limit) {
    const std::string dir = std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/models/qwen3-window";
    Result<std::unique_ptr<Engine>> engine =
        Engine::Load(dir, {.threads = 2, .memory_limit = memory_limit});
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    engine_ = *std::move(engine);
  }
  static SpeedOptions Options() {
    SpeedOptions options{.depths = {0, 200}, .seconds = 0};
    options.sessions = {{.prefill_block = 32}, {.kv = kWindow, .prefill_block = 32}};
    return options;
  }
  std::unique_ptr<Engine> engine_;
};

TEST_F(SpeedTestFixture, GivesOneRowPerTest) {
  SpeedOptions options = Options();
  options.verify_curve = true;
  const Result<Speed> speed = MeasureSpeed(engine_.get(), options);
  ASSERT_TRUE(speed.ok()) << speed.status().message();
  EXPECT_GT(speed->read_bytes_per_second, 0);
  EXPECT_EQ(speed->turns, 1);
  ASSERT_EQ(speed->rows.size(), 8u + kMaxVerifyTokens);
  size_t i = 0;
  for (const auto kv : {KvPolicy::Kind::kFull, KvPolicy::Kind::kWindow}) {
    for (const int64_t depth : {0, 200}) {
      for (const auto test : {SpeedTest::kPrefill, SpeedTest::kDecode}) {
        const SpeedRow& row = speed->rows[i++];
        EXPECT_EQ(row.test, test);
        EXPECT_EQ(row.kv, kv);
        EXPECT_EQ(row.depth, depth);
        EXPECT_EQ(row.tokens, test == SpeedTest::kPrefill ? 32 : 1);
        EXPECT_EQ(row.cells.size(), 1u);
        EXPECT_EQ(row.seconds, row.cells[0]);
        EXPECT_EQ(row.share_of_read,
                  ShareOfRead(row.bytes, row.seconds, speed->read_bytes_per_second));
      }
    }
  }
  for (int64_t tokens = 1; tokens <= kMaxVerifyTokens; ++tokens) {
    EXPECT_EQ(speed->rows[i].test, SpeedTest::kVerify);
    EXPECT_EQ(speed->rows[i].kv, KvPolicy::Kind::kFull);
    EXPECT_EQ(speed->rows[i++].tokens, tokens);
  }
}

TEST_F(SpeedTestFixture, ABatchReadsTheWeightsOnceAndTheKvOfEach) {
  SpeedOptions options = Options();
  options.sequences = 3;
  const Result<Speed> speed = MeasureSpeed(engine_.get(), options);
  ASSERT_TRUE(speed.ok()) << speed.status().message();
  ASSERT_EQ(speed->rows.size(), 12u);
  const auto weights = static_cast<double>(speed->weight_bytes);
  for (size_t i = 2; i < speed->rows.size(); i += 3) {
    const SpeedRow& one = speed->rows[i - 1];
    const SpeedRow& batch = speed->rows[i];
    EXPECT_EQ(batch.test, SpeedTest::kBatch);
    EXPECT_EQ(batch.tokens, 3);
    EXPECT_EQ(batch.kv, one.kv);
    EXPECT_EQ(batch.depth, one.depth);
    EXPECT_EQ(batch.bytes - weights, 3 * (one.bytes - weights));
  }
  EXPECT_NE(SpeedTable({}, *speed).find("x the speed of one"), std::string::npos);
}

TEST_F(SpeedTestFixture, BytesAreThoseOfWeightsAndVisibleKv) {
  const Result<Speed> speed = MeasureSpeed(engine_.get(), Options());
  ASSERT_TRUE(speed.ok());
  const ModelConfig& config = engine_->model().config;
  const double slot = 2.0 * config.num_layers() * config.common_layer().kv_size() *
                      static_cast<double>(SizeOf(engine_->model().weights.dtype));
  const auto bytes = [&](size_t row) { return speed->rows[row].bytes; };
  const double weights = static_cast<double>(speed->weight_bytes);
  EXPECT_GT(weights, 0);
  EXPECT_EQ(bytes(1), weights + slot);
  EXPECT_EQ(bytes(3), weights + 201 * slot);
  EXPECT_EQ(bytes(7), weights + (201 - 128 + 4) * slot);
}

TEST_F(SpeedTestFixture, ADepthBeyondMemoryIsRefusedBeforeAnythingIsFilled) {
  Load(size_t{8} << 20);
  SpeedOptions options = Options();
  options.depths = {0, 1 << 20};
  const size_t before = engine_->budget().peak(MemoryTag::kKv);
  const Result<Speed> speed = MeasureSpeed(engine_.get(), options);
  EXPECT_EQ(speed.status().code(), StatusCode::kResourceExhausted);
  EXPECT_NE(speed.status().message().find("depth 1048576"), std::string::npos);
  EXPECT_EQ(engine_->budget().peak(MemoryTag::kKv), before);
}

TEST_F(SpeedTestFixture, StopsWhenAskedTo) {
  SpeedOptions options = Options();
  options.interrupted = [] { return true; };
  EXPECT_EQ(MeasureSpeed(engine_.get(), options).status().code(), StatusCode::kCancelled);
}

TEST(SpeedReportTest, FieldsAreThoseOfTheContract) {
  Speed speed;
  speed.read_bytes_per_second = 20e9;
  speed.turns = 2;
  speed.rows.push_back({.test = SpeedTest::kDecode,
                        .depth = 512,
                        .tokens = 1,
                        .seconds = 0.05,
                        .bytes = 5e8,
                        .share_of_read = 0.5,
                        .cells = {0.04, 0.06}});
  const Json json = SpeedJson({.cells = true}, speed);
  EXPECT_EQ(json["read_gb_s"], 20.0);
  EXPECT_EQ(json["restorer"], nullptr);
  const Json want = {{"test", "decode"},     {"kv", "full"},  {"depth", 512},
                     {"tokens", 1},          {"tok_s", 20.0}, {"ms", 50.0},
                     {"share_of_read", 0.5}, {"turns", 2},    {"cells_ms", {40.0, 60.0}}};
  EXPECT_EQ(json["rows"][0], want);
  EXPECT_EQ(SpeedCsv({}, speed),
            "test,kv,depth,tokens,tok_s,ms,share_of_read,turns\n"
            "decode,full,512,1,20.0,50.0,0.5,2\n");
  EXPECT_NE(SpeedTable({}, speed).find("had not settled"), std::string::npos);
}

TEST(SpeedReportTest, AFailedShareIsSaidAndNeverAFigure) {
  Speed speed;
  speed.read_bytes_per_second = 20e9;
  speed.turns = 1;
  SpeedRow row{.tokens = 1, .seconds = 0.05, .bytes = 5e8, .share_of_read = 0.5, .cells = {0.05}};
  speed.rows.push_back(row);
  EXPECT_FALSE(SpeedJson({}, speed)["rows"][0].contains("share_fault"));
  EXPECT_EQ(SpeedTable({}, speed).find("failed"), std::string::npos);
  row.share_of_read = std::nullopt;
  speed.rows.push_back(row);
  const Json json = SpeedJson({}, speed);
  EXPECT_EQ(json["rows"][0]["share_of_read"], 0.5);
  EXPECT_EQ(json["rows"][1]["share_of_read"], nullptr);
  EXPECT_NE(json["rows"][1]["share_fault"].get<std::string>().find("read bandwidth"),
            std::string::npos);
  EXPECT_EQ(SpeedCsv({}, speed),
            "test,kv,depth,tokens,tok_s,ms,share_of_read,turns\n"
            "decode,full,0,1,20.0,50.0,0.5,1\n"
            "decode,full,0,1,20.0,50.0,,1\n");
  const std::string table = SpeedTable({}, speed);
  EXPECT_NE(table.find("     50.00    50.0 %\n"), std::string::npos) << table;
  EXPECT_NE(table.find("     50.00    failed\n"), std::string::npos) << table;
  EXPECT_NE(table.find("of read failed: more than the read bandwidth"), std::string::npos) << table;
}

}  // namespace
}  // namespace kakeya
