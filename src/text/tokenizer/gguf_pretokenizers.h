// What the values of a GGUF file's tokenizer.ggml.pre stand for: how text becomes the words that
// BPE works on. The file names a recipe; tokenizer.json spells it out.
#ifndef KAKEYA_TEXT_TOKENIZER_GGUF_PRETOKENIZERS_H_
#define KAKEYA_TEXT_TOKENIZER_GGUF_PRETOKENIZERS_H_

#include <span>
#include <string_view>

#include "format/json.h"

namespace kakeya {

struct GgufRecipe {
  std::string_view pre;
  // Regexes, one after another: each makes words of what it matches and of what lies between.
  std::span<const std::string_view> splits;
  bool gpt2 = false;           // then GPT-2's regex, which ByteLevel has built in
  bool nfc = false;            // the model's own tokenizer normalises
  bool ignore_merges = false;  // a word that is a token is taken whole
  bool add_bos = false;        // where tokenizer.ggml.add_bos_token says nothing
};

// Of several with one meaning, the first is the name to write.
std::span<const GgufRecipe> GgufRecipes();

// The recipe of that name; null for none.
const GgufRecipe* FindGgufRecipe(std::string_view pre);

// The pre_tokenizer of tokenizer.json that does what the recipe says.
Json PreTokenizerSpec(const GgufRecipe& recipe);

// ggml's token types.
enum GgufTokenType : int {
  kGgufNormal = 1,
  kGgufUnknown = 2,
  kGgufControl = 3,
  kGgufUserDefined = 4,
  kGgufUnused = 5,
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_GGUF_PRETOKENIZERS_H_
