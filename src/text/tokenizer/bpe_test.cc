#include "text/tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <random>
#include <string>

namespace kakeya {
namespace {

std::array<int32_t, 256> IdentityBytes() {
  std::array<int32_t, 256> ids;
  for (int i = 0; i < 256; ++i) ids[static_cast<size_t>(i)] = i;
  return ids;
}

std::vector<int32_t> Encode(const BpeModel& model, std::string_view word) {
  BpeScratch scratch;
  std::vector<int32_t> ids;
  model.Encode(word, &scratch, &ids);
  return ids;
}

// The definition, word for word: join the leftmost pair of the lowest rank until none is left.
std::vector<int32_t> EncodeByDefinition(const std::vector<BpeMerge>& merges,
                                        std::string_view word) {
  std::vector<int32_t> ids;
  for (const char c : word) ids.push_back(static_cast<uint8_t>(c));
  while (true) {
    size_t best_rank = merges.size();
    size_t best = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].left == ids[i] && merges[rank].right == ids[i + 1]) {
          best_rank = rank;
          best = i;
        }
      }
    }
    if (best_rank == merges.size()) return ids;
    ids[best] = merges[best_rank].result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(BpeTest, WithoutMergesEveryByteIsAToken) {
  const BpeModel model(IdentityBytes(), {});
  EXPECT_EQ(Encode(model, "ab\xff"), (std::vector<int32_t>{'a', 'b', 0xff}));
  EXPECT_TRUE(Encode(model, "").empty());
}

TEST(BpeTest, LowerRankGoesFirstEvenWhenItIsFartherRight) {
  const BpeModel model(IdentityBytes(), {{'b', 'c', 300}, {'a', 'b', 301}});
  EXPECT_EQ(Encode(model, "abc"), (std::vector<int32_t>{'a', 300}));
}

TEST(BpeTest, LeftmostOfEqualPairsGoesFirst) {
  const BpeModel model(IdentityBytes(), {{'a', 'a', 300}});
  EXPECT_EQ(Encode(model, "aaa"), (std::vector<int32_t>{300, 'a'}));
}

TEST(BpeTest, LaterOfTwoMergesForOnePairCounts) {
  const BpeModel model(IdentityBytes(), {{'a', 'b', 300}, {'b', 'c', 301}, {'a', 'b', 300}});
  EXPECT_EQ(Encode(model, "abc"), (std::vector<int32_t>{'a', 301}));
}

TEST(BpeTest, RandomMergesAgreeWithTheDefinitionAtAllLengths) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    // Tokens over a two-letter alphabet; the same token may come from several pairs.
    std::vector<std::string> tokens = {"a", "b"};
    std::map<std::string, int32_t> ids = {{"a", 'a'}, {"b", 'b'}};
    std::vector<BpeMerge> merges;
    for (int32_t next = 300; merges.size() < 25;) {
      const std::string& left = tokens[random() % tokens.size()];
      const std::string& right = tokens[random() % tokens.size()];
      const std::string both = left + right;
      if (both.size() > 12) continue;
      const int32_t left_id = ids[left];
      const int32_t right_id = ids[right];
      bool known = false;
      for (const BpeMerge& m : merges) known |= m.left == left_id && m.right == right_id;
      if (known) continue;
      if (ids.emplace(both, next).second) {
        ++next;
        tokens.push_back(both);
      }
      merges.push_back({left_id, right_id, ids[both]});
    }
    const BpeModel model(IdentityBytes(), merges);
    for (size_t length = 0; length < 90; length += 1 + length / 8) {
      std::string word;
      for (size_t i = 0; i < length; ++i) word += random() % 2 == 0 ? 'a' : 'b';
      EXPECT_EQ(Encode(model, word), EncodeByDefinition(merges, word)) << word;
    }
  }
}

// BAD_INPUTS: one megabyte of one character is one word. A quadratic join would take minutes.
TEST(BpeTest, AMillionEqualLettersTakeNearLinearTime) {
  std::vector<BpeMerge> merges = {{'a', 'a', 300}};
  for (int32_t i = 0; i < 16; ++i) merges.push_back({300 + i, 300 + i, 301 + i});
  const BpeModel model(IdentityBytes(), merges);
  const auto start = std::chrono::steady_clock::now();
  const auto ids = Encode(model, std::string(1 << 20, 'a'));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(ids, std::vector<int32_t>(8, 316));
  EXPECT_LT(seconds.count(), 10.0);  // measured 0.2; sanitizers and busy machines included
}

}  // namespace
}  // namespace kakeya
