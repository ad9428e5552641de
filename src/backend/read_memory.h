// Reading memory for its own sake: the roof that products with few rows and attention run under.
#ifndef KAKEYA_BACKEND_READ_MEMORY_H_
#define KAKEYA_BACKEND_READ_MEMORY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"

namespace kakeya {

// How a thread reads its part. Which way is fastest is up to the machine: how many misses a core
// keeps in flight, and what its own prefetcher adds.
struct ReadPattern {
  int streams;  // places that are read side by side: 1, 2 or 4
  int ahead;    // bytes that are asked for ahead of each; 0: left to the machine
};

inline constexpr std::array<ReadPattern, 6> kReadPatterns = {
    {{1, 0}, {1, 1024}, {1, 4096}, {2, 1024}, {4, 0}, {4, 1024}}};

// Memory is read in multiples of this.
inline constexpr size_t kReadUnit = size_t{64} << 10;

// Reads every byte once with the widest vectors that the machine has, cut into tasks as products
// with few rows are, and returns the sum of all 64-bit words. REQUIRES: the bytes are aligned to 64
// and a multiple of kReadUnit; the pattern is one of kReadPatterns.
uint64_t ReadMemory(ThreadPool* pool, std::span<const std::byte> bytes, const ReadPattern& pattern);

}  // namespace kakeya

#endif  // KAKEYA_BACKEND_READ_MEMORY_H_
