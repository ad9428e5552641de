#include <cmath>
#include <unordered_map>

#include "format/quote.h"
#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/members.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace kakeya::jinja {
namespace {

using Test = bool (*)(Runtime& runtime, const Value& subject, const CallArgs& args);

// `is eq 3` and its like.
bool Comparison(Runtime& runtime, std::string_view op, const Value& subject, const CallArgs& args) {
  return Compare(runtime, op, subject, *args.Bind("a test", {"other"}, 1)[0]);
}

bool Remainder(Runtime& runtime, const Value& subject, const Value& divisor, int64_t wanted) {
  return Equals(runtime, Arithmetic(runtime, "%", subject, divisor), Value(wanted));
}

bool IsSequence(const Value& value) {
  const Sequence* sequence = value.AsSequence();
  return value.IsString() || value.AsDict() || value.IsUndefined() ||
         (sequence && sequence->indexable());
}

bool IsIterable(const Value& value) {
  return value.IsString() || value.AsDict() || value.AsSequence() || value.IsUndefined() ||
         value.AsLoop();
}

// Identity is told apart only where it can be seen: singletons and shared objects.
bool SameAs(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const Value& other = *args.Bind("sameas", {"other"}, 1)[0];
  if (subject.AsSequence() || subject.AsDict()) {
    return subject.AsSequence() == other.AsSequence() && subject.AsDict() == other.AsDict();
  }
  return subject.Is<bool>() == other.Is<bool>() && subject.Is<double>() == other.Is<double>() &&
         Equals(runtime, subject, other);
}

// Whether `has` knows the name; false for what can't be one.
bool IsNameOf(bool (*has)(const std::string&), const Value& subject) {
  if (const Text* name = subject.AsText()) return has(name->str());
  Dict::Canonical(subject);  // fails for what Python can't look up
  return false;
}

// Whether there are cased characters and all of them have the case.
bool HasCase(Runtime& runtime, const Value& subject, bool (*wanted)(char32_t)) {
  const Text text = ToText(runtime, subject);
  bool found = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = DecodeAt(text.str(), &at);
    if (!IsCased(c)) continue;
    if (!wanted(c)) return false;
    found = true;
  }
  return found;
}

const std::unordered_map<std::string, Test>& Tests() {
  static const auto* const kTests = new std::unordered_map<std::string, Test>{
      {"defined", [](Runtime&, const Value& v, const CallArgs&) { return !v.IsUndefined(); }},
      {"undefined", [](Runtime&, const Value& v, const CallArgs&) { return v.IsUndefined(); }},
      {"none", [](Runtime&, const Value& v, const CallArgs&) { return v.IsNone(); }},
      {"boolean", [](Runtime&, const Value& v, const CallArgs&) { return v.Is<bool>(); }},
      {"true",
       [](Runtime&, const Value& v, const CallArgs&) { return v.Is<bool>() && v.Truthy(); }},
      {"false",
       [](Runtime&, const Value& v, const CallArgs&) { return v.Is<bool>() && !v.Truthy(); }},
      {"integer", [](Runtime&, const Value& v, const CallArgs&) { return v.Is<int64_t>(); }},
      {"float", [](Runtime&, const Value& v, const CallArgs&) { return v.Is<double>(); }},
      {"number", [](Runtime&, const Value& v, const CallArgs&) { return v.IsNumber(); }},
      {"string", [](Runtime&, const Value& v, const CallArgs&) { return v.IsString(); }},
      {"mapping", [](Runtime&, const Value& v, const CallArgs&) { return v.AsDict() != nullptr; }},
      {"sequence", [](Runtime&, const Value& v, const CallArgs&) { return IsSequence(v); }},
      {"iterable", [](Runtime&, const Value& v, const CallArgs&) { return IsIterable(v); }},
      {"callable", [](Runtime&, const Value& v,
                      const CallArgs&) { return v.AsCallable() || v.AsLoop() || v.IsUndefined(); }},
      {"filter", [](Runtime&, const Value& v, const CallArgs&) { return IsNameOf(HasFilter, v); }},
      {"test", [](Runtime&, const Value& v, const CallArgs&) { return IsNameOf(HasTest, v); }},
      {"lower", [](Runtime& r, const Value& v, const CallArgs&) { return HasCase(r, v, IsLower); }},
      {"upper", [](Runtime& r, const Value& v, const CallArgs&) { return HasCase(r, v, IsUpper); }},
      {"odd", [](Runtime& r, const Value& v,
                 const CallArgs&) { return Remainder(r, v, Value(int64_t{2}), 1); }},
      {"even", [](Runtime& r, const Value& v,
                  const CallArgs&) { return Remainder(r, v, Value(int64_t{2}), 0); }},
      {"divisibleby",
       [](Runtime& r, const Value& v, const CallArgs& a) {
         return Remainder(r, v, *a.Bind("divisibleby", {"num"}, 1)[0], 0);
       }},
      {"sameas", SameAs},
  };
  return *kTests;
}

const std::unordered_map<std::string, const char*>& Comparisons() {
  static const auto* const kComparisons = new std::unordered_map<std::string, const char*>{
      {"eq", "=="},      {"equalto", "=="}, {"ne", "!="}, {"lt", "<"},
      {"lessthan", "<"}, {"le", "<="},      {"gt", ">"},  {"greaterthan", ">"},
      {"ge", ">="},      {"in", "in"},      {"==", "=="}, {"!=", "!="},
      {"<", "<"},        {"<=", "<="},      {">", ">"},   {">=", ">="}};
  return *kComparisons;
}

}  // namespace

bool HasTest(const std::string& name) {
  return Comparisons().contains(name) || Tests().contains(name);
}

bool ApplyTest(Runtime& runtime, const std::string& name, const Value& subject,
               const CallArgs& args) {
  const auto comparison = Comparisons().find(name);
  if (comparison != Comparisons().end())
    return Comparison(runtime, comparison->second, subject, args);
  const auto it = Tests().find(name);
  if (it == Tests().end())
    throw Error{StatusCode::kUnsupported, "there is no test " + Quoted(name)};
  return it->second(runtime, subject, args);
}

}  // namespace kakeya::jinja
