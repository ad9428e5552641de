// Whether the claim "it recalls what it evicted, by restoration" holds: a pure function of the rows
// of the single needle, by point estimates.
//
//   oracle >= 0.90; restored >= oracle - 0.05; counterfactual >= oracle - 0.15;
//   window, foreign, untrained, shuffled, without-needle <= 0.05 each; at every length.
//
// What was not run can't hold: a missing arm fails. Where the model has no oracle because full K/V
// of that length is beyond its context, a perfect one (1.00) takes its place, the hardest to come
// near to. A layer that kept evicted K/V makes everything invalid.
#ifndef KAKEYA_EVAL_RECALL_REPORT_VERDICT_H_
#define KAKEYA_EVAL_RECALL_REPORT_VERDICT_H_

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "eval/recall/report/rows.h"

namespace kakeya {

enum class Verdict { kHolds, kFails, kInvalid };
// "holds", "fails", "invalid".
const char* NameOf(Verdict verdict);

struct LengthVerdict {
  int64_t length = 0;
  Verdict verdict = Verdict::kHolds;
  std::vector<std::string> reasons;  // why not; empty when it holds
  // False where nothing that was run speaks against the claim, but not all that it needs was run.
  bool judged = true;
};

struct RecallVerdict {
  Verdict verdict = Verdict::kHolds;
  std::vector<std::string> reasons;  // of all lengths, each naming its length
  std::vector<LengthVerdict> by_length;
  bool judged = true;  // false: it fails, and at no length for more than arms that were not run
};

// The verdict for people: its name, or "not judged".
const char* Heading(const RecallVerdict& verdict);
const char* Heading(const LengthVerdict& verdict);

// `without_oracle`: lengths beyond the model's context. REQUIRES: lengths not empty.
RecallVerdict Judge(std::span<const RecallRow> rows, std::span<const int64_t> lengths,
                    const std::set<int64_t>& without_oracle, std::span<const int> coupon_layers);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_REPORT_VERDICT_H_
