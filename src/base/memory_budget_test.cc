#include "base/memory_budget.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <vector>

// AddressSanitizer would end the program where the system refuses memory; the budget reports it.
extern "C" const char* __asan_default_options() {  // NOLINT
  return "allocator_may_return_null=1";
}

namespace kakeya {
namespace {

TEST(MemoryBudget, BuffersAreAlignedAndLargeOnesBeginWithAHugePage) {
  MemoryBudget budget;
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100000}, (size_t{4} << 20) - 1}) {
    const auto buffer = budget.Allocate(MemoryTag::kScratch, bytes, "small");
    ASSERT_TRUE(buffer.ok());
    EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(buffer->data()) % 64) << bytes;
  }
  for (const size_t bytes : {size_t{4} << 20, (size_t{4} << 20) + 1, size_t{9} << 20}) {
    auto buffer = budget.Allocate(MemoryTag::kScratch, bytes, "large");
    ASSERT_TRUE(buffer.ok());
    EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(buffer->data()) % (size_t{2} << 20)) << bytes;
    buffer->data()[bytes - 1] = std::byte{1};  // the end that fills no page is memory, too
  }
  EXPECT_EQ(0u, budget.used());
}

TEST(MemoryBudget, ABufferKnowsItsSpaceWhereverItGoes) {
  MemoryBudget budget;
  for (const Device device : {Device::kRef, Device::kCpu}) {
    auto made = budget.Allocate(MemoryTag::kKv, 100, "kv", SpaceOf(device));
    ASSERT_TRUE(made.ok());
    const Buffer moved = std::move(*made);
    EXPECT_EQ(moved.space(), SpaceOf(device));
    moved.data()[99] = std::byte{1};  // which is memory that the processor may write
  }
}

TEST(MemoryBudget, CountsWhatIsAliveByTag) {
  MemoryBudget budget;
  auto kv = budget.Allocate(MemoryTag::kKv, 100, "kv");
  auto scratch = budget.Allocate(MemoryTag::kScratch, 50, "scratch");
  ASSERT_TRUE(kv.ok() && scratch.ok());
  EXPECT_EQ(150u, budget.used());
  EXPECT_EQ(100u, budget.used(MemoryTag::kKv));
  EXPECT_EQ(50u, budget.used(MemoryTag::kScratch));
  kv->Free();
  EXPECT_EQ(0u, kv->size());
  EXPECT_EQ(50u, budget.used());
  EXPECT_EQ(100u, budget.peak(MemoryTag::kKv));
  EXPECT_EQ(0u, budget.used(MemoryTag::kKv));
}

TEST(MemoryBudget, BuffersAreAlignedAndUsable) {
  MemoryBudget budget;
  for (const size_t bytes : {0u, 1u, 63u, 4096u}) {
    auto buffer = budget.Allocate(MemoryTag::kScratch, bytes, "buffer");
    ASSERT_TRUE(buffer.ok());
    EXPECT_EQ(0u, reinterpret_cast<uintptr_t>(buffer->data()) % 64);
    for (size_t i = 0; i < bytes; ++i) buffer->data()[i] = std::byte{7};
  }
  EXPECT_EQ(0u, budget.used());
}

TEST(MemoryBudget, RefusesWhatDoesNotFitAndNamesIt) {
  MemoryBudget budget(100);
  auto first = budget.Allocate(MemoryTag::kKv, 60, "first");
  ASSERT_TRUE(first.ok());
  const auto second = budget.Allocate(MemoryTag::kKv, 41, "page table");
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(StatusCode::kResourceExhausted, second.status().code());
  EXPECT_NE(std::string::npos, second.status().message().find("page table"));
  EXPECT_EQ(60u, budget.used());
  EXPECT_TRUE(budget.Allocate(MemoryTag::kKv, 40, "fits").ok());
}

TEST(MemoryBudget, RefusalBySystemLeavesTheCountUnchanged) {
  MemoryBudget budget;
  const auto huge = budget.Allocate(MemoryTag::kWeights, SIZE_MAX / 4, "weights");
  ASSERT_FALSE(huge.ok());
  EXPECT_EQ(StatusCode::kResourceExhausted, huge.status().code());
  EXPECT_EQ(0u, budget.used());
  EXPECT_EQ(0u, budget.peak(MemoryTag::kWeights));
}

TEST(MemoryBudget, ChildIsBoundedByItsParentAndCountsInIt) {
  MemoryBudget parent(100);
  MemoryBudget child(MemoryBudget::kUnlimited, &parent);
  auto other = parent.Allocate(MemoryTag::kKv, 30, "other");
  auto mine = child.Allocate(MemoryTag::kKv, 50, "mine");
  ASSERT_TRUE(other.ok() && mine.ok());
  EXPECT_EQ(50u, child.used(MemoryTag::kKv));
  EXPECT_EQ(80u, parent.used(MemoryTag::kKv));
  EXPECT_EQ(20u, child.available());
  EXPECT_FALSE(child.Allocate(MemoryTag::kKv, 21, "too much").ok());
  EXPECT_EQ(50u, child.used());
  EXPECT_EQ(80u, parent.used());
  mine->Free();
  EXPECT_EQ(0u, child.used());
  EXPECT_EQ(50u, child.peak(MemoryTag::kKv));
  EXPECT_EQ(30u, parent.used());

  MemoryBudget narrow(10, &parent);
  EXPECT_FALSE(narrow.Allocate(MemoryTag::kKv, 11, "above its own limit").ok());
  EXPECT_EQ(30u, parent.used());
}

TEST(MemoryBudget, MovedBuffersFreeOnce) {
  MemoryBudget budget;
  auto made = budget.Allocate(MemoryTag::kKv, 10, "a");
  ASSERT_TRUE(made.ok());
  Buffer a = std::move(made).value();
  Buffer b = std::move(a);
  EXPECT_EQ(10u, budget.used());
  auto other = budget.Allocate(MemoryTag::kKv, 20, "b");
  ASSERT_TRUE(other.ok());
  b = std::move(other).value();  // frees the 10
  EXPECT_EQ(20u, budget.used());
  b.Free();
  b.Free();
  EXPECT_EQ(0u, budget.used());
}

TEST(MemoryBudget, CountsFromManyThreads) {
  MemoryBudget budget(1000);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&budget] {
      for (int i = 0; i < 500; ++i) {
        const auto buffer = budget.Allocate(MemoryTag::kScratch, 100, "piece");
        EXPECT_TRUE(buffer.ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(0u, budget.used());
  EXPECT_GE(budget.peak(MemoryTag::kScratch), 100u);
  EXPECT_LE(budget.peak(MemoryTag::kScratch), 400u);
}

}  // namespace
}  // namespace kakeya
