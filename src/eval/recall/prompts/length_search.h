// Taking aim: from what a laid-out prompt missed to what the next attempt tries.
#ifndef KAKEYA_EVAL_RECALL_PROMPTS_LENGTH_SEARCH_H_
#define KAKEYA_EVAL_RECALL_PROMPTS_LENGTH_SEARCH_H_

#include <cstdint>

namespace kakeya {

// `fraction` of `of`, rounded down.
inline int64_t ShareOf(double fraction, int64_t of) {
  return static_cast<int64_t>(fraction * static_cast<double>(of));
}

// What is moved from attempt to attempt, in tokens of filler.
struct LayoutTarget {
  static constexpr int kAttempts = 24;
  static constexpr int64_t kFarthestReach = 40;

  int64_t filler = 0;              // all of it
  int64_t first = 0;               // before the first needle
  int64_t reserve = 0;             // behind the last needle, at least
  int64_t reach = kFarthestReach;  // that a cut may move to meet the end of a sentence
  // Values of `first` known as too small and too large, for this much filler.
  int64_t shallow = -1;
  int64_t deep = INT64_MAX / 4;
  int eased = 0;  // attempts that found `reserve` too large
};

// What was measured, in tokens of the prompt.
struct LayoutMiss {
  int64_t too_long = 0;
  int64_t too_deep = 0;       // the first needle
  bool depth_is_free = true;  // no, if it could not stand as deep as wanted
  int64_t too_near = 0;       // the last needle, to the question; negative: more room than needed
};
struct RecallBounds {
  int64_t length = 0;       // of |too_long|
  int64_t depth = 63;       // of |too_deep|
  int64_t least_reach = 4;  // of a cut
};

// Whether the prompt is within its bounds. If not, `aim` is set right.
bool IsOnTarget(const LayoutMiss& miss, const RecallBounds& bounds, LayoutTarget* aim);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_PROMPTS_LENGTH_SEARCH_H_
