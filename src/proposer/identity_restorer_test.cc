#include "proposer/identity_restorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

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
                             size_t block, std::unique_ptr<Restorer> restorer,
                             MemoryBudget* budget) {
  const ModelConfig& config = model.config;
  const KvShape shape{config.num_layers, config.num_kv_heads, config.head_dim, type};
  KvPolicy policy;
  std::optional<Restoration> restoration;
  const bool restored = restorer != nullptr;
  if (restored) {
    policy.kind = KvPolicy::Kind::kRestored;
    restoration = Restoration::Create(shape, model.rotation, std::move(restorer), kAllChunks,
                                      size_t{1} << 20, budget)
                      .value();
  }
  KvCache cache = KvCache::Create(shape, policy, budget).value();
  Workspace workspace = Workspace::Create(config, block, restored, budget).value();
  std::vector<float> out;
  for (size_t done = 0; done < ids.size(); done += block) {
    const std::span<const int32_t> piece(ids.data() + done, std::min(block, ids.size() - done));
    EXPECT_TRUE(!restored || restoration->restorer->Extend({}, piece).ok());
    EXPECT_TRUE(cache.Stage(static_cast<int64_t>(piece.size())).ok());
    EXPECT_TRUE(
        Forward({}, model, piece, &cache, restored ? &*restoration : nullptr, &workspace).ok());
    cache.Commit(static_cast<int64_t>(piece.size()));
    const float* hidden = workspace.hidden.as<float>();
    out.insert(out.end(), hidden, hidden + piece.size() * config.hidden_size);
  }
  EXPECT_TRUE(!restored || restoration->stats.failed == 0);
  return out;
}

class IdentityTest : public testing::TestWithParam<bool> {};

TEST_P(IdentityTest, RestoringEverythingIsKeepingEverythingBitForBit) {
  MemoryBudget budget;
  ModelConfig config = TinyVerifierConfig();
  config.qk_norm = GetParam();
  const Model model = MakeVerifier(config, &budget);
  // Three groups of chunks, and part of a fourth.
  const std::vector<int32_t> ids = RandomIds(3 * kChunksPerGroup * kChunk + 100, 11);
  for (const KvType type : kKvTypes) {
    const std::vector<float> full = AllHidden(model, type, ids, 512, nullptr, &budget);
    for (const size_t block : {512, 64, 33}) {
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
  const size_t n = size_t{kChunk} * model.config.head_dim;
  const auto keys = [&](int layer) {
    std::vector<float> k(n), v(n);
    EXPECT_TRUE(restorer->BeginLayer({}, layer).ok());
    restorer->Restore(layer, 1, 2, k.data(), v.data());
    return k;
  };
  const std::vector<float> first = keys(0);
  const std::vector<float> last = keys(2);
  EXPECT_EQ(keys(0), first);
  EXPECT_EQ(keys(2), last);
  EXPECT_NE(first, last);
  ASSERT_TRUE(restorer->Extend({}, ids).ok());  // what comes later changes nothing
  EXPECT_EQ(keys(2), last);
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
