// Where things stand in a prompt: needles at their depth and apart from each other, the others
// scattered, filler between them, so much that the whole has the wanted length.
#ifndef KAKEYA_EVAL_RECALL_PROMPTS_LAYOUT_H_
#define KAKEYA_EVAL_RECALL_PROMPTS_LAYOUT_H_

#include "base/status.h"
#include "eval/recall/prompts/haystack.h"
#include "eval/recall/prompts/prompt.h"
#include "eval/recall/prompts/prompt_content.h"
#include "eval/recall/prompts/prompt_format.h"

namespace kakeya {

// Tokenises the whole prompt, measures, moves the cuts and tries again until everything is within
// its bounds: no token count is an estimate. Errors: InvalidArgument when there is no room.
Result<RecallPrompt> LayOut(const Tokenizer& tokenizer, const PromptFormat& form,
                            const Filler& filler, const PromptContent& draft,
                            const RecallPromptSpec& spec, RecallRandom* random);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_PROMPTS_LAYOUT_H_
