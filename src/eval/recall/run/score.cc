#include "eval/recall/run/score.h"

#include <algorithm>

namespace kakeya {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// ASCII letters, digits and _, and every byte of a character beyond ASCII.
bool IsWord(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Digits in a row from `at`, at most four counted.
size_t DigitsFrom(std::string_view text, size_t at) {
  size_t n = 0;
  while (n < 4 && at + n < text.size() && IsDigit(text[at + n])) ++n;
  return n;
}

// Whether a number that ends before `end` goes on: ".5", or ",000" as thousands are written.
bool NumberGoesOn(std::string_view text, size_t end) {
  if (end >= text.size()) return false;
  const size_t digits = DigitsFrom(text, end + 1);
  return (text[end] == '.' && digits > 0) || (text[end] == ',' && digits == 3);
}

// Whether a number that begins at `begin` is the tail of one: "3.", "-", or "12," before exactly
// three digits.
bool NumberBegan(std::string_view text, size_t begin) {
  if (begin == 0) return false;
  const char before = text[begin - 1];
  const bool digit_before = begin >= 2 && IsDigit(text[begin - 2]);
  if (before == '-') return begin == 1 || text[begin - 2] == ' ';
  if (before == '.') return digit_before;
  return before == ',' && digit_before && DigitsFrom(text, begin) == 3;
}

bool StandsWhole(std::string_view text, size_t begin, size_t end) {
  const char first = text[begin];
  const char last = text[end - 1];
  if (IsWord(first) && begin > 0 && IsWord(text[begin - 1])) return false;
  if (IsWord(last) && end < text.size() && IsWord(text[end])) return false;
  if (IsDigit(first) && NumberBegan(text, begin)) return false;
  return !(IsDigit(last) && NumberGoesOn(text, end));
}

// Past the first whole occurrence of `value` from `from` on; npos when there is none.
size_t FindWhole(std::string_view text, std::string_view value, size_t from) {
  for (size_t at = text.find(value, from); at != std::string_view::npos;
       at = text.find(value, at + 1)) {
    if (StandsWhole(text, at, at + value.size())) return at + value.size();
  }
  return std::string_view::npos;
}

bool IsNumber(const std::string& value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), IsDigit);
}

// The numbers of the line that stand whole and have as many digits as one of `expected`, in order.
std::vector<std::string_view> Candidates(std::string_view line,
                                         const std::vector<std::string>& expected) {
  std::vector<std::string_view> out;
  for (size_t begin = 0; begin < line.size();) {
    size_t end = begin;
    while (end < line.size() && IsDigit(line[end])) ++end;
    if (end == begin) {
      ++begin;
      continue;
    }
    const auto as_long = [&](const std::string& value) { return value.size() == end - begin; };
    if (std::any_of(expected.begin(), expected.end(), as_long) && StandsWhole(line, begin, end)) {
      out.push_back(line.substr(begin, end - begin));
    }
    begin = end;
  }
  return out;
}

}  // namespace

bool IsRightAnswer(std::string_view answer, const std::vector<std::string>& expected) {
  const std::string_view line = answer.substr(0, answer.find_first_of("\r\n"));
  if (expected.empty()) return false;
  if (std::all_of(expected.begin(), expected.end(), IsNumber)) {
    const std::vector<std::string_view> numbers = Candidates(line, expected);
    return numbers.size() >= expected.size() &&
           std::equal(expected.begin(), expected.end(), numbers.begin());
  }
  size_t from = 0;
  return std::all_of(expected.begin(), expected.end(), [&](const std::string& value) {
    if (value.empty()) return false;
    from = FindWhole(line, value, from);
    return from != std::string_view::npos;
  });
}

}  // namespace kakeya
