#include "eval/recall/run/score.h"

#include <gtest/gtest.h>

namespace kakeya {
namespace {

bool Says(const char* answer, std::vector<std::string> expected = {"48213"}) {
  return IsRightAnswer(answer, expected);
}

TEST(RecallScoreTest, TakesTheValueWhereverItStandsInTheLine) {
  EXPECT_TRUE(Says("48213"));
  EXPECT_TRUE(Says(" 48213."));
  EXPECT_TRUE(Says("The access code is 48213, as I said."));
  EXPECT_TRUE(Says("\"48213\""));
  EXPECT_TRUE(Says("(48213)"));
  EXPECT_TRUE(Says("code=48213;"));
}

TEST(RecallScoreTest, WantsTheWholeNumber) {
  EXPECT_FALSE(Says("148213"));
  EXPECT_FALSE(Says("482134"));
  EXPECT_FALSE(Says("4821"));
  EXPECT_FALSE(Says("4 8213"));
  EXPECT_FALSE(Says("48213.5"));
  EXPECT_FALSE(Says("1.48213"));
  EXPECT_FALSE(Says("48,213"));
  EXPECT_FALSE(Says("48213,000"));
  EXPECT_FALSE(Says("7,213", {"213"}));
  EXPECT_FALSE(Says("-48213"));
  EXPECT_FALSE(Says("minus -48213"));
  EXPECT_FALSE(Says("A48213"));
  EXPECT_FALSE(Says("48213b"));
  EXPECT_FALSE(Says("48213_1"));
  EXPECT_FALSE(Says("48213\xc3\xa9"));
}

TEST(RecallScoreTest, LooksOnAfterAnOccurrenceThatIsNotWhole) {
  EXPECT_TRUE(Says("148213 or rather 48213"));
  EXPECT_TRUE(Says("48213 48213"));
}

TEST(RecallScoreTest, ReadsTheFirstLineOnly) {
  EXPECT_FALSE(Says("12345\n48213"));
  EXPECT_FALSE(Says("\n48213"));
  EXPECT_FALSE(Says("12345\r48213"));
  EXPECT_TRUE(Says("48213\nand so on"));
}

TEST(RecallScoreTest, WantsAllValuesInTheirOrder) {
  const std::vector<std::string> four = {"11111", "22222", "33333", "44444"};
  EXPECT_TRUE(Says("11111, 22222, 33333 and 44444", four));
  EXPECT_TRUE(Says("11111,22222,33333,44444", four));
  EXPECT_FALSE(Says("22222, 11111, 33333, 44444", four));
  EXPECT_FALSE(Says("11111, 22222, 33333", four));
  EXPECT_FALSE(Says("11111", {"11111", "11111"}));
  EXPECT_TRUE(Says("11111 11111", {"11111", "11111"}));
}

TEST(RecallScoreTest, IsNotRightByNamingSeveralUntilOneFits) {
  EXPECT_FALSE(Says("12345 or 48213"));
  EXPECT_FALSE(Says("12345, 48213"));
  EXPECT_TRUE(Says("48213, not 12345"));
  EXPECT_TRUE(Says("In room 12 of house 3 it is 48213"));
  const std::vector<std::string> two = {"11111", "22222"};
  EXPECT_FALSE(Says("11111, 33333, 22222", two));
  EXPECT_FALSE(Says("22222, 11111, 22222", two));
  EXPECT_TRUE(Says("11111, 22222, 33333", two));
  EXPECT_FALSE(Says("11111", {"11111", "11111"}));
}

TEST(RecallScoreTest, IsNeverRightWithoutAnExpectation) {
  EXPECT_FALSE(Says("anything", {}));
  EXPECT_FALSE(Says("anything", {""}));
  EXPECT_FALSE(Says(""));
}

TEST(RecallScoreTest, TakesWordsToo) {
  EXPECT_TRUE(Says("It is the blue heron.", {"blue heron"}));
  EXPECT_FALSE(Says("It is the blue herons.", {"blue heron"}));
}

}  // namespace
}  // namespace kakeya
