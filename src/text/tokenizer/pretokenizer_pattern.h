// tokenizer.json's regexes are written for Oniguruma in its Ruby syntax; we run them on PCRE2.
#ifndef KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_PATTERN_H_
#define KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_PATTERN_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace kakeya {

// Longest pattern taken, in bytes. Published ones have a few hundred.
inline constexpr size_t kMaxPatternBytes = 8192;

// The same pattern in PCRE2's syntax (to be compiled with UTF, UCP and MULTILINE). What both
// engines read alike is copied; \s, \w, \b, \h, \uHHHH, scripts, and classes in classes ([a[bc]],
// [a-z&&[^aeiou]]) are rewritten; whatever else they read differently or only one of them knows
// (backreferences, verbs, [:alpha:], `{n}+`, ...) is Unsupported.
// A callout (number 1) stands behind every repeat and every group, so that the one who runs the
// pattern can count its steps. One difference stays: under (?i) Oniguruma lets "ss" match U+00DF
// and the like, PCRE2 doesn't.
Result<std::string> TranslatePattern(std::string_view pattern);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_PRETOKENIZER_PATTERN_H_
