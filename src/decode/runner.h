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
  Restoration* restoration = nullptr;  // for the policy kRestored
};

// Runs final tokens at the end of the sequence and commits them; their hidden states are left in
// the workspace. "Restore" in the life of a token is here: chunks that become whole are told to the
// restorer before attention may choose them. Errors: ResourceExhausted; nothing was committed then.
Status RunBlock(const Runner& runner, std::span<const int32_t> ids, Workspace* workspace);

// Activations for RunBlock of at most `rows` tokens.
Result<Workspace> NewWorkspace(const Runner& runner, int64_t rows);

// Called between blocks; false asks to stop, and the call in progress returns kCancelled with whole
// blocks committed.
using KeepGoing = std::function<bool(int64_t done, int64_t total)>;

}  // namespace kakeya

#endif  // KAKEYA_DECODE_RUNNER_H_
