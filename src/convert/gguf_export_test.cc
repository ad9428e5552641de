#include "convert/gguf_export.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/memory_budget.h"
#include "format/json.h"
#include "format/test_files.h"
#include "model/rope.h"
#include "model/weights.h"

namespace kakeya {
namespace {

std::vector<float> FrequenciesOf(const ModelConfig& config) {
  return RopeFrequencies(config, /*rope=*/0);
}

ModelConfig Small(Architecture architecture) {
  ModelConfig config;
  config.architecture = architecture;
  config.vocab_size = 96;
  config.hidden_size = 64;
  config.layers.assign(2, {.num_heads = 4,
                           .num_kv_heads = 2,
                           .head_dim = 16,
                           .intermediate_size = 96,
                           .qk_norm = architecture == Architecture::kQwen3});
  config.max_positions = 128;
  return config;
}

class GgufExportTest : public ::testing::Test {
 protected:
  // Writes a network of random weights and returns the file's path.
  std::string Write(const ModelConfig& config, DType type, ThreadPool* pool = nullptr,
                    const std::string& name = "m.gguf") {
    const ExportPlan plan = PlanOfRandom(config, type);
    GgufMetadata metadata = NetworkMetadata(config);
    SetFileType(type, &metadata);
    auto writer =
        GgufWriter::Create(dir_.File(name), metadata, plan.specs(), kGgufDefaultAlignment);
    EXPECT_TRUE(writer.ok()) << writer.status().message();
    EXPECT_TRUE(ExportTensors(plan, {.pool = pool}, &*writer).ok());
    EXPECT_TRUE(writer->Commit().ok());
    return dir_.File(name);
  }
  testing::TempDir dir_;
};

TEST_F(GgufExportTest, WhatIsWrittenIsReadAsTheSameNetwork) {
  for (const auto architecture : {Architecture::kQwen3, Architecture::kLlama}) {
    for (const bool tied : {false, true}) {
      ModelConfig config = Small(architecture);
      config.tie_word_embeddings = tied;
      config.ropes[0].theta = 12345;
      config.eos_token_ids.clear();
      const std::string path = Write(config, DType::kQ8_0);
      const auto read = LoadModelConfig(path);
      ASSERT_TRUE(read.ok()) << read.status().message();
      EXPECT_EQ(read->architecture, architecture);
      EXPECT_EQ(read->vocab_size, config.vocab_size);
      EXPECT_EQ(read->hidden_size, config.hidden_size);
      EXPECT_EQ(read->layers, config.layers);
      EXPECT_EQ(read->rms_norm_eps, config.rms_norm_eps);
      EXPECT_EQ(read->ropes[0].theta, config.ropes[0].theta);
      EXPECT_EQ(read->max_positions, config.max_positions);
      EXPECT_EQ(read->tie_word_embeddings, tied);
      MemoryBudget budget;
      const auto weights = LoadWeights(path, *read, &budget, nullptr);
      ASSERT_TRUE(weights.ok()) << weights.status().message();
      EXPECT_EQ(weights->embedding.dtype(), DType::kQ8_0);
      EXPECT_EQ(weights->unused_tensors, 0);
    }
  }
}

TEST_F(GgufExportTest, RotaryScalingComesBack) {
  ModelConfig config = Small(Architecture::kLlama);
  config.ropes[0].theta = 500000;
  config.ropes[0].scaling = RopeScaling::kLinear;
  config.ropes[0].factor = 4;
  const auto linear = LoadModelConfig(Write(config, DType::kF32));
  ASSERT_TRUE(linear.ok()) << linear.status().message();
  EXPECT_EQ(FrequenciesOf(*linear), FrequenciesOf(config));
  config.ropes[0].scaling = RopeScaling::kLlama3;
  config.ropes[0].original_max_positions = 64;
  const auto llama3 = LoadModelConfig(Write(config, DType::kF32));
  ASSERT_TRUE(llama3.ok()) << llama3.status().message();
  EXPECT_EQ(llama3->ropes[0].scaling, RopeScaling::kFactors);
  const std::vector<float> want = FrequenciesOf(config);
  const std::vector<float> got = FrequenciesOf(*llama3);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i] / want[i], 1, 1e-6) << i;
}

TEST_F(GgufExportTest, YarnAndLongRopeComeBack) {
  const std::string yarn =
      R"("rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 64)";
  const std::string list = "[1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5]";
  const std::string scalings[] = {
      yarn,
      yarn + R"(, "beta_fast": 8, "beta_slow": 2, "attention_factor": 1.5)",
      yarn + R"(, "truncate": false)",
      R"("rope_type": "longrope", "original_max_position_embeddings": 64, "long_factor": )" + list +
          R"(, "short_factor": )" + list,
      R"("rope_type": "dynamic", "factor": 2)",
  };
  for (const std::string& scaling : scalings) {
    const auto config = ParseModelConfig(*ParseJson(
        R"({"model_type": "llama", "vocab_size": 96, "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 128,
            "rope_theta": 500.0, "rope_scaling": {)" +
        scaling + "}}"));
    ASSERT_TRUE(config.ok()) << config.status().message();
    const std::string path = Write(*config, DType::kF32);
    const auto read = LoadModelConfig(path);
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(read->max_positions, config->max_positions) << scaling;
    const Rotation want = RotationOf(*config, /*rope=*/0);
    const Rotation got = RotationOf(*read, /*rope=*/0);
    EXPECT_FLOAT_EQ(got.magnitude, want.magnitude) << scaling;
    ASSERT_EQ(got.frequencies.size(), want.frequencies.size());
    for (size_t i = 0; i < want.frequencies.size(); ++i) {
      EXPECT_NEAR(got.frequencies[i] / want.frequencies[i], 1, 1e-6) << scaling << i;
    }
    MemoryBudget budget;
    const auto weights = LoadWeights(path, *read, &budget, nullptr);
    EXPECT_TRUE(weights.ok()) << weights.status().message();
  }
}

TEST_F(GgufExportTest, ThreadsDoNotChangeAByte) {
  auto pool = ThreadPool::Create(3);
  ASSERT_TRUE(pool.ok());
  for (const DType type : {DType::kBF16, DType::kQ4_0}) {
    const std::string one = Write(Small(Architecture::kQwen3), type, nullptr, "one.gguf");
    const std::string three = Write(Small(Architecture::kQwen3), type, pool->get(), "three.gguf");
    EXPECT_EQ(testing::ReadAll(one), testing::ReadAll(three));
  }
}

TEST_F(GgufExportTest, StoppingLeavesNoFile) {
  const ExportPlan plan = PlanOfRandom(Small(Architecture::kQwen3), DType::kF32);
  {
    auto writer = GgufWriter::Create(dir_.File("m.gguf"), {}, plan.specs(), kGgufDefaultAlignment);
    ASSERT_TRUE(writer.ok());
    int asked = 0;
    const ExportOptions options{.interrupted = [&] { return ++asked == 3; }};
    EXPECT_EQ(ExportTensors(plan, options, &*writer).code(), StatusCode::kCancelled);
    EXPECT_EQ(asked, 3);
  }
  EXPECT_EQ(dir_.FileCount(), 0u);
}

TEST(ExportPlanTest, OnlyMatricesOfWholeBlocksGetABlockType) {
  ModelConfig config = Small(Architecture::kQwen3);
  for (LayerConfig& layer : config.layers) layer.intermediate_size = 100;
  config.tie_word_embeddings = true;
  const ExportPlan plan = PlanOfRandom(config, DType::kQ4_0);
  for (const ExportTensor& tensor : plan.tensors) {
    const auto& [name, type, shape] = tensor.target;
    const char* want = shape.size() == 1 ? "F32" : shape[1] % 32 != 0 ? "F16" : "Q4_0";
    EXPECT_EQ(type->name, want) << name;
  }
  ASSERT_EQ(plan.notes.size(), 2u);  // ffn_down, in both layers
  EXPECT_PRED2(testing::Contains, plan.notes[0], "blk.0.ffn_down.weight [64, 100] stays F16");
}

}  // namespace
}  // namespace kakeya
