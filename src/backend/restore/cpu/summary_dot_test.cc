#include "backend/restore/cpu/summary_dot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <string_view>
#include <vector>

#include "backend/ops_test_util.h"

namespace kakeya::cpu {
namespace {

TEST(SummaryDotTest, IsExactForEveryShapeAndInstructionSet) {
  std::mt19937 random(1);
  const auto value = [&] { return static_cast<int>(random() % 255) - 127; };
  test::ForEachTarget([&](const char* target) {
    for (const int dim : {4, 8, 32, 100, 128, kMaxSummaryDim}) {
      for (const int segments : {1, 2, 4, 8, 16, 32}) {
        for (const int rows : {1, 3, 4, 7, kMaxScanRows}) {
          std::vector<int16_t> queries(static_cast<size_t>(rows) * dim);
          std::vector<int8_t> summaries(static_cast<size_t>(segments) * dim);
          for (int16_t& q : queries) q = static_cast<int16_t>(value());
          for (int8_t& z : summaries) z = static_cast<int8_t>(value());
          std::vector<int32_t> got(static_cast<size_t>(rows) * segments);
          SummaryDots(queries.data(), rows, summaries.data(), segments, dim, got.data());
          for (int r = 0; r < rows; ++r) {
            for (int s = 0; s < segments; ++s) {
              int32_t want = 0;
              for (int i = 0; i < dim; ++i) {
                want += queries[r * dim + i] * summaries[SummaryIndex(segments, s, i)];
              }
              ASSERT_EQ(got[r * segments + s], want) << target << ", dim " << dim;
            }
          }
        }
      }
    }
  });
}

// Random queries of one shape in all layouts, with the largest values among them.
struct Queries {
  Queries(int rows, int dim, int segments, std::mt19937* random)
      : quads(static_cast<size_t>(dim / 4 * kMaxScanRows * 4)), offsets(kMaxScanRows) {
    for (int i = 0; i < rows * dim; ++i) {
      const auto value = static_cast<int8_t>(static_cast<int>((*random)() % 255) - 127);
      narrow.push_back((*random)() % 9 == 0 ? int8_t{-127} : value);
    }
    wide.assign(narrow.begin(), narrow.end());
    for (int r = 0; r < rows; ++r) {
      const auto row = narrow.begin() + r * dim;
      offsets[r] = -kInt4Bias * std::accumulate(row, row + dim, 0);
      for (int i = 0; i < dim / 4 * 4; ++i) quads[(i / 4 * kMaxScanRows + r) * 4 + i % 4] = row[i];
    }
    for (int r = 0; r < rows; ++r) {
      const size_t first = spread.size();
      spread.resize(first + static_cast<size_t>(dim) * segments);
      for (int i = 0; i < dim * segments; ++i) {
        spread[first + SummaryIndex(segments, i / dim, i % dim)] = narrow[r * dim + i % dim];
      }
    }
    for (int r = 0; r < kMaxScanRows; ++r) {
      scales.push_back(static_cast<float>((*random)() % 1000) / 7919.0f);
    }
    view = {.rows = rows,
            .dim = dim,
            .segments = segments,
            .narrow = narrow.data(),
            .wide = wide.data(),
            .spread = spread.data(),
            .quads = quads.data(),
            .offsets = offsets.data(),
            .scales = scales.data()};
  }

  std::vector<int8_t> narrow;
  std::vector<int16_t> wide;
  std::vector<int8_t> spread;
  std::vector<int8_t> quads;
  std::vector<int32_t> offsets;
  std::vector<float> scales;
  SummaryQueries view;
};

// Both paths on the same chunk. Where the machine has no byte products they are one path, and this
// says nothing.
void ExpectEqualScores(const Queries& queries, const ChunkSummaries& chunk, const ScoreTest& test) {
  const int rows = queries.view.rows;
  std::vector<float> got(kMaxScanRows);
  std::vector<float> want(kMaxScanRows);
  const ScoreFn fastest = FastestScores(rows, queries.view.segments, queries.view.dim);
  EXPECT_EQ(fastest(queries.view, chunk, test, got.data()),
            ScoresPortable(queries.view, chunk, test, want.data()));
  EXPECT_EQ(std::memcmp(got.data(), want.data(), static_cast<size_t>(rows) * sizeof(float)), 0)
      << "dim " << queries.view.dim << ", segments " << queries.view.segments << ", rows " << rows;
}

// Several chunks at once give what each gives by itself.
TEST(SummaryDotTest, RunsOfChunksGiveWhatThePortablePathGives) {
  std::mt19937 random(5);
  for (const int dim : {32, 64, 128}) {
    for (const int segments : {2, 4, 8}) {
      for (int rows = 1; rows <= kFewScanRows; ++rows) {
        constexpr int kCount = 11;
        const Queries queries(rows, dim, segments, &random);
        std::vector<uint8_t> values(static_cast<size_t>(kCount) * segments * dim / 2);
        for (uint8_t& z : values) z = static_cast<uint8_t>(random());
        std::vector<float> scales;
        for (int s = 0; s < kCount * segments; ++s) {
          scales.push_back(s % 13 == 5 ? NAN : static_cast<float>(random() % 1000) / 104729.0f);
        }
        std::vector<ChunkSummaries> chunks;
        for (int c = 0; c < kCount; ++c) {
          chunks.push_back(
              {c, values.data() + c * segments * dim / 2, scales.data() + c * segments});
        }
        for (const int count : {0, 1, 3, 4, 8, kCount}) {
          std::vector<float> got(static_cast<size_t>(count) * rows);
          std::vector<float> want(got.size());
          FastestMosts(segments, dim)(queries.view, chunks.data(), count, got.data());
          MostsPortable(queries.view, chunks.data(), count, want.data());
          EXPECT_TRUE(got.empty() ||
                      std::memcmp(got.data(), want.data(), got.size() * sizeof(float)) == 0)
              << "dim " << dim << ", segments " << segments << ", rows " << rows << ", " << count;
        }
      }
    }
  }
}

TEST(SummaryDotTest, ByteProductsGiveWhatThePortablePathGives) {
  std::mt19937 random(2);
  for (const int dim : {32, 64, 128, 192}) {
    for (const int segments : {1, 2, 4, 8}) {
      for (const int rows : {1, 5, 6, 15, 16, 17, kMaxScanRows}) {
        const Queries queries(rows, dim, segments, &random);
        // All halves, also one that no quantiser makes.
        std::vector<uint8_t> values(static_cast<size_t>(segments) * dim / 2);
        for (uint8_t& z : values) z = static_cast<uint8_t>(random());
        std::vector<float> scales;
        for (int s = 0; s < segments; ++s) {
          scales.push_back(static_cast<float>(random() % 1000) / 104729.0f);
        }
        ScoreTest test;
        for (int r = 0; r < kMaxScanRows; ++r) {
          test.bias[r] = static_cast<float>(random() % 100) / 77.0f - 0.5f;
          test.least[r] = static_cast<float>(random() % 100) / 7.0f;
        }
        test.least[0] = test.bias[0];
        for (int r = rows; r < kMaxScanRows; ++r) test.least[r] = NAN;
        ExpectEqualScores(queries, {0, values.data(), scales.data()}, test);
      }
    }
  }
}

// An infinite scale times a dot product of zero is no number: it must not hide the others.
TEST(SummaryDotTest, ProductsThatAreNoNumbersCountForNothingOnEveryPath) {
  std::mt19937 random(3);
  for (const int rows : {1, 7, kMaxScanRows}) {
    Queries queries(rows, 64, 4, &random);
    queries.scales.assign(kMaxScanRows, 1e30f);
    for (int zeros = 0; zeros < 4; ++zeros) {
      std::vector<int8_t> elements(size_t{4} * 64, -1);
      for (int i = 0; i < 64; ++i) elements[SummaryIndex(4, zeros, i)] = 0;
      std::vector<uint8_t> values(elements.size() / 2);
      PackSummaries(elements.data(), static_cast<int>(elements.size()), values.data());
      std::vector<float> scales = {1e-30f, 1e-30f, 1e-30f, 1e-30f};
      scales[zeros] = 1e30f;
      ScoreTest test;
      test.bias.fill(0.5f);
      test.least.fill(NAN);
      std::fill_n(test.least.begin(), rows, -1e9f);
      const ChunkSummaries chunk{0, values.data(), scales.data()};
      ExpectEqualScores(queries, chunk, test);
      std::vector<float> scores(kMaxScanRows);
      ScoresPortable(queries.view, chunk, test, scores.data());
      for (int r = 0; r < rows; ++r) EXPECT_TRUE(std::isfinite(scores[r])) << zeros;
    }
  }
}

TEST(SummaryDotTest, ForcedInstructionSetsGetThePortablePath) {
  int portable = 0;
  int others = 0;
  test::ForEachTarget([&](const char* target) {
    const bool is_portable = FastestScores(16, 4, 128) == ScoresPortable;
    const bool wide = std::string_view(target).starts_with("AVX3");
    EXPECT_TRUE(is_portable || wide) << target;
    (is_portable ? portable : others) += 1;
  });
  EXPECT_GT(portable + others, 0);
}

TEST(SummaryDotTest, LargestProductsStayExactInFloats) {
  const std::vector<int16_t> query(kMaxSummaryDim, -127);
  const std::vector<int8_t> summary(kMaxSummaryDim, -127);
  int32_t dot = 0;
  SummaryDots(query.data(), 1, summary.data(), 1, kMaxSummaryDim, &dot);
  EXPECT_EQ(dot, kMaxSummaryDim * 127 * 127);
  EXPECT_EQ(static_cast<int32_t>(static_cast<float>(dot)), dot);
  EXPECT_EQ(static_cast<int32_t>(static_cast<float>(dot - 1)), dot - 1);
}

}  // namespace
}  // namespace kakeya::cpu
