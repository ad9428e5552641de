// A fixed set of worker threads for data-parallel loops. Workers spin briefly between loops (a
// forward pass issues hundreds) and then sleep, so an idle engine costs nothing.
//
// Thread safety: one thread at a time may call ParallelFor. Tasks must not call it again.
#ifndef KAKEYA_BASE_THREAD_POOL_H_
#define KAKEYA_BASE_THREAD_POOL_H_

#include <cstdint>
#include <memory>

#include "base/status.h"

namespace kakeya {

class ThreadPool {
 public:
  // `threads` counts the caller: threads - 1 workers are started. Errors: Unavailable when the
  // system refuses one. REQUIRES: threads >= 1.
  static Result<std::unique_ptr<ThreadPool>> Create(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(task) once for every task in [0, tasks), from several threads, and returns when all
  // have finished. Which thread takes which task is not defined: a body's result must not depend on
  // it. REQUIRES: body doesn't throw.
  template <typename Body>
  void ParallelFor(int64_t tasks, const Body& body) {
    Run(
        tasks, [](const void* b, int64_t task) { (*static_cast<const Body*>(b))(task); }, &body);
  }

 private:
  using TaskFn = void (*)(const void* body, int64_t task);
  struct State;

  explicit ThreadPool(std::unique_ptr<State> state);
  void Run(int64_t tasks, TaskFn fn, const void* body);

  std::unique_ptr<State> state_;
};

// pool->ParallelFor, or a plain loop without a pool.
template <typename Body>
void ParallelFor(ThreadPool* pool, int64_t tasks, const Body& body) {
  if (pool != nullptr) {
    pool->ParallelFor(tasks, body);
  } else {
    for (int64_t i = 0; i < tasks; ++i) body(i);
  }
}

}  // namespace kakeya

#endif  // KAKEYA_BASE_THREAD_POOL_H_
