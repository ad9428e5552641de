#include "eval/recall/run/run.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "eval/recall/prompts/random.h"
#include "eval/recall/run/equal_bytes.h"
#include "eval/recall/run/eta.h"
#include "eval/recall/run/full_kv_bytes.h"

namespace kakeya {
namespace {

// What is derived from a prompt beside itself (salt 0).
constexpr uint64_t kForeignSalt = 1;
constexpr uint64_t kShuffleSalt = 2;
// "Told early": the fact of a chat stands in this part of it.
constexpr double kEarly = 0.3;

uint64_t SeedOf(std::initializer_list<uint64_t> parts) {
  uint64_t seed = 0;
  for (const uint64_t part : parts) seed = RecallRandom(seed ^ RecallRandom(part).Next()).Next();
  return seed;
}

uint64_t PromptSeed(const RecallOptions& options, RecallTask task, int64_t length, int64_t prompt,
                    uint64_t salt) {
  return SeedOf({options.seed, static_cast<uint64_t>(task), static_cast<uint64_t>(length),
                 static_cast<uint64_t>(prompt), salt});
}

// One task at one length, with the arms that can run there.
struct Cell {
  RecallTask task = RecallTask::kSingle;
  int64_t length = 0;
  std::vector<RecallArm> arms;
  double deepest = 1;  // where the last needle that keeps its distance stands
  int64_t reinserted_chunks = 0;
};

// Options of an arm in a cell: `reinsert` has a number of chunks of its own.
SessionOptions OptionsOf(const RecallOptions& options, const Cell& cell, RecallArm arm) {
  SessionOptions session = options.session;
  if (arm == RecallArm::kReinsert) session.restore.chunks = cell.reinserted_chunks;
  return session;
}

// Why an arm can't run on prompts like this one; empty when it can.
std::string WhyNot(const Engine& engine, const RecallOptions& options, RecallArm arm,
                   const Cell& cell, const RecallPrompt& prompt) {
  if (arm == RecallArm::kCounterfactual && prompt.edited_context.empty()) {
    return "this task has no counterfactual";
  }
  if (arm != RecallArm::kOracle && arm != RecallArm::kReinsert) return "";
  const int64_t limit = engine.model().config.max_positions;
  // Prompts of one length differ by up to 2 %.
  int64_t tokens = TrialTokens(arm, prompt, OptionsOf(options, cell, arm));
  if (arm == RecallArm::kOracle) tokens = std::max(tokens, cell.length) + cell.length / 50;
  if (tokens <= limit) return "";
  return fmt::format("{} tokens with full K/V are beyond the model's context of {}", tokens, limit);
}

class Run {
 public:
  Run(Engine* engine, const RecallOptions& options, const RecallRestorers& restorers,
      const PromptSource& prompts, const RecallHooks& hooks, RecallJournal* journal)
      : engine_(engine),
        options_(options),
        restorers_(restorers),
        prompts_(prompts),
        hooks_(hooks),
        journal_(journal) {
    for (int64_t i = options.part - 1; i < options.n; i += options.parts) mine_.push_back(i);
  }

  Result<RecallOutcome> All() {
    KAKEYA_RETURN_IF_ERROR(CheckArms());
    KAKEYA_RETURN_IF_ERROR(CheckSessions());
    if (mine_.empty()) return std::move(outcome_);  // more parts than prompts
    KAKEYA_RETURN_IF_ERROR(Plan());
    for (const Cell& cell : cells_) {
      for (const int64_t i : mine_) KAKEYA_RETURN_IF_ERROR(RunPrompt(cell, i));
    }
    Collect();
    // A part is no report, and full K/V of a long text are large.
    if (options_.parts == 1) {
      outcome_.full_kv = MeasureFullKv(engine_, options_, outcome_.records);
    }
    return std::move(outcome_);
  }

 private:
  Status CheckArms() const {
    for (const RecallArm arm : options_.arms) {
      if (Restores(arm) && !restorers_.For(arm)) {
        return InvalidArgument(
            "arm '{}' needs a trained restorer, and the model has none (--restorer DIR); without "
            "one run --arms oracle,window,reinsert",
            NameOf(arm));
      }
    }
    return OkStatus();
  }

  // A buffer or a window that can't be had shows before anything has run.
  Status CheckSessions() const {
    for (const RecallArm arm : options_.arms) {
      if (!Restores(arm)) continue;
      SessionOptions session = options_.session;
      session.kv.kind = KvPolicy::Kind::kRestored;
      session.restore.restorer = restorers_.For(arm);
      return Session::Create(engine_, session).status();
    }
    return OkStatus();
  }

  // Prompts of every cell are made before anything runs: what can't be asked shows now.
  Status Plan() {
    Status first;  // that says why a cell can't be asked
    for (const RecallTask task : options_.tasks) {
      for (const int64_t length : options_.lengths) {
        Status status = PlanCell(task, length)
                            .WithContext(fmt::format("task {} at {} tokens", NameOf(task), length));
        if (first.ok()) first = status;
        // No chat template, no room for what a task needs.
        const bool can_do_without = status.code() == StatusCode::kNotFound ||
                                    status.code() == StatusCode::kUnsupported ||
                                    status.code() == StatusCode::kInvalidArgument;
        if (can_do_without && options_.tasks.size() > 1) {
          for (const RecallArm arm : options_.arms) {
            outcome_.skipped.push_back({task, length, arm, status.message()});
          }
        } else if (!status.ok()) {
          return status;
        }
      }
    }
    if (cells_.empty()) return first;
    for (const Cell& cell : cells_) {
      for (const RecallArm arm : cell.arms) PlanRuns(cell, arm);
    }
    return OkStatus();
  }

  Status PlanCell(RecallTask task, int64_t length) {
    Cell cell;
    cell.task = task;
    cell.length = length;
    // The deepest needle that keeps its distance: depths are spread over what there is.
    RecallPromptSpec spec = SpecOf(options_, task, length, 0, /*deepest=*/1);
    spec.depth = 1;
    KAKEYA_ASSIGN_OR_RETURN(const RecallPrompt prompt, prompts_(spec));
    cell.deepest = task == RecallTask::kChat ? std::min(prompt.depth, kEarly) : prompt.depth;
    KAKEYA_ASSIGN_OR_RETURN(cell.reinserted_chunks, ReinsertedChunks(prompt));
    for (const RecallArm arm : options_.arms) {
      std::string reason = WhyNot(*engine_, options_, arm, cell, prompt);
      if (reason.empty()) {
        cell.arms.push_back(arm);
      } else {
        outcome_.skipped.push_back({task, length, arm, std::move(reason)});
      }
    }
    cells_.push_back(std::move(cell));
    return OkStatus();
  }

  // As many as fit into what `restored` holds of such a prompt; without a restorer, as many as a
  // query might choose.
  Result<int64_t> ReinsertedChunks(const RecallPrompt& prompt) const {
    const std::vector<RecallArm>& arms = options_.arms;
    SessionOptions session = options_.session;
    session.restore.restorer = restorers_.For(RecallArm::kRestored);
    const bool asked = std::find(arms.begin(), arms.end(), RecallArm::kReinsert) != arms.end();
    if (!asked || !session.restore.restorer) return session.restore.chunks;
    KAKEYA_ASSIGN_OR_RETURN(const uint64_t bytes, RestoredBytes(engine_, session, prompt));
    return ChunksWithin(bytes, engine_, session, prompt);
  }

  void PlanRuns(const Cell& cell, RecallArm arm) {
    for (const int64_t i : mine_) {
      ++total_;
      if (journal_->has({cell.task, cell.length, arm, i})) {
        ++done_;
      } else {
        eta_.Plan(arm, cell.length);
      }
    }
  }

  bool Wants(const Cell& cell, RecallArm arm, int64_t i) const {
    const bool runs = std::find(cell.arms.begin(), cell.arms.end(), arm) != cell.arms.end();
    return runs && !journal_->has({cell.task, cell.length, arm, i});
  }

  // Another text with another needle at the same depth, whose answer differs.
  Result<std::vector<int32_t>> ForeignContext(const Cell& cell, int64_t i,
                                              const RecallPrompt& prompt) const {
    for (uint64_t attempt = 0;; ++attempt) {
      RecallPromptSpec spec = SpecOf(options_, cell.task, cell.length, i, cell.deepest);
      spec.seed = PromptSeed(options_, cell.task, cell.length, i, kForeignSalt + (attempt << 8));
      KAKEYA_ASSIGN_OR_RETURN(RecallPrompt foreign, prompts_(spec));
      bool same = false;
      for (size_t t = 0; t < prompt.turns.size() && t < foreign.turns.size(); ++t) {
        same = same || prompt.turns[t].expected == foreign.turns[t].expected;
      }
      if (!same || attempt == 8) return std::move(foreign.context);
    }
  }

  Status RunPrompt(const Cell& cell, int64_t i) {
    const auto wanted = [&](RecallArm arm) { return Wants(cell, arm, i); };
    if (std::none_of(cell.arms.begin(), cell.arms.end(), wanted)) return OkStatus();
    KAKEYA_ASSIGN_OR_RETURN(const RecallPrompt prompt,
                            prompts_(SpecOf(options_, cell.task, cell.length, i, cell.deepest)));
    std::vector<int32_t> foreign;
    if (wanted(RecallArm::kForeign)) {
      KAKEYA_ASSIGN_OR_RETURN(foreign, ForeignContext(cell, i, prompt));
    }
    for (const RecallArm arm : cell.arms) {
      if (!wanted(arm)) continue;
      const RecallKey key{cell.task, cell.length, arm, i};
      if (hooks_.progress) hooks_.progress({done_, total_, eta_.SecondsLeft(), key});
      if (arm == RecallArm::kCounterfactual && prompt.edited_context.empty()) {
        return Unsupported("{} at {} tokens, prompt {}: has no counterfactual, though others have",
                           NameOf(cell.task), cell.length, i);
      }
      const auto start = std::chrono::steady_clock::now();
      const RecallTrial trial{
          .key = key,
          .prompt = prompt,
          .foreign = foreign,
          .seed = PromptSeed(options_, cell.task, cell.length, i, kShuffleSalt)};
      const Result<RecallRecord> record =
          RunTrial(engine_, trial, OptionsOf(options_, cell, arm), restorers_, hooks_.interrupted);
      if (record.status().code() == StatusCode::kCancelled) return record.status();
      if (!record.ok()) {
        return record.status().WithContext(fmt::format(
            "{} at {} tokens, {}, prompt {}", NameOf(cell.task), cell.length, NameOf(arm), i));
      }
      KAKEYA_RETURN_IF_ERROR(journal_->Add(*record));
      eta_.Done(arm, cell.length,
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      ++done_;
      if (hooks_.progress) hooks_.progress({done_, total_, eta_.SecondsLeft(), key});
    }
    return OkStatus();
  }

  void Collect() {
    for (const Cell& cell : cells_) {
      for (const RecallArm arm : cell.arms) {
        for (const int64_t i : mine_) {
          outcome_.records.push_back(journal_->records().at({cell.task, cell.length, arm, i}));
        }
      }
    }
  }

  Engine* engine_;
  const RecallOptions& options_;
  const RecallRestorers& restorers_;
  const PromptSource& prompts_;
  const RecallHooks& hooks_;
  RecallJournal* journal_;
  std::vector<int64_t> mine_;  // prompts of this part
  std::vector<Cell> cells_;
  RecallOutcome outcome_;
  RecallEta eta_;
  int64_t done_ = 0;
  int64_t total_ = 0;
};

}  // namespace

RecallPromptSpec SpecOf(const RecallOptions& options, RecallTask task, int64_t length,
                        int64_t prompt, double deepest) {
  std::vector<int64_t> strata(options.n);
  std::iota(strata.begin(), strata.end(), int64_t{0});
  RecallRandom(SeedOf({options.seed, static_cast<uint64_t>(task), static_cast<uint64_t>(length)}))
      .Shuffle(&strata);
  return {.task = task,
          .length = length,
          .depth = deepest * (static_cast<double>(strata[prompt]) + 0.5) /
                   static_cast<double>(options.n),
          .seed = PromptSeed(options, task, length, prompt, 0),
          .min_distance = options.session.kv.window + kChunk};
}

int64_t WindowReach(int layers, const KvPolicy& policy) {
  return layers * (policy.window + kChunk - 1);
}

Result<RecallOutcome> RunRecall(Engine* engine, const RecallOptions& options,
                                const RecallRestorers& restorers, const PromptSource& prompts,
                                const RecallHooks& hooks, RecallJournal* journal) {
  return Run(engine, options, restorers, prompts, hooks, journal).All();
}

}  // namespace kakeya
