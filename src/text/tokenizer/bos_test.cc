#include "text/tokenizer/bos.h"

#include <gtest/gtest.h>

namespace kakeya {
namespace {

std::vector<int32_t> Left(std::optional<int32_t> bos, std::vector<int32_t> ids, size_t dropped) {
  EXPECT_EQ(DropRepeatedBos(bos, &ids), dropped);
  return ids;
}

using Ids = std::vector<int32_t>;

TEST(BosTest, OneOfSeveralAtTheBeginningIsLeft) {
  EXPECT_EQ(Left(1, {1, 1, 5}, 1), Ids({1, 5}));
  EXPECT_EQ(Left(1, {1, 1, 1, 5, 1, 1}, 2), Ids({1, 5, 1, 1}));
  EXPECT_EQ(Left(1, {1, 1}, 1), Ids({1}));
}

TEST(BosTest, NothingElseIsTouched) {
  EXPECT_EQ(Left(1, {}, 0), Ids());
  EXPECT_EQ(Left(1, {1}, 0), Ids({1}));
  EXPECT_EQ(Left(1, {1, 5, 1}, 0), Ids({1, 5, 1}));
  EXPECT_EQ(Left(1, {5, 1, 1}, 0), Ids({5, 1, 1}));
  EXPECT_EQ(Left(std::nullopt, {5, 5}, 0), Ids({5, 5}));
}

}  // namespace
}  // namespace kakeya
