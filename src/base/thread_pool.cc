#include "base/thread_pool.h"

#include <atomic>
#include <cassert>
#include <chrono>
#include <system_error>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace kakeya {
namespace {

// How long a worker polls for the next loop before it sleeps: longer than the serial code between
// two operators, shorter than anybody would notice on an idle machine.
constexpr std::chrono::microseconds kSpinTime{40};

void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The state of the current loop in one atomic word, so that claiming a task and checking that it
// belongs to this loop are one step: (loop number << 32) | tasks not yet claimed.
constexpr uint64_t kRemainingMask = 0xffffffffu;
uint64_t Loop(uint64_t word) { return word >> 32; }
uint64_t Remaining(uint64_t word) { return word & kRemainingMask; }

}  // namespace

// How a loop runs:
//  1. Run stores fn, body and tasks, then publishes a word with a new loop number.
//  2. Caller and workers take tasks by decrementing the word. A worker that wakes late finds either
//     nothing remaining or another loop: it needs no permission to be absent.
//  3. Every finished task counts in `done`; Run returns at done == tasks.
// A successful decrement proves that fn, body and tasks, read just before it, belong to the same
// loop: they are rewritten only after all of its tasks, this one included, are done.
struct ThreadPool::State {
  std::vector<std::thread> workers;

  alignas(64) std::atomic<uint64_t> word{0};
  std::atomic<TaskFn> fn{nullptr};
  std::atomic<const void*> body{nullptr};
  std::atomic<int64_t> tasks{0};
  alignas(64) std::atomic<int64_t> done{0};

  alignas(64) std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  // Guards no data, only the moment between a sleeper's last look at `word` and its sleep.
  Mutex mutex;
  CondVar wake;

  void Publish(uint64_t remaining);
  void TakeTasks();
  // Returns when the loop number is no longer `seen`, with the new one.
  uint64_t AwaitLoop(uint64_t seen);
  void Work();
  void StopAndJoin();
};

void ThreadPool::State::Publish(uint64_t remaining) {
  const uint64_t next = (Loop(word.load(std::memory_order_relaxed)) + 1) << 32;
  // Sequentially consistent with `sleepers`: either we see the sleeper, or it sees the new loop.
  word.store(next | remaining, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) > 0) {
    { const MutexLock lock(&mutex); }
    wake.NotifyAll();
  }
}

void ThreadPool::State::TakeTasks() {
  uint64_t current = word.load(std::memory_order_acquire);
  while (Remaining(current) > 0) {
    const TaskFn run = fn.load(std::memory_order_relaxed);
    const void* const argument = body.load(std::memory_order_relaxed);
    const int64_t count = tasks.load(std::memory_order_relaxed);
    if (!word.compare_exchange_weak(current, current - 1, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      continue;
    }
    run(argument, count - static_cast<int64_t>(Remaining(current)));
    done.fetch_add(1, std::memory_order_release);
    current = word.load(std::memory_order_acquire);
  }
}

uint64_t ThreadPool::State::AwaitLoop(uint64_t seen) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 32; ++i) {
      const uint64_t loop = Loop(word.load(std::memory_order_acquire));
      if (loop != seen) return loop;
      Pause();
    }
  } while (std::chrono::steady_clock::now() - start < kSpinTime);

  const MutexLock lock(&mutex);
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  while (Loop(word.load(std::memory_order_seq_cst)) == seen) wake.Wait(&mutex);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
  return Loop(word.load(std::memory_order_acquire));
}

void ThreadPool::State::Work() {
  uint64_t seen = 0;
  while (true) {
    seen = AwaitLoop(seen);
    if (stop.load(std::memory_order_acquire)) return;
    TakeTasks();
  }
}

void ThreadPool::State::StopAndJoin() {
  stop.store(true, std::memory_order_release);
  Publish(0);
  for (std::thread& worker : workers) worker.join();
  workers.clear();
}

ThreadPool::ThreadPool(std::unique_ptr<State> state) : state_(std::move(state)) {}

ThreadPool::~ThreadPool() { state_->StopAndJoin(); }

Result<std::unique_ptr<ThreadPool>> ThreadPool::Create(int threads) {
  assert(threads >= 1);
  auto state = std::make_unique<State>();
  State* const shared = state.get();
  try {
    state->workers.reserve(static_cast<size_t>(threads - 1));
    for (int i = 1; i < threads; ++i) {
      state->workers.emplace_back([shared] { shared->Work(); });
    }
  } catch (const std::system_error& error) {
    const size_t started = state->workers.size();
    state->StopAndJoin();
    return Unavailable("cannot start thread {} of {}: {}", started + 2, threads, error.what());
  }
  return std::unique_ptr<ThreadPool>(new ThreadPool(std::move(state)));
}

int ThreadPool::threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::Run(int64_t tasks, TaskFn fn, const void* body) {
  assert(tasks >= 0 && static_cast<uint64_t>(tasks) <= kRemainingMask);
  State& state = *state_;
  if (tasks <= 1 || state.workers.empty()) {
    for (int64_t task = 0; task < tasks; ++task) fn(body, task);
    return;
  }
  state.fn.store(fn, std::memory_order_relaxed);
  state.body.store(body, std::memory_order_relaxed);
  state.tasks.store(tasks, std::memory_order_relaxed);
  state.done.store(0, std::memory_order_relaxed);
  state.Publish(static_cast<uint64_t>(tasks));
  state.TakeTasks();
  // Others may still be in their last task. Yield once that takes long: with more threads than
  // cores, that task may be waiting for this very core.
  for (int spins = 0; state.done.load(std::memory_order_acquire) != tasks; ++spins) {
    if (spins < 1024) {
      Pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace kakeya
