// Collects output of unknown size within a render's budgets.
#ifndef KAKEYA_TEXT_JINJA_WRITER_H_
#define KAKEYA_TEXT_JINJA_WRITER_H_

#include <string_view>
#include <utility>

#include "text/jinja/runtime.h"
#include "text/jinja/text.h"

namespace kakeya::jinja {

// Fails (Error, ResourceExhausted) when the output becomes too large.
class Writer {
 public:
  explicit Writer(Runtime& runtime) : runtime_(runtime) {}

  void Write(std::string_view trusted) {
    runtime_.Spend(1);
    out_.Append(trusted);
    runtime_.CheckSize(out_.size());
  }
  void Write(const Text& text) {
    runtime_.SpendBytes(text.size());
    out_.Append(text);
    runtime_.CheckSize(out_.size());
  }
  Runtime& runtime() { return runtime_; }
  Text Take() { return std::move(out_); }

 private:
  Runtime& runtime_;
  Text out_;
};

}  // namespace kakeya::jinja

#endif  // KAKEYA_TEXT_JINJA_WRITER_H_
