#include "text/jinja/runtime.h"

#include <algorithm>

namespace kakeya::jinja {
namespace {

template <typename... Args>
[[noreturn]] void Exhausted(fmt::format_string<Args...> format, Args&&... args) {
  throw Error{StatusCode::kResourceExhausted, fmt::format(format, std::forward<Args>(args)...)};
}

int CheckedDepth(int deepest_child) {
  if (deepest_child + 1 > Runtime::kMaxValueDepth) {
    Exhausted("a value is nested deeper than {} levels", Runtime::kMaxValueDepth);
  }
  return deepest_child + 1;
}

}  // namespace

Runtime::~Runtime() {
  for (const auto& ns : namespaces_) ns->attributes.Clear();
}

void Runtime::Spend(int64_t steps) {
  steps_left_ -= steps;
  if (steps_left_ < 0) Exhausted("the template needs more than {} steps", limits_.max_steps);
}

void Runtime::CheckSize(size_t bytes) const {
  if (bytes > limits_.max_output) {
    Exhausted("the template builds a value of more than {} bytes", limits_.max_output);
  }
}

void Runtime::Allocate(size_t bytes) {
  CheckSize(bytes);
  SpendBytes(bytes);
  allocated_ += bytes;
  if (allocated_ > limits_.max_allocated) {
    Exhausted("the template builds values of more than {} bytes together", limits_.max_allocated);
  }
}

Value Runtime::NewString(Text text) {
  Allocate(text.size());
  return Value(std::make_shared<const Text>(std::move(text)));
}

Value Runtime::NewSequence(SequenceKind kind, std::vector<Value> items) {
  Allocate(items.size() * kItemBytes);
  Spend(static_cast<int64_t>(items.size()));
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.Depth());
  auto sequence = std::make_shared<Sequence>();
  sequence->kind = kind;
  sequence->items = std::move(items);
  sequence->depth = CheckedDepth(depth);
  return Value(std::move(sequence));
}

Value Runtime::NewDict(Dict dict) {
  Allocate(dict.size() * 3 * kItemBytes);
  int depth = 0;
  for (const auto& [key, value] : dict.entries()) {
    depth = std::max({depth, key.Depth(), value.Depth()});
  }
  dict.depth = CheckedDepth(depth);
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

std::shared_ptr<Namespace> Runtime::NewSharedNamespace() {
  Allocate(3 * kItemBytes);
  namespaces_.push_back(std::make_shared<Namespace>());
  return namespaces_.back();
}

Runtime::Level::Level(Runtime& runtime) : runtime_(runtime) {
  if (runtime_.depth_ >= runtime_.limits_.max_depth) {
    Exhausted("the template nests more than {} calls and expressions", runtime_.limits_.max_depth);
  }
  ++runtime_.depth_;
}

}  // namespace kakeya::jinja
