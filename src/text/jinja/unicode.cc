#include "text/jinja/unicode.h"

#include <utf8proc.h>

#include <algorithm>

namespace kakeya::jinja {
namespace {

utf8proc_category_t Category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

char32_t UpperOf(char32_t c) { return char32_t(utf8proc_toupper(utf8proc_int32_t(c))); }
char32_t LowerOf(char32_t c) { return char32_t(utf8proc_tolower(utf8proc_int32_t(c))); }
char32_t TitleOf(char32_t c) { return char32_t(utf8proc_totitle(utf8proc_int32_t(c))); }

constexpr char32_t kSharpS = 0xDF;
constexpr char32_t kCapitalSigma = 0x3A3;

// A capital sigma at the end of a word becomes the final form.
char32_t LowerIn(std::string_view text, size_t begin, size_t end, char32_t c) {
  if (c != kCapitalSigma) return LowerOf(c);
  size_t next = end;
  const bool after = end < text.size() && IsCased(DecodeAt(text, &next));
  size_t previous = begin == 0 ? 0 : StepBack(text, begin);
  const bool before = begin > 0 && IsCased(DecodeAt(text, &previous));
  return before && !after ? 0x3C2 : 0x3C3;
}

}  // namespace

char32_t DecodeAt(std::string_view text, size_t* at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(*at);
  const int extra = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  char32_t c = extra == 0 ? lead : lead & (0x3F >> extra);
  ++*at;
  for (int i = 0; i < extra && *at < text.size(); ++i) c = (c << 6) | (byte((*at)++) & 0x3F);
  return c;
}

size_t StepBack(std::string_view text, size_t at) {
  do {
    --at;
  } while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

void AppendUtf8(char32_t c, std::string* out) {
  utf8proc_uint8_t bytes[4];
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
}

size_t CountCharacters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::vector<size_t> CharacterOffsets(std::string_view text) {
  std::vector<size_t> out;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) != 0x80) out.push_back(i);
  }
  out.push_back(text.size());
  return out;
}

bool IsSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool IsLineBreak(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool IsAlpha(char32_t c) {
  const auto category = Category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool IsDigit(char32_t c) { return Category(c) == UTF8PROC_CATEGORY_ND; }
bool IsUpper(char32_t c) {
  return Category(c) == UTF8PROC_CATEGORY_LU || (LowerOf(c) != c && UpperOf(c) == c);
}
bool IsLower(char32_t c) {
  return Category(c) == UTF8PROC_CATEGORY_LL || (UpperOf(c) != c && LowerOf(c) == c);
}
bool IsCased(char32_t c) { return IsUpper(c) || IsLower(c) || Category(c) == UTF8PROC_CATEGORY_LT; }

bool IsPrintable(char32_t c) {
  if (c == ' ') return true;
  const auto category = Category(c);
  return category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS;
}

std::string ToUpper(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = DecodeAt(text, &at);
    if (c == kSharpS) {
      out += "SS";
    } else {
      AppendUtf8(UpperOf(c), &out);
    }
  }
  return out;
}

std::string ToLower(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = DecodeAt(text, &at);
    AppendUtf8(LowerIn(text, begin, at, c), &out);
  }
  return out;
}

std::string Capitalize(std::string_view text) {
  if (text.empty()) return "";
  std::string out;
  size_t at = 0;
  const char32_t first = DecodeAt(text, &at);
  AppendUtf8(TitleOf(first), &out);
  if (first == kSharpS) out = "Ss";
  while (at < text.size()) {
    const size_t begin = at;
    const char32_t c = DecodeAt(text, &at);
    AppendUtf8(LowerIn(text, begin, at, c), &out);
  }
  return out;
}

std::string TitleCase(std::string_view text) {
  std::string out;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = DecodeAt(text, &at);
    AppendUtf8(in_word ? LowerIn(text, begin, at, c) : TitleOf(c), &out);
    in_word = IsCased(c);
  }
  return out;
}

}  // namespace kakeya::jinja
