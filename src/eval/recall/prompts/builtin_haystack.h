// The text in which `prove` hides its needles when the reader gives none: the first half million
// characters of a book that no training step and no tokenizer training has seen. It is compiled in,
// so that the binary works away from the source tree, with any model.
#ifndef KAKEYA_EVAL_RECALL_PROMPTS_BUILTIN_HAYSTACK_H_
#define KAKEYA_EVAL_RECALL_PROMPTS_BUILTIN_HAYSTACK_H_

#include <string>
#include <string_view>

namespace kakeya {

std::string BuiltinHaystack();
// "TITLE by AUTHOR (built in)".
const char* BuiltinHaystackName();

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_PROMPTS_BUILTIN_HAYSTACK_H_
