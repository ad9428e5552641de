#include "proposer/learned_restorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "cache/kv_cache.h"
#include "cache/restorer_test_util.h"
#include "model/restoration.h"
#include "proposer/proposer_test_util.h"

namespace kakeya {
namespace {

using test::RandomIds;
using test::TinyModels;

// K, then V.
std::vector<float> Restored(const Restorer& restorer, const ModelConfig& config, int layer,
                            int head, int64_t chunk) {
  return test::LoadPage(restorer, layer, head, chunk, config.common_layer().head_dim).Both();
}

void ExpectNothingElseGrows(const RestorerConfig& config) {
  TinyModels models(config);
  MemoryBudget session(MemoryBudget::kUnlimited, &models.budget);
  const auto restorer =
      LearnedRestorer::Create(&models.verifier, &models.restorer, &session).value();
  const size_t scratch = session.used(MemoryTag::kScratch);
  // The predecessor's K/V, per layer.
  EXPECT_EQ(session.used(MemoryTag::kKv),
            config.proposer.layers *
                KvPageBytes(KvType::kF32, config.proposer.heads, config.proposer.head_dim));
  const size_t kv = session.used(MemoryTag::kKv);
  const size_t chunk =
      kChunk * (4 + 4 + config.code_dim) + config.summary.segments * (4 + config.summary.dim / 2);
  for (int64_t n = 1; n <= 700; n += 63) {
    ASSERT_TRUE(restorer->Extend({}, RandomIds(63, 1)).ok());
    const size_t chunks = restorer->size() / kChunk;
    EXPECT_EQ(restorer->history_bytes(), chunks * chunk);
    EXPECT_EQ(session.used(MemoryTag::kHistory), chunks * chunk);
    EXPECT_EQ(session.used(MemoryTag::kKv), kv);
    EXPECT_EQ(session.used(MemoryTag::kScratch), scratch);
  }
}

TEST(LearnedRestorerTest, KeepsSoManyBytesPerChunkAndNothingElseGrows) {
  ExpectNothingElseGrows(test::TinyRestorerConfig(TinyModels::Shape()));
  ExpectNothingElseGrows(test::RecurrentConfig(TinyModels::Shape()));
}

TEST(LearnedRestorerTest, WithoutMemoryNothingWasTold) {
  TinyModels models;
  MemoryBudget session(size_t{2} << 20, &models.budget);
  auto made = LearnedRestorer::Create(&models.verifier, &models.restorer, &session);
  ASSERT_TRUE(made.ok()) << made.status().message();
  const auto restorer = *std::move(made);
  ASSERT_TRUE(restorer->Extend({}, RandomIds(100, 1)).ok());
  const size_t bytes = restorer->history_bytes();
  const std::vector<int32_t> many = RandomIds(1 << 20, 2);
  EXPECT_EQ(restorer->Extend({}, many).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(restorer->size(), 100);
  EXPECT_EQ(restorer->history_bytes(), bytes);
  EXPECT_EQ(session.used(MemoryTag::kHistory), bytes);
  // What fits still works, and is what it would have been.
  const std::vector<int32_t> few(many.begin(), many.begin() + 100);
  ASSERT_TRUE(restorer->Extend({}, few).ok());
  const auto other = models.Learned();
  ASSERT_TRUE(other->Extend({}, RandomIds(100, 1)).ok());
  ASSERT_TRUE(other->Extend({}, few).ok());
  EXPECT_EQ(Restored(*restorer, models.verifier.config, 2, 1, 2),
            Restored(*other, models.verifier.config, 2, 1, 2));
}

TEST(LearnedRestorerTest, AnOddBudgetIsRefusedInOneLine) {
  TinyModels models;
  MemoryBudget session(1000, &models.budget);
  const auto made = LearnedRestorer::Create(&models.verifier, &models.restorer, &session);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(session.used(), 0u);
}

TEST(LearnedRestorerTest, ManyThreadsRestoreTheSameBits) {
  TinyModels models;
  const ModelConfig& config = models.verifier.config;
  const auto restorer = models.Learned();
  ASSERT_TRUE(restorer->Extend({}, RandomIds(6 * kChunk, 3)).ok());
  std::vector<std::vector<float>> want(6);
  for (int64_t c = 0; c < 6; ++c) want[c] = Restored(*restorer, config, 1, 1, c);
  EXPECT_NE(want[0], want[1]);
  std::vector<std::thread> threads;
  std::vector<int> equal(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        equal[t] += Restored(*restorer, config, 1, 1, (i + t) % 6) == want[(i + t) % 6];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 60));
}

// Chunks that any head takes of five, with a threshold that all pass.
size_t ChosenOfFive(const ModelConfig& config, LearnedRestorer* restorer, int64_t max) {
  const std::vector<float> q(config.common_layer().q_size(), 0.5f);
  const int64_t begin = 4 * kChunk;
  std::vector<std::vector<ChunkVisit>> visits(config.common_layer().num_kv_heads);
  const SelectQueries queries{.q = q.data(),
                              .rows = 1,
                              .first_position = 5 * kChunk,
                              .window_begin = {&begin, 1},
                              .max_chunks = max};
  EXPECT_TRUE(restorer->Select({}, queries, visits).ok());
  return visits[0].size() + visits[1].size();
}

void ExpectNobodyTakesFiveChunks(TinyModels* models) {
  models->restorer.config.min_share_log = -100;
  const auto restorer = models->Learned();
  ASSERT_TRUE(restorer->Extend({}, RandomIds(5 * kChunk, 4)).ok());
  EXPECT_EQ(restorer->bad_chunks(), 5);
  const ModelConfig& config = models->verifier.config;
  for (const float x : Restored(*restorer, config, 0, 0, 2)) EXPECT_TRUE(std::isnan(x));
  EXPECT_EQ(ChosenOfFive(config, restorer.get(), 8), 0u);
  EXPECT_EQ(ChosenOfFive(config, restorer.get(), kAllChunks), 0u);
}

// Every whole chunk's record, byte by byte.
std::vector<std::byte> Records(const LearnedRestorer& restorer, const RestorerConfig& config) {
  std::vector<std::byte> out;
  for (int64_t chunk = 0; chunk < restorer.history().chunks(); ++chunk) {
    const auto* const from = reinterpret_cast<const std::byte*>(restorer.history().At(chunk).ids);
    out.insert(out.end(), from, from + History::RecordBytes(config));
  }
  return out;
}

// Drafts are taken back within a chunk and across several; what is told afterwards must not show
// it.
TEST(LearnedRestorerTest, WhatWasTakenBackLeavesNoTrace) {
  for (const bool recurrent : {false, true}) {
    TinyModels models(recurrent ? test::RecurrentConfig(TinyModels::Shape())
                                : test::TinyRestorerConfig(TinyModels::Shape()));
    const RestorerConfig& config = models.restorer.config;
    const std::vector<int32_t> ids = RandomIds(8 * kChunk + 20, 31);
    const std::vector<int32_t> wrong = RandomIds(4 * kChunk, 32);
    const auto expected = models.Learned();
    ASSERT_TRUE(expected->Extend({}, ids).ok());
    for (const int64_t kept : {0, 1, 63, 64, 65, 128, 300, 448, 500}) {
      for (const size_t taken_back : {1u, 40u, 64u, 200u}) {
        const auto restorer = models.Learned();
        const auto n = static_cast<size_t>(kept);
        ASSERT_TRUE(restorer->Extend({}, std::span(ids).first(n)).ok());
        ASSERT_TRUE(restorer->Extend({}, std::span(wrong).first(taken_back)).ok());
        ASSERT_TRUE(restorer->Truncate({}, kept).ok());
        EXPECT_EQ(restorer->size(), kept);
        ASSERT_TRUE(restorer->Extend({}, std::span(ids).subspan(n)).ok());
        EXPECT_EQ(Records(*restorer, config), Records(*expected, config)) << kept;
      }
    }
  }
}

void SetFirst(const PackedMatrix& matrix, float value) {
  ASSERT_EQ(matrix.dtype(), DType::kF32);
  *static_cast<float*>(const_cast<void*>(matrix.data())) = value;
}

// One weight of the encoder is NaN: no code of any chunk is a number.
TEST(LearnedRestorerTest, WeightsThatAreNoNumbersMakeBadChunksThatNobodyTakes) {
  TinyModels models;
  models.restorer.layers[0].norm1.as<float>()[3] = NAN;
  ExpectNobodyTakesFiveChunks(&models);
}

TEST(LearnedRestorerTest, BadCodesMakeAChunkBadWhateverItsSummaries) {
  TinyModels models;
  models.restorer.config.min_share_log = -100;
  const auto whole = models.Learned();
  ASSERT_TRUE(whole->Extend({}, RandomIds(5 * kChunk, 4)).ok());
  EXPECT_EQ(ChosenOfFive(models.verifier.config, whole.get(), 8), 8u);
  SetFirst(models.restorer.code, INFINITY);
  ExpectNobodyTakesFiveChunks(&models);
}

TEST(LearnedRestorerTest, BadSummariesMakeAChunkBadWhateverItsCodes) {
  TinyModels models;
  SetFirst(models.restorer.summary_proj, INFINITY);
  ExpectNobodyTakesFiveChunks(&models);
}

// f_theta alone is broken: chunks may be taken, and what is restored shows what it is.
TEST(LearnedRestorerTest, BrokenMapsGiveNoNumbers) {
  TinyModels models;
  models.restorer.restore[1].bias.as<float>()[0] = NAN;
  const auto restorer = models.Learned();
  ASSERT_TRUE(restorer->Extend({}, RandomIds(2 * kChunk, 6)).ok());
  EXPECT_EQ(restorer->bad_chunks(), 0);
  const auto has_nan = [&](int layer, int head) {
    const std::vector<float> kv = Restored(*restorer, models.verifier.config, layer, head, 0);
    return std::any_of(kv.begin(), kv.end(), [](float x) { return std::isnan(x); });
  };
  EXPECT_TRUE(has_nan(0, 1));
  EXPECT_FALSE(has_nan(0, 0));
  EXPECT_FALSE(has_nan(1, 1));
}

// Whether a vector kernel was chosen while a session of this device read a text whose beginning it
// had to restore: Highway notes the first call of any. Blocks of many rows and of few.
bool RunsVectorKernels(Device device) {
  TinyModels models(test::RecurrentConfig(TinyModels::Shape()));
  models.restorer.config.min_share_log = -100;
  const ModelConfig& config = models.verifier.config;
  const LayerConfig& layer = config.common_layer();
  const KvShape shape{config.num_layers(), layer.num_kv_heads, layer.head_dim, KvType::kF16};
  Restoration restoration =
      Restoration::Create(shape, models.verifier.RotationFor(0), models.Learned(), 2,
                          size_t{1} << 20, &models.budget)
          .value();
  KvCache cache =
      KvCache::Create(shape, {.kind = KvPolicy::Kind::kRestored}, &models.budget).value();
  Workspace workspace =
      Workspace::Create(config, kChunk, /*logit_rows=*/0, /*restored=*/true, &models.budget)
          .value();
  const OpContext context{.device = device};
  const std::vector<int32_t> ids = RandomIds(6 * kChunk, 8, 7);
  hwy::GetChosenTarget().DeInit();
  for (size_t done = 0; done < ids.size();) {
    const std::span<const int32_t> block(ids.data() + done, done % kChunk == 0 ? 60 : 4);
    const auto rows = static_cast<int64_t>(block.size());
    EXPECT_TRUE(restoration.restorer->Extend(context, block).ok());
    EXPECT_TRUE(cache.Stage(rows).ok());
    Sequence sequence{.cache = &cache, .restoration = &restoration, .rows = static_cast<int>(rows)};
    Forward(context, models.verifier, block, {&sequence, 1}, {}, &workspace);
    EXPECT_TRUE(sequence.status.ok());
    cache.Commit(rows);
    done += block.size();
  }
  EXPECT_GT(restoration.stats.pages, 0);
  EXPECT_EQ(restoration.stats.failed, 0);
  return hwy::GetChosenTarget().IsInitialized();
}

TEST(LearnedRestorerTest, AScalarSessionRunsNoVectorKernel) {
  if (HWY_TARGETS == HWY_STATIC_TARGET) GTEST_SKIP() << "one instruction set: nothing is chosen";
  EXPECT_FALSE(RunsVectorKernels(Device::kRef));
  EXPECT_TRUE(RunsVectorKernels(Device::kCpu));  // or the test sees nothing
}

}  // namespace
}  // namespace kakeya
