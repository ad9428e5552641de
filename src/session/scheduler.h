// Takes sessions of one engine a step further, all in one forward pass: weights are read once for
// all of them, unless memory allows only a few at once. A session's tokens are those that it would
// get alone, bit for bit.
//
// The activations of a pass belong to the scheduler: sessions hold only what lasts.
//
// Thread safety: none; one scheduler of an engine runs at a time.
#ifndef KAKEYA_SESSION_SCHEDULER_H_
#define KAKEYA_SESSION_SCHEDULER_H_

#include <optional>
#include <span>

#include "base/memory_budget.h"
#include "base/status.h"
#include "model/forward.h"
#include "session/session.h"

namespace kakeya {

class Scheduler {
 public:
  // The engine outlives the scheduler.
  explicit Scheduler(Engine* engine)
      : engine_(engine), budget_(MemoryBudget::kUnlimited, &engine->budget()) {}

  // One step of every session: a piece of its prompt, or its next tokens. A session whose step
  // fails ends its answer (Session::Finish says why); the others are not disturbed. REQUIRES: all
  // are sessions of this engine, different ones, and answering().
  void Step(std::span<Session* const> sessions);

 private:
  void RunPass(std::span<StepSequence> sequences);
  Status Prepare(std::span<const StepSequence> sequences);

  Engine* engine_;
  MemoryBudget budget_;  // outlives the workspace, hence before it
  std::optional<Workspace> workspace_;
};

}  // namespace kakeya

#endif  // KAKEYA_SESSION_SCHEDULER_H_
