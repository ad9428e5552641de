#include "cache/window.h"

#include <gtest/gtest.h>

#include <set>

namespace kakeya {
namespace {

KvPolicy Window(int64_t window) {
  return {.kind = KvPolicy::Kind::kWindow, .sink = 4, .window = window};
}

TEST(WindowTest, FullPolicyNeverEvicts) {
  for (int64_t i = 0; i < 10000; i += 7) EXPECT_EQ(WindowBegin(KvPolicy{}, i), 0);
}

// Every small window at every position, against the definition in words.
TEST(WindowTest, KeepsTheChunkThatHoldsTheOldestWantedPosition) {
  for (int64_t window = 1; window <= 200; ++window) {
    const KvPolicy policy = Window(window);
    for (int64_t i = 0; i < 1000; ++i) {
      const int64_t begin = WindowBegin(policy, i);
      EXPECT_EQ(begin % kChunk, 0);
      const int64_t visible = i - begin + 1;
      EXPECT_GE(visible, std::min(window, i + 1)) << "window " << window << " position " << i;
      EXPECT_LE(visible, window + kChunk - 1) << "window " << window << " position " << i;
    }
  }
}

TEST(WindowTest, BeginNeverFalls) {
  for (int64_t window : {1, 63, 64, 65, 127, 128, 500}) {
    for (int64_t i = 1; i < 2000; ++i) {
      EXPECT_GE(WindowBegin(Window(window), i), WindowBegin(Window(window), i - 1));
    }
  }
}

// Brute force over all alignments: the ring must hold every chunk that a staged block reads or
// writes, and none to spare.
TEST(WindowTest, RingHoldsExactlyTheWorstCase) {
  for (int64_t window = 1; window <= 300; ++window) {
    const KvPolicy policy = Window(window);
    size_t worst = 0;
    for (int64_t first = 1000; first < 1000 + kChunk; ++first) {
      std::set<int64_t> chunks;
      for (int64_t i = WindowBegin(policy, first); i < first + kStaging; ++i) {
        chunks.insert(ChunkOf(i));
      }
      worst = std::max(worst, chunks.size());
    }
    EXPECT_EQ(WindowChunks(policy), static_cast<int64_t>(worst)) << "window " << window;
  }
}

}  // namespace
}  // namespace kakeya
