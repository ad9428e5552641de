#include "backend/read_memory.h"

#include <atomic>
#include <cassert>

#include "backend/cpu/guided_for.h"
#include "backend/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/read_memory.cc"
#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kakeya::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using U64 = hn::ScalableTag<uint64_t>;

// Of one stream between two looks at another.
constexpr size_t kRunBytes = 256;

template <int kStreams, int kAhead>
uint64_t SumOf(const std::byte* from, size_t bytes) {
  const U64 d;
  const size_t part = bytes / kStreams;
  auto even = hn::Zero(d);  // two sums, or an addition would have to wait for the one before
  auto odd = hn::Zero(d);
  const size_t step = hn::Lanes(d) * sizeof(uint64_t);
  for (size_t at = 0; at < part; at += kRunBytes) {
    for (int stream = 0; stream < kStreams; ++stream) {
      const std::byte* const run = from + static_cast<size_t>(stream) * part + at;
      if constexpr (kAhead > 0) {
        // Beyond the end it does no harm.
        for (size_t i = 0; i < kRunBytes; i += 64) __builtin_prefetch(run + kAhead + i);
      }
      for (size_t i = 0; i < kRunBytes; i += 2 * step) {
        even = hn::Add(even, hn::Load(d, reinterpret_cast<const uint64_t*>(run + i)));
        odd = hn::Add(odd, hn::Load(d, reinterpret_cast<const uint64_t*>(run + i + step)));
      }
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
}

uint64_t Sum(const std::byte* from, size_t bytes, const ReadPattern& pattern) {
  switch (pattern.streams * 8 + pattern.ahead / 1024) {
    case 1 * 8 + 1:
      return SumOf<1, 1024>(from, bytes);
    case 1 * 8 + 4:
      return SumOf<1, 4096>(from, bytes);
    case 2 * 8 + 1:
      return SumOf<2, 1024>(from, bytes);
    case 4 * 8:
      return SumOf<4, 0>(from, bytes);
    case 4 * 8 + 1:
      return SumOf<4, 1024>(from, bytes);
    default:
      assert(pattern.streams == 1 && pattern.ahead == 0);
      return SumOf<1, 0>(from, bytes);
  }
}

}  // namespace kakeya::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kakeya {
namespace cpu {
namespace {

HWY_EXPORT(Sum);

uint64_t SumOfWords(const std::byte* from, size_t bytes, const ReadPattern& pattern) {
  return HWY_DYNAMIC_DISPATCH(Sum)(from, bytes, pattern);
}

}  // namespace
}  // namespace cpu

uint64_t ReadMemory(ThreadPool* pool, std::span<const std::byte> bytes,
                    const ReadPattern& pattern) {
  assert(bytes.size() % kReadUnit == 0);
  assert(reinterpret_cast<uintptr_t>(bytes.data()) % 64 == 0);
  std::atomic<uint64_t> sum{0};
  cpu::GuidedFor(pool, static_cast<int64_t>(bytes.size() / kReadUnit), 1,
                 [&](int64_t begin, int64_t end) {
                   sum += cpu::SumOfWords(bytes.data() + static_cast<size_t>(begin) * kReadUnit,
                                          static_cast<size_t>(end - begin) * kReadUnit, pattern);
                 });
  return sum;
}

}  // namespace kakeya
#endif
