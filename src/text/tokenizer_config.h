// What tokenizer.json says, checked and ready for use.
#ifndef KAKEYA_TEXT_TOKENIZER_CONFIG_H_
#define KAKEYA_TEXT_TOKENIZER_CONFIG_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "format/json.h"
#include "text/bpe.h"
#include "text/pretokenizer.h"
#include "text/tokenizer_added.h"
#include "text/tokenizer_vocab.h"

namespace kakeya {

// Immutable once parsed; the matchers point into `added`.
struct TokenizerParts {
  bool nfc = false;
  PreTokenizer pre_tokenizer;
  TokenTable table;  // the model's tokens and the added ones
  BpeModel bpe;
  bool ignore_merges = false;  // a word that is a token is taken whole
  std::vector<AddedToken> added;
  std::vector<bool> is_special;          // by id
  AddedTokenMatcher raw_matcher;         // tokens looked for in the text as given
  AddedTokenMatcher normalized_matcher;  // tokens looked for in normalized text
  bool has_normalized = false;           // the second one has tokens
  std::vector<int32_t> prefix_ids;       // what the post-processor puts around a text
  std::vector<int32_t> suffix_ids;
};

// Errors: Corrupt or Unsupported, one line that names the place in the file.
Result<std::unique_ptr<const TokenizerParts>> ParseTokenizerJson(const Json& file);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_CONFIG_H_
