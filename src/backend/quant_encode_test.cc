#include "backend/quant_encode.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "backend/numerics.h"

namespace kakeya {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

constexpr DType kBlocks[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1};
constexpr DType kEncoded[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0,
                              DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1};

std::vector<std::byte> Encoded(DType type, const std::vector<float>& x) {
  std::vector<std::byte> out(RowBytes(type, static_cast<int64_t>(x.size())));
  EXPECT_EQ(EncodeRow(type, x.data(), static_cast<int64_t>(x.size()), out.data()), -1);
  return out;
}

std::vector<float> Decoded(DType type, const std::vector<std::byte>& row, size_t cols) {
  std::vector<float> out(cols);
  DecodeRow(type, row.data(), static_cast<int64_t>(cols), out.data());
  return out;
}

float ScaleOf(const std::vector<std::byte>& row) {
  uint16_t bits;
  std::memcpy(&bits, row.data(), sizeof(bits));
  return numerics::FromF16(bits);
}

// What a type makes of the first 32 whole numbers, scaled.
std::vector<float> Ramp(float scale) {
  std::vector<float> x(32);
  for (int i = 0; i < 32; ++i) x[i] = static_cast<float>(i) * scale;
  return x;
}

TEST(QuantEncodeTest, Q8RoundsHalvesAwayFromZero) {
  std::vector<float> x(32, 0.0f);
  x[0] = 127;  // the scale is 1
  x[1] = 2.5f;
  x[2] = -2.5f;
  x[3] = 2.49f;
  const auto row = Encoded(DType::kQ8_0, x);
  EXPECT_EQ(ScaleOf(row), 1.0f);
  const std::array<int, 5> want = {127, 3, -3, 2, 0};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(static_cast<int8_t>(row[2 + i]), want[i]);
}

TEST(QuantEncodeTest, Q4ScalesByTheSignOfTheLargest) {
  std::vector<float> x(32, 0.0f);
  x[5] = 16;  // 16 / -8
  x[16] = -16;
  x[17] = 3;
  const auto row = Encoded(DType::kQ4_0, x);
  EXPECT_EQ(ScaleOf(row), -2.0f);
  EXPECT_EQ(row[2 + 5] & std::byte{15}, std::byte{0});  // -2 * (0 - 8)
  EXPECT_EQ(row[2 + 0] >> 4, std::byte{15});            // 16.5, more than four bits
  EXPECT_EQ(row[2 + 1] >> 4, std::byte{7});             // -1.5 + 8.5
  EXPECT_EQ(row[2 + 0] & std::byte{15}, std::byte{8});
}

TEST(QuantEncodeTest, MinsReachFromEndToEnd) {
  std::vector<float> x(32, 0.5f);
  x[5] = -2;
  x[20] = 5.5f;  // 15 steps of 0.5
  const auto row = Encoded(DType::kQ4_1, x);
  EXPECT_EQ(ScaleOf(row), 0.5f);
  EXPECT_EQ(row[2], std::byte{0});
  EXPECT_EQ(row[3], std::byte{0xc0});  // -2
  EXPECT_EQ(row[4 + 5], std::byte{0x50});
  EXPECT_EQ(row[4 + 4], std::byte{0xf5});
  EXPECT_EQ(Decoded(DType::kQ4_1, row, 32), x);
}

// What ggml's Python package makes of these numbers, which tests/cli/test_quantize.py compares at
// large: gguf.quantize(x, gguf.GGMLQuantizationType.Q4_1).
TEST(QuantEncodeTest, BlocksHaveTheBytesOfGgmlsPackage) {
  std::vector<float> x(32);
  for (int i = 0; i < 32; ++i) x[i] = static_cast<float>(7 * i % 32 - 12) * 0.3f;
  const std::pair<DType, std::vector<int>> wanted[] = {
      {DType::kQ4_1, {0xf6, 0x38, 0x33, 0xc3, 0x80, 0xb3, 0xf7, 0x2a, 0x6e, 0x91,
                      0xd5, 0x08, 0x4c, 0x7f, 0xb3, 0xe6, 0x2a, 0x5d, 0x91, 0xc4}},
      {DType::kQ5_0, {0xb3, 0xb5, 0x63, 0xc4, 0x98, 0x31, 0xda, 0x74, 0x1e, 0x68, 0x03,
                      0xa8, 0x42, 0x9c, 0x36, 0xd0, 0x85, 0x2f, 0x79, 0x13, 0xb8, 0x53}},
      {DType::kQ5_1, {0xcd, 0x34, 0x33, 0xc3, 0x98, 0x33, 0x67, 0xcc, 0x00, 0x77, 0xee, 0x55,
                      0xcc, 0x33, 0xaa, 0x11, 0x88, 0xff, 0x66, 0xdd, 0x44, 0xbb, 0x22, 0x99}},
  };
  for (const auto& [type, bytes] : wanted) {
    std::vector<int> got;
    for (const std::byte byte : Encoded(type, x)) got.push_back(static_cast<int>(byte));
    EXPECT_EQ(got, bytes) << NameOf(type);
  }
}

TEST(QuantEncodeTest, ZerosAreZeros) {
  const std::vector<float> zeros(64, 0.0f);
  for (const DType type : kEncoded) {
    for (const float value : Decoded(type, Encoded(type, zeros), zeros.size())) {
      EXPECT_EQ(value, 0.0f) << NameOf(type);
    }
  }
  // As ggml writes them: q4_0's scale is 0 / -8.
  EXPECT_EQ(Encoded(DType::kQ4_0, zeros)[1], std::byte{0x80});
  EXPECT_EQ(Encoded(DType::kQ8_0, zeros)[1], std::byte{0});
  EXPECT_EQ(Encoded(DType::kQ4_1, zeros), std::vector<std::byte>(40));
}

TEST(QuantEncodeTest, WhatIsTooSmallForTheScaleBecomesZero) {
  for (const float tiny : {1e-44f, 1e-38f, 1e-12f}) {
    for (const DType type : kBlocks) {
      for (const float value : Decoded(type, Encoded(type, Ramp(tiny)), 32)) EXPECT_EQ(value, 0);
    }
  }
}

TEST(QuantEncodeTest, ElementsComeBackWithinHalfAStep) {
  std::mt19937 rng(7);
  std::normal_distribution<float> normal(0, 0.05f);
  std::vector<float> x(32 * 500);
  for (float& value : x) value = normal(rng);
  for (const DType type : kBlocks) {
    const auto back = Decoded(type, Encoded(type, x), x.size());
    for (size_t first = 0; first < x.size(); first += 32) {
      float most = 0;
      for (size_t i = first; i < first + 32; ++i) most = std::max(most, std::fabs(x[i]));
      // Half a step, but for the other end of q4_0 and q5_0, which their bits cut off; and F16's
      // rounding of d and m.
      const float bound = type == DType::kQ8_0   ? most / 127 * 0.57f
                          : type == DType::kQ4_0 ? most / 8 * 1.01f
                          : type == DType::kQ5_0 ? most / 16 * 1.01f
                          : type == DType::kQ4_1 ? most / 15 * 1.03f
                                                 : most / 31 * 1.05f;
      for (size_t i = first; i < first + 32; ++i) EXPECT_NEAR(back[i], x[i], bound);
    }
  }
}

TEST(QuantEncodeTest, EncodingWhatWasDecodedChangesNothing) {
  std::mt19937 rng(8);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> x(32 * 100);
  for (float& value : x) value = uniform(rng);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    const auto once = Decoded(type, Encoded(type, x), x.size());
    const auto twice = Decoded(type, Encoded(type, once), x.size());
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(twice[i], once[i], 1e-3f) << NameOf(type);
    if (!IsBlockType(type)) {
      EXPECT_EQ(once, twice);
    }
  }
}

TEST(QuantEncodeTest, WhatATypeCannotHoldIsFound) {
  const auto fault = [](DType type, int at, float value) {
    std::vector<float> x = Ramp(1);
    x.resize(64, 1.0f);
    x[at] = value;
    std::vector<std::byte> out(RowBytes(type, 64));
    return EncodeRow(type, x.data(), 64, out.data());
  };
  for (const DType type : kEncoded) {
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      EXPECT_EQ(fault(type, 40, bad), 40) << NameOf(type);
      EXPECT_EQ(fault(type, 0, bad), 0) << NameOf(type);
    }
  }
  EXPECT_EQ(fault(DType::kF16, 40, 65519.0f), -1);
  EXPECT_EQ(fault(DType::kF16, 40, 65520.0f), 40);
  EXPECT_EQ(fault(DType::kBF16, 40, std::numeric_limits<float>::max()), 40);
  EXPECT_EQ(fault(DType::kQ8_0, 40, 127 * 65504.0f), -1);
  EXPECT_EQ(fault(DType::kQ8_0, 40, 127 * 65536.0f), 40);
  EXPECT_EQ(fault(DType::kQ4_0, 40, -8 * 65536.0f), 40);
  EXPECT_EQ(fault(DType::kQ5_0, 40, -16 * 65504.0f), -1);
  EXPECT_EQ(fault(DType::kQ5_0, 40, -16 * 65536.0f), 40);
  EXPECT_EQ(fault(DType::kQ4_1, 40, 15 * 65504.0f), -1);
  EXPECT_EQ(fault(DType::kQ4_1, 40, 15 * 65540.0f), 40);
  EXPECT_EQ(fault(DType::kQ5_1, 40, -65536.0f), 40);  // the min, with a scale that fits
}

}  // namespace
}  // namespace kakeya
