#include "session/scheduler.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace kakeya {

// Brings the workspace to the size that a step wants.
Status Scheduler::Prepare(std::span<const StepSequence> sequences) {
  StepRows wanted;
  bool restored = false;
  for (const StepSequence& sequence : sequences) {
    const StepRows rows = RowsOfStep(sequence);
    wanted.rows += rows.rows;
    wanted.logit_rows += rows.logit_rows;
    restored = restored || sequence.timeline->restoration.has_value();
  }
  if (workspace_) {
    if (workspace_->rows >= wanted.rows && workspace_->logit_rows >= wanted.logit_rows &&
        workspace_->restored >= restored) {
      return OkStatus();
    }
    wanted.rows = std::max(wanted.rows, workspace_->rows);
    wanted.logit_rows = std::max(wanted.logit_rows, workspace_->logit_rows);
    restored = restored || workspace_->restored;
    workspace_.reset();  // its memory goes before the new one's comes
  }
  KAKEYA_ASSIGN_OR_RETURN(workspace_, Workspace::Create(engine_->model().config, wanted.rows,
                                                        wanted.logit_rows, restored, &budget_));
  return OkStatus();
}

// One pass, or several where memory doesn't allow one: a session that needs too much ends its own
// answer and nobody else's.
void Scheduler::RunPass(std::span<StepSequence> sequences) {
  const bool grows = workspace_.has_value();
  Status status = Prepare(sequences);
  // Once more for these alone: a workspace keeps the room that earlier steps wanted.
  if (!status.ok() && grows) status = Prepare(sequences);
  if (status.ok()) {
    kakeya::Step(engine_->context(), engine_->model(), sequences, &*workspace_);
  } else if (sequences.size() == 1) {
    sequences[0].status = std::move(status);
  } else {
    const size_t half = sequences.size() / 2;
    RunPass(sequences.first(half));
    RunPass(sequences.subspan(half));
  }
}

void Scheduler::Step(std::span<Session* const> sessions) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<StepSequence> sequences;
  for (Session* const session : sessions) sequences.push_back(session->BeginStep());
  RunPass(sequences);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  for (size_t i = 0; i < sessions.size(); ++i) {
    sessions[i]->EndStep(sequences[i], took.count(), budget_);
  }
}

}  // namespace kakeya
