#include <cmath>
#include <unordered_map>

#include "format/quote.h"
#include "text/template_builtins.h"
#include "text/template_format.h"
#include "text/template_members.h"
#include "text/template_operators.h"
#include "text/template_unicode.h"

namespace kakeya::jinja {
namespace {

using R = Runtime;
using A = CallArgs;
using V = Value;
using Test = bool (*)(R& runtime, const V& subject, const A& args);

// `is eq 3` and its like.
bool Comparison(R& runtime, std::string_view op, const V& subject, const A& args) {
  return Compare(runtime, op, subject, *args.Bind("a test", {"other"}, 1)[0]);
}

bool Remainder(R& runtime, const V& subject, const V& divisor, int64_t wanted) {
  return Equals(runtime, Arithmetic(runtime, "%", subject, divisor), V(wanted));
}

bool IsSequence(const V& value) {
  const Sequence* sequence = value.AsSequence();
  return value.IsString() || value.AsDict() || value.IsUndefined() ||
         (sequence && sequence->indexable());
}

bool IsIterable(const V& value) {
  return value.IsString() || value.AsDict() || value.AsSequence() || value.IsUndefined() ||
         value.AsLoop();
}

// Identity is told apart only where it can be seen: singletons and shared objects.
bool SameAs(R& runtime, const V& subject, const A& args) {
  const V& other = *args.Bind("sameas", {"other"}, 1)[0];
  if (subject.AsSequence() || subject.AsDict()) {
    return subject.AsSequence() == other.AsSequence() && subject.AsDict() == other.AsDict();
  }
  return subject.Is<bool>() == other.Is<bool>() && subject.Is<double>() == other.Is<double>() &&
         Equals(runtime, subject, other);
}

// Whether there are cased characters and all of them have the case.
bool HasCase(R& runtime, const V& subject, bool (*wanted)(char32_t)) {
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
      {"defined", [](R&, const V& v, const A&) { return !v.IsUndefined(); }},
      {"undefined", [](R&, const V& v, const A&) { return v.IsUndefined(); }},
      {"none", [](R&, const V& v, const A&) { return v.IsNone(); }},
      {"boolean", [](R&, const V& v, const A&) { return v.Is<bool>(); }},
      {"true", [](R&, const V& v, const A&) { return v.Is<bool>() && v.Truthy(); }},
      {"false", [](R&, const V& v, const A&) { return v.Is<bool>() && !v.Truthy(); }},
      {"integer", [](R&, const V& v, const A&) { return v.Is<int64_t>(); }},
      {"float", [](R&, const V& v, const A&) { return v.Is<double>(); }},
      {"number", [](R&, const V& v, const A&) { return v.IsNumber(); }},
      {"string", [](R&, const V& v, const A&) { return v.IsString(); }},
      {"mapping", [](R&, const V& v, const A&) { return v.AsDict() != nullptr; }},
      {"sequence", [](R&, const V& v, const A&) { return IsSequence(v); }},
      {"iterable", [](R&, const V& v, const A&) { return IsIterable(v); }},
      {"callable", [](R&, const V& v, const A&) { return v.AsCallable() != nullptr; }},
      {"lower", [](R& r, const V& v, const A&) { return HasCase(r, v, IsLower); }},
      {"upper", [](R& r, const V& v, const A&) { return HasCase(r, v, IsUpper); }},
      {"odd", [](R& r, const V& v, const A&) { return Remainder(r, v, V(int64_t{2}), 1); }},
      {"even", [](R& r, const V& v, const A&) { return Remainder(r, v, V(int64_t{2}), 0); }},
      {"divisibleby",
       [](R& r, const V& v, const A& a) {
         return Remainder(r, v, *a.Bind("divisibleby", {"num"}, 1)[0], 0);
       }},
      {"sameas", SameAs},
  };
  return *kTests;
}

}  // namespace

bool ApplyTest(Runtime& runtime, const std::string& name, const Value& subject,
               const CallArgs& args) {
  static const auto* const kComparisons = new std::unordered_map<std::string, const char*>{
      {"eq", "=="},      {"equalto", "=="}, {"ne", "!="}, {"lt", "<"},
      {"lessthan", "<"}, {"le", "<="},      {"gt", ">"},  {"greaterthan", ">"},
      {"ge", ">="},      {"in", "in"},      {"==", "=="}, {"!=", "!="},
      {"<", "<"},        {"<=", "<="},      {">", ">"},   {">=", ">="}};
  const auto comparison = kComparisons->find(name);
  if (comparison != kComparisons->end())
    return Comparison(runtime, comparison->second, subject, args);
  const auto it = Tests().find(name);
  if (it == Tests().end())
    throw Error{StatusCode::kUnsupported, "there is no test " + Quoted(name)};
  return it->second(runtime, subject, args);
}

}  // namespace kakeya::jinja
