#include "session/restorer_factory.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "cache/restorer_test_util.h"
#include "proposer/restorer_model.h"
#include "session/engine.h"

namespace kakeya {
namespace {

class RestorerFactoryTest : public testing::Test {
 protected:
  static std::unique_ptr<Engine> Load(const std::string& restorer_dir) {
    const std::string dir = std::string(KAKEYA_SOURCE_DIR) + "/models/demo";
    return Engine::Load(dir, {.threads = 2, .restorer_dir = restorer_dir}).value();
  }
  const std::unique_ptr<Engine> engine_ =
      Load(std::string(KAKEYA_SOURCE_DIR) + "/models/demo/restorer");
  MemoryBudget budget_;

  // Keys of the first chunk in layer 0, head 0, after 70 ids.
  std::vector<float> Keys(const RestorerFactory& factory) {
    const std::unique_ptr<Restorer> restorer = factory(*engine_, &budget_).value();
    std::vector<int32_t> ids(70);
    std::iota(ids.begin(), ids.end(), 100);
    const OpContext context = engine_->context();
    EXPECT_TRUE(restorer->Extend(context, ids).ok());
    EXPECT_TRUE(restorer->BeginLayer(context, 0).ok());
    return test::LoadPage(*restorer, 0, 0, 0, engine_->model().config.common_layer().head_dim).k;
  }
};

TEST_F(RestorerFactoryTest, EveryKindMakesItsOwnRestorer) {
  const Result<RestorerFactory> random =
      RandomRestorers(engine_.get(), engine_->restorer()->config, 7);
  ASSERT_TRUE(random.ok());
  const std::vector<float> identity = Keys(IdentityRestorers({}));
  EXPECT_EQ(Keys(IdentityRestorers({})), identity);
  EXPECT_NE(Keys(IdentityRestorers(KvType::kF32)), identity);  // rounded as the session's
  // The first chunk has none before it: what the model recomputes of it alone is exact.
  EXPECT_EQ(Keys(SelfRestorers({})), identity);
  EXPECT_NE(Keys(LearnedRestorers()), identity);
  EXPECT_NE(Keys(*random), Keys(LearnedRestorers()));
}

TEST_F(RestorerFactoryTest, TheSameSeedGivesTheSameRandomRestorer) {
  const RestorerConfig& config = engine_->restorer()->config;
  const std::vector<float> keys = Keys(RandomRestorers(engine_.get(), config, 7).value());
  EXPECT_EQ(Keys(RandomRestorers(engine_.get(), config, 7).value()), keys);
  EXPECT_NE(Keys(RandomRestorers(engine_.get(), config, 8).value()), keys);
}

TEST_F(RestorerFactoryTest, WithoutATrainedRestorerTheKindsThatNeedItSaySo) {
  const std::unique_ptr<Engine> bare = Load("");
  for (const RestorerFactory& factory : {LearnedRestorers(), SelfRestorers({})}) {
    const auto made = factory(*bare, &budget_);
    EXPECT_EQ(made.status().code(), StatusCode::kNotFound);
    EXPECT_NE(made.status().message().find("--restorer"), std::string::npos);
  }
  EXPECT_TRUE(IdentityRestorers({})(*bare, &budget_).ok());
}

}  // namespace
}  // namespace kakeya
