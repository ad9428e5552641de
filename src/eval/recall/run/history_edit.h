// What each arm does to the history that the restorer is told, as pure functions of the prompt.
#ifndef KAKEYA_EVAL_RECALL_RUN_HISTORY_EDIT_H_
#define KAKEYA_EVAL_RECALL_RUN_HISTORY_EDIT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "eval/recall/prompts/prompt.h"
#include "eval/recall/run/arm.h"
#include "eval/recall/run/edited_restorer.h"

namespace kakeya {

struct EditInputs {
  const RecallPrompt& prompt;
  std::span<const int32_t> foreign;  // context of another prompt; not empty for kForeign
  // So many chunks before a chunk are read for its codes; of the rest they take recurrence alone.
  int proposer_layers = 0;
  int64_t total_tokens = 0;  // that the session may come to hold: what exclusion must cover
  uint64_t seed = 0;         // of kShuffled
};

// The edit of an arm; an empty one for arms that restore the truth.
HistoryEdit EditFor(RecallArm arm, const EditInputs& inputs);

// Chunks that hold a token of the ranges, and the `following` chunks after each: 1, the others 0.
// (ceil(tokens / kChunk)).
std::vector<uint8_t> ChunksOf(const std::vector<TokenRange>& ranges, int following, int64_t tokens);

// ids repeated or cut to `size`. REQUIRES: ids not empty.
std::vector<int32_t> FitTo(std::span<const int32_t> ids, size_t size);

// ids with other ones at the places of `ranges`: those just before each range, outside of all
// ranges; for a range with none before it, the first ones outside. REQUIRES: the ranges are
// ascending and leave something.
std::vector<int32_t> Overwritten(std::span<const int32_t> ids,
                                 const std::vector<TokenRange>& ranges);

// A permutation of ids that only the seed decides.
std::vector<int32_t> Shuffled(std::span<const int32_t> ids, uint64_t seed);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_HISTORY_EDIT_H_
