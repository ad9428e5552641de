#include "proposer/restorer_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cache/restorer_test_util.h"
#include "format/safetensors.h"
#include "format/test_files.h"
#include "proposer/proposer_test_util.h"
#include "proposer/reference_proposer.h"
#include "proposer/tensor_source.h"

namespace kakeya {
namespace {

using test::RandomIds;
using test::TinyModels;
using testing::Contains;

// The tensors of the format, in the order in which they are read.
std::vector<std::pair<std::string, std::vector<int64_t>>> Shapes(const RestorerConfig& c) {
  const int64_t d = c.proposer.hidden, a = c.proposer.attention_size(), ffn = c.proposer.ffn;
  const int64_t kv = int64_t{c.verifier.kv_heads} * c.verifier.head_dim;
  std::vector<std::pair<std::string, std::vector<int64_t>>> out;
  out.push_back({"embed_in.weight", {d, c.verifier.hidden}});
  for (int layer = 0; layer < c.proposer.layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".";
    out.push_back({prefix + "norm1.weight", {d}});
    for (const char* name : {"wq", "wk", "wv"}) out.push_back({prefix + name + ".weight", {a, d}});
    out.push_back({prefix + "q_norm.weight", {c.proposer.head_dim}});
    out.push_back({prefix + "k_norm.weight", {c.proposer.head_dim}});
    out.push_back({prefix + "wo.weight", {d, a}});
    out.push_back({prefix + "norm2.weight", {d}});
    out.push_back({prefix + "gate.weight", {ffn, d}});
    out.push_back({prefix + "up.weight", {ffn, d}});
    out.push_back({prefix + "down.weight", {d, ffn}});
  }
  out.push_back({"final_norm.weight", {d}});
  out.push_back({"code.weight", {c.code_dim, d}});
  out.push_back({"summary.pool.weight", {c.summary.pool_heads, d}});
  out.push_back({"summary.proj.weight", {c.summary.dim, d}});
  if (c.token_dim > 0) out.push_back({"token.weight", {c.token_dim, c.verifier.hidden}});
  if (c.recurrence.used()) {
    const auto lengths = static_cast<int64_t>(c.recurrence.lengths.size());
    out.push_back({"recurrence.count.weight", {lengths, c.recurrence.buckets, d}});
    out.push_back({"recurrence.next.weight", {d, int64_t{c.recurrence.next} * c.token_dim}});
  }
  for (int layer = 0; layer < c.verifier.layers; ++layer) {
    const std::string theta = "f_theta." + std::to_string(layer) + ".";
    const std::string select = "select." + std::to_string(layer) + ".";
    for (const char* part : {"k", "v"}) {
      out.push_back({theta + part + ".weight", {kv, c.restore_inputs()}});
    }
    for (const char* part : {"k", "v"}) out.push_back({theta + part + ".bias", {kv}});
    const int64_t outputs = c.summary.dim + 1;
    out.push_back({select + "weight", {c.verifier.kv_heads, outputs, c.select_inputs()}});
    out.push_back({select + "bias", {c.verifier.kv_heads, outputs}});
    out.push_back({select + "distance", {c.verifier.kv_heads, kDistanceBuckets}});
  }
  return out;
}

// The member "recurrence", if any.
std::string RecurrenceJson(const RestorerConfig::Recurrence& c) {
  if (!c.used()) return "";
  return fmt::format(R"("recurrence":{{"lengths":[{}],"buckets":{},"next":{}}},)",
                     fmt::join(c.lengths, ","), c.buckets, c.next);
}

std::string ConfigJson(const RestorerConfig& c) {
  return fmt::format(
      R"({{"format":"kakeya-restorer","version":1,"verifier_fingerprint":"{}","chunk":64,
"proposer":{{"layers":{},"hidden":{},"heads":{},"head_dim":{},"ffn":{},"rope_theta":{},
"rms_norm_eps":{}}},"code_dim":{},"token_dim":{},
{}"summary":{{"segments":{},"dim":{},"pool_heads":{}}},
"selection":{{"min_share_log":{},"chunks":{}}},"max_distance":{},
"verifier":{{"layers":{},"hidden":{},"heads":{},"kv_heads":{},"head_dim":{},"vocab_size":{}}}}})",
      c.verifier_fingerprint, c.proposer.layers, c.proposer.hidden, c.proposer.heads,
      c.proposer.head_dim, c.proposer.ffn, c.proposer.rope_theta, c.proposer.rms_norm_eps,
      c.code_dim, c.token_dim, RecurrenceJson(c.recurrence), c.summary.segments, c.summary.dim,
      c.summary.pool_heads, c.min_share_log, c.chunks, c.max_distance, c.verifier.layers,
      c.verifier.hidden, c.verifier.heads, c.verifier.kv_heads, c.verifier.head_dim,
      c.verifier.vocab_size);
}

struct Tensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};

// A folder `restorer/` under construction, to be spoilt by a test before it is saved.
class RestorerModelTest : public ::testing::Test {
 protected:
  explicit RestorerModelTest() : config_(models_.restorer.config) {}

  // The numbers of RestorerModel::Random with this seed.
  void Build(DType dtype = DType::kF32) {
    RandomSource source(5);
    for (const auto& [name, shape] : Shapes(config_)) {
      const TensorView view = source.Get(name, shape).value();
      const auto* values = static_cast<const float*>(view.data);
      tensors_[name] = {dtype, shape, test::ToStored(dtype, {values, values + view.elements()})};
    }
  }
  void Save() {
    dir_.Write("config.json", ConfigJson(config_));
    std::vector<std::pair<std::string, TensorView>> views;
    for (const auto& [name, t] : tensors_) {
      views.push_back({name, {t.dtype, t.shape, t.bytes.data()}});
    }
    ASSERT_TRUE(WriteSafetensors(path(), views).ok());
  }
  std::string path() const { return dir_.File("model.safetensors"); }
  Result<RestorerModel> Load(ThreadPool* pool = nullptr) {
    return RestorerModel::Load(dir_.path(), models_.verifier, test::kFingerprint, &budget_, pool);
  }
  std::string LoadError() {
    const Result<RestorerModel> model = Load();
    return model.ok() ? "no error" : model.status().message();
  }
  // What a restorer with these parameters keeps of some ids, and restores.
  std::vector<float> Behaviour(const RestorerModel& model) {
    const auto restorer = LearnedRestorer::Create(&models_.verifier, &model, &budget_).value();
    EXPECT_TRUE(restorer->Extend({}, RandomIds(3 * kChunk, 7)).ok());
    return test::LoadPage(*restorer, 2, 1, 2, models_.verifier.config.common_layer().head_dim)
        .Both();
  }

  TinyModels models_;
  MemoryBudget budget_;
  RestorerConfig config_;
  std::map<std::string, Tensor> tensors_;
  testing::TempDir dir_;
};

TEST_F(RestorerModelTest, AFileGivesWhatItHolds) {
  Build();
  Save();
  const Result<RestorerModel> model = Load();
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(Behaviour(*model), Behaviour(models_.restorer));
  int64_t parameters = 0;
  for (const auto& [name, tensor] : tensors_) {
    parameters += static_cast<int64_t>(tensor.bytes.size()) / 4;
  }
  EXPECT_EQ(model->parameters, parameters);
}

TEST_F(RestorerModelTest, StoredTypesAndThreadsAreTakenAsTheyCome) {
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    Build(dtype);
    Save();
    const Result<RestorerModel> model = Load();
    ASSERT_TRUE(model.ok()) << model.status().message();
    EXPECT_EQ(model->code.dtype(), dtype);
    for (ThreadPool* pool : test::AllPools()) {
      const Result<RestorerModel> other = Load(pool);
      ASSERT_TRUE(other.ok());
      EXPECT_EQ(Behaviour(*other), Behaviour(*model));
    }
  }
}

TEST_F(RestorerModelTest, TokenFeaturesAreTheNormedEmbeddingsProjection) {
  Build();
  Save();
  const Result<RestorerModel> model = Load();
  ASSERT_TRUE(model.ok()) << model.status().message();
  const test::ReferenceProposer reference(models_.verifier, *model);
  const auto* token = reinterpret_cast<const float*>(tensors_["token.weight"].bytes.data());
  for (const int32_t id : {0, 63, 64, 96}) {
    const test::Row embedded = reference.Embedded(id);
    const float scale = model->token_scales.as<float>()[id];
    for (int i = 0; i < config_.token_dim; ++i) {
      double want = 0;
      for (size_t j = 0; j < embedded.size(); ++j) {
        want += double{token[i * embedded.size() + j]} * embedded[j];
      }
      const int q = model->token_features.as<int16_t>()[id * config_.token_dim + i];
      EXPECT_NEAR(static_cast<float>(q) * scale, want, 0.5 * scale + 1e-5);
    }
  }
}

TEST_F(RestorerModelTest, TokensMayHaveNoFeatures) {
  RestorerConfig config = config_;
  config.token_dim = 0;
  config_ = config;
  Build();
  Save();
  const Result<RestorerModel> model = Load();
  ASSERT_TRUE(model.ok()) << model.status().message();
  TinyModels other(config);
  EXPECT_EQ(Behaviour(*model), Behaviour(other.restorer));
}

TEST_F(RestorerModelTest, AFileWithRecurrenceGivesWhatItHolds) {
  TinyModels other(test::RecurrentConfig(models_.verifier.config));
  config_ = other.restorer.config;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    Build(dtype);
    Save();
    const Result<RestorerModel> model = Load();
    ASSERT_TRUE(model.ok()) << model.status().message();
    EXPECT_EQ(model->parameters, other.restorer.parameters);
    EXPECT_EQ(Behaviour(*model) == Behaviour(other.restorer), dtype == DType::kF32);
  }
  EXPECT_NE(Behaviour(other.restorer), Behaviour(models_.restorer));
}

TEST_F(RestorerModelTest, EveryMissingTensorIsNamed) {
  config_ = test::RecurrentConfig(models_.verifier.config);
  for (const auto& [name, shape] : Shapes(config_)) {
    Build();
    tensors_.erase(name);
    Save();
    EXPECT_EQ(LoadError(), path() + ": tensor " + name + " is missing");
    EXPECT_EQ(budget_.used(), 0u);
  }
}

TEST_F(RestorerModelTest, EveryWrongShapeIsNamed) {
  config_ = test::RecurrentConfig(models_.verifier.config);
  for (const auto& [name, shape] : Shapes(config_)) {
    Build();
    Tensor& tensor = tensors_[name];
    tensor.shape[0] += 1;
    tensor.bytes.resize(
        static_cast<size_t>(TensorView{DType::kF32, tensor.shape, nullptr}.bytes()));
    Save();
    EXPECT_EQ(LoadError(), path() + ": " + name + " is " + ShapeString(tensor.shape) +
                               ", config.json wants " + ShapeString(shape));
  }
}

TEST_F(RestorerModelTest, KeysAndValuesOfDifferentTypesAreRefused) {
  Build();
  Tensor& tensor = tensors_["f_theta.1.v.weight"];
  tensor.dtype = DType::kBF16;
  tensor.bytes.resize(tensor.bytes.size() / 2);
  Save();
  EXPECT_EQ(LoadError(), path() +
                             ": f_theta.1.k.weight is f32 but f_theta.1.v.weight is bf16: "
                             "their types must be equal");
}

TEST_F(RestorerModelTest, AMissingOrCutFileIsOneLine) {
  Build();
  Save();
  const std::string bytes = testing::ReadAll(path());
  for (const size_t size : {bytes.size() - 1, bytes.size() / 2, size_t{100}, size_t{7}}) {
    dir_.Write("model.safetensors", bytes.substr(0, size));
    const std::string error = LoadError();
    EXPECT_PRED2(testing::StartsWith, error, path() + ": ");
    EXPECT_EQ(error.find('\n'), error.npos);
  }
  std::filesystem::remove(path());
  EXPECT_PRED2(testing::StartsWith, LoadError(), path() + ": ");
}

TEST_F(RestorerModelTest, WeightsThatAreNoNumbersAreLoaded) {
  Build();
  for (auto& [name, tensor] : tensors_) {
    auto* values = reinterpret_cast<float*>(tensor.bytes.data());
    std::fill_n(values, tensor.bytes.size() / 4, NAN);
  }
  Save();
  EXPECT_EQ(LoadError(), "no error");
}

TEST_F(RestorerModelTest, AllMemoryIsCountedAsWeightsAndGivenBack) {
  Build();
  Save();
  {
    const Result<RestorerModel> model = Load();
    ASSERT_TRUE(model.ok());
    EXPECT_EQ(budget_.used(), budget_.used(MemoryTag::kWeights));
    const size_t features = size_t{97} * config_.token_dim * sizeof(int16_t);
    EXPECT_EQ(model->token_features.size(), features);
    EXPECT_EQ(model->token_scales.size(), 97 * sizeof(float));
    // All matrices as they are stored, but f_theta's, which take half.
    size_t stored =
        4 * static_cast<size_t>(model->parameters) - tensors_["token.weight"].bytes.size();
    for (const auto& [name, tensor] : tensors_) {
      if (name.starts_with("f_theta.")) stored -= tensor.bytes.size() / 2;
    }
    EXPECT_GE(budget_.used(), features + stored);
  }
  EXPECT_EQ(budget_.used(), 0u);
  MemoryBudget small(10000);
  const Result<RestorerModel> model =
      RestorerModel::Load(dir_.path(), models_.verifier, test::kFingerprint, &small, nullptr);
  EXPECT_EQ(model.status().code(), StatusCode::kResourceExhausted);
}

TEST_F(RestorerModelTest, RandomIsTheSameForTheSameSeedAlone) {
  const auto behaviour = [&](uint64_t seed) {
    return Behaviour(RestorerModel::Random(config_, models_.verifier, seed, &budget_).value());
  };
  EXPECT_EQ(behaviour(1), behaviour(1));
  EXPECT_NE(behaviour(1), behaviour(2));
}

}  // namespace
}  // namespace kakeya
