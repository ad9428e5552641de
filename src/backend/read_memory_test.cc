#include "backend/read_memory.h"

#include <gtest/gtest.h>

#include <memory>

#include "base/memory_budget.h"

namespace kakeya {
namespace {

TEST(ReadMemoryTest, EveryPatternReadsEveryWordOnce) {
  MemoryBudget budget;
  const std::unique_ptr<ThreadPool> pool = ThreadPool::Create(3).value();
  for (const size_t units : {1, 2, 7, 64}) {
    const Buffer buffer = budget.Allocate(MemoryTag::kScratch, units * kReadUnit, "words").value();
    auto* const words = reinterpret_cast<uint64_t*>(buffer.data());
    uint64_t want = 0;
    for (size_t i = 0; i < buffer.size() / sizeof(uint64_t); ++i) {
      words[i] = (i + 1) * 0x9e3779b97f4a7c15u;  // any two words that change places keep the sum,
      want += words[i];                          // but none is left out or read twice
    }
    for (const ReadPattern& pattern : kReadPatterns) {
      for (ThreadPool* const threads : {pool.get(), static_cast<ThreadPool*>(nullptr)}) {
        EXPECT_EQ(ReadMemory(threads, {buffer.data(), buffer.size()}, pattern), want)
            << units << " units, " << pattern.streams << " streams, " << pattern.ahead << " ahead";
      }
    }
  }
}

}  // namespace
}  // namespace kakeya
