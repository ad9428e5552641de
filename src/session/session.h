// One conversation: its tokens, its cache, its answers. The only header that a server or a
// command-line tool needs.
//
// Thread safety: none; one step at a time. Two sessions of one engine must not run steps at the
// same time. Invariants:
//  (1) tokens() is the whole history in order: what was appended and what was generated.
//  (2) The cache holds a prefix of it; what is missing is read (prefilled) before the next token is
//  generated.
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
#include "cache/kv_cache.h"
#include "cache/restorer.h"
#include "decode/decode_loop.h"
#include "model/restoration.h"
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

struct GenerateOptions {
  int64_t max_tokens = 128;
  SamplingParams sampling = {};
  bool ignore_eos = false;             // go on past an end-of-text token
  std::vector<std::string> stop = {};  // the text ends before the first of these; none may be empty
  // Prompt tokens read so far and in all. May be empty.
  std::function<void(int64_t done, int64_t total)> on_prefill = {};
  // Text as it becomes final; always whole characters. May be empty.
  std::function<void(std::string_view text)> on_text = {};
  // Asked between steps; true ends the generation. May be empty.
  std::function<bool()> interrupted = {};
};

struct Generation {
  int64_t prompt_tokens = 0;     // tokens in the history before the first generated one
  int64_t prefilled_tokens = 0;  // of these, read by this call
  std::vector<int32_t> tokens;
  std::string text;  // of the tokens, up to a stop string; empty without a tokenizer
  StopReason stop = StopReason::kLength;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  int64_t decode_steps = 0;  // forward passes in that time, one token each
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
  double seconds = 0;   // spent on codes, selection and reconstruction
};

// Whether options make sense, whatever the model. Errors: InvalidArgument, naming the one that
// doesn't.
Status CheckOptions(const SessionOptions& options);
Status CheckOptions(const GenerateOptions& options);

// Bytes of the buffer that a session with these options has: buffer_bytes, or what 0 stands for.
size_t RestoreBufferBytes(const RestoreOptions& options, const KvShape& shape);

class Session {
 public:
  // REQUIRES: the engine outlives the session. Errors: InvalidArgument for a policy that can't
  // work, ResourceExhausted.
  static Result<Session> Create(Engine* engine, const SessionOptions& options);
  Session(Session&&) = default;
  Session& operator=(Session&&) = delete;  // would free the old budget before the old cache

  // Adds tokens to the history; they are read by the next Generate. Errors: InvalidArgument naming
  // the first id that is not in the vocabulary; nothing was added then.
  Status Append(std::span<const int32_t> ids);

  // Continues the history. Errors: InvalidArgument for an empty history, bad parameters, or a
  // history that is longer than the model's context; ResourceExhausted; Corrupt when the model
  // computes no numbers. The history keeps what had been streamed.
  Result<Generation> Generate(const GenerateOptions& options);

  const std::vector<int32_t>& tokens() const { return tokens_; }
  KvCache& cache() { return cache_; }
  const KvCache& cache() const { return cache_; }
  // Most positions that the history may have: the model's own limit if every position stays, 2^24
  // if the cache is bounded.
  int64_t max_positions() const;
  // Errors: InvalidArgument (context_length_exceeded) when a history of so many tokens doesn't fit,
  // or leaves no room to generate one.
  Status CheckContext(int64_t tokens, bool generates) const;
  // What decoding works on; for those who run blocks by themselves (eval). Valid while the session
  // stays where it is.
  Runner runner();
  // Of this session alone.
  KvUsage kv_usage() const;
  RestoreUsage restore_usage() const;
  // What the session allocates from; a part of the engine's.
  MemoryBudget& budget() { return *budget_; }

 private:
  Session(Engine* engine, const SessionOptions& options, std::unique_ptr<MemoryBudget> budget,
          KvCache cache, std::optional<Restoration> restoration)
      : engine_(engine),
        options_(options),
        budget_(std::move(budget)),
        cache_(std::move(cache)),
        restoration_(std::move(restoration)) {}

  Engine* engine_;
  SessionOptions options_;
  std::unique_ptr<MemoryBudget> budget_;  // outlives the cache, hence before it
  KvCache cache_;
  std::optional<Restoration> restoration_;  // kRestored only
  std::vector<int32_t> tokens_;
};

}  // namespace kakeya

#endif  // KAKEYA_SESSION_SESSION_H_
