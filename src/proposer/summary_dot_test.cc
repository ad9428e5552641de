#include "proposer/summary_dot.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

#include "proposer/proposer_test_util.h"
#include "proposer/quantize.h"

namespace kakeya {
namespace {

TEST(SummaryDotTest, IsExactForEveryShapeAndInstructionSet) {
  std::mt19937 random(1);
  const auto value = [&] { return static_cast<int>(random() % 255) - 127; };
  test::ForEachTarget([&](const char* target) {
    for (const int dim : {1, 8, 31, 32, 100, 128, kMaxSummaryDim}) {
      for (const int segments : {1, 4}) {
        for (const int rows : {1, 3, 4, 7, kMaxDotRows}) {
          std::vector<int16_t> queries(static_cast<size_t>(rows) * dim);
          std::vector<int8_t> summaries(static_cast<size_t>(segments) * dim);
          for (int16_t& q : queries) q = static_cast<int16_t>(value());
          for (int8_t& z : summaries) z = static_cast<int8_t>(value());
          std::vector<int32_t> got(static_cast<size_t>(rows) * segments);
          SummaryDots(queries.data(), rows, summaries.data(), segments, dim, got.data());
          for (int r = 0; r < rows; ++r) {
            for (int s = 0; s < segments; ++s) {
              int32_t want = 0;
              for (int i = 0; i < dim; ++i) want += queries[r * dim + i] * summaries[s * dim + i];
              ASSERT_EQ(got[r * segments + s], want) << target << ", dim " << dim;
            }
          }
        }
      }
    }
  });
}

// Where the machine has no byte products both are the same path, and this says nothing.
TEST(SummaryDotTest, ByteProductsGiveWhatThePortablePathGives) {
  std::mt19937 random(2);
  const auto value = [&] { return static_cast<int8_t>(static_cast<int>(random() % 255) - 127); };
  for (const int dim : {32, 64, 128, 192}) {
    for (const int segments : {1, 2, 4, 8}) {
      for (const int rows : {1, 5, kMaxDotRows}) {
        std::vector<int8_t> narrow(static_cast<size_t>(rows) * dim);
        std::vector<int8_t> values(static_cast<size_t>(segments) * dim);
        for (int8_t& q : narrow) q = random() % 9 == 0 ? int8_t{-127} : value();
        for (int8_t& z : values) z = random() % 9 == 0 ? int8_t{127} : value();
        const std::vector<int16_t> wide(narrow.begin(), narrow.end());
        std::vector<int32_t> sums;
        std::vector<float> row_scales;
        for (int r = 0; r < rows; ++r) {
          const auto row = narrow.begin() + r * dim;
          sums.push_back(std::accumulate(row, row + dim, 0));
          row_scales.push_back(static_cast<float>(random() % 1000) / 7919.0f);
        }
        std::vector<float> scales;
        for (int s = 0; s < segments; ++s) {
          scales.push_back(static_cast<float>(random() % 1000) / 104729.0f);
        }
        const SummaryQueries queries{narrow.data(), wide.data(), sums.data(), row_scales.data(),
                                     rows};
        const ChunkSummaries chunk{values.data(), scales.data(), segments, dim};
        std::vector<float> got(rows);
        std::vector<float> want(rows);
        BestSegments(queries, chunk, got.data());
        BestSegmentsPortable(queries, chunk, want.data());
        EXPECT_EQ(got, want) << "dim " << dim << ", segments " << segments << ", rows " << rows;
      }
    }
  }
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

TEST(QuantizeTest, RoundsHalvesToEvenAndKeepsTheLargest) {
  const float x[] = {127, -127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 2.51f};
  int8_t q[8];
  EXPECT_EQ(QuantizeInt8(x, 8, q), 1.0f);
  EXPECT_EQ(std::vector<int8_t>(q, q + 8), (std::vector<int8_t>{127, -127, 0, 2, 2, 0, -2, 3}));
}

TEST(QuantizeTest, ZerosHaveNoScaleAndTinyNumbersStayInRange) {
  const float zeros[] = {0, -0.0f};
  int8_t q[2] = {7, 7};
  EXPECT_EQ(QuantizeInt8(zeros, 2, q), 0.0f);
  EXPECT_EQ(q[0] | q[1], 0);
  for (const float tiny : {1e-45f, 1e-43f, 2.5e-43f, 1e-38f}) {
    const float x[] = {tiny, -tiny};
    QuantizeInt8(x, 2, q);
    EXPECT_EQ(q[0], -q[1]) << tiny;
    EXPECT_GE(q[0], 0) << tiny;
  }
}

TEST(QuantizeTest, WhatIsNoNumberMakesTheScaleNone) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    const float x[] = {1, bad, 2};
    int8_t q[3] = {7, 7, 7};
    EXPECT_TRUE(std::isnan(QuantizeInt8(x, 3, q))) << bad;
    EXPECT_EQ(q[0] | q[1] | q[2], 0);
  }
}

}  // namespace
}  // namespace kakeya
