// What a step of decoding works on. The pieces belong to a session; decode keeps no state of its
// own between steps.
#ifndef KAKEYA_DECODE_RUNNER_H_
#define KAKEYA_DECODE_RUNNER_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/kv_cache.h"
#include "model/forward.h"

namespace kakeya {

struct Runner {
  const Model& model;
  OpContext context;
  KvCache& cache;
  MemoryBudget& budget;
};

// Called between blocks; false asks to stop, and the call in progress returns kCancelled with whole
// blocks committed.
using KeepGoing = std::function<bool(int64_t done, int64_t total)>;

}  // namespace kakeya

#endif  // KAKEYA_DECODE_RUNNER_H_
