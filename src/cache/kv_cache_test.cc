#include "cache/kv_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "cache/kv_snapshot.h"
#include "cache/saved_state.h"

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

  void Truncate(int64_t n) {
    cache_->Truncate(n);
    rows_.resize(static_cast<size_t>(n));
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
    ASSERT_TRUE(cache_->Write({}, layer, first, n, k.data(), v.data()).ok());
  }

  void Check(const std::vector<std::vector<float>>& rows, int layer, int64_t first, int n) {
    const std::span<const KvPage> pages = cache_->View(layer, first, n);
    for (int64_t query = first; query < first + n; ++query) {
      const int64_t begin = WindowBegin(cache_->layer(0).policy, query);
      for (int64_t p = 0; p <= query; ++p) {
        if (p < begin && p >= cache_->layer(0).policy.sink) continue;
        CheckPosition(pages, rows[p], layer, p);
      }
    }
  }

  void CheckPosition(std::span<const KvPage> pages, const std::vector<float>& row, int layer,
                     int64_t position) {
    const KvType type = cache_->type();
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
      if (cache->layer(0).policy.bounded()) {
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
  const KvType type = cache->type();
  const int64_t begin = WindowBegin(cache->layer(0).policy, cache->size());
  for (int layer = 0; layer < kShape.layers; ++layer) {
    for (const KvPage& page : cache->View(layer, cache->size(), 1)) {
      for (int slot = 0; slot < kChunk; ++slot) {
        const int64_t position = page.first_position + slot;
        const bool visible = position < cache->layer(0).policy.sink || position >= begin;
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

// Random drafts, commits and cuts: whatever the cache says can be taken back can be, and it says so
// of all that invariant 5 promises.
TEST(KvCacheTest, WhatIsTakenBackAndWrittenAnewIsWhatAPlainCacheHolds) {
  MemoryBudget budget;
  std::mt19937 random(23);
  int64_t far_cuts = 0;
  for (const KvPolicy& policy :
       {KvPolicy{}, Window(4, 64), Window(0, 1), Window(3, 65), Window(70, 130)}) {
    KvCache cache = KvCache::Create(kShape, policy, &budget).value();
    Reference reference(&cache);
    reference.Step(333, 333, &random);
    int64_t written = 333;  // one past the last position ever written
    for (int step = 0; step < 300; ++step) {
      const int n = 1 + static_cast<int>(random() % kStaging);
      written = std::max(written, cache.size() + n);
      reference.Step(n, static_cast<int>(random() % (n + 1)), &random);
      ASSERT_FALSE(HasFatalFailure());
      const int64_t back = static_cast<int64_t>(random() % 150);
      const int64_t to = std::max<int64_t>(0, cache.size() - back);
      const bool promised = !policy.bounded() || to >= written - kStaging;
      ASSERT_TRUE(cache.CanTruncate(to) || !promised) << to << " of " << written;
      if (!cache.CanTruncate(to)) continue;
      far_cuts += back > kStaging ? 1 : 0;
      reference.Truncate(to);
    }
  }
  EXPECT_GT(far_cuts, 0);
}

TEST(KvCacheTest, ABlockTooLongToRollBackSaysThatTheCacheIsLost) {
  MemoryBudget budget;
  for (const KvPolicy& policy : {KvPolicy{}, Window(4, 64)}) {
    KvCache cache = KvCache::Create(kShape, policy, &budget).value();
    Reference reference(&cache);
    std::mt19937 random(5);
    reference.Step(300, 300, &random);
    reference.Step(64, 0, &random);
    EXPECT_TRUE(cache.intact());
    reference.Step(300, 0, &random);
    EXPECT_EQ(cache.intact(), !policy.bounded());
    const size_t bytes = cache.resident_bytes();
    cache.Clear();
    EXPECT_TRUE(cache.intact());
    EXPECT_EQ(cache.size(), 0);
    EXPECT_EQ(cache.resident_bytes(), bytes);
    Reference anew(&cache);
    anew.Step(200, 200, &random);
  }
}

TEST(KvCacheTest, AFailedFirstBlockOfAnyLengthLeavesAnEmptyCache) {
  MemoryBudget budget;
  for (const KvPolicy& policy : {KvPolicy{}, Window(4, 64)}) {
    for (const int rows : {10, 64, 300, 512}) {
      KvCache cache = KvCache::Create(kShape, policy, &budget).value();
      Reference reference(&cache);
      std::mt19937 random(5);
      reference.Step(rows, 0, &random);
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(cache.intact());
        reference.Step(30, 30, &random);
        EXPECT_TRUE(cache.CanTruncate(cache.size() - 20));
      }
    }
  }
}

// Keeps what it is told of, as it stood in the page.
class Archive : public EvictionListener {
 public:
  Status OnEvict(const OpContext& /*context*/, int layer, const KvPage& page) override {
    if (layer == refused_layer) return Status(StatusCode::kUnavailable, "no room");
    const auto* const from = static_cast<const std::byte*>(page.data);
    const size_t bytes = KvPageBytes(kShape.type, kShape.kv_heads, kShape.head_dim);
    pages[{layer, page.first_position / kChunk}].assign(from, from + bytes);
    return OkStatus();
  }
  int refused_layer = -1;
  std::map<std::pair<int, int64_t>, std::vector<std::byte>> pages;
};

TEST(KvCacheTest, WhatLeavesTheWindowIsToldWithTheBytesThatAFullCacheKeeps) {
  MemoryBudget budget;
  KvCache full = KvCache::Create(kShape, KvPolicy{}, &budget).value();
  KvCache window = KvCache::Create(kShape, Window(4, 64), &budget).value();
  Archive archive;
  window.set_eviction_listener(&archive);
  Reference keeps(&full);
  Reference evicts(&window);
  std::mt19937 random(1), same(1);
  // Prefill, decoding, drafts that are rejected, and positions taken back.
  for (const auto& [n, keep] :
       {std::pair{500, 500}, {1, 1}, {64, 3}, {40, 0}, {1, 1}, {200, 200}}) {
    keeps.Step(n, keep, &random);
    evicts.Step(n, keep, &same);
    const int64_t back = window.size() - 30;
    if (!window.CanTruncate(back)) continue;
    keeps.Truncate(back);
    evicts.Truncate(back);
  }
  keeps.Step(130, 130, &random);
  evicts.Step(130, 130, &same);
  // One more piece: what the last query no longer saw is told then.
  keeps.Step(1, 1, &random);
  evicts.Step(1, 1, &same);
  const int64_t gone = WindowBegin(Window(4, 64), window.size() - 1) / kChunk;
  ASSERT_GT(gone, 8);
  for (int layer = 0; layer < kShape.layers; ++layer) {
    for (int64_t chunk = 0; chunk < gone; ++chunk) {
      const KvPage page = full.groups()[0].PageOf(layer, chunk);
      const auto found = archive.pages.find({layer, chunk});
      ASSERT_NE(found, archive.pages.end()) << "chunk " << chunk;
      EXPECT_EQ(std::memcmp(page.data, found->second.data(), found->second.size()), 0)
          << "chunk " << chunk;
    }
  }
}

class Bytes : public StateSink {
 public:
  Status Write(std::span<const std::byte> bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return OkStatus();
  }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// However the text had been cut into pieces, between before and after every chunk is told.
TEST(KvCacheTest, ALoadedCacheTellsOfEveryChunkThatNobodyWasToldOf) {
  MemoryBudget budget;
  for (const int piece : {1, 7, 50, 64, 300}) {
    for (int size = 100; size <= 400; size += 50) {
      KvCache cache = KvCache::Create(kShape, Window(4, 64), &budget).value();
      Archive told;
      cache.set_eviction_listener(&told);
      Reference reference(&cache);
      std::mt19937 random(11);
      for (int done = 0; done < size; done += piece) {
        const int rows = std::min(piece, size - done);
        reference.Step(rows, rows, &random, /*check=*/false);
      }
      Bytes saved;
      ASSERT_TRUE(SaveKv(cache, &saved).ok());
      KvCache loaded = KvCache::Create(kShape, Window(4, 64), &budget).value();
      StateSource source(saved.bytes());
      ASSERT_TRUE(LoadKv(&source, &loaded).ok());
      loaded.set_eviction_listener(&told);
      // A row at the end of the next window's worth sees all chunks leave.
      const std::vector<float> row(kRow, 0.5f);
      for (int i = 0; i < 70; ++i) {
        ASSERT_TRUE(loaded.Stage(1).ok());
        for (int layer = 0; layer < kShape.layers; ++layer) {
          ASSERT_TRUE(loaded.Write({}, layer, loaded.size(), 1, row.data(), row.data()).ok());
        }
        loaded.Commit(1);
      }
      const int64_t gone = ChunkOf(WindowBegin(Window(4, 64), loaded.size() - 1));
      for (int layer = 0; layer < kShape.layers; ++layer) {
        for (int64_t chunk = 0; chunk < gone; ++chunk) {
          EXPECT_TRUE(told.pages.contains({layer, chunk}))
              << "piece " << piece << ", size " << size << ", chunk " << chunk;
        }
      }
    }
  }
}

TEST(KvCacheTest, AnEvictionThatFailsFailsTheWrite) {
  MemoryBudget budget;
  KvCache cache = KvCache::Create(kShape, Window(4, 64), &budget).value();
  Archive archive;
  cache.set_eviction_listener(&archive);
  Reference reference(&cache);
  std::mt19937 random(1);
  reference.Step(192, 192, &random);
  archive.refused_layer = 1;
  const std::vector<float> row(static_cast<size_t>(kRow) * 30);
  ASSERT_TRUE(cache.Stage(30).ok());
  EXPECT_TRUE(cache.Write({}, 0, 192, 30, row.data(), row.data()).ok());
  EXPECT_EQ(cache.Write({}, 1, 192, 30, row.data(), row.data()).code(), StatusCode::kUnavailable);
  cache.Rollback();
  archive.refused_layer = -1;
  EXPECT_TRUE(cache.intact());
  reference.Step(30, 30, &random);  // goes on as if nothing had happened
}

// Full, bounded and differently shaped layers in one cache: a ring for each kind.
TEST(KvCacheTest, LayersOfEachKindHaveARingOfTheirOwn) {
  MemoryBudget budget;
  const KvLayer full{.kv_heads = 2, .head_dim = 16, .policy = {}};
  const KvLayer window{.kv_heads = 1, .head_dim = 8, .policy = Window(4, 64)};
  const KvLayer wide{.kv_heads = 1, .head_dim = 8, .policy = Window(4, 256)};
  const KvLayer layers[] = {window, window, full, window, wide};
  KvCache cache = KvCache::Create(layers, KvType::kF32, &budget).value();
  EXPECT_EQ(cache.groups().size(), 3u);
  const auto slabs = [](const KvLayer& layer) {
    return static_cast<size_t>(WindowChunks(layer.policy) + SinkChunks(layer.policy)) *
           KvPageBytes(KvType::kF32, layer.kv_heads, layer.head_dim);
  };
  EXPECT_EQ(cache.resident_bytes(), 3 * slabs(window) + slabs(wide));
  std::vector<float> k(64 * 32), v(64 * 32);
  for (int64_t position = 0; position < 640; position += 64) {
    ASSERT_TRUE(cache.Stage(64).ok());
    for (int layer = 0; layer < cache.layers(); ++layer) {
      const float value = static_cast<float>(1000 * layer + position / 64);
      std::fill(k.begin(), k.end(), value);
      std::fill(v.begin(), v.end(), -value);
      ASSERT_TRUE(cache.Write({}, layer, position, 64, k.data(), v.data()).ok());
    }
    cache.Commit(64);
  }
  const size_t page = KvPageBytes(KvType::kF32, 2, 16);
  EXPECT_EQ(cache.resident_bytes(), 3 * slabs(window) + slabs(wide) + 10 * page);
  ASSERT_TRUE(cache.Stage(1).ok());
  for (int layer = 0; layer < cache.layers(); ++layer) {
    const KvLayer& kind = cache.layer(layer);
    const std::span<const KvPage> pages = cache.View(layer, 639, 1);
    const int64_t first = WindowBegin(kind.policy, 639) / kChunk;
    EXPECT_EQ(static_cast<int64_t>(pages.size()),
              10 - first + std::min<int64_t>(first, SinkChunks(kind.policy)));
    for (const KvPage& seen : pages) {
      const float expected = static_cast<float>(1000 * layer + seen.first_position / 64);
      EXPECT_EQ(LoadKey(KvType::kF32, seen.data, kind.head_dim, 1, 3), expected);
      EXPECT_EQ(LoadValue(KvType::kF32, seen.data, kind.head_dim, 1, 3), -expected);
    }
  }
  cache.Rollback();
  EXPECT_TRUE(cache.CanTruncate(600));
  EXPECT_FALSE(cache.CanTruncate(200));  // the narrow window has moved on
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
