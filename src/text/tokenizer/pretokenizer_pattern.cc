#include "text/tokenizer/pretokenizer_pattern.h"

#include <algorithm>
#include <array>

#include "format/quote.h"

namespace kakeya {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHexDigit(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class Translator {
 public:
  explicit Translator(std::string_view in) : in_(in) {}

  Result<std::string> Run() {
    if (in_.size() > kMaxPatternBytes) {
      return Unsupported("regex of {} bytes is longer than the limit of {}", in_.size(),
                         kMaxPatternBytes);
    }
    while (at_ < in_.size()) {
      KAKEYA_RETURN_IF_ERROR(in_class_ ? ClassItem() : Item());
    }
    if (in_class_) return Refuse("a class without its ']'");
    return std::move(out_);
  }

 private:
  bool Follows(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  void Copy(size_t count) {
    out_ += in_.substr(at_, count);
    at_ += count;
  }
  Status Refuse(std::string_view what) const {
    return Unsupported("regex {}: {} at byte {} is not supported", Quoted(in_), what, at_);
  }

  Status Item() {
    switch (in_[at_]) {
      case '\\':
        return Escape();
      case '[':
        in_class_ = true;
        Copy(Follows("[^") ? 2 : 1);
        if (Follows("]")) Copy(1);  // first in its class, it is a character
        return OkStatus();
      case '(':
        return Group();
      case ')':
        Copy(1);
        if (!RepeatFollows()) Count();
        return OkStatus();
      case '*':
      case '+':
      case '?':
        Copy(1);
        if (Follows("+") || Follows("?")) Copy(1);
        Count();
        return OkStatus();
      case '{':
        return Braces();
      default:
        Copy(1);
        return OkStatus();
    }
  }

  // Whatever can be tried more than once, or run along the text, is a repeat or a group. A callout
  // behind each lets the caller count the work.
  void Count() { out_ += "(?C1)"; }

  bool RepeatFollows() const {
    return Follows("*") || Follows("+") || Follows("?") || BracesEnd() > 0;
  }

  Status ClassItem() {
    if (Follows("[")) return Refuse("'[' inside a class");
    if (Follows("&&")) return Refuse("'&&' inside a class");
    if (Follows("\\")) return Escape();
    in_class_ = !Follows("]");
    Copy(1);
    return OkStatus();
  }

  Status Group() {
    if (Follows("(*")) return Refuse("'(*'");
    if (!Follows("(?")) {
      Copy(1);
      return OkStatus();
    }
    // In the middle of a pattern the engines disagree about how far an option reaches.
    if (at_ == 0 && Follows("(?i)")) {
      Copy(4);
      return OkStatus();
    }
    constexpr std::array<std::string_view, 8> kKnown = {
        "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
    const auto known = std::find_if(kKnown.begin(), kKnown.end(),
                                    [this](std::string_view group) { return Follows(group); });
    if (known == kKnown.end()) return Refuse("this kind of group");
    Copy(known->size());
    return OkStatus();
  }

  // "{n}", "{n,}", "{,n}" and "{n,m}" repeat; every other brace is a character. Where the repeat
  // ends, or 0.
  size_t BracesEnd() const {
    if (!Follows("{")) return 0;
    size_t end = at_ + 1;
    while (end < in_.size() && IsDigit(in_[end])) ++end;
    bool has_number = end > at_ + 1;
    if (end < in_.size() && in_[end] == ',') {
      ++end;
      const size_t digits = end;
      while (end < in_.size() && IsDigit(in_[end])) ++end;
      has_number |= end > digits;
    }
    return has_number && end < in_.size() && in_[end] == '}' ? end + 1 : 0;
  }

  Status Braces() {
    const size_t end = BracesEnd();
    if (end == 0) {
      Copy(1);
      return OkStatus();
    }
    const std::string_view repeat = in_.substr(at_, end - at_);
    if (repeat[1] == ',') return Refuse("a repeat without a minimum");
    const bool has_comma = repeat.find(',') != repeat.npos;
    const char next = end < in_.size() ? in_[end] : '\0';
    // Ruby reads {n,m}+ as a repeat of a repeat and {n}? as an option, PCRE2 as modifiers.
    if (next == '+' || (next == '?' && !has_comma)) return Refuse("a modifier after '{...}'");
    Copy(repeat.size() + (next == '?' ? 1 : 0));
    Count();
    return OkStatus();
  }

  Status Escape() {
    if (at_ + 1 == in_.size()) return Refuse("a lone '\\'");
    const char c = in_[at_ + 1];
    switch (c) {
      case 's':  // PCRE2's own \s holds U+180E as well
        return Replace("\\p{White_Space}");
      case 'S':
        return Replace("\\P{White_Space}");
      case 'h':
        return Replace(in_class_ ? "0-9a-fA-F" : "[0-9a-fA-F]");
      case 'v':
        return Replace("\\x{b}");
      case 'u':
        return CodePoint();
      case 'x':
        return HexByte();
      case 'p':
      case 'P':
        return Property();
      case 'A':
      case 'z':
      case 'Z':
        if (in_class_) return Refuse("this escape");
        Copy(2);
        return OkStatus();
      case 'd':
      case 'D':
      case 'r':
      case 'n':
      case 't':
      case 'f':
      case 'a':
      case 'e':
        Copy(2);
        return OkStatus();
      default:
        break;
    }
    if (IsAsciiLetter(c) || IsDigit(c)) return Refuse("this escape");
    if (c == '<' || c == '>') {  // a character in Ruby's syntax, but keep PCRE2 from wondering
      at_ += 1;
      Copy(1);
      return OkStatus();
    }
    Copy(2);  // punctuation stands for itself; of a longer character the rest follows by itself
    return OkStatus();
  }

  Status Replace(std::string_view text) {
    out_ += text;
    at_ += 2;
    return OkStatus();
  }

  // \uHHHH
  Status CodePoint() {
    const std::string_view digits = in_.substr(at_ + 2, 4);
    if (digits.size() != 4 || !std::all_of(digits.begin(), digits.end(), IsHexDigit)) {
      return Refuse("this escape");
    }
    out_ += "\\x{" + std::string(digits) + "}";
    at_ += 6;
    return OkStatus();
  }

  // \x{H...} names a character. \xHH names a byte, which is a character only below 0x80.
  Status HexByte() {
    if (Follows("\\x{")) {
      const size_t end = in_.find('}', at_);
      const std::string_view digits =
          end == in_.npos ? std::string_view() : in_.substr(at_ + 3, end - at_ - 3);
      if (digits.empty() || digits.size() > 6 ||
          !std::all_of(digits.begin(), digits.end(), IsHexDigit)) {
        return Refuse("this escape");
      }
      Copy(end + 1 - at_);
      return OkStatus();
    }
    const std::string_view digits = in_.substr(at_ + 2, 2);
    if (digits.size() != 2 || digits[0] > '7' || !IsHexDigit(digits[0]) || !IsHexDigit(digits[1])) {
      return Refuse("this escape");
    }
    Copy(4);
    return OkStatus();
  }

  Status Property() {
    const size_t end = in_.find('}', at_);
    if (in_.substr(at_ + 2, 1) != "{" || end == in_.npos) return Refuse("this escape");
    Copy(end + 1 - at_);
    return OkStatus();
  }

  std::string_view in_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

Result<std::string> TranslatePattern(std::string_view pattern) { return Translator(pattern).Run(); }

}  // namespace kakeya
