#include "cache/window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "backend/visibility.h"

namespace kakeya {
namespace {

KvPolicy Window(int64_t window) {
  return {.kind = KvPolicy::Kind::kWindow, .sink = 4, .window = window};
}

KvPolicy Sliding(int64_t window) {
  return {.kind = KvPolicy::Kind::kSliding, .sink = 0, .window = window};
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

// Query i sees (i - window, i], wherever that begins.
TEST(WindowTest, SlidingKeepsExactlyTheLastPositions) {
  for (int64_t window = 1; window <= 200; ++window) {
    const KvPolicy policy = Sliding(window);
    for (int64_t i = 0; i < 1000; ++i) {
      EXPECT_EQ(i - WindowBegin(policy, i) + 1, std::min(window, i + 1));
    }
  }
}

TEST(WindowTest, BeginNeverFalls) {
  for (int64_t window : {1, 63, 64, 65, 127, 128, 500}) {
    for (const KvPolicy& policy : {Window(window), Sliding(window)}) {
      for (int64_t i = 1; i < 2000; ++i) {
        EXPECT_GE(WindowBegin(policy, i), WindowBegin(policy, i - 1));
      }
    }
  }
}

TEST(WindowTest, ViewEndsWithTheQueryAndHasSinksWhereSomethingIsEvicted) {
  for (int64_t i : {0, 3, 63, 64, 700}) {
    const RowView full = ViewOf({.kind = KvPolicy::Kind::kFull, .sink = 4}, i);
    EXPECT_EQ(std::tuple(full.sink, full.begin, full.end), std::tuple(0, 0, i + 1));
    for (const KvPolicy::Kind kind : {KvPolicy::Kind::kWindow, KvPolicy::Kind::kRestored}) {
      const KvPolicy policy{.kind = kind, .sink = 4, .window = 100};
      const RowView view = ViewOf(policy, i);
      EXPECT_EQ(std::tuple(view.sink, view.begin, view.end),
                std::tuple(4, WindowBegin(policy, i), i + 1));
      EXPECT_TRUE(IsValid(view));
    }
    const RowView sliding = ViewOf(Sliding(100), i);
    EXPECT_EQ(std::tuple(sliding.sink, sliding.begin, sliding.end),
              std::tuple(0, std::max<int64_t>(0, i - 99), i + 1));
    EXPECT_TRUE(IsValid(sliding));
  }
}

// Position by position: what a kernel is told of each chunk is what the view says.
TEST(WindowTest, SlotsOfAllChunksMakeUpTheView) {
  const auto expect_slots = [](const RowView& view) {
    for (int64_t chunk = 0; chunk < 5 * kChunk; chunk += kChunk) {
      const SlotRange slots = VisibleSlots(view, chunk);
      for (int slot = 0; slot < kChunk; ++slot) {
        const int64_t p = chunk + slot;
        const bool seen = p < view.end && (p < view.sink || p >= view.begin);
        ASSERT_EQ(slot >= slots.first && slot < slots.end, seen)
            << "[0, " << view.sink << ") [" << view.begin << ", " << view.end << ") " << p;
      }
    }
  };
  for (int64_t begin = 0; begin < 4 * kChunk; begin += 5) {
    for (int64_t end = begin + 1; end <= 4 * kChunk; end += 7)
      expect_slots({.begin = begin, .end = end});
  }
  for (int64_t sink = 0; sink < 3 * kChunk; sink += 3) {
    for (int64_t begin = 0; begin < 4 * kChunk; begin += kChunk) {
      // Sinks may reach into the window, and beyond the row.
      expect_slots({.sink = sink, .begin = begin, .end = begin + 9});
      expect_slots({.sink = sink, .begin = begin, .end = std::max(begin, sink) + 9});
    }
  }
}

// Brute force over all alignments: the ring must hold every chunk that a staged block reads or
// writes, and none to spare.
TEST(WindowTest, RingHoldsExactlyTheWorstCase) {
  for (int64_t window = 1; window <= 300; ++window) {
    for (const KvPolicy& policy : {Window(window), Sliding(window)}) {
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
}

}  // namespace
}  // namespace kakeya
