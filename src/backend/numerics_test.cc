#include "backend/numerics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

namespace kakeya::numerics {
namespace {

TEST(Numerics, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffffu; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = FromF16(half);
    if ((bits & 0x7fffu) > 0x7c00u) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_EQ(bits | 0x200u, ToF16(value));
    } else {
      EXPECT_EQ(half, ToF16(value));
    }
  }
  EXPECT_EQ(65504.0f, FromF16(0x7bff));
  EXPECT_EQ(0x1p-24f, FromF16(1));
}

TEST(Numerics, EveryBF16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffffu; ++bits) {
    const auto stored = static_cast<uint16_t>(bits);
    const float value = FromBF16(stored);
    EXPECT_EQ(std::isnan(value) ? (bits | 0x40u) : bits, ToBF16(value));
  }
}

// Between neighbours a < b lies their middle: it goes to the even one, its own neighbours to
// theirs.
TEST(Numerics, RoundingIsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7bffu; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const float middle = (FromF16(low) + FromF16(high)) / 2;
    ASSERT_EQ((bits & 1u) == 0 ? low : high, ToF16(middle)) << bits;
    ASSERT_EQ(low, ToF16(std::nextafter(middle, 0.0f)));
    ASSERT_EQ(high, ToF16(std::nextafter(middle, INFINITY)));
    ASSERT_EQ(low | 0x8000u, ToF16(-std::nextafter(middle, 0.0f)));
  }
  EXPECT_EQ(0x7bffu, ToF16(65519.0f));
  EXPECT_EQ(0x7c00u, ToF16(65520.0f));
  EXPECT_EQ(0x3f80u, ToBF16(1.00390625f));  // half way from 1 to the next: even is 1
  EXPECT_EQ(0x3f82u, ToBF16(1.01171875f));  // half way between 0x3f81 and 0x3f82
  EXPECT_EQ(0x7f80u, ToBF16(3.4e38f));      // beyond the largest finite value
  EXPECT_EQ(0x7f80u, ToBF16(INFINITY));
}

TEST(Numerics, NanStaysNanWhenItsPayloadLiesInTheLostBits) {
  float value;
  const uint32_t bits = 0x7f800001u;
  std::memcpy(&value, &bits, sizeof(value));
  EXPECT_TRUE(std::isnan(FromBF16(ToBF16(value))));
  EXPECT_TRUE(std::isnan(FromF16(ToF16(value))));
}

TEST(Exp, IsWithinTwoUlp) {
  std::mt19937 rng(1);
  std::uniform_real_distribution<float> uniform(kExpLow, kExpHigh);
  double worst = 0;
  for (int i = 0; i < 2000000; ++i) {
    const float x = i % 2 == 0 ? uniform(rng) : uniform(rng) / 64;
    const double exact = std::exp(double{x});
    const float nearest = static_cast<float>(exact);
    const double ulp = double{std::nextafter(nearest, INFINITY)} - nearest;
    worst = std::max(worst, std::abs(Exp(x) - exact) / ulp);
  }
  EXPECT_LE(worst, 2.0);
  RecordProperty("worst_ulp", std::to_string(worst));
}

TEST(Exp, EndsAreExact) {
  EXPECT_EQ(1.0f, Exp(0.0f));
  EXPECT_EQ(1.0f, Exp(-0.0f));
  EXPECT_EQ(0.0f, Exp(-INFINITY));
  EXPECT_EQ(0.0f, Exp(-1e30f));
  EXPECT_EQ(0.0f, Exp(std::nextafter(kExpLow, -INFINITY)));
  EXPECT_TRUE(std::isnormal(Exp(kExpLow)));
  EXPECT_TRUE(std::isnormal(Exp(kExpHigh)));
  EXPECT_EQ(INFINITY, Exp(INFINITY));
  EXPECT_TRUE(std::isnan(Exp(NAN)));
}

TEST(TreeSum, AddsHalves) {
  float lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(1 << i);
  EXPECT_EQ(65535.0f, TreeSum(lanes));
}

}  // namespace
}  // namespace kakeya::numerics
