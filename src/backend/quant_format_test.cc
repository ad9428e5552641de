#include "backend/quant_format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "backend/numerics.h"
#include "backend/ops.h"
#include "backend/ops_test_util.h"
#include "backend/packed_layout.h"

namespace kakeya {
namespace {

using test::kBlockTypes;
using test::RandomBlocks;

std::vector<float> Dequantized(DType type, const std::vector<std::byte>& bytes) {
  const size_t blocks = bytes.size() / static_cast<size_t>(BlockBytes(type));
  std::vector<float> out(blocks * static_cast<size_t>(BlockElements(type)));
  for (size_t b = 0; b < blocks; ++b) {
    DequantizeBlock(type, bytes.data() + b * BlockBytes(type),
                    out.data() + b * BlockElements(type));
  }
  return out;
}

void SetHalf(std::vector<std::byte>* bytes, size_t at, float value) {
  const uint16_t bits = numerics::ToF16(value);
  std::memcpy(bytes->data() + at, &bits, sizeof(bits));
}

TEST(QuantFormat, SizesAreThoseOfGguf) {
  EXPECT_EQ(34u, RowBytes(DType::kQ8_0, 32));
  EXPECT_EQ(36u, RowBytes(DType::kQ4_0, 64));
  EXPECT_EQ(40u, RowBytes(DType::kQ4_1, 64));
  EXPECT_EQ(22u, RowBytes(DType::kQ5_0, 32));
  EXPECT_EQ(24u, RowBytes(DType::kQ5_1, 32));
  EXPECT_EQ(18u, RowBytes(DType::kIQ4_NL, 32));
  EXPECT_EQ(144u, RowBytes(DType::kQ4_K, 256));
  EXPECT_EQ(176u, RowBytes(DType::kQ5_K, 256));
  EXPECT_EQ(420u, RowBytes(DType::kQ6_K, 512));
  EXPECT_EQ(6u, RowBytes(DType::kF16, 3));
  EXPECT_EQ(34u * 6, (TensorView{DType::kQ8_0, {3, 64}, nullptr}).bytes());
  EXPECT_STREQ("q5_k", NameOf(DType::kQ5_K));
  EXPECT_STREQ("iq4_nl", NameOf(DType::kIQ4_NL));
}

TEST(QuantFormat, SimpleBlocksByHand) {
  std::vector<std::byte> q8(34);
  SetHalf(&q8, 0, 0.5f);
  q8[2] = std::byte{0x80};   // -128
  q8[33] = std::byte{0x7f};  // 127
  const std::vector<float> x8 = Dequantized(DType::kQ8_0, q8);
  EXPECT_EQ(-64.0f, x8[0]);
  EXPECT_EQ(0.0f, x8[1]);
  EXPECT_EQ(63.5f, x8[31]);

  std::vector<std::byte> q4(18, std::byte{0x88});
  SetHalf(&q4, 0, 2.0f);
  q4[2] = std::byte{0xf0};
  const std::vector<float> x4 = Dequantized(DType::kQ4_0, q4);
  EXPECT_EQ(-16.0f, x4[0]);  // low half: 0 - 8
  EXPECT_EQ(14.0f, x4[16]);  // high half: 15 - 8
  EXPECT_EQ(0.0f, x4[1]);
}

TEST(QuantFormat, MinsOfBlocksAreAdded) {
  std::vector<std::byte> q4(20);
  SetHalf(&q4, 0, 0.5f);
  SetHalf(&q4, 2, -3.0f);
  q4[4] = std::byte{0xf2};
  const std::vector<float> x4 = Dequantized(DType::kQ4_1, q4);
  EXPECT_EQ(0.5f * 2 - 3, x4[0]);
  EXPECT_EQ(0.5f * 15 - 3, x4[16]);
  EXPECT_EQ(-3.0f, x4[1]);

  std::vector<std::byte> q5(24);
  SetHalf(&q5, 0, -0.5f);
  SetHalf(&q5, 2, 7.0f);
  q5[4] = std::byte{0x01};     // element 0
  q5[4 + 3] = std::byte{128};  // element 31
  q5[8] = std::byte{0x03};
  q5[8 + 15] = std::byte{0x90};
  const std::vector<float> x5 = Dequantized(DType::kQ5_1, q5);
  EXPECT_EQ(-0.5f * (16 + 3) + 7, x5[0]);
  EXPECT_EQ(-0.5f * (16 + 9) + 7, x5[31]);
  EXPECT_EQ(7.0f, x5[15]);
}

TEST(QuantFormat, FifthBitsAndLevelsByHand) {
  std::vector<std::byte> q5(22);
  SetHalf(&q5, 0, 2.0f);
  q5[2 + 2] = std::byte{0x12};  // elements 17 and 20
  q5[6 + 1] = std::byte{0x70};  // 17: the high half of byte 1
  q5[6 + 3] = std::byte{0x05};  // 3
  const std::vector<float> x5 = Dequantized(DType::kQ5_0, q5);
  EXPECT_EQ(2.0f * (16 + 7 - 16), x5[17]);
  EXPECT_EQ(0.0f, x5[20]);
  EXPECT_EQ(2.0f * (5 - 16), x5[3]);

  std::vector<std::byte> iq4(18);
  SetHalf(&iq4, 0, 0.5f);
  iq4[2 + 4] = std::byte{0xf8};
  const std::vector<float> x4 = Dequantized(DType::kIQ4_NL, iq4);
  EXPECT_EQ(0.5f, x4[4]);             // level 8
  EXPECT_EQ(0.5f * 113, x4[16 + 4]);  // level 15
  EXPECT_EQ(0.5f * -127, x4[0]);
}

// What ggml's Python package makes of a block whose byte i is (37 i + 11) % 256, with scale 0.375
// and, where there is one, min -1.25 (the halves 0x3600 and 0xbd00 as the first bytes):
//   gguf.dequantize(block, gguf.GGMLQuantizationType.Q4_1)
TEST(QuantFormat, BlocksHaveTheValuesOfGgmlsPackage) {
  const std::pair<DType, std::vector<float>> wanted[] = {
      {DType::kQ4_1,
       {4.375f, 0.25f,  2.125f, 4,      -0.125f, 1.75f,   3.625f, -0.5f, 1.375f, 3.25f,   -0.875f,
        1,      2.875f, -1.25f, 0.625f, 2.5f,    2.125f,  3.25f,  4,     -1.25f, -0.125f, 0.625f,
        1.375f, 2.5f,   3.25f,  4,      -0.875f, -0.125f, 0.625f, 1.75f, 2.5f,   3.25f}},
      {DType::kQ5_0,
       {3.375f, -0.75f, 1.125f,  -3,      4.875f, -5.25f, 2.625f, -1.5f,  -5.625f, 2.25f,  -1.875f,
        0,      1.875f, 3.75f,   5.625f,  -4.5f,  5.25f,  0,      1.125f, 1.875f,  2.625f, -2.25f,
        -1.5f,  5.25f,  -5.625f, -4.875f, 1.875f, -3,     -2.25f, -1.5f,  5.25f,   0.375f}},
      {DType::kQ5_1,
       {5.875f, 7.75f,  9.625f, 5.5f,   7.375f, 3.25f,  -0.875f, 7,       2.875f,  -1.25f, 6.625f,
        2.5f,   4.375f, 0.25f,  8.125f, 10,     5.875f, 0.625f,  1.375f,  8.5f,    3.25f,  10,
        5.125f, 5.875f, 0.625f, 7.75f,  8.5f,   9.25f,  4,       -0.875f, -0.125f, 0.625f}},
      {DType::kIQ4_NL,
       {-13.125f, 9.375f,   42.375f, -18.375f, 4.875f,  33.375f,  -24.375f, 0.375f,
        25.875f,  -31.125f, -3.75f,  19.875f,  -39,     -8.25f,   14.25f,   -47.625f,
        -13.125f, -3.75f,   4.875f,  19.875f,  33.375f, -47.625f, -24.375f, -13.125f,
        -3.75f,   9.375f,   19.875f, 33.375f,  -39,     -24.375f, -13.125f, 0.375f}},
  };
  for (const auto& [type, values] : wanted) {
    std::vector<std::byte> block(static_cast<size_t>(BlockBytes(type)));
    for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>(37 * i + 11);
    SetHalf(&block, 0, 0.375f);
    if (HasBlockMin(type)) SetHalf(&block, 2, -1.25f);
    EXPECT_EQ(values, Dequantized(type, block)) << NameOf(type);
  }
}

TEST(QuantFormat, ScalesAndMinsOfSixBitsByHand) {
  std::vector<std::byte> block(176);
  SetHalf(&block, 0, 1.0f);
  SetHalf(&block, 2, 0.5f);
  block[4 + 1] = std::byte{0x80 | 33};      // sub-block 1: scale 33; two high bits of scale 5
  block[4 + 4 + 1] = std::byte{0x40 | 20};  // sub-block 1: min 20; two high bits of min 5
  block[4 + 8 + 1] = std::byte{0x7b};       // sub-block 5: low bits of scale 11 and of min 7
  block[16 + 3] = std::byte{0x22};          // fifth bit of element 3 of the sub-blocks 1 and 5
  block[48 + 3] = std::byte{0x60};          // sub-block 1 is the high half
  block[48 + 64 + 3] = std::byte{0x90};     // sub-block 5
  const std::vector<float> x = Dequantized(DType::kQ5_K, block);
  EXPECT_EQ(33.0f * (16 + 6) - 0.5f * 20, x[32 + 3]);
  EXPECT_EQ(-0.5f * 20, x[32 + 4]);
  EXPECT_EQ((32.0f + 11) * (16 + 9) - 0.5f * (16 + 7), x[160 + 3]);
  EXPECT_EQ(0.0f, x[0]);
}

TEST(QuantFormat, SixBitBlocksByHand) {
  std::vector<std::byte> block(210);
  SetHalf(&block, 208, 0.25f);
  for (int s = 0; s < 16; ++s) block[192 + s] = static_cast<std::byte>(s - 8);
  block[64 + 32 + 5] = std::byte{0xa0};   // second half, g = 3: high half of byte 32 + i
  block[128 + 32 + 5] = std::byte{0x80};  // bits 6 and 7: 2
  const std::vector<float> x = Dequantized(DType::kQ6_K, block);
  EXPECT_EQ(0.25f * (14 - 8) * (42 - 32), x[128 + 96 + 5]);
  EXPECT_EQ(0.25f * (15 - 8) * (0 - 32), x[255]);
  EXPECT_EQ(0.25f * -8 * -32, x[0]);
}

// What is packed is what the file holds, row by row, and lanes beyond the last are zero.
TEST(PackedBlocks, EmbedRowsEqualsTheFile) {
  std::mt19937 rng(1);
  MemoryBudget budget;
  for (const DType type : kBlockTypes) {
    const int64_t cols = 3 * BlockElements(type);
    const std::vector<std::byte> a = RandomBlocks(type, 20, cols, &rng);
    const std::vector<std::byte> b = RandomBlocks(type, 3, cols, &rng);
    const std::vector<TensorView> parts = {{type, {20, cols}, a.data()},
                                           {type, {3, cols}, b.data()}};
    const auto packed = PackedMatrix::Pack(parts, &budget, test::AllPools()[1], "blocks");
    ASSERT_TRUE(packed.ok());
    std::vector<float> expected = Dequantized(type, a);
    const std::vector<float> more = Dequantized(type, b);
    expected.insert(expected.end(), more.begin(), more.end());
    std::vector<int32_t> ids;
    for (int32_t row = 0; row < 23; ++row) ids.push_back(row);
    for (const Device device : {Device::kRef, Device::kCpu}) {
      std::vector<float> out(expected.size());
      EmbedRows({device, nullptr}, *packed, ids, out.data());
      ASSERT_TRUE(test::BitEqual(expected.data(), out.data(), out.size())) << NameOf(type);
    }
    for (int lane = 7; lane < kPackWidth; ++lane) {
      QuantBlock block;
      DecodeLane(type, TileOf(*packed, 16, 2), lane, &block);
      EXPECT_EQ(0, block.d);
      EXPECT_EQ(0, block.dmin);
      EXPECT_EQ(0, block.q[BlockElements(type) - 1]);
    }
  }
}

TEST(PackedBlocks, SizeStaysNearTheFile) {
  for (const DType type : kBlockTypes) {
    EXPECT_LE(TileLayoutOf(type).bytes, kPackWidth * BlockBytes(type) * 1.03) << NameOf(type);
    EXPECT_GE(TileLayoutOf(type).bytes, kPackWidth * BlockBytes(type)) << NameOf(type);
  }
}

TEST(QuantizeBlock, RoundsHalvesToEvenAndKeepsTheLargest) {
  std::vector<float> x(32, 0.0f);
  x[0] = 127;
  x[1] = 2.5f;
  x[2] = -3.5f;
  x[3] = -0.5f;
  x[4] = -127;
  int8_t q[32];
  EXPECT_EQ(1.0f, numerics::QuantizeBlock(x.data(), 32, q));
  EXPECT_EQ(127, q[0]);
  EXPECT_EQ(2, q[1]);
  EXPECT_EQ(-4, q[2]);
  EXPECT_EQ(0, q[3]);
  EXPECT_EQ(-127, q[4]);
}

TEST(QuantizeBlock, WhatIsNoNumberStaysNone) {
  int8_t q[32];
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> x(32, 1.0f);
    x[17] = bad;
    EXPECT_TRUE(std::isnan(numerics::QuantizeBlock(x.data(), 32, q)));
  }
  std::vector<float> x(32, 0x1p-120f);  // 127 / x would be infinite
  EXPECT_EQ(0.0f, numerics::QuantizeBlock(x.data(), 32, q));
  EXPECT_EQ(0, q[0]);
  x[3] = 3e38f;
  EXPECT_EQ(3e38f / 127.0f, numerics::QuantizeBlock(x.data(), 32, q));
  EXPECT_EQ(127, q[3]);
  EXPECT_EQ(0, q[0]);
}

}  // namespace
}  // namespace kakeya
