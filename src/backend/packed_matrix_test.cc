#include "backend/packed_matrix.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "backend/packed_layout.h"

namespace kakeya {
namespace {

std::vector<uint16_t> Numbered(int64_t n, uint16_t first) {
  std::vector<uint16_t> out(static_cast<size_t>(n));
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint16_t>(first + i);
  return out;
}

TEST(PackedMatrix, StacksPartsAndZeroesMissingRows) {
  const int64_t cols = 70;
  const std::vector<uint16_t> a = Numbered(20 * cols, 1);
  const std::vector<uint16_t> b = Numbered(3 * cols, 30000);
  const std::vector<TensorView> parts = {{DType::kBF16, {20, cols}, a.data()},
                                         {DType::kBF16, {0, cols}, nullptr},
                                         {DType::kBF16, {3, cols}, b.data()}};
  MemoryBudget budget;
  const auto pool = ThreadPool::Create(3);
  ASSERT_TRUE(pool.ok());
  for (ThreadPool* used : {static_cast<ThreadPool*>(nullptr), pool->get()}) {
    const auto packed = PackedMatrix::Pack(parts, &budget, used, "stack");
    ASSERT_TRUE(packed.ok());
    EXPECT_EQ(23, packed->rows());
    EXPECT_EQ(cols, packed->cols());
    EXPECT_EQ(2, packed->blocks());
    EXPECT_EQ(static_cast<size_t>(32 * cols * 2), packed->bytes());
    EXPECT_EQ(packed->bytes(), budget.used(MemoryTag::kWeights));
    const auto* data = static_cast<const uint16_t*>(packed->data());
    for (int64_t r = 0; r < 32; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        const uint16_t expected = r < 20   ? a[static_cast<size_t>(r * cols + c)]
                                  : r < 23 ? b[static_cast<size_t>((r - 20) * cols + c)]
                                           : 0;
        ASSERT_EQ(expected, data[((r / 16) * cols + c) * 16 + r % 16]) << r << " " << c;
      }
    }
  }
  EXPECT_EQ(0u, budget.used());
}

TEST(PackedMatrix, ReadsElementsAtOddAddresses) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  std::vector<char> bytes(values.size() * sizeof(float) + 1);
  std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(float));
  const TensorView view{DType::kF32, {2, 3}, bytes.data() + 1};
  MemoryBudget budget;
  const auto packed = PackedMatrix::Pack({&view, 1}, &budget, nullptr, "odd");
  ASSERT_TRUE(packed.ok());
  const auto* data = static_cast<const float*>(packed->data());
  EXPECT_EQ(1.0f, data[0]);
  EXPECT_EQ(4.0f, data[1]);
  EXPECT_EQ(6.0f, data[2 * 16 + 1]);
  EXPECT_EQ(0.0f, data[2]);
}

// Where the kernels look for them: in one vector before the low bits.
TEST(PackedMatrix, FifthBitsOfABlockShareOneVector) {
  for (const DType type : {DType::kQ5_0, DType::kQ5_1}) {
    const int fifth_at = type == DType::kQ5_0 ? 2 : 4;
    for (int c = 0; c < 32; ++c) {
      std::vector<std::byte> row(RowBytes(type, 32));
      row[static_cast<size_t>(fifth_at + c / 8)] = static_cast<std::byte>(1 << c % 8);
      const TensorView view{type, {1, 32}, row.data()};
      MemoryBudget budget;
      const auto packed = PackedMatrix::Pack({&view, 1}, &budget, nullptr, "fifth bits");
      ASSERT_TRUE(packed.ok());
      const auto* tile = static_cast<const uint8_t*>(packed->data());
      std::vector<uint8_t> vector(tile + TileLayoutOf(type).quants, tile + LowOffset(type, 0));
      std::vector<uint8_t> expected(kQuadBytes);
      expected[static_cast<size_t>(c % 4)] = static_cast<uint8_t>(1 << c / 4);
      EXPECT_EQ(expected, vector) << NameOf(type) << " element " << c;
    }
  }
}

TEST(PackedMatrix, MinsOfBlocksAreKeptNegated) {
  std::vector<std::byte> row(RowBytes(DType::kQ4_1, 32));
  const uint16_t halves[] = {0x3c00, 0x4200};  // d 1, m 3
  std::memcpy(row.data(), halves, sizeof(halves));
  const TensorView view{DType::kQ4_1, {1, 32}, row.data()};
  MemoryBudget budget;
  const auto packed = PackedMatrix::Pack({&view, 1}, &budget, nullptr, "mins");
  ASSERT_TRUE(packed.ok());
  uint16_t dmin[kPackWidth];
  std::memcpy(dmin, static_cast<const uint8_t*>(packed->data()) + TileLayoutOf(DType::kQ4_1).dmin,
              sizeof(dmin));
  EXPECT_EQ(0xc200, dmin[0]);
  for (int lane = 1; lane < kPackWidth; ++lane) EXPECT_EQ(0, dmin[lane]) << lane;
}

TEST(PackedMatrix, OverBudgetIsAnErrorThatNamesTheMatrix) {
  const std::vector<uint16_t> a = Numbered(64, 1);
  const TensorView view{DType::kF16, {4, 16}, a.data()};
  MemoryBudget budget(100);
  const auto packed = PackedMatrix::Pack({&view, 1}, &budget, nullptr, "layer 3 mlp");
  ASSERT_FALSE(packed.ok());
  EXPECT_EQ(StatusCode::kResourceExhausted, packed.status().code());
  EXPECT_NE(std::string::npos, packed.status().message().find("layer 3 mlp"));
}

}  // namespace
}  // namespace kakeya
