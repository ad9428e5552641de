// Where things stand in a prompt: needles at their depth and apart from each other, the others
// scattered, filler between them, so much that the whole has the wanted length.
#ifndef KAKEYA_EVAL_RECALL_LAYOUT_H_
#define KAKEYA_EVAL_RECALL_LAYOUT_H_

#include "base/status.h"
#include "eval/recall_draft.h"
#include "eval/recall_form.h"
#include "eval/recall_haystack.h"
#include "eval/recall_prompt.h"

namespace kakeya {

// Tokenises the whole prompt, measures, moves the cuts and tries again until everything is within
// its bounds: no token count is an estimate. Errors: InvalidArgument when there is no room.
Result<RecallPrompt> LayOut(const Tokenizer& tokenizer, const RecallForm& form,
                            const Filler& filler, const RecallDraft& draft,
                            const RecallPromptSpec& spec, RecallRandom* random);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_LAYOUT_H_
