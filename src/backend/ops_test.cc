// Every operator, on every instruction set of this machine, against the scalar reference: bit for
// bit, for any number of rows, any split and any number of threads.
#include "backend/ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "backend/numerics.h"
#include "backend/ops_test_util.h"

namespace kakeya {
namespace {

using test::AllPools;
using test::BitEqual;
using test::ForEachTarget;
using test::RandomFloats;
using test::RandomStored;

PackedMatrix PackRandom(DType dtype, int64_t rows, int64_t cols, MemoryBudget* budget,
                        std::mt19937* rng) {
  const std::vector<std::byte> stored = RandomStored(dtype, rows * cols, rng);
  const TensorView view{dtype, {rows, cols}, stored.data()};
  auto packed = PackedMatrix::Pack({&view, 1}, budget, nullptr, "random");
  EXPECT_TRUE(packed.ok());
  return std::move(packed).value();
}

constexpr DType kAllTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

TEST(MatMul, EqualsReferenceOnEveryTargetAndThreadCount) {
  std::mt19937 rng(1);
  MemoryBudget budget;
  const std::vector<int> row_counts = {1, 2, 3, 5, 7, 8, 12, 13, 25, 33};
  for (const DType dtype : kAllTypes) {
    for (const auto& shape :
         {std::pair{1, 1}, {15, 7}, {16, 16}, {17, 33}, {130, 64}, {300, 19}, {1030, 40}}) {
      const int n = shape.first;
      const int k = shape.second;
      const PackedMatrix w = PackRandom(dtype, n, k, &budget, &rng);
      const std::vector<float> x = RandomFloats(33 * k, &rng);
      std::vector<float> expected(static_cast<size_t>(33 * n));
      MatMul({Device::kRef, nullptr}, x.data(), 33, w, expected.data());
      ForEachTarget([&](const char* target) {
        for (ThreadPool* pool : {AllPools()[0], AllPools()[1], AllPools()[3]}) {
          for (const int rows : row_counts) {
            std::vector<float> out(static_cast<size_t>(rows * n + 1), -77.0f);
            MatMul({Device::kCpu, pool}, x.data(), rows, w, out.data());
            ASSERT_TRUE(BitEqual(expected.data(), out.data(), rows * n))
                << target << " rows " << rows << " n " << n << " k " << k << " " << NameOf(dtype);
            ASSERT_EQ(-77.0f, out.back()) << "wrote beyond the end";
          }
        }
      });
    }
  }
}

// A row alone, in any block, in any split: the same bits.
TEST(MatMul, ARowDoesNotDependOnItsNeighbours) {
  std::mt19937 rng(2);
  MemoryBudget budget;
  const int n = 77;
  const int k = 129;
  const int rows = 40;
  const PackedMatrix w = PackRandom(DType::kBF16, n, k, &budget, &rng);
  const std::vector<float> x = RandomFloats(rows * k, &rng);
  ForEachTarget([&](const char* target) {
    const OpContext context{Device::kCpu, AllPools()[1]};
    std::vector<float> whole(static_cast<size_t>(rows * n));
    MatMul(context, x.data(), rows, w, whole.data());
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::vector<float> pieces(static_cast<size_t>(rows * n));
      for (int row = 0; row < rows;) {
        const int count = std::min<int>(rows - row, 1 + static_cast<int>(rng() % 15));
        MatMul(context, x.data() + row * k, count, w, pieces.data() + row * n);
        row += count;
      }
      ASSERT_TRUE(BitEqual(whole.data(), pieces.data(), rows * n)) << target;
    }
  });
}

// Values at the edges of the formats: large, tiny, subnormal, infinite. Where a machine has no
// fused multiply-add, its emulation must round as the real one does.
TEST(MatMul, EqualsReferenceForExtremeValues) {
  std::mt19937 rng(3);
  MemoryBudget budget;
  const int n = 64;
  const int k = 48;
  for (const DType dtype : kAllTypes) {
    std::vector<float> weights(n * k);
    std::vector<float> x(8 * k);
    for (std::vector<float>* values : {&weights, &x}) {
      for (float& value : *values) {
        const int exponent = static_cast<int>(rng() % 270) - 145;
        value = std::ldexp(1.0f + static_cast<float>(rng() % 8388608) / 8388608.0f, exponent);
        if (rng() % 2 == 0) value = -value;
        if (rng() % 500 == 0) value = INFINITY;
        if (rng() % 20 == 0) value = 0;
      }
    }
    const std::vector<std::byte> stored = test::ToStored(dtype, weights);
    const TensorView view{dtype, {n, k}, stored.data()};
    const auto w = PackedMatrix::Pack({&view, 1}, &budget, nullptr, "extreme");
    ASSERT_TRUE(w.ok());
    std::vector<float> expected(8 * n);
    MatMul({Device::kRef, nullptr}, x.data(), 8, *w, expected.data());
    ForEachTarget([&](const char* target) {
      std::vector<float> out(8 * n);
      MatMul({Device::kCpu, nullptr}, x.data(), 8, *w, out.data());
      ASSERT_TRUE(BitEqual(expected.data(), out.data(), 8 * n)) << target << NameOf(dtype);
    });
  }
}

TEST(EmbedRows, ReturnsTheRowsOfTheTable) {
  std::mt19937 rng(4);
  MemoryBudget budget;
  for (const DType dtype : kAllTypes) {
    const std::vector<std::byte> stored = RandomStored(dtype, 37 * 21, &rng);
    const TensorView view{dtype, {37, 21}, stored.data()};
    const auto table = PackedMatrix::Pack({&view, 1}, &budget, AllPools()[1], "table");
    ASSERT_TRUE(table.ok());
    const std::vector<int32_t> ids = {0, 36, 15, 16, 16, 31, 32};
    for (const Device device : {Device::kRef, Device::kCpu}) {
      std::vector<float> out(ids.size() * 21);
      EmbedRows({device, nullptr}, *table, ids, out.data());
      for (size_t i = 0; i < ids.size(); ++i) {
        for (int c = 0; c < 21; ++c) {
          ASSERT_EQ(numerics::Load(dtype, stored.data(), ids[i] * 21 + c), out[i * 21 + c]);
        }
      }
    }
  }
}

TEST(RmsNorm, EqualsReferenceAndTheDefinition) {
  std::mt19937 rng(5);
  for (const int dim : {1, 8, 15, 16, 17, 64, 100, 256, 1000}) {
    const int rows = dim == 256 ? 200 : 5;
    const std::vector<float> x = RandomFloats(rows * dim, &rng);
    const std::vector<float> weight = RandomFloats(dim, &rng);
    std::vector<float> expected(x.size());
    RmsNorm({Device::kRef, nullptr}, x.data(), weight.data(), 1e-6f, rows, dim, expected.data());
    double squares = 0;
    for (int i = 0; i < dim; ++i) squares += double{x[i]} * x[i];
    EXPECT_NEAR(x[0] / std::sqrt(squares / dim + 1e-6) * weight[0], expected[0], 1e-5);
    ForEachTarget([&](const char* target) {
      for (ThreadPool* pool : AllPools()) {
        std::vector<float> out = x;  // in place
        RmsNorm({Device::kCpu, pool}, out.data(), weight.data(), 1e-6f, rows, dim, out.data());
        ASSERT_TRUE(BitEqual(expected.data(), out.data(), rows * dim)) << target << " " << dim;
      }
    });
  }
}

TEST(Rope, EqualsReferenceAndRotates) {
  std::mt19937 rng(6);
  for (const int head_dim : {2, 8, 24, 64, 128}) {
    const int rows = 90;
    const int heads = 3;
    const int half = head_dim / 2;
    const std::vector<float> x = RandomFloats(rows * heads * head_dim, &rng);
    std::vector<float> cos(rows * half);
    std::vector<float> sin(rows * half);
    for (size_t i = 0; i < cos.size(); ++i) {
      cos[i] = std::cos(static_cast<float>(i));
      sin[i] = std::sin(static_cast<float>(i));
    }
    std::vector<float> expected = x;
    Rope({Device::kRef, nullptr}, expected.data(), rows, heads, head_dim, cos.data(), sin.data());
    EXPECT_NEAR(x[1 % half] * cos[1 % half] - x[1 % half + half] * sin[1 % half],
                expected[1 % half], 1e-6);
    ForEachTarget([&](const char* target) {
      for (ThreadPool* pool : AllPools()) {
        std::vector<float> out = x;
        Rope({Device::kCpu, pool}, out.data(), rows, heads, head_dim, cos.data(), sin.data());
        ASSERT_TRUE(BitEqual(expected.data(), out.data(), x.size())) << target << " " << head_dim;
      }
    });
  }
}

TEST(SwiGlu, EqualsReferenceAlsoForExtremeGates) {
  std::mt19937 rng(7);
  for (const int n : {1, 15, 16, 17, 100, 40000}) {
    std::vector<float> gate = RandomFloats(n, &rng);
    for (float& g : gate) g *= 30;
    gate[0] = n == 1 ? -INFINITY : 90.0f;
    if (n > 20) {
      gate[1] = NAN;
      gate[2] = INFINITY;
      gate[3] = -88.5f;
      gate[4] = 0;
    }
    const std::vector<float> up = RandomFloats(n, &rng);
    std::vector<float> expected(n);
    SwiGlu({Device::kRef, nullptr}, gate.data(), up.data(), n, expected.data());
    ForEachTarget([&](const char* target) {
      for (ThreadPool* pool : AllPools()) {
        std::vector<float> out = gate;
        SwiGlu({Device::kCpu, pool}, out.data(), up.data(), n, out.data());
        ASSERT_TRUE(BitEqual(expected.data(), out.data(), n)) << target << " " << n;
      }
    });
  }
}

TEST(AddInPlace, EqualsReference) {
  std::mt19937 rng(8);
  for (const int n : {1, 16, 33, 50000}) {
    const std::vector<float> x = RandomFloats(n, &rng);
    const std::vector<float> y = RandomFloats(n, &rng);
    std::vector<float> expected = x;
    AddInPlace({Device::kRef, nullptr}, expected.data(), y.data(), n);
    EXPECT_EQ(x[0] + y[0], expected[0]);
    ForEachTarget([&](const char* target) {
      for (ThreadPool* pool : AllPools()) {
        std::vector<float> out = x;
        AddInPlace({Device::kCpu, pool}, out.data(), y.data(), n);
        ASSERT_TRUE(BitEqual(expected.data(), out.data(), n)) << target;
      }
    });
  }
}

TEST(CopyRows, TakesTheBeginningOfEachRow) {
  std::mt19937 rng(9);
  constexpr int64_t kStride = 70;
  for (const int64_t rows : {1, 100, 900}) {
    const std::vector<float> x = RandomFloats(rows * kStride, &rng);
    for (const int64_t cols : {int64_t{1}, int64_t{33}, kStride}) {
      for (const Device device : {Device::kRef, Device::kCpu}) {
        for (ThreadPool* pool : AllPools()) {
          std::vector<float> out(static_cast<size_t>(rows * cols));
          CopyRows({device, pool}, x.data(), kStride, rows, cols, out.data());
          for (int64_t row = 0; row < rows; ++row) {
            ASSERT_TRUE(BitEqual(x.data() + row * kStride, out.data() + row * cols, cols));
          }
        }
      }
    }
  }
}

// Each element of qkv names its row and column.
TEST(SplitQkv, TakesRowsApart) {
  const QkvDims dims{.q = 48, .kv = 16};
  for (const int rows : {1, 7, 500}) {
    std::vector<float> qkv(static_cast<size_t>(rows * dims.row()));
    for (size_t i = 0; i < qkv.size(); ++i) qkv[i] = static_cast<float>(i);
    for (const Device device : {Device::kRef, Device::kCpu}) {
      for (ThreadPool* pool : AllPools()) {
        const OpContext context{device, pool};
        std::vector<float> q(rows * dims.q), k(rows * dims.kv), v(rows * dims.kv);
        SplitQkv(context, qkv.data(), rows, dims, q.data(), k.data(), v.data());
        for (int64_t row = 0; row < rows; ++row) {
          const float* const in = qkv.data() + row * dims.row();
          ASSERT_TRUE(BitEqual(in, q.data() + row * dims.q, dims.q));
          ASSERT_TRUE(BitEqual(in + dims.q, k.data() + row * dims.kv, dims.kv));
          ASSERT_TRUE(BitEqual(in + dims.q + dims.kv, v.data() + row * dims.kv, dims.kv));
        }
      }
    }
  }
}

TEST(AllWithin, FindsWhatIsBeyondAndWhatIsNoNumber) {
  for (const int64_t n : {1, 17, 50000}) {
    for (const Device device : {Device::kRef, Device::kCpu}) {
      for (ThreadPool* pool : AllPools()) {
        const OpContext context{device, pool};
        std::vector<float> x(static_cast<size_t>(n), -65504.0f);
        EXPECT_TRUE(AllWithin(context, x.data(), n, 65504.0f));
        for (const float bad : {65505.0f, -1e30f, INFINITY, -INFINITY, NAN}) {
          x[static_cast<size_t>(n - 1)] = bad;
          EXPECT_FALSE(AllWithin(context, x.data(), n, 65504.0f)) << bad;
        }
      }
    }
  }
}

// Rows that share a position are one row with more heads.
TEST(Rope, OneRowOfManyHeadsTurnsAllAlike) {
  std::mt19937 rng(10);
  constexpr int kRows = 5, kHeads = 3, kHeadDim = 40;
  std::vector<float> x = RandomFloats(kRows * kHeads * kHeadDim, &rng);
  const std::vector<float> cos = RandomFloats(kHeadDim / 2, &rng);
  const std::vector<float> sin = RandomFloats(kHeadDim / 2, &rng);
  std::vector<float> expected = x;
  for (int row = 0; row < kRows; ++row) {
    Rope({Device::kRef, nullptr}, expected.data() + row * kHeads * kHeadDim, 1, kHeads, kHeadDim,
         cos.data(), sin.data());
  }
  Rope({Device::kCpu, nullptr}, x.data(), 1, kRows * kHeads, kHeadDim, cos.data(), sin.data());
  EXPECT_TRUE(BitEqual(expected.data(), x.data(), x.size()));
}

}  // namespace
}  // namespace kakeya
