#include "backend/kv_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "backend/numerics.h"
#include "backend/ops.h"
#include "backend/ops_test_util.h"

namespace kakeya {
namespace {

using test::RandomFloats;

constexpr KvType kAffineTypes[] = {KvType::kAffine8, KvType::kAffine4};
constexpr int kSlot = 17;

// One KV head of a page that holds `k` and `v` at kSlot and ones in every other bit.
std::vector<std::byte> HeadOf(KvType type, const std::vector<float>& k,
                              const std::vector<float>& v) {
  const int head_dim = static_cast<int>(k.size());
  std::vector<std::byte> head(KvHeadBytes(type, head_dim), std::byte{0xff});
  StoreKv({Device::kRef, nullptr}, {k.data(), v.data(), 1, 1, head_dim}, type, head.data(), kSlot);
  return head;
}

float KeyOf(KvType type, const std::vector<std::byte>& head, int head_dim, int d) {
  return LoadKey(type, head.data(), head_dim, kSlot, d);
}

TEST(KvPage, EveryTypeHasItsName) {
  for (const KvType type : kKvTypes) EXPECT_EQ(KvTypeNamed(NameOf(type)), type);
  EXPECT_EQ(KvTypeNamed("auto"), std::nullopt);
  EXPECT_EQ(KvTypeNamed("f64"), std::nullopt);
}

TEST(KvPage, TheTypeFollowsTheWeightsAndIsBF16ForBlocks) {
  EXPECT_EQ(KvTypeFor(DType::kF32), KvType::kF32);
  EXPECT_EQ(KvTypeFor(DType::kF16), KvType::kF16);
  EXPECT_EQ(KvTypeFor(DType::kBF16), KvType::kBF16);
  EXPECT_EQ(KvTypeFor(DType::kQ4_K), KvType::kBF16);
}

TEST(KvPage, AffinePagesAreSmallerByWhatTheyPromise) {
  for (const int head_dim : {64, 128, 256}) {
    const auto f16 = static_cast<double>(KvPageBytes(KvType::kF16, 8, head_dim));
    EXPECT_EQ(f16, 2.0 * 8 * 64 * head_dim * 2);
    EXPECT_GT(f16 / static_cast<double>(KvPageBytes(KvType::kAffine4, 8, head_dim)), 3.5);
    EXPECT_GT(f16 / static_cast<double>(KvPageBytes(KvType::kAffine8, 8, head_dim)), 1.88);
  }
}

// The bytes that the grammar of kv_page.h names, for two groups of which the second is smaller.
TEST(KvPage, CodesAndScalesStandWhereTheFormatSays) {
  constexpr int kDim = 72;
  std::vector<float> k(kDim, 0);
  std::vector<float> v(kDim, 0);
  k[2] = 15;  // with the zeros: scale 1 for 4 bits, codes 0 and 15
  k[3] = 5;
  k[64] = 30;  // scale 2
  k[65] = 4;
  v[33] = 15;
  v[17] = 7;
  v[1] = 3;
  const std::vector<std::byte> head = HeadOf(KvType::kAffine4, k, v);
  const auto half = [&](size_t at) {
    uint16_t bits;
    std::memcpy(&bits, head.data() + at, sizeof(bits));
    return numerics::FromF16(bits);
  };
  EXPECT_EQ(half(2 * kSlot), 1);          // scale of group 0
  EXPECT_EQ(half(2 * (64 + kSlot)), 2);   // of group 1
  EXPECT_EQ(half(2 * (128 + kSlot)), 0);  // bias of group 0
  constexpr size_t kHeader = 2 * 2 * 64 * 2;
  EXPECT_EQ(head[kHeader + 1 * 64 + kSlot], std::byte{0x5f});   // dimensions 2 and 3
  EXPECT_EQ(head[kHeader + 32 * 64 + kSlot], std::byte{0x2f});  // 64 and 65
  const size_t values = kHeader + size_t{kDim / 2} * 64;
  EXPECT_EQ(half(values + 2 * kSlot), 1);
  const size_t row = values + kHeader + size_t{kSlot} * 48;  // 96 dimensions of half a byte
  EXPECT_EQ(head[row + 1], std::byte{0x73});                 // dimensions 1 and 17
  EXPECT_EQ(head[row + 16 + 1], std::byte{0x0f});            // 33 and 49
  EXPECT_EQ(head.size(), values + kHeader + size_t{64} * 48);
}

TEST(KvPage, AffineElementsAreHalfAStepFromTheTruth) {
  std::mt19937 rng(1);
  for (const KvType type : kAffineTypes) {
    for (const int head_dim : {8, 24, 64, 80, 128, 256}) {
      const std::vector<float> k = RandomFloats(head_dim, &rng);
      const std::vector<float> v = RandomFloats(head_dim, &rng);
      const std::vector<std::byte> head = HeadOf(type, k, v);
      for (int d = 0; d < head_dim; ++d) {
        const int group = d / kKvGroup * kKvGroup;
        const auto near = [&](const std::vector<float>& x, float stored) {
          const auto [min, max] = std::minmax_element(
              x.begin() + group, x.begin() + std::min(group + kKvGroup, head_dim));
          const float step = (*max - *min) / static_cast<float>(KvLevels(type));
          // Half a step, and what scale and bias lose in F16.
          EXPECT_NEAR(x[d], stored, step * 0.5f + (*max - *min + std::abs(*min)) * 0x1p-11f)
              << NameOf(type) << " dimension " << d << " of " << head_dim;
        };
        near(k, LoadKey(type, head.data(), head_dim, kSlot, d));
        near(v, LoadValue(type, head.data(), head_dim, kSlot, d));
      }
    }
  }
}

TEST(KvPage, AGroupOfEqualsKeepsItsValue) {
  for (const KvType type : kAffineTypes) {
    for (const float value : {0.0f, -0.0f, 1.5f, -300.0f}) {
      const std::vector<float> x(64, value);
      const std::vector<std::byte> head = HeadOf(type, x, x);
      for (int d = 0; d < 64; ++d) EXPECT_EQ(KeyOf(type, head, 64, d), value);
    }
  }
}

TEST(KvPage, ZerosOfEitherSignAreStoredAlike) {
  std::vector<float> a(64, 0.0f);
  std::vector<float> b(64, -0.0f);
  a[63] = -0.0f;
  b[0] = 0.0f;
  for (const KvType type : kAffineTypes) EXPECT_EQ(HeadOf(type, a, a), HeadOf(type, b, b));
}

TEST(KvPage, WhatIsNoNumberStaysVisibleInItsGroupAndInNoOther) {
  const float broken[] = {
      NAN, -NAN, INFINITY, -INFINITY, 1e6f, -65520.0f, std::numeric_limits<float>::max()};
  for (const KvType type : kAffineTypes) {
    for (const float value : broken) {
      for (const int at : {0, 70, 127}) {
        std::vector<float> x(128, 0.5f);
        x[static_cast<size_t>(at)] = value;
        // 1e6 and its like lie within reach of 255 steps: they stay, coarsely.
        const bool reachable = value > 0 && value / static_cast<float>(KvLevels(type)) < 65504;
        const std::vector<std::byte> head = HeadOf(type, x, x);
        for (int d = 0; d < 128; ++d) {
          const float key = KeyOf(type, head, 128, d);
          const bool same_group = d / 64 == at / 64;
          EXPECT_EQ(std::isnan(key), same_group && !reachable)
              << NameOf(type) << ' ' << value << " at " << at << ", dimension " << d;
          EXPECT_EQ(std::isnan(LoadValue(type, head.data(), 128, kSlot, d)), std::isnan(key));
        }
      }
    }
  }
}

// Every code of both widths, values halfway between two of them, and groups whose scale is too
// small for F16.
TEST(KvPage, RoundingIsToTheNearestEvenCode) {
  for (const KvType type : kAffineTypes) {
    std::vector<float> x(64, 0);
    const int levels = KvLevels(type);
    x[0] = static_cast<float>(levels);  // scale 1
    for (int i = 1; i < 30; ++i) x[static_cast<size_t>(i)] = static_cast<float>(i % 15) + 0.5f;
    const std::vector<std::byte> head = HeadOf(type, x, x);
    for (int d = 1; d < 30; ++d) {
      const float value = x[static_cast<size_t>(d)];
      EXPECT_EQ(KeyOf(type, head, 64, d), std::min(std::nearbyint(value), float(levels)));
    }
    const std::vector<float> tiny = {1.0f, 1.0f + 0x1p-23f, 1.0f, 1.0f};
    const std::vector<std::byte> equal = HeadOf(type, tiny, tiny);
    for (int d = 0; d < 4; ++d) EXPECT_EQ(KeyOf(type, equal, 4, d), 1.0f);
  }
}

TEST(KvPage, CopiedSlotsAreEqualAndTheOthersAreLeftAlone) {
  std::mt19937 rng(2);
  for (const KvType type : kKvTypes) {
    for (const int head_dim : {16, 80, 128}) {
      const std::vector<float> k = RandomFloats(int64_t{kChunk} * head_dim, &rng);
      std::vector<std::byte> from(KvHeadBytes(type, head_dim));
      std::vector<std::byte> to(from.size());
      const OpContext context{Device::kRef, nullptr};
      StoreKv(context, {k.data(), k.data() + 1, kChunk - 1, 1, head_dim}, type, from.data(), 0);
      StoreKv(context, {k.data() + 2, k.data() + 3, kChunk - 1, 1, head_dim}, type, to.data(), 0);
      const std::vector<std::byte> before = to;
      CopySlots(type, head_dim, from.data(), 5, to.data());
      for (int slot = 0; slot + 1 < kChunk; ++slot) {
        const std::vector<std::byte>& expected = slot < 5 ? from : before;
        for (int d = 0; d < head_dim; ++d) {
          ASSERT_EQ(LoadKey(type, to.data(), head_dim, slot, d),
                    LoadKey(type, expected.data(), head_dim, slot, d));
          ASSERT_EQ(LoadValue(type, to.data(), head_dim, slot, d),
                    LoadValue(type, expected.data(), head_dim, slot, d));
        }
      }
    }
  }
}

}  // namespace
}  // namespace kakeya
