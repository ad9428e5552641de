#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "backend/ops_test_util.h"
#include "backend/restore/reference_recurrence.h"
#include "backend/restore/restore_ops.h"

namespace kakeya {
namespace {

using test::ReferenceRecurrence;
using test::TokenRecurrence;

std::vector<int32_t> RandomIds(int64_t n, uint32_t seed, int vocabulary) {
  std::mt19937 random(seed);
  std::vector<int32_t> ids(static_cast<size_t>(n));
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint32_t>(vocabulary));
  return ids;
}

// What is found for every token of whole chunks.
std::vector<TokenRecurrence> Found(const OpContext& context, const RecurrenceShape& shape,
                                   const std::vector<int32_t>& ids) {
  std::vector<const int32_t*> chunks;
  std::vector<TokenRecurrence> out;
  for (size_t first = 0; first < ids.size(); first += kChunk) {
    chunks.push_back(ids.data() + first);
    ChunkRecurrence found;
    FindRecurrence(context, shape, chunks, &found);
    const auto lengths = static_cast<int64_t>(shape.lengths.size());
    for (int64_t t = 0; t < kChunk; ++t) {
      const auto* buckets = found.buckets.data() + t * lengths;
      const auto* followers = found.followers.data() + t * shape.next;
      out.push_back({{buckets, buckets + lengths}, {followers, followers + shape.next}});
    }
  }
  return out;
}

// On every device.
void ExpectAsDefined(const RecurrenceShape& shape, const std::vector<int32_t>& ids,
                     const std::string& what) {
  for (const Device device : {Device::kRef, Device::kCpu}) {
    const std::vector<TokenRecurrence> found = Found({.device = device}, shape, ids);
    for (size_t p = 0; p < found.size(); ++p) {
      const TokenRecurrence want = ReferenceRecurrence(shape, ids, static_cast<int>(p));
      ASSERT_EQ(found[p].buckets, want.buckets) << what << ", position " << p;
      ASSERT_EQ(found[p].followers, want.followers) << what << ", position " << p;
    }
  }
}

const RecurrenceShape kConfigs[] = {{{1, 2, 3, 5}, 8, 8}, {{1}, 2, 1},
                                    {{16}, 64, 64},       {{2, 16}, 3, 5},
                                    {{3, 4, 9}, 64, 1},   {{1, 2, 3, 4, 5, 6, 7, 8}, 5, 3}};

TEST(RecurrenceTest, IsWhatTheDefinitionSays) {
  uint32_t seed = 1;
  for (const RecurrenceShape& config : kConfigs) {
    for (const int vocabulary : {1, 2, 3, 20}) {
      const std::vector<int32_t> ids = RandomIds(5 * kChunk, ++seed, vocabulary);
      ExpectAsDefined(config, ids, std::to_string(vocabulary) + " ids");
    }
  }
}

// The same passage again at every distance from the chunks' borders.
TEST(RecurrenceTest, LongPassagesAreFoundAcrossBorders) {
  const std::vector<int32_t> passage = RandomIds(40, 3, 1 << 30);
  for (int at = 60; at < 132; ++at) {
    std::vector<int32_t> ids = RandomIds(4 * kChunk, 100 + at, 1 << 30);
    std::copy(passage.begin(), passage.end(), ids.begin() + at - 50);
    std::copy(passage.begin(), passage.end(), ids.begin() + at);
    for (const RecurrenceShape& config : kConfigs) ExpectAsDefined(config, ids, std::to_string(at));
    // Not all by the reference alone: what follows is told, as far as it stands before the token.
    const TokenRecurrence found = Found({}, kConfigs[0], ids)[at + 6];
    EXPECT_EQ(found.buckets, (std::vector<int>{1, 1, 1, 1}));
    EXPECT_EQ(found.followers, (std::vector<int32_t>(passage.begin() + 7, passage.begin() + 15)));
  }
}

TEST(RecurrenceTest, IsTheSameOnEveryInstructionSet) {
  const std::vector<int32_t> ids = RandomIds(4 * kChunk, 9, 6);
  test::ForEachTarget([&](const char* target) { ExpectAsDefined(kConfigs[0], ids, target); });
}

}  // namespace
}  // namespace kakeya
