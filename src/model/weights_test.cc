#include "model/weights.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "backend/numerics.h"
#include "format/gguf_test_util.h"
#include "format/safetensors.h"
#include "format/test_files.h"
#include "model/parameter_names.h"

namespace kakeya {
namespace {

struct Tensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;

  float At(int64_t i) const { return numerics::Load(dtype, bytes.data(), i); }
  void Set(int64_t i, float value) { numerics::Store(dtype, bytes.data(), i, value); }
};

// A model folder under construction: the tensors that a config wants, each filled with numbers of
// its own, to be spoilt by a test before it is saved.
class WeightsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.architecture = Architecture::kQwen3;
    config_.vocab_size = 50;  // not a multiple of kPackWidth
    config_.hidden_size = 24;
    SetLayers(2, {.num_heads = 4,
                  .num_kv_heads = 2,
                  .head_dim = 8,
                  .intermediate_size = 40,
                  .qk_norm = true});
  }
  void SetLayers(size_t n, const LayerConfig& layer) { config_.layers.assign(n, layer); }
  const LayerConfig& layer() const { return config_.common_layer(); }

  void Add(const std::string& name, std::vector<int64_t> shape) {
    Tensor tensor{dtype_, std::move(shape), {}};
    const int64_t n = TensorView{dtype_, tensor.shape, nullptr}.elements();
    tensor.bytes.resize(static_cast<size_t>(n) * SizeOf(dtype_));
    for (int64_t i = 0; i < n; ++i) tensor.Set(i, static_cast<float>(++counter_ % 251) - 125.0f);
    tensors_[name] = std::move(tensor);
  }
  void Build() {
    const int64_t hidden = config_.hidden_size, inner = layer().intermediate_size;
    Add("model.embed_tokens.weight", {config_.vocab_size, hidden});
    Add("model.norm.weight", {hidden});
    if (!config_.tie_word_embeddings) Add("lm_head.weight", {config_.vocab_size, hidden});
    for (int layer = 0; layer < config_.num_layers(); ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      Add(prefix + "input_layernorm.weight", {hidden});
      Add(prefix + "post_attention_layernorm.weight", {hidden});
      Add(prefix + "self_attn.q_proj.weight", {this->layer().q_size(), hidden});
      Add(prefix + "self_attn.k_proj.weight", {this->layer().kv_size(), hidden});
      Add(prefix + "self_attn.v_proj.weight", {this->layer().kv_size(), hidden});
      Add(prefix + "self_attn.o_proj.weight", {hidden, this->layer().q_size()});
      if (this->layer().qk_norm) {
        Add(prefix + "self_attn.q_norm.weight", {this->layer().head_dim});
        Add(prefix + "self_attn.k_norm.weight", {this->layer().head_dim});
      }
      Add(prefix + "mlp.gate_proj.weight", {inner, hidden});
      Add(prefix + "mlp.up_proj.weight", {inner, hidden});
      Add(prefix + "mlp.down_proj.weight", {hidden, inner});
    }
  }
  void Save() {
    std::vector<std::pair<std::string, TensorView>> views;
    for (const auto& [name, t] : tensors_)
      views.push_back({name, {t.dtype, t.shape, t.bytes.data()}});
    ASSERT_TRUE(WriteSafetensors(path(), views).ok());
  }
  std::string path() const { return dir_.File("model.safetensors"); }
  Result<ModelWeights> Load(const LoadProgress& progress = nullptr) {
    return LoadWeights(dir_.path(), config_, &budget_, nullptr, progress);
  }
  std::string LoadError() {
    const Result<ModelWeights> weights = Load();
    return weights.ok() ? "no error" : weights.status().message();
  }
  Tensor& At(const std::string& name) { return tensors_.at(name); }

  // True when row `row` of the packed matrix is row `source` of the named tensor, by the layout
  // that packed_matrix.h states.
  bool RowIs(const PackedMatrix& m, int64_t row, const std::string& name, int64_t source) {
    const Tensor& t = At(name);
    for (int64_t c = 0; c < m.cols(); ++c) {
      const int64_t at = (row / kPackWidth * m.cols() + c) * kPackWidth + row % kPackWidth;
      if (numerics::Load(m.dtype(), m.data(), at) != t.At(source * m.cols() + c)) return false;
    }
    return true;
  }
  ::testing::AssertionResult Holds(const PackedMatrix& m, const std::vector<std::string>& parts) {
    int64_t row = 0;
    for (const std::string& name : parts) {
      for (int64_t r = 0; r < At(name).shape[0]; ++r, ++row) {
        if (row >= m.rows() || !RowIs(m, row, name, r)) {
          return ::testing::AssertionFailure() << name << " row " << r;
        }
      }
    }
    return row == m.rows() ? ::testing::AssertionSuccess()
                           : ::testing::AssertionFailure() << "rows " << m.rows();
  }
  ::testing::AssertionResult Holds(const Buffer& buffer, const std::string& name) {
    const Tensor& t = At(name);
    if (buffer.size() != static_cast<size_t>(t.shape[0]) * sizeof(float)) {
      return ::testing::AssertionFailure() << name << " has " << buffer.size() << " bytes";
    }
    for (int64_t i = 0; i < t.shape[0]; ++i) {
      if (buffer.as<float>()[i] != t.At(i)) return ::testing::AssertionFailure() << name << i;
    }
    return ::testing::AssertionSuccess();
  }
  void ExpectAll(const ModelWeights& w) {
    EXPECT_TRUE(Holds(w.embedding, {"model.embed_tokens.weight"}));
    EXPECT_TRUE(Holds(w.final_norm, "model.norm.weight"));
    EXPECT_TRUE(Holds(
        w.head(), {config_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"}));
    ASSERT_EQ(w.layers.size(), 2u);
    for (int i = 0; i < 2; ++i) {
      const std::string p = "model.layers." + std::to_string(i) + ".";
      const LayerWeights& layer = w.layers[i];
      EXPECT_TRUE(Holds(layer.attn_norm, p + "input_layernorm.weight"));
      EXPECT_TRUE(Holds(layer.mlp_norm, p + "post_attention_layernorm.weight"));
      const std::vector<std::string> qkv = {p + "self_attn.q_proj.weight",
                                            p + "self_attn.k_proj.weight",
                                            p + "self_attn.v_proj.weight"};
      if (layer.qkv.stacked()) {
        EXPECT_TRUE(Holds(layer.qkv.parts[0], qkv));
      } else {
        ASSERT_EQ(layer.qkv.parts.size(), qkv.size());
        for (size_t t = 0; t < qkv.size(); ++t) EXPECT_TRUE(Holds(layer.qkv.parts[t], {qkv[t]}));
      }
      EXPECT_TRUE(Holds(layer.o, {p + "self_attn.o_proj.weight"}));
      EXPECT_TRUE(Holds(layer.gate, {p + "mlp.gate_proj.weight"}));
      EXPECT_TRUE(Holds(layer.up, {p + "mlp.up_proj.weight"}));
      EXPECT_TRUE(Holds(layer.down, {p + "mlp.down_proj.weight"}));
      EXPECT_EQ(layer.q_norm.size() > 0, this->layer().qk_norm);
      if (this->layer().qk_norm) {
        EXPECT_TRUE(Holds(layer.q_norm, p + "self_attn.q_norm.weight"));
        EXPECT_TRUE(Holds(layer.k_norm, p + "self_attn.k_norm.weight"));
      }
    }
  }

  testing::TempDir dir_;
  MemoryBudget budget_;
  ModelConfig config_;
  DType dtype_ = DType::kF32;
  std::map<std::string, Tensor> tensors_;
  int counter_ = 0;
};

TEST_F(WeightsTest, EveryTensorLandsInItsPlaceInEachType) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    dtype_ = dtype;
    Build();
    Save();
    const Result<ModelWeights> weights = Load();
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    EXPECT_EQ(weights->dtype, dtype);
    EXPECT_EQ(weights->unused_tensors, 0);
    ExpectAll(*weights);
  }
}

TEST_F(WeightsTest, TiedModelWithoutQkNormNeedsNeither) {
  config_.tie_word_embeddings = true;
  for (LayerConfig& layer : config_.layers) layer.qk_norm = false;
  Build();
  Save();
  const Result<ModelWeights> weights = Load();
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  EXPECT_EQ(&weights->head(), &weights->embedding);
  ExpectAll(*weights);
  int64_t elements = 0;
  for (const auto& [name, t] : tensors_)
    elements += TensorView{t.dtype, t.shape, nullptr}.elements();
  EXPECT_EQ(weights->parameters, elements);
}

TEST_F(WeightsTest, ShardsGiveTheSameWeights) {
  Build();
  std::vector<std::pair<std::string, TensorView>> halves[2];
  Json map = Json::object();
  int i = 0;
  for (const auto& [name, t] : tensors_) {
    halves[i % 2].push_back({name, {t.dtype, t.shape, t.bytes.data()}});
    map[name] = i++ % 2 == 0 ? "a.safetensors" : "b.safetensors";
  }
  ASSERT_TRUE(WriteSafetensors(dir_.File("a.safetensors"), halves[0]).ok());
  ASSERT_TRUE(WriteSafetensors(dir_.File("b.safetensors"), halves[1]).ok());
  dir_.Write("model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  const Result<ModelWeights> weights = Load();
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  ExpectAll(*weights);
}

// The same tensors as a GGUF file, under its names; q and k as llama files have them, if wanted.
std::string GgufOf(const std::map<std::string, Tensor>& tensors, int layers, int head_dim,
                   bool pairs) {
  testing::GgufBuilder file;
  const auto add = [&](Parameter parameter, int layer) {
    const auto it = tensors.find(TensorName(/*gguf=*/false, parameter, layer));
    if (it == tensors.end()) return;
    const Tensor& tensor = it->second;
    std::string bytes(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    if (pairs && (parameter == Parameter::kQ || parameter == Parameter::kK)) {
      const size_t row = bytes.size() / static_cast<size_t>(tensor.shape[0]);
      const int half = head_dim / 2;
      for (int64_t r = 0; r < tensor.shape[0]; ++r) {
        const int64_t at = r % head_dim;  // in its head; the file's next row is the other half's
        const int64_t from = r - at + at % 2 * half + at / 2;
        std::memcpy(bytes.data() + static_cast<size_t>(r) * row,
                    tensor.bytes.data() + static_cast<size_t>(from) * row, row);
      }
    }
    const std::vector<uint64_t> dims(tensor.shape.rbegin(), tensor.shape.rend());
    const uint32_t type = tensor.dtype == DType::kF32 ? 0 : tensor.dtype == DType::kF16 ? 1 : 30;
    file.Tensor(TensorName(/*gguf=*/true, parameter, layer), dims, type, bytes);
  };
  for (const Parameter parameter :
       {Parameter::kEmbedding, Parameter::kHead, Parameter::kFinalNorm}) {
    add(parameter, 0);
  }
  for (int layer = 0; layer < layers; ++layer) {
    for (int p = static_cast<int>(Parameter::kAttnNorm); p <= static_cast<int>(Parameter::kDown);
         ++p) {
      add(static_cast<Parameter>(p), layer);
    }
  }
  return file.File();
}

TEST_F(WeightsTest, GgufFileGivesTheSameWeights) {
  for (const bool llama : {false, true}) {
    config_.architecture = llama ? Architecture::kLlama : Architecture::kQwen3;
    for (LayerConfig& layer : config_.layers) layer.qk_norm = !llama;
    tensors_.clear();
    Build();
    const std::string path =
        dir_.Write("m.gguf", GgufOf(tensors_, config_.num_layers(), layer().head_dim, llama));
    const Result<ModelWeights> weights = LoadWeights(path, config_, &budget_, nullptr);
    ASSERT_TRUE(weights.ok()) << weights.status().message();
    ExpectAll(*weights);
    EXPECT_EQ(weights->unused_tensors, 0);
  }
}

TEST_F(WeightsTest, ErrorsAboutAGgufFileNameItsKeys) {
  Build();
  const std::string path =
      dir_.Write("m.gguf", GgufOf(tensors_, config_.num_layers(), layer().head_dim, false));
  config_.vocab_size = 51;
  EXPECT_EQ(LoadWeights(path, config_, &budget_, nullptr).status().message(),
            path +
                ": token_embd.weight is [50, 24], the metadata wants [51, 24] (qwen3.vocab_size "
                "51 x qwen3.embedding_length 24)");
}

TEST_F(WeightsTest, ThreadsChangeNothing) {
  Build();
  Save();
  auto pool = ThreadPool::Create(3);
  ASSERT_TRUE(pool.ok());
  const auto weights = LoadWeights(dir_.path(), config_, &budget_, pool->get());
  ASSERT_TRUE(weights.ok());
  ExpectAll(*weights);
}

// The format promises no alignment: a U8 tensor of odd size shifts all that follow.
TEST_F(WeightsTest, UnalignedTensorsAreRead) {
  Build();
  std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})", data = "x";
  for (const auto& [name, t] : tensors_) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
    const std::string shape = ShapeString(t.shape);
    header += ",\"" + name + R"(":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[)" +
              std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  }
  dir_.Write("model.safetensors", testing::RawSafetensors(header + "}", data));
  const Result<ModelWeights> weights = Load();
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  ExpectAll(*weights);
  EXPECT_EQ(weights->unused_tensors, 1);
  EXPECT_EQ(weights->first_unused_tensor, "a");
}

TEST_F(WeightsTest, MissingTensorIsNamed) {
  Build();
  for (const char* name : {"model.layers.1.mlp.up_proj.weight", "lm_head.weight",
                           "model.layers.0.self_attn.q_norm.weight"}) {
    const Tensor kept = At(name);
    tensors_.erase(name);
    Save();
    EXPECT_EQ(LoadError(), path() + ": tensor " + name + " is missing");
    tensors_[name] = kept;
  }
}

TEST_F(WeightsTest, WrongShapesAreRefusedWithBothAndTheReason) {
  Build();
  Add("model.layers.1.self_attn.k_proj.weight", {32, 24});
  Save();
  EXPECT_EQ(LoadError(),
            path() +
                ": model.layers.1.self_attn.k_proj.weight is [32, 24], config.json wants [16, 24] "
                "(num_key_value_heads 2 x head_dim 8)");
  Build();
  Add("model.embed_tokens.weight", {51, 24});
  Save();
  EXPECT_EQ(LoadError(), path() +
                             ": model.embed_tokens.weight is [51, 24], config.json wants [50, 24] "
                             "(vocab_size 50 x hidden_size 24)");
  Build();
  Add("model.norm.weight", {24, 1});
  Save();
  EXPECT_PRED2(testing::Contains, LoadError(), "model.norm.weight is [24, 1]");
}

TEST_F(WeightsTest, NanAndInfinityAreNamedWithTheirIndex) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    dtype_ = dtype;
    for (float bad : {NAN, INFINITY, -INFINITY}) {
      Build();
      At("model.layers.1.mlp.down_proj.weight").Set(3 * 40 + 17, bad);
      Save();
      EXPECT_EQ(LoadError(), path() +
                                 ": model.layers.1.mlp.down_proj.weight holds a NaN or an "
                                 "infinity at [3, 17]");
    }
  }
  Build();
  At("model.layers.0.self_attn.q_norm.weight").Set(5, NAN);
  Save();
  EXPECT_PRED2(testing::Contains, LoadError(), "q_norm.weight holds a NaN or an infinity at [5]");
}

TEST_F(WeightsTest, MixedTypesAreFineAndKeepProjectionsApart) {
  Build();
  dtype_ = DType::kBF16;
  Add("model.layers.0.mlp.up_proj.weight", {40, 24});
  Add("model.norm.weight", {24});
  Save();
  const Result<ModelWeights> weights = Load();
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  ExpectAll(*weights);
  EXPECT_TRUE(weights->layers[0].qkv.stacked());
  Add("model.layers.0.self_attn.v_proj.weight", {16, 24});
  Save();
  const Result<ModelWeights> apart = Load();
  ASSERT_TRUE(apart.ok()) << apart.status().message();
  ExpectAll(*apart);
  EXPECT_FALSE(apart->layers[0].qkv.stacked());
  EXPECT_TRUE(apart->layers[1].qkv.stacked());
}

TEST_F(WeightsTest, ElementTypesThatCannotBeComputedAreRefused) {
  dir_.Write("model.safetensors",
             testing::RawSafetensors(R"({"model.embed_tokens.weight":{"dtype":"F8_E4M3",)"
                                     R"("shape":[50,24],"data_offsets":[0,1200]}})",
                                     std::string(1200, 'd')));
  EXPECT_PRED2(testing::Contains, LoadError(), "has type F8_E4M3");
}

TEST_F(WeightsTest, UnknownTensorsAreCountedAndKnownLeftoversAreNot) {
  config_.tie_word_embeddings = true;
  Build();
  tensors_["lm_head.weight"] = At("model.embed_tokens.weight");
  Add("model.layers.0.self_attn.rotary_emb.inv_freq", {4});
  Add("score.weight", {2, 24});
  Add("visual.weight", {2, 24});
  Save();
  const Result<ModelWeights> weights = Load();
  ASSERT_TRUE(weights.ok()) << weights.status().message();
  EXPECT_EQ(weights->unused_tensors, 2);
  EXPECT_EQ(weights->first_unused_tensor, "score.weight");
}

TEST_F(WeightsTest, TensorThatWouldChangeTheResultIsRefused) {
  Build();
  Add("model.layers.1.self_attn.q_proj.bias", {32});
  Save();
  EXPECT_EQ(LoadError(), path() +
                             ": tensor 'model.layers.1.self_attn.q_proj.bias' would change the "
                             "result, but biases are not supported");
  Build();
  tensors_.erase("model.layers.1.self_attn.q_proj.bias");
  config_.tie_word_embeddings = true;  // the head that was built stays
  Save();
  EXPECT_EQ(LoadError(), path() +
                             ": lm_head.weight differs from model.embed_tokens.weight (in row 0), "
                             "but tie_word_embeddings says that they are the same");
}

TEST_F(WeightsTest, FileThatShrinksWhileItIsReadIsRefused) {
  config_.hidden_size = 512;  // several pages per tensor
  Build();
  Save();
  int calls = 0;
  const Result<ModelWeights> weights = Load([&](uint64_t, uint64_t) {
    if (++calls == 3) {
      EXPECT_EQ(::truncate(path().c_str(), 20'000), 0);
    }
  });
  ASSERT_FALSE(weights.ok());
  EXPECT_PRED2(testing::StartsWith, weights.status().message(),
               path() + ": truncated to 20000 bytes while it was read");
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(WeightsTest, TruncationIsTheErrorEvenWhenItMakesAnotherOne) {
  Build();
  At("model.layers.1.mlp.up_proj.weight").Set(0, NAN);  // read after the file has shrunk
  Save();
  int calls = 0;
  const auto size = static_cast<off_t>(std::filesystem::file_size(path()));
  const Result<ModelWeights> weights = Load([&](uint64_t, uint64_t) {
    if (++calls == 1) {
      EXPECT_EQ(::truncate(path().c_str(), size - 1), 0);
    }
  });
  EXPECT_PRED2(testing::Contains, weights.status().message(), "truncated");
}

TEST_F(WeightsTest, BudgetIsKeptAndGivenBack) {
  Build();
  Save();
  MemoryBudget small(3000);
  const auto refused = LoadWeights(dir_.path(), config_, &small, nullptr);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_PRED2(testing::Contains, refused.status().message(), "model.embed_tokens.weight");
  EXPECT_EQ(small.used(), 0u);
  {
    const Result<ModelWeights> weights = Load();
    ASSERT_TRUE(weights.ok());
    EXPECT_GT(budget_.used(MemoryTag::kWeights), 0u);
  }
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(WeightsTest, ProgressRisesToTheWholeFile) {
  Build();
  Save();
  uint64_t last = 0, total = 0, data = 0;
  for (const auto& [name, t] : tensors_) data += t.bytes.size();
  ASSERT_TRUE(Load([&](uint64_t done, uint64_t all) {
                EXPECT_GT(done, last);
                last = done;
                total = all;
              }).ok());
  EXPECT_EQ(last, data);
  EXPECT_EQ(total, data);
}

// Resident file pages of this process, from the kernel's own count.
size_t ResidentFileBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0, all = 0, shared = 0;
  statm >> total >> all >> shared;
  return shared * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_F(WeightsTest, PackedPartsOfTheFileLeaveMemory) {
  config_.hidden_size = 256;
  LayerConfig large = layer();
  large.intermediate_size = 1024;
  SetLayers(8, large);
  Build();
  Save();
  ASSERT_GT(std::filesystem::file_size(path()), size_t{24} << 20);
  const size_t before = ResidentFileBytes();
  size_t most = 0;
  ASSERT_TRUE(Load([&](uint64_t, uint64_t) { most = std::max(most, ResidentFileBytes()); }).ok());
  EXPECT_LT(most, before + (size_t{6} << 20));
}

}  // namespace
}  // namespace kakeya
