#include "eval/recall/prompts/length_search.h"

#include <algorithm>
#include <cstdlib>

namespace kakeya {
namespace {

// The needle's share stays, and what is known of it was known of another length.
void MoveEnd(int64_t too_long, LayoutTarget* aim) {
  const double share = static_cast<double>(aim->first) / static_cast<double>(aim->filler);
  aim->filler -= too_long;
  aim->first = std::max<int64_t>(ShareOf(share, aim->filler), 0);
  aim->shallow = LayoutTarget().shallow;
  aim->deep = LayoutTarget().deep;
}

// A step over another statement moves the needle by that, too: where a step leads out of what is
// known to be too small and too large, the middle is taken.
void MoveFirst(int64_t too_deep, LayoutTarget* aim) {
  (too_deep > 0 ? aim->deep : aim->shallow) = aim->first;
  int64_t next = aim->first - too_deep;
  if (next <= aim->shallow || next >= aim->deep) next = (aim->shallow + aim->deep) / 2;
  aim->first = std::max<int64_t>(next, 0);
}

}  // namespace

bool IsOnTarget(const LayoutMiss& miss, const RecallBounds& bounds, LayoutTarget* aim) {
  const bool length_fits = std::abs(miss.too_long) <= bounds.length;
  // A needle that can't stand as deep as wanted stands as deep as it may. What is said behind it
  // keeps it from the question too, so less filler will do; but not for ever.
  const bool depth_fits = miss.depth_is_free
                              ? std::abs(miss.too_deep) <= bounds.depth
                              : aim->reserve == 0 || miss.too_near >= -bounds.depth ||
                                    ++aim->eased > LayoutTarget::kAttempts / 3;
  if (length_fits && depth_fits && miss.too_near <= 0) return true;
  if (!length_fits) {
    MoveEnd(miss.too_long, aim);
  } else if (miss.too_near > 0) {
    aim->reserve += miss.too_near;
  } else if (miss.depth_is_free) {
    MoveFirst(miss.too_deep, aim);
  } else {
    aim->reserve = std::max<int64_t>(aim->reserve + miss.too_near + bounds.depth / 2, 0);
  }
  aim->reach = std::max(aim->reach * 3 / 4, bounds.least_reach);
  return false;
}

}  // namespace kakeya
