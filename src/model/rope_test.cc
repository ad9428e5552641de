#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "format/json.h"
#include "format/test_files.h"
#include "model/config.h"

namespace kakeya {
namespace {

// A network with heads of `head_dim` and these members beside its sizes.
Result<ModelConfig> Config(int head_dim, const std::string& members) {
  return ParseModelConfig(*ParseJson(
      R"({"model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96,
          "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": )" +
      std::to_string(head_dim) + ", " + members + "}"));
}

// The same scaling in the layouts of transformers 4, its older releases, and 5.
std::vector<std::string> Layouts(double theta, const std::string& type,
                                 const std::string& members) {
  const std::string outside = fmt::format(R"("rope_theta": {})", theta);
  const std::string rest = members.empty() ? "" : ", " + members;
  return {outside + R"(, "rope_scaling": {"rope_type": ")" + type + "\"" + rest + "}",
          outside + R"(, "rope_scaling": {"type": ")" + type + "\"" + rest + "}",
          R"("rope_parameters": {"rope_type": ")" + type + "\", " + outside + rest + "}"};
}

std::string ErrorOf(int head_dim, const std::string& members) {
  const Result<ModelConfig> config = Config(head_dim, members);
  return config.ok() ? "no error" : config.status().message();
}

using Reference = std::vector<std::pair<size_t, double>>;

void ExpectFrequencies(const Rotation& rotation, const Reference& reference) {
  for (const auto& [i, frequency] : reference) {
    EXPECT_NEAR(rotation.frequencies[i] / frequency, 1, 3e-7) << i;
  }
}

// The reference numbers of these tests are printed by tests/fixtures/rope_reference.py.
TEST(RopeTest, YarnIsTheReferencesInEveryLayout) {
  const std::string members = R"("factor": 4.0, "original_max_position_embeddings": 32768)";
  for (const std::string& layout : Layouts(1e6, "yarn", members)) {
    const auto config = Config(128, R"("max_position_embeddings": 40960, )" + layout);
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->ropes[0].scaling, RopeScaling::kYarn);
    EXPECT_EQ(config->max_positions, 131072);  // what the scaling is for
    const Rotation rotation = RotationOf(*config, /*rope=*/0);
    EXPECT_FLOAT_EQ(rotation.magnitude, 1.13862944f);
    ExpectFrequencies(rotation, {{0, 1},
                                 {16, 0.0316227766},
                                 {23, 0.00697830585},
                                 {24, 0.00537532149},
                                 {28, 0.00184827656},
                                 {32, 0.000602941176},
                                 {36, 0.000179841156},
                                 {39, 6.49039432e-05},
                                 {40, 4.44569853e-05},
                                 {63, 3.1023444e-07}});
  }
}

TEST(RopeTest, YarnsOptionsAreTheReferences) {
  const auto config = Config(64, Layouts(1e4, "yarn",
                                         R"("factor": 40, "beta_fast": 16, "beta_slow": 2,
                                            "truncate": false, "mscale": 0.707, "mscale_all_dim": 1,
                                            "original_max_position_embeddings": 4096)")[0]);
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Rotation rotation = RotationOf(*config, /*rope=*/0);
  EXPECT_FLOAT_EQ(rotation.magnitude, 0.921042355f);
  ExpectFrequencies(rotation, {{0, 1},
                               {8, 0.1},
                               {12, 0.0316227766},
                               {13, 0.0233312459},
                               {16, 0.00579010496},
                               {18, 0.00173821862},
                               {20, 0.000123952369},
                               {21, 5.92843426e-05},
                               {31, 3.33380358e-06}});
}

TEST(RopeTest, YarnTakesWhatTheReferenceTakesWhereKeysAreMissing) {
  // The factor is the ratio of the contexts; the outer original context comes first.
  auto config = Config(64, R"("max_position_embeddings": 16384,
                         "original_max_position_embeddings": 4096,
                         "rope_scaling": {"rope_type": "yarn",
                                          "original_max_position_embeddings": 8192})");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->ropes[0].factor, 4);
  EXPECT_EQ(config->ropes[0].original_max_positions, 4096);
  EXPECT_EQ(config->max_positions, 16384);
  // Zeros and nulls are missing, a given attention factor is final.
  config = Config(64, Layouts(1e4, "yarn",
                              R"("factor": 2, "beta_fast": 0, "beta_slow": null, "mscale": 0,
                                 "mscale_all_dim": 1, "attention_factor": 1.5)")[0]);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->ropes[0].beta_fast, 32);
  EXPECT_EQ(config->ropes[0].beta_slow, 1);
  EXPECT_EQ(config->ropes[0].attention_factor, 1.5);
  EXPECT_EQ(config->ropes[0].original_max_positions,
            2048);  // the context that llama means by default
  EXPECT_EQ(config->max_positions, 4096);
}

TEST(RopeTest, FactorOneChangesNothing) {
  const Rotation plain = RotationOf(*Config(64, R"("rope_theta": 10000.0)"), /*rope=*/0);
  EXPECT_EQ(plain.magnitude, 1);
  const std::string ones = fmt::format(R"("factor": 1, "long_factor": [{0}], "short_factor": [{0}],
                                          "original_max_position_embeddings": 64)",
                                       fmt::join(std::vector<int>(32, 1), ", "));
  for (const char* type : {"linear", "dynamic", "yarn", "longrope"}) {
    for (const std::string& layout : Layouts(1e4, type, ones)) {
      const auto config = Config(64, layout);
      ASSERT_TRUE(config.ok()) << config.status().message();
      const Rotation rotation = RotationOf(*config, /*rope=*/0);
      EXPECT_EQ(rotation.magnitude, 1) << type;
      EXPECT_EQ(rotation.frequencies, plain.frequencies) << type;
    }
  }
}

TEST(RopeTest, LongRopeChoosesItsListByTheContext) {
  const std::string lists =
      R"("long_factor": [1, 1.75, 2.5, 3.25, 4, 4.75, 5.5, 6.25],
         "short_factor": [1, 1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 1.875])";
  const std::string original = R"(, "original_max_position_embeddings": 4096)";
  for (const std::string& layout : Layouts(1e4, "longrope", lists + original)) {
    const auto config = Config(16, R"("max_position_embeddings": 131072, )" + layout);
    ASSERT_TRUE(config.ok()) << config.status().message();
    const Rotation rotation = RotationOf(*config, /*rope=*/0);
    EXPECT_FLOAT_EQ(rotation.magnitude, 1.19023807f);
    ExpectFrequencies(rotation, {{0, 1},
                                 {1, 0.180701581},
                                 {2, 0.04},
                                 {3, 0.00973008511},
                                 {4, 0.0025},
                                 {5, 0.000665742665},
                                 {6, 0.000181818182},
                                 {7, 5.05964426e-05}});
  }
  // A context that is no longer than the original one; the factor is still the file's.
  const auto config =
      Config(16, R"("max_position_embeddings": 4096, )" +
                     Layouts(1e4, "longrope", lists + original + R"(, "factor": 32)")[0]);
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Rotation rotation = RotationOf(*config, /*rope=*/0);
  EXPECT_FLOAT_EQ(rotation.magnitude, 1.19023807f);
  ExpectFrequencies(rotation, {{0, 1},
                               {1, 0.281091348},
                               {2, 0.08},
                               {3, 0.022998383},
                               {4, 0.00666666667},
                               {5, 0.00194601702},
                               {6, 0.000571428571},
                               {7, 0.000168654809}});
}

// As in the reference for every text that fits into the context.
TEST(RopeTest, DynamicScalingTurnsAsItWasTrained) {
  for (const std::string& layout : Layouts(1e4, "dynamic", R"("factor": 2.0)")) {
    const auto config = Config(64, layout);
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->ropes[0].scaling, RopeScaling::kDynamic);
    EXPECT_EQ(config->max_positions, 2048);
    EXPECT_EQ(RopeFrequencies(*config, 0),
              RopeFrequencies(*Config(64, R"("rope_theta": 10000.0)"), 0));
  }
}

TEST(RopeTest, AttentionFactorMultipliesCosAndSin) {
  const Rotation plain{.frequencies = {1, 0.5f}};
  const Rotation scaled{.frequencies = {1, 0.5f}, .magnitude = 1.25f};
  float cos[2][4];
  float sin[2][4];
  RopeTables(plain, 7, 2, cos[0], sin[0]);
  RopeTables(scaled, 7, 2, cos[1], sin[1]);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(cos[1][i], cos[0][i] * 1.25f);
    EXPECT_EQ(sin[1][i], sin[0][i] * 1.25f);
  }
  EXPECT_EQ(cos[0][0], static_cast<float>(std::cos(7.0)));
}

TEST(RopeTest, ScalingsThatCannotBeAreRefusedByKey) {
  const auto scaling = [](const std::string& members) {
    return R"("rope_scaling": {)" + members + "}";
  };
  const std::string yarn = R"("rope_type": "yarn", "factor": 4, )";
  const std::string longrope =
      R"("rope_type": "longrope", "short_factor": [1, 1, 1, 1, 1, 1, 1, 1], )";
  const std::pair<std::string, const char*> cases[] = {
      {scaling(R"("rope_type": "yarn", "factor": 0.5)"), "key 'factor' is 0.5"},
      {scaling(R"("rope_type": "yarn", "factor": "4")"), "key 'factor' must be a number"},
      {scaling(R"("rope_type": "dynamic")"), "key 'factor' is missing"},
      {scaling(yarn + R"("beta_fast": 1, "beta_slow": 2)"),
       "beta_fast 1 must be at least beta_slow 2"},
      {scaling(yarn + R"("beta_fast": -1)"), "key 'beta_fast' is -1"},
      {scaling(yarn + R"("mscale": 1e300)"), "key 'mscale' is"},
      {scaling(yarn + R"("attention_factor": 0)"), "key 'attention_factor' is 0"},
      {scaling(yarn + R"("truncate": 1)"), "key 'truncate' must be true or false"},
      {scaling(yarn + R"("original_max_position_embeddings": 0)"),
       "key 'original_max_position_embeddings' is 0"},
      {R"("rope_theta": 1, )" + scaling(yarn + R"("beta_slow": 1)"),
       "rope_theta 1 must be above 1 with yarn"},
      {scaling(longrope + R"("factor": 1)"), "key 'long_factor' is missing"},
      {scaling(longrope + R"("long_factor": [1, 2])"),
       "key 'long_factor' has 2 factors, must have 8 (half a head)"},
      {scaling(longrope + R"("long_factor": [1, 1, 1, 0, 1, 1, 1, 1])"),
       "key 'long_factor[3]' is 0"},
      {scaling(longrope + R"("long_factor": [1, 1, 1, 1, 1, 1, 1, "x"])"),
       "key 'long_factor[7]' must be a number"},
      {scaling(longrope + R"("long_factor": [1, 1, 1, 1, 1, 1, 1, 1],
                             "original_max_position_embeddings": 1)"),
       "original_max_position_embeddings 1 must be at least 2"},
  };
  for (const auto& [members, error] : cases) {
    EXPECT_PRED2(testing::StartsWith, ErrorOf(16, members), error) << members;
  }
}

}  // namespace
}  // namespace kakeya
