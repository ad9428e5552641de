#include "backend/cpu/guided_for.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace kakeya::cpu {
namespace {

using Pieces = std::vector<std::pair<int64_t, int64_t>>;

// In ascending order.
Pieces PiecesOf(ThreadPool* pool, int64_t items, int64_t least) {
  Mutex mutex;
  Pieces out;
  GuidedFor(pool, items, least, [&](int64_t begin, int64_t end) {
    const MutexLock lock(&mutex);
    out.emplace_back(begin, end);
  });
  std::sort(out.begin(), out.end());
  return out;
}

TEST(GuidedForTest, PiecesMakeUpTheWholeOnce) {
  for (const int threads : {0, 1, 2, 3, 8}) {
    std::unique_ptr<ThreadPool> pool;
    if (threads > 0) pool = ThreadPool::Create(threads).value();
    for (const int64_t items : {1, 2, 3, 7, 64, 65, 1000, 12345}) {
      for (const int64_t least : {1, 2, 5, 64, 2000}) {
        int64_t at = 0;
        for (const auto& [begin, end] : PiecesOf(pool.get(), items, least)) {
          EXPECT_EQ(begin, at);
          ASSERT_GT(end, begin);
          at = end;
          EXPECT_TRUE(end == items || end - begin >= least);
        }
        EXPECT_EQ(at, items) << threads << " threads, at least " << least;
      }
    }
  }
}

TEST(GuidedForTest, LongPiecesComeFirst) {
  const auto pool = ThreadPool::Create(2).value();
  EXPECT_EQ(PiecesOf(pool.get(), 80, 8), (Pieces{{0, 40}, {40, 60}, {60, 70}, {70, 78}, {78, 80}}));
}

}  // namespace
}  // namespace kakeya::cpu
