// How many chunks the baseline `reinsert` may put back: as many as fit into what `restored` holds.
#ifndef KAKEYA_EVAL_RECALL_RUN_EQUAL_BYTES_H_
#define KAKEYA_EVAL_RECALL_RUN_EQUAL_BYTES_H_

#include <cstdint>

#include "base/status.h"
#include "eval/recall/prompts/prompt.h"
#include "session/engine.h"
#include "session/session.h"

namespace kakeya {

// What a restored session holds of a prompt, as its allocator counts it: K/V with the restore
// buffer, and history (token ids, codes, summaries). The restorer reads the prompt; the model
// doesn't. REQUIRES: options.restore.restorer.
Result<uint64_t> RestoredBytes(Engine* engine, const SessionOptions& options,
                               const RecallPrompt& prompt);

// The most chunks with which full K/V of sinks, chunks, window, question and answer, the session's
// ids and the ids of the whole text stay within `bytes`; at least 1. Counted by allocating, so it
// is a function of options and prompt alone.
Result<int64_t> ChunksWithin(uint64_t bytes, Engine* engine, const SessionOptions& options,
                             const RecallPrompt& prompt);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_EQUAL_BYTES_H_
