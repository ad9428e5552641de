// Filters on sequences and mappings, and the one place that knows all filters.
#include "text/jinja/filters.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "format/quote.h"
#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/members.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace kakeya::jinja {
namespace {

// ---- looking into items ----

// The value an `attribute=` argument names: "a.b.0" goes from item to item.
class Getter {
 public:
  Getter(Runtime& runtime, const Value* attribute, const Value* otherwise = nullptr)
      : runtime_(runtime) {
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
      path_.push_back(number ? Value(int64_t{std::stol(part)}) : runtime.NewString(part));
      begin = end + 1;
    }
  }

  Value operator()(Value item) const {
    for (const Value& part : path_) {
      item = GetItem(runtime_, item, part);
      if (otherwise_ && item.IsUndefined()) item = *otherwise_;
    }
    return item;
  }

 private:
  Runtime& runtime_;
  std::vector<Value> path_;
  std::optional<Value> otherwise_;
};

Value IgnoreCase(Runtime& runtime, Value value) {
  if (!value.IsString()) return value;
  runtime.SpendBytes(8 * value.AsText()->size());
  return runtime.NewString(ToLower(value.AsText()->str()));
}

// What map, select and their like go through: nothing at all for whatever is false (none, say).
std::vector<Value> ItemsOf(Runtime& runtime, const Value& subject) {
  return subject.Truthy() ? Iterate(runtime, subject) : std::vector<Value>();
}

Value Map(Runtime& runtime, const Value& subject, const CallArgs& args) {
  std::vector<Value> out;
  const std::vector<Value> items = ItemsOf(runtime, subject);
  if (args.positional.empty()) {
    const auto bound = args.Bind("map", {"attribute", "default"});
    if (!bound[0] && !items.empty()) Fail("map needs a filter or an attribute");
    const Getter getter(runtime, bound[0], bound[1]);
    for (const Value& item : items) out.push_back(getter(item));
  } else {
    CallArgs rest = args;
    const std::string name = TextOf(rest.positional[0], "map").str();
    rest.positional.erase(rest.positional.begin());
    for (const Value& item : items) out.push_back(ApplyFilter(runtime, name, item, rest));
  }
  return runtime.NewSequence(SequenceKind::kIterator, std::move(out));
}

Value SelectItems(Runtime& runtime, const Value& subject, const CallArgs& args, bool by_attribute,
                  bool keep) {
  std::vector<Value> out;
  const std::vector<Value> items = ItemsOf(runtime, subject);
  CallArgs rest = args;
  const Value* attribute = nullptr;
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
  for (const Value& item : items) {
    const Value value = getter(item);
    runtime.Spend(1);
    const bool passed = test.empty() ? value.Truthy() : ApplyTest(runtime, test, value, rest);
    if (passed == keep) out.push_back(item);
  }
  return runtime.NewSequence(SequenceKind::kIterator, std::move(out));
}

// ---- order ----

Value Sort(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("sort", {"reverse", "case_sensitive", "attribute"});
  const bool reverse = Flag(bound[0]), case_sensitive = Flag(bound[1]);
  // "a,b" sorts by a, then by b.
  std::vector<Getter> getters;
  if (Given(bound[2]) && bound[2]->IsString()) {
    const CallArgs comma{{runtime.NewString(",")}, {}};
    for (const Value& part :
         Iterate(runtime, FindStringMethod("split")(runtime, *bound[2]->AsText(), comma))) {
      getters.emplace_back(runtime, &part);
    }
  } else {
    getters.emplace_back(runtime, bound[2]);
  }
  std::vector<std::pair<std::vector<Value>, Value>> keyed;
  for (const Value& item : Iterate(runtime, subject)) {
    std::vector<Value> keys;
    keys.reserve(getters.size());
    for (const Getter& getter : getters) {
      keys.push_back(case_sensitive ? getter(item) : IgnoreCase(runtime, getter(item)));
    }
    keyed.emplace_back(std::move(keys), item);
  }
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    for (size_t i = 0; i < getters.size(); ++i) {
      if (Equals(runtime, a.first[i], b.first[i])) continue;
      const int order = Order(runtime, a.first[i], b.first[i]);
      return reverse ? order > 0 : order < 0;
    }
    return false;
  });
  std::vector<Value> out;
  out.reserve(keyed.size());
  for (auto& entry : keyed) out.push_back(std::move(entry.second));
  return runtime.NewList(std::move(out));
}

Value DictSort(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("dictsort", {"case_sensitive", "by", "reverse"});
  const std::string by = bound[1] ? TextOf(*bound[1], "dictsort").str() : "key";
  if (by != "key" && by != "value") Fail("dictsort sorts by 'key' or 'value'");
  if (!subject.AsDict()) Fail("dictsort needs a dict, not {}", subject.TypeName());
  CallArgs sort;
  sort.keyword.emplace_back("attribute", Value(int64_t{by == "value"}));
  if (bound[0]) sort.keyword.emplace_back("case_sensitive", *bound[0]);
  if (bound[2]) sort.keyword.emplace_back("reverse", *bound[2]);
  const Value items = FindMethod(runtime, subject, "items").AsCallable()->call({});
  return Sort(runtime, items, sort);
}

Value Extreme(Runtime& runtime, const Value& subject, const CallArgs& args, int wanted) {
  const auto bound = args.Bind("min", {"case_sensitive", "attribute"});
  const Getter getter(runtime, bound[1]);
  const auto key_of = [&](const Value& item) {
    return Flag(bound[0]) ? getter(item) : IgnoreCase(runtime, getter(item));
  };
  const std::vector<Value> items = Iterate(runtime, subject);
  if (items.empty()) return Value::MakeUndefined("No aggregated item, sequence was empty.");
  size_t best = 0;
  Value best_key = key_of(items[0]);
  for (size_t i = 1; i < items.size(); ++i) {
    Value key = key_of(items[i]);
    if (Order(runtime, key, best_key) * wanted <= 0) continue;
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

Value Unique(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("unique", {"case_sensitive", "attribute"});
  const Getter getter(runtime, bound[1]);
  std::unordered_set<std::string> seen;
  std::vector<Value> out;
  for (const Value& item : Iterate(runtime, subject)) {
    const Value key = Flag(bound[0]) ? getter(item) : IgnoreCase(runtime, getter(item));
    if (seen.insert(Dict::Canonical(key)).second) out.push_back(item);
  }
  return runtime.NewSequence(SequenceKind::kIterator, std::move(out));
}

Value Sum(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("sum", {"attribute", "start"});
  const Getter getter(runtime, bound[0]);
  Value out = bound[1] ? *bound[1] : Value(int64_t{0});
  for (const Value& item : Iterate(runtime, subject)) {
    const Value next = getter(item);
    if (out.IsString()) Fail("sum can't add strings");
    out = Arithmetic(runtime, "+", out, next);
  }
  return out;
}

Value Reverse(Runtime& runtime, const Value& subject, const CallArgs& args) {
  args.Bind("reverse", {});
  const Value step(int64_t{-1});
  if (subject.IsString()) return SliceOf(runtime, subject, nullptr, nullptr, &step);
  const Sequence* sequence = subject.AsSequence();
  const bool list = sequence && sequence->kind == SequenceKind::kIterator;
  std::vector<Value> items = Iterate(runtime, subject);
  std::reverse(items.begin(), items.end());
  return runtime.NewSequence(list ? SequenceKind::kList : SequenceKind::kIterator,
                             std::move(items));
}

Value First(Runtime& runtime, const Value& subject, const CallArgs& args) {
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
    return GetItem(runtime, subject, Value(int64_t{0}));
  } else if (subject.AsDict() && subject.AsDict()->size() > 0) {
    return subject.AsDict()->entries().front().first;
  } else {
    Iterate(runtime, subject);  // fails for what isn't a sequence at all
  }
  return Value::MakeUndefined("No first item, sequence was empty.");
}

Value Last(Runtime& runtime, const Value& subject, const CallArgs& args) {
  args.Bind("last", {});
  const Sequence* sequence = subject.AsSequence();
  if (sequence && sequence->kind == SequenceKind::kIterator) Fail("a generator has no last item");
  if (subject.IsString() && !subject.AsText()->empty())
    return GetItem(runtime, subject, Value(int64_t{-1}));
  const std::vector<Value> items = Iterate(runtime, subject);
  return items.empty() ? Value::MakeUndefined("No last item, sequence was empty.") : items.back();
}

Value Batch(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("batch", {"linecount", "fill_with"}, 1);
  const int64_t width = IntOf(*bound[0], "batch");
  if (width < 1) Fail("batch needs a positive size");
  runtime.CheckItems(static_cast<size_t>(width));
  std::vector<Value> out, line;
  for (Value& item : Iterate(runtime, subject)) {
    if (static_cast<int64_t>(line.size()) == width)
      out.push_back(runtime.NewList(std::exchange(line, {})));
    line.push_back(std::move(item));
  }
  if (Given(bound[1]) && !line.empty()) line.resize(static_cast<size_t>(width), *bound[1]);
  if (!line.empty()) out.push_back(runtime.NewList(std::move(line)));
  return runtime.NewSequence(SequenceKind::kIterator, std::move(out));
}

Value Default(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("default", {"default_value", "boolean"});
  if (!subject.IsUndefined() && !(Flag(bound[1]) && !subject.Truthy())) return subject;
  return bound[0] ? *bound[0] : runtime.NewString("");
}

Value JoinFilter(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("join", {"d", "attribute"});
  std::vector<Value> items = Iterate(runtime, subject);
  const Getter getter(runtime, bound[1]);
  for (Value& item : items) item = getter(std::move(item));
  return runtime.NewString(
      Join(runtime, items, bound[0] ? ToText(runtime, *bound[0]) : Text(), false));
}

Value Items(Runtime& runtime, const Value& subject, const CallArgs& args) {
  args.Bind("items", {});
  if (!subject.AsDict() && !subject.IsUndefined())
    Fail("items needs a mapping, not {}", subject.TypeName());
  std::vector<Value> items;
  if (subject.AsDict())
    items = Iterate(runtime, FindMethod(runtime, subject, "items").AsCallable()->call({}));
  return runtime.NewSequence(SequenceKind::kIterator, std::move(items));
}

Value LengthFilter(Runtime& runtime, const Value& subject, const CallArgs& args) {
  args.Bind("length", {});
  if (subject.IsString()) runtime.SpendBytes(subject.AsText()->size());
  return Value(Length(subject));
}

// As many lists as asked for, as equal in length as can be; the shorter ones at the end are filled
// up.
Value Slices(Runtime& runtime, const Value& subject, const CallArgs& args) {
  const auto bound = args.Bind("slice", {"slices", "fill_with"}, 1);
  const int64_t count = IntOf(*bound[0], "slice");
  if (count == 0) Fail("slice can't make 0 lists");
  const std::vector<Value> items = Iterate(runtime, subject);
  std::vector<Value> out;
  if (count > 0) runtime.CheckItems(static_cast<size_t>(std::min<int64_t>(count, INT32_MAX)));
  const auto n = static_cast<int64_t>(items.size());
  auto begin = items.begin();
  for (int64_t i = 0; i < count; ++i) {
    const bool longer = i < n % count;
    const auto end = begin + n / count + (longer ? 1 : 0);
    std::vector<Value> part(begin, end);
    if (Given(bound[1]) && !longer) part.push_back(*bound[1]);
    out.push_back(runtime.NewList(std::move(part)));
    begin = end;
  }
  return runtime.NewSequence(SequenceKind::kIterator, std::move(out));
}

const std::unordered_map<std::string, Filter>& Filters() {
  static const auto* const kFilters = new std::unordered_map<std::string, Filter>{
      {"attr",
       [](Runtime& r, const Value& v, const CallArgs& a) {
         return GetAttribute(r, v, TextOf(*a.Bind("attr", {"name"}, 1)[0], "attr").str());
       }},
      {"batch", Batch},
      {"count", LengthFilter},
      {"d", Default},
      {"default", Default},
      {"dictsort", DictSort},
      {"first", First},
      {"items", Items},
      {"join", JoinFilter},
      {"last", Last},
      {"length", LengthFilter},
      {"list", [](Runtime& r, const Value& v,
                  const CallArgs& a) { return a.Bind("list", {}), r.NewList(Iterate(r, v)); }},
      {"map", Map},
      {"max", [](Runtime& r, const Value& v, const CallArgs& a) { return Extreme(r, v, a, 1); }},
      {"min", [](Runtime& r, const Value& v, const CallArgs& a) { return Extreme(r, v, a, -1); }},
      {"reject", [](Runtime& r, const Value& v,
                    const CallArgs& a) { return SelectItems(r, v, a, false, false); }},
      {"rejectattr", [](Runtime& r, const Value& v,
                        const CallArgs& a) { return SelectItems(r, v, a, true, false); }},
      {"reverse", Reverse},
      {"select", [](Runtime& r, const Value& v,
                    const CallArgs& a) { return SelectItems(r, v, a, false, true); }},
      {"selectattr", [](Runtime& r, const Value& v,
                        const CallArgs& a) { return SelectItems(r, v, a, true, true); }},
      {"slice", Slices},
      {"sort", Sort},
      {"sum", Sum},
      {"unique", Unique},
  };
  return *kFilters;
}

Filter FindFilter(const std::string& name) {
  const auto it = Filters().find(name);
  return it != Filters().end() ? it->second : FindScalarFilter(name);
}

}  // namespace

bool HasFilter(const std::string& name) { return FindFilter(name) != nullptr; }

Value ApplyFilter(Runtime& runtime, const std::string& name, const Value& subject,
                  const CallArgs& args) {
  runtime.Spend(1);
  const Runtime::Level level(runtime);  // map('map', 'map', ...) nests
  const Filter filter = FindFilter(name);
  if (!filter) throw Error{StatusCode::kUnsupported, "there is no filter " + Quoted(name)};
  return filter(runtime, subject, args);
}

}  // namespace kakeya::jinja
