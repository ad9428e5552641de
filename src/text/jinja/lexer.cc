#include "text/jinja/lexer.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "format/quote.h"
#include "text/jinja/runtime.h"
#include "text/jinja/unicode.h"

namespace kakeya::jinja {
namespace {

// Every kind of line end becomes "\n", and the last one goes.
std::string Normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool IsDecimal(char c) { return c >= '0' && c <= '9'; }

bool IsNameCharacter(char32_t c) {
  if (c < 0x80) return IsAlpha(c) || IsDigit(c) || c == '_';
  return IsAlpha(c) || IsDigit(c);
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(Normalize(source)) {}

  std::vector<Token> Run() {
    while (at_ < source_.size()) LexData();
    Push(TokenKind::kEnd);
    return std::move(tokens_);
  }

 private:
  bool At(std::string_view text) const { return source_.compare(at_, text.size(), text) == 0; }

  char Peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }

  // Moves on, counting lines.
  void Skip(size_t n) {
    line_ += static_cast<int>(std::count(source_.begin() + at_, source_.begin() + at_ + n, '\n'));
    at_ += n;
  }

  void SkipSpace() {
    size_t end = at_;
    for (size_t next = end; next < source_.size() && IsSpace(DecodeAt(source_, &next));) end = next;
    Skip(end - at_);
  }

  Token& Push(TokenKind kind, std::string text = "") {
    tokens_.push_back({});
    tokens_.back().kind = kind;
    tokens_.back().line = line_;
    tokens_.back().text = std::move(text);
    return tokens_.back();
  }

  char TakeSign() {
    if (Peek() != '-' && Peek() != '+') return '\0';
    return source_[at_++];
  }

  // The text before a tag, without what the tag's sign or lstrip_blocks takes away.
  void PushData(size_t begin, size_t end, int line, char sign, bool is_variable) {
    size_t keep = end;
    if (sign == '-') {
      while (keep > begin) {
        const size_t previous = StepBack(source_, keep);
        size_t next = previous;
        if (!IsSpace(DecodeAt(source_, &next))) break;
        keep = previous;
      }
    } else if (sign != '+' && !is_variable) {
      size_t blank = end;
      while (blank > begin && source_[blank - 1] != '\n') {
        const size_t previous = StepBack(source_, blank);
        size_t next = previous;
        if (!IsSpace(DecodeAt(source_, &next))) break;
        blank = previous;
      }
      const bool line_begins = blank > begin ? source_[blank - 1] == '\n' : line_starting_;
      if (line_begins) keep = blank;
    }
    if (keep == begin) return;
    tokens_.push_back({TokenKind::kData, line, source_.substr(begin, keep - begin), 0, 0});
  }

  // Text up to the next tag, and that tag.
  void LexData() {
    const size_t begin = at_;
    const int line = line_;
    const auto is_tag = [&](size_t i) {
      return i + 1 < source_.size() &&
             std::string_view("%{#").find(source_[i + 1]) != std::string_view::npos;
    };
    size_t tag = source_.find('{', at_);
    while (tag != std::string::npos && !is_tag(tag)) tag = source_.find('{', tag + 1);
    if (tag == std::string::npos) {
      Skip(source_.size() - at_);
      tokens_.push_back({TokenKind::kData, line, source_.substr(begin), 0, 0});
      return;
    }
    Skip(tag - at_);
    const char kind = source_[tag + 1];
    at_ += 2;
    const char sign = TakeSign();
    PushData(begin, tag, line, sign, kind == '{');
    if (kind == '#') {
      LexComment();
    } else if (kind == '{') {
      Push(TokenKind::kVariableBegin);
      LexTag("}}", TokenKind::kVariableEnd);
    } else if (!LexRaw()) {
      Push(TokenKind::kBlockBegin);
      LexTag("%}", TokenKind::kBlockEnd);
    }
  }

  // Behind a closing delimiter: whitespace goes after '-', one newline after a block or comment
  // without sign.
  void EndTag(char sign, bool trim_newline) {
    const size_t begin = at_;
    if (sign == '-') {
      SkipSpace();
    } else if (sign != '+' && trim_newline && Peek() == '\n') {
      Skip(1);
    }
    line_starting_ = at_ > begin && source_[at_ - 1] == '\n';
  }

  void LexComment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) FailParse(line_, "a comment isn't closed");
    const char last = end > at_ ? source_[end - 1] : '\0';
    Skip(end - at_);
    at_ += 2;
    EndTag(last == '-' || last == '+' ? last : '\0', true);
  }

  // {% raw %} ... {% endraw %}; false (and nothing taken) when the tag at hand isn't raw.
  bool LexRaw() {
    const size_t start = at_;
    const int start_line = line_;
    SkipSpace();
    if (At("raw")) {
      at_ += 3;
      SkipSpace();
      const bool strip = At("-%}");
      if (strip || At("%}")) {
        at_ += strip ? 3 : 2;
        EndTag(strip ? '-' : '\0', false);
        LexRawBody();
        return true;
      }
    }
    at_ = start;
    line_ = start_line;
    return false;
  }

  void LexRawBody() {
    const size_t begin = at_;
    const int line = line_;
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos;
         tag = source_.find("{%", tag + 2)) {
      Skip(tag - at_);
      at_ += 2;
      const char sign = TakeSign();
      SkipSpace();
      if (!At("endraw")) {
        tag = at_ - 2;
        continue;
      }
      at_ += 6;
      SkipSpace();
      const char end_sign = TakeSign();
      if (!At("%}")) continue;
      at_ += 2;
      PushData(begin, tag, line, sign, false);
      EndTag(end_sign, true);
      return;
    }
    FailParse(line, "a raw block isn't closed");
  }

  // The tokens of a tag, up to and including its end. Inside brackets "}}" is two brackets.
  void LexTag(std::string_view end, TokenKind end_kind) {
    std::string open;
    while (true) {
      SkipSpace();
      if (at_ >= source_.size()) FailParse(line_, "the template ends inside a tag");
      if (open.empty()) {
        const bool block = end_kind == TokenKind::kBlockEnd;
        const char sign = Peek() == '-' || (block && Peek() == '+') ? Peek() : '\0';
        if (source_.compare(at_ + (sign ? 1 : 0), end.size(), end) == 0) {
          at_ += end.size() + (sign ? 1 : 0);
          Push(end_kind);
          EndTag(sign, block);
          return;
        }
      }
      LexToken(&open);
    }
  }

  void LexToken(std::string* open) {
    const char c = Peek();
    if (c == '"' || c == '\'') return LexString(c);
    if (IsDecimal(c)) return LexNumber();
    size_t next = at_;
    if (IsNameCharacter(DecodeAt(source_, &next))) return LexName();
    static constexpr std::string_view kOperators[] = {
        "**", "//", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    for (std::string_view op : kOperators) {
      if (!At(op)) continue;
      Balance(op[0], open);
      Push(TokenKind::kOperator, std::string(op));
      at_ += op.size();
      return;
    }
    FailParse(line_, "unexpected character " + Quoted(source_.substr(at_, 1)));
  }

  void Balance(char c, std::string* open) {
    if (c == '(' || c == '[' || c == '{') {
      open->push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
      if (open->empty() || open->back() != c) FailParse(line_, fmt::format("unexpected '{}'", c));
      open->pop_back();
    }
  }

  void LexName() {
    size_t end = at_;
    for (size_t next = end; next < source_.size() && IsNameCharacter(DecodeAt(source_, &next));)
      end = next;
    Push(TokenKind::kName, source_.substr(at_, end - at_));
    at_ = end;
  }

  // Digits of the base from `at`, single underscores between them allowed. Returns their end.
  size_t DigitsEnd(size_t at, int base) const {
    const auto is_digit = [&](size_t i) {
      if (i >= source_.size()) return false;
      const char c = source_[i] | 0x20;
      const int digit = IsDecimal(source_[i])  ? source_[i] - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                               : 99;
      return digit < base;
    };
    while (is_digit(at) ||
           (source_.compare(at, 1, "_") == 0 && IsDecimal(source_[at - 1]) && is_digit(at + 1)))
      ++at;
    return at;
  }

  void LexNumber() {
    if (Peek() == '0') {
      const char c = Peek(1) | 0x20;
      const int base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
      const size_t end = base == 10 ? at_ : DigitsEnd(at_ + 2, base);
      if (base != 10 && end > at_ + 2) return PushInteger(at_ + 2, end, base);
    }
    const size_t whole = DigitsEnd(at_, 10);
    size_t end = whole;
    // "a.0.1" is two subscripts, so no fraction follows a number that follows a dot.
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!after_dot) {
      if (source_.compare(end, 1, ".") == 0 && DigitsEnd(end + 1, 10) > end + 1)
        end = DigitsEnd(end + 1, 10);
      if (end < source_.size() && (source_[end] | 0x20) == 'e') {
        size_t exponent = end + 1;
        if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-'))
          ++exponent;
        if (DigitsEnd(exponent, 10) > exponent) end = DigitsEnd(exponent, 10);
      }
    }
    if (end == whole) return PushInteger(at_, end, 10);
    std::string digits = source_.substr(at_, end - at_);
    std::erase(digits, '_');
    Token& token = Push(TokenKind::kFloat, digits);
    token.number = std::strtod(digits.c_str(), nullptr);
    at_ = end;
  }

  void PushInteger(size_t begin, size_t end, int base) {
    std::string digits = source_.substr(begin, end - begin);
    std::erase(digits, '_');
    Token& token = Push(TokenKind::kInteger, digits);
    const char* last = digits.data() + digits.size();
    if (std::from_chars(digits.data(), last, token.integer, base).ec != std::errc()) {
      FailParse(line_, "a number is too large: " + Quoted(digits));
    }
    at_ = end;
  }

  void LexString(char quote) {
    const int line = line_;
    std::string out;
    for (++at_; Peek() != quote;) {
      if (at_ >= source_.size()) FailParse(line, "a string isn't closed");
      if (Peek() == '\\' && at_ + 1 < source_.size()) {
        LexEscape(&out);
      } else {
        out += Peek();
        Skip(1);
      }
    }
    ++at_;
    Push(TokenKind::kString, std::move(out)).line = line;
  }

  // Python's escapes; an unknown one stays as it is.
  void LexEscape(std::string* out) {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    const char c = Peek(1);
    const size_t known = kFrom.find(c);
    if (c == '\n') {
      Skip(2);
    } else if (known != std::string_view::npos && c != '\0') {
      *out += kTo[known];
      at_ += 2;
    } else if (c >= '0' && c <= '7') {
      size_t end = at_ + 1;
      while (end < at_ + 4 && end < source_.size() && source_[end] >= '0' && source_[end] <= '7')
        ++end;
      AppendCode(at_ + 1, end, 8, out);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      AppendCode(at_ + 2, at_ + 2 + digits, 16, out);
    } else if (c == 'N') {
      FailParse(line_, "character names (\\N{...}) are not supported");
    } else {
      *out += '\\';
      ++at_;
    }
  }

  void AppendCode(size_t begin, size_t end, int base, std::string* out) {
    uint32_t code = 0;
    const char* last = source_.data() + std::min(end, source_.size());
    const auto [stop, error] = std::from_chars(source_.data() + begin, last, code, base);
    const bool complete = error == std::errc() && stop == source_.data() + end;
    if (!complete || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      FailParse(line_, "a character escape isn't valid");
    }
    AppendUtf8(code, out);
    at_ = end;
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

void FailParse(int line, const std::string& what) {
  throw Error{StatusCode::kCorrupt, fmt::format("chat template line {}: {}", line, what), true};
}

std::vector<Token> Tokenize(std::string_view source) { return Lexer(source).Run(); }

}  // namespace kakeya::jinja
