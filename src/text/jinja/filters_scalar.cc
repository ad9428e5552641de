// Filters on single values: numbers and texts.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <unordered_map>

#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace kakeya::jinja {
namespace {

// ---- numbers ----

// Python's float(text); nothing when it isn't a number.
std::optional<double> ParseFloat(Runtime& runtime, const Text& text) {
  std::string s = Strip(runtime, text, nullptr, true, true).str();
  for (size_t i = 1; i + 1 < s.size(); ++i) {
    if (s[i] == '_' && std::isdigit(s[i - 1]) && std::isdigit(s[i + 1])) s.erase(i, 1);
  }
  if (s.empty() || s.find_first_of("xX_(") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(s.c_str(), &end);
  if (end != s.c_str() + s.size()) return std::nullopt;
  return value;
}

// Python's int(text, base); nothing when it isn't a number.
std::optional<int64_t> ParseInt(Runtime& runtime, const Text& text, int base) {
  std::string s = Strip(runtime, text, nullptr, true, true).str();
  if (s.size() > 100) return std::nullopt;
  for (size_t i = 1; i + 1 < s.size(); ++i) {
    if (s[i] == '_' && std::isalnum(s[i - 1]) && std::isalnum(s[i + 1])) s.erase(i, 1);
  }
  char* end = nullptr;
  errno = 0;
  const size_t digits = s.find_first_not_of("+-");
  const bool prefixed =
      digits != std::string::npos && s.substr(digits, 2) == (base == 2 ? "0b" : "0o");
  if ((base == 2 || base == 8) && prefixed) s.erase(digits, 2);
  if (digits > 1) return std::nullopt;  // npos, where there are none, too
  const int64_t value = std::strtoll(s.c_str(), &end, base);
  if (end != s.c_str() + s.size()) return std::nullopt;
  if (errno == ERANGE) Fail("integer overflow");
  return value;
}

Value IntFilter(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("int", {"default", "base"});
  Value otherwise = bound[0] ? *bound[0] : Value(int64_t{0});
  RequireDefined(subject);
  if (subject.IsInt()) return Value(subject.Int());
  const int64_t base = bound[1] ? IntOf(*bound[1], "int") : 10;
  if (base != 2 && base != 8 && base != 10 && base != 16)
    Fail("int takes the bases 2, 8, 10 and 16");
  std::optional<double> number;
  if (const Text* text = subject.AsText()) {
    if (const auto whole = ParseInt(runtime, *text, static_cast<int>(base))) return Value(*whole);
    number = ParseFloat(runtime, *text);
    if (number && !std::isfinite(*number)) number.reset();
  } else if (subject.Is<double>()) {
    if (std::isinf(subject.Double())) Fail("infinity is not a whole number");
    if (!std::isnan(subject.Double())) number = subject.Double();
  }
  if (!number) return otherwise;
  if (std::fabs(*number) >= 9.2e18) Fail("integer overflow");
  return Value(static_cast<int64_t>(*number));
}

Value FloatFilter(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("float", {"default"});
  RequireDefined(subject);
  if (subject.IsNumber()) return Value(subject.Double());
  if (subject.IsString()) {
    if (const auto number = ParseFloat(runtime, *subject.AsText())) return Value(*number);
  }
  return bound[0] ? *bound[0] : Value(0.0);
}

Value Round(Runtime&, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("round", {"precision", "method"});
  const int64_t precision = bound[0] ? IntOf(*bound[0], "round") : 0;
  const std::string method = bound[1] ? TextOf(*bound[1], "round").str() : "common";
  RequireDefined(subject);
  if (!subject.IsNumber()) Fail("round needs a number, not {}", subject.TypeName());
  if (precision < 0 || precision > 100) Fail("round takes a precision from 0 to 100");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value(std::ceil(subject.Double() * scale) / scale);
  if (method == "floor") return Value(std::floor(subject.Double() * scale) / scale);
  if (method != "common") Fail("round takes the methods common, ceil and floor");
  if (subject.IsInt()) return Value(subject.Int());
  // The decimal digits of the exact value, halves to even: what Python does.
  char buffer[512];
  std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(precision), subject.Double());
  return Value(std::strtod(buffer, nullptr));
}

Value Abs(Runtime&, const Value& subject, const CallArgs& args) {
  args.Bind("abs", {});
  RequireDefined(subject);
  if (subject.IsInt()) return subject.Int() < 0 ? Negate(subject) : Value(subject.Int());
  if (!subject.IsNumber()) Fail("abs needs a number, not {}", subject.TypeName());
  return Value(std::fabs(subject.Double()));
}

// ---- text ----

Value Rewrite(Runtime& runtime, const Value& subject, const CallArgs& args,
              std::string (*rewrite)(std::string_view)) {
  args.Bind("a string filter", {});
  const Text text = ToText(runtime, subject);
  runtime.SpendBytes(8 * text.size());
  return runtime.NewString(text.Rewritten(rewrite(text.str())));
}

// Jinja's own idea of a word: what follows blanks, hyphens and opening brackets.
std::string TitleWords(std::string_view text) {
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    const auto separates = [&](size_t at) {
      const char32_t c = DecodeAt(text, &at);
      return IsSpace(c) || std::u32string_view(U"-({[<").find(c) != std::u32string_view::npos;
    };
    const bool separator = separates(begin);
    size_t end = begin;
    while (end < text.size() && separates(end) == separator) DecodeAt(text, &end);
    const std::string_view part = text.substr(begin, end - begin);
    size_t rest = 0;
    DecodeAt(part, &rest);
    out += ToUpper(part.substr(0, rest)) + ToLower(part.substr(rest));
    begin = end;
  }
  return out;
}

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Value Indent(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("indent", {"width", "first", "blank"});
  Text indention;
  if (bound[0] && bound[0]->IsString()) {
    indention = *bound[0]->AsText();
  } else {
    const int64_t width = std::max<int64_t>(0, bound[0] ? IntOf(*bound[0], "indent") : 4);
    runtime.CheckSize(static_cast<size_t>(width));
    indention.Append(std::string(static_cast<size_t>(width), ' '));
  }
  Text text = TextOf(subject, "indent");
  text.Append("\n");
  const std::vector<Text> lines = SplitLines(text);
  Text out;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.Append("\n");
    const bool wanted = i == 0 ? Flag(bound[1]) : Flag(bound[2]) || !lines[i].empty();
    if (wanted) out.Append(indention);
    out.Append(lines[i]);
    runtime.Spend(1);
    runtime.CheckSize(out.size());
  }
  return runtime.NewString(std::move(out));
}

Value Truncate(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("truncate", {"length", "killwords", "end", "leeway"});
  const Text& text = TextOf(subject, "truncate");
  const int64_t length = bound[0] ? IntOf(*bound[0], "truncate") : 255;
  const Text end = bound[2] ? TextOf(*bound[2], "truncate") : Text::Trusted("...");
  const int64_t leeway = Given(bound[3]) ? IntOf(*bound[3], "truncate") : 5;
  const auto end_length = static_cast<int64_t>(CountCharacters(end.str()));
  if (length < end_length || length > INT32_MAX || leeway < 0 || leeway > INT32_MAX) {
    Fail("truncate can't cut to {} characters", length);
  }
  runtime.SpendBytes(text.size());
  const std::vector<size_t> offsets = CharacterOffsets(text.str());
  if (static_cast<int64_t>(offsets.size()) - 1 <= length + leeway) return subject;
  Text out = text.Slice(0, offsets[static_cast<size_t>(length - end_length)]);
  if (!Flag(bound[1])) out = out.Slice(0, std::min(out.str().rfind(' '), out.size()));
  out.Append(end);
  return runtime.NewString(std::move(out));
}

Value Center(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("center", {"width"});
  const int64_t width = bound[0] ? IntOf(*bound[0], "center") : 80;
  return runtime.NewString(
      Justified(runtime, ToText(runtime, subject), width, Align::kCenter, Text::Trusted(" ")));
}

int64_t WordCount(std::string_view text) {
  int64_t words = 0;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = DecodeAt(text, &at);
    const bool word = IsAlpha(c) || IsDigit(c) || c == '_';
    words += word && !in_word;
    in_word = word;
  }
  return words;
}

Value Format(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const Text format = ToText(runtime, subject);
  if (args.keyword.empty()) {
    return FormatPercent(runtime, format,
                         runtime.NewSequence(SequenceKind::kTuple, args.positional));
  }
  if (!args.positional.empty()) Fail("format takes positional or named arguments, not both");
  Dict values;
  for (const auto& [name, value] : args.keyword) values.Set(runtime.NewString(name), value);
  return FormatPercent(runtime, format, runtime.NewDict(std::move(values)));
}

Value ToJson(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = Flag(bound[0]);
  style.sort_keys = Flag(bound[3]);
  if (Given(bound[1])) {
    style.item_separator = ",";
    if (bound[1]->IsString()) {
      style.indent = bound[1]->AsText()->str();
    } else {
      const int64_t width = std::max<int64_t>(0, IntOf(*bound[1], "tojson"));
      runtime.CheckSize(static_cast<size_t>(width));
      style.indent = std::string(static_cast<size_t>(width), ' ');
    }
  }
  if (Given(bound[2])) {
    const std::vector<Value> separators = Iterate(runtime, *bound[2]);
    if (separators.size() != 2) Fail("tojson needs two separators");
    style.item_separator = TextOf(separators[0], "tojson").str();
    style.key_separator = TextOf(separators[1], "tojson").str();
  }
  return runtime.NewString(ToJsonText(runtime, subject, style));
}

Value ReplaceFilter(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("replace", {"old", "new", "count"}, 2);
  const int64_t limit = Given(bound[2]) ? IntOf(*bound[2], "replace") : -1;
  return runtime.NewString(Replace(runtime, ToText(runtime, subject), ToText(runtime, *bound[0]),
                                   ToText(runtime, *bound[1]), limit));
}

Value Trim(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const Value* characters = args.Bind("trim", {"chars"})[0];
  const Text* set = Given(characters) ? &TextOf(*characters, "trim") : nullptr;
  return runtime.NewString(Strip(runtime, ToText(runtime, subject), set, true, true));
}

const std::unordered_map<std::string, Filter>& ScalarFilters() {
  constexpr Filter kEscape = [](Runtime& r, const Value& v, const CallArgs& a) {
    return Rewrite(r, v, a, EscapeHtml);
  };
  constexpr Filter kString = [](Runtime& r, const Value& v, const CallArgs& a) {
    return a.Bind("string", {}), r.NewString(ToText(r, v));
  };
  static const auto* const kFilters = new std::unordered_map<std::string, Filter>{
      {"abs", Abs},
      {"capitalize",
       [](Runtime& r, const Value& v, const CallArgs& a) { return Rewrite(r, v, a, Capitalize); }},
      {"center", Center},
      {"e", kEscape},
      {"escape", kEscape},
      {"float", FloatFilter},
      {"forceescape", kEscape},
      {"format", Format},
      {"indent", Indent},
      {"int", IntFilter},
      {"lower",
       [](Runtime& r, const Value& v, const CallArgs& a) { return Rewrite(r, v, a, ToLower); }},
      {"replace", ReplaceFilter},
      {"round", Round},
      {"safe", kString},
      {"string", kString},
      {"title",
       [](Runtime& r, const Value& v, const CallArgs& a) { return Rewrite(r, v, a, TitleWords); }},
      {"tojson", ToJson},
      {"trim", Trim},
      {"truncate", Truncate},
      {"upper",
       [](Runtime& r, const Value& v, const CallArgs& a) { return Rewrite(r, v, a, ToUpper); }},
      {"wordcount",
       [](Runtime& r, const Value& v, const CallArgs& a) {
         return a.Bind("wordcount", {}), Value(WordCount(ToText(r, v).str()));
       }},
  };
  return *kFilters;
}

}  // namespace

Filter FindScalarFilter(const std::string& name) {
  const auto it = ScalarFilters().find(name);
  return it == ScalarFilters().end() ? nullptr : it->second;
}

}  // namespace kakeya::jinja
