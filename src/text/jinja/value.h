// The values a template computes with: Python's, as far as templates can see them. Values are
// immutable and shared, except namespaces, loops, cyclers and the position of an iterator.
#ifndef KAKEYA_TEXT_JINJA_VALUE_H_
#define KAKEYA_TEXT_JINJA_VALUE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/text.h"

namespace kakeya::jinja {

struct Sequence;
class Dict;
struct Namespace;
struct Callable;
struct Loop;
struct Cycler;

struct None {};
// A name or attribute that isn't there. It prints as nothing; using it in any other way fails with
// the message.
struct Undefined {
  std::shared_ptr<const std::string> message;
};

class Value {
 public:
  using Data = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const Text>,
                            std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>,
                            std::shared_ptr<Namespace>, std::shared_ptr<const Callable>,
                            std::shared_ptr<Loop>, std::shared_ptr<Cycler>>;

  Value() : data_(None{}) {}
  explicit Value(bool b) : data_(b) {}
  explicit Value(int64_t i) : data_(i) {}
  explicit Value(double d) : data_(d) {}
  explicit Value(std::shared_ptr<const Text> text) : data_(std::move(text)) {}
  explicit Value(std::shared_ptr<const Sequence> sequence) : data_(std::move(sequence)) {}
  explicit Value(std::shared_ptr<const Dict> dict) : data_(std::move(dict)) {}
  explicit Value(std::shared_ptr<Namespace> ns) : data_(std::move(ns)) {}
  explicit Value(std::shared_ptr<const Callable> callable) : data_(std::move(callable)) {}
  explicit Value(std::shared_ptr<Loop> loop) : data_(std::move(loop)) {}
  explicit Value(std::shared_ptr<Cycler> cycler) : data_(std::move(cycler)) {}
  static Value MakeUndefined(std::string message) {
    Value value;
    value.data_ = Undefined{std::make_shared<const std::string>(std::move(message))};
    return value;
  }

  template <typename T>
  bool Is() const {
    return std::holds_alternative<T>(data_);
  }
  bool IsUndefined() const { return Is<Undefined>(); }
  bool IsNone() const { return Is<None>(); }
  bool IsString() const { return Is<std::shared_ptr<const Text>>(); }
  // Python's bool is an int.
  bool IsInt() const { return Is<int64_t>() || Is<bool>(); }
  bool IsNumber() const { return IsInt() || Is<double>(); }

  // nullptr unless the value is of that kind.
  const Text* AsText() const { return Pointer<const Text>(); }
  const Sequence* AsSequence() const { return Pointer<const Sequence>(); }
  const Dict* AsDict() const { return Pointer<const Dict>(); }
  Namespace* AsNamespace() const { return Pointer<Namespace>(); }
  const Callable* AsCallable() const { return Pointer<const Callable>(); }
  Loop* AsLoop() const { return Pointer<Loop>(); }
  Cycler* AsCycler() const { return Pointer<Cycler>(); }

  // REQUIRES: IsInt().
  int64_t Int() const { return Is<bool>() ? std::get<bool>(data_) : std::get<int64_t>(data_); }
  // REQUIRES: IsNumber().
  double Double() const {
    return Is<double>() ? std::get<double>(data_) : static_cast<double>(Int());
  }
  // REQUIRES: IsUndefined().
  const std::string& UndefinedMessage() const { return *std::get<Undefined>(data_).message; }

  // Python's truth: empty, zero, None and undefined are false.
  bool Truthy() const;
  // How deep containers nest in this value; a scalar is 0.
  int Depth() const;
  // Python's name of the type, for messages.
  const char* TypeName() const;

 private:
  template <typename T>
  T* Pointer() const {
    const auto* held = std::get_if<std::shared_ptr<T>>(&data_);
    return held ? held->get() : nullptr;
  }

  Data data_;
};

enum class SequenceKind {
  kList,
  kTuple,
  kRange,
  kKeys,      // dict.keys()
  kValues,    // dict.values()
  kItems,     // dict.items()
  kIterator,  // what map, select, ... give: can be gone through once, has no length
};

struct Sequence {
  SequenceKind kind = SequenceKind::kList;
  std::vector<Value> items;
  std::string label;  // kRange: how it prints
  int depth = 1;
  mutable size_t consumed = 0;  // kIterator: items already handed out

  // Lists, tuples and ranges have positions.
  bool indexable() const { return kind <= SequenceKind::kRange; }
};

// A dictionary in order of insertion. Keys are what Python can hash; 1, 1.0 and True are one key.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;
  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  // nullptr when absent. Errors (Error): a list or dict as key.
  const Value* Find(const Value& key) const { return FindCanonical(Canonical(key)); }
  const Value* Find(std::string_view text) const { return FindCanonical("s" + std::string(text)); }
  void Set(const Value& key, Value value);
  void Clear();

  // A text that is equal exactly for equal keys.
  static std::string Canonical(const Value& key);

  int depth = 1;

 private:
  const Value* FindCanonical(const std::string& canonical) const;

  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;  // canonical key -> position in entries_
};

struct Namespace {
  Dict attributes;
};

struct CallArgs {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;

  // The arguments by parameter name, nullptr where not given. Errors: too many, unknown or doubled
  // arguments, or fewer than `required`.
  std::vector<const Value*> Bind(std::string_view function, std::vector<std::string_view> names,
                                 size_t required = 0) const;
  // The same for up to `most` parameters that can't be named.
  std::vector<const Value*> BindPositional(std::string_view function, size_t most,
                                           size_t required) const;
};
// A bound argument that was given and isn't none; one that was given and is true.
inline bool Given(const Value* value) { return value != nullptr && !value->IsNone(); }
inline bool Flag(const Value* value) { return value != nullptr && value->Truthy(); }

struct Callable {
  std::string name;
  std::function<Value(const CallArgs&)> call;
  int depth = 1;  // of the value a method is bound to
};

Value MakeCallable(std::string name, std::function<Value(const CallArgs&)> call, int depth = 1);

// The `loop` variable.
struct Loop {
  std::vector<Value> items;
  size_t index0 = 0;
  int64_t depth0 = 0;
  int depth = 1;  // of the value: one more than that of its deepest item
  // What `changed` was last called with, as attribute "changed". In a namespace, because it may
  // hold the loop itself (invariant 2 of Runtime); made at the first call.
  std::shared_ptr<Namespace> memory;
  // Renders the loop over other items, one level deeper; empty unless the loop is recursive.
  std::function<Value(const Value& items)> recurse;
};

// What cycler() gives: its items in turn, for ever.
struct Cycler {
  Value items;  // a tuple, not empty
  size_t position = 0;
};

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_VALUE_H_
