#include "cache/restore_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>

namespace kakeya {
namespace {

constexpr KvShape kShape{.layers = 3, .kv_heads = 2, .head_dim = 8, .type = KvType::kBF16};

PageKey Key(int64_t chunk) { return {.layer = 1, .kv_head = 0, .chunk = chunk}; }

RestoreBuffer Make(MemoryBudget* budget, int64_t entries) {
  auto buffer = RestoreBuffer::Create(
      kShape, static_cast<size_t>(entries) * RestoreBuffer::PageBytes(kShape), budget);
  EXPECT_TRUE(buffer.ok()) << buffer.status().message();
  return *std::move(buffer);
}

TEST(RestoreBuffer, AllocatesWhatItWasGivenOnceAndForAll) {
  MemoryBudget budget;
  EXPECT_EQ(RestoreBuffer::PageBytes(kShape), 2u * 8 * 64 * 2);
  RestoreBuffer buffer = Make(&budget, 5);
  EXPECT_EQ(buffer.entries(), 5);
  EXPECT_EQ(buffer.resident_bytes(), 5 * RestoreBuffer::PageBytes(kShape));
  EXPECT_EQ(budget.used(MemoryTag::kKv), buffer.resident_bytes());
  for (int64_t chunk = 0; chunk < 100; ++chunk) {
    buffer.BeginRound();
    EXPECT_TRUE(buffer.Get(Key(chunk)).fresh);
  }
  EXPECT_EQ(budget.peak(MemoryTag::kKv), buffer.resident_bytes());
}

TEST(RestoreBuffer, ForgetsTheLeastRecentlyUsed) {
  MemoryBudget budget;
  RestoreBuffer buffer = Make(&budget, 3);
  for (const int64_t chunk : {0, 1, 2}) buffer.Get(Key(chunk));
  buffer.BeginRound();
  EXPECT_FALSE(buffer.Get(Key(0)).fresh);
  buffer.BeginRound();
  EXPECT_TRUE(buffer.Get(Key(3)).fresh);  // in place of 1
  EXPECT_FALSE(buffer.Get(Key(0)).fresh);
  EXPECT_FALSE(buffer.Get(Key(2)).fresh);
  buffer.BeginRound();
  EXPECT_TRUE(buffer.Get(Key(1)).fresh);
}

TEST(RestoreBuffer, KeepsApartLayersHeadsChunksAndRotations) {
  MemoryBudget budget;
  RestoreBuffer buffer = Make(&budget, 8);
  const PageKey keys[] = {
      {0, 0, 0, false}, {1, 0, 0, false}, {0, 1, 0, false}, {0, 0, 1, false}, {0, 0, 0, true}};
  std::vector<void*> pages;
  for (const PageKey& key : keys) {
    const RestoreBuffer::Page page = buffer.Get(key);
    EXPECT_TRUE(page.fresh);
    for (void* other : pages) EXPECT_NE(page.data, other);
    pages.push_back(page.data);
  }
  for (size_t i = 0; i < pages.size(); ++i) EXPECT_EQ(buffer.Get(keys[i]).data, pages[i]);
}

// Against a list in order of use, over random rounds.
TEST(RestoreBuffer, BehavesLikeAPlainLeastRecentlyUsedList) {
  MemoryBudget budget;
  constexpr int64_t kEntries = 7;
  RestoreBuffer buffer = Make(&budget, kEntries);
  std::mt19937 random(1);
  std::list<int64_t> reference;  // newest first
  for (int round = 0; round < 2000; ++round) {
    buffer.BeginRound();
    for (uint32_t n = random() % kEntries + 1; n > 0; --n) {
      const int64_t chunk = random() % 12;
      const bool known = std::find(reference.begin(), reference.end(), chunk) != reference.end();
      EXPECT_EQ(buffer.Get(Key(chunk)).fresh, !known);
      reference.remove(chunk);
      reference.push_front(chunk);
      if (static_cast<int64_t>(reference.size()) > kEntries) reference.pop_back();
    }
  }
}

TEST(RestoreBuffer, RefusesWhatHoldsNoChunk) {
  MemoryBudget budget;
  const size_t page = RestoreBuffer::PageBytes(kShape);
  EXPECT_EQ(RestoreBuffer::Create(kShape, 2 * page - 1, &budget).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(RestoreBuffer::Create(kShape, 2 * page, &budget).ok());
  MemoryBudget small(page);
  EXPECT_EQ(RestoreBuffer::Create(kShape, 2 * page, &small).status().code(),
            StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace kakeya
