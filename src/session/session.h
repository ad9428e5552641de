// One conversation: its tokens, its cache, its answers. The only header that a server or a
// command-line tool needs, together with the scheduler's where several sessions share their steps.
//
// Thread safety: none; one step at a time. Two sessions of one engine run steps at the same time
// only through one Scheduler, and none is truncated meanwhile: a restorer that goes back computes
// with the engine's threads. Invariants:
//  (1) tokens() is the whole history in order: what was appended and what was generated.
//  (2) The cache holds a prefix of it; what is missing is read (prefilled) before the next token is
//      generated. How the reading was cut into steps never shows.
//  (3) A step that failed leaves the session as it was; what it had read may have to be read again.
#ifndef KAKEYA_SESSION_SESSION_H_
#define KAKEYA_SESSION_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/restorer.h"
#include "decode/step.h"
#include "session/answer.h"
#include "session/engine.h"
#include "session/restorer_factory.h"

namespace kakeya {

// What --kv restored adds to sinks and window.
struct RestoreOptions {
  // The deeper the text, the more the choices of one token differ from the next one's. With this
  // much slack a page is seldom made twice.
  static constexpr uint64_t kBufferedSteps = 3;
  // Of a step that may attend to more, the buffer is sized for so many; the others stream through.
  static constexpr int64_t kMaxBufferedChunks = 64;

  int64_t chunks = 8;  // that one query of a KV head attends to at most; kAllChunks: every one
  // Fixed size of the buffer that holds reconstructed K/V; 0: kBufferedSteps times all that one
  // step may attend to, in every layer, of at most kMaxBufferedChunks (8 for kAllChunks).
  size_t buffer_bytes = 0;
  RestorerFactory restorer = {};  // empty: the engine's own
};

struct SessionOptions {
  KvPolicy kv = {};
  RestoreOptions restore = {};  // kRestored only
  // None: the model's own type, so that the cache is never coarser than the weights.
  std::optional<KvType> kv_type = {};
  int64_t prefill_block = 512;  // tokens read in one pass
};

// What the K/V memory of a session amounts to, as the allocator counts it.
struct KvUsage {
  size_t resident_bytes = 0;  // now
  size_t peak_bytes = 0;      // at most so far, including the block in flight
  size_t history_bytes = 0;   // what grows with the conversation: token ids, codes, summaries
  size_t scratch_bytes = 0;   // at most so far: activations, the proposer's too; of fixed size
};

// What a session has restored so far, counted where the work is done.
struct RestoreUsage {
  int64_t chunks = 0;   // pages made: one chunk in one layer and KV head
  int64_t vectors = 0;  // K and V vectors in them
  int64_t failed = 0;   // pages, and chunks' codes, that held no numbers: queries did without them
  std::string first_failure = {};  // why, of the first page
  double seconds = 0;              // spent on codes, selection and reconstruction
};

// Whether options make sense, whatever the model. Errors: InvalidArgument, naming the one that
// doesn't.
Status CheckOptions(const SessionOptions& options);

// Bytes of the buffer that a session with these options has: buffer_bytes, or what 0 stands for.
size_t RestoreBufferBytes(const RestoreOptions& options, const KvShape& shape);

class Session {
 public:
  // REQUIRES: the engine outlives the session. Errors: InvalidArgument for a policy that can't
  // work, ResourceExhausted.
  static Result<Session> Create(Engine* engine, const SessionOptions& options);
  Session(Session&&) = default;
  Session& operator=(Session&&) = delete;  // would free the old budget before the old cache

  // Adds tokens to the history; they are read by the next steps. Errors: InvalidArgument naming
  // the first id that is not in the vocabulary, or context_length_exceeded; nothing was added then.
  // REQUIRES: no answer is under way.
  Status Append(std::span<const int32_t> ids);

  // Forgets the tokens from n on. What the cache's window no longer holds is read again by the next
  // steps; a few positions back nothing is. Errors: InvalidArgument when the history is shorter;
  // those of the restorer; nothing has changed then. REQUIRES: no answer is under way.
  Status Truncate(int64_t n);

  // Writes all that the session needs to go on, to a file that appears whole or not at all
  // (docs/session_file.md). The first call of an engine reads the model's files, to tell them from
  // others; Engine::ModelFingerprint does so earlier, while they are surely the ones loaded. Errors
  // name the file: Unavailable when the system refuses, InvalidArgument for a name that can't be a
  // file's, Unsupported when the restorer's state can't be saved. REQUIRES: no answer is under way.
  Status Save(const std::string& path) const;
  // A session that goes on where the saved one stood, to the same bits; what it counted begins
  // anew. `options` are those that the saved session had, but for prefill_block and the size of the
  // restore buffer, which may differ. Errors: those of Create; one line that names the file where
  // that can't be read (NotFound, Unavailable), is damaged (Corrupt), is of another version
  // (Unsupported), or belongs to another model, restorer or options (InvalidArgument).
  // REQUIRES: the engine outlives the session.
  static Result<Session> Load(Engine* engine, const SessionOptions& options,
                              const std::string& path);

  // Continues the history to the end of an answer. Errors: those of Start and of the steps. The
  // history keeps what had been streamed.
  Result<Generation> Generate(const GenerateOptions& options);

  // The same, step by step: Start, then Scheduler::Step until answering() is false, then Finish.
  // Errors of Start: InvalidArgument for an empty history, bad parameters, or a history that is
  // longer than the model's context.
  Status Start(const GenerateOptions& options);
  // Whether an answer wants more steps.
  bool answering() const { return answer_.has_value() && !answer_->ended(); }
  // The answer as far as it goes; it ends here if it hasn't yet (kInterrupted). Errors: that of the
  // step that failed: ResourceExhausted, Corrupt when the model computes no numbers, those of the
  // restorer. REQUIRES: Start succeeded, and Finish was not called since.
  Result<Generation> Finish();

  const std::vector<int32_t>& tokens() const { return tokens_; }
  // Of them, those that are in the cache: they needn't be read again.
  int64_t cached_tokens() const { return timeline_.cache.size(); }
  // Most positions that the history may have: the model's own limit if every position stays, 2^24
  // if the cache is bounded.
  int64_t max_positions() const;
  // Errors: InvalidArgument (context_length_exceeded) when a history of so many tokens doesn't fit,
  // or leaves no room to generate one.
  Status CheckContext(int64_t tokens, bool generates) const;
  // Of this session alone, but for the steps that it shared: their activations count whole.
  KvUsage kv_usage() const;
  RestoreUsage restore_usage() const;
  // What the session allocates from; a part of the engine's.
  MemoryBudget& budget() { return *budget_; }

 private:
  friend class Scheduler;
  friend Timeline& TimelineOf(Session* session);  // session/timeline_of.h

  Session(Engine* engine, const SessionOptions& options, std::unique_ptr<MemoryBudget> budget,
          Timeline timeline)
      : engine_(engine),
        options_(options),
        budget_(std::move(budget)),
        timeline_(std::move(timeline)) {}

  // Whether these ids can be a history. Errors: those of Append.
  Status CheckTokens(std::span<const int32_t> ids, size_t history) const;

  // For the scheduler: what the next step brings, and what came of it.
  StepSequence BeginStep();
  void EndStep(const StepSequence& done, double seconds, const MemoryBudget& activations);

  Engine* engine_;
  SessionOptions options_;
  std::unique_ptr<MemoryBudget> budget_;  // outlives the timeline, hence before it
  Timeline timeline_;
  std::vector<int32_t> tokens_;
  std::optional<Answer> answer_;  // from Start to Finish
  size_t peak_kv_bytes_ = 0;      // with the activations of its steps
  size_t peak_scratch_bytes_ = 0;
};

// A session's cache and restorer, ready to read: what Session::Create begins with. For those who
// run blocks by themselves (eval). Errors: as Session::Create.
Result<Timeline> NewTimeline(const Engine& engine, const SessionOptions& options,
                             MemoryBudget* budget);

}  // namespace kakeya

#endif  // KAKEYA_SESSION_SESSION_H_
