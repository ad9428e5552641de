#include "eval/speed/random_fill.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace kakeya {
namespace {

constexpr KvShape kShape{.layers = 2, .kv_heads = 2, .head_dim = 8, .type = KvType::kF32};

KvCache Filled(const KvPolicy& policy, const std::vector<int64_t>& pieces, uint64_t seed,
               MemoryBudget* budget) {
  auto cache = KvCache::Create(kShape, policy, budget);
  EXPECT_TRUE(cache.ok()) << cache.status().message();
  for (const int64_t n : pieces) EXPECT_TRUE(AppendRandom({}, n, seed, &*cache).ok());
  return *std::move(cache);
}

// Key elements that the next query sees in one layer, position by position.
std::vector<float> SeenKeys(KvCache* cache, int layer) {
  const int64_t next = cache->size();
  const KvPolicy policy = cache->layer(layer).policy;
  EXPECT_TRUE(cache->Stage(1).ok());
  std::vector<float> seen;
  for (const KvPage& page : cache->View(layer, next, 1)) {
    for (int64_t slot = 0; slot < kChunk; ++slot) {
      const int64_t position = page.first_position + slot;
      const bool visible = position < policy.sink || position >= WindowBegin(policy, next);
      if (!visible || position >= next) continue;
      const auto* keys = static_cast<const float*>(page.data);
      for (int d = 0; d < kShape.head_dim; ++d) seen.push_back(keys[d * kChunk + slot]);
    }
  }
  cache->Rollback();
  return seen;
}

TEST(RandomFillTest, EverythingThatTheNextQuerySeesIsWritten) {
  for (const auto kind : {KvPolicy::Kind::kFull, KvPolicy::Kind::kWindow}) {
    for (const int64_t depth : {1, 63, 64, 65, 130, 1000, 4096}) {
      MemoryBudget budget;
      KvCache cache = Filled({.kind = kind, .sink = 70, .window = 100}, {depth}, 1, &budget);
      EXPECT_EQ(cache.size(), depth);
      for (int layer = 0; layer < kShape.layers; ++layer) {
        const std::vector<float> keys = SeenKeys(&cache, layer);
        EXPECT_GE(static_cast<int64_t>(keys.size()),
                  std::min<int64_t>(depth, 100) * kShape.head_dim);
        for (const float key : keys) ASSERT_TRUE(key >= -1 && key < 1) << depth;
      }
    }
  }
}

TEST(RandomFillTest, TheSeedDecides) {
  MemoryBudget budget;
  KvCache a = Filled({}, {200}, 5, &budget);
  KvCache b = Filled({}, {200}, 5, &budget);
  KvCache c = Filled({}, {200}, 6, &budget);
  EXPECT_EQ(SeenKeys(&a, 1), SeenKeys(&b, 1));
  EXPECT_NE(SeenKeys(&a, 1), SeenKeys(&c, 1));
  EXPECT_NE(SeenKeys(&a, 0), SeenKeys(&a, 1));
}

TEST(RandomFillTest, FillsBehindWhatIsThere) {
  MemoryBudget budget;
  KvCache cache = Filled({.kind = KvPolicy::Kind::kWindow}, {100, 300}, 2, &budget);
  EXPECT_EQ(cache.size(), 400);
  for (const float key : SeenKeys(&cache, 0)) ASSERT_TRUE(std::isfinite(key));
}

TEST(RandomFillTest, ADepthBeyondMemoryChangesNothing) {
  MemoryBudget budget(1 << 20);
  KvCache cache = Filled({}, {10}, 1, &budget);
  const Status status = AppendRandom({}, 1 << 20, 1, &cache);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(cache.size(), 10);
  EXPECT_EQ(cache.staged(), 0);
}

}  // namespace
}  // namespace kakeya
