// Reading a text for its hidden states, block by block: what measurements want. Sessions read their
// prompts by steps (decode/step.h).
#ifndef KAKEYA_DECODE_PREFILL_H_
#define KAKEYA_DECODE_PREFILL_H_

#include <cstdint>
#include <functional>
#include <span>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "decode/timeline.h"
#include "model/forward.h"

namespace kakeya {

// Called after each block with the final hidden states (rows, hidden_size) of ids[first] to
// ids[first + rows - 1]. An error ends the run; the block stays committed.
using AfterBlock = std::function<Status(const float* hidden, int64_t first, int64_t rows)>;

struct ReadOptions {
  int64_t block = 512;  // tokens of a pass at most; at least 1
  AfterBlock after_block;
};

// Reads the ids behind those that the timeline holds, block by block. Neither the cache's contents
// nor the hidden states depend on the size of a block. Activations come from `budget`.
// Errors: ResourceExhausted, those of the restorer and of after_block; the blocks before stay
// committed. REQUIRES: ids are the whole text, timeline->cache.size() < ids.size().
Status ReadBlocks(const OpContext& context, const Model& model, std::span<const int32_t> ids,
                  const ReadOptions& options, MemoryBudget* budget, Timeline* timeline);

}  // namespace kakeya

#endif  // KAKEYA_DECODE_PREFILL_H_
