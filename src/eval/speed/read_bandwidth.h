// How fast this machine's threads together can read memory: the roof that decoding runs under. Read
// as the kernels read: in long runs, with the widest vectors, memory that is allocated as weights
// are; in each of several patterns (backend/read_memory.h), of which the fastest counts.
#ifndef KAKEYA_EVAL_SPEED_READ_BANDWIDTH_H_
#define KAKEYA_EVAL_SPEED_READ_BANDWIDTH_H_

#include <cstddef>
#include <cstdint>

#include "base/memory_budget.h"
#include "base/status.h"
#include "base/thread_pool.h"

namespace kakeya {

class ReadBandwidth {
 public:
  // Takes 1 GiB, or a quarter of what the budget has left where that is less: far more than caches
  // hold. Errors: ResourceExhausted.
  static Result<ReadBandwidth> Create(ThreadPool* pool, MemoryBudget* budget);

  // Reads all of it once, in each pattern an equal part, and returns the bytes per second of the
  // fastest. From call to call patterns and parts change places, so that no pattern meets what it
  // has read before.
  double Measure();

 private:
  ReadBandwidth(ThreadPool* pool, Buffer buffer) : pool_(pool), buffer_(std::move(buffer)) {}

  ThreadPool* pool_;
  Buffer buffer_;
  size_t turn_ = 0;
  uint64_t sum_ = 0;  // only so that nothing is optimised away
};

}  // namespace kakeya

#endif  // KAKEYA_EVAL_SPEED_READ_BANDWIDTH_H_
