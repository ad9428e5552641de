// What the operator tests share: random data, forced instruction sets, thread pools.
#ifndef KAKEYA_BACKEND_OPS_TEST_UTIL_H_
#define KAKEYA_BACKEND_OPS_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "backend/cpu/targets.h"
//
#include <hwy/highway.h>

#include "backend/numerics.h"
#include "backend/quant_format.h"
#include "base/thread_pool.h"

namespace kakeya::test {

// Runs body(name) once per instruction set that is compiled in and that this machine has.
template <typename Body>
void ForEachTarget(const Body& body) {
  hwy::SetSupportedTargetsForTest(0);
  const int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  for (int64_t left = targets; left != 0; left &= left - 1) {
    const int64_t target = left & -left;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    body(hwy::TargetName(target));
    if (::testing::Test::HasFatalFailure()) break;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(targets);
}

// No pool, then pools of 2, 3 and 4 threads.
inline std::vector<ThreadPool*> AllPools() {
  static const std::vector<std::unique_ptr<ThreadPool>> kPools = [] {
    std::vector<std::unique_ptr<ThreadPool>> made;
    for (const int threads : {2, 3, 4}) made.push_back(ThreadPool::Create(threads).value());
    return made;
  }();
  return {nullptr, kPools[0].get(), kPools[1].get(), kPools[2].get()};
}

inline std::vector<float> RandomFloats(int64_t n, std::mt19937* rng) {
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<size_t>(n));
  for (float& value : out) value = normal(*rng);
  return out;
}

inline std::vector<std::byte> ToStored(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> out(values.size() * SizeOf(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    numerics::Store(dtype, out.data(), static_cast<int64_t>(i), values[i]);
  }
  return out;
}

inline std::vector<std::byte> RandomStored(DType dtype, int64_t n, std::mt19937* rng) {
  return ToStored(dtype, RandomFloats(n, rng));
}

inline constexpr DType kBlockTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                                        DType::kQ5_0, DType::kQ5_1, DType::kIQ4_NL,
                                        DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

// Rows of blocks as a file holds them: all bits random, but for scales near 1 that are numbers.
inline std::vector<std::byte> RandomBlocks(DType type, int64_t rows, int64_t cols,
                                           std::mt19937* rng) {
  std::vector<std::byte> out(static_cast<size_t>(rows) * RowBytes(type, cols));
  for (std::byte& byte : out) byte = static_cast<std::byte>((*rng)());
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (size_t at = 0; at < out.size(); at += static_cast<size_t>(BlockBytes(type))) {
    for (int i = 0; i < (HasMins(type) ? 2 : 1); ++i) {
      const uint16_t bits = numerics::ToF16(uniform(*rng));
      std::memcpy(out.data() + at + ScaleOffset(type) + 2 * i, &bits, sizeof(bits));
    }
  }
  return out;
}

// Equal bits, or both NaN: which NaN an operation returns is the one thing that machines don't
// agree on.
inline ::testing::AssertionResult BitEqual(const float* a, const float* b, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) {
      return ::testing::AssertionFailure()
             << "at " << i << ": " << std::hexfloat << a[i] << " and " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace kakeya::test

#endif  // KAKEYA_BACKEND_OPS_TEST_UTIL_H_
