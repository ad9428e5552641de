// How long a run will still take, from what its kind has taken so far.
#ifndef KAKEYA_EVAL_RECALL_RUN_ETA_H_
#define KAKEYA_EVAL_RECALL_RUN_ETA_H_

#include <cstdint>
#include <map>
#include <utility>

#include "eval/recall/run/arm.h"

namespace kakeya {

class RecallEta {
 public:
  void Plan(RecallArm arm, int64_t length) { ++kinds_[{arm, length}].left; }

  // REQUIRES: planned.
  void Done(RecallArm arm, int64_t length, double seconds) {
    Kind& kind = kinds_[{arm, length}];
    --kind.left;
    ++kind.done;
    kind.seconds += seconds;
    seconds_ += seconds;
    tokens_ += static_cast<double>(length);
  }

  // A kind that hasn't run yet takes as long per token as all others did. Negative: nothing is
  // known yet.
  double SecondsLeft() const {
    if (tokens_ == 0) return -1;
    double left = 0;
    for (const auto& [key, kind] : kinds_) {
      const double each = kind.done > 0 ? kind.seconds / static_cast<double>(kind.done)
                                        : seconds_ / tokens_ * static_cast<double>(key.second);
      left += each * static_cast<double>(kind.left);
    }
    return left;
  }

 private:
  struct Kind {
    int64_t left = 0;
    int64_t done = 0;
    double seconds = 0;
  };

  std::map<std::pair<RecallArm, int64_t>, Kind> kinds_;
  double seconds_ = 0;
  double tokens_ = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_ETA_H_
