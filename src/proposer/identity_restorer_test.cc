#include "proposer/identity_restorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "cache/restorer_test_util.h"
#include "model/restoration.h"
#include "proposer/proposer_test_util.h"

namespace kakeya {
namespace {

using test::BitEqual;
using test::MakeVerifier;
using test::RandomIds;
using test::TinyVerifierConfig;

// Hidden states of every position, the text read in blocks of this size. `restorer`: null for a
// session that keeps everything.
std::vector<float> AllHidden(const Model& model, KvType type, const std::vector<int32_t>& ids,
                             int64_t block, std::unique_ptr<Restorer> restorer,
                             MemoryBudget* budget) {
  const LayerConfig& layer = model.config.common_layer();
  const KvShape shape{model.config.num_layers(), layer.num_kv_heads, layer.head_dim, type};
  KvPolicy policy;
  std::optional<Restoration> restoration;
  if (restorer != nullptr) {
    policy.kind = KvPolicy::Kind::kRestored;
    restoration = Restoration::Create(shape, model.RotationFor(0), std::move(restorer), kAllChunks,
                                      size_t{1} << 20, budget)
                      .value();
  }
  KvCache cache = KvCache::Create(shape, policy, budget).value();
  Workspace workspace =
      Workspace::Create(model.config, block, 0, restoration.has_value(), budget).value();
  std::vector<float> out;
  while (cache.size() < static_cast<int64_t>(ids.size())) {
    const auto piece = std::span(ids).subspan(static_cast<size_t>(cache.size()));
    const auto rows = std::min<int64_t>(block, static_cast<int64_t>(piece.size()));
    const auto now = piece.first(static_cast<size_t>(rows));
    EXPECT_TRUE(!restoration || restoration->restorer->Extend({}, now).ok());
    EXPECT_TRUE(cache.Stage(rows).ok());
    Sequence sequence{.cache = &cache,
                      .restoration = restoration ? &*restoration : nullptr,
                      .rows = static_cast<int>(rows)};
    Forward({}, model, now, {&sequence, 1}, {}, &workspace);
    EXPECT_TRUE(sequence.status.ok()) << sequence.status.message();
    cache.Commit(rows);
    const float* const hidden = workspace.hidden.as<float>();
    out.insert(out.end(), hidden, hidden + rows * model.config.hidden_size);
  }
  EXPECT_TRUE(!restoration || restoration->stats.failed == 0);
  return out;
}

class IdentityTest : public testing::TestWithParam<bool> {};

TEST_P(IdentityTest, RestoringEverythingIsKeepingEverythingBitForBit) {
  MemoryBudget budget;
  ModelConfig config = TinyVerifierConfig();
  for (LayerConfig& layer : config.layers) layer.qk_norm = GetParam();
  const Model model = MakeVerifier(config, &budget);
  // Three groups of chunks, and part of a fourth.
  const std::vector<int32_t> ids = RandomIds(3 * kChunksPerGroup * kChunk + 100, 11);
  for (const KvType type : kKvTypes) {
    const std::vector<float> full = AllHidden(model, type, ids, 512, nullptr, &budget);
    for (const int64_t block : {512, 64, 33}) {
      const std::vector<float> restored =
          AllHidden(model, type, ids, block,
                    IdentityRestorer::Create(&model, type, &budget).value(), &budget);
      ASSERT_EQ(full.size(), restored.size());
      EXPECT_TRUE(BitEqual(full.data(), restored.data(), full.size())) << "blocks of " << block;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(KNorm, IdentityTest, testing::Bool());

TEST(IdentityRestorerTest, LayersMayBeAskedForInAnyOrder) {
  MemoryBudget budget;
  const Model model = MakeVerifier(TinyVerifierConfig(), &budget);
  const auto restorer = IdentityRestorer::Create(&model, KvType::kF32, &budget).value();
  const std::vector<int32_t> ids = RandomIds(300, 13);
  ASSERT_TRUE(restorer->Extend({}, ids).ok());
  const auto keys = [&](int layer) {
    EXPECT_TRUE(restorer->BeginLayer({}, layer).ok());
    return test::LoadPage(*restorer, layer, 1, 2, model.config.common_layer().head_dim).k;
  };
  const std::vector<float> first = keys(0);
  const std::vector<float> last = keys(2);
  EXPECT_EQ(keys(0), first);
  EXPECT_EQ(keys(2), last);
  EXPECT_NE(first, last);
  ASSERT_TRUE(restorer->Extend({}, ids).ok());  // what comes later changes nothing
  EXPECT_EQ(keys(2), last);
}

TEST(IdentityRestorerTest, WhatWasTakenBackAndToldAnewIsComputedAnew) {
  MemoryBudget budget;
  const Model model = MakeVerifier(TinyVerifierConfig(), &budget);
  const auto restorer = IdentityRestorer::Create(&model, KvType::kF32, &budget).value();
  const auto fresh = IdentityRestorer::Create(&model, KvType::kF32, &budget).value();
  std::vector<int32_t> ids = RandomIds(300, 13);
  const auto page = [&](IdentityRestorer* of) {
    EXPECT_TRUE(of->BeginLayer({}, 2).ok());
    return test::LoadPage(*of, 2, 1, 3, model.config.common_layer().head_dim).Both();
  };
  ASSERT_TRUE(restorer->Extend({}, ids).ok());
  const std::vector<float> before = page(static_cast<IdentityRestorer*>(restorer.get()));
  // The same number of whole chunks as before, with other ids in one of them.
  ASSERT_TRUE(restorer->Truncate({}, 200).ok());
  for (size_t i = 200; i < ids.size(); ++i) ids[i] = (ids[i] + 1) % model.config.vocab_size;
  ASSERT_TRUE(restorer->Extend({}, std::span(ids).subspan(200)).ok());
  ASSERT_TRUE(fresh->Extend({}, ids).ok());
  const std::vector<float> after = page(static_cast<IdentityRestorer*>(restorer.get()));
  EXPECT_NE(after, before);
  EXPECT_EQ(after, page(static_cast<IdentityRestorer*>(fresh.get())));
}

// A pass that failed in the middle of a layer must not be taken for one that went through it.
TEST(IdentityRestorerTest, AFailedLayerIsRunAgain) {
  MemoryBudget unlimited;
  const Model model = MakeVerifier(TinyVerifierConfig(), &unlimited);
  const std::vector<int32_t> ids = RandomIds(600, 17);
  const int head_dim = model.config.common_layer().head_dim;
  const auto whole = IdentityRestorer::Create(&model, KvType::kF32, &unlimited).value();
  ASSERT_TRUE(whole->Extend({}, ids).ok());
  int failed = 0;
  for (size_t spare = 0; spare < 600000; spare += 20000) {
    MemoryBudget session;
    const auto restorer = IdentityRestorer::Create(&model, KvType::kF32, &session).value();
    ASSERT_TRUE(restorer->Extend({}, ids).ok());
    {
      // All but `spare` bytes are somebody else's for a while.
      MemoryBudget tight(session.used() + spare);
      const auto poor = IdentityRestorer::Create(&model, KvType::kF32, &tight);
      if (!poor.ok() || !(*poor)->Extend({}, ids).ok()) continue;
      for (int layer = 0; layer < model.config.num_layers(); ++layer) {
        for (int attempt = 0; attempt < 2; ++attempt) {
          const Status status = (*poor)->BeginLayer({}, layer);
          if (!status.ok()) {
            ++failed;
            continue;
          }
          ASSERT_TRUE(whole->BeginLayer({}, layer).ok());
          EXPECT_EQ(test::LoadPage(**poor, layer, 0, 4, head_dim).Both(),
                    test::LoadPage(*whole, layer, 0, 4, head_dim).Both());
        }
      }
    }
  }
  EXPECT_GT(failed, 0);
}

TEST(IdentityRestorerTest, KeepsTheIdsAlone) {
  MemoryBudget budget;
  const Model model = MakeVerifier(TinyVerifierConfig(), &budget);
  const auto restorer = IdentityRestorer::Create(&model, KvType::kF32, &budget).value();
  ASSERT_TRUE(restorer->Extend({}, RandomIds(100, 1)).ok());
  ASSERT_TRUE(restorer->Extend({}, RandomIds(28, 1)).ok());
  EXPECT_EQ(restorer->size(), 128);
  EXPECT_EQ(restorer->history_bytes(), 128 * sizeof(int32_t));
  EXPECT_EQ(budget.used(MemoryTag::kHistory), restorer->history_bytes());
}

}  // namespace
}  // namespace kakeya
