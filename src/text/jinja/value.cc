#include "text/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "format/quote.h"
#include "text/jinja/runtime.h"

namespace kakeya::jinja {
namespace {

constexpr size_t kMaxTupleKey = 1 << 16;

}  // namespace

bool Value::Truthy() const {
  if (IsUndefined() || IsNone()) return false;
  if (IsNumber()) return Double() != 0;
  if (const Text* text = AsText()) return !text->empty();
  if (const Sequence* sequence = AsSequence()) {
    return sequence->kind == SequenceKind::kIterator || !sequence->items.empty();
  }
  if (const Dict* dict = AsDict()) return dict->size() > 0;
  return true;
}

int Value::Depth() const {
  if (const Sequence* sequence = AsSequence()) return sequence->depth;
  if (const Dict* dict = AsDict()) return dict->depth;
  if (const Callable* callable = AsCallable()) return callable->depth;
  if (const Loop* loop = AsLoop()) return loop->depth;
  if (const Cycler* cycler = AsCycler()) return cycler->items.Depth();
  return 0;
}

const char* Value::TypeName() const {
  static constexpr const char* kSequenceNames[] = {
      "list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"};
  if (IsUndefined()) return "undefined";
  if (IsNone()) return "NoneType";
  if (Is<bool>()) return "bool";
  if (IsInt()) return "int";
  if (Is<double>()) return "float";
  if (IsString()) return "str";
  if (const Sequence* sequence = AsSequence()) return kSequenceNames[int(sequence->kind)];
  if (AsDict()) return "dict";
  if (AsNamespace()) return "namespace";
  if (AsLoop()) return "loop";
  if (AsCycler()) return "cycler";
  return "function";
}

std::string Dict::Canonical(const Value& key) {
  if (const Text* text = key.AsText()) return "s" + text->str();
  if (key.IsNone()) return "n";
  if (key.IsUndefined()) return "u";
  if (key.IsInt()) return fmt::format("i{}", key.Int());
  if (key.Is<double>()) {
    const double d = key.Double();
    if (d == std::floor(d) && std::fabs(d) < 9e18) return fmt::format("i{}", int64_t(d));
    return fmt::format("d{}", d);
  }
  const Sequence* tuple = key.AsSequence();
  if (!tuple || tuple->kind != SequenceKind::kTuple) Fail("unhashable type: '{}'", key.TypeName());
  std::string out = "t";
  for (const Value& item : tuple->items) {
    const std::string part = Canonical(item);
    out += fmt::format("{}:{}", part.size(), part);
    // A tuple may hold itself many times over; its text would grow without end.
    if (out.size() > kMaxTupleKey) Fail("a tuple of this size can't be a key");
  }
  return out;
}

const Value* Dict::FindCanonical(const std::string& canonical) const {
  const auto it = index_.find(canonical);
  return it == index_.end() ? nullptr : &entries_[it->second].second;
}

void Dict::Set(const Value& key, Value value) {
  const auto [it, added] = index_.emplace(Canonical(key), entries_.size());
  if (added) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[it->second].second = std::move(value);
  }
}

void Dict::Clear() {
  // Emptied before its values go: one of them may lead back here.
  std::vector<Entry> entries = std::move(entries_);
  entries_.clear();
  index_.clear();
}

std::vector<const Value*> CallArgs::Bind(std::string_view function,
                                         std::vector<std::string_view> names,
                                         size_t required) const {
  std::vector<const Value*> out(names.size(), nullptr);
  if (positional.size() > names.size()) {
    Fail("{} takes at most {} arguments ({} given)", function, names.size(), positional.size());
  }
  for (size_t i = 0; i < positional.size(); ++i) out[i] = &positional[i];
  for (const auto& [name, value] : keyword) {
    const auto it = std::find(names.begin(), names.end(), name);
    if (it == names.end()) Fail("{} has no argument {}", function, Quoted(name));
    const Value*& slot = out[static_cast<size_t>(it - names.begin())];
    if (slot) Fail("{} got argument {} twice", function, Quoted(name));
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!out[i]) Fail("{} needs its argument '{}'", function, names[i]);
  }
  return out;
}

std::vector<const Value*> CallArgs::BindPositional(std::string_view function, size_t most,
                                                   size_t required) const {
  if (!keyword.empty()) Fail("{} takes no named arguments", function);
  if (positional.size() < required || positional.size() > most) {
    Fail("{} takes {} to {} arguments ({} given)", function, required, most, positional.size());
  }
  std::vector<const Value*> out(most, nullptr);
  for (size_t i = 0; i < positional.size(); ++i) out[i] = &positional[i];
  return out;
}

Value MakeCallable(std::string name, std::function<Value(const CallArgs&)> call, int depth) {
  return Value(std::make_shared<const Callable>(Callable{std::move(name), std::move(call), depth}));
}

}  // namespace kakeya::jinja
