#include "text/jinja/members.h"

#include <algorithm>

#include "format/quote.h"
#include "text/jinja/operators.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace kakeya::jinja {
namespace {

Value Pairs(Runtime& runtime, const Dict& dict) {
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries()) {
    items.push_back(runtime.NewSequence(SequenceKind::kTuple, {key, value}));
  }
  return runtime.NewSequence(SequenceKind::kItems, std::move(items));
}

Value CallDictMethod(Runtime& runtime, const std::string& name, const Dict& dict,
                     const CallArgs& args) {
  if (name == "get") {
    const auto bound = args.Bind("get", {"key", "default"}, 1);
    const Value* found = dict.Find(*bound[0]);
    return found ? *found : bound[1] ? *bound[1] : Value();
  }
  args.Bind(name, {});
  if (name == "items") return Pairs(runtime, dict);
  if (name == "copy") return runtime.NewDict(dict);
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries()) items.push_back(name == "keys" ? key : value);
  return runtime.NewSequence(name == "keys" ? SequenceKind::kKeys : SequenceKind::kValues,
                             std::move(items));
}

Value CallListMethod(Runtime& runtime, const std::string& name, const Sequence& list,
                     const CallArgs& args) {
  if (name == "copy") return args.Bind(name, {}), runtime.NewList(list.items);
  const Value& wanted = *args.Bind(name, {"value"}, 1)[0];
  int64_t count = 0;
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (!Equals(runtime, list.items[i], wanted)) continue;
    if (name == "index") return Value(static_cast<int64_t>(i));
    ++count;
  }
  if (name == "index")
    Fail("index: the value is not in the {}", list.kind == SequenceKind::kTuple ? "tuple" : "list");
  return Value(count);
}

bool IsOneOf(const std::string& name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Python has these, but they would change the object.
bool IsMutator(const Value& object, const std::string& name) {
  if (object.AsDict()) return IsOneOf(name, {"clear", "pop", "popitem", "setdefault", "update"});
  const Sequence* sequence = object.AsSequence();
  return sequence && sequence->kind == SequenceKind::kList &&
         IsOneOf(name, {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"});
}

Value LoopMember(const Value& self, const std::string& name) {
  const Loop& loop = *self.AsLoop();
  const auto index0 = static_cast<int64_t>(loop.index0);
  const auto length = static_cast<int64_t>(loop.items.size());
  if (name == "index0") return Value(index0);
  if (name == "index") return Value(index0 + 1);
  if (name == "first") return Value(index0 == 0);
  if (name == "last") return Value(index0 + 1 == length);
  if (name == "length") return Value(length);
  if (name == "revindex") return Value(length - index0);
  if (name == "revindex0") return Value(length - index0 - 1);
  if (name == "depth") return Value(loop.depth0 + 1);
  if (name == "depth0") return Value(loop.depth0);
  if (name == "previtem" && index0 > 0) return loop.items[loop.index0 - 1];
  if (name == "nextitem" && index0 + 1 < length) return loop.items[loop.index0 + 1];
  if (name == "cycle") {
    return MakeCallable("loop.cycle", [self](const CallArgs& args) {
      if (args.positional.empty()) Fail("loop.cycle has nothing to choose from");
      return args.positional[self.AsLoop()->index0 % args.positional.size()];
    });
  }
  return Value::MakeUndefined("the loop has no " + Quoted(name));
}

// What Python's getattr finds; nothing where it raises.
std::optional<Value> FindAttribute(Runtime& runtime, const Value& object, const std::string& name) {
  if (name.starts_with("__")) Fail("access to attribute {} is unsafe", Quoted(name));
  if (const Namespace* ns = object.AsNamespace()) {
    const Value* found = ns->attributes.Find(name);
    return found ? std::optional(*found) : std::nullopt;
  }
  if (object.AsLoop()) return LoopMember(object, name);
  if (IsMutator(object, name)) {
    return Value::MakeUndefined(
        fmt::format("'{}' of a {} is unsafe: it would change it", name, object.TypeName()));
  }
  Value method = FindMethod(runtime, object, name);
  return method.IsNone() ? std::nullopt : std::optional(std::move(method));
}

// What Python's object[key] finds; nothing where it raises.
std::optional<Value> FindItem(Runtime& runtime, const Value& object, const Value& key) {
  if (const Dict* dict = object.AsDict()) {
    const Sequence* sequence = key.AsSequence();
    if (key.AsDict() || (sequence && sequence->kind != SequenceKind::kTuple)) return std::nullopt;
    const Value* found = dict->Find(key);
    return found ? std::optional(*found) : std::nullopt;
  }
  if (!key.IsInt()) return std::nullopt;
  const Sequence* sequence = object.AsSequence();
  if (sequence && sequence->indexable()) {
    const auto n = static_cast<int64_t>(sequence->items.size());
    const int64_t at = key.Int() < 0 ? key.Int() + n : key.Int();
    if (at < 0 || at >= n) return std::nullopt;
    return sequence->items[static_cast<size_t>(at)];
  }
  if (const Text* text = object.AsText()) {
    runtime.SpendBytes(text->size());
    const std::vector<size_t> offsets = CharacterOffsets(text->str());
    const auto n = static_cast<int64_t>(offsets.size()) - 1;
    const int64_t at = key.Int() < 0 ? key.Int() + n : key.Int();
    if (at < 0 || at >= n) return std::nullopt;
    return runtime.NewString(text->Slice(offsets[at], offsets[at + 1]));
  }
  return std::nullopt;
}

Value Missing(const Value& object, const std::string& name) {
  return Value::MakeUndefined(
      fmt::format("a {} has no attribute {}", object.TypeName(), Quoted(name)));
}

}  // namespace

Value FindMethod(Runtime& runtime, const Value& object, const std::string& name) {
  std::function<Value(const CallArgs&)> call;
  const Sequence* sequence = object.AsSequence();
  if (object.AsText()) {
    if (const StringMethod method = FindStringMethod(name)) {
      call = [&runtime, object, method](const CallArgs& args) {
        return method(runtime, *object.AsText(), args);
      };
    }
  } else if (object.AsDict() && IsOneOf(name, {"items", "keys", "values", "get", "copy"})) {
    call = [&runtime, object, name](const CallArgs& args) {
      return CallDictMethod(runtime, name, *object.AsDict(), args);
    };
  } else if (sequence && sequence->indexable() &&
             (IsOneOf(name, {"index", "count"}) ||
              (name == "copy" && sequence->kind == SequenceKind::kList))) {
    call = [&runtime, object, name](const CallArgs& args) {
      return CallListMethod(runtime, name, *object.AsSequence(), args);
    };
  }
  if (!call) return Value();
  return MakeCallable(name, std::move(call), object.Depth() + 1);
}

Value GetAttribute(Runtime& runtime, const Value& object, const std::string& name) {
  RequireDefined(object);
  if (auto found = FindAttribute(runtime, object, name)) return *std::move(found);
  if (const Dict* dict = object.AsDict()) {
    if (const Value* found = dict->Find(name)) return *found;
  }
  return Missing(object, name);
}

Value GetItem(Runtime& runtime, const Value& object, const Value& key) {
  RequireDefined(object);
  if (auto found = FindItem(runtime, object, key)) return *std::move(found);
  if (const Text* name = key.AsText()) {
    if (auto found = FindAttribute(runtime, object, name->str())) return *std::move(found);
    return Missing(object, name->str());
  }
  return Value::MakeUndefined(fmt::format("a {} has no such element", object.TypeName()));
}

}  // namespace kakeya::jinja
