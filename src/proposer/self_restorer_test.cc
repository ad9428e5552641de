#include "proposer/self_restorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "cache/restorer_test_util.h"
#include "proposer/identity_restorer.h"
#include "proposer/proposer_test_util.h"

namespace kakeya {
namespace {

using test::RandomIds;
using test::TinyModels;

// K, then V of one chunk.
std::vector<float> Restored(Restorer* restorer, const ModelConfig& config, int layer, int head,
                            int64_t chunk) {
  EXPECT_TRUE(restorer->BeginLayer({}, layer).ok());
  return test::LoadPage(*restorer, layer, head, chunk, config.common_layer().head_dim).Both();
}

TEST(SelfRestorerTest, GivesWhatTheVerifierComputesOfChunkAndPredecessor) {
  TinyModels models;
  const ModelConfig& config = models.verifier.config;
  const std::vector<int32_t> ids = RandomIds(5 * kChunk + 9, 21);
  const auto self =
      SelfRestorer::Create(&models.verifier, &models.restorer, KvType::kBF16, &models.budget)
          .value();
  for (size_t done = 0; done < ids.size(); done += 50) {
    const size_t n = std::min<size_t>(50, ids.size() - done);
    ASSERT_TRUE(self->Extend({}, {ids.data() + done, n}).ok());
  }
  ASSERT_EQ(self->size(), static_cast<int64_t>(ids.size()));
  for (int64_t chunk = 0; chunk < 5; ++chunk) {
    const auto exact =
        IdentityRestorer::Create(&models.verifier, KvType::kBF16, &models.budget).value();
    const int64_t before = std::min<int64_t>(chunk, 1);
    const std::vector<int32_t> two(ids.begin() + (chunk - before) * kChunk,
                                   ids.begin() + (chunk + 1) * kChunk);
    ASSERT_TRUE(exact->Extend({}, two).ok());
    for (int layer = 0; layer < config.num_layers(); ++layer) {
      for (int head = 0; head < config.common_layer().num_kv_heads; ++head) {
        EXPECT_EQ(Restored(self.get(), config, layer, head, chunk),
                  Restored(exact.get(), config, layer, head, before))
            << "chunk " << chunk << ", layer " << layer << ", head " << head;
      }
    }
  }
}

TEST(SelfRestorerTest, ChoosesAsTheLearnedOneAndCountsWhatItKeeps) {
  TinyModels models;
  const ModelConfig& config = models.verifier.config;
  const std::vector<int32_t> ids = RandomIds(9 * kChunk, 22);
  const auto self =
      SelfRestorer::Create(&models.verifier, &models.restorer, KvType::kF32, &models.budget)
          .value();
  ASSERT_TRUE(self->Extend({}, ids).ok());
  EXPECT_EQ(self->history_bytes(), models.budget.used(MemoryTag::kHistory));
  const size_t kv =
      size_t{2} * config.num_layers() * config.common_layer().kv_size() * sizeof(float);
  EXPECT_GE(self->history_bytes(), ids.size() * kv);

  const auto learned = models.Learned();
  ASSERT_TRUE(learned->Extend({}, ids).ok());
  std::mt19937 random(3);
  const std::vector<float> q = test::RandomFloats(config.common_layer().q_size(), &random);
  const int64_t begin = 8 * kChunk;
  const SelectQueries queries{.layer = 1,
                              .q = q.data(),
                              .rows = 1,
                              .first_position = 9 * kChunk,
                              .window_begin = {&begin, 1},
                              .max_chunks = 3};
  std::vector<std::vector<ChunkVisit>> ours(config.common_layer().num_kv_heads),
      theirs(config.common_layer().num_kv_heads);
  ASSERT_TRUE(self->Select({}, queries, ours).ok());
  ASSERT_TRUE(learned->Select({}, queries, theirs).ok());
  for (int head = 0; head < config.common_layer().num_kv_heads; ++head) {
    ASSERT_EQ(ours[head].size(), 3u);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(ours[head][i].chunk, theirs[head][i].chunk);
  }
}

TEST(SelfRestorerTest, WhatWasTakenBackLeavesNoTrace) {
  TinyModels models;
  const ModelConfig& config = models.verifier.config;
  const std::vector<int32_t> ids = RandomIds(5 * kChunk, 24);
  const std::vector<int32_t> wrong = RandomIds(2 * kChunk, 25);
  const auto make = [&] {
    return SelfRestorer::Create(&models.verifier, &models.restorer, KvType::kF32, &models.budget)
        .value();
  };
  const auto expected = make();
  ASSERT_TRUE(expected->Extend({}, ids).ok());
  for (const size_t kept : {0u, 30u, 64u, 100u, 192u, 250u}) {
    for (const size_t taken_back : {1u, 20u, 100u}) {
      const auto restorer = make();
      ASSERT_TRUE(restorer->Extend({}, std::span(ids).first(kept)).ok());
      ASSERT_TRUE(restorer->Extend({}, std::span(wrong).first(taken_back)).ok());
      ASSERT_TRUE(restorer->Truncate({}, static_cast<int64_t>(kept)).ok());
      ASSERT_TRUE(restorer->Extend({}, std::span(ids).subspan(kept)).ok());
      for (int64_t chunk = 0; chunk < 5; ++chunk) {
        EXPECT_EQ(Restored(restorer.get(), config, 1, 0, chunk),
                  Restored(expected.get(), config, 1, 0, chunk))
            << kept << " kept, chunk " << chunk;
      }
    }
  }
}

TEST(SelfRestorerTest, WithoutMemoryNothingWasTold) {
  TinyModels models;
  const auto ids = RandomIds(4 * kChunk, 23);
  MemoryBudget session(size_t{3} << 20, &models.budget);
  const auto self =
      SelfRestorer::Create(&models.verifier, &models.restorer, KvType::kF32, &session).value();
  ASSERT_TRUE(self->Extend({}, ids).ok());
  const size_t bytes = self->history_bytes();
  const Result<Buffer> rest = session.Allocate(MemoryTag::kScratch, session.available(), "test");
  ASSERT_TRUE(rest.ok());
  EXPECT_EQ(self->Extend({}, ids).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(self->size(), 4 * kChunk);
  EXPECT_EQ(self->history_bytes(), bytes);
  EXPECT_EQ(session.used(MemoryTag::kHistory), bytes);
}

}  // namespace
}  // namespace kakeya
