// Attention to restored chunks on whole models, with restorers made up for the purpose: what
// matters here is who sees what and when, not whether it is right.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "cache/computed_page.h"
#include "decode/prefill.h"
#include "session/session.h"
#include "session/timeline_of.h"

namespace kakeya {
namespace {

constexpr KvPolicy kRestored{.kind = KvPolicy::Kind::kRestored, .sink = 4, .window = 64};
constexpr KvPolicy kWindow{.kind = KvPolicy::Kind::kWindow, .sink = 4, .window = 64};

uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// K and V are noise that depends on the ids of the chunk; chunks are chosen by a hash of the query.
// Both are pure functions, so every way to compute them must give the same bits.
class NoiseRestorer : public Restorer {
 public:
  struct Options {
    int64_t max_distance = INT64_MAX;
    float broken = 0;  // what one element of every chunk is instead, in K or in V; 0: nothing
  };
  NoiseRestorer(const LayerConfig& config, Options options) : config_(config), options_(options) {}

  Status Extend(const OpContext& /*context*/, std::span<const int32_t> ids) override {
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    return OkStatus();
  }
  Status Truncate(const OpContext& /*context*/, int64_t n) override {
    ids_.resize(static_cast<size_t>(n));
    return OkStatus();
  }
  int64_t size() const override { return static_cast<int64_t>(ids_.size()); }
  int64_t max_distance() const override { return options_.max_distance; }
  size_t history_bytes() const override { return 0; }

  Status Select(const OpContext& /*context*/, const SelectQueries& queries,
                std::span<std::vector<ChunkVisit>> visits) override {
    EXPECT_LE(queries.window_begin[queries.rows - 1], size());
    const int group = config_.group_size() * config_.head_dim;
    for (size_t head = 0; head < visits.size(); ++head) {
      const int64_t last = queries.window_begin[queries.rows - 1] / kChunk;
      for (int64_t chunk = queries.first_chunk; chunk < last; ++chunk) {
        ChunkVisit visit{.chunk = chunk};
        for (int row = 0; row < queries.rows; ++row) {
          if (chunk >= queries.window_begin[row] / kChunk) continue;
          const float* q = queries.q + (int64_t{row} * config_.num_kv_heads + head) * group;
          uint64_t hash = chunk * 31 + static_cast<uint64_t>(queries.layer);
          for (int i = 0; i < group; ++i) hash = Mix(hash ^ std::bit_cast<uint32_t>(q[i]));
          const bool chosen = queries.max_chunks == kAllChunks || hash % 5 < 2;
          if (chosen) visit.rows |= uint64_t{1} << row;
        }
        if (visit.rows != 0) visits[head].push_back(visit);
      }
    }
    return OkStatus();
  }

  Status Load(const OpContext& context, const PageRequest& request) const override {
    const auto& [layer, kv_head, chunk, far] = request.key;
    std::vector<float> k(static_cast<size_t>(kChunk) * static_cast<size_t>(config_.head_dim));
    std::vector<float> v(k.size());
    for (int slot = 0; slot < kChunk; ++slot) {
      const uint64_t seed = Mix(uint64_t{static_cast<uint32_t>(ids_[chunk * kChunk + slot])} +
                                1000 * static_cast<uint64_t>(layer * 8 + kv_head));
      for (int d = 0; d < config_.head_dim; ++d) {
        const uint64_t hash = Mix(seed + static_cast<uint64_t>(d));
        k[slot * config_.head_dim + d] = static_cast<float>(hash % 1000) / 500 - 1;
        v[slot * config_.head_dim + d] = static_cast<float>(hash / 1000 % 1000) / 500 - 1;
      }
    }
    if (options_.broken != 0) (chunk % 2 == 0 ? v[17] : k[3]) = options_.broken;
    return StoreComputedPage(context, request, k.data(), v.data());
  }

 private:
  LayerConfig config_;
  Options options_;
  std::vector<int32_t> ids_;
};

RestorerFactory Noise(NoiseRestorer::Options options = {}) {
  return [options](const Engine& engine, MemoryBudget*) -> Result<std::unique_ptr<Restorer>> {
    return std::unique_ptr<Restorer>(
        new NoiseRestorer(engine.model().config.common_layer(), options));
  };
}

std::unique_ptr<Engine> LoadEngine(const std::string& name, int threads = 2,
                                   Device device = Device::kCpu) {
  const std::string dir = std::string(KAKEYA_SOURCE_DIR) + "/tests/fixtures/models/" + name;
  return Engine::Load(dir, {.threads = threads, .device = device}).value();
}

std::vector<int32_t> RandomIds(const Engine& engine, size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(n);
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % engine.model().config.vocab_size);
  return ids;
}

// Logits after every position, the history appended in blocks of the given size.
std::vector<float> AllLogits(Engine* engine, const SessionOptions& options,
                             const std::vector<int32_t>& ids, int64_t block,
                             RestoreUsage* usage = nullptr) {
  Session session = Session::Create(engine, options).value();
  const Model& model = engine->model();
  const int64_t vocabulary = model.config.vocab_size;
  std::vector<float> logits(ids.size() * static_cast<size_t>(vocabulary));
  const auto keep = [&](const float* hidden, int64_t first, int64_t rows) {
    Logits(engine->context(), model, hidden, rows, logits.data() + first * vocabulary);
    return OkStatus();
  };
  const Status status =
      ReadBlocks(engine->context(), model, ids, {.block = block, .after_block = keep},
                 &session.budget(), &TimelineOf(&session));
  EXPECT_TRUE(status.ok()) << status.message();
  if (usage != nullptr) *usage = session.restore_usage();
  return logits;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

SessionOptions Options(const RestorerFactory& restorer, int64_t chunks, KvType type) {
  return {.kv = kRestored,
          .restore = {.chunks = chunks, .buffer_bytes = 0, .restorer = restorer},
          .kv_type = type};
}

class RestoredTest : public testing::TestWithParam<const char*> {};

TEST_P(RestoredTest, LogitsDoNotDependOnHowTheTextWasCutUpNorOnTheBuffer) {
  const auto engine = LoadEngine(GetParam());
  const std::vector<int32_t> ids = RandomIds(*engine, 777, 1);
  constexpr KvType kTypes[] = {KvType::kAffine4, KvType::kBF16, KvType::kAffine8};
  size_t turn = 0;
  for (const int64_t max_distance : {INT64_MAX, int64_t{256}}) {
    for (const int64_t chunks : {int64_t{8}, kAllChunks}) {
      const KvType type = kTypes[turn++ % std::size(kTypes)];  // every kind of storage has a turn
      SessionOptions options = Options(Noise({.max_distance = max_distance}), chunks, type);
      const std::vector<float> whole = AllLogits(engine.get(), options, ids, 777);
      for (const float logit : whole) ASSERT_TRUE(std::isfinite(logit));
      for (const int64_t block : {1, 7, 64, 100}) {
        EXPECT_TRUE(SameBits(AllLogits(engine.get(), options, ids, block), whole)) << block;
      }
      // A buffer for one chunk per KV head streams everything through and remembers nothing.
      const ModelConfig& config = engine->model().config;
      options.restore.buffer_bytes =
          RestoreBuffer::PageBytes({.layers = config.num_layers(),
                                    .kv_heads = config.common_layer().num_kv_heads,
                                    .head_dim = config.common_layer().head_dim,
                                    .type = type}) *
          config.common_layer().num_kv_heads;
      EXPECT_TRUE(SameBits(AllLogits(engine.get(), options, ids, 64), whole));
    }
  }
}

TEST_P(RestoredTest, LogitsDoNotDependOnThreadsOrDevice) {
  for (const KvType type : {KvType::kF16, KvType::kAffine8, KvType::kAffine4}) {
    const SessionOptions options = Options(Noise({.max_distance = 128}), 8, type);
    const auto one = LoadEngine(GetParam(), 1);
    const std::vector<int32_t> ids = RandomIds(*one, 400, 2);
    const std::vector<float> expected = AllLogits(one.get(), options, ids, 128);
    const auto three = LoadEngine(GetParam(), 3);
    EXPECT_TRUE(SameBits(AllLogits(three.get(), options, ids, 128), expected));
    const auto scalar = LoadEngine(GetParam(), 2, Device::kRef);
    EXPECT_TRUE(SameBits(AllLogits(scalar.get(), options, ids, 128), expected));
  }
}

TEST_P(RestoredTest, RestoredChunksAndTheirDistanceDecideSomething) {
  const auto engine = LoadEngine(GetParam());
  const std::vector<int32_t> ids = RandomIds(*engine, 600, 3);
  const auto logits = [&](const SessionOptions& options) {
    return AllLogits(engine.get(), options, ids, 512);
  };
  RestoreUsage usage;
  const std::vector<float> restored =
      AllLogits(engine.get(), Options(Noise(), 8, KvType::kF32), ids, 512, &usage);
  EXPECT_GT(usage.chunks, 0);
  EXPECT_EQ(usage.vectors, usage.chunks * 2 * kChunk);
  EXPECT_EQ(usage.failed, 0);
  const std::vector<float> window = logits({.kv = kWindow, .kv_type = KvType::kF32});
  EXPECT_FALSE(SameBits(restored, window));
  EXPECT_FALSE(SameBits(restored, logits(Options(Noise(), kAllChunks, KvType::kF32))));
  EXPECT_FALSE(SameBits(restored, logits(Options(Noise({.max_distance = 128}), 8, KvType::kF32))));
}

// Sums come in another order than in plain window attention, hence not to the last bit.
TEST_P(RestoredTest, ARestorerWithoutNumbersLeavesSinksAndWindow) {
  const auto engine = LoadEngine(GetParam());
  const std::vector<int32_t> ids = RandomIds(*engine, 500, 4);
  for (const KvType type : kKvTypes) {
    const std::vector<float> window =
        AllLogits(engine.get(), {.kv = kWindow, .kv_type = type}, ids, 512);
    // The last is a number that F16 can't hold, nor an affine group.
    for (const float bad : {NAN, INFINITY, 1e6f}) {
      if (KvLargest(type) >= bad) continue;
      RestoreUsage usage;
      const std::vector<float> broken =
          AllLogits(engine.get(), Options(Noise({.broken = bad}), 8, type), ids, 512, &usage);
      EXPECT_GT(usage.failed, 0);
      EXPECT_EQ(usage.failed, usage.chunks) << NameOf(type) << ' ' << bad;
      for (size_t i = 0; i < window.size(); ++i) ASSERT_NEAR(window[i], broken[i], 1e-4) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RestoredTest,
                         testing::Values("qwen3-window", "llama-rope3-window"));

TEST(RestoredSession, ResidentBytesAreTheSameAtAnyLength) {
  const auto engine = LoadEngine("qwen3-window");
  std::vector<size_t> resident;
  std::vector<size_t> peak;
  for (const size_t length : {300u, 3000u}) {
    Session session = Session::Create(engine.get(), Options(Noise(), 8, KvType::kBF16)).value();
    ASSERT_TRUE(session.Append(RandomIds(*engine, length, 5)).ok());
    ASSERT_TRUE(session.Generate({.max_tokens = 4}).ok());
    resident.push_back(session.kv_usage().resident_bytes);
    peak.push_back(session.kv_usage().peak_bytes);
    EXPECT_GT(resident.back(),
              TimelineOf(&session).cache.resident_bytes());  // with the restore buffer
  }
  EXPECT_EQ(resident[0], resident[1]);
  EXPECT_LE(peak[1] - resident[1],
            512u * 2 * engine->model().config.common_layer().kv_size() * sizeof(float));
}

TEST(RestoredSession, WhatCannotWorkIsRefused) {
  const auto engine = LoadEngine("qwen3-window");
  SessionOptions options = Options(Noise(), 8, KvType::kBF16);
  for (const auto& [sink, window] : {std::pair{4, 63}, {65, 64}, {-1, 64}}) {
    options.kv.sink = sink;
    options.kv.window = window;
    EXPECT_EQ(Session::Create(engine.get(), options).status().code(), StatusCode::kInvalidArgument);
  }
  options.kv = kRestored;
  options.restore.chunks = 0;
  EXPECT_FALSE(Session::Create(engine.get(), options).ok());
  options.restore.chunks = 8;
  options.restore.buffer_bytes = 100;
  EXPECT_FALSE(Session::Create(engine.get(), options).ok());
  options.restore.buffer_bytes = 0;
  options.restore.restorer = {};  // the engine has none
  EXPECT_EQ(Session::Create(engine.get(), options).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace kakeya
