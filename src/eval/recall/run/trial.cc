#include "eval/recall/run/trial.h"

#include <algorithm>

#include "base/system.h"
#include "eval/recall/run/bm25.h"
#include "eval/recall/run/coupon_layers.h"
#include "eval/recall/run/history_edit.h"
#include "eval/recall/run/score.h"
#include "session/timeline_of.h"

namespace kakeya {
namespace {

void Append(std::vector<int32_t>* to, std::span<const int32_t> ids) {
  to->insert(to->end(), ids.begin(), ids.end());
}

SessionOptions OptionsFor(const RecallTrial& trial, const SessionOptions& options,
                          const RecallRestorers& restorers) {
  const RecallArm arm = trial.key.arm;
  SessionOptions out = options;
  out.kv.kind = Restores(arm)               ? KvPolicy::Kind::kRestored
                : arm == RecallArm::kWindow ? KvPolicy::Kind::kWindow
                                            : KvPolicy::Kind::kFull;
  if (!Restores(arm)) return out;
  const EditInputs inputs{.prompt = trial.prompt,
                          .foreign = trial.foreign,
                          .proposer_layers = restorers.proposer_layers,
                          .total_tokens = TrialTokens(arm, trial.prompt, options),
                          .seed = trial.seed};
  out.restore.restorer = [make = restorers.For(arm), edit = EditFor(arm, inputs)](
                             const Engine& engine,
                             MemoryBudget* budget) -> Result<std::unique_ptr<Restorer>> {
    KAKEYA_ASSIGN_OR_RETURN(std::unique_ptr<Restorer> inner, make(engine, budget));
    return std::unique_ptr<Restorer>(std::make_unique<EditedRestorer>(std::move(inner), edit));
  };
  return out;
}

// Adds what a session has done and holds to the record.
void Measure(const Session& session, const Generation& answer, RecallRecord* record) {
  record->prompt_tokens = answer.prompt_tokens;
  record->prefill_tokens += answer.prefilled_tokens;
  record->prefill_seconds += answer.prefill_seconds;
  record->decode_steps += answer.decode_steps;
  record->decode_seconds += answer.decode_seconds;
  const KvUsage usage = session.kv_usage();
  record->resident_bytes = std::max<uint64_t>(record->resident_bytes, usage.resident_bytes);
  record->peak_bytes = std::max<uint64_t>(record->peak_bytes, usage.peak_bytes);
  record->history_bytes = std::max<uint64_t>(record->history_bytes, usage.history_bytes);
  record->scratch_bytes = std::max<uint64_t>(record->scratch_bytes, usage.scratch_bytes);
  record->answers.push_back(answer.text);
}

// Counters of a session that has answered for the last time.
void MeasureRestoration(Session* session, RecallRecord* record) {
  const RestoreUsage usage = session->restore_usage();
  record->restored_pages = usage.chunks;
  record->restored_vectors = usage.vectors;
  record->failed_pages = usage.failed;
  record->coupon_layers = CouponLayers(&TimelineOf(session).cache);
}

Result<Generation> Answer(Session* session, const RecallTurn& turn,
                          const std::function<bool()>& interrupted) {
  GenerateOptions options;
  options.max_tokens = AnswerTokens(turn);
  options.stop = {"\n"};
  options.interrupted = interrupted;
  KAKEYA_ASSIGN_OR_RETURN(Generation answer, session->Generate(options));
  if (answer.stop == StopReason::kInterrupted) return Status(StatusCode::kCancelled, "stopped");
  return answer;
}

// One session reads everything, turn by turn, with its own answers in between.
Status RunTurns(Engine* engine, const RecallTrial& trial, const SessionOptions& options,
                const std::function<bool()>& interrupted, RecallRecord* record) {
  KAKEYA_ASSIGN_OR_RETURN(Session session, Session::Create(engine, options));
  KAKEYA_RETURN_IF_ERROR(session.Append(trial.prompt.context));
  for (const RecallTurn& turn : trial.prompt.turns) {
    KAKEYA_RETURN_IF_ERROR(session.Append(turn.ids));
    KAKEYA_ASSIGN_OR_RETURN(const Generation answer, Answer(&session, turn, interrupted));
    Measure(session, answer, record);
  }
  MeasureRestoration(&session, record);
  return OkStatus();
}

// A session for every question: each wants other chunks in front of it.
Status RunReinserted(Engine* engine, const RecallTrial& trial, const SessionOptions& options,
                     const std::function<bool()>& interrupted, RecallRecord* record) {
  std::vector<int32_t> history = trial.prompt.context;
  for (const RecallTurn& turn : trial.prompt.turns) {
    KAKEYA_ASSIGN_OR_RETURN(Session session, Session::Create(engine, options));
    KAKEYA_RETURN_IF_ERROR(
        session.Append(ReinsertedContext(options.kv, history, turn.ids, options.restore.chunks)));
    KAKEYA_RETURN_IF_ERROR(session.Append(turn.ids));
    KAKEYA_ASSIGN_OR_RETURN(const Generation answer, Answer(&session, turn, interrupted));
    Measure(session, answer, record);
    Append(&history, turn.ids);
    Append(&history, answer.tokens);
    // The ids of the whole text are what this arm keeps of it, beside the session's own.
    record->history_bytes = std::max<uint64_t>(
        record->history_bytes, session.kv_usage().history_bytes + history.size() * sizeof(int32_t));
  }
  return OkStatus();
}

bool AllRight(const RecallTrial& trial, const std::vector<std::string>& answers) {
  const std::vector<RecallTurn>& turns = trial.prompt.turns;
  const bool edited = trial.key.arm == RecallArm::kCounterfactual;
  for (size_t i = 0; i < turns.size(); ++i) {
    if (!IsRightAnswer(answers[i], edited ? turns[i].edited_expected : turns[i].expected)) {
      return false;
    }
  }
  return true;
}

}  // namespace

const RestorerFactory& RecallRestorers::For(RecallArm arm) const {
  if (arm == RecallArm::kUntrained) return untrained;
  if (arm == RecallArm::kSelf) return self;
  return trained;
}

int64_t AnswerTokens(const RecallTurn& turn) { return turn.expected.size() > 1 ? 48 : 16; }

std::vector<int32_t> ReinsertedContext(const KvPolicy& policy, std::span<const int32_t> history,
                                       std::span<const int32_t> question, int64_t chunks) {
  KvPolicy bounded = policy;
  bounded.kind = KvPolicy::Kind::kWindow;
  const auto total = static_cast<int64_t>(history.size() + question.size());
  const int64_t begin =
      std::min<int64_t>(WindowBegin(bounded, total - 1), static_cast<int64_t>(history.size()));
  const int64_t evicted = begin / kChunk;
  const std::vector<int64_t> best = ChunksByBm25(history, evicted, question, chunks);
  std::vector<int32_t> ids;
  // Sinks come first, unless the chunk that holds them does so anyway.
  int64_t next = 0;
  const auto add_until = [&](int64_t from, int64_t to) {
    from = std::max(from, next);
    if (from >= to) return;
    Append(&ids, history.subspan(from, to - from));
    next = to;
  };
  add_until(0, std::min(policy.sink, begin));
  for (const int64_t chunk : best) add_until(chunk * kChunk, (chunk + 1) * kChunk);
  add_until(begin, static_cast<int64_t>(history.size()));
  return ids;
}

int64_t TrialTokens(RecallArm arm, const RecallPrompt& prompt, const SessionOptions& options) {
  int64_t turns = 0;
  for (const RecallTurn& turn : prompt.turns) {
    turns += static_cast<int64_t>(turn.ids.size()) + AnswerTokens(turn);
  }
  auto context = static_cast<int64_t>(prompt.context.size());
  if (arm == RecallArm::kReinsert && options.restore.chunks < context / kChunk) {
    context = std::min(context,
                       (options.restore.chunks + 1) * kChunk + options.kv.window + options.kv.sink);
  }
  return context + turns;
}

Result<RecallRecord> RunTrial(Engine* engine, const RecallTrial& trial,
                              const SessionOptions& options, const RecallRestorers& restorers,
                              const std::function<bool()>& interrupted) {
  const RecallPrompt& prompt = trial.prompt;
  RecallRecord record;
  record.key = trial.key;
  record.depth = prompt.depth;
  record.phrasing = prompt.phrasing;
  record.machine = MachineName();
  if (trial.key.arm == RecallArm::kReinsert) record.reinserted_chunks = options.restore.chunks;
  int64_t needle_end = 0;
  for (const TokenRange& needle : prompt.needles) needle_end = std::max(needle_end, needle.end);
  record.distance = static_cast<int64_t>(prompt.context.size()) - needle_end;
  for (const RecallTurn& turn : prompt.turns) {
    const bool edited = trial.key.arm == RecallArm::kCounterfactual;
    const std::vector<std::string>& expected = edited ? turn.edited_expected : turn.expected;
    record.expected.insert(record.expected.end(), expected.begin(), expected.end());
  }
  const SessionOptions arm_options = OptionsFor(trial, options, restorers);
  const auto run = trial.key.arm == RecallArm::kReinsert ? RunReinserted : RunTurns;
  KAKEYA_RETURN_IF_ERROR(run(engine, trial, arm_options, interrupted, &record));
  record.right = AllRight(trial, record.answers);
  return record;
}

}  // namespace kakeya
