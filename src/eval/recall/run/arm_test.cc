#include "eval/recall/run/arm.h"

#include <gtest/gtest.h>

namespace kakeya {
namespace {

TEST(RecallArmTest, ReadsAListInTheOrderOfReports) {
  const Result<std::vector<RecallArm>> arms = ParseArms("window,oracle,window");
  ASSERT_TRUE(arms.ok());
  EXPECT_EQ(*arms, (std::vector<RecallArm>{RecallArm::kOracle, RecallArm::kWindow}));
  EXPECT_EQ(ParseArms("all")->size(), static_cast<size_t>(kRecallArms));
  for (const RecallArm arm : AllArms()) {
    EXPECT_EQ(*ParseArms(NameOf(arm)), std::vector<RecallArm>{arm});
  }
}

TEST(RecallArmTest, NamesTheWordThatIsNoArm) {
  for (const char* list :
       {"", "oracle,", "oracle,orakel", "Oracle", "all,oracle", "oracle window"}) {
    const Result<std::vector<RecallArm>> arms = ParseArms(list);
    ASSERT_FALSE(arms.ok()) << list;
    EXPECT_EQ(arms.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(arms.status().message().find("known are oracle, restored"), std::string::npos);
  }
  EXPECT_NE(ParseArms("oracle,orakel").status().message().find("'orakel'"), std::string::npos);
}

TEST(RecallArmTest, KnowsWhatTheClaimExpects) {
  int controls = 0;
  for (const RecallArm arm : AllArms()) controls += RoleOf(arm) == ArmRole::kMustFail ? 1 : 0;
  EXPECT_EQ(controls, 5);
  EXPECT_FALSE(Restores(RecallArm::kReinsert));
  EXPECT_TRUE(Restores(RecallArm::kSelf));
}

}  // namespace
}  // namespace kakeya
