#include "text/jinja/format_spec.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "format/quote.h"
#include "text/jinja/format.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace kakeya::jinja {
namespace {

constexpr size_t kMaxPrecision = 1000;

struct Spec {
  Text fill = Text::Trusted(" ");  // one character
  bool has_fill = false;
  char align = 0;  // < > ^ =, or 0: as the type of the value has it
  char sign = 0;   // + - or a blank
  bool no_negative_zero = false;
  bool alternate = false;
  size_t width = 0;
  char separator = 0;  // , or _ between groups of digits
  std::optional<size_t> precision;
  char type = 0;
};

class SpecParser {
 public:
  explicit SpecParser(const Text& text) : text_(text), s_(text.str()) {}

  Spec Run() {
    TakeAlignment();
    out_.sign = TakeOneOf("+- ");
    out_.no_negative_zero = TakeOneOf("z") != 0;
    out_.alternate = TakeOneOf("#") != 0;
    if (!out_.has_fill && TakeOneOf("0") != 0) {
      out_.fill = Text::Trusted("0");
      out_.has_fill = true;
      zero_ = true;
    }
    out_.width = TakeNumber().value_or(0);
    out_.separator = TakeOneOf(",_");
    if (out_.separator != 0 && TakeOneOf(",_") != 0) Fail("a format groups digits in two ways");
    if (TakeOneOf(".") != 0) {
      out_.precision = TakeNumber();
      if (!out_.precision) Fail("a format has no number behind its point");
    }
    if (s_.size() - at_ > 1) Fail("the format {} is not valid", Quoted(s_, 40));
    if (at_ < s_.size()) out_.type = s_[at_];
    if (out_.separator != 0 && out_.type != 0 && !HexSeparator() &&
        std::string_view("deEfFgG%").find(out_.type) == std::string_view::npos) {
      Fail("a format of type {} can't group digits", Quoted(std::string(1, out_.type)));
    }
    return out_;
  }

  // Whether the width began with a zero, which for numbers means padding behind the sign.
  bool zero() const { return zero_; }

 private:
  static bool IsAlignment(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

  // An alignment, or any character as filling and then one.
  void TakeAlignment() {
    if (s_.empty()) return;
    size_t second = 0;
    DecodeAt(s_, &second);
    if (second < s_.size() && IsAlignment(s_[second])) {
      out_.fill = text_.Slice(0, second);
      out_.has_fill = true;
      out_.align = s_[second];
      at_ = second + 1;
    } else if (IsAlignment(s_[0])) {
      out_.align = s_[at_++];
    }
  }

  char TakeOneOf(std::string_view characters) {
    const bool found = at_ < s_.size() && characters.find(s_[at_]) != std::string_view::npos;
    return found ? s_[at_++] : 0;
  }

  // Far beyond any budget a number only stays large.
  std::optional<size_t> TakeNumber() {
    const size_t begin = at_;
    size_t number = 0;
    for (; at_ < s_.size() && s_[at_] >= '0' && s_[at_] <= '9'; ++at_) {
      number = std::min(number * 10 + static_cast<size_t>(s_[at_] - '0'), size_t{1} << 50);
    }
    return at_ > begin ? std::optional(number) : std::nullopt;
  }

  bool HexSeparator() const {
    return out_.separator == '_' &&
           std::string_view("boxX").find(out_.type) != std::string_view::npos;
  }

  const Text& text_;
  const std::string& s_;
  size_t at_ = 0;
  bool zero_ = false;
  Spec out_;
};

Text FormatText(Runtime& runtime, const Spec& spec, const Text& text) {
  if (spec.type != 0 && spec.type != 's') {
    Fail("the format type {} is not for a str", Quoted(std::string(1, spec.type)));
  }
  if (spec.sign != 0 || spec.no_negative_zero || spec.alternate || spec.separator != 0 ||
      spec.align == '=') {
    Fail("the format of a str has a part that is for numbers");
  }
  Text out = text;
  const std::vector<size_t> offsets = CharacterOffsets(text.str());
  size_t length = offsets.size() - 1;
  if (spec.precision && *spec.precision < length) {
    length = *spec.precision;
    out = text.Slice(0, offsets[length]);
  }
  const size_t missing = std::max(spec.width, length) - length;
  const size_t left = spec.align == '>' ? missing : spec.align == '^' ? missing / 2 : 0;
  return Surrounded(runtime, out, left, missing - left, spec.fill);
}

// ---- numbers ----

// A number without its padding: sign, prefix ("0x"), the digits before the point, and the rest.
struct Parts {
  bool negative = false;
  std::string prefix;
  std::string digits;
  std::string rest;
};

// The digits with separators between groups, brought to `width` with zeros. Never begins with a
// separator, so it may become one longer.
std::string Grouped(const std::string& digits, char separator, size_t group, size_t width) {
  std::string reversed(digits.rbegin(), digits.rend());
  std::string out;
  for (size_t at = 0; at < reversed.size() || out.size() < width; ++at) {
    if (separator != 0 && at > 0 && at % group == 0) out += separator;
    out += at < reversed.size() ? reversed[at] : '0';
  }
  std::reverse(out.begin(), out.end());
  return out;
}

Text Assembled(Runtime& runtime, const Spec& spec, const Parts& parts) {
  const char* const sign = parts.negative     ? "-"
                           : spec.sign == '+' ? "+"
                           : spec.sign == ' ' ? " "
                                              : "";
  const std::string head = sign + parts.prefix;
  const size_t fixed = head.size() + parts.rest.size();
  const char align = spec.align != 0 ? spec.align : '>';
  runtime.CheckSize(spec.width);
  const bool zeros = spec.fill.str() == "0" && align == '=';
  const size_t group =
      spec.type != 0 && std::string_view("boxX").find(spec.type) != std::string_view::npos ? 4 : 3;
  const std::string digits = parts.digits.empty()
                                 ? ""
                                 : Grouped(parts.digits, spec.separator, group,
                                           zeros ? std::max(spec.width, fixed) - fixed : 0);
  const size_t length = fixed + digits.size();
  const size_t missing = std::max(spec.width, length) - length;
  if (align == '=') {
    Text out = Text::Trusted(head);
    out.Append(Surrounded(runtime, Text::Trusted(digits + parts.rest), missing, 0, spec.fill));
    return out;
  }
  const size_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  return Surrounded(runtime, Text::Trusted(head + digits + parts.rest), left, missing - left,
                    spec.fill);
}

Parts PartsOfInt(const Spec& spec, int64_t value) {
  if (spec.precision) Fail("the format of a whole number has a precision");
  if (spec.no_negative_zero) Fail("the format of a whole number has a z");
  Parts out;
  out.negative = value < 0;
  uint64_t magnitude = value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const uint64_t base = spec.type == 'b'                       ? 2
                        : spec.type == 'o'                     ? 8
                        : spec.type == 'x' || spec.type == 'X' ? 16
                                                               : 10;
  const char* const digits = spec.type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  do {
    out.digits += digits[magnitude % base];
    magnitude /= base;
  } while (magnitude > 0);
  std::reverse(out.digits.begin(), out.digits.end());
  if (spec.alternate && base != 10) out.prefix = std::string("0") + spec.type;
  return out;
}

// The digits of a finite float without a type: those of str(), or `precision` of them.
std::string PlainDigits(const Spec& spec, double value) {
  if (spec.alternate) Fail("the format of a float has a # but no type");
  if (!spec.precision) return FormatFloat(value);
  const int precision = std::max(1, static_cast<int>(*spec.precision));
  char buffer[1100];
  std::snprintf(buffer, sizeof(buffer), "%.*e", precision - 1, value);
  std::string digits = buffer;
  const size_t e = digits.find('e');
  const int exponent = std::atoi(digits.c_str() + e + 1);
  digits.resize(e);
  std::erase(digits, '.');
  digits.resize(std::max<size_t>(1, digits.find_last_not_of('0') + 1));
  return LayOutDigits(std::move(digits), exponent, precision - 1);
}

Parts PartsOfFloat(const Spec& spec, double value) {
  if (spec.precision && *spec.precision > kMaxPrecision) Fail("a format precision is too large");
  Parts out;
  out.negative = std::signbit(value) && !std::isnan(value);
  double magnitude = std::isnan(value) ? value : std::fabs(value);
  std::string text;
  if (spec.type == 0 && std::isfinite(magnitude)) {
    text = PlainDigits(spec, magnitude);
  } else {
    const bool percent = spec.type == '%';
    if (percent) magnitude *= 100;
    const char type = percent ? 'f' : spec.type == 0 || spec.type == 'n' ? 'g' : spec.type;
    const std::string format = std::string(spec.alternate ? "%#.*" : "%.*") + type;
    char buffer[1500];
    std::snprintf(buffer, sizeof(buffer), format.c_str(),
                  static_cast<int>(spec.precision.value_or(6)), std::fabs(magnitude));
    text = buffer + std::string(percent ? "%" : "");
  }
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  out.digits = text.substr(0, end);
  out.rest = text.substr(end);
  const size_t mantissa = std::min(text.find_first_of("eE%"), text.size());
  const bool zero = text.find_first_not_of("0.") >= mantissa;
  if (spec.no_negative_zero && zero) out.negative = false;
  return out;
}

}  // namespace

Text FormatValue(Runtime& runtime, const Value& value, const Text& spec_text) {
  if (spec_text.empty()) return ToText(runtime, value);
  if (!value.IsString() && !value.IsNumber()) {
    Fail("a {} takes no format", value.TypeName());
  }
  runtime.SpendBytes(spec_text.size());
  SpecParser parser(spec_text);
  Spec spec = parser.Run();
  if (const Text* text = value.AsText()) return FormatText(runtime, spec, *text);
  if (parser.zero() && spec.align == 0) spec.align = '=';
  constexpr std::string_view kOfInt = "bdnoxX", kOfFloat = "eEfFgGn%";
  const bool as_int = value.IsInt() && (spec.type == 0 || kOfInt.find(spec.type) != kOfInt.npos);
  if (as_int) return Assembled(runtime, spec, PartsOfInt(spec, value.Int()));
  if (spec.type != 0 && kOfFloat.find(spec.type) == kOfFloat.npos) {
    Fail("the format type {} is not for a {}", Quoted(std::string(1, spec.type)), value.TypeName());
  }
  return Assembled(runtime, spec, PartsOfFloat(spec, value.Double()));
}

}  // namespace kakeya::jinja
