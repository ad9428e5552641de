// The pre-tokenizer UnicodeScripts as a regex.
#ifndef KAKEYA_TEXT_TOKENIZER_UNICODE_SCRIPTS_H_
#define KAKEYA_TEXT_TOKENIZER_UNICODE_SCRIPTS_H_

#include <string>

namespace kakeya {

// Matches runs of one script. Spaces and what has no script belong to the run before them; Han,
// Hiragana and Katakana are one. For PretokenizerRegex::Compile.
std::string UnicodeScriptsPattern();

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_UNICODE_SCRIPTS_H_
