// The recall matrix end to end on a tiny model: what it answers is noise, what is checked is the
// machinery around it.
#include "eval/recall/run/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "cache/computed_page.h"
#include "eval/recall/report/report.h"
#include "eval/recall/report/rows.h"
#include "eval/recall/run/equal_bytes.h"

namespace kakeya {
namespace {

std::unique_ptr<Engine> LoadEngine() {
  const std::string dir = std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/models/qwen3-tied-text";
  Result<std::unique_ptr<Engine>> engine = Engine::Load(dir, {.threads = 2});
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  return engine.ok() ? *std::move(engine) : nullptr;
}

// Restores every eligible chunk as constants that depend on the ids it was told.
class ToyRestorer : public Restorer {
 public:
  explicit ToyRestorer(int head_dim) : head_dim_(head_dim) {}
  Status Extend(const OpContext& /*context*/, std::span<const int32_t> ids) override {
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    return OkStatus();
  }
  int64_t size() const override { return static_cast<int64_t>(ids_.size()); }
  Status Truncate(const OpContext& /*context*/, int64_t n) override {
    ids_.resize(static_cast<size_t>(n));
    return OkStatus();
  }
  Status Select(const OpContext& /*context*/, const SelectQueries& queries,
                std::span<std::vector<ChunkVisit>> visits) override {
    for (std::vector<ChunkVisit>& list : visits) {
      list.clear();
      for (int64_t c = queries.first_chunk; c < queries.window_begin.back() / kChunk; ++c) {
        if (static_cast<int64_t>(list.size()) == queries.max_chunks) break;
        uint64_t rows = 0;
        for (int r = 0; r < queries.rows; ++r) {
          if (c < queries.window_begin[r] / kChunk) rows |= uint64_t{1} << r;
        }
        list.push_back({c, rows});
      }
    }
    return OkStatus();
  }
  Status Load(const OpContext& context, const PageRequest& request) const override {
    std::vector<float> k(static_cast<size_t>(kChunk) * static_cast<size_t>(head_dim_));
    std::vector<float> v(k.size());
    for (size_t i = 0; i < k.size(); ++i) {
      const size_t slot = i / static_cast<size_t>(head_dim_);
      const auto id = static_cast<float>(ids_[request.key.chunk * kChunk + slot]);
      k[i] = 0.01f * id;
      v[i] = 1 - 0.02f * id;
    }
    return StoreComputedPage(context, request, k.data(), v.data());
  }
  int64_t max_distance() const override { return INT64_MAX; }
  size_t history_bytes() const override { return ids_.size() * 4; }

 private:
  int head_dim_;
  std::vector<int32_t> ids_;
};

Result<std::unique_ptr<Restorer>> MakeToy(const Engine& engine, MemoryBudget* /*budget*/) {
  return std::unique_ptr<Restorer>(
      std::make_unique<ToyRestorer>(engine.model().config.common_layer().head_dim));
}

RecallRestorers ToyRestorers() {
  return {.trained = MakeToy, .untrained = MakeToy, .self = MakeToy, .proposer_layers = 1};
}

// A prompt of the wanted length out of the seed alone.
Result<RecallPrompt> ToyPrompt(const RecallPromptSpec& spec) {
  RecallPrompt prompt;
  const int64_t question = 8;
  if (spec.length < spec.min_distance + 40) return InvalidArgument("no room");
  uint64_t state = spec.seed | 1;
  for (int64_t i = 0; i < spec.length - question; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    prompt.context.push_back(static_cast<int32_t>((state >> 40) % 280));
  }
  const int64_t latest = spec.length - question - spec.min_distance - 10;
  const int64_t at = std::min<int64_t>(
      static_cast<int64_t>(spec.depth * static_cast<double>(spec.length - question)), latest);
  prompt.needles = {{at, at + 10}};
  prompt.edited_context = prompt.context;
  prompt.edited_context[static_cast<size_t>(at)] += 1;
  prompt.depth = static_cast<double>(at) / static_cast<double>(prompt.context.size());
  const std::string value = std::to_string(10000 + spec.seed % 90000);
  prompt.turns = {{std::vector<int32_t>(question, 7), {value}, {value + "1"}}};
  return prompt;
}

RecallOptions SmallOptions() {
  RecallOptions options;
  options.lengths = {320, 448};
  options.n = 3;
  options.session.kv.window = 64;
  options.session.restore.chunks = 2;
  return options;
}

// Without what the clock says.
std::vector<RecallRecord> Timeless(std::vector<RecallRecord> records) {
  for (RecallRecord& record : records) record.prefill_seconds = record.decode_seconds = 0;
  return records;
}

class RecallRunTest : public testing::Test {
 protected:
  void SetUp() override {
    engine_ = LoadEngine();
    ASSERT_NE(engine_, nullptr);
  }
  Result<RecallOutcome> Run(const RecallOptions& options, RecallJournal* journal,
                            const RecallHooks& hooks = {}) {
    return RunRecall(engine_.get(), options, ToyRestorers(), ToyPrompt, hooks, journal);
  }
  std::unique_ptr<Engine> engine_;
};

TEST_F(RecallRunTest, RunsEveryPromptInEveryArmOnce) {
  RecallJournal journal;
  const RecallOptions options = SmallOptions();
  const Result<RecallOutcome> outcome = Run(options, &journal);
  ASSERT_TRUE(outcome.ok()) << outcome.status().message();
  EXPECT_EQ(outcome->records.size(), 2u * kRecallArms * 3);
  const std::vector<RecallRow> rows = RowsOf(outcome->records, 200);
  EXPECT_EQ(rows.size(), 2u * kRecallArms);
  for (const RecallRow& row : rows) {
    EXPECT_EQ(row.count.n, 3);
    EXPECT_GT(row.resident_bytes, 0u);
    EXPECT_EQ(row.restored_vectors > 0, Restores(row.arm)) << NameOf(row.arm);
    EXPECT_EQ(row.pairs.has_value(), row.arm != RecallArm::kOracle);
    EXPECT_EQ(row.beyond_reach.n + row.within_reach.n, 3);
  }
  EXPECT_TRUE(CouponLayersOf(outcome->records).empty());
  EXPECT_EQ(outcome->full_kv.at(320).source, "oracle");
}

TEST_F(RecallRunTest, KeepsBoundedMemoryAtEveryLength) {
  RecallJournal journal;
  const Result<RecallOutcome> outcome = Run(SmallOptions(), &journal);
  ASSERT_TRUE(outcome.ok());
  const std::vector<RecallRow> rows = RowsOf(outcome->records, 200);
  for (const RecallArm arm : {RecallArm::kRestored, RecallArm::kWindow, RecallArm::kForeign}) {
    EXPECT_EQ(FindRow(rows, RecallTask::kSingle, 320, arm)->resident_bytes,
              FindRow(rows, RecallTask::kSingle, 448, arm)->resident_bytes);
  }
  EXPECT_LT(FindRow(rows, RecallTask::kSingle, 320, RecallArm::kOracle)->resident_bytes,
            FindRow(rows, RecallTask::kSingle, 448, RecallArm::kOracle)->resident_bytes);
}

TEST_F(RecallRunTest, GivesTheSameAnswersAgain) {
  RecallJournal one;
  RecallJournal other;
  const Result<RecallOutcome> first = Run(SmallOptions(), &one);
  const Result<RecallOutcome> second = Run(SmallOptions(), &other);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(Timeless(first->records), Timeless(second->records));
  RecallJournal third;
  RecallOptions seeded = SmallOptions();
  seeded.seed = 1;
  const Result<RecallOutcome> different = Run(seeded, &third);
  ASSERT_TRUE(different.ok());
  EXPECT_NE(Timeless(first->records), Timeless(different->records));
}

TEST_F(RecallRunTest, GoesOnAfterAnInterruption) {
  RecallJournal straight;
  const Result<RecallOutcome> whole = Run(SmallOptions(), &straight);
  ASSERT_TRUE(whole.ok());
  RecallJournal journal;
  int rounds = 0;
  while (true) {
    const size_t before = journal.records().size();
    RecallHooks hooks;
    hooks.interrupted = [&] { return journal.records().size() >= before + 13; };
    const Result<RecallOutcome> outcome = Run(SmallOptions(), &journal, hooks);
    if (outcome.ok()) {
      EXPECT_EQ(Timeless(outcome->records), Timeless(whole->records));
      break;
    }
    EXPECT_EQ(outcome.status().code(), StatusCode::kCancelled);
    EXPECT_EQ(journal.records().size(), before + 13);
    ++rounds;
  }
  EXPECT_EQ(rounds, 5);  // 66 runs
}

TEST_F(RecallRunTest, ReportsProgressUpToTheEnd) {
  RecallJournal journal;
  RecallHooks hooks;
  std::vector<int64_t> done;
  hooks.progress = [&](const RecallProgress& at) {
    done.push_back(at.done);
    EXPECT_EQ(at.total, 66);
  };
  ASSERT_TRUE(Run(SmallOptions(), &journal, hooks).ok());
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.front(), 0);
  EXPECT_EQ(done.back(), 66);
}

TEST_F(RecallRunTest, RefusesArmsThatNeedARestorerWhereThereIsNone) {
  RecallJournal journal;
  const RecallOptions options = SmallOptions();
  const Result<RecallOutcome> outcome =
      RunRecall(engine_.get(), options, RecallRestorers{}, ToyPrompt, {}, &journal);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(outcome.status().message().find("'restored'"), std::string::npos);
  EXPECT_TRUE(journal.records().empty());
}

TEST_F(RecallRunTest, LeavesTheOracleOutBeyondTheModelsContext) {
  RecallOptions options = SmallOptions();
  const int64_t limit = engine_->model().config.max_positions;
  options.lengths = {320, limit + 64};
  options.arms = {RecallArm::kOracle, RecallArm::kRestored, RecallArm::kWindow,
                  RecallArm::kReinsert};
  options.n = 1;
  RecallJournal journal;
  const Result<RecallOutcome> outcome = Run(options, &journal);
  ASSERT_TRUE(outcome.ok()) << outcome.status().message();
  ASSERT_EQ(outcome->skipped.size(), 1u);
  EXPECT_EQ(outcome->skipped[0].arm, RecallArm::kOracle);
  EXPECT_EQ(outcome->skipped[0].length, limit + 64);
  EXPECT_EQ(outcome->full_kv.at(limit + 64).source, "allocated");
  EXPECT_GT(outcome->full_kv.at(limit + 64).bytes, outcome->full_kv.at(320).bytes);
  EXPECT_EQ(outcome->records.size(), 7u);
}

TEST_F(RecallRunTest, FindsOutBeforeItBeginsWhatCannotBeAsked) {
  RecallOptions options = SmallOptions();
  options.lengths = {320, 100};
  RecallJournal journal;
  const Result<RecallOutcome> outcome = Run(options, &journal);
  ASSERT_FALSE(outcome.ok());
  EXPECT_NE(outcome.status().message().find("single at 100 tokens"), std::string::npos);
  EXPECT_TRUE(journal.records().empty());
}

TEST_F(RecallRunTest, ReinsertsWhatFitsIntoTheBytesOfRestored) {
  RecallOptions options = SmallOptions();
  options.lengths = {2048};
  options.arms = {RecallArm::kRestored, RecallArm::kReinsert};
  RecallJournal journal;
  const Result<RecallOutcome> outcome = Run(options, &journal);
  ASSERT_TRUE(outcome.ok()) << outcome.status().message();
  const std::vector<RecallRow> rows = RowsOf(outcome->records, 200);
  const RecallRow& restored = *FindRow(rows, RecallTask::kSingle, 2048, RecallArm::kRestored);
  const RecallRow& reinsert = *FindRow(rows, RecallTask::kSingle, 2048, RecallArm::kReinsert);
  EXPECT_GT(reinsert.reinserted_chunks, 2);  // more than a query of `restored` may choose
  EXPECT_LE(reinsert.held_bytes, restored.held_bytes);
  // One chunk more would not fit; chunks of the answer may stay unused.
  const ModelConfig& config = engine_->model().config;
  const uint64_t chunk = uint64_t{2} * config.num_layers() * config.common_layer().num_kv_heads *
                         config.common_layer().head_dim * SizeOf(engine_->model().weights.dtype) *
                         kChunk;
  EXPECT_GT(reinsert.held_bytes + 4 * chunk, restored.held_bytes);
}

TEST_F(RecallRunTest, FindsOutBeforeItBeginsWhatBufferIsTooSmall) {
  RecallOptions options = SmallOptions();
  options.session.restore.buffer_bytes = 16;
  RecallJournal journal;
  EXPECT_FALSE(Run(options, &journal).ok());
  EXPECT_TRUE(journal.records().empty());
}

TEST_F(RecallRunTest, LeavesOutOfSeveralTasksThoseThatHaveNoRoom) {
  RecallOptions options = SmallOptions();
  options.tasks = {RecallTask::kSingle, RecallTask::kChain};
  options.arms = {RecallArm::kWindow};
  RecallJournal journal;
  const auto source = [](const RecallPromptSpec& spec) -> Result<RecallPrompt> {
    if (spec.task == RecallTask::kChain && spec.length < 400) return InvalidArgument("no room");
    return ToyPrompt(spec);
  };
  const Result<RecallOutcome> outcome =
      RunRecall(engine_.get(), options, ToyRestorers(), source, {}, &journal);
  ASSERT_TRUE(outcome.ok()) << outcome.status().message();
  ASSERT_EQ(outcome->skipped.size(), 1u);
  EXPECT_EQ(outcome->skipped[0].task, RecallTask::kChain);
  EXPECT_NE(outcome->skipped[0].reason.find("no room"), std::string::npos);
  EXPECT_EQ(outcome->records.size(), 3u * 3);
}

TEST_F(RecallRunTest, TellsTheFactOfAChatEarly) {
  RecallOptions options = SmallOptions();
  options.tasks = {RecallTask::kChat};
  options.arms = {RecallArm::kWindow};
  options.n = 8;
  RecallJournal journal;
  const Result<RecallOutcome> outcome = Run(options, &journal);
  ASSERT_TRUE(outcome.ok());
  for (const RecallRecord& record : outcome->records) EXPECT_LT(record.depth, 0.3);
}

TEST(RecallSpecTest, SpreadsTheDepthsEvenlyInAnOrderOfItsOwn) {
  RecallOptions options;
  options.n = 20;
  std::vector<double> depths;
  std::set<uint64_t> seeds;
  for (int64_t i = 0; i < options.n; ++i) {
    const RecallPromptSpec spec = SpecOf(options, RecallTask::kSingle, 1024, i, 0.5);
    depths.push_back(spec.depth);
    seeds.insert(spec.seed);
    EXPECT_EQ(spec.min_distance, 128);
  }
  EXPECT_FALSE(std::is_sorted(depths.begin(), depths.end()));
  std::sort(depths.begin(), depths.end());
  for (int64_t i = 0; i < options.n; ++i) {
    EXPECT_DOUBLE_EQ(depths[i], 0.5 * (static_cast<double>(i) + 0.5) / 20);
  }
  EXPECT_EQ(seeds.size(), 20u);
  EXPECT_NE(SpecOf(options, RecallTask::kSingle, 1024, 0, 1).seed,
            SpecOf(options, RecallTask::kJson, 1024, 0, 1).seed);
  EXPECT_NE(SpecOf(options, RecallTask::kSingle, 1024, 0, 1).seed,
            SpecOf(options, RecallTask::kSingle, 2048, 0, 1).seed);
}

TEST(ReinsertedContextTest, PutsSinksBestChunksAndWindowInTheOrderOfTheText) {
  const KvPolicy policy{.kind = KvPolicy::Kind::kRestored, .sink = 4, .window = 64};
  std::vector<int32_t> history(640, 1);
  history[3 * kChunk + 5] = 77;
  history[1 * kChunk + 9] = 78;
  const std::vector<int32_t> question = {77, 78};
  // The window of the last position (641) begins at 576.
  const std::vector<int32_t> ids = ReinsertedContext(policy, history, question, 2);
  ASSERT_EQ(ids.size(), 4u + 2 * kChunk + 64);
  EXPECT_EQ(ids[4 + 9], 78);
  EXPECT_EQ(ids[4 + kChunk + 5], 77);
  EXPECT_EQ(ReinsertedContext(policy, history, question, INT64_MAX), history);
  // A chunk that holds the sinks brings them along.
  history.assign(640, 1);
  history[10] = 77;
  EXPECT_EQ(ReinsertedContext(policy, history, question, 1).size(), 2u * kChunk);
}

TEST(RecallEtaTest, KnowsWhatIsLeft) {
  EXPECT_EQ(WindowReach(10, {.kind = KvPolicy::Kind::kWindow, .sink = 4, .window = 64}), 1270);
}

}  // namespace
}  // namespace kakeya
