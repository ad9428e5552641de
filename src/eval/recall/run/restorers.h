// The restorers that an engine can offer to the arms of the recall matrix.
#ifndef KAKEYA_EVAL_RECALL_RUN_RESTORERS_H_
#define KAKEYA_EVAL_RECALL_RUN_RESTORERS_H_

#include <cstdint>

#include "base/status.h"
#include "eval/recall/run/trial.h"
#include "session/engine.h"
#include "session/session.h"

namespace kakeya {

// Those of the engine's trained restorer, and a random one of its shape; empty ones without it. A
// restorer that the options name themselves stands in for the trained one, alone: nothing is known
// of what its chunks depend on. REQUIRES: the engine outlives the factories and what they make.
// Errors: ResourceExhausted.
Result<RecallRestorers> RestorersOf(Engine* engine, const SessionOptions& options, uint64_t seed);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_RESTORERS_H_
