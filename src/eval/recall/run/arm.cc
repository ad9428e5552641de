#include "eval/recall/run/arm.h"

#include <array>

#include "eval/recall/run/name_list.h"

namespace kakeya {
namespace {

struct ArmInfo {
  const char* name;
  ArmRole role;
  bool restores;
  const char* meaning;
};

// Indexed by RecallArm.
constexpr std::array<ArmInfo, kRecallArms> kInfo = {{
    {"oracle", ArmRole::kMustRecall, false,
     "The same model with the keys and values of every position."},
    {"restored", ArmRole::kMustRecall, true,
     "Sinks and window exact, evicted chunks reconstructed from their token ids: the claim."},
    {"window", ArmRole::kMustFail, false,
     "Sinks and window exact, nothing restored: what the bounded memory can do by itself."},
    {"foreign", ArmRole::kMustFail, true,
     "Restored, but the proposer is told another text that holds another needle."},
    {"untrained", ArmRole::kMustFail, true,
     "Restored by a proposer of the same shape with random parameters."},
    {"shuffled", ArmRole::kMustFail, true,
     "Restored, but the evicted token ids are shuffled before the proposer sees them."},
    {"without-needle", ArmRole::kMustFail, true,
     "Restored, but the proposer is told other ids where the needle stands, and the chunks "
     "that would read it may not be chosen: no code depends on it."},
    {"counterfactual", ArmRole::kMustRecall, true,
     "Restored, but the value is edited in the proposer's ids alone; right is the edited value, "
     "which the verifier has never read."},
    {"only-needle", ArmRole::kReported, true,
     "Restored, but only the chunks that hold the needle may be chosen. (Their codes may know of "
     "what came before.)"},
    {"reinsert", ArmRole::kReported, false,
     "No learning, equal bytes: the best chunks by BM25 over the token ids are put back in front "
     "of "
     "the window as text and read with full K/V; as many as fit, with the ids of the whole text, "
     "into "
     "the K/V, restore buffer and history that `restored` holds at that length."},
    {"self", ArmRole::kReported, true,
     "Nothing learned restores: the verifier itself, run on each chunk and the one before it, is "
     "the "
     "restorer. But its chunks are chosen by the trained selector."},
}};

const ArmInfo& InfoOf(RecallArm arm) { return kInfo[static_cast<size_t>(arm)]; }

}  // namespace

const char* NameOf(RecallArm arm) { return InfoOf(arm).name; }
const char* Meaning(RecallArm arm) { return InfoOf(arm).meaning; }
ArmRole RoleOf(RecallArm arm) { return InfoOf(arm).role; }
bool Restores(RecallArm arm) { return InfoOf(arm).restores; }

std::vector<RecallArm> AllArms() {
  std::vector<RecallArm> arms;
  for (int i = 0; i < kRecallArms; ++i) arms.push_back(static_cast<RecallArm>(i));
  return arms;
}

Result<std::vector<RecallArm>> ParseArms(std::string_view list) {
  return ParseNameList<RecallArm>(list, AllArms(), "arm");
}

}  // namespace kakeya
