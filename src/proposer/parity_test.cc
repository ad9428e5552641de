// The proposer, f_theta and the selector against what the training code computes (PyTorch,
// tests/fixtures/make_restorer_fixture.py), for a verifier with k_norm and one KV head, and for one
// without and with two.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "cache/restorer_test_util.h"
#include "cache/window.h"
#include "format/fingerprint.h"
#include "format/safetensors.h"
#include "proposer/f_theta.h"
#include "proposer/learned_restorer.h"
#include "proposer/reference_proposer.h"

namespace kakeya {
namespace {

struct Fixture {
  const char* restorer;
  const char* verifier;

  friend std::ostream& operator<<(std::ostream& out, const Fixture& fixture) {
    return out << fixture.restorer;
  }
};

class ParityTest : public testing::TestWithParam<Fixture> {
 protected:
  void SetUp() override {
    const std::string fixtures = std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/";
    const std::string verifier_dir = fixtures + "models/" + GetParam().verifier;
    const std::string dir = fixtures + GetParam().restorer;
    Result<Model> verifier = Model::Load(verifier_dir, &budget_, nullptr, nullptr);
    ASSERT_TRUE(verifier.ok()) << verifier.status().message();
    verifier_.emplace(*std::move(verifier));
    const Result<Checkpoint> checkpoint = Checkpoint::Open(verifier_dir);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    const Result<std::string> fingerprint = Fingerprint(*checkpoint);
    ASSERT_TRUE(fingerprint.ok()) << fingerprint.status().message();
    Result<RestorerModel> model =
        RestorerModel::Load(dir, *verifier_, *fingerprint, &budget_, nullptr);
    ASSERT_TRUE(model.ok()) << model.status().message();
    model_.emplace(*std::move(model));
    Result<SafetensorsFile> expected = SafetensorsFile::Open(dir + "/expected.safetensors");
    ASSERT_TRUE(expected.ok()) << expected.status().message();
    expected_.emplace(*std::move(expected));
    Result<std::unique_ptr<LearnedRestorer>> made =
        LearnedRestorer::Create(&*verifier_, &*model_, &budget_);
    ASSERT_TRUE(made.ok()) << made.status().message();
    restorer_ = *std::move(made);
    ids_ = Expected<int32_t>("ids");
    ASSERT_TRUE(restorer_->Extend({}, ids_).ok());
  }

  template <typename T>
  std::vector<T> Expected(const std::string& name) const {
    const SafetensorsEntry* entry = expected_->Find(name);
    EXPECT_NE(entry, nullptr) << name;
    if (entry == nullptr) return {};
    std::vector<T> out((entry->end - entry->begin) / sizeof(T));
    std::memcpy(out.data(), expected_->file().data() + entry->begin, out.size() * sizeof(T));
    return out;
  }
  int64_t chunks() const { return static_cast<int64_t>(ids_.size()) / kChunk; }

  MemoryBudget budget_;  // outlives what is allocated from it, hence first
  std::optional<Model> verifier_;
  std::optional<RestorerModel> model_;
  std::optional<SafetensorsFile> expected_;
  std::unique_ptr<LearnedRestorer> restorer_;
  std::vector<int32_t> ids_;
};

// An int8 that another summation order may have rounded to its neighbour, where it was nearly a
// tie.
void ExpectSameCodes(const int8_t* got, const int8_t* want, size_t n, int64_t* neighbours) {
  for (size_t i = 0; i < n; ++i) {
    ASSERT_LE(std::abs(got[i] - want[i]), 1);
    *neighbours += got[i] != want[i];
  }
}

TEST_P(ParityTest, CodesAndSummaries) {
  const RestorerConfig& config = model_->config;
  const std::vector<int8_t> codes = Expected<int8_t>("code_q");
  const std::vector<float> code_scales = Expected<float>("code_scale");
  const std::vector<int8_t> summaries = Expected<int8_t>("summary_q");
  const std::vector<float> summary_scales = Expected<float>("summary_scale");
  const size_t chunk_codes = static_cast<size_t>(kChunk) * config.code_dim;
  const size_t chunk_summaries = static_cast<size_t>(config.summary.segments) * config.summary.dim;
  ASSERT_EQ(codes.size(), chunks() * chunk_codes);
  ASSERT_EQ(summaries.size(), chunks() * chunk_summaries);
  int64_t neighbours = 0;
  for (int64_t chunk = 0; chunk < chunks(); ++chunk) {
    const ChunkRecord record = restorer_->history().At(chunk);
    ExpectSameCodes(record.codes, &codes[chunk * chunk_codes], chunk_codes, &neighbours);
    for (int s = 0; s < config.summary.segments; ++s) {
      const size_t dim = config.summary.dim;
      ExpectSameCodes(test::SummaryOf(record, config, s).data(),
                      &summaries[chunk * chunk_summaries + s * dim], dim, &neighbours);
    }
    for (int t = 0; t < kChunk; ++t) {
      const float want = code_scales[chunk * kChunk + t];
      EXPECT_NEAR(record.code_scales[t], want, 2e-5 * want);
    }
    for (int s = 0; s < config.summary.segments; ++s) {
      const float want = summary_scales[chunk * config.summary.segments + s];
      EXPECT_NEAR(record.summary_scales[s], want, 2e-5 * want);
    }
  }
  EXPECT_LE(neighbours, static_cast<int64_t>(codes.size() + summaries.size()) / 500);
}

// The records as PyTorch would have written them, so that a neighbour doesn't show below.
void WriteExpectedRecord(const MutableChunkRecord& record, const RestorerConfig& config,
                         int64_t chunk, const std::vector<int8_t>& codes,
                         const std::vector<float>& scales) {
  const int64_t n = int64_t{kChunk} * config.code_dim;
  std::copy_n(codes.begin() + chunk * n, n, record.codes);
  std::copy_n(scales.begin() + chunk * kChunk, kChunk, record.code_scales);
}

TEST_P(ParityTest, KeysAndValues) {
  const std::vector<float> k = Expected<float>("k");
  const std::vector<float> v = Expected<float>("v");
  const std::vector<int8_t> codes = Expected<int8_t>("code_q");
  const std::vector<float> scales = Expected<float>("code_scale");
  const ModelConfig& model = verifier_->config;
  const LayerConfig& shape = model.common_layer();
  const int dim = shape.head_dim;
  for (int64_t chunk = 0; chunk < chunks(); ++chunk) {
    WriteExpectedRecord(test::Editable(*restorer_).MutableAt(chunk), model_->config, chunk, codes,
                        scales);
    for (int layer = 0; layer < model.num_layers(); ++layer) {
      for (int head = 0; head < shape.num_kv_heads; ++head) {
        const test::LoadedPage got = test::LoadPage(*restorer_, layer, head, chunk, dim);
        ASSERT_TRUE(got.status.ok()) << got.status.message();
        for (int t = 0; t < kChunk; ++t) {
          const int64_t position = (layer * chunks() + chunk) * kChunk + t;
          const int64_t first = position * shape.kv_size() + head * dim;
          test::Row want(k.begin() + first, k.begin() + first + dim);
          if (shape.qk_norm) {
            want = test::Normed(want, verifier_->weights.layers[layer].k_norm.as<float>(),
                                model.rms_norm_eps);
          }
          for (int i = 0; i < dim; ++i) {
            // Weights and features were rounded to 16 bits or somewhat less: half a step of each,
            // over all inputs, comes to 1.1e-4 here.
            EXPECT_NEAR(got.k[t * dim + i], want[i], 2e-4);
            EXPECT_NEAR(got.v[t * dim + i], v[first + i], 2e-4);
          }
        }
      }
    }
  }
}

TEST_P(ParityTest, Selection) {
  const LayerConfig& shape = verifier_->config.common_layer();
  const std::vector<int32_t> positions = Expected<int32_t>("positions");
  const std::vector<float> y = Expected<float>("y");
  const std::vector<float> nulls = Expected<float>("null");
  const std::vector<float> scores = Expected<float>("scores");
  const std::vector<int8_t> chosen = Expected<int8_t>("chosen");
  const int64_t chosen_k = Expected<int32_t>("chosen_k")[0];
  const int64_t queries = static_cast<int64_t>(positions.size());
  const int64_t group_dim = model_->config.select_inputs();
  const float share = model_->config.min_share_log;
  int64_t taken = 0, refused = 0, best = 0;
  for (int layer = 0; layer < verifier_->config.num_layers(); ++layer) {
    for (int64_t i = 0; i < queries; ++i) {
      std::vector<float> q;  // (heads, head_dim)
      for (int head = 0; head < shape.num_kv_heads; ++head) {
        const int64_t row = (int64_t{layer} * shape.num_kv_heads + head) * queries + i;
        q.insert(q.end(), y.begin() + row * group_dim, y.begin() + (row + 1) * group_dim);
      }
      const int64_t begin = WindowBegin({.kind = KvPolicy::Kind::kRestored}, positions[i]);
      SelectQueries select{.layer = layer,
                           .q = q.data(),
                           .rows = 1,
                           .first_position = positions[i],
                           .window_begin = {&begin, 1},
                           .max_chunks = 1000};
      std::vector<std::vector<ChunkVisit>> above(shape.num_kv_heads), top(shape.num_kv_heads);
      ASSERT_TRUE(restorer_->Select({}, select, above).ok());
      select.max_chunks = chosen_k;
      ASSERT_TRUE(restorer_->Select({}, select, top).ok());
      for (int head = 0; head < shape.num_kv_heads; ++head) {
        const int64_t row = (int64_t{layer} * shape.num_kv_heads + head) * queries + i;
        for (int64_t chunk = 0; chunk < chunks(); ++chunk) {
          const auto has = [&](const std::vector<ChunkVisit>& visits) {
            return std::any_of(visits.begin(), visits.end(),
                               [&](const ChunkVisit& visit) { return visit.chunk == chunk; });
          };
          EXPECT_EQ(has(top[head]), chosen[row * chunks() + chunk] != 0) << i << " " << chunk;
          best += has(top[head]);
          const float margin = scores[row * chunks() + chunk] - (nulls[row] + share);
          if (std::abs(margin) < 1e-4) continue;
          EXPECT_EQ(has(above[head]), margin > 0) << margin;
          (margin > 0 ? taken : refused) += std::isfinite(margin);
        }
      }
    }
  }
  // The fixture has both kinds, or this test shows nothing.
  EXPECT_GT(taken, 20);
  EXPECT_GT(refused, 20);
  EXPECT_GT(best, 20);
  EXPECT_GT(taken, best);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ParityTest,
                         testing::Values(Fixture{"restorer_tiny", "qwen3-window"},
                                         Fixture{"restorer_tiny_llama", "llama-untied-sharded"},
                                         Fixture{"restorer_tiny_recurrence", "qwen3-window"}),
                         [](const testing::TestParamInfo<Fixture>& info) {
                           return std::string(info.param.restorer);
                         });

}  // namespace
}  // namespace kakeya
