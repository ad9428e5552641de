#include "model/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "format/test_files.h"

namespace kakeya {
namespace {

// A small valid config; tests change one member at a time.
Json Qwen3() {
  return *ParseJson(R"({
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 8192, "rope_theta": 1000000, "tie_word_embeddings": true,
    "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16", "hidden_act": "silu",
    "use_sliding_window": false, "sliding_window": null, "attention_bias": false})");
}

Json Llama() {
  return *ParseJson(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4})");
}

// The config with one member replaced (or added).
Json With(Json config, const std::string& key, const std::string& value) {
  config[key] = *ParseJson(value);
  return config;
}
Json Without(Json config, const std::string& key) {
  config.erase(key);
  return config;
}

std::string ErrorOf(const Json& config) {
  const Result<ModelConfig> parsed = ParseModelConfig(config);
  return parsed.ok() ? "no error" : parsed.status().message();
}

TEST(ModelConfigTest, EveryQwen3MemberIsRead) {
  const Result<ModelConfig> c = ParseModelConfig(Qwen3());
  ASSERT_TRUE(c.ok()) << c.status().message();
  EXPECT_EQ(c->architecture, Architecture::kQwen3);
  EXPECT_EQ(c->vocab_size, 512);
  EXPECT_EQ(c->hidden_size, 64);
  EXPECT_EQ(c->common_layer().intermediate_size, 96);
  EXPECT_EQ(c->num_layers(), 2);
  EXPECT_EQ(c->common_layer().num_heads, 4);
  EXPECT_EQ(c->common_layer().num_kv_heads, 2);
  EXPECT_EQ(c->common_layer().head_dim, 32);
  EXPECT_EQ(c->common_layer().qkv_size(), 4 * 32 + 2 * 2 * 32);
  EXPECT_EQ(c->rms_norm_eps, 1e-5f);
  EXPECT_EQ(c->ropes[0].theta, 1e6);
  EXPECT_EQ(c->ropes[0].scaling, RopeScaling::kNone);
  EXPECT_EQ(c->max_positions, 8192);
  EXPECT_TRUE(c->tie_word_embeddings);
  EXPECT_TRUE(c->common_layer().qk_norm);
  EXPECT_EQ(c->bos_token_id, 1);
  EXPECT_EQ(c->eos_token_ids, std::vector<int32_t>{2});
  EXPECT_EQ(c->torch_dtype, "bfloat16");
}

TEST(ModelConfigTest, AbsentKeysMeanWhatTransformersMeans) {
  const Result<ModelConfig> llama = ParseModelConfig(Llama());
  ASSERT_TRUE(llama.ok()) << llama.status().message();
  EXPECT_EQ(llama->common_layer().num_kv_heads, 4);
  EXPECT_EQ(llama->common_layer().head_dim, 16);
  EXPECT_EQ(llama->rms_norm_eps, 1e-6f);
  EXPECT_EQ(llama->ropes[0].theta, 10000);
  EXPECT_EQ(llama->max_positions, 2048);
  EXPECT_FALSE(llama->tie_word_embeddings);
  EXPECT_FALSE(llama->common_layer().qk_norm);
  EXPECT_EQ(llama->bos_token_id, 1);
  EXPECT_EQ(llama->eos_token_ids, std::vector<int32_t>{2});

  Json bare = Qwen3();
  for (const char* key : {"head_dim", "rope_theta", "tie_word_embeddings", "bos_token_id",
                          "eos_token_id", "max_position_embeddings", "architectures"}) {
    bare = Without(bare, key);
  }
  const Result<ModelConfig> qwen = ParseModelConfig(bare);
  ASSERT_TRUE(qwen.ok()) << qwen.status().message();
  EXPECT_EQ(qwen->common_layer().head_dim, 128);
  EXPECT_EQ(qwen->ropes[0].theta, 10000);
  EXPECT_EQ(qwen->max_positions, 32768);
  EXPECT_FALSE(qwen->tie_word_embeddings);
  EXPECT_FALSE(qwen->bos_token_id.has_value());
  EXPECT_TRUE(qwen->eos_token_ids.empty());
}

TEST(ModelConfigTest, NullEosOfALlamaIsNoEos) {
  const auto c = ParseModelConfig(With(Llama(), "eos_token_id", "null"));
  ASSERT_TRUE(c.ok());
  EXPECT_TRUE(c->eos_token_ids.empty());
}

// The scaling of Llama 3.1 in both layouts of config.json, and with the older spelling of the type.
TEST(ModelConfigTest, Llama3ScalingIsReadFromBothLayouts) {
  const std::string scaling =
      R"("factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 8192)";
  const Json old_layout = With(With(Llama(), "rope_theta", "500000.0"), "rope_scaling",
                               R"({"rope_type": "llama3", )" + scaling + "}");
  const Json older_layout = With(With(Llama(), "rope_theta", "500000.0"), "rope_scaling",
                                 R"({"type": "llama3", )" + scaling + "}");
  const Json new_layout =
      With(Llama(), "rope_parameters",
           R"({"rope_type": "llama3", "rope_theta": 500000.0, )" + scaling + "}");
  for (const Json& config : {old_layout, older_layout, new_layout}) {
    const Result<ModelConfig> c = ParseModelConfig(config);
    ASSERT_TRUE(c.ok()) << c.status().message();
    EXPECT_EQ(c->ropes[0].theta, 500000);
    EXPECT_EQ(c->ropes[0].scaling, RopeScaling::kLlama3);
    EXPECT_EQ(c->ropes[0].factor, 8);
    EXPECT_EQ(c->ropes[0].low_freq_factor, 1);
    EXPECT_EQ(c->ropes[0].high_freq_factor, 4);
    EXPECT_EQ(c->ropes[0].original_max_positions, 8192);
  }
}

TEST(ModelConfigTest, OriginalContextOfLlama3ScalingDefaultsToTheContext) {
  const Json config =
      With(With(Llama(), "max_position_embeddings", "4096"), "rope_scaling",
           R"({"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4})");
  EXPECT_EQ(ParseModelConfig(config)->ropes[0].original_max_positions, 4096);
  EXPECT_EQ(ParseModelConfig(With(config, "original_max_position_embeddings", "1024"))
                ->ropes[0]
                .original_max_positions,
            1024);
}

TEST(ModelConfigTest, DefaultAndLinearRopeAreReadFromBothLayouts) {
  const auto plain = ParseModelConfig(
      With(Llama(), "rope_parameters", R"({"rope_type":"default","rope_theta":5000.0})"));
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->ropes[0].theta, 5000);
  EXPECT_EQ(plain->ropes[0].scaling, RopeScaling::kNone);
  EXPECT_EQ(ParseModelConfig(With(Llama(), "rope_scaling", "null"))->ropes[0].scaling,
            RopeScaling::kNone);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto linear = ParseModelConfig(With(Llama(), key, R"({"type":"linear","factor":2.5})"));
    ASSERT_TRUE(linear.ok());
    EXPECT_EQ(linear->ropes[0].scaling, RopeScaling::kLinear);
    EXPECT_EQ(linear->ropes[0].factor, 2.5);
  }
}

TEST(ModelConfigTest, OtherRopeTypesAreRefusedByName) {
  for (const char* type : {"su", "proportional", "mrope"}) {
    EXPECT_EQ(ErrorOf(With(Qwen3(), "rope_scaling",
                           R"({"rope_type":")" + std::string(type) + R"(","factor":2})")),
              "rope_type '" + std::string(type) +
                  "' is not supported (supported: default, linear, llama3, yarn, longrope, "
                  "dynamic)");
  }
  EXPECT_PRED2(testing::Contains, ErrorOf(With(Llama(), "partial_rotary_factor", "0.5")),
               "partial_rotary_factor 0.5 is not supported");
}

TEST(ModelConfigTest, RopeNumbersAreChecked) {
  for (const char* theta : {"0", "-1", "1e300", "\"x\""}) {
    EXPECT_PRED2(testing::Contains, ErrorOf(With(Llama(), "rope_theta", theta)), "'rope_theta'");
  }
  EXPECT_PRED2(testing::Contains,
               ErrorOf(With(Llama(), "rope_scaling", R"({"type":"linear","factor":0})")),
               "'factor' is 0");
  EXPECT_PRED2(testing::Contains, ErrorOf(With(Llama(), "rope_scaling", R"({"type":"linear"})")),
               "'factor' is missing");
  EXPECT_PRED2(testing::Contains,
               ErrorOf(With(Llama(), "rope_scaling",
                            R"({"type":"llama3","factor":8,"low_freq_factor":4,)"
                            R"("high_freq_factor":4})")),
               "high_freq_factor 4 must be greater than low_freq_factor 4");
}

TEST(ModelConfigTest, OtherArchitecturesAreRefusedWithTheSupportedOnes) {
  EXPECT_EQ(ErrorOf(With(Qwen3(), "model_type", "\"mamba\"")),
            "model_type 'mamba' is not supported (supported: qwen3, llama)");
  EXPECT_EQ(ErrorOf(Without(Qwen3(), "model_type")), "key 'model_type' is missing");
  EXPECT_PRED2(testing::Contains,
               ErrorOf(With(Qwen3(), "architectures", R"(["Qwen3ForSequenceClassification"])")),
               "Qwen3ForSequenceClassification");
  EXPECT_FALSE(ParseModelConfig(Json::array()).ok());
}

TEST(ModelConfigTest, NetworksThatComputeSomethingElseAreRefusedByKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"use_sliding_window", "true"},
      {"attention_bias", "true"},
      {"mlp_bias", "true"},
      {"layer_types", R"(["full_attention","sliding_attention"])"},
      {"quantization_config", R"({"quant_method":"gptq"})"},
      {"quantization_config", "{}"},
      {"hidden_act", "\"gelu\""},
  };
  for (const auto& [key, value] : cases) {
    const auto parsed = ParseModelConfig(With(Qwen3(), key, value));
    ASSERT_FALSE(parsed.ok()) << key;
    EXPECT_EQ(parsed.status().code(), StatusCode::kUnsupported);
    EXPECT_PRED2(testing::StartsWith, parsed.status().message(), key);
  }
  EXPECT_TRUE(ParseModelConfig(With(Qwen3(), "layer_types", R"(["full_attention"])")).ok());
}

TEST(ModelConfigTest, SizesThatCannotBeAreRefusedByKey) {
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
        "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    for (const char* value : {"0", "-1", "9223372036854775807", "1.5", "\"8\"", "[8]"}) {
      EXPECT_PRED2(testing::Contains, ErrorOf(With(Qwen3(), key, value)), std::string(key))
          << value;
    }
  }
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads"}) {
    EXPECT_EQ(ErrorOf(Without(Qwen3(), key)), "key '" + std::string(key) + "' is missing");
  }
  for (const char* eps : {"0", "-1e-6", "1", "1e9"}) {
    EXPECT_PRED2(testing::Contains, ErrorOf(With(Qwen3(), "rms_norm_eps", eps)), "rms_norm_eps");
  }
}

TEST(ModelConfigTest, HeadsMustDivide) {
  EXPECT_EQ(ErrorOf(With(Qwen3(), "num_key_value_heads", "3")),
            "num_attention_heads 4 is not a multiple of num_key_value_heads 3");
  EXPECT_EQ(ErrorOf(With(Qwen3(), "num_key_value_heads", "8")),
            "num_attention_heads 4 is not a multiple of num_key_value_heads 8");
  EXPECT_EQ(
      ErrorOf(With(With(Qwen3(), "num_attention_heads", "32"), "num_key_value_heads", "1")),
      "num_attention_heads 32 is 32 times num_key_value_heads 1, at most 24 times is supported");
  EXPECT_EQ(ErrorOf(With(Llama(), "num_attention_heads", "3")),
            "hidden_size 64 is not a multiple of num_attention_heads 3, and head_dim is missing");
  EXPECT_PRED2(testing::Contains, ErrorOf(With(Qwen3(), "head_dim", "20")),
               "head_dim 20 is not supported");
  EXPECT_PRED2(testing::Contains, ErrorOf(With(Qwen3(), "head_dim", "520")),
               "head_dim 520 is not supported");
  EXPECT_EQ(ParseModelConfig(With(Qwen3(), "head_dim", "512"))->common_layer().head_dim, 512);
}

TEST(ModelConfigTest, SpecialTokensMustBeInTheVocabulary) {
  EXPECT_EQ(ParseModelConfig(With(Qwen3(), "eos_token_id", "[9,5,9]"))->eos_token_ids,
            (std::vector<int32_t>{5, 9}));
  for (const char* bad : {"512", "-1", "[1,512]", "1.5", "[[1]]", "\"2\""}) {
    EXPECT_PRED2(testing::Contains, ErrorOf(With(Qwen3(), "eos_token_id", bad)), "eos_token_id");
  }
  EXPECT_PRED2(testing::Contains, ErrorOf(With(Qwen3(), "bos_token_id", "512")), "bos_token_id");
}

class LoadModelConfigTest : public ::testing::Test {
 protected:
  void SetUp() override { dir_.Write("config.json", Qwen3().dump()); }
  testing::TempDir dir_;
};

TEST_F(LoadModelConfigTest, GenerationConfigDecidesTheEnd) {
  EXPECT_EQ(LoadModelConfig(dir_.path())->eos_token_ids, std::vector<int32_t>{2});
  dir_.Write("generation_config.json", R"({"eos_token_id":[7,3]})");
  EXPECT_EQ(LoadModelConfig(dir_.path())->eos_token_ids, (std::vector<int32_t>{3, 7}));
  dir_.Write("generation_config.json", R"({"temperature":0.6})");
  EXPECT_EQ(LoadModelConfig(dir_.path())->eos_token_ids, std::vector<int32_t>{2});
}

TEST_F(LoadModelConfigTest, ErrorsNameTheFile) {
  dir_.Write("generation_config.json", R"({"eos_token_id":9999})");
  EXPECT_PRED2(testing::StartsWith, LoadModelConfig(dir_.path()).status().message(),
               dir_.File("generation_config.json") + ": key 'eos_token_id' is 9999");
  dir_.Write("generation_config.json", "[]");
  EXPECT_FALSE(LoadModelConfig(dir_.path()).ok());
  dir_.Write("config.json", "{\"model_type\":\"gpt2\"}");
  EXPECT_PRED2(testing::StartsWith, LoadModelConfig(dir_.path()).status().message(),
               dir_.File("config.json") + ": model_type 'gpt2'");
  EXPECT_EQ(LoadModelConfig(dir_.File("none")).status().code(), StatusCode::kNotFound);
}

TEST_F(LoadModelConfigTest, FifoNeverHangs) {
  testing::TempDir dir;
  ASSERT_EQ(::mkfifo(dir.File("config.json").c_str(), 0600), 0);
  EXPECT_PRED2(testing::Contains, LoadModelConfig(dir.path()).status().message(),
               "not a regular file");
}

}  // namespace
}  // namespace kakeya
