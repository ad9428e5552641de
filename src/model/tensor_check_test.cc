#include "model/tensor_check.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/memory_budget.h"
#include "format/gguf_test_util.h"
#include "format/test_files.h"
#include "model/parameter_names.h"
#include "model/weights.h"

namespace kakeya {
namespace {

using Kind = UnknownTensor::Kind;

// A checkpoint with the tensors of a small network and some more, each of one F32 element: only
// names count here.
class TensorCheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.architecture = Architecture::kLlama;
    config_.vocab_size = 2;
    config_.layers.resize(2);
  }

  std::vector<std::string> NetworkNames(bool gguf) const {
    std::vector<std::string> names;
    for (const Parameter p : {Parameter::kEmbedding, Parameter::kFinalNorm}) {
      names.push_back(TensorName(gguf, p, 0));
    }
    if (!config_.tie_word_embeddings) names.push_back(TensorName(gguf, Parameter::kHead, 0));
    for (int layer = 0; layer < config_.num_layers(); ++layer) {
      for (const Parameter p :
           {Parameter::kAttnNorm, Parameter::kQ, Parameter::kK, Parameter::kV, Parameter::kO,
            Parameter::kMlpNorm, Parameter::kGate, Parameter::kUp, Parameter::kDown}) {
        names.push_back(TensorName(gguf, p, layer));
      }
      if (!config_.layers[layer].qk_norm) continue;
      names.push_back(TensorName(gguf, Parameter::kQNorm, layer));
      names.push_back(TensorName(gguf, Parameter::kKNorm, layer));
    }
    return names;
  }

  static std::string Safetensors(const std::vector<std::string>& names) {
    std::string header = "{";
    for (size_t i = 0; i < names.size(); ++i) {
      header += fmt::format(R"({}"{}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{}]}})",
                            i > 0 ? "," : "", names[i], 4 * i, 4 * i + 4);
    }
    return testing::RawSafetensors(header + "}", std::string(4 * names.size(), '\0'));
  }

  Result<Checkpoint> Open(bool gguf, const std::vector<std::string>& more) {
    std::vector<std::string> names = NetworkNames(gguf);
    names.insert(names.end(), more.begin(), more.end());
    if (!gguf) {
      dir_.Write("model.safetensors", Safetensors(names));
      return Checkpoint::Open(dir_.path());
    }
    testing::GgufBuilder file;
    for (const std::string& name : names) file.Tensor(name, {1}, 0, std::string(4, '\0'));
    return Checkpoint::Open(dir_.Write("m.gguf", file.File()));
  }

  // What is made of one tensor beyond the network's.
  Kind KindOf(bool gguf, const std::string& name) {
    const Result<Checkpoint> checkpoint = Open(gguf, {name});
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    const std::vector<UnknownTensor> unknown = FindUnknownTensors(*checkpoint, config_);
    EXPECT_EQ(unknown.size(), 1u) << name;
    EXPECT_EQ(unknown[0].tensor->name, name);
    EXPECT_EQ(CheckTensors(*checkpoint, config_).ok(), unknown[0].kind != Kind::kRefused) << name;
    return unknown[0].kind;
  }
  // Without the file's name, which must come first.
  std::string ErrorOf(bool gguf, const std::vector<std::string>& more) {
    const Result<Checkpoint> checkpoint = Open(gguf, more);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    const Status status = CheckTensors(*checkpoint, config_);
    if (status.ok()) return "no error";
    const std::string start = checkpoint->path() + ": ";
    EXPECT_PRED2(testing::StartsWith, status.message(), start);
    return status.message().substr(start.size());
  }

  testing::TempDir dir_;
  ModelConfig config_;
};

TEST_F(TensorCheckTest, NetworksOwnTensorsAreKnown) {
  for (const bool gguf : {false, true}) {
    for (const bool tied : {false, true}) {
      config_.tie_word_embeddings = tied;
      for (LayerConfig& layer : config_.layers) layer.qk_norm = tied;
      EXPECT_TRUE(FindUnknownTensors(*Open(gguf, {}), config_).empty());
      EXPECT_EQ(ErrorOf(gguf, {}), "no error");
    }
  }
}

TEST_F(TensorCheckTest, TensorsOfTheNetworkThatAreNotComputedAreRefused) {
  for (const char* name :
       {"model.layers.0.self_attn.q_proj.bias", "model.layers.1.mlp.down_proj.bias",
        "model.layers.0.self_attn.q_norm.weight", "model.layers.0.self_attn.k_norm.weight",
        "model.layers.0.self_attn.sinks", "model.layers.0.self_attn.q_proj.weight_scale",
        "model.layers.2.mlp.up_proj.weight", "model.layers.9.input_layernorm.weight",
        "model.layers.99999999999999999999.x", "model.norm.bias", "model.embed_positions.weight",
        "lm_head.bias", "draft.layers.0.mlp.up_proj.lora_A.weight"}) {
    EXPECT_EQ(KindOf(false, name), Kind::kRefused) << name;
  }
  for (const char* name :
       {"blk.0.attn_q.scale", "blk.0.attn_q.bias", "blk.1.attn_sinks.weight",
        "blk.0.post_attention_norm.weight", "blk.0.attn_q_norm.weight", "blk.2.ffn_up.weight",
        "output_norm.bias", "output.scale", "token_embd_norm.weight", "position_embd.weight",
        "rope_freqs.weight", "rope_factors_long.weight", "anything"}) {
    EXPECT_EQ(KindOf(true, name), Kind::kRefused) << name;
  }
}

TEST_F(TensorCheckTest, PartsBesideTheNetworkAreUnused) {
  for (const char* name : {"score.weight", "v_head.summary.bias", "visual.patch_embed.weight",
                           "mtp.layers.0.mlp.up_proj.weight"}) {
    EXPECT_EQ(KindOf(false, name), Kind::kUnused) << name;
  }
  for (const char* name : {"cls.output.weight", "v.blk.0.attn_q.weight", "mm.0.weight"}) {
    EXPECT_EQ(KindOf(true, name), Kind::kUnused) << name;
  }
}

TEST_F(TensorCheckTest, LeftoversAreHarmless) {
  EXPECT_EQ(KindOf(false, "model.layers.0.self_attn.rotary_emb.inv_freq"), Kind::kHarmless);
  EXPECT_EQ(KindOf(false, "model.rotary_emb.inv_freq"), Kind::kHarmless);
  config_.tie_word_embeddings = true;
  EXPECT_EQ(KindOf(false, "lm_head.weight"), Kind::kHarmless);
}

TEST_F(TensorCheckTest, RotaryFactorsAreKnownWhereTheScalingReadsThem) {
  config_.ropes[0].scaling = RopeScaling::kFactors;
  EXPECT_EQ(ErrorOf(true, {"rope_freqs.weight"}), "no error");
  config_.ropes[0].scaling = RopeScaling::kLongRope;
  EXPECT_EQ(ErrorOf(true, {"rope_factors_long.weight", "rope_factors_short.weight"}), "no error");
}

TEST_F(TensorCheckTest, ErrorsNameTheTensorTheReasonAndHowManyMore) {
  EXPECT_EQ(ErrorOf(false, {"score.weight", "model.layers.0.self_attn.q_proj.bias"}),
            "tensor 'model.layers.0.self_attn.q_proj.bias' would change the result, but biases are "
            "not supported");
  EXPECT_EQ(ErrorOf(false, {"model.layers.9.mlp.up_proj.weight", "lm_head.bias"}),
            "tensor 'model.layers.9.mlp.up_proj.weight' would change the result, but there are 2 "
            "layers; so is 1 more ('kakeya inspect --check' lists all)");
  EXPECT_EQ(ErrorOf(true, {"blk.0.a", "blk.0.b", "blk.0.c"}),
            "tensor 'blk.0.a' would change the result, but the network that the metadata describes "
            "has no such part; so are 2 more ('kakeya inspect --check' lists all)");
}

TEST_F(TensorCheckTest, TensorsThatAnIndexDoesNotNameCountToo) {
  std::vector<std::string> names = NetworkNames(false);
  Json map = Json::object();
  for (const std::string& name : names) map[name] = "one.safetensors";
  names.emplace_back("model.layers.0.self_attn.v_proj.bias");
  dir_.Write("one.safetensors", Safetensors(names));
  dir_.Write("model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  const Result<Checkpoint> checkpoint = Checkpoint::Open(dir_.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_PRED2(testing::Contains, CheckTensors(*checkpoint, config_).message(),
               "one.safetensors: tensor 'model.layers.0.self_attn.v_proj.bias' would change");
}

TEST_F(TensorCheckTest, HeadOfATiedModelMustBeItsEmbedding) {
  config_.tie_word_embeddings = true;
  const auto check = [&](const std::string& embedding, const std::string& head,
                         const std::string& shape, HeadRows rows) {
    const std::string header = fmt::format(
        R"({{"model.embed_tokens.weight":{{"dtype":"U8","shape":[{0},1],"data_offsets":[0,{0}]}},)"
        R"("lm_head.weight":{{"dtype":"U8","shape":{1},"data_offsets":[{0},{2}]}}}})",
        embedding.size(), shape, embedding.size() + head.size());
    dir_.Write("model.safetensors", testing::RawSafetensors(header, embedding + head));
    const Status status = CheckTensors(*Checkpoint::Open(dir_.path()), config_, rows);
    return status.ok() ? "no error" : status.message();
  };
  const std::string same(1000, 'a');
  std::string last = same;
  last.back() = 'b';
  const std::string start =
      dir_.File("model.safetensors") + ": lm_head.weight differs from model.embed_tokens.weight (";
  const std::string end = "), but tie_word_embeddings says that they are the same";
  for (const HeadRows rows : {HeadRows::kSome, HeadRows::kAll}) {
    EXPECT_EQ(check(same, same, "[1000,1]", rows), "no error");
    EXPECT_EQ(check(same, std::string(1000, 'b'), "[1000,1]", rows), start + "in row 0" + end);
    EXPECT_EQ(check(same, same, "[500,2]", rows), start + "U8 [500, 2], U8 [1000, 1]" + end);
  }
  EXPECT_EQ(check(same, last, "[1000,1]", HeadRows::kAll), start + "in row 999" + end);
}

}  // namespace
}  // namespace kakeya
