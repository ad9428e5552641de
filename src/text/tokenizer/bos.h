// One beginning-of-text token where several writers each put one: the chat template, the prompt's
// author and the tokenizer's post-processor. Models have seen exactly one.
#ifndef KAKEYA_TEXT_TOKENIZER_BOS_H_
#define KAKEYA_TEXT_TOKENIZER_BOS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace kakeya {

// Leaves one of the `bos` that `ids` begin with. Returns how many were dropped: a caller warns of
// them. Without a bos nothing is done.
size_t DropRepeatedBos(std::optional<int32_t> bos, std::vector<int32_t>* ids);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_BOS_H_
