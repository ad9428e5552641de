// What a render may use up, and how it stops. Inside the template engine an error is an exception
// (the engine is a recursive evaluator; a Status at every level would bury it); ChatTemplate turns
// it into a Status at the border.
#ifndef KAKEYA_TEXT_JINJA_RUNTIME_H_
#define KAKEYA_TEXT_JINJA_RUNTIME_H_

#include <fmt/format.h>

#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "text/chat_template.h"
#include "text/jinja/value.h"

namespace kakeya::jinja {

struct Error {
  StatusCode code;
  std::string message;   // one line
  bool located = false;  // the message needs no line number: it has one, or is the template's own
};

// The template used a value as it may not be used.
template <typename... Args>
[[noreturn]] void Fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error{StatusCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...)};
}

// The state of one render that is shared by everything it evaluates: the budgets, the clock and the
// mutable objects. Invariants:
//   1. Every string and list of the render was paid for here before it was handed on.
//   2. Namespaces are the only values that can be part of a reference cycle; Runtime holds them all
//   and empties them
//      when it goes, so nothing leaks.
//   3. No value nests deeper than kMaxValueDepth, so that printing, comparing and freeing it may
//   recurse.
class Runtime {
 public:
  static constexpr int kMaxValueDepth = 200;

  Runtime(const TemplateLimits& limits, const std::optional<std::tm>& now)
      : limits_(limits), steps_left_(limits.max_steps), now_(now) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Counts work: one step per evaluation, or bytes / kBytesPerStep for work that goes through
  // bytes.
  void Spend(int64_t steps);
  void SpendBytes(size_t bytes) { Spend(static_cast<int64_t>(bytes / kBytesPerStep)); }
  // Fails when one string (bytes) or list (items) would become larger than allowed. Asked before it
  // is built, wherever the size isn't bounded by that of the arguments.
  void CheckSize(size_t bytes) const;
  void CheckItems(size_t items) const { CheckSize(items * kItemBytes); }

  Value NewString(Text text);
  Value NewString(std::string trusted) { return NewString(Text::Trusted(std::move(trusted))); }
  Value NewSequence(SequenceKind kind, std::vector<Value> items);
  Value NewList(std::vector<Value> items) {
    return NewSequence(SequenceKind::kList, std::move(items));
  }
  Value NewDict(Dict dict);
  Value NewNamespace() { return Value(NewSharedNamespace()); }
  std::shared_ptr<Namespace> NewSharedNamespace();

  const std::optional<std::tm>& now() const { return now_; }
  const TemplateLimits& limits() const { return limits_; }

  // Nested evaluation: one Level per recursive call.
  class Level {
   public:
    explicit Level(Runtime& runtime);
    ~Level() { --runtime_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Runtime& runtime_;
  };

 private:
  static constexpr size_t kBytesPerStep = 16;
  static constexpr size_t kItemBytes = 32;

  void Allocate(size_t bytes);

  TemplateLimits limits_;
  int64_t steps_left_;
  size_t allocated_ = 0;
  int depth_ = 0;
  std::optional<std::tm> now_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_RUNTIME_H_
