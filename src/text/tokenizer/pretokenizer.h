// Cuts text into the words that BPE works on. tokenizer.json's "pre_tokenizer":
// ByteLevel (which must come last: after it the text is bytes), Split, Digits, Sequence.
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

// Thread safety: immutable.
class PreTokenizer {
 public:
  // `spec` is the value of "pre_tokenizer".
  static Result<PreTokenizer> Parse(const Json& spec);

  // Replaces `words` by the words of `text`, in order. They point into `text` or into `owned`
  // (text with a space put in front). REQUIRES: text is valid UTF-8.
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
  static Result<Step> ParseByteLevel(const Json& spec);
  static Result<Step> ParseSplit(const Json& spec);
  static Result<Step> ParseDigits(const Json& spec);
  static Status Run(const Step& step, std::string_view text, RegexScratch* scratch,
                    std::deque<std::string>* owned, std::vector<SplitPart>* parts,
                    std::vector<std::string_view>* words);

  std::vector<Step> steps_;
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_H_
