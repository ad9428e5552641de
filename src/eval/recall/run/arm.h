// The arms of the recall matrix: who reads the prompt, and what of its past he is given.
#ifndef KAKEYA_EVAL_RECALL_RUN_ARM_H_
#define KAKEYA_EVAL_RECALL_RUN_ARM_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kakeya {

enum class RecallArm {
  kOracle,
  kRestored,
  kWindow,
  kForeign,
  kUntrained,
  kShuffled,
  kWithoutNeedle,
  kCounterfactual,
  kOnlyNeedle,
  kReinsert,
  kSelf,
};
inline constexpr int kRecallArms = 11;

// "oracle", "without-needle", ...
const char* NameOf(RecallArm arm);
// One sentence for the reader of a report.
const char* Meaning(RecallArm arm);

// What the claim expects of an arm.
enum class ArmRole {
  kMustRecall,  // oracle, restored, counterfactual
  kMustFail,    // window and the controls: an answer there would not come from restoration
  kReported,    // baselines and analysis
};
ArmRole RoleOf(RecallArm arm);

// Whether an arm restores evicted chunks, and so needs a restorer.
bool Restores(RecallArm arm);

// All arms, in the order of reports.
std::vector<RecallArm> AllArms();
// "a,b,c" or "all"; in the order of reports, each once. Errors: InvalidArgument naming the word
// that is no arm.
Result<std::vector<RecallArm>> ParseArms(std::string_view list);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_ARM_H_
