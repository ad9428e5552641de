#include "eval/recall/run/coupon_layers.h"

#include <gtest/gtest.h>

namespace kakeya {
namespace {

constexpr KvPolicy kBounded{.kind = KvPolicy::Kind::kRestored, .sink = 4, .window = 64};

std::vector<KvPage> Pages(std::initializer_list<int64_t> firsts) {
  std::vector<KvPage> pages;
  for (const int64_t first : firsts) pages.push_back({first, nullptr});
  return pages;
}

TEST(RecallCouponTest, AllowsSinksAndWindow) {
  EXPECT_EQ(WindowBegin(kBounded, 700), 576);
  EXPECT_FALSE(HoldsCoupon(kBounded, 700, Pages({0, 576, 640})));
  EXPECT_FALSE(HoldsCoupon(kBounded, 700, Pages({})));
}

TEST(RecallCouponTest, FindsAPageBeforeTheWindow) {
  EXPECT_TRUE(HoldsCoupon(kBounded, 700, Pages({0, 512, 576, 640})));
  EXPECT_TRUE(HoldsCoupon(kBounded, 700, Pages({64, 576, 640})));
}

TEST(RecallCouponTest, FindsMoreSlotsThanThePolicyHas) {
  EXPECT_TRUE(HoldsCoupon(kBounded, 700, Pages({576, 640, 704, 768, 832})));
}

TEST(RecallCouponTest, AsksEveryLayerOfACache) {
  MemoryBudget budget;
  const KvShape shape{.layers = 3, .kv_heads = 1, .head_dim = 8, .type = KvType::kF32};
  Result<KvCache> cache = KvCache::Create(shape, kBounded, &budget);
  ASSERT_TRUE(cache.ok());
  EXPECT_TRUE(CouponLayers(&*cache).empty());
  for (int block = 0; block < 10; ++block) {
    ASSERT_TRUE(cache->Stage(64).ok());
    cache->Commit(64);
  }
  EXPECT_TRUE(CouponLayers(&*cache).empty());
  EXPECT_EQ(cache->resident_slots(/*layer=*/0), 4 * kChunk);
}

}  // namespace
}  // namespace kakeya
