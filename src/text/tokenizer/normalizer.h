// Rewrites text before it is cut into words. tokenizer.json's "normalizer": NFC, NFD, NFKC, NFKD,
// Lowercase, Strip, StripAccents, Prepend, Replace, Sequence.
#ifndef KAKEYA_TEXT_TOKENIZER_NORMALIZER_H_
#define KAKEYA_TEXT_TOKENIZER_NORMALIZER_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/json.h"
#include "text/tokenizer/normal_form.h"
#include "text/tokenizer/pretokenizer_regex.h"

namespace kakeya {

// A text and how it came about.
struct NormalizedText {
  std::string text;
  std::vector<std::vector<TextEdit>> edits;  // of each step, made to what the step before it left
};

// Thread safety: immutable.
class Normalizer {
 public:
  Normalizer() = default;  // leaves every text alone
  static Normalizer Nfc();
  // `spec` is the value of "normalizer".
  static Result<Normalizer> Parse(const Json& spec);

  bool empty() const { return steps_.empty(); }
  bool IsNfc() const;  // nothing but NFC
  // Cheap sufficient test: true means that Run would change nothing.
  bool LeavesAlone(std::string_view text) const;

  // REQUIRES: text is valid UTF-8. Errors: ResourceExhausted when a regex of the file runs away on
  // this text, or when the text becomes more than 64 times as long.
  Result<NormalizedText> Run(std::string_view text, RegexScratch* scratch) const;

 private:
  struct Step {
    enum class Kind { kForm, kLowercase, kStrip, kStripAccents, kPrepend, kReplace };
    Kind kind = Kind::kForm;
    NormalForm form = NormalForm::kNfc;
    bool left = true;  // which ends are stripped
    bool right = true;
    std::string content = {};  // what is put in
    std::optional<PretokenizerRegex> pattern = {};
  };

  Status ParseInto(const Json& spec, const std::string& where);
  static Result<Step> ParseStep(const Json& spec, const std::string& type);
  static Status Apply(const Step& step, std::string_view text, size_t max_bytes,
                      RegexScratch* scratch, std::string* out, std::vector<TextEdit>* edits);
  static Status Replace(const Step& step, std::string_view text, size_t max_bytes,
                        RegexScratch* scratch, std::string* out, std::vector<TextEdit>* edits);

  std::vector<Step> steps_;
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_NORMALIZER_H_
