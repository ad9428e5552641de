// What the proposer's tests share: a small verifier, a small restorer, and weights read one by one.
#ifndef KAKEYA_PROPOSER_PROPOSER_TEST_UTIL_H_
#define KAKEYA_PROPOSER_PROPOSER_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "backend/numerics.h"
#include "backend/ops_test_util.h"
#include "base/memory_budget.h"
#include "model/forward.h"
#include "model/rope.h"
#include "proposer/learned_restorer.h"
#include "proposer/restorer_model.h"

namespace kakeya::test {

inline const std::string kFingerprint = "0123456789abcdef0123456789abcdef";

inline ModelConfig TinyVerifierConfig() {
  ModelConfig config;
  config.architecture = Architecture::kQwen3;
  config.tie_word_embeddings = true;
  config.vocab_size = 97;  // neither a multiple of kPackWidth nor of kChunk
  config.hidden_size = 24;
  config.layers.assign(3, {.num_heads = 4,
                           .num_kv_heads = 2,
                           .head_dim = 16,
                           .intermediate_size = 40,
                           .qk_norm = true});
  config.max_positions = 1 << 20;
  return config;
}

// A verifier with random weights. `budget` outlives it.
inline Model MakeVerifier(const ModelConfig& config, MemoryBudget* budget) {
  std::mt19937 random(99);
  const auto matrix = [&](int64_t rows, int64_t cols) {
    std::vector<float> values = RandomFloats(rows * cols, &random);
    for (float& value : values) value /= std::sqrt(static_cast<float>(cols));
    const std::vector<std::byte> stored = ToStored(DType::kBF16, values);
    const TensorView view{DType::kBF16, {rows, cols}, stored.data()};
    return PackedMatrix::Pack({&view, 1}, budget, nullptr, "test").value();
  };
  const auto vector = [&](int64_t n) {
    Buffer out = budget->Allocate(MemoryTag::kWeights, n * sizeof(float), "test").value();
    for (int64_t i = 0; i < n; ++i) out.as<float>()[i] = 1 + 0.1f * RandomFloats(1, &random)[0];
    return out;
  };
  Model model;
  model.config = config;
  model.rotations = {RotationOf(config, /*rope=*/0)};
  const int hidden = config.hidden_size;
  model.weights.embedding = matrix(config.vocab_size, hidden);
  model.weights.final_norm = vector(hidden);
  for (const LayerConfig& layer : config.layers) {
    LayerWeights w;
    w.attn_norm = vector(hidden);
    w.qkv.parts.push_back(matrix(layer.qkv_size(), hidden));
    if (layer.qk_norm) {
      w.q_norm = vector(layer.head_dim);
      w.k_norm = vector(layer.head_dim);
    }
    w.o = matrix(hidden, layer.q_size());
    w.mlp_norm = vector(hidden);
    w.gate = matrix(layer.intermediate_size, hidden);
    w.up = matrix(layer.intermediate_size, hidden);
    w.down = matrix(hidden, layer.intermediate_size);
    model.weights.layers.push_back(std::move(w));
  }
  return model;
}

inline RestorerConfig TinyRestorerConfig(const ModelConfig& verifier) {
  RestorerConfig config;
  config.verifier_fingerprint = kFingerprint;
  config.proposer = {.layers = 2, .hidden = 40, .heads = 2, .head_dim = 24, .ffn = 48};
  config.code_dim = 20;
  config.token_dim = 12;
  config.summary = {.segments = 4, .dim = 36, .pool_heads = 3};
  config.verifier = VerifierShape(verifier);
  return config;
}

// The same with a proposer that is told of recurrence.
inline RestorerConfig RecurrentConfig(const ModelConfig& verifier) {
  RestorerConfig config = TinyRestorerConfig(verifier);
  config.recurrence = {.lengths = {1, 2, 3, 5}, .buckets = 4, .next = 3};
  return config;
}

// A verifier and an untrained restorer for it.
class TinyModels {
 public:
  explicit TinyModels(const RestorerConfig& config) : verifier(MakeVerifier(Shape(), &budget)) {
    Result<RestorerModel> made = RestorerModel::Random(config, verifier, 5, &budget);
    EXPECT_TRUE(made.ok()) << made.status().message();
    restorer = *std::move(made);
  }
  TinyModels() : TinyModels(TinyRestorerConfig(Shape())) {}
  static ModelConfig Shape() { return TinyVerifierConfig(); }

  std::unique_ptr<LearnedRestorer> Learned() {
    return LearnedRestorer::Create(&verifier, &restorer, &budget).value();
  }

  MemoryBudget budget;  // outlives what is allocated from it, hence first
  Model verifier;
  RestorerModel restorer;
};

inline std::vector<int32_t> RandomIds(int64_t n, uint32_t seed, int vocab = 97) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(static_cast<size_t>(n));
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint32_t>(vocab));
  return ids;
}

// A restorer's history, to put something else into.
inline History& Editable(const LearnedRestorer& restorer) {
  return const_cast<History&>(restorer.history());
}

inline double At(const PackedMatrix& m, int64_t row, int64_t col) {
  return numerics::Load(m.dtype(), m.data(),
                        (row / kPackWidth * m.cols() + col) * kPackWidth + row % kPackWidth);
}

// One segment's summary, element by element.
inline std::vector<int8_t> SummaryOf(const ChunkRecord& record, const RestorerConfig& config,
                                     int segment) {
  const int segments = config.summary.segments;
  std::vector<int8_t> all(static_cast<size_t>(segments) * config.summary.dim);
  UnpackSummaries(record.summaries, static_cast<int>(all.size()), all.data());
  std::vector<int8_t> out;
  for (int i = 0; i < config.summary.dim; ++i)
    out.push_back(all[SummaryIndex(segments, segment, i)]);
  return out;
}

// All that is kept of the first `chunks` chunks, byte by byte.
inline std::vector<uint8_t> HistoryBytes(const History& history, const RestorerConfig& config) {
  std::vector<uint8_t> out;
  const auto add = [&](const void* data, size_t bytes) {
    const auto* begin = static_cast<const uint8_t*>(data);
    out.insert(out.end(), begin, begin + bytes);
  };
  for (int64_t chunk = 0; chunk < history.chunks(); ++chunk) {
    const ChunkRecord record = history.At(chunk);
    add(record.ids, kChunk * sizeof(int32_t));
    add(record.code_scales, kChunk * sizeof(float));
    add(record.summary_scales, config.summary.segments * sizeof(float));
    add(record.codes, size_t{kChunk} * config.code_dim);
    add(record.summaries, static_cast<size_t>(config.summary.segments) * config.summary.dim / 2);
  }
  return out;
}

}  // namespace kakeya::test

#endif  // KAKEYA_PROPOSER_PROPOSER_TEST_UTIL_H_
