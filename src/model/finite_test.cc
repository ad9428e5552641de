#include "model/finite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "backend/quant_format.h"

namespace kakeya {
namespace {

TEST(FindNonFiniteTest, FirstNanOrInfinityIsFoundAtAnyIndex) {
  auto pool = ThreadPool::Create(3);
  ASSERT_TRUE(pool.ok());
  constexpr int64_t kElements = 600'000;  // three slices
  std::vector<float> data(kElements, 1.0f);
  const TensorView view{DType::kF32, {600, 1000}, data.data()};
  EXPECT_EQ(FindNonFinite(view, pool->get()), -1);
  for (int64_t at : {int64_t{0}, int64_t{4095}, int64_t{4096}, int64_t{262'143}, int64_t{262'144},
                     kElements - 1}) {
    for (float bad : {NAN, INFINITY, -INFINITY}) {
      data[at] = bad;
      data[kElements - 1] = bad;  // a later one doesn't hide the first
      EXPECT_EQ(FindNonFinite(view, pool->get()), at);
      EXPECT_EQ(FindNonFinite(view, nullptr), at);
      data[at] = 1.0f;
      data[kElements - 1] = 1.0f;
    }
  }
}

TEST(FindNonFiniteTest, LargestAndSmallestNumbersAreFinite) {
  const std::vector<float> data = {std::numeric_limits<float>::max(),
                                   std::numeric_limits<float>::lowest(),
                                   std::numeric_limits<float>::denorm_min(), -0.0f};
  EXPECT_EQ(FindNonFinite({DType::kF32, {4}, data.data()}, nullptr), -1);
}

TEST(FindNonFiniteTest, EveryHalfIsJudgedRight) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    EXPECT_EQ(FindNonFinite({DType::kF16, {1}, &half}, nullptr) == 0, (bits & 0x7c00) == 0x7c00);
    EXPECT_EQ(FindNonFinite({DType::kBF16, {1}, &half}, nullptr) == 0, (bits & 0x7f80) == 0x7f80);
  }
}

// A scale that is no number spoils its block, wherever in the format the scale stands.
TEST(FindNonFiniteTest, ScalesOfBlockFormatsAreRead) {
  for (const DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                           DType::kIQ4_NL, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    const int64_t cols = 2 * BlockElements(type);
    std::vector<std::byte> bytes(3 * RowBytes(type, cols), std::byte{0x7b});
    const TensorView view{type, {3, cols}, bytes.data()};
    EXPECT_EQ(FindNonFinite(view, nullptr), -1) << NameOf(type);
    const uint16_t infinity = 0xfc00;
    for (int i = HasMins(type) ? 1 : 0; i >= 0; --i) {
      std::memcpy(bytes.data() + 5 * BlockBytes(type) + ScaleOffset(type) + 2 * i, &infinity, 2);
      EXPECT_EQ(FindNonFinite(view, nullptr), 5 * BlockElements(type)) << NameOf(type);
    }
    const uint16_t nan = 0x7e00;
    std::memcpy(bytes.data() + 3 * BlockBytes(type) + ScaleOffset(type), &nan, 2);
    EXPECT_EQ(FindNonFinite(view, nullptr), 3 * BlockElements(type)) << NameOf(type);
  }
}

TEST(FindNonFiniteTest, UnalignedAndEmptyTensorsAreRead) {
  std::string bytes(1 + 3 * sizeof(float), '\0');
  const float bad = NAN;
  std::memcpy(bytes.data() + 1 + 2 * sizeof(float), &bad, sizeof(bad));
  EXPECT_EQ(FindNonFinite({DType::kF32, {3}, bytes.data() + 1}, nullptr), 2);
  EXPECT_EQ(FindNonFinite({DType::kF32, {0, 5}, nullptr}, nullptr), -1);
}

}  // namespace
}  // namespace kakeya
