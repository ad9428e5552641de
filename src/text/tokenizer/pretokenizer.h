// Cuts text into the words that BPE works on. tokenizer.json's "pre_tokenizer": ByteLevel, Split,
// Digits, Punctuation, Whitespace, WhitespaceSplit, UnicodeScripts, CharDelimiterSplit,
// BertPreTokenizer, FixedLength, Sequence. There must be one ByteLevel; steps behind it see the
// characters that it writes for bytes.
#ifndef KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_H_
#define KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_H_

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/json.h"
#include "text/tokenizer/pretokenizer_regex.h"

namespace kakeya {

// What becomes of a match of the pattern; the names are those of tokenizer.json.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

// A part of a text, and whether the pattern matched it.
struct SplitPart {
  std::string_view text;
  bool is_match = false;
};

// Appends the words that `behavior` makes of the parts of one text. REQUIRES: the parts are
// adjacent and in order.
void ApplySplitBehavior(const std::vector<SplitPart>& parts, SplitBehavior behavior,
                        std::vector<std::string_view>* words);

// What "pattern" says of Split and Replace: {"Regex": ...} or {"String": ...}.
Result<PretokenizerRegex> ParsePattern(const Json& spec);

// Thread safety: immutable.
class PreTokenizer {
 public:
  // `spec` is the value of "pre_tokenizer".
  static Result<PreTokenizer> Parse(const Json& spec);

  // Replaces `words` by the words of `text`, in order. They point into `text` or into `owned`
  // (text with a space put in front, or with steps behind ByteLevel). REQUIRES: text is valid
  // UTF-8.
  Status Split(std::string_view text, RegexScratch* scratch, std::deque<std::string>* owned,
               std::vector<std::string_view>* words) const;

 private:
  struct Step {
    std::optional<PretokenizerRegex> regex;  // none: the step cuts nothing
    SplitBehavior behavior = SplitBehavior::kIsolated;
    bool invert = false;
    bool add_prefix_space = false;
    bool to_bytes = false;  // ByteLevel
  };

  Status ParseInto(const Json& spec, const std::string& where);
  static Result<Step> ParseStep(const Json& spec, const std::string& type);
  static Result<Step> Words(std::string_view pattern);
  static Result<Step> ParseByteLevel(const Json& spec);
  static Result<Step> ParseSplit(const Json& spec);
  static Result<Step> ParseDigits(const Json& spec);
  static Result<Step> ParsePunctuation(const Json& spec);
  static Result<Step> ParseDelimiter(const Json& spec);
  static Result<Step> ParseFixedLength(const Json& spec);
  static Status Run(const Step& step, std::string_view text, RegexScratch* scratch,
                    std::deque<std::string>* owned, std::vector<SplitPart>* parts,
                    std::vector<std::string_view>* words);

  std::vector<Step> steps_;
  bool has_bytes_ = false;  // one of the steps is ByteLevel
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_H_
