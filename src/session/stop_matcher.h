// Finds stop strings in streamed text. Text that may turn out to be the beginning of a stop string
// is held back until that is decided, so nothing of a stop string is ever shown.
#ifndef KAKEYA_SESSION_STOP_MATCHER_H_
#define KAKEYA_SESSION_STOP_MATCHER_H_

#include <string>
#include <string_view>
#include <vector>

namespace kakeya {

class StopMatcher {
 public:
  // REQUIRES: no stop string is empty.
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Takes more text and returns what may be shown now: everything before the stop string that is
  // complete first, or all that can't be the beginning of one. Returns nothing once stopped.
  std::string Push(std::string_view text);
  // What was held back, when no more text comes.
  std::string Flush();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace kakeya

#endif  // KAKEYA_SESSION_STOP_MATCHER_H_
