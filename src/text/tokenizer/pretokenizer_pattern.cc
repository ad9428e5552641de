#include "text/tokenizer/pretokenizer_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "format/quote.h"

namespace kakeya {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHexDigit(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What \w holds in a class of Oniguruma's. By itself, and in \b, it holds the digits and fractions
// of Latin-1 besides, which are read from another table there.
constexpr std::string_view kWordItems = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kWord =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}])";
constexpr std::string_view kNotWord =
    R"([^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}])";

constexpr int kMaxClassDepth = 8;

// By the name alone PCRE2 means the script's extensions, too: U+3001 would be \p{Han}.
bool IsScript(std::string_view name) {
  const std::string pattern = "\\p{sc:" + std::string(name) + "}";
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF, &error, &offset, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

class Translator {
 public:
  explicit Translator(std::string_view in) : in_(in) {}

  Result<std::string> Run() {
    if (in_.size() > kMaxPatternBytes) {
      return Unsupported("regex of {} bytes is longer than the limit of {}", in_.size(),
                         kMaxPatternBytes);
    }
    while (at_ < in_.size()) KAKEYA_RETURN_IF_ERROR(Item());
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
      case '[': {
        KAKEYA_ASSIGN_OR_RETURN(const Class parsed, ParseClass(/*depth=*/1));
        out_ += parsed.Expression();
        return OkStatus();
      }
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

  // One character out of a set. PCRE2's classes hold no classes: what doesn't fit into one is an
  // alternative beside it.
  struct Union {
    std::string items;                // between [ and ]
    std::vector<std::string> others;  // expressions that match one character each

    std::string Expression(bool negated) const {
      std::string plain = items.empty() ? "" : (negated ? "[^" : "[") + items + "]";
      if (others.empty()) return plain;
      std::string any = items.empty() ? "" : "[" + items + "]|";
      for (size_t i = 0; i < others.size(); ++i) any.append(i > 0 ? "|" : "").append(others[i]);
      return negated ? "(?:(?!" + any + ")\\p{Any})" : "(?:" + any + ")";
    }
  };
  struct Class {
    bool negated = false;
    std::vector<Union> operands = {};  // the characters that are in each of them

    bool IsPlain() const { return !negated && operands.size() == 1; }
    std::string Expression() const {
      if (operands.size() == 1) return operands[0].Expression(negated);
      std::string all;
      for (size_t i = 1; i < operands.size(); ++i) {
        all += "(?=" + operands[i].Expression(false) + ")";
      }
      all += operands[0].Expression(false);
      return negated ? "(?:(?!" + all + ")\\p{Any})" : "(?:" + all + ")";
    }
  };

  // REQUIRES: a '[' follows.
  Result<Class> ParseClass(int depth) {
    if (depth > kMaxClassDepth) return Refuse("a class nested so deep");
    Class parsed{.negated = Follows("[^")};
    at_ += parsed.negated ? 2 : 1;
    parsed.operands.emplace_back();
    if (Follows("]")) {  // first in its class, it is a character
      if (depth > 1) return Refuse("']' first in a nested class");
      parsed.operands[0].items = "\\]";
      ++at_;
    }
    while (at_ < in_.size() && !Follows("]")) {
      if (Follows("&&")) {
        at_ += 2;
        if (Follows("^") || Follows("-")) return Refuse("this behind '&&'");
        parsed.operands.emplace_back();
      } else {
        KAKEYA_RETURN_IF_ERROR(ClassItem(depth, &parsed.operands.back()));
      }
    }
    if (at_ >= in_.size()) return Refuse("a class without its ']'");
    ++at_;
    for (const Union& operand : parsed.operands) {
      if (operand.items.empty() && operand.others.empty()) return Refuse("an empty class");
    }
    return parsed;
  }

  Status ClassItem(int depth, Union* into) {
    if (Follows("[")) return NestedClass(depth, into);
    if (Follows("\\W")) {
      into->others.push_back("[^" + std::string(kWordItems) + "]");
      at_ += 2;
      return OkStatus();
    }
    if (Follows("^") && into->items.empty()) {  // a character, as it isn't first in the pattern
      into->items = "\\^";
      ++at_;
      return OkStatus();
    }
    std::string outside = std::exchange(out_, {});
    in_class_ = true;
    Status status;
    if (Follows("\\")) {
      status = Escape();
    } else {
      Copy(1);
    }
    in_class_ = false;
    into->items += std::exchange(out_, std::move(outside));
    return status;
  }

  Status NestedClass(int depth, Union* into) {
    if (Follows("[:")) return Refuse("'[:'");
    if (into->items.ends_with('-')) return Refuse("a range that ends with a class");
    KAKEYA_ASSIGN_OR_RETURN(const Class nested, ParseClass(depth + 1));
    if (Follows("-")) return Refuse("a range that starts with a class");
    if (!nested.IsPlain()) {
      into->others.push_back(nested.Expression());
      return OkStatus();
    }
    const Union& members = nested.operands[0];
    if (members.items.starts_with('-') || members.items.ends_with('-')) {
      into->others.push_back(nested.Expression());
      return OkStatus();
    }
    into->items += members.items;
    into->others.insert(into->others.end(), members.others.begin(), members.others.end());
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
      case 'w':
        return Replace(in_class_ ? kWordItems : kWord);
      case 'W':  // in a class it has been dealt with
        return Replace(kNotWord);
      case 'b':
      case 'B':
        return in_class_ ? Refuse("this escape") : Boundary(c == 'b');
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

  // \b, \B
  Status Boundary(bool wanted) {
    const std::string word(kWord);
    const std::string begins = "(?<!" + word + ")(?" + (wanted ? "=" : "!") + word + ")";
    const std::string ends = "(?<=" + word + ")(?" + (wanted ? "!" : "=") + word + ")";
    return Replace("(?:" + begins + "|" + ends + ")");
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
    std::string_view name = in_.substr(at_ + 3, end - at_ - 3);
    bool negated = in_[at_ + 1] == 'P';
    if (name.starts_with('^')) {
      name.remove_prefix(1);
      negated = !negated;
    }
    if (name.size() <= 2 || !IsScript(name)) {
      Copy(end + 1 - at_);
      return OkStatus();
    }
    out_.append(negated ? "\\P{sc:" : "\\p{sc:").append(name).append("}");
    at_ = end + 1;
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
