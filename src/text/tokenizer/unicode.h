// Characters and UTF-8, as far as tokenizers need them.
#ifndef KAKEYA_TEXT_TOKENIZER_UNICODE_H_
#define KAKEYA_TEXT_TOKENIZER_UNICODE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kakeya {

struct DecodedChar {
  char32_t code = 0;
  size_t length = 0;  // bytes
};

// The character at `offset`. REQUIRES: text is valid UTF-8 and a character starts at offset.
DecodedChar DecodeCharAt(std::string_view text, size_t offset);

// The character that ends at `end`. REQUIRES: text is valid UTF-8, 0 < end, a character ends there.
DecodedChar DecodeCharBefore(std::string_view text, size_t end);

// REQUIRES: code is a Unicode scalar value.
void AppendUtf8(char32_t code, std::string* out);

// Appends `bytes` with every maximal ill-formed subsequence replaced by U+FFFD (Unicode standard,
// section 3.9, "substitution of maximal subparts"). When `keep_tail` is set, a trailing start of a
// character that later bytes could complete is not consumed. Returns the number of bytes consumed.
size_t AppendRepaired(std::string_view bytes, bool keep_tail, std::string* out);

// The Unicode property White_Space (25 characters).
bool IsWhiteSpace(char32_t code);

// The Unicode notion of a word character (UTS 18, annex C): alphabetic, mark, decimal digit,
// connector punctuation, join control.
bool IsWordChar(char32_t code);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_UNICODE_H_
