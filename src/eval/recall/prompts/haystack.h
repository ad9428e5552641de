// The text between the needles: a cut of the haystack as tokens with their places in the text.
#ifndef KAKEYA_EVAL_RECALL_PROMPTS_HAYSTACK_H_
#define KAKEYA_EVAL_RECALL_PROMPTS_HAYSTACK_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "eval/recall/prompts/random.h"
#include "text/tokenizer/tokenizer.h"

namespace kakeya {

struct Filler {
  std::string text;
  std::vector<size_t> offsets;  // of token i in text; one more: text.size()
  bool lines = false;           // to be cut between lines only

  int64_t tokens() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

// Where each token begins in the text that the ids stand for, and that text's size.
std::vector<size_t> TokenOffsets(const Tokenizer& tokenizer, std::span<const int32_t> ids);

// At least `tokens` tokens of the haystack from a sentence or line that `random` picks, the whole
// repeated when it is short. Only as much as is needed is tokenised, whatever the haystack's size.
// REQUIRES: the haystack is UTF-8 and not empty. Errors: InvalidArgument when so many bytes make
// so few tokens that no cut is long enough.
Result<Filler> CutHaystack(const Tokenizer& tokenizer, std::string_view haystack, int64_t tokens,
                           RecallRandom* random);

// At least `tokens` tokens of pairs for a JSON object, `  "key": "12345",` a line, with held-out
// keys of their own each.
Result<Filler> MakeJsonPairs(const Tokenizer& tokenizer, int64_t tokens, RecallRandom* random);

// The best place to cut the text in [lowest, highest]: after a line or sentence, else between
// words, else between characters; among equals the nearest to `wanted`. REQUIRES: lowest <= highest
// <= text.size().
size_t CutNear(std::string_view text, size_t lowest, size_t wanted, size_t highest);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_PROMPTS_HAYSTACK_H_
