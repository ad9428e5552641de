// One prompt in one arm: a session of its own reads it, answers freely, and is measured.
#ifndef KAKEYA_EVAL_RECALL_RUN_TRIAL_H_
#define KAKEYA_EVAL_RECALL_RUN_TRIAL_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/status.h"
#include "eval/recall/prompts/prompt.h"
#include "eval/recall/run/arm.h"
#include "eval/recall/run/record.h"
#include "session/engine.h"
#include "session/session.h"

namespace kakeya {

// Where the arms that restore get their restorers. An empty one can't be had.
struct RecallRestorers {
  RestorerFactory trained;
  RestorerFactory untrained;
  RestorerFactory self;
  int proposer_layers = 0;  // chunks before a chunk that its codes depend on

  const RestorerFactory& For(RecallArm arm) const;
};

struct RecallTrial {
  RecallKey key;
  const RecallPrompt& prompt;
  std::span<const int32_t> foreign;  // context of another prompt; not empty for kForeign
  uint64_t seed = 0;                 // of kShuffled
};

// Tokens that an answer may have.
int64_t AnswerTokens(const RecallTurn& turn);

// Most tokens that the session of a trial may come to hold.
int64_t TrialTokens(RecallArm arm, const RecallPrompt& prompt, const SessionOptions& options);

// What the baseline `reinsert` reads before a question: sinks, the best `chunks` evicted chunks by
// BM25, and the window, as a bounded session would have at that question. `history` is all that
// stands before it.
std::vector<int32_t> ReinsertedContext(const KvPolicy& policy, std::span<const int32_t> history,
                                       std::span<const int32_t> question, int64_t chunks);

// `options`: sink, window, types and number of restored (or reinserted) chunks; which policy, the
// arm says. Errors: those of a session; Cancelled when interrupted() says so. REQUIRES: the arm's
// restorer can be had; the prompt has what the arm needs.
Result<RecallRecord> RunTrial(Engine* engine, const RecallTrial& trial,
                              const SessionOptions& options, const RecallRestorers& restorers,
                              const std::function<bool()>& interrupted);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_TRIAL_H_
