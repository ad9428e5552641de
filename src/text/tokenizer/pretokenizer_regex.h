// The regexes of pre-tokenizers, on PCRE2, with limits: a pattern from a file is not trusted.
#ifndef KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_REGEX_H_
#define KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_REGEX_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kakeya {

// Compiled pattern. Thread safety: immutable; one RegexScratch per thread does the work.
class PretokenizerRegex {
 public:
  // A pattern as tokenizer.json writes it (pretokenizer_pattern.h says what is understood).
  static Result<PretokenizerRegex> Compile(std::string_view pattern);
  // A pattern that matches exactly `text`.
  static Result<PretokenizerRegex> CompileLiteral(std::string_view text);

  const void* code() const { return code_.get(); }  // pcre2_code
  const std::string& source() const { return source_; }

 private:
  static Result<PretokenizerRegex> CompileTranslated(std::string_view source,
                                                     const std::string& translated,
                                                     uint32_t options);
  std::shared_ptr<const void> code_;
  std::string source_;  // as given, for messages
};

struct RegexMatch {
  size_t begin = 0;
  size_t end = 0;
};

// Working memory and budget for the searches of one text. The budget is a number of steps, so that
// a pattern runs away on every machine or on none: 10 million and 200 more per byte, where sane
// patterns take fewer than 20 per byte.
class RegexScratch {
 public:
  explicit RegexScratch(size_t text_bytes);
  ~RegexScratch();
  RegexScratch(const RegexScratch&) = delete;
  RegexScratch& operator=(const RegexScratch&) = delete;

 private:
  friend class RegexSearch;
  struct State;
  std::unique_ptr<State> state_;
};

// All matches in a text, left to right, not overlapping. An empty match right behind the previous
// match is skipped, as Oniguruma's callers do.
class RegexSearch {
 public:
  // REQUIRES: text is valid UTF-8. All three must outlive this.
  RegexSearch(const PretokenizerRegex& regex, std::string_view text, RegexScratch* scratch);

  // False when there is no further match. Errors: ResourceExhausted when a limit is hit.
  Result<bool> Next(RegexMatch* match);

 private:
  size_t NextChar(size_t at) const;

  const PretokenizerRegex& regex_;
  std::string_view text_;
  RegexScratch::State* state_;
  size_t from_ = 0;
  size_t last_end_ = SIZE_MAX;  // end of the previous match
};

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_REGEX_H_
