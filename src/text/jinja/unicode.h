// Characters as Python's str sees them. Strings are valid UTF-8 throughout the engine.
#ifndef KAKEYA_TEXT_JINJA_UNICODE_H_
#define KAKEYA_TEXT_JINJA_UNICODE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kakeya::jinja {

// The character at byte `at`, which moves behind it. REQUIRES: at < text.size().
char32_t DecodeAt(std::string_view text, size_t* at);
// The beginning of the character that ends before byte `at`. REQUIRES: 0 < at <= text.size().
size_t StepBack(std::string_view text, size_t at);
void AppendUtf8(char32_t c, std::string* out);
size_t CountCharacters(std::string_view text);
// Byte offsets of all characters, and text.size() as the last entry.
std::vector<size_t> CharacterOffsets(std::string_view text);

bool IsSpace(char32_t c);      // str.isspace
bool IsLineBreak(char32_t c);  // where str.splitlines splits
bool IsAlpha(char32_t c);
bool IsDigit(char32_t c);
bool IsCased(char32_t c);
bool IsUpper(char32_t c);
bool IsLower(char32_t c);
bool IsPrintable(char32_t c);  // repr() shows it as it is

// One character to one (U+00DF to "SS" excepted): Python's full case mapping differs for about a
// hundred rare characters more.
std::string ToUpper(std::string_view text);
std::string ToLower(std::string_view text);
std::string Capitalize(std::string_view text);
std::string TitleCase(std::string_view text);  // str.title

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_UNICODE_H_
