#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace kakeya {
namespace {

std::unique_ptr<ThreadPool> MakePool(int threads) {
  auto pool = ThreadPool::Create(threads);
  EXPECT_TRUE(pool.ok()) << pool.status().message();
  return std::move(pool).value();
}

TEST(ThreadPool, RunsEveryTaskExactlyOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    const auto pool = MakePool(threads);
    EXPECT_EQ(threads, pool->threads());
    for (const int64_t tasks : {0, 1, 2, 7, 64, 1000}) {
      std::vector<int> runs(static_cast<size_t>(tasks), 0);  // plain ints: each has one writer
      pool->ParallelFor(tasks, [&](int64_t task) { ++runs[static_cast<size_t>(task)]; });
      for (const int count : runs) ASSERT_EQ(1, count);
    }
  }
}

// Tens of thousands of loops of changing size, back to back: a worker that mixes up two loops would
// run a task twice, miss one, or touch a body that is gone.
TEST(ThreadPool, TinyLoopsBackToBackNeverMixUp) {
  for (const int threads : {2, 4, 9}) {
    const auto pool = MakePool(threads);
    for (int loop = 0; loop < 20000; ++loop) {
      const int tasks = 2 + loop % 5;
      std::vector<int> values(static_cast<size_t>(tasks), -1);
      pool->ParallelFor(tasks, [&, loop](int64_t task) {
        values[static_cast<size_t>(task)] += loop + static_cast<int>(task) + 1;
      });
      for (int task = 0; task < tasks; ++task) {
        ASSERT_EQ(loop + task, values[static_cast<size_t>(task)]) << "loop " << loop;
      }
    }
  }
}

// Writes of one loop are seen by every task of the next, whichever threads ran them.
TEST(ThreadPool, ALoopSeesTheWritesOfTheLoopBefore) {
  const auto pool = MakePool(4);
  std::vector<int64_t> a(16, 1);
  std::vector<int64_t> b(16, 0);
  for (int loop = 0; loop < 5000; ++loop) {
    pool->ParallelFor(16, [&](int64_t i) {
      b[static_cast<size_t>(i)] = a[static_cast<size_t>((i + 5) % 16)] + 1;
    });
    std::swap(a, b);
  }
  for (const int64_t value : a) EXPECT_EQ(5001, value);
}

TEST(ThreadPool, SleepingWorkersWakeUp) {
  const auto pool = MakePool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // far beyond the spin time
    // All three threads are needed: every task waits for the others.
    std::atomic<int> arrived{0};
    pool->ParallelFor(3, [&](int64_t) {
      ++arrived;
      while (arrived.load() < 3) std::this_thread::yield();
    });
    ASSERT_EQ(3, arrived.load());
  }
}

TEST(ThreadPool, LoopsOfAnotherThreadAreFineOneAfterTheOther) {
  const auto pool = MakePool(2);
  for (int i = 0; i < 50; ++i) {
    std::atomic<int64_t> sum{0};
    std::thread caller([&] { pool->ParallelFor(100, [&](int64_t task) { sum += task; }); });
    caller.join();
    EXPECT_EQ(4950, sum.load());
  }
}

TEST(ThreadPool, CreatingAndDestroyingManyPoolsLeavesNothingBehind) {
  for (int i = 0; i < 200; ++i) {
    const auto pool = MakePool(1 + i % 5);
    if (i % 3 == 0) pool->ParallelFor(4, [](int64_t) {});
  }
}

TEST(ThreadPool, WithoutAPoolTheCallerRunsAll) {
  std::vector<int64_t> order;
  ParallelFor(nullptr, 4, [&](int64_t task) { order.push_back(task); });
  EXPECT_EQ((std::vector<int64_t>{0, 1, 2, 3}), order);
}

}  // namespace
}  // namespace kakeya
