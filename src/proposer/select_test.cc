#include "proposer/select.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "backend/restore/quantize.h"
#include "cache/window.h"
#include "proposer/proposer_test_util.h"

namespace kakeya {
namespace {

using test::RandomFloats;
using test::RandomIds;
using test::TinyModels;
using Visits = std::vector<std::vector<ChunkVisit>>;

// Chunks that one row of one KV head visits.
std::vector<int64_t> ChunksOf(const Visits& visits, int head, int row) {
  std::vector<int64_t> out;
  for (const ChunkVisit& visit : visits[head]) {
    if ((visit.rows >> row & 1) != 0) out.push_back(visit.chunk);
  }
  return out;
}

class SelectTest : public testing::Test {
 protected:
  static constexpr int64_t kChunks = 20;

  SelectTest() {
    // Nothing falls below the threshold unless a test says so.
    models_.restorer.config.min_share_log = -100;
    restorer_ = models_.Learned();
    EXPECT_TRUE(restorer_->Extend({}, RandomIds(kChunks * kChunk, 31)).ok());
    // Distances matter in every bucket.
    for (SelectMap& map : models_.restorer.select) {
      const std::vector<float> values = RandomFloats(kDistanceBuckets, &random_);
      std::copy(values.begin(), values.end(), map.distance.as<float>());
    }
  }

  int kv_heads() const { return models_.verifier.config.common_layer().num_kv_heads; }
  History& history() const { return test::Editable(*restorer_); }

  // A block of rows that ends at the last position, with the window of 64.
  SelectQueries Block(int rows) {
    q_ = RandomFloats(int64_t{rows} * models_.verifier.config.common_layer().q_size(), &random_);
    SelectQueries queries{.layer = 1,
                          .q = q_.data(),
                          .rows = rows,
                          .first_position = kChunks * kChunk - rows - 20,
                          .window_begin = {},
                          .max_chunks = 3};
    window_begin_.clear();
    for (int r = 0; r < rows; ++r) {
      window_begin_.push_back(
          WindowBegin({.kind = KvPolicy::Kind::kRestored}, queries.first_position + r));
    }
    queries.window_begin = window_begin_;
    return queries;
  }
  Visits Select(const SelectQueries& queries, const OpContext& context = {}) {
    Visits visits(kv_heads());
    EXPECT_TRUE(restorer_->Select(context, queries, visits).ok());
    for (const std::vector<ChunkVisit>& head : visits) {
      EXPECT_TRUE(std::is_sorted(head.begin(), head.end(),
                                 [](const auto& a, const auto& b) { return a.chunk < b.chunk; }));
      for (const ChunkVisit& visit : head) EXPECT_NE(visit.rows, 0u);
    }
    return visits;
  }

  struct Scores {
    float null = 0;
    std::map<int64_t, float> chunks;
  };
  // One row of one KV head, as the formulas read.
  Scores ScoresOf(const SelectQueries& queries, int head, int row) const {
    const RestorerConfig& config = models_.restorer.config;
    const SelectMap& map = models_.restorer.select_at(queries.layer, head);
    const int dim = config.summary.dim;
    const float* y = queries.q + int64_t{row} * models_.verifier.config.common_layer().q_size() +
                     head * config.select_inputs();
    std::vector<float> s(dim + 1);
    MatMul({.device = Device::kRef}, y, 1, map.weight, s.data());
    for (int i = 0; i <= dim; ++i) s[i] += map.bias.as<float>()[i];
    std::vector<int8_t> q(dim);
    const float scale = QuantizeInt8(s.data(), dim, q.data());
    Scores out;
    out.null = s[dim];
    for (int64_t c = queries.first_chunk; c < queries.window_begin[row] / kChunk; ++c) {
      const ChunkRecord record = restorer_->history().At(c);
      float best = -INFINITY;
      for (int segment = 0; segment < config.summary.segments; ++segment) {
        int64_t dot = 0;
        const std::vector<int8_t> summary = test::SummaryOf(record, config, segment);
        for (int i = 0; i < dim; ++i) dot += q[i] * summary[i];
        best = std::max(best, static_cast<float>(dot) * (scale * record.summary_scales[segment]));
      }
      const int64_t distance = (queries.first_position + row) / kChunk - c;
      int bucket = 0;
      while (bucket < kDistanceBuckets - 1 && (int64_t{2} << bucket) <= distance) ++bucket;
      out.chunks[c] = best + map.distance.as<float>()[bucket];
    }
    return out;
  }
  // What should be chosen.
  std::vector<int64_t> Best(const SelectQueries& queries, int head, int row) const {
    const Scores scores = ScoresOf(queries, head, row);
    std::vector<std::pair<float, int64_t>> order;
    for (const auto& [chunk, score] : scores.chunks) {
      if (score >= scores.null + models_.restorer.config.min_share_log) {
        order.emplace_back(-score, chunk);
      }
    }
    std::sort(order.begin(), order.end());
    std::vector<int64_t> out;
    for (const auto& [score, chunk] : order) {
      if (static_cast<int64_t>(out.size()) < queries.max_chunks) out.push_back(chunk);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  void ExpectBest(const SelectQueries& queries, const Visits& visits) {
    for (int head = 0; head < kv_heads(); ++head) {
      for (int row = 0; row < queries.rows; ++row) {
        EXPECT_EQ(ChunksOf(visits, head, row), Best(queries, head, row)) << "row " << row;
      }
    }
  }

  std::mt19937 random_{17};
  TinyModels models_;
  std::unique_ptr<LearnedRestorer> restorer_;
  std::vector<float> q_;
  std::vector<int64_t> window_begin_;
};

TEST_F(SelectTest, EveryRowGetsItsBestChunks) {
  for (const int rows : {1, 5, 16, 17, 64}) {
    const SelectQueries queries = Block(rows);
    ExpectBest(queries, Select(queries));
  }
}

TEST_F(SelectTest, ChoicesOfHeadsAndRowsDiffer) {
  const SelectQueries queries = Block(32);
  const Visits visits = Select(queries);
  int different = 0;
  for (int row = 1; row < queries.rows; ++row) {
    different += ChunksOf(visits, 0, row) != ChunksOf(visits, 0, 0);
    different += ChunksOf(visits, 0, row) != ChunksOf(visits, 1, row);
  }
  EXPECT_GT(different, 32);
}

TEST_F(SelectTest, NeighboursAndThreadsDoNotShow) {
  const SelectQueries queries = Block(64);
  const Visits together = Select(queries);
  for (ThreadPool* pool : test::AllPools()) {
    const Visits other = Select(queries, {.pool = pool});
    for (int head = 0; head < kv_heads(); ++head) {
      for (int row = 0; row < 64; ++row) {
        EXPECT_EQ(ChunksOf(other, head, row), ChunksOf(together, head, row));
      }
    }
  }
  for (int row = 0; row < 64; ++row) {
    SelectQueries alone = queries;
    alone.q += int64_t{row} * models_.verifier.config.common_layer().q_size();
    alone.rows = 1;
    alone.first_position += row;
    alone.window_begin = queries.window_begin.subspan(row, 1);
    const Visits one = Select(alone);
    for (int head = 0; head < kv_heads(); ++head) {
      EXPECT_EQ(ChunksOf(one, head, 0), ChunksOf(together, head, row));
    }
  }
}

TEST_F(SelectTest, TiesGoToTheLowestChunk) {
  // All chunks of distance 4 to 7 and 8 to 15 are the same; no bucket is better than another.
  const RestorerConfig& config = models_.restorer.config;
  for (SelectMap& map : models_.restorer.select) {
    std::fill_n(map.distance.as<float>(), kDistanceBuckets, 0.25f);
  }
  const ChunkRecord first = history().At(3);
  for (int64_t c = 4; c < kChunks; ++c) {
    const MutableChunkRecord record = history().MutableAt(c);
    std::copy_n(first.summaries, config.summary.segments * config.summary.dim / 2,
                record.summaries);
    std::copy_n(first.summary_scales, config.summary.segments, record.summary_scales);
  }
  SelectQueries queries = Block(3);
  queries.first_chunk = 3;
  const Visits visits = Select(queries);
  for (int row = 0; row < 3; ++row) {
    EXPECT_EQ(ChunksOf(visits, 0, row), (std::vector<int64_t>{3, 4, 5}));
  }
}

TEST_F(SelectTest, ASmallerNumberOfChunksIsAmongALargerOne) {
  SelectQueries queries = Block(16);
  Visits before(kv_heads());
  for (queries.max_chunks = 1; queries.max_chunks <= kChunks; ++queries.max_chunks) {
    const Visits visits = Select(queries);
    for (int head = 0; head < kv_heads(); ++head) {
      for (int row = 0; row < queries.rows; ++row) {
        const std::vector<int64_t> few = ChunksOf(before, head, row);
        const std::vector<int64_t> many = ChunksOf(visits, head, row);
        EXPECT_TRUE(std::includes(many.begin(), many.end(), few.begin(), few.end()));
      }
    }
    before = visits;
  }
}

TEST_F(SelectTest, DevicesDoNotShow) {
  for (const int rows : {1, 5, 17, 64}) {
    const SelectQueries queries = Block(rows);
    ExpectBest(queries, Select(queries, {.device = Device::kRef}));
  }
}

TEST_F(SelectTest, ThresholdCutsOffInTheMiddle) {
  SelectQueries queries = Block(1);
  queries.max_chunks = kChunks;
  const Scores scores = ScoresOf(queries, 0, 0);
  std::vector<float> sorted;
  for (const auto& [chunk, score] : scores.chunks) sorted.push_back(score);
  std::sort(sorted.begin(), sorted.end());
  models_.restorer.config.min_share_log = sorted[sorted.size() / 2] - scores.null + 1e-5f;
  const Visits visits = Select(queries);
  ExpectBest(queries, visits);
  const size_t chosen = ChunksOf(visits, 0, 0).size();
  EXPECT_GE(chosen, sorted.size() / 2 - 1);
  EXPECT_LE(chosen, sorted.size() / 2 + 1);
}

TEST_F(SelectTest, AllMeansEveryEvictedChunkWhateverItsScore) {
  models_.restorer.config.min_share_log = 100;
  SelectQueries queries = Block(64);
  EXPECT_TRUE(Select(queries)[0].empty());
  queries.max_chunks = kAllChunks;
  queries.first_chunk = 2;
  const Visits visits = Select(queries);
  for (int row = 0; row < 64; ++row) {
    std::vector<int64_t> want;
    for (int64_t c = 2; c < queries.window_begin[row] / kChunk; ++c) want.push_back(c);
    for (int head = 0; head < kv_heads(); ++head) EXPECT_EQ(ChunksOf(visits, head, row), want);
  }
  EXPECT_NE(queries.window_begin[0], queries.window_begin[63]);  // or the rows are all alike
}

TEST_F(SelectTest, NothingEvictedMeansNothingChosen) {
  SelectQueries queries = Block(1);
  const int64_t begin = 2 * kChunk;
  queries.window_begin = {&begin, 1};
  queries.first_position = begin + 70;
  queries.first_chunk = 2;
  for (const int64_t max : {int64_t{1}, kAllChunks}) {
    queries.max_chunks = max;
    EXPECT_TRUE(Select(queries)[0].empty());
  }
}

TEST_F(SelectTest, QueriesThatAreNoNumbersChooseNothing) {
  SelectQueries queries = Block(4);
  q_[2] = NAN;
  q_[models_.verifier.config.common_layer().q_size()] = INFINITY;
  const Visits visits = Select(queries);
  EXPECT_TRUE(ChunksOf(visits, 0, 0).empty());
  EXPECT_TRUE(ChunksOf(visits, 0, 1).empty());
  EXPECT_EQ(ChunksOf(visits, 1, 0).size(), 3u);
  EXPECT_EQ(ChunksOf(visits, 0, 2).size(), 3u);
}

TEST(DistanceTest, EachPowerOfTwoHasItsBucket) {
  TinyModels models;
  models.restorer.config.min_share_log = -100;
  const auto restorer = models.Learned();
  constexpr int64_t kChunks = 40;
  ASSERT_TRUE(restorer->Extend({}, RandomIds(kChunks * kChunk, 32)).ok());
  std::mt19937 random(1);
  const std::vector<float> q =
      RandomFloats(models.verifier.config.common_layer().q_size(), &random);
  const int64_t begin = 38 * kChunk;
  for (int bucket = 1; bucket <= 5; ++bucket) {
    // Only this bucket's chunks stand above the threshold.
    for (SelectMap& map : models.restorer.select) {
      std::fill_n(map.distance.as<float>(), kDistanceBuckets, -1e6f);
      map.distance.as<float>()[bucket] = 0;
    }
    const SelectQueries queries{.q = q.data(),
                                .rows = 1,
                                .first_position = 39 * kChunk + 5,
                                .window_begin = {&begin, 1},
                                .max_chunks = kChunks};
    Visits visits(models.verifier.config.common_layer().num_kv_heads);
    ASSERT_TRUE(restorer->Select({}, queries, visits).ok());
    std::vector<int64_t> want;
    for (int64_t c = 0; c < 38; ++c) {
      if (39 - c >= int64_t{1} << bucket && 39 - c < int64_t{2} << bucket) want.push_back(c);
    }
    EXPECT_EQ(ChunksOf(visits, 0, 0), want) << "bucket " << bucket;
  }
}

}  // namespace
}  // namespace kakeya
