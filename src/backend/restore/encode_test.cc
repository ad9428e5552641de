// Copying, quantising, pooling, token features and recurrence rows: every device and instruction
// set.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "backend/ops_test_util.h"
#include "backend/restore/quantize.h"
#include "backend/restore/restore_ops.h"

namespace kakeya {
namespace {

constexpr OpContext kRefContext{.device = Device::kRef};

// Bytes that an operator leaves, compared between devices.
template <typename T>
void ExpectSameBytes(const std::vector<T>& got, const std::vector<T>& want, const char* target) {
  ASSERT_EQ(got.size(), want.size());
  EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(T)), 0) << target;
}

TEST(CopyRowsTest, TakesTheFirstColumnsOfRowsThatAreApart) {
  const std::vector<float> x = {0, 1, 2, 3, 4, 5, 6, 7};
  for (const Device device : {Device::kRef, Device::kCpu}) {
    std::vector<float> out(4, -1);
    CopyRows({.device = device}, x.data() + 1, 3, 2, 2, out.data());
    EXPECT_EQ(out, (std::vector<float>{1, 2, 4, 5}));
  }
}

struct Quantised {
  std::vector<int8_t> q;
  std::vector<float> scales;
};

Quantised Quantise(const OpContext& context, const std::vector<float>& x, int rows) {
  Quantised out;
  out.q.resize(x.size());
  out.scales.resize(static_cast<size_t>(rows));
  QuantizeRows(context, x.data(), rows, static_cast<int>(x.size()) / rows, out.q.data(),
               out.scales.data());
  return out;
}

// Halves between two integers, tiny and huge values, zeros, and rows that hold no numbers.
std::vector<float> OddRows(int rows, int dim, std::mt19937* random) {
  std::vector<float> x = test::RandomFloats(int64_t{rows} * dim, random);
  const float factors[] = {1, 1e-44f, 1e-38f, 1e30f, 0, 127};
  for (int r = 0; r < rows; ++r) {
    for (int i = 0; i < dim; ++i) {
      float& value = x[r * dim + i];
      value *= factors[r % 6];
      if (r % 6 == 5) value = i == 0 ? 127 : static_cast<float>((*random)() % 253) / 2 - 63;
      if (r == 7 && i == dim - 1) value = NAN;
      if (r == 8 && i == 0) value = -INFINITY;
    }
  }
  return x;
}

TEST(QuantizeRowsTest, EveryDeviceAndInstructionSetGivesTheBitsOfTheReference) {
  std::mt19937 random(1);
  for (const int dim : {1, 3, 4, 8, 15, 16, 20, 64, 127}) {
    constexpr int kRows = 12;
    const std::vector<float> x = OddRows(kRows, dim, &random);
    const Quantised want = Quantise(kRefContext, x, kRows);
    EXPECT_TRUE(std::isnan(want.scales[7]) && std::isnan(want.scales[8]));
    test::ForEachTarget([&](const char* target) {
      const Quantised got = Quantise({}, x, kRows);
      ExpectSameBytes(got.q, want.q, target);
      for (int r = 0; r < kRows; ++r) {
        EXPECT_TRUE(got.scales[r] == want.scales[r] ||
                    (std::isnan(got.scales[r]) && std::isnan(want.scales[r])))
            << target << ", row " << r;
      }
    });
  }
}

struct Pooled {
  std::vector<uint8_t> summaries;
  std::vector<float> scales;
};

Pooled Pool(const OpContext& context, const SummaryShape& shape, const std::vector<float>& logits,
            const std::vector<float>& projected) {
  Pooled out;
  out.summaries.resize(static_cast<size_t>(shape.segments) * shape.dim / 2);
  out.scales.resize(static_cast<size_t>(shape.segments));
  PoolSummaries(context, shape, logits.data(), projected.data(), out.summaries.data(),
                out.scales.data());
  return out;
}

TEST(PoolSummariesTest, EveryDeviceAndInstructionSetGivesTheBitsOfTheReference) {
  std::mt19937 random(2);
  for (const SummaryShape& shape :
       {SummaryShape{4, 36, 3}, {8, 128, 8}, {1, 4, 4}, {64, 8, 1}, {2, 1024, 2}}) {
    const std::vector<float> logits =
        test::RandomFloats(int64_t{kChunk} * shape.pool_heads, &random);
    const std::vector<float> projected = test::RandomFloats(int64_t{kChunk} * shape.dim, &random);
    const Pooled want = Pool(kRefContext, shape, logits, projected);
    test::ForEachTarget([&](const char* target) {
      const Pooled got = Pool({}, shape, logits, projected);
      ExpectSameBytes(got.summaries, want.summaries, target);
      ExpectSameBytes(got.scales, want.scales, target);
    });
  }
}

// One token outweighs all others of its segment: its values are the mean.
TEST(PoolSummariesTest, IsTheMeanWeightedByTheSoftmax) {
  const SummaryShape shape{.segments = 2, .dim = 8, .pool_heads = 2};
  std::vector<float> logits(kChunk * 2);
  std::vector<float> projected(kChunk * 8);
  logits[5 * 2] = 80;       // segment 0, head 0
  logits[40 * 2 + 1] = 80;  // segment 1, head 1
  for (int i = 0; i < 4; ++i) {
    projected[5 * 8 + i] = static_cast<float>(i - 7);
    projected[40 * 8 + 4 + i] = static_cast<float>(14 - 2 * i);
  }
  for (const Device device : {Device::kRef, Device::kCpu}) {
    const Pooled pooled = Pool({.device = device}, shape, logits, projected);
    std::vector<int8_t> elements(16);
    UnpackSummaries(pooled.summaries.data(), 16, elements.data());
    EXPECT_EQ(pooled.scales[0], 1);
    EXPECT_EQ(pooled.scales[1], 2);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(elements[SummaryIndex(2, 0, i)], i - 7);
      EXPECT_EQ(elements[SummaryIndex(2, 0, 4 + i)], 0);
      EXPECT_EQ(elements[SummaryIndex(2, 1, 4 + i)], 7 - i);
    }
  }
}

TEST(GatherFeaturesTest, ScalesEachTokensRowAndGivesZerosForNone) {
  std::mt19937 random(3);
  for (const int dim : {1, 7, 12, 16, 64}) {
    std::vector<int16_t> values(static_cast<size_t>(5) * dim);
    for (int16_t& value : values) value = static_cast<int16_t>(random());
    const std::vector<float> scales = test::RandomFloats(5, &random);
    const std::vector<int32_t> ids = {4, kNoToken, 0, 4, 2};
    std::vector<float> want;
    for (const int32_t id : ids) {
      for (int i = 0; i < dim; ++i) {
        want.push_back(id < 0 ? 0 : static_cast<float>(values[id * dim + i]) * scales[id]);
      }
    }
    const TokenFeatures tokens{values.data(), scales.data(), dim};
    std::vector<float> got(want.size(), NAN);
    GatherFeatures(kRefContext, tokens, ids, got.data());
    ExpectSameBytes(got, want, "reference");
    test::ForEachTarget([&](const char* target) {
      got.assign(want.size(), NAN);
      GatherFeatures({}, tokens, ids, got.data());
      ExpectSameBytes(got, want, target);
    });
  }
}

TEST(AddRecurrenceRowsTest, AddsTheRowsOfAllLengthsInTheirOrder) {
  std::mt19937 random(4);
  const RecurrenceShape shape{.lengths = {1, 2, 4}, .buckets = 5, .next = 1};
  for (const int dim : {3, 16, 40}) {
    ChunkRecurrence found;
    for (int i = 0; i < kChunk * 3; ++i) found.buckets[i] = static_cast<uint8_t>(random() % 5);
    const std::vector<float> counts = test::RandomFloats(int64_t{3} * 5 * dim, &random);
    const std::vector<float> x = test::RandomFloats(int64_t{kChunk} * dim, &random);
    std::vector<float> want = x;
    for (int t = 0; t < kChunk; ++t) {
      for (int l = 0; l < 3; ++l) {
        const int row = l * 5 + found.buckets[t * 3 + l];
        for (int i = 0; i < dim; ++i) want[t * dim + i] += counts[row * dim + i];
      }
    }
    std::vector<float> got = x;
    AddRecurrenceRows(kRefContext, shape, found, counts.data(), dim, got.data());
    ExpectSameBytes(got, want, "reference");
    test::ForEachTarget([&](const char* target) {
      got = x;
      AddRecurrenceRows({}, shape, found, counts.data(), dim, got.data());
      ExpectSameBytes(got, want, target);
    });
  }
}

TEST(PackSummariesTest, KeepsEveryElement) {
  std::vector<int8_t> elements;
  for (int i = 0; i < 150; ++i) elements.push_back(static_cast<int8_t>(i * 7 % 15 - 7));
  std::vector<uint8_t> packed(elements.size() / 2);
  PackSummaries(elements.data(), static_cast<int>(elements.size()), packed.data());
  std::vector<int8_t> back(elements.size());
  UnpackSummaries(packed.data(), static_cast<int>(back.size()), back.data());
  EXPECT_EQ(back, elements);
}

TEST(QuantizeTest, RoundsHalvesToEvenAndKeepsTheLargest) {
  const float x[] = {127, -127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 2.51f};
  int8_t q[8];
  EXPECT_EQ(QuantizeInt8(x, 8, q), 1.0f);
  EXPECT_EQ(std::vector<int8_t>(q, q + 8), (std::vector<int8_t>{127, -127, 0, 2, 2, 0, -2, 3}));
}

TEST(QuantizeTest, Int4ReachesSeven) {
  const float x[] = {7, -7, 0.5f, 1.5f, -6.49f};
  int8_t q[5];
  EXPECT_EQ(QuantizeInt4(x, 5, q), 1.0f);
  EXPECT_EQ(std::vector<int8_t>(q, q + 5), (std::vector<int8_t>{7, -7, 0, 2, -6}));
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
