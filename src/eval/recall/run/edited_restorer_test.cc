#include "eval/recall/run/edited_restorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "eval/recall/run/history_edit.h"

namespace kakeya {
namespace {

// Remembers what it was told and asked.
class Witness : public Restorer {
 public:
  struct Log {
    std::vector<int32_t> ids;
    int64_t asked = 0;  // calls of Select
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
    ++log_->asked;
    for (size_t head = 0; head < visits.size(); ++head) {
      visits[head].clear();
      for (int row = 0; row < queries.rows; ++row) {
        for (const int64_t chunk : Best(static_cast<int>(head), row, queries, {})) {
          AddVisit(chunk, row, &visits[head]);
        }
      }
    }
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

  // What a row chooses, by scores made of all that matters; some chunks are not good enough.
  static std::vector<int64_t> Best(int head, int row, const SelectQueries& queries,
                                   const std::vector<uint8_t>& excluded) {
    std::vector<std::pair<uint32_t, int64_t>> order;
    for (int64_t c = queries.first_chunk; c < queries.window_begin[row] / kChunk; ++c) {
      uint32_t score =
          static_cast<uint32_t>(c) * 0x9e3779b1u + head * 0x85ebca77u + row * 0xc2b2ae3du;
      score = (score ^ score >> 15) * 0x2c1b3c6du;
      score = (score ^ score >> 12) % 100;
      const bool out = c < static_cast<int64_t>(excluded.size()) && excluded[c] != 0;
      if (!out && (score >= 10 || queries.max_chunks == kAllChunks)) order.emplace_back(score, c);
    }
    std::sort(order.rbegin(), order.rend());
    std::vector<int64_t> chunks;
    for (const auto& [score, chunk] : order) {
      if (static_cast<int64_t>(chunks.size()) < queries.max_chunks) chunks.push_back(chunk);
    }
    std::sort(chunks.begin(), chunks.end());
    return chunks;
  }

 private:
  static void AddVisit(int64_t chunk, int row, std::vector<ChunkVisit>* visits) {
    const auto at = std::lower_bound(
        visits->begin(), visits->end(), chunk,
        [](const ChunkVisit& visit, int64_t value) { return visit.chunk < value; });
    if (at != visits->end() && at->chunk == chunk) {
      at->rows |= uint64_t{1} << row;
    } else {
      visits->insert(at, {chunk, uint64_t{1} << row});
    }
  }

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

// What every row gets with these chunks excluded is what it would choose of the others.
void ExpectBestOfTheOthers(EditedRestorer* restorer, const SelectQueries& queries,
                           const std::vector<uint8_t>& excluded) {
  std::vector<std::vector<ChunkVisit>> visits(2);
  ASSERT_TRUE(restorer->Select({}, queries, visits).ok());
  for (int head = 0; head < 2; ++head) {
    for (int row = 0; row < queries.rows; ++row) {
      std::vector<int64_t> got;
      for (const ChunkVisit& visit : visits[head]) {
        EXPECT_NE(visit.rows, 0u);
        if ((visit.rows >> row & 1) != 0) got.push_back(visit.chunk);
      }
      EXPECT_EQ(got, Witness::Best(head, row, queries, excluded)) << "head " << head;
    }
  }
}

TEST_F(EditedRestorerTest, ExcludedChunksMakeRoomForTheNextBest) {
  std::mt19937 random(4);
  for (const int rows : {1, 5, kMaxSelectRows}) {
    std::vector<int64_t> window_begin;
    for (int r = 0; r < rows; ++r) window_begin.push_back((r < rows / 2 ? 28 : 30) * kChunk);
    for (const int one_in : {1, 2, 7, 40}) {
      std::vector<uint8_t> excluded(27);  // shorter than the history
      for (uint8_t& flag : excluded) flag = random() % one_in == 0 ? 1 : 0;
      EditedRestorer restorer = Make({.ids = {}, .excluded = excluded});
      for (const int64_t max : {int64_t{1}, int64_t{3}, int64_t{8}, int64_t{29}, kAllChunks}) {
        SelectQueries queries;
        queries.rows = rows;
        queries.first_chunk = 2;
        queries.window_begin = window_begin;
        queries.max_chunks = max;
        ExpectBestOfTheOthers(&restorer, queries, excluded);
      }
    }
  }
}

TEST_F(EditedRestorerTest, AsksOnceWhereNothingOrNearlyAllIsExcluded) {
  const int64_t begin = 60 * kChunk;
  for (const uint8_t others : {0, 1}) {
    std::vector<uint8_t> excluded(60, others);
    excluded[30] = excluded[31] = 0;
    log_ = {};
    EditedRestorer restorer = Make({.ids = {}, .excluded = excluded});
    SelectQueries queries;
    queries.rows = 1;
    queries.window_begin = {&begin, 1};
    queries.max_chunks = 8;
    ExpectBestOfTheOthers(&restorer, queries, excluded);
    EXPECT_EQ(log_.asked, 1);
  }
}

TEST_F(EditedRestorerTest, PassesAllElseThrough) {
  EditedRestorer restorer = Make({.ids = {}, .excluded = {0, 1, 1}});
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
