// How fast this machine's threads together can read memory: the roof that decoding runs under.
#ifndef KAKEYA_EVAL_SPEED_READ_BANDWIDTH_H_
#define KAKEYA_EVAL_SPEED_READ_BANDWIDTH_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/memory_budget.h"
#include "base/status.h"
#include "base/thread_pool.h"

namespace kakeya {

class ReadBandwidth {
 public:
  // Takes 1 GiB, or a quarter of what the budget has left where that is less: far more than caches
  // hold. Errors: ResourceExhausted.
  static Result<ReadBandwidth> Create(ThreadPool* pool, MemoryBudget* budget);

  // Reads all of it once and returns bytes per second.
  double Measure();

 private:
  ReadBandwidth(ThreadPool* pool, Buffer buffer) : pool_(pool), buffer_(std::move(buffer)) {}

  ThreadPool* pool_;
  Buffer buffer_;
  std::vector<uint64_t> sums_;  // by task; only so that nothing is optimised away
};

}  // namespace kakeya

#endif  // KAKEYA_EVAL_SPEED_READ_BANDWIDTH_H_
