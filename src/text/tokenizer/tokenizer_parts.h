// What a tokenizer is once its file has been read, and the steps of building it that the file
// formats share.
#ifndef KAKEYA_TEXT_TOKENIZER_TOKENIZER_PARTS_H_
#define KAKEYA_TEXT_TOKENIZER_TOKENIZER_PARTS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer/added_tokens.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/pretokenizer.h"
#include "text/tokenizer/vocab.h"

namespace kakeya {

// Immutable once parsed; the matchers point into `added`.
struct TokenizerParts {
  Normalizer normalizer;
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
  std::vector<std::string> notes;  // what a person should know of the file, one line each
};

// The ids of "left", "right" and of both together. Errors: Corrupt, naming the one that isn't in
// the table.
Result<BpeMerge> MergeOf(std::string_view left, std::string_view right, const TokenTable& table);
// The same of "left right". Corrupt when that isn't what it says.
Result<BpeMerge> ParseMergeLine(std::string_view line, const TokenTable& table);

// The token of each byte. A vocabulary that was trained without the whole byte alphabet has none
// for some: such a byte becomes `unknown`, or nothing when there is none (BpeModel::kDropped), as
// in HF's BPE. Errors: Unsupported when bytes are missing and `all_needed`, or so many are that
// this is no byte-level vocabulary.
Result<std::array<int32_t, 256>> FindByteIds(const TokenTable& table,
                                             std::optional<int32_t> unknown, bool all_needed);

// Sets is_special and the matchers. REQUIRES: `added`, which doesn't change any more; `normalizer`;
// the whole table. Errors: those of Normalizer::Run.
Status IndexAddedTokens(TokenizerParts* parts);

// Of a model that has embeddings for the ids below `end`. The first refuses a tokenizer with a
// token beyond that isn't an added one (Corrupt), the second ids beyond (InvalidArgument, naming
// the token). REQUIRES: the ids have tokens.
Status CheckVocabularyFits(const TokenizerParts& parts, int32_t end);
Status CheckIdsFit(const TokenizerParts& parts, std::span<const int32_t> ids, int32_t end);

// Sets bpe. REQUIRES: is_special.
void BuildBpe(const std::array<int32_t, 256>& byte_ids, std::vector<BpeMerge> merges,
              TokenizerParts* parts);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_TOKENIZER_PARTS_H_
