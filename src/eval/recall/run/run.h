// The recall matrix: every prompt of every task and length, in every arm.
//
// Prompt i of n is decided by (seed, task, length, i) alone, so all arms read the same prompts, and
// a run can be continued or repeated. It is made and tokenised once for all arms.
#ifndef KAKEYA_EVAL_RECALL_RUN_RUN_H_
#define KAKEYA_EVAL_RECALL_RUN_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "eval/recall/run/journal.h"
#include "eval/recall/run/trial.h"

namespace kakeya {

struct RecallOptions {
  std::vector<RecallTask> tasks = {RecallTask::kSingle};
  std::vector<int64_t> lengths = {1024, 4096};
  std::vector<RecallArm> arms = AllArms();
  int64_t n = 100;  // prompts per task and length
  // Only the prompts part - 1, part - 1 + parts, ...: a run may be divided among processes.
  int64_t part = 1;
  int64_t parts = 1;
  uint64_t seed = 0;
  SessionOptions session;  // sink, window, types, restored chunks; which policy, the arm says
};

using PromptSource = std::function<Result<RecallPrompt>(const RecallPromptSpec& spec)>;

// What is asked of prompt i: depths are the middles of n equal strata of [0, deepest], in an order
// that the seed decides. (Of a chat, deepest is 0.3 at most: its fact is told early.)
RecallPromptSpec SpecOf(const RecallOptions& options, RecallTask task, int64_t length,
                        int64_t prompt, double deepest);

// Tokens that information can travel through the windows of all layers: a needle nearer than this
// may be known without being attended to.
int64_t WindowReach(int layers, const KvPolicy& policy);

// Full K/V of so many tokens, as the allocator counts it.
struct FullKvBytes {
  uint64_t bytes = 0;
  std::string source;  // "oracle", "allocated", or why it isn't known
};

struct SkippedArm {
  RecallTask task = RecallTask::kSingle;
  int64_t length = 0;
  RecallArm arm = RecallArm::kOracle;
  std::string reason;
};

struct RecallOutcome {
  std::vector<RecallRecord> records;  // of this run's tasks, lengths, arms and part, in this order
  std::vector<SkippedArm> skipped;
  std::map<int64_t, FullKvBytes> full_kv;  // by length
};

struct RecallProgress {
  int64_t done = 0;  // runs, those of the journal too
  int64_t total = 0;
  double seconds_left = 0;  // < 0: not known yet
  RecallKey next;
};

struct RecallHooks {
  std::function<void(const RecallProgress&)> progress;
  std::function<bool()> interrupted;  // asked between steps
};

// Runs what the journal doesn't have yet. Errors: InvalidArgument for prompts that can't be made or
// arms that can't run, before anything runs; Cancelled when interrupted, what is done is in the
// journal; those of the sessions.
Result<RecallOutcome> RunRecall(Engine* engine, const RecallOptions& options,
                                const RecallRestorers& restorers, const PromptSource& prompts,
                                const RecallHooks& hooks, RecallJournal* journal);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_RUN_H_
