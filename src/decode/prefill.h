// Reading a prompt into the cache, block by block.
#ifndef KAKEYA_DECODE_PREFILL_H_
#define KAKEYA_DECODE_PREFILL_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "decode/runner.h"

namespace kakeya {

// Called after each block, while the workspace still holds the final hidden states of its rows:
// those of ids[first] to ids[first + rows - 1]. An error ends the run; the block stays committed.
using AfterBlock = std::function<Status(const Workspace& workspace, int64_t first, int64_t rows)>;

// Appends ids to the cache in blocks of at most `block` tokens. Neither the cache's contents nor
// the hidden states depend on `block`. Errors: ResourceExhausted, and those of after_block; the
// blocks before stay committed. REQUIRES: ids not empty, block >= 1, no block is open.
Status RunBlocks(const Runner& runner, std::span<const int32_t> ids, int64_t block,
                 const AfterBlock& after_block);

// RunBlocks for the sake of what comes next: returns the logits (vocab_size) after the last token.
// Errors: also Cancelled, when keep_going says so. REQUIRES: as RunBlocks.
Result<std::vector<float>> Prefill(const Runner& runner, std::span<const int32_t> ids,
                                   int64_t block, const KeepGoing& keep_going);

}  // namespace kakeya

#endif  // KAKEYA_DECODE_PREFILL_H_
