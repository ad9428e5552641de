#include "eval/recall/report/stats.h"

#include <gtest/gtest.h>

namespace kakeya {
namespace {

void ExpectInterval(const Interval& interval, double low, double high) {
  EXPECT_NEAR(interval.low, low, 5e-5);
  EXPECT_NEAR(interval.high, high, 5e-5);
}

// Newcombe (1998), Statistics in Medicine 17:857, table I, method 3.
TEST(WilsonIntervalTest, AgreesWithPublishedValues) {
  ExpectInterval(WilsonInterval(81, 263), 0.2553, 0.3662);
  ExpectInterval(WilsonInterval(15, 148), 0.0624, 0.1605);
  ExpectInterval(WilsonInterval(0, 20), 0.0000, 0.1611);
  ExpectInterval(WilsonInterval(1, 29), 0.0061, 0.1718);
}

TEST(WilsonIntervalTest, EndsAtTheShareWhereAllOrNoneAreRight) {
  EXPECT_EQ(WilsonInterval(0, 7).low, 0);
  EXPECT_EQ(WilsonInterval(7, 7).high, 1);
  EXPECT_NEAR(WilsonInterval(7, 7).low, 1 - WilsonInterval(0, 7).high, 1e-12);
  EXPECT_EQ(WilsonInterval(0, 0).low, 0);
  EXPECT_EQ(WilsonInterval(0, 0).high, 1);
}

TEST(WilsonIntervalTest, AlwaysHoldsTheShare) {
  for (int64_t n = 1; n <= 60; ++n) {
    for (int64_t hits = 0; hits <= n; ++hits) {
      const Interval interval = WilsonInterval(hits, n);
      const double share = static_cast<double>(hits) / static_cast<double>(n);
      EXPECT_LE(interval.low, share);
      EXPECT_GE(interval.high, share);
      EXPECT_GE(interval.low, 0);
      EXPECT_LE(interval.high, 1);
    }
  }
}

TEST(StudentT975Test, AgreesWithPublishedValues) {
  for (const auto& [degrees, value] : {std::pair<int64_t, double>{1, 12.706},
                                       {4, 2.776},
                                       {5, 2.571},
                                       {10, 2.228},
                                       {11, 2.201},
                                       {15, 2.131},
                                       {29, 2.045},
                                       {60, 2.000},
                                       {1000000, 1.960}}) {
    EXPECT_NEAR(StudentT975(degrees), value, 6e-4) << degrees;
  }
  for (int64_t degrees = 1; degrees < 200; ++degrees) {
    EXPECT_GT(StudentT975(degrees), StudentT975(degrees + 1));
  }
}

// Newcombe (1998), Statistics in Medicine 17:2635, table II, method 10.
TEST(PairedDifferenceTest, AgreesWithPublishedValues) {
  const PairedDifference first = DifferenceOf({36, 12, 2, 0});
  EXPECT_NEAR(first.difference, 0.2, 1e-12);
  ExpectInterval(first.interval, 0.0569, 0.3404);
  ExpectInterval(DifferenceOf({20, 12, 2, 16}).interval, 0.0562, 0.3292);
  // Without any wrong answer only one side of each proportion's interval is open.
  ExpectInterval(DifferenceOf({54, 0, 0, 0}).interval, -0.0664, 0.0664);
}

TEST(PairedDifferenceTest, TurnsRoundWithItsArms) {
  const PairedDifference one = DifferenceOf({40, 9, 3, 11});
  const PairedDifference other = DifferenceOf({40, 3, 9, 11});
  EXPECT_NEAR(one.difference, -other.difference, 1e-12);
  EXPECT_NEAR(one.interval.low, -other.interval.high, 1e-12);
  EXPECT_NEAR(one.interval.high, -other.interval.low, 1e-12);
}

TEST(PairedDifferenceTest, CountsEveryPromptOnce) {
  EXPECT_EQ((PairedCounts{1, 2, 3, 4}).n(), 10);
  const PairedDifference none = DifferenceOf({});
  EXPECT_EQ(none.difference, 0);
  EXPECT_EQ(none.interval.low, -1);
  EXPECT_EQ(none.interval.high, 1);
}

TEST(PairedDifferenceTest, IsNarrowerWhereTheSamePromptsFail) {
  const PairedDifference together = DifferenceOf({80, 1, 1, 18});
  const PairedDifference apart = DifferenceOf({63, 18, 18, 1});
  EXPECT_LT(together.interval.high - together.interval.low,
            apart.interval.high - apart.interval.low);
}

}  // namespace
}  // namespace kakeya
