#include "cache/kv_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

namespace kakeya {
namespace {

constexpr KvShape kShape{.layers = 2, .kv_heads = 2, .head_dim = 8, .type = KvType::kF32};
constexpr int kRow = kShape.kv_heads * kShape.head_dim;

KvPolicy Window(int64_t sink, int64_t window) {
  return {.kind = KvPolicy::Kind::kWindow, .sink = sink, .window = window};
}

KvPolicy Sliding(int64_t window) {
  return {.kind = KvPolicy::Kind::kSliding, .sink = 0, .window = window};
}

const void* HeadOf(const KvPage& page, KvType type, int head) {
  return static_cast<const std::byte*>(page.data) + head * KvHeadBytes(type, kShape.head_dim);
}

// A plain cache that keeps everything: what each position was written with when it was committed.
class Reference {
 public:
  explicit Reference(KvCache* cache) : cache_(cache) {}

  // Stages n rows of fresh random values, writes them in every layer piece by piece, checks what
  // each piece sees, then commits the first `keep`.
  void Step(int n, int keep, std::mt19937* random, bool check = true) {
    ASSERT_TRUE(cache_->Stage(n).ok());
    const int64_t first = cache_->size();
    std::vector<std::vector<float>> rows = rows_;
    std::uniform_real_distribution<float> value(-1, 1);
    for (int i = 0; i < n; ++i) {
      std::vector<float> row(2 * kRow);
      for (float& x : row) x = value(*random);
      rows.push_back(row);
    }
    for (int layer = 0; layer < kShape.layers; ++layer) {
      for (int done = 0; done < n; done += kStaging) {
        const int piece = std::min(kStaging, n - done);
        WritePiece(rows, layer, first + done, piece);
        if (check) Check(rows, layer, first + done, piece);
      }
    }
    cache_->Commit(keep);
    rows.resize(first + keep);
    rows_ = std::move(rows);
    ASSERT_EQ(cache_->size(), static_cast<int64_t>(rows_.size()));
  }

 private:
  // Every layer gets the same values plus its own number, so that mixed-up layers show.
  static float Expected(const std::vector<float>& row, int layer, int i) { return row[i] + layer; }

  void WritePiece(const std::vector<std::vector<float>>& rows, int layer, int64_t first, int n) {
    std::vector<float> k, v;
    for (int64_t p = first; p < first + n; ++p) {
      for (int i = 0; i < kRow; ++i) k.push_back(Expected(rows[p], layer, i));
      for (int i = 0; i < kRow; ++i) v.push_back(Expected(rows[p], layer, kRow + i));
    }
    cache_->Write({}, layer, first, n, k.data(), v.data());
  }

  void Check(const std::vector<std::vector<float>>& rows, int layer, int64_t first, int n) {
    const std::span<const KvPage> pages = cache_->View(layer, first, n);
    for (int64_t query = first; query < first + n; ++query) {
      const int64_t begin = WindowBegin(cache_->policy(), query);
      for (int64_t p = 0; p <= query; ++p) {
        if (p < begin && p >= cache_->policy().sink) continue;
        CheckPosition(pages, rows[p], layer, p);
      }
    }
  }

  void CheckPosition(std::span<const KvPage> pages, const std::vector<float>& row, int layer,
                     int64_t position) {
    const KvType type = cache_->shape().type;
    // The coarsest type has steps of 2 / 15; values lie less than a layer's number apart from it.
    const float tolerance = type == KvType::kF32 ? 0.0f : 0.08f;
    for (const KvPage& page : pages) {
      if (page.first_position != position / kChunk * kChunk) continue;
      const auto slot = static_cast<int>(position % kChunk);
      for (int i = 0; i < kRow; ++i) {
        const void* const head = HeadOf(page, type, i / kShape.head_dim);
        const int d = i % kShape.head_dim;
        ASSERT_NEAR(LoadKey(type, head, kShape.head_dim, slot, d), Expected(row, layer, i),
                    tolerance)
            << "position " << position;
        ASSERT_NEAR(LoadValue(type, head, kShape.head_dim, slot, d), Expected(row, layer, kRow + i),
                    tolerance);
      }
      return;
    }
    FAIL() << "no page holds position " << position;
  }

  KvCache* cache_;
  std::vector<std::vector<float>> rows_;
};

// Of an evicted chunk nothing but the sinks is left anywhere, masked or not.
TEST(KvCacheTest, SinkPagesHoldTheSinksAlone) {
  for (const int64_t sink : {int64_t{4}, int64_t{64}, int64_t{70}}) {
    MemoryBudget budget;
    KvPolicy policy = Window(sink, 80);
    KvCache cache = KvCache::Create(kShape, policy, &budget).value();
    Reference reference(&cache);
    std::mt19937 random(3);
    reference.Step(300, 300, &random);
    for (int step = 0; step < 40; ++step) reference.Step(1, 1, &random);
    int64_t pages_seen = 0;
    for (const KvPage& page : cache.View(1, cache.size() - 1, 1)) {
      if (page.first_position >= WindowBegin(policy, cache.size() - 1)) continue;
      ++pages_seen;
      const float* data = static_cast<const float*>(page.data);
      for (int slot = 0; slot < kChunk; ++slot) {
        const bool is_sink = page.first_position + slot < sink;
        for (int h = 0; h < kShape.kv_heads; ++h) {
          const float* k = data + int64_t{2} * h * kShape.head_dim * kChunk;
          const float* v = k + kShape.head_dim * kChunk;
          for (int d = 0; d < kShape.head_dim; ++d) {
            EXPECT_EQ(std::isnan(k[d * kChunk + slot]), !is_sink) << slot;
            EXPECT_EQ(std::isnan(v[slot * kShape.head_dim + d]), !is_sink) << slot;
          }
        }
      }
    }
    EXPECT_EQ(pages_seen, SinkChunks(policy));
  }
}

class KvCacheRandomTest : public testing::TestWithParam<KvPolicy> {};

TEST_P(KvCacheRandomTest, EveryQueryFindsWhatItSeesAfterRandomCommitsAndRollbacks) {
  MemoryBudget budget;
  Result<KvCache> cache = KvCache::Create(kShape, GetParam(), &budget);
  ASSERT_TRUE(cache.ok()) << cache.status().message();
  Reference reference(&*cache);
  std::mt19937 random(7);
  reference.Step(150, 150, &random);  // a prefill longer than the staging area
  while (cache->size() < 700) {
    const int n = 1 + static_cast<int>(random() % kStaging);
    const int keep = random() % 4 == 0 ? 0 : static_cast<int>(random() % (n + 1));
    reference.Step(n, keep, &random);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, KvCacheRandomTest,
                         testing::Values(KvPolicy{}, Window(4, 64), Window(0, 1), Window(4, 65),
                                         Window(70, 128), Window(4, 200), Sliding(1), Sliding(100),
                                         Sliding(128)));

// Ten thousand short histories: stage, then commit all, some or none, from a random start.
TEST(KvCacheTest, TenThousandRandomSequencesAgreeWithAPlainCache) {
  MemoryBudget budget;
  std::mt19937 random(11);
  const KvPolicy policies[] = {KvPolicy{},
                               Window(4, 64),
                               Window(0, 64),
                               Window(3, 65),
                               {.kind = KvPolicy::Kind::kRestored, .sink = 4, .window = 64}};
  for (int sequence = 0; sequence < 10000; ++sequence) {
    Result<KvCache> cache = KvCache::Create(kShape, policies[sequence % 5], &budget);
    ASSERT_TRUE(cache.ok());
    const size_t bound = cache->resident_bytes();
    Reference reference(&*cache);
    const int start = 1 + static_cast<int>(random() % 260);
    reference.Step(start, start, &random, /*check=*/false);
    for (int step = 0; step < 4; ++step) {
      const int n = random() % 8 == 0 ? kStaging : 1 + static_cast<int>(random() % 9);
      const int keep = random() % 3 == 0 ? 0 : static_cast<int>(random() % (n + 1));
      reference.Step(n, keep, &random, /*check=*/step == 3);
      ASSERT_FALSE(HasFatalFailure()) << "sequence " << sequence;
      if (cache->policy().bounded()) {
        ASSERT_EQ(cache->resident_bytes(), bound);
      }
    }
  }
}

TEST(KvCacheTest, WindowBytesNeverChange) {
  MemoryBudget budget;
  Result<KvCache> cache = KvCache::Create(kShape, Window(4, 64), &budget);
  ASSERT_TRUE(cache.ok());
  const size_t bytes = cache->resident_bytes();
  EXPECT_EQ(budget.used(MemoryTag::kKv), bytes);
  Reference reference(&*cache);
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i) {
    reference.Step(50, 50, &random);
    EXPECT_EQ(cache->resident_bytes(), bytes);
  }
  EXPECT_EQ(budget.peak(MemoryTag::kKv), bytes);
}

TEST(KvCacheTest, FullGrowsByOneSlabPerChunk) {
  MemoryBudget budget;
  Result<KvCache> cache = KvCache::Create(kShape, KvPolicy{}, &budget);
  ASSERT_TRUE(cache.ok());
  EXPECT_EQ(cache->resident_bytes(), 0u);
  const size_t slab = kShape.layers * KvPageBytes(kShape.type, kShape.kv_heads, kShape.head_dim);
  Reference reference(&*cache);
  std::mt19937 random(1);
  reference.Step(64, 64, &random);
  EXPECT_EQ(cache->resident_bytes(), slab);
  reference.Step(1, 1, &random);
  EXPECT_EQ(cache->resident_bytes(), 2 * slab);
}

TEST(KvCacheTest, StageBeyondTheBudgetChangesNothing) {
  const size_t slab = kShape.layers * KvPageBytes(kShape.type, kShape.kv_heads, kShape.head_dim);
  MemoryBudget budget(2 * slab);
  Result<KvCache> cache = KvCache::Create(kShape, KvPolicy{}, &budget);
  ASSERT_TRUE(cache.ok());
  Reference reference(&*cache);
  std::mt19937 random(1);
  reference.Step(60, 60, &random);
  EXPECT_EQ(cache->Stage(200).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(cache->resident_bytes(), slab);
  EXPECT_EQ(cache->staged(), 0);
  reference.Step(64, 64, &random);  // what fits still works
}

// All that the next query may see, as bits.
std::vector<float> Visible(KvCache* cache) {
  std::vector<float> out;
  const KvType type = cache->shape().type;
  const int64_t begin = WindowBegin(cache->policy(), cache->size());
  for (int layer = 0; layer < kShape.layers; ++layer) {
    for (const KvPage& page : cache->View(layer, cache->size(), 1)) {
      for (int slot = 0; slot < kChunk; ++slot) {
        const int64_t position = page.first_position + slot;
        const bool visible = position < cache->policy().sink || position >= begin;
        if (!visible || position >= cache->size()) continue;
        for (int i = 0; i < kRow; ++i) {
          const void* const head = HeadOf(page, type, i / kShape.head_dim);
          const int d = i % kShape.head_dim;
          out.push_back(LoadKey(type, head, kShape.head_dim, slot, d));
          out.push_back(LoadValue(type, head, kShape.head_dim, slot, d));
        }
      }
    }
  }
  return out;
}

TEST(KvCacheTest, RejectedDraftLeavesCommittedBitsUntouchedInEveryType) {
  for (const KvType type : kKvTypes) {
    MemoryBudget budget;
    KvShape shape = kShape;
    shape.type = type;
    KvCache cache = KvCache::Create(shape, Window(4, 64), &budget).value();
    Reference reference(&cache);
    std::mt19937 random(3);
    reference.Step(333, 333, &random);
    const std::vector<float> before = Visible(&cache);
    for (int n : {1, 2, 17, 63, 64}) {
      reference.Step(n, 0, &random);
      EXPECT_EQ(Visible(&cache), before) << NameOf(type) << " after a rejected block of " << n;
    }
    EXPECT_EQ(budget.used(MemoryTag::kKv), cache.resident_bytes());
  }
}

TEST(KvCacheTest, WindowBeyondTheBudgetAllocatesNothing) {
  MemoryBudget budget(size_t{1} << 20);
  const Result<KvCache> cache = KvCache::Create(kShape, Window(4, 100000), &budget);
  EXPECT_EQ(cache.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(budget.peak(MemoryTag::kKv), 0u);
}

TEST(KvCacheTest, PoliciesThatCannotWorkAreRefused) {
  MemoryBudget budget;
  EXPECT_FALSE(KvCache::Create(kShape, Window(-1, 64), &budget).ok());
  EXPECT_FALSE(KvCache::Create(kShape, Window(4, 0), &budget).ok());
  EXPECT_FALSE(KvCache::Create(kShape, Window(65, 64), &budget).ok());
  EXPECT_FALSE(KvCache::Create(kShape, Window(4, int64_t{1} << 40), &budget).ok());
  EXPECT_TRUE(KvCache::Create(kShape, Window(64, 64), &budget).ok());
  const KvPolicy sinks{.kind = KvPolicy::Kind::kSliding, .sink = 4, .window = 64};
  EXPECT_FALSE(KvCache::Create(kShape, sinks, &budget).ok());
  EXPECT_TRUE(KvCache::Create(kShape, Sliding(64), &budget).ok());
}

}  // namespace
}  // namespace kakeya
