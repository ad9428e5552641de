#include "eval/recall/report/verdict.h"

#include <gtest/gtest.h>

#include <map>

namespace kakeya {
namespace {

using Hits = std::map<RecallArm, int64_t>;  // of 100

// What just holds, bound by bound.
Hits JustEnough() {
  return {
      {RecallArm::kOracle, 90},       {RecallArm::kRestored, 85},       {RecallArm::kWindow, 5},
      {RecallArm::kForeign, 5},       {RecallArm::kUntrained, 5},       {RecallArm::kShuffled, 5},
      {RecallArm::kWithoutNeedle, 5}, {RecallArm::kCounterfactual, 75}, {RecallArm::kOnlyNeedle, 0},
      {RecallArm::kReinsert, 100},    {RecallArm::kSelf, 100}};
}

void AddRows(const Hits& hits, int64_t length, std::vector<RecallRow>* rows,
             RecallTask task = RecallTask::kSingle) {
  for (const auto& [arm, right] : hits) {
    RecallRow row;
    row.task = task;
    row.length = length;
    row.arm = arm;
    row.count = {100, right};
    rows->push_back(row);
  }
}

RecallVerdict JudgeOne(const Hits& hits, const std::vector<int>& coupons = {},
                       const std::set<int64_t>& without_oracle = {}) {
  std::vector<RecallRow> rows;
  AddRows(hits, 1024, &rows);
  const std::vector<int64_t> lengths = {1024};
  return Judge(rows, lengths, without_oracle, coupons);
}

TEST(RecallVerdictTest, HoldsAtTheVeryBounds) {
  const RecallVerdict verdict = JudgeOne(JustEnough());
  EXPECT_EQ(verdict.verdict, Verdict::kHolds);
  EXPECT_TRUE(verdict.reasons.empty());
}

TEST(RecallVerdictTest, IsOpenWhereNothingSpeaksAgainstTheClaimButAnArmIsMissing) {
  Hits hits = JustEnough();
  EXPECT_TRUE(JudgeOne(hits).judged);
  hits.erase(RecallArm::kShuffled);
  RecallVerdict verdict = JudgeOne(hits);
  EXPECT_EQ(verdict.verdict, Verdict::kFails);
  EXPECT_FALSE(verdict.judged);
  EXPECT_STREQ(Heading(verdict), "not judged");
  EXPECT_STREQ(Heading(verdict.by_length[0]), "not judged");
  hits[RecallArm::kForeign] = 60;  // a control that answers refutes it, whatever else is missing
  verdict = JudgeOne(hits);
  EXPECT_TRUE(verdict.judged);
  EXPECT_STREQ(Heading(verdict), "fails");
  EXPECT_TRUE(JudgeOne(hits, {3}).judged);
  EXPECT_STREQ(Heading(JudgeOne(hits, {3})), "invalid");
}

struct Broken {
  RecallArm arm;
  int64_t hits;
};

class BrokenRuleTest : public testing::TestWithParam<Broken> {};

TEST_P(BrokenRuleTest, FailsAndNamesTheArm) {
  Hits hits = JustEnough();
  hits[GetParam().arm] = GetParam().hits;
  const RecallVerdict verdict = JudgeOne(hits);
  EXPECT_EQ(verdict.verdict, Verdict::kFails);
  ASSERT_EQ(verdict.reasons.size(), 1u);
  EXPECT_NE(verdict.reasons[0].find(NameOf(GetParam().arm)), std::string::npos);
  EXPECT_NE(verdict.reasons[0].find("1024"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    EveryRule, BrokenRuleTest,
    testing::Values(Broken{RecallArm::kOracle, 89}, Broken{RecallArm::kRestored, 84},
                    Broken{RecallArm::kWindow, 6}, Broken{RecallArm::kForeign, 6},
                    Broken{RecallArm::kUntrained, 6}, Broken{RecallArm::kShuffled, 6},
                    Broken{RecallArm::kWithoutNeedle, 6}, Broken{RecallArm::kCounterfactual, 74}));

TEST(RecallVerdictTest, MeasuresAgainstTheOracleNotAgainstItsBound) {
  Hits hits = JustEnough();
  hits[RecallArm::kOracle] = 100;
  hits[RecallArm::kRestored] = 94;
  hits[RecallArm::kCounterfactual] = 85;
  EXPECT_EQ(JudgeOne(hits).reasons.size(), 1u);
  hits[RecallArm::kRestored] = 95;
  EXPECT_EQ(JudgeOne(hits).verdict, Verdict::kHolds);
}

TEST(RecallVerdictTest, FailsForEveryNeededArmThatWasNotRun) {
  for (const auto& [arm, right] : JustEnough()) {
    Hits hits = JustEnough();
    hits.erase(arm);
    if (arm == RecallArm::kOracle) {  // a perfect one is assumed for the others
      hits[RecallArm::kRestored] = hits[RecallArm::kCounterfactual] = 100;
    }
    const RecallVerdict verdict = JudgeOne(hits);
    const bool reported = RoleOf(arm) == ArmRole::kReported;
    EXPECT_EQ(verdict.verdict, reported ? Verdict::kHolds : Verdict::kFails) << NameOf(arm);
    if (reported) continue;
    ASSERT_EQ(verdict.reasons.size(), 1u) << NameOf(arm);
    EXPECT_NE(verdict.reasons[0].find("was not run"), std::string::npos);
  }
}

TEST(RecallVerdictTest, AssumesAPerfectOracleBeyondTheModelsContext) {
  Hits hits = JustEnough();
  hits.erase(RecallArm::kOracle);
  hits[RecallArm::kRestored] = 95;
  hits[RecallArm::kCounterfactual] = 85;
  EXPECT_EQ(JudgeOne(hits, {}, {1024}).verdict, Verdict::kHolds);
  hits[RecallArm::kRestored] = 94;
  EXPECT_EQ(JudgeOne(hits, {}, {1024}).verdict, Verdict::kFails);
}

TEST(RecallVerdictTest, IsInvalidWithACouponWhateverElse) {
  const RecallVerdict held = JudgeOne(JustEnough(), {3, 7});
  EXPECT_EQ(held.verdict, Verdict::kInvalid);
  EXPECT_NE(held.reasons[0].find("3, 7"), std::string::npos);
  EXPECT_EQ(held.by_length[0].verdict, Verdict::kInvalid);
  Hits hits = JustEnough();
  hits[RecallArm::kWindow] = 100;
  EXPECT_EQ(JudgeOne(hits, {0}).verdict, Verdict::kInvalid);
}

TEST(RecallVerdictTest, WantsEveryLengthOfTheSingleNeedleAndNothingElse) {
  std::vector<RecallRow> rows;
  AddRows(JustEnough(), 1024, &rows);
  Hits bad = JustEnough();
  bad[RecallArm::kRestored] = 0;
  AddRows(bad, 4096, &rows);
  const std::vector<int64_t> both = {1024, 4096};
  const RecallVerdict verdict = Judge(rows, both, {}, {});
  EXPECT_EQ(verdict.verdict, Verdict::kFails);
  EXPECT_EQ(verdict.by_length[0].verdict, Verdict::kHolds);
  EXPECT_EQ(verdict.by_length[1].verdict, Verdict::kFails);

  std::vector<RecallRow> other_task;
  AddRows(JustEnough(), 1024, &other_task);
  AddRows(bad, 1024, &other_task, RecallTask::kJson);
  const std::vector<int64_t> one = {1024};
  std::vector<RecallRow> without_single;
  AddRows(JustEnough(), 1024, &without_single, RecallTask::kJson);
  const RecallVerdict nothing = Judge(without_single, one, {}, {});
  EXPECT_EQ(nothing.verdict, Verdict::kFails);
  EXPECT_NE(nothing.reasons.at(0).find("task single"), std::string::npos);
  EXPECT_EQ(Judge(other_task, one, {}, {}).verdict, Verdict::kHolds);
}

}  // namespace
}  // namespace kakeya
