#include "model/gguf_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "format/gguf_test_util.h"
#include "format/json.h"
#include "format/test_files.h"
#include "model/rope.h"

namespace kakeya {
namespace {

std::vector<float> FrequenciesOf(const ModelConfig& config) {
  return RopeFrequencies(config, /*rope=*/0);
}

using testing::GgufBuilder;

// The keys of a network of 4 heads of 16 and 2 KV heads; `skip` leaves one out.
GgufBuilder Network(const std::string& arch = "qwen3", const std::string& skip = "") {
  GgufBuilder b;
  const auto u32 = [&](const std::string& name, uint32_t value) {
    if (name != skip) b.U32(arch + "." + name, value);
  };
  b.String("general.architecture", arch);
  u32("block_count", 3);
  u32("embedding_length", 64);
  u32("feed_forward_length", 72);
  u32("attention.head_count", 4);
  u32("attention.head_count_kv", 2);
  u32("attention.key_length", 16);
  u32("context_length", 4096);
  u32("vocab_size", 300);
  if (skip != "rope.freq_base") b.F32(arch + ".rope.freq_base", 1e6f);
  if (skip != "attention.layer_norm_rms_epsilon") {
    b.F32(arch + ".attention.layer_norm_rms_epsilon", 1e-5f);
  }
  return b;
}

class GgufConfigTest : public ::testing::Test {
 protected:
  Result<ModelConfig> Read(const GgufBuilder& builder) {
    const Result<GgufFile> file = GgufFile::Open(dir_.Write("m.gguf", builder.File()));
    if (!file.ok()) return file.status();
    return ReadGgufConfig(*file);
  }
  // Without the file's name, which must come first.
  std::string ErrorOf(const GgufBuilder& builder) {
    const Result<ModelConfig> config = Read(builder);
    if (config.ok()) return "no error";
    const std::string start = dir_.File("m.gguf") + ": ";
    EXPECT_PRED2(testing::StartsWith, config.status().message(), start);
    return config.status().message().substr(start.size());
  }

  testing::TempDir dir_;
};

TEST_F(GgufConfigTest, KeysBecomeTheConfig) {
  GgufBuilder b = Network();
  b.U32("tokenizer.ggml.bos_token_id", 7);
  b.U32("tokenizer.ggml.eos_token_id", 9);
  b.U32("tokenizer.ggml.eot_token_id", 5);
  const Result<ModelConfig> config = Read(b);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->architecture, Architecture::kQwen3);
  EXPECT_EQ(config->num_layers(), 3);
  EXPECT_EQ(config->hidden_size, 64);
  EXPECT_EQ(config->common_layer().intermediate_size, 72);
  EXPECT_EQ(config->common_layer().num_heads, 4);
  EXPECT_EQ(config->common_layer().num_kv_heads, 2);
  EXPECT_EQ(config->common_layer().head_dim, 16);
  EXPECT_EQ(config->max_positions, 4096);
  EXPECT_EQ(config->vocab_size, 300);
  EXPECT_EQ(config->ropes[0].theta, 1e6);
  EXPECT_EQ(config->ropes[0].scaling, RopeScaling::kNone);
  EXPECT_EQ(config->rms_norm_eps, 1e-5f);
  EXPECT_TRUE(config->common_layer().qk_norm);
  EXPECT_TRUE(config->tie_word_embeddings);
  EXPECT_EQ(config->bos_token_id, 7);
  EXPECT_EQ(config->eos_token_ids, (std::vector<int32_t>{5, 9}));
}

TEST_F(GgufConfigTest, LlamaHasItsOwnKeysAndNoQkNorm) {
  GgufBuilder b = Network("llama", "attention.key_length");
  b.Tensor("output.weight", {1}, 0, "abcd");
  const Result<ModelConfig> config = Read(b);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->architecture, Architecture::kLlama);
  EXPECT_FALSE(config->common_layer().qk_norm);
  EXPECT_FALSE(config->tie_word_embeddings);
  EXPECT_EQ(config->common_layer().head_dim, 16);  // 64 / 4, where no key says otherwise
}

TEST_F(GgufConfigTest, MissingKeysAreNamed) {
  for (const char* key :
       {"block_count", "embedding_length", "feed_forward_length", "attention.head_count",
        "attention.layer_norm_rms_epsilon", "context_length", "vocab_size"}) {
    EXPECT_EQ(ErrorOf(Network("qwen3", key)), "key 'qwen3." + std::string(key) + "' is missing");
  }
  EXPECT_EQ(ErrorOf(GgufBuilder()), "key 'general.architecture' is missing");
  EXPECT_EQ(ErrorOf(Network("gpt2")),
            "general.architecture 'gpt2' is not supported (supported: qwen3, llama)");
}

TEST_F(GgufConfigTest, SizesThatCannotBeAreRefusedByKey) {
  for (const char* name :
       {"block_count", "embedding_length", "feed_forward_length", "attention.head_count",
        "attention.head_count_kv", "vocab_size", "context_length", "attention.key_length"}) {
    for (const uint32_t value : {uint32_t{0}, std::numeric_limits<uint32_t>::max()}) {
      GgufBuilder b = Network("qwen3", name);
      b.U32("qwen3." + std::string(name), value);
      EXPECT_PRED2(testing::StartsWith, ErrorOf(b),
                   fmt::format("key 'qwen3.{}' is {}, must lie in [1, ", name, value));
    }
  }
}

TEST_F(GgufConfigTest, DisagreementShowsBothValues) {
  GgufBuilder b = Network("llama", "attention.head_count_kv");
  b.U32("llama.attention.head_count_kv", 3);
  EXPECT_EQ(ErrorOf(b),
            "llama.attention.head_count 4 is not a multiple of llama.attention.head_count_kv 3");
  b = Network();
  b.U32("qwen3.attention.value_length", 8);
  EXPECT_EQ(ErrorOf(b),
            "qwen3.attention.value_length 8 is not supported where a head has 16 dimensions");
  b = Network();
  b.Strings("tokenizer.ggml.tokens", {"a", "b"});
  EXPECT_EQ(ErrorOf(b), "key 'qwen3.vocab_size' is 300, but 'tokenizer.ggml.tokens' has 2 tokens");
  b = Network();
  b.U32("tokenizer.ggml.eos_token_id", 300);
  EXPECT_EQ(ErrorOf(b), "key 'tokenizer.ggml.eos_token_id' is 300, must lie in [0, 299]");
}

TEST_F(GgufConfigTest, VocabularyIsTheTokensElseTheEmbeddingsRows) {
  GgufBuilder b = Network("qwen3", "vocab_size");
  b.Tensor("token_embd.weight", {1, 7}, 0, std::string(28, 'x'));
  EXPECT_EQ(Read(b)->vocab_size, 7);
  b.Strings("tokenizer.ggml.tokens", {"a", "<|im_end|>", "<|eot_id|>"});
  const Result<ModelConfig> config = Read(b);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->vocab_size, 3);  // the loader compares it with the embedding
  EXPECT_EQ(config->eos_token_ids, (std::vector<int32_t>{1, 2}));
}

TEST_F(GgufConfigTest, RotaryScalingIsReadOrRefused) {
  GgufBuilder b = Network("llama");
  b.String("llama.rope.scaling.type", "linear");
  b.F32("llama.rope.scaling.factor", 4);
  EXPECT_EQ(Read(b)->ropes[0].scaling, RopeScaling::kLinear);
  EXPECT_EQ(Read(b)->ropes[0].factor, 4);
  b = Network("llama");
  b.F32("llama.rope.scale_linear", 2);
  EXPECT_EQ(Read(b)->ropes[0].factor, 2);
  b = Network("llama");
  b.String("llama.rope.scaling.type", "none");
  b.F32("llama.rope.scaling.factor", 4);
  EXPECT_EQ(Read(b)->ropes[0].scaling, RopeScaling::kNone);
  b = Network("llama");
  b.String("llama.rope.scaling.type", "spiral");
  EXPECT_EQ(ErrorOf(b),
            "llama.rope.scaling.type 'spiral' is not supported (supported: none, linear, yarn, "
            "longrope)");
  b = Network("llama");
  b.F32("llama.rope.scaling.factor", 0.5f);
  EXPECT_EQ(ErrorOf(b), "key 'llama.rope.scaling.factor' is 0.5, must be at least 1");
}

// The rotation of a config.json with heads of 16, a theta of 1e6 and these members.
Rotation RotationOfJson(const std::string& members) {
  const auto config = ParseModelConfig(*ParseJson(
      R"({"model_type": "llama", "vocab_size": 300, "hidden_size": 64, "intermediate_size": 72,
          "num_hidden_layers": 3, "num_attention_heads": 4, "rope_theta": 1e6, )" +
      members + "}"));
  EXPECT_TRUE(config.ok()) << config.status().message();
  return RotationOf(*config, /*rope=*/0);
}

TEST_F(GgufConfigTest, YarnIsThatOfAConfigJson) {
  GgufBuilder b = Network("llama");
  b.String("llama.rope.scaling.type", "yarn");
  b.F32("llama.rope.scaling.factor", 4);
  b.U32("llama.rope.scaling.original_context_length", 2048);
  Result<ModelConfig> config = Read(b);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->max_positions, 8192);
  const std::string json = R"("factor": 4, "original_max_position_embeddings": 2048)";
  Rotation want = RotationOfJson(R"("rope_scaling": {"type": "yarn", )" + json + "}");
  EXPECT_EQ(RotationOf(*config, /*rope=*/0).frequencies, want.frequencies);
  EXPECT_EQ(RotationOf(*config, /*rope=*/0).magnitude, want.magnitude);
  EXPECT_NE(want.frequencies, FrequenciesOf(*Read(Network("llama"))));

  b.F32("llama.rope.scaling.yarn_beta_fast", 8);
  b.F32("llama.rope.scaling.yarn_beta_slow", 2);
  b.F32("llama.rope.scaling.attn_factor", 0.5f);
  config = Read(b);
  ASSERT_TRUE(config.ok()) << config.status().message();
  want = RotationOfJson(R"("rope_scaling": {"type": "yarn", "beta_fast": 8, "beta_slow": 2, )" +
                        json + "}");
  EXPECT_EQ(RotationOf(*config, /*rope=*/0).frequencies, want.frequencies);
  EXPECT_FLOAT_EQ(RotationOf(*config, /*rope=*/0).magnitude, 0.5f * want.magnitude);
}

TEST_F(GgufConfigTest, YarnThatIsNotComputedIsRefusedByKey) {
  const auto error = [&](const char* name, float value) {
    GgufBuilder b = Network("llama");
    b.String("llama.rope.scaling.type", "yarn");
    b.F32("llama.rope.scaling.factor", 1);
    b.F32("llama.rope.scaling." + std::string(name), value);
    return ErrorOf(b);
  };
  for (const auto& [name, neutral] :
       {std::pair("yarn_ext_factor", 1.0f), std::pair("yarn_attn_factor", 1.0f),
        std::pair("yarn_log_multiplier", 0.0f), std::pair("yarn_beta_fast", 32.0f),
        std::pair("attn_factor", 1.0f)}) {
    EXPECT_EQ(error(name, neutral), "no error");
    EXPECT_PRED2(testing::Contains, error(name, -1), "llama.rope.scaling." + std::string(name));
    EXPECT_PRED2(testing::Contains, error(name, NAN), "llama.rope.scaling." + std::string(name));
  }
  EXPECT_EQ(error("yarn_beta_fast", 0.5f),
            "llama.rope.scaling.yarn_beta_fast 0.5 must be at least "
            "llama.rope.scaling.yarn_beta_slow 1");
}

TEST_F(GgufConfigTest, LongRopeIsThatOfAConfigJson) {
  const auto floats = [](float step) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes += testing::Bytes(1 + step * static_cast<float>(i));
    return bytes;
  };
  GgufBuilder b = Network("llama");
  b.String("llama.rope.scaling.type", "longrope");
  b.U32("llama.rope.scaling.original_context_length", 1024);
  b.F32("llama.rope.scaling.attn_factor", 1.25f);
  EXPECT_EQ(ErrorOf(b),
            "tensor rope_factors_long.weight is missing (llama.rope.scaling.type longrope)");
  b.Tensor("rope_factors_long.weight", {8}, 0, floats(0.75f));
  b.Tensor("rope_factors_short.weight", {8}, 0, floats(0.125f));
  const Result<ModelConfig> config = Read(b);
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Rotation want = RotationOfJson(
      R"("max_position_embeddings": 4096, "rope_scaling": {"type": "longrope",
         "original_max_position_embeddings": 1024, "attention_factor": 1.25,
         "long_factor": [1, 1.75, 2.5, 3.25, 4, 4.75, 5.5, 6.25],
         "short_factor": [1, 1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 1.875]})");
  EXPECT_EQ(RotationOf(*config, /*rope=*/0).frequencies, want.frequencies);
  EXPECT_EQ(RotationOf(*config, /*rope=*/0).magnitude, 1.25f);
  b.Tensor("rope_freqs.weight", {8}, 0, floats(0));
  EXPECT_PRED2(testing::StartsWith, ErrorOf(b), "rope_freqs.weight together with");
}

TEST_F(GgufConfigTest, FactorsDivideTheFrequencies) {
  const auto with = [](const std::vector<float>& factors) {
    GgufBuilder b = Network("llama");
    std::string bytes;
    for (const float factor : factors) bytes += testing::Bytes(factor);
    b.Tensor("rope_freqs.weight", {factors.size()}, 0, bytes);
    return b;
  };
  const Result<ModelConfig> config = Read(with({1, 1, 2, 4, 8, 8, 8, 8}));
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->ropes[0].scaling, RopeScaling::kFactors);
  const std::vector<float> plain = FrequenciesOf(*Read(Network("llama")));
  const std::vector<float> scaled = FrequenciesOf(*config);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(scaled[i], plain[i] / config->ropes[0].factors[i]);
  }
  EXPECT_EQ(ErrorOf(with({1, 1, 1, 1})),
            "rope_freqs.weight is F32 [4], must be F32 [8] (half a head)");
  EXPECT_EQ(ErrorOf(with({1, 1, 1, 1, 1, -2, 1, 1})), "rope_freqs.weight holds -2 at [5]");
  EXPECT_EQ(ErrorOf(with({1, 1, 1, NAN, 1, 1, 1, 1})), "rope_freqs.weight holds nan at [3]");
}

TEST_F(GgufConfigTest, OtherNetworksAreRefused) {
  GgufBuilder b = Network("llama");
  b.U32("llama.expert_count", 8);
  EXPECT_EQ(ErrorOf(b), "llama.expert_count 8 is not supported");
}

}  // namespace
}  // namespace kakeya
