// Products with weights of block formats: every instruction set of this machine (VNNI among them)
// against the scalar reference, bit for bit, for any number of rows, any split and any number of
// threads.
#include "backend/cpu/block_matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "backend/numerics.h"
#include "backend/ops.h"
#include "backend/ops_test_util.h"
#include "backend/quant_format.h"

namespace kakeya {
namespace {

using test::AllPools;
using test::BitEqual;
using test::ForEachTarget;
using test::kBlockTypes;
using test::RandomBlocks;
using test::RandomFloats;

class BlockMatMul : public ::testing::TestWithParam<DType> {
 protected:
  PackedMatrix Pack(const std::vector<std::byte>& stored, int64_t rows, int64_t cols) {
    const TensorView view{GetParam(), {rows, cols}, stored.data()};
    return PackedMatrix::Pack({&view, 1}, &budget_, nullptr, "blocks").value();
  }
  PackedMatrix Random(int64_t rows, int64_t cols) {
    return Pack(RandomBlocks(GetParam(), rows, cols, &rng_), rows, cols);
  }
  // Activations with the outliers that real ones have.
  std::vector<float> Activations(int64_t n) {
    std::vector<float> out = RandomFloats(n, &rng_);
    for (float& value : out) {
      if (rng_() % 100 == 0) value *= 50;
    }
    return out;
  }
  int Block() const { return BlockElements(GetParam()); }

  std::mt19937 rng_{1};
  MemoryBudget budget_;
};

std::vector<float> Reference(const std::vector<float>& x, int rows, const PackedMatrix& w) {
  std::vector<float> out(static_cast<size_t>(rows * w.rows()));
  MatMul({Device::kRef, nullptr}, x.data(), rows, w, out.data());
  return out;
}

TEST_P(BlockMatMul, EqualsReferenceOnEveryTargetAndThreadCount) {
  constexpr int kRows = 64;
  const std::vector<int> row_counts = {1, 2, 3, 4, 6, 9, 12, 13, 33, 64};
  for (const auto& shape : {std::pair{1, 1}, {15, 2}, {16, 1}, {33, 3}, {290, 1}}) {
    const int64_t n = shape.first;
    const int64_t k = int64_t{shape.second} * Block();
    const PackedMatrix w = Random(n, k);
    const std::vector<float> x = Activations(kRows * k);
    const std::vector<float> expected = Reference(x, kRows, w);
    ForEachTarget([&](const char* target) {
      for (ThreadPool* pool : {AllPools()[0], AllPools()[3]}) {
        for (const int rows : row_counts) {
          std::vector<float> out(static_cast<size_t>(rows * n + 1), -77.0f);
          MatMul({Device::kCpu, pool}, x.data(), rows, w, out.data());
          ASSERT_TRUE(BitEqual(expected.data(), out.data(), rows * n))
              << target << " rows " << rows << " n " << n << " k " << k;
          ASSERT_EQ(-77.0f, out.back()) << "wrote beyond the end";
          // A machine with AVX-512 may lack VNNI.
          cpu::BlockMatMul(cpu::PortableBlockKernel(), pool, x.data(), rows, w, out.data());
          ASSERT_TRUE(BitEqual(expected.data(), out.data(), rows * n)) << "portable " << target;
        }
      }
    });
  }
}

// A block of rows of every height, in one tile or cut into several.
TEST_P(BlockMatMul, EveryNumberOfRowsGivesTheReferencesBits) {
  constexpr int kMostRows = 40;
  const int64_t n = 35;
  const int64_t k = int64_t{3} * Block();
  const PackedMatrix w = Random(n, k);
  const std::vector<float> x = Activations(kMostRows * k);
  const std::vector<float> expected = Reference(x, kMostRows, w);
  ForEachTarget([&](const char* target) {
    for (int rows = 1; rows <= kMostRows; ++rows) {
      std::vector<float> out(static_cast<size_t>(rows * n), -77.0f);
      MatMul({Device::kCpu, nullptr}, x.data(), rows, w, out.data());
      ASSERT_TRUE(BitEqual(expected.data(), out.data(), out.size())) << target << " rows " << rows;
      cpu::BlockMatMul(cpu::PortableBlockKernel(), nullptr, x.data(), rows, w, out.data());
      ASSERT_TRUE(BitEqual(expected.data(), out.data(), out.size())) << "portable " << target;
    }
  });
}

// Larger than a pass over the weights and than the shortest tasks.
TEST_P(BlockMatMul, ManyTasksAndPassesGiveTheSameBits) {
  constexpr int kMostRows = 17;
  const int64_t k = 4 * Block();
  const int64_t n = (int64_t{600} << 10) / static_cast<int64_t>(RowBytes(GetParam(), k));
  const PackedMatrix w = Random(n, k);
  const std::vector<float> x = Activations(kMostRows * k);
  const std::vector<float> expected = Reference(x, kMostRows, w);
  for (ThreadPool* pool : AllPools()) {
    for (const int rows : {1, 16, 17}) {  // from 17 rows on tasks are cut otherwise
      std::vector<float> out(static_cast<size_t>(rows * n), -77.0f);
      MatMul({Device::kCpu, pool}, x.data(), rows, w, out.data());
      EXPECT_TRUE(BitEqual(expected.data(), out.data(), rows * n)) << "rows " << rows;
    }
  }
}

// A row alone, in any block, in any split: the same bits.
TEST_P(BlockMatMul, ARowDoesNotDependOnItsNeighbours) {
  const int n = 77;
  const int k = 3 * Block();
  const int rows = 64;
  const PackedMatrix w = Random(n, k);
  std::vector<float> x = Activations(rows * k);
  for (int c = 0; c < k; ++c) x[5 * k + c] *= 1e6f;  // a neighbour that dwarfs the others
  x[9 * k + 3] = NAN;
  ForEachTarget([&](const char* target) {
    const OpContext context{Device::kCpu, AllPools()[1]};
    std::vector<float> whole(static_cast<size_t>(rows * n));
    MatMul(context, x.data(), rows, w, whole.data());
    for (int repeat = 0; repeat < 10; ++repeat) {
      std::vector<float> pieces(static_cast<size_t>(rows * n));
      for (int row = 0; row < rows;) {
        const int count = std::min<int>(rows - row, 1 + static_cast<int>(rng_() % 20));
        MatMul(context, x.data() + row * k, count, w, pieces.data() + row * n);
        row += count;
      }
      ASSERT_TRUE(BitEqual(whole.data(), pieces.data(), rows * n)) << target;
    }
  });
}

// The largest integers that formats and activations allow: nothing saturates or wraps.
TEST_P(BlockMatMul, TheLargestIntegersAreExact) {
  const int n = 20;
  const int k = 2 * Block();
  for (const int pattern : {0x00, 0x7f, 0x80, 0xff}) {
    std::vector<std::byte> stored(n * RowBytes(GetParam(), k), static_cast<std::byte>(pattern));
    for (size_t at = 0; at < stored.size(); at += static_cast<size_t>(BlockBytes(GetParam()))) {
      for (int i = 0; i < (HasMins(GetParam()) ? 2 : 1); ++i) {
        const uint16_t one = 0x3c00;
        std::memcpy(stored.data() + at + ScaleOffset(GetParam()) + 2 * i, &one, sizeof(one));
      }
    }
    const PackedMatrix w = Pack(stored, n, k);
    std::vector<float> x(static_cast<size_t>(3 * k), 127.0f);
    for (int c = 0; c < k; ++c) x[k + c] = -127.0f;
    for (int c = 0; c < k; ++c) x[2 * k + c] = c % 2 == 0 ? 127.0f : -127.0f;
    // Exact in double: scales are 1, so the weights and the activations are integers.
    std::vector<float> weights(static_cast<size_t>(k));
    for (int b = 0; b < 2; ++b) {
      DequantizeBlock(GetParam(), stored.data() + b * BlockBytes(GetParam()),
                      weights.data() + b * Block());
    }
    ForEachTarget([&](const char* target) {
      std::vector<float> out(3 * n);
      MatMul({Device::kCpu, nullptr}, x.data(), 3, w, out.data());
      for (int row = 0; row < 3; ++row) {
        double expected = 0;
        for (int c = 0; c < k; ++c) expected += double{weights[c]} * x[row * k + c];
        for (int o = 0; o < n; ++o) {
          ASSERT_NEAR(expected, out[row * n + o], 1e-6 * std::abs(expected)) << target << pattern;
        }
      }
    });
  }
}

// Far from the reference the result is still the product: the error is that of 8-bit activations.
TEST_P(BlockMatMul, IsNearTheProductOfTheDequantisedWeights) {
  const int n = 40;
  const int k = 4 * Block();
  const std::vector<std::byte> stored = RandomBlocks(GetParam(), n, k, &rng_);
  const PackedMatrix w = Pack(stored, n, k);
  const std::vector<float> x = RandomFloats(k, &rng_);
  std::vector<float> out(n);
  MatMul({Device::kCpu, nullptr}, x.data(), 1, w, out.data());
  for (int o = 0; o < n; ++o) {
    std::vector<float> weights(static_cast<size_t>(k));
    for (int b = 0; b < k / Block(); ++b) {
      DequantizeBlock(GetParam(),
                      stored.data() + o * RowBytes(GetParam(), k) + b * BlockBytes(GetParam()),
                      weights.data() + b * Block());
    }
    double expected = 0;
    double squares = 0;
    for (int c = 0; c < k; ++c) {
      expected += double{weights[c]} * x[c];
      squares += double{weights[c]} * weights[c];
    }
    // Rounding is uniform in half a step of max|x| / 127, about 4 / 127; five deviations.
    EXPECT_NEAR(expected, out[o], 5 * std::sqrt(squares / 12) * 4 / 127) << o;
  }
}

TEST_P(BlockMatMul, WhatIsNoNumberMakesItsRowNone) {
  const int n = 18;
  const int k = 2 * Block();
  const PackedMatrix w = Random(n, k);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> x = Activations(5 * k);
    x[2 * k + Block() + 7] = bad;
    const std::vector<float> expected = Reference(x, 5, w);
    ForEachTarget([&](const char* target) {
      std::vector<float> out(5 * n);
      MatMul({Device::kCpu, nullptr}, x.data(), 5, w, out.data());
      ASSERT_TRUE(BitEqual(expected.data(), out.data(), out.size())) << target;
      for (int i = 0; i < 5 * n; ++i) ASSERT_EQ(i / n == 2, std::isnan(out[i])) << target << i;
    });
  }
}

// Scales and activations from the edges of their formats: subnormal, huge, zero.
TEST_P(BlockMatMul, EqualsReferenceForExtremeScales) {
  const int n = 48;
  const int k = 3 * Block();
  std::vector<std::byte> stored = RandomBlocks(GetParam(), n, k, &rng_);
  for (size_t at = 0; at < stored.size(); at += static_cast<size_t>(BlockBytes(GetParam()))) {
    uint16_t bits = static_cast<uint16_t>(rng_());
    if ((bits & 0x7c00u) == 0x7c00u) bits = 1;  // subnormal, not infinite
    std::memcpy(stored.data() + at + ScaleOffset(GetParam()), &bits, sizeof(bits));
  }
  const PackedMatrix w = Pack(stored, n, k);
  std::vector<float> x(static_cast<size_t>(8 * k));
  for (float& value : x) {
    value = std::ldexp(1.0f + static_cast<float>(rng_() % 8388608) / 8388608.0f,
                       static_cast<int>(rng_() % 12));
    if (rng_() % 2 == 0) value = -value;
  }
  const float sizes[] = {1e-30f, 1e-37f, 1e-43f, 1e-4f, 1e10f, 1e34f, 0.0f, 1.0f};
  for (int row = 0; row < 8; ++row) {
    for (int c = 0; c < k; ++c) x[row * k + c] *= sizes[row];
  }
  const std::vector<float> expected = Reference(x, 8, w);
  ForEachTarget([&](const char* target) {
    std::vector<float> out(8 * n);
    MatMul({Device::kCpu, nullptr}, x.data(), 8, w, out.data());
    ASSERT_TRUE(BitEqual(expected.data(), out.data(), out.size())) << target;
  });
}

INSTANTIATE_TEST_SUITE_P(Formats, BlockMatMul, ::testing::ValuesIn(kBlockTypes),
                         [](const auto& format) { return std::string(NameOf(format.param)); });

}  // namespace
}  // namespace kakeya
