// Values as text: Python's str() and repr(), json.dumps(), and the two ways of formatting.
#ifndef KAKEYA_TEXT_JINJA_FORMAT_H_
#define KAKEYA_TEXT_JINJA_FORMAT_H_

#include <optional>
#include <string>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace kakeya::jinja {

std::string FormatFloat(double value);
// The number d.ddd * 10^exponent (its digits without a point), as str(float) writes it: with an
// exponent where that is below -4 or reaches the limit.
std::string LayOutDigits(std::string digits, int exponent, int limit);

// str(value). Inside lists and dicts strings are quoted as repr() does; what was the user's stays
// the user's. Fails for values whose text would be a memory address.
Text ToText(Runtime& runtime, const Value& value);
Text ToRepr(Runtime& runtime, const Value& value);

struct JsonStyle {
  std::optional<std::string> indent;  // of one level; absent: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool ensure_ascii = false;
  bool sort_keys = false;
};
Text ToJsonText(Runtime& runtime, const Value& value, const JsonStyle& style);

// What came out of a format: each part keeps its origin, but all is the user's when the format is
// (he then says which part goes where).
Text OfFormat(const Text& format, Text out);
// "%s is %d" % values: conversions d i u s r f F e g x X c %, flags "-0 +#", width and precision.
Value FormatPercent(Runtime& runtime, const Text& format, const Value& values);
// "{} {0} {name} {0.attr} {0[item]} {!r} {:>{}}".format(...).
Value FormatBraces(Runtime& runtime, const Text& format, const CallArgs& args);

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_FORMAT_H_
