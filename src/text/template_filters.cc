#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>
#include <unordered_set>

#include "format/quote.h"
#include "text/template_builtins.h"
#include "text/template_format.h"
#include "text/template_members.h"
#include "text/template_operators.h"
#include "text/template_strings.h"
#include "text/template_unicode.h"

namespace kakeya::jinja {
namespace {

using R = Runtime;
using V = Value;
using A = CallArgs;
using Filter = V (*)(R& runtime, const V& subject, const A& args);

bool Given(const V* value) { return value && !value->IsNone(); }
bool Flag(const V* value) { return value && value->Truthy(); }

// ---- looking into items ----

// The value an `attribute=` argument names: "a.b.0" goes from item to item.
class Getter {
 public:
  Getter(R& runtime, const V* attribute, const V* otherwise = nullptr) : runtime_(runtime) {
    if (Given(otherwise)) otherwise_ = *otherwise;
    if (!Given(attribute)) return;
    if (!attribute->IsString()) {
      path_.push_back(*attribute);
      return;
    }
    const std::string& text = attribute->AsText()->str();
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find('.', begin), text.size());
      const std::string part = text.substr(begin, end - begin);
      const bool number = !part.empty() && part.size() < 10 &&
                          part.find_first_not_of("0123456789") == std::string::npos;
      path_.push_back(number ? V(int64_t{std::stol(part)}) : runtime.NewString(part));
      begin = end + 1;
    }
  }

  V operator()(V item) const {
    for (const V& part : path_) {
      item = GetItem(runtime_, item, part);
      if (otherwise_ && item.IsUndefined()) item = *otherwise_;
    }
    return item;
  }

 private:
  R& runtime_;
  std::vector<V> path_;
  std::optional<V> otherwise_;
};

V IgnoreCase(R& runtime, V value) {
  if (!value.IsString()) return value;
  runtime.SpendBytes(8 * value.AsText()->size());
  return runtime.NewString(ToLower(value.AsText()->str()));
}

V Map(R& runtime, const V& subject, const A& args) {
  std::vector<V> out;
  const std::vector<V> items = Iterate(runtime, subject);
  if (args.positional.empty()) {
    const auto bound = args.Bind("map", {"attribute", "default"});
    if (!bound[0] && !items.empty()) Fail("map needs a filter or an attribute");
    const Getter getter(runtime, bound[0], bound[1]);
    for (const V& item : items) out.push_back(getter(item));
  } else {
    A rest = args;
    const std::string name = TextOf(rest.positional[0], "map").str();
    rest.positional.erase(rest.positional.begin());
    for (const V& item : items) out.push_back(ApplyFilter(runtime, name, item, rest));
  }
  return runtime.NewSequence(SequenceKind::kIterator, std::move(out));
}

V SelectItems(R& runtime, const V& subject, const A& args, bool by_attribute, bool keep) {
  std::vector<V> out;
  const std::vector<V> items = Iterate(runtime, subject);
  A rest = args;
  const V* attribute = nullptr;
  if (by_attribute && !items.empty()) {
    if (args.positional.empty()) Fail("selectattr and rejectattr need an attribute");
    attribute = &args.positional[0];
    rest.positional.erase(rest.positional.begin());
  }
  std::string test;
  if (!rest.positional.empty()) {
    test = TextOf(rest.positional[0], "select").str();
    rest.positional.erase(rest.positional.begin());
  }
  const Getter getter(runtime, attribute);
  for (const V& item : items) {
    const V value = getter(item);
    runtime.Spend(1);
    const bool passed = test.empty() ? value.Truthy() : ApplyTest(runtime, test, value, rest);
    if (passed == keep) out.push_back(item);
  }
  return runtime.NewSequence(SequenceKind::kIterator, std::move(out));
}

// ---- order ----

V Sort(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("sort", {"reverse", "case_sensitive", "attribute"});
  const bool reverse = Flag(bound[0]), case_sensitive = Flag(bound[1]);
  // "a,b" sorts by a, then by b.
  std::vector<Getter> getters;
  if (Given(bound[2]) && bound[2]->IsString()) {
    const A comma{{runtime.NewString(",")}, {}};
    for (const V& part :
         Iterate(runtime, FindStringMethod("split")(runtime, *bound[2]->AsText(), comma))) {
      getters.emplace_back(runtime, &part);
    }
  } else {
    getters.emplace_back(runtime, bound[2]);
  }
  std::vector<std::pair<std::vector<V>, V>> keyed;
  for (const V& item : Iterate(runtime, subject)) {
    std::vector<V> keys;
    for (const Getter& getter : getters) {
      keys.push_back(case_sensitive ? getter(item) : IgnoreCase(runtime, getter(item)));
    }
    keyed.emplace_back(std::move(keys), item);
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    for (size_t i = 0; i < getters.size(); ++i) {
      const int order = Order(runtime, a.first[i], b.first[i]);
      if (order != 0) return reverse ? order > 0 : order < 0;
    }
    return false;
  });
  std::vector<V> out;
  for (auto& entry : keyed) out.push_back(std::move(entry.second));
  return runtime.NewList(std::move(out));
}

V DictSort(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("dictsort", {"case_sensitive", "by", "reverse"});
  const std::string by = bound[1] ? TextOf(*bound[1], "dictsort").str() : "key";
  if (by != "key" && by != "value") Fail("dictsort sorts by 'key' or 'value'");
  if (!subject.AsDict()) Fail("dictsort needs a dict, not {}", subject.TypeName());
  A sort;
  sort.keyword.emplace_back("attribute", V(int64_t{by == "value"}));
  if (bound[0]) sort.keyword.emplace_back("case_sensitive", *bound[0]);
  if (bound[2]) sort.keyword.emplace_back("reverse", *bound[2]);
  const V items = FindMethod(runtime, subject, "items").AsCallable()->call({});
  return Sort(runtime, items, sort);
}

V Extreme(R& runtime, const V& subject, const A& args, int wanted) {
  const auto bound = args.Bind("min", {"case_sensitive", "attribute"});
  const Getter getter(runtime, bound[1]);
  const auto key_of = [&](const V& item) {
    return Flag(bound[0]) ? getter(item) : IgnoreCase(runtime, getter(item));
  };
  const std::vector<V> items = Iterate(runtime, subject);
  if (items.empty()) return V::MakeUndefined("No aggregated item, sequence was empty.");
  size_t best = 0;
  V best_key = key_of(items[0]);
  for (size_t i = 1; i < items.size(); ++i) {
    V key = key_of(items[i]);
    if (Order(runtime, key, best_key) * wanted <= 0) continue;
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

V Unique(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("unique", {"case_sensitive", "attribute"});
  const Getter getter(runtime, bound[1]);
  std::unordered_set<std::string> seen;
  std::vector<V> out;
  for (const V& item : Iterate(runtime, subject)) {
    const V key = Flag(bound[0]) ? getter(item) : IgnoreCase(runtime, getter(item));
    if (seen.insert(Dict::Canonical(key)).second) out.push_back(item);
  }
  return runtime.NewSequence(SequenceKind::kIterator, std::move(out));
}

V Sum(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("sum", {"attribute", "start"});
  const Getter getter(runtime, bound[0]);
  V out = bound[1] ? *bound[1] : V(int64_t{0});
  for (const V& item : Iterate(runtime, subject)) {
    const V next = getter(item);
    if (out.IsString()) Fail("sum can't add strings");
    out = Arithmetic(runtime, "+", out, next);
  }
  return out;
}

V Reverse(R& runtime, const V& subject, const A& args) {
  args.Bind("reverse", {});
  const V step(int64_t{-1});
  RequireDefined(subject);
  if (subject.IsString()) return SliceOf(runtime, subject, nullptr, nullptr, &step);
  const Sequence* sequence = subject.AsSequence();
  const bool list = sequence && sequence->kind == SequenceKind::kIterator;
  std::vector<V> items = Iterate(runtime, subject);
  std::reverse(items.begin(), items.end());
  return runtime.NewSequence(list ? SequenceKind::kList : SequenceKind::kIterator,
                             std::move(items));
}

V First(R& runtime, const V& subject, const A& args) {
  args.Bind("first", {});
  const Sequence* sequence = subject.AsSequence();
  if (sequence) {
    const bool once = sequence->kind == SequenceKind::kIterator;
    const size_t at = once ? sequence->consumed : 0;
    if (at < sequence->items.size()) {
      if (once) ++sequence->consumed;
      return sequence->items[at];
    }
  } else if (subject.IsString() && !subject.AsText()->empty()) {
    return GetItem(runtime, subject, V(int64_t{0}));
  } else if (subject.AsDict() && subject.AsDict()->size() > 0) {
    return subject.AsDict()->entries().front().first;
  } else {
    Iterate(runtime, subject);  // fails for what isn't a sequence at all
  }
  return V::MakeUndefined("No first item, sequence was empty.");
}

V Last(R& runtime, const V& subject, const A& args) {
  args.Bind("last", {});
  RequireDefined(subject);
  const Sequence* sequence = subject.AsSequence();
  if (sequence && sequence->kind == SequenceKind::kIterator) Fail("a generator has no last item");
  if (subject.IsString() && !subject.AsText()->empty())
    return GetItem(runtime, subject, V(int64_t{-1}));
  const std::vector<V> items = Iterate(runtime, subject);
  return items.empty() ? V::MakeUndefined("No last item, sequence was empty.") : items.back();
}

V Batch(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("batch", {"linecount", "fill_with"}, 1);
  const int64_t width = IntOf(*bound[0], "batch");
  if (width < 1) Fail("batch needs a positive size");
  runtime.CheckItems(static_cast<size_t>(width));
  std::vector<V> out, line;
  for (V& item : Iterate(runtime, subject)) {
    if (static_cast<int64_t>(line.size()) == width)
      out.push_back(runtime.NewList(std::exchange(line, {})));
    line.push_back(std::move(item));
  }
  if (Given(bound[1]) && !line.empty()) line.resize(static_cast<size_t>(width), *bound[1]);
  if (!line.empty()) out.push_back(runtime.NewList(std::move(line)));
  return runtime.NewSequence(SequenceKind::kIterator, std::move(out));
}

// ---- numbers ----

// Python's float(text); nothing when it isn't a number.
std::optional<double> ParseFloat(R& runtime, const Text& text) {
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
std::optional<int64_t> ParseInt(R& runtime, const Text& text, int base) {
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
  if (digits == std::string::npos || digits > 1) return std::nullopt;
  const int64_t value = std::strtoll(s.c_str(), &end, base);
  if (end != s.c_str() + s.size()) return std::nullopt;
  if (errno == ERANGE) Fail("integer overflow");
  return value;
}

V IntFilter(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("int", {"default", "base"});
  const V otherwise = bound[0] ? *bound[0] : V(int64_t{0});
  RequireDefined(subject);
  if (subject.IsInt()) return V(subject.Int());
  const int64_t base = bound[1] ? IntOf(*bound[1], "int") : 10;
  if (base != 2 && base != 8 && base != 10 && base != 16)
    Fail("int takes the bases 2, 8, 10 and 16");
  std::optional<double> number;
  if (const Text* text = subject.AsText()) {
    if (const auto whole = ParseInt(runtime, *text, static_cast<int>(base))) return V(*whole);
    number = ParseFloat(runtime, *text);
    if (number && !std::isfinite(*number)) number.reset();
  } else if (subject.Is<double>()) {
    if (std::isinf(subject.Double())) Fail("infinity is not a whole number");
    if (!std::isnan(subject.Double())) number = subject.Double();
  }
  if (!number) return otherwise;
  if (std::fabs(*number) >= 9.2e18) Fail("integer overflow");
  return V(static_cast<int64_t>(*number));
}

V FloatFilter(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("float", {"default"});
  RequireDefined(subject);
  if (subject.IsNumber()) return V(subject.Double());
  if (subject.IsString()) {
    if (const auto number = ParseFloat(runtime, *subject.AsText())) return V(*number);
  }
  return bound[0] ? *bound[0] : V(0.0);
}

V Round(R&, const V& subject, const A& args) {
  const auto bound = args.Bind("round", {"precision", "method"});
  const int64_t precision = bound[0] ? IntOf(*bound[0], "round") : 0;
  const std::string method = bound[1] ? TextOf(*bound[1], "round").str() : "common";
  RequireDefined(subject);
  if (!subject.IsNumber()) Fail("round needs a number, not {}", subject.TypeName());
  if (precision < 0 || precision > 100) Fail("round takes a precision from 0 to 100");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return V(std::ceil(subject.Double() * scale) / scale);
  if (method == "floor") return V(std::floor(subject.Double() * scale) / scale);
  if (method != "common") Fail("round takes the methods common, ceil and floor");
  if (subject.IsInt()) return V(subject.Int());
  // The decimal digits of the exact value, halves to even: what Python does.
  char buffer[512];
  std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(precision), subject.Double());
  return V(std::strtod(buffer, nullptr));
}

V Abs(R&, const V& subject, const A& args) {
  args.Bind("abs", {});
  RequireDefined(subject);
  if (subject.IsInt()) return subject.Int() < 0 ? Negate(subject) : V(subject.Int());
  if (!subject.IsNumber()) Fail("abs needs a number, not {}", subject.TypeName());
  return V(std::fabs(subject.Double()));
}

// ---- text ----

V Rewrite(R& runtime, const V& subject, const A& args, std::string (*rewrite)(std::string_view)) {
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

V Indent(R& runtime, const V& subject, const A& args) {
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

V Truncate(R& runtime, const V& subject, const A& args) {
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

V Format(R& runtime, const V& subject, const A& args) {
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

V ToJson(R& runtime, const V& subject, const A& args) {
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
    const std::vector<V> separators = Iterate(runtime, *bound[2]);
    if (separators.size() != 2) Fail("tojson needs two separators");
    style.item_separator = TextOf(separators[0], "tojson").str();
    style.key_separator = TextOf(separators[1], "tojson").str();
  }
  return runtime.NewString(ToJsonText(runtime, subject, style));
}

V Default(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("default", {"default_value", "boolean"});
  if (!subject.IsUndefined() && !(Flag(bound[1]) && !subject.Truthy())) return subject;
  return bound[0] ? *bound[0] : runtime.NewString("");
}

V JoinFilter(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("join", {"d", "attribute"});
  std::vector<V> items = Iterate(runtime, subject);
  const Getter getter(runtime, bound[1]);
  for (V& item : items) item = getter(std::move(item));
  return runtime.NewString(
      Join(runtime, items, bound[0] ? ToText(runtime, *bound[0]) : Text(), false));
}

V ReplaceFilter(R& runtime, const V& subject, const A& args) {
  const auto bound = args.Bind("replace", {"old", "new", "count"}, 2);
  const int64_t limit = Given(bound[2]) ? IntOf(*bound[2], "replace") : -1;
  return runtime.NewString(Replace(runtime, ToText(runtime, subject), ToText(runtime, *bound[0]),
                                   ToText(runtime, *bound[1]), limit));
}

V Items(R& runtime, const V& subject, const A& args) {
  args.Bind("items", {});
  if (!subject.AsDict() && !subject.IsUndefined())
    Fail("items needs a mapping, not {}", subject.TypeName());
  std::vector<V> items;
  if (subject.AsDict())
    items = Iterate(runtime, FindMethod(runtime, subject, "items").AsCallable()->call({}));
  return runtime.NewSequence(SequenceKind::kIterator, std::move(items));
}

V Trim(R& runtime, const V& subject, const A& args) {
  const V* characters = args.Bind("trim", {"chars"})[0];
  const Text* set = Given(characters) ? &TextOf(*characters, "trim") : nullptr;
  return runtime.NewString(Strip(runtime, ToText(runtime, subject), set, true, true));
}

V LengthFilter(R& runtime, const V& subject, const A& args) {
  args.Bind("length", {});
  if (subject.IsString()) runtime.SpendBytes(subject.AsText()->size());
  return V(Length(subject));
}

const std::unordered_map<std::string, Filter>& Filters() {
  constexpr Filter kEscape = [](R& r, const V& v, const A& a) {
    return Rewrite(r, v, a, EscapeHtml);
  };
  constexpr Filter kString = [](R& r, const V& v, const A& a) {
    return a.Bind("string", {}), r.NewString(ToText(r, v));
  };
  static const auto* const kFilters = new std::unordered_map<std::string, Filter>{
      {"abs", Abs},
      {"attr",
       [](R& r, const V& v, const A& a) {
         return GetAttribute(r, v, TextOf(*a.Bind("attr", {"name"}, 1)[0], "attr").str());
       }},
      {"batch", Batch},
      {"capitalize", [](R& r, const V& v, const A& a) { return Rewrite(r, v, a, Capitalize); }},
      {"count", LengthFilter},
      {"d", Default},
      {"default", Default},
      {"dictsort", DictSort},
      {"e", kEscape},
      {"escape", kEscape},
      {"first", First},
      {"float", FloatFilter},
      {"forceescape", kEscape},
      {"format", Format},
      {"indent", Indent},
      {"int", IntFilter},
      {"items", Items},
      {"join", JoinFilter},
      {"last", Last},
      {"length", LengthFilter},
      {"list",
       [](R& r, const V& v, const A& a) { return a.Bind("list", {}), r.NewList(Iterate(r, v)); }},
      {"lower", [](R& r, const V& v, const A& a) { return Rewrite(r, v, a, ToLower); }},
      {"map", Map},
      {"max", [](R& r, const V& v, const A& a) { return Extreme(r, v, a, 1); }},
      {"min", [](R& r, const V& v, const A& a) { return Extreme(r, v, a, -1); }},
      {"reject", [](R& r, const V& v, const A& a) { return SelectItems(r, v, a, false, false); }},
      {"rejectattr",
       [](R& r, const V& v, const A& a) { return SelectItems(r, v, a, true, false); }},
      {"replace", ReplaceFilter},
      {"reverse", Reverse},
      {"round", Round},
      {"safe", kString},
      {"select", [](R& r, const V& v, const A& a) { return SelectItems(r, v, a, false, true); }},
      {"selectattr", [](R& r, const V& v, const A& a) { return SelectItems(r, v, a, true, true); }},
      {"sort", Sort},
      {"string", kString},
      {"sum", Sum},
      {"title", [](R& r, const V& v, const A& a) { return Rewrite(r, v, a, TitleWords); }},
      {"tojson", ToJson},
      {"trim", Trim},
      {"truncate", Truncate},
      {"unique", Unique},
      {"upper", [](R& r, const V& v, const A& a) { return Rewrite(r, v, a, ToUpper); }},
      {"wordcount",
       [](R& r, const V& v, const A& a) {
         return a.Bind("wordcount", {}), V(WordCount(ToText(r, v).str()));
       }},
  };
  return *kFilters;
}

}  // namespace

Value ApplyFilter(Runtime& runtime, const std::string& name, const Value& subject,
                  const CallArgs& args) {
  runtime.Spend(1);
  const Runtime::Level level(runtime);  // map('map', 'map', ...) nests
  const auto it = Filters().find(name);
  if (it == Filters().end())
    throw Error{StatusCode::kUnsupported, "there is no filter " + Quoted(name)};
  return it->second(runtime, subject, args);
}

}  // namespace kakeya::jinja
