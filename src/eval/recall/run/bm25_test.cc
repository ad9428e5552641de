#include "eval/recall/run/bm25.h"

#include <gtest/gtest.h>

#include "cache/window.h"

namespace kakeya {
namespace {

// Chunks full of id 0, with some ids put into them.
std::vector<int32_t> Chunks(const std::vector<std::vector<int32_t>>& contents) {
  std::vector<int32_t> ids(contents.size() * kChunk);
  for (size_t c = 0; c < contents.size(); ++c) {
    std::copy(contents[c].begin(), contents[c].end(), ids.begin() + c * kChunk);
  }
  return ids;
}

using Best = std::vector<int64_t>;

TEST(Bm25Test, FindsTheChunkThatSharesTheRareIds) {
  const std::vector<int32_t> ids = Chunks({{1}, {1, 2}, {1, 7, 8}, {1, 2}});
  const std::vector<int32_t> query = {1, 7};
  EXPECT_EQ(ChunksByBm25(ids, 4, query, 1), Best{2});
}

TEST(Bm25Test, RanksARareIdAboveManyCommonOnes) {
  const std::vector<int32_t> ids = Chunks({{1, 1, 1, 1, 1}, {1, 2}, {9}, {1}, {1}, {1}});
  const std::vector<int32_t> query = {1, 9};
  EXPECT_EQ(ChunksByBm25(ids, 6, query, 1), Best{2});
}

TEST(Bm25Test, CountsRepetitionsWithLessAndLessWeight) {
  const std::vector<int32_t> ids = Chunks({{5}, {5, 5, 5}, {4}, {3}});
  const std::vector<int32_t> once = {5};
  EXPECT_EQ(ChunksByBm25(ids, 4, once, 1), Best{1});
  // Two different ids beat one that is repeated.
  const std::vector<int32_t> both = Chunks({{5, 5, 5, 5}, {5, 6}, {1}, {1}});
  const std::vector<int32_t> two = {5, 6};
  EXPECT_EQ(ChunksByBm25(both, 4, two, 1), Best{1});
}

TEST(Bm25Test, GivesTheBestInTheOrderOfTheText) {
  const std::vector<int32_t> ids = Chunks({{8}, {1}, {8, 9}, {9}});
  const std::vector<int32_t> query = {8, 9};
  EXPECT_EQ(ChunksByBm25(ids, 4, query, 3), (Best{0, 2, 3}));
}

TEST(Bm25Test, BreaksTiesByTheLowestChunkAndGivesNoMoreThanThereAre) {
  const std::vector<int32_t> ids = Chunks({{1}, {2}, {3}});
  const std::vector<int32_t> nothing_in_common = {42};
  EXPECT_EQ(ChunksByBm25(ids, 3, nothing_in_common, 2), (Best{0, 1}));
  EXPECT_EQ(ChunksByBm25(ids, 3, nothing_in_common, INT64_MAX), (Best{0, 1, 2}));
  EXPECT_EQ(ChunksByBm25(ids, 0, nothing_in_common, 5), Best{});
}

TEST(Bm25Test, LooksAtTheGivenChunksOnly) {
  const std::vector<int32_t> ids = Chunks({{1}, {1}, {7}});
  const std::vector<int32_t> query = {7};
  EXPECT_EQ(ChunksByBm25(ids, 2, query, 1), Best{0});
}

}  // namespace
}  // namespace kakeya
