// Reading a prompt into the cache, block by block.
#ifndef KAKEYA_DECODE_PREFILL_H_
#define KAKEYA_DECODE_PREFILL_H_

#include <cstdint>
#include <span>
#include <vector>

#include "decode/runner.h"

namespace kakeya {

// Appends ids to the cache in blocks of at most `block` tokens and returns the logits (vocab_size)
// after the last one. Neither the cache's contents nor the logits depend on `block`. Errors:
// ResourceExhausted, Cancelled; the blocks before stay committed. REQUIRES: ids not empty, block >=
// 1, no block is open.
Result<std::vector<float>> Prefill(const Runner& runner, std::span<const int32_t> ids,
                                   int64_t block, const KeepGoing& keep_going);

}  // namespace kakeya

#endif  // KAKEYA_DECODE_PREFILL_H_
