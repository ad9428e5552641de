#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "backend/ops_test_util.h"
#include "backend/restore/restore_ops.h"

namespace kakeya {
namespace {

constexpr OpContext kRefContext{.device = Device::kRef};

// Selector queries made on one device from the verifier's.
class Queries {
 public:
  Queries(const OpContext& context, int rows, const SummaryShape& shape, const PackedMatrix& weight,
          const std::vector<float>& q, int64_t stride, const std::vector<float>& bias)
      : narrow_(static_cast<size_t>(rows) * shape.dim),
        wide_(narrow_.size()),
        spread_(static_cast<size_t>(kFewScanRows) * shape.dim * shape.segments),
        quads_(static_cast<size_t>(kMaxScanRows) * shape.dim),
        offsets_(kMaxScanRows),
        scales_(kMaxScanRows),
        thresholds_(kMaxScanRows) {
    view_ = {.rows = rows,
             .dim = shape.dim,
             .segments = shape.segments,
             .narrow = narrow_.data(),
             .wide = wide_.data(),
             .spread = spread_.data(),
             .quads = quads_.data(),
             .offsets = offsets_.data(),
             .scales = scales_.data(),
             .thresholds = thresholds_.data()};
    std::vector<float> gathered(static_cast<size_t>(rows) * weight.cols());
    std::vector<float> projected(static_cast<size_t>(rows) * (shape.dim + 1));
    ProjectQueries(context,
                   {.q = q.data(),
                    .stride = stride,
                    .weight = &weight,
                    .bias = bias.data(),
                    .min_share_log = -3,
                    .gathered = gathered.data(),
                    .projected = projected.data()},
                   &view_);
  }
  Queries(const Queries&) = delete;
  Queries& operator=(const Queries&) = delete;

  const SummaryQueries& view() const { return view_; }
  const std::vector<int8_t>& narrow() const { return narrow_; }
  const std::vector<float>& scales() const { return scales_; }
  const std::vector<float>& thresholds() const { return thresholds_; }

 private:
  std::vector<int8_t> narrow_;
  std::vector<int16_t> wide_;
  std::vector<int8_t> spread_;
  std::vector<int8_t> quads_;
  std::vector<int32_t> offsets_;
  std::vector<float> scales_;
  std::vector<float> thresholds_;
  SummaryQueries view_;
};

// A history's summaries and queries against them, all random.
class Scene {
 public:
  static constexpr int kChunks = 90;
  static constexpr int kInputs = 24;
  static constexpr int64_t kStride = 50;

  Scene(const SummaryShape& shape, int rows, uint32_t seed)
      : random_(seed), shape_(shape), rows_(rows) {
    const std::vector<std::byte> stored =
        test::RandomStored(DType::kBF16, int64_t{shape.dim + 1} * kInputs, &random_);
    const TensorView view{DType::kBF16, {shape.dim + 1, kInputs}, stored.data()};
    weight_ = PackedMatrix::Pack({&view, 1}, &budget_, nullptr, "test").value();
    bias_ = test::RandomFloats(shape.dim + 1, &random_);
    q_ = test::RandomFloats(rows * kStride, &random_);
    distance_ = test::RandomFloats(kDistanceBuckets, &random_);
    const size_t bytes = static_cast<size_t>(shape.segments) * shape.dim / 2;
    values_.resize(kChunks * bytes);
    for (uint8_t& value : values_) value = static_cast<uint8_t>(random_());
    for (int i = 0; i < kChunks * shape.segments; ++i) {
      // Equal scales of equal summaries make ties.
      scales_.push_back(static_cast<float>(random_() % 7) / 500);
    }
    for (int c = 7; c < kChunks; c += 11) {
      std::copy_n(values_.begin(), bytes, values_.begin() + c * bytes);
      std::copy_n(scales_.begin(), shape.segments, scales_.begin() + c * shape.segments);
    }
    for (int64_t c = kChunks - 1; c >= 0; --c) {
      chunks_.push_back({c, values_.data() + c * bytes, scales_.data() + c * shape.segments});
    }
    // The rows stand across a border of chunks, and some see a chunk less than others.
    first_position_ = (kChunks + 2) * kChunk - rows / 2;
    for (int r = 0; r < rows; ++r) {
      window_begin_.push_back(((first_position_ + r) / kChunk - 3) * kChunk);
    }
  }

  Queries On(const OpContext& context) const {
    return Queries(context, rows_, shape_, weight_, q_, kStride, bias_);
  }
  // Each row's best, chunks ascending, from calls with `piece` chunks each.
  std::vector<std::vector<std::pair<int64_t, float>>> Best(const OpContext& context, size_t piece,
                                                           int64_t max) const {
    const Queries queries = On(context);
    const ScanArgs args{.queries = &queries.view(),
                        .distance = distance_.data(),
                        .first_position = first_position_,
                        .window_begin = window_begin_.data(),
                        .max_chunks = max};
    std::vector<BestChunks> best(static_cast<size_t>(rows_));
    for (size_t done = 0; done < chunks_.size(); done += piece) {
      const size_t count = std::min(piece, chunks_.size() - done);
      ScanChunks(context, args, {chunks_.data() + done, count}, best);
    }
    std::vector<std::vector<std::pair<int64_t, float>>> out;
    for (const BestChunks& row : best) {
      std::vector<std::pair<int64_t, float>> sorted;
      for (const ScoredChunk& chosen : row) sorted.emplace_back(chosen.chunk, chosen.score);
      std::sort(sorted.begin(), sorted.end());
      out.push_back(sorted);
    }
    return out;
  }

  std::vector<float>* q() { return &q_; }
  std::vector<float>* scales() { return &scales_; }
  const std::vector<int64_t>& window_begin() const { return window_begin_; }

 private:
  std::mt19937 random_;
  MemoryBudget budget_;
  SummaryShape shape_;
  int rows_;
  PackedMatrix weight_;
  std::vector<float> bias_;
  std::vector<float> q_;
  std::vector<float> distance_;
  std::vector<uint8_t> values_;
  std::vector<float> scales_;
  std::vector<ChunkSummaries> chunks_;
  int64_t first_position_ = 0;
  std::vector<int64_t> window_begin_;
};

constexpr SummaryShape kShapes[] = {{4, 36, 3}, {8, 128, 8}, {4, 64, 4}, {2, 12, 3}};
constexpr int kRows[] = {1, 5, 6, 16, 17, kMaxScanRows};

TEST(ProjectQueriesTest, EveryDeviceAndInstructionSetGivesTheBitsOfTheReference) {
  for (const SummaryShape& shape : kShapes) {
    for (const int rows : kRows) {
      Scene scene(shape, rows, 11);
      (*scene.q())[3] = NAN;
      if (rows > 2) (*scene.q())[Scene::kStride] = INFINITY;
      const Queries want = scene.On(kRefContext);
      EXPECT_TRUE(std::isnan(want.thresholds()[0]));
      test::ForEachTarget([&](const char* target) {
        const Queries got = scene.On({});
        EXPECT_EQ(got.narrow(), want.narrow()) << target;
        for (int r = 0; r < rows; ++r) {
          EXPECT_TRUE(test::BitEqual(&got.scales()[r], &want.scales()[r], 1)) << target;
          EXPECT_TRUE(test::BitEqual(&got.thresholds()[r], &want.thresholds()[r], 1)) << target;
        }
      });
    }
  }
}

TEST(ScanChunksTest, EveryDeviceAndInstructionSetGivesTheBitsOfTheReferenceHoweverItIsCut) {
  for (const SummaryShape& shape : kShapes) {
    for (const int rows : kRows) {
      Scene scene(shape, rows, 12);
      (*scene.q())[3] = NAN;
      (*scene.scales())[5] = INFINITY;
      for (const int64_t max : {1, 4, 1000}) {
        const auto want = scene.Best(kRefContext, Scene::kChunks, max);
        EXPECT_TRUE(want[0].empty());
        EXPECT_TRUE(rows == 1 || !want[1].empty());
        test::ForEachTarget([&](const char* target) {
          for (const size_t piece : {1, 16, 33, Scene::kChunks}) {
            EXPECT_EQ(scene.Best({}, piece, max), want)
                << target << ", dim " << shape.dim << ", rows " << rows << ", pieces of " << piece;
          }
        });
        EXPECT_EQ(scene.Best(kRefContext, 7, max), want);
      }
    }
  }
}

// What is chosen of few is chosen of many, too; and nothing that a row doesn't see.
TEST(ScanChunksTest, MoreChunksContainFewerAndNoneFromTheWindow) {
  for (const Device device : {Device::kRef, Device::kCpu}) {
    const Scene scene(kShapes[1], 17, 13);
    const auto few = scene.Best({.device = device}, 20, 3);
    const auto many = scene.Best({.device = device}, 20, 9);
    size_t chosen = 0;
    for (size_t r = 0; r < few.size(); ++r) {
      EXPECT_LE(few[r].size(), 3u);
      EXPECT_EQ(few[r].size(), std::min<size_t>(many[r].size(), 3));  // all above the threshold
      EXPECT_TRUE(std::includes(many[r].begin(), many[r].end(), few[r].begin(), few[r].end()));
      for (const auto& [chunk, score] : many[r]) {
        EXPECT_LT(chunk, scene.window_begin()[r] / kChunk);
      }
      chosen += few[r].size();
    }
    EXPECT_GT(chosen, few.size());
  }
}

}  // namespace
}  // namespace kakeya
