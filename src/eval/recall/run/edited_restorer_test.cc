#include "eval/recall/run/edited_restorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "eval/recall/run/history_edit.h"

namespace kakeya {
namespace {

// Remembers what it was told and asked.
class Witness : public Restorer {
 public:
  struct Log {
    std::vector<int32_t> ids;
    std::vector<uint8_t> excluded;
    int layer = -1;
    int64_t restored = -1;
    std::vector<PageKey> prefetched;
    bool refuses = false;
  };
  explicit Witness(Log* log) : log_(log) {}

  Status Extend(const OpContext& /*context*/, std::span<const int32_t> ids) override {
    if (log_->refuses) return ResourceExhausted("no more");
    log_->ids.insert(log_->ids.end(), ids.begin(), ids.end());
    return OkStatus();
  }
  Status Truncate(const OpContext& /*context*/, int64_t n) override {
    log_->ids.resize(static_cast<size_t>(n));
    return OkStatus();
  }
  int64_t size() const override { return static_cast<int64_t>(log_->ids.size()); }
  Status Select(const OpContext& /*context*/, const SelectQueries& queries,
                std::span<std::vector<ChunkVisit>> visits) override {
    log_->excluded.assign(queries.excluded.begin(), queries.excluded.end());
    visits[0] = {{queries.first_chunk, 1}};
    return OkStatus();
  }
  Status BeginLayer(const OpContext& /*context*/, int layer) override {
    log_->layer = layer;
    return OkStatus();
  }
  void Prefetch(const OpContext& /*context*/, std::span<const PageKey> pages) override {
    log_->prefetched.assign(pages.begin(), pages.end());
  }
  Status Load(const OpContext& /*context*/, const PageRequest& request) const override {
    log_->restored = request.key.chunk;
    return NotFound("no numbers");
  }
  int64_t max_distance() const override { return 640; }
  size_t history_bytes() const override { return 17; }

 private:
  Log* log_;
};

std::vector<int32_t> Count(int32_t from, size_t n) {
  std::vector<int32_t> ids(n);
  std::iota(ids.begin(), ids.end(), from);
  return ids;
}

class EditedRestorerTest : public testing::Test {
 protected:
  EditedRestorer Make(HistoryEdit edit) {
    return EditedRestorer(std::make_unique<Witness>(&log_), std::move(edit));
  }
  Witness::Log log_;
  OpContext context_;
};

TEST_F(EditedRestorerTest, TellsTheEditedIdsHoweverTheTextIsCut) {
  const std::vector<int32_t> truth = Count(0, 200);
  const std::vector<int32_t> edited = Count(1000, 130);
  std::vector<int32_t> expected = truth;
  std::copy(edited.begin(), edited.end(), expected.begin());
  for (const size_t piece : {1, 7, 64, 129, 130, 131, 200}) {
    log_ = {};
    EditedRestorer restorer = Make({.ids = edited, .excluded = {}});
    for (size_t at = 0; at < truth.size(); at += piece) {
      const size_t n = std::min(piece, truth.size() - at);
      ASSERT_TRUE(restorer.Extend(context_, std::span(truth).subspan(at, n)).ok());
      EXPECT_EQ(restorer.size(), static_cast<int64_t>(at + n));
    }
    EXPECT_EQ(log_.ids, expected) << piece;
  }
}

TEST_F(EditedRestorerTest, TellsTheTruthWithoutAnEdit) {
  EditedRestorer restorer = Make({});
  const std::vector<int32_t> truth = Count(5, 90);
  ASSERT_TRUE(restorer.Extend(context_, truth).ok());
  EXPECT_EQ(log_.ids, truth);
}

TEST_F(EditedRestorerTest, PassesAnErrorOnAndTellsTheSameAgain) {
  EditedRestorer restorer = Make({.ids = Count(1000, 10), .excluded = {}});
  log_.refuses = true;
  EXPECT_FALSE(restorer.Extend(context_, Count(0, 20)).ok());
  log_.refuses = false;
  ASSERT_TRUE(restorer.Extend(context_, Count(0, 20)).ok());
  EXPECT_EQ(log_.ids[9], 1009);
  EXPECT_EQ(log_.ids[10], 10);
}

TEST_F(EditedRestorerTest, ExcludesChunksAndPassesAllElseThrough) {
  EditedRestorer restorer = Make({.ids = {}, .excluded = {0, 1, 1}});
  std::vector<std::vector<ChunkVisit>> visits(1);
  SelectQueries queries;
  queries.first_chunk = 4;
  ASSERT_TRUE(restorer.Select(context_, queries, visits).ok());
  EXPECT_EQ(log_.excluded, (std::vector<uint8_t>{0, 1, 1}));
  ASSERT_EQ(visits[0].size(), 1u);
  EXPECT_EQ(visits[0][0].chunk, 4);
  EXPECT_TRUE(restorer.BeginLayer(context_, 3).ok());
  EXPECT_EQ(log_.layer, 3);
  EXPECT_EQ(restorer.Load(context_, {.key = {.chunk = 9}}).code(), StatusCode::kNotFound);
  EXPECT_EQ(log_.restored, 9);
  const PageKey key{.layer = 1, .kv_head = 2, .chunk = 3};
  restorer.Prefetch(context_, {&key, 1});
  EXPECT_EQ(log_.prefetched, std::vector<PageKey>{key});
  EXPECT_EQ(restorer.max_distance(), 640);
  EXPECT_EQ(restorer.history_bytes(), 17u);
}

using Chunks = std::vector<uint8_t>;

TEST(RecallEditTest, NamesTheChunksThatHoldARangeAndThoseThatFollow) {
  EXPECT_EQ(ChunksOf({{70, 80}}, 0, 320), (Chunks{0, 1, 0, 0, 0}));
  EXPECT_EQ(ChunksOf({{70, 80}}, 2, 320), (Chunks{0, 1, 1, 1, 0}));
  EXPECT_EQ(ChunksOf({{63, 65}}, 0, 320), (Chunks{1, 1, 0, 0, 0}));
  EXPECT_EQ(ChunksOf({{64, 128}}, 0, 320), (Chunks{0, 1, 0, 0, 0}));
  EXPECT_EQ(ChunksOf({{0, 1}, {200, 201}}, 0, 321), (Chunks{1, 0, 0, 1, 0, 0}));
  EXPECT_EQ(ChunksOf({{70, 80}}, INT32_MAX, 320), (Chunks{0, 1, 1, 1, 1}));
  EXPECT_EQ(ChunksOf({{5, 5}}, 1, 128), (Chunks{0, 0}));
}

class RecallEditOfArmTest : public testing::Test {
 protected:
  RecallEditOfArmTest() {
    prompt_.context = Count(0, 300);
    prompt_.edited_context = prompt_.context;
    prompt_.edited_context[70] = 9999;
    prompt_.needles = {{66, 72}};
  }
  HistoryEdit Edit(RecallArm arm) const {
    return EditFor(arm, {.prompt = prompt_,
                         .foreign = foreign_,
                         .proposer_layers = 2,
                         .total_tokens = 400,
                         .seed = 3});
  }
  RecallPrompt prompt_;
  std::vector<int32_t> foreign_ = Count(5000, 250);
};

TEST_F(RecallEditOfArmTest, LeavesTheTruthToTheArmsThatRestoreIt) {
  for (const RecallArm arm : {RecallArm::kRestored, RecallArm::kUntrained, RecallArm::kSelf}) {
    EXPECT_TRUE(Edit(arm).ids.empty()) << NameOf(arm);
    EXPECT_TRUE(Edit(arm).excluded.empty()) << NameOf(arm);
  }
}

TEST_F(RecallEditOfArmTest, TellsAnotherTextOfTheSameLength) {
  const HistoryEdit edit = Edit(RecallArm::kForeign);
  ASSERT_EQ(edit.ids.size(), prompt_.context.size());
  EXPECT_EQ(edit.ids[0], 5000);
  EXPECT_EQ(edit.ids[250], 5000);
  EXPECT_TRUE(edit.excluded.empty());
}

TEST_F(RecallEditOfArmTest, ShufflesAllPositionsByTheSeedAlone) {
  const std::vector<int32_t> shuffled = Edit(RecallArm::kShuffled).ids;
  EXPECT_NE(shuffled, prompt_.context);
  EXPECT_EQ(shuffled, Edit(RecallArm::kShuffled).ids);
  EXPECT_NE(shuffled, Shuffled(prompt_.context, 4));
  std::vector<int32_t> sorted = shuffled;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, prompt_.context);
  int64_t still_there = 0;
  for (size_t i = 0; i < shuffled.size(); ++i) still_there += shuffled[i] == prompt_.context[i];
  EXPECT_LT(still_there, 8);
}

TEST_F(RecallEditOfArmTest, EditsTheValueAndNothingElse) {
  const std::vector<int32_t> told = Edit(RecallArm::kCounterfactual).ids;
  ASSERT_EQ(told.size(), prompt_.context.size());
  for (size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i], i == 70 ? 9999 : prompt_.context[i]);
  }
}

TEST_F(RecallEditOfArmTest, DropsEveryChunkThatDependsOnTheNeedle) {
  EXPECT_EQ(Edit(RecallArm::kWithoutNeedle).excluded, (Chunks{0, 1, 1, 1, 0, 0, 0}));
}

TEST_F(RecallEditOfArmTest, TellsNothingOfTheNeedleWhereItIsMissing) {
  const std::vector<int32_t> told = Edit(RecallArm::kWithoutNeedle).ids;
  ASSERT_EQ(told.size(), prompt_.context.size());
  for (size_t i = 0; i < told.size(); ++i) {
    const bool needle = i >= 66 && i < 72;
    EXPECT_EQ(told[i], prompt_.context[needle ? i - 6 : i]);
  }
  // Whatever the needle says, what is told is the same.
  prompt_.context = prompt_.edited_context;
  EXPECT_EQ(Edit(RecallArm::kWithoutNeedle).ids, told);
}

TEST(RecallEditTest, OverwritesRangesByWhatStandsBeforeThem) {
  using Ids = std::vector<int32_t>;
  const Ids ids = Count(0, 8);
  EXPECT_EQ(Overwritten(ids, {}), ids);
  EXPECT_EQ(Overwritten(ids, {{4, 6}}), (Ids{0, 1, 2, 3, 2, 3, 6, 7}));
  EXPECT_EQ(Overwritten(ids, {{2, 7}}), (Ids{0, 1, 0, 1, 0, 1, 0, 7}));
  // Never by what another range holds.
  EXPECT_EQ(Overwritten(ids, {{2, 4}, {4, 6}}), (Ids{0, 1, 0, 1, 0, 1, 6, 7}));
  EXPECT_EQ(Overwritten(ids, {{2, 4}, {5, 7}}), (Ids{0, 1, 0, 1, 4, 1, 4, 7}));
  EXPECT_EQ(Overwritten(ids, {{0, 2}, {3, 4}}), (Ids{2, 4, 2, 2, 4, 5, 6, 7}));
  EXPECT_EQ(Overwritten(ids, {{2, 4}, {3, 5}}), (Ids{0, 1, 0, 0, 1, 5, 6, 7}));
  EXPECT_EQ(Overwritten(ids, {{0, 7}}), Ids(8, 7));
}

TEST_F(RecallEditOfArmTest, LeavesTheNeedlesChunksAloneToTheEndOfTheSession) {
  EXPECT_EQ(Edit(RecallArm::kOnlyNeedle).excluded, (Chunks{1, 0, 1, 1, 1, 1, 1}));
}

}  // namespace
}  // namespace kakeya
