#include "text/jinja/members.h"

#include <algorithm>
#include <utility>

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

// Whether the values differ from those of the call before; there is none before the first.
Value LoopChanged(Runtime& runtime, Loop& loop, const CallArgs& args) {
  if (!args.keyword.empty()) Fail("loop.changed takes no named arguments");
  if (!loop.memory) loop.memory = runtime.NewSharedNamespace();
  Value now = runtime.NewSequence(SequenceKind::kTuple, args.positional);
  const Value* before = loop.memory->attributes.Find("changed");
  const bool changed = !before || !Equals(runtime, *before, now);
  if (changed) loop.memory->attributes.Set(runtime.NewString("changed"), std::move(now));
  return Value(changed);
}

Value LoopMember(Runtime& runtime, const Value& self, const std::string& name) {
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
    return MakeCallable(
        "loop.cycle",
        [self](const CallArgs& args) {
          if (args.positional.empty()) Fail("loop.cycle has nothing to choose from");
          return args.positional[self.AsLoop()->index0 % args.positional.size()];
        },
        loop.depth + 1);
  }
  if (name == "changed") {
    const auto changed = [&runtime, self](const CallArgs& args) {
      return LoopChanged(runtime, *self.AsLoop(), args);
    };
    return MakeCallable("loop.changed", changed, loop.depth + 1);
  }
  return Value::MakeUndefined("the loop has no " + Quoted(name));
}

Value CyclerMember(const Value& self, const std::string& name) {
  const Cycler& cycler = *self.AsCycler();
  if (name == "items") return cycler.items;
  if (name == "pos") return Value(static_cast<int64_t>(cycler.position));
  if (name == "current") return cycler.items.AsSequence()->items[cycler.position];
  if (name != "next" && name != "reset") {
    return Value::MakeUndefined("the cycler has no " + Quoted(name));
  }
  const bool next = name == "next";
  const auto call = [self, name, next](const CallArgs& args) {
    args.Bind(name, {});
    Cycler& cycler = *self.AsCycler();
    const std::vector<Value>& items = cycler.items.AsSequence()->items;
    const size_t at =
        std::exchange(cycler.position, next ? (cycler.position + 1) % items.size() : 0);
    return next ? items[at] : Value();
  };
  return MakeCallable("cycler." + name, call, self.Depth() + 1);
}

// What Python's getattr finds; nothing where it raises.
std::optional<Value> FindAttribute(Runtime& runtime, const Value& object, const std::string& name) {
  if (name.starts_with("__")) Fail("access to attribute {} is unsafe", Quoted(name));
  if (const Namespace* ns = object.AsNamespace()) {
    const Value* found = ns->attributes.Find(name);
    return found ? std::optional(*found) : std::nullopt;
  }
  if (object.AsLoop()) return LoopMember(runtime, object, name);
  if (object.AsCycler()) return CyclerMember(object, name);
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
