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
  const char* words;   // the regex; null: GPT-2's, which ByteLevel has built in
  bool digits;         // every digit is a word
  bool nfc;            // the model's own tokenizer normalises
  bool ignore_merges;  // a word that is a token is taken whole
  bool add_bos;        // where tokenizer.ggml.add_bos_token says nothing
};

// Of several with one meaning, the first is the name to write.
std::span<const GgufRecipe> GgufRecipes();

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
