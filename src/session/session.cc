#include "session/session.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "cache/kv_cache.h"
#include "session/restorer_factory.h"
#include "session/scheduler.h"
#include "session/session_file.h"

namespace kakeya {
namespace {

// Rotary angles are products of F32 numbers, and F32 counts exactly up to here.
constexpr int64_t kMaxBoundedPositions = int64_t{1} << 24;

Result<Restoration> NewRestoration(const Engine& engine, const RestoreOptions& options, KvType type,
                                   MemoryBudget* budget) {
  const LayerConfig& layer = engine.model().config.common_layer();
  const KvShape shape{.layers = engine.model().config.num_layers(),
                      .kv_heads = layer.num_kv_heads,
                      .head_dim = layer.head_dim,
                      .type = type};
  const RestorerFactory make = options.restorer ? options.restorer : LearnedRestorers();
  KAKEYA_ASSIGN_OR_RETURN(std::unique_ptr<Restorer> restorer, make(engine, budget));
  return Restoration::Create(shape, engine.model().RotationFor(0), std::move(restorer),
                             options.chunks, RestoreBufferBytes(options, shape), budget);
}

// What the bits of a session depend on beside its tokens.
Result<SessionTraits> TraitsOf(const Engine& engine, const SessionOptions& options,
                               const Timeline& timeline) {
  KAKEYA_ASSIGN_OR_RETURN(std::string model, engine.ModelFingerprint());
  const KvPolicy& kv = options.kv;
  SessionTraits traits = {{"the model", std::move(model)},
                          {"the K/V policy", NameOf(kv.kind)},
                          {"the K/V type", NameOf(timeline.cache.type())}};
  if (kv.bounded()) {
    traits.emplace_back("sink", std::to_string(kv.sink));
    traits.emplace_back("window", std::to_string(kv.window));
  }
  if (timeline.restoration) {
    const int64_t chunks = timeline.restoration->chunks;
    traits.emplace_back("the restorer", timeline.restoration->restorer->StateName());
    traits.emplace_back("restored chunks", chunks == kAllChunks ? "all" : std::to_string(chunks));
  }
  return traits;
}

}  // namespace

size_t RestoreBufferBytes(const RestoreOptions& options, const KvShape& shape) {
  if (options.buffer_bytes > 0) return options.buffer_bytes;
  constexpr int64_t kStreamedChunks = 8;
  const int64_t chunks = options.chunks == kAllChunks
                             ? kStreamedChunks
                             : std::min(options.chunks, RestoreOptions::kMaxBufferedChunks);
  return static_cast<uint64_t>(chunks) * RestoreOptions::kBufferedSteps *
         static_cast<uint64_t>(shape.layers) * shape.kv_heads * RestoreBuffer::PageBytes(shape);
}

Status CheckOptions(const SessionOptions& options) {
  if (options.prefill_block < 1) {
    return InvalidArgument("the prefill chunk is {}, but must be at least 1",
                           options.prefill_block);
  }
  if (options.restore.chunks < 1) {
    return InvalidArgument("the number of restored chunks is {}, but must be at least 1",
                           options.restore.chunks);
  }
  return CheckPolicy(options.kv);
}

Result<Timeline> NewTimeline(const Engine& engine, const SessionOptions& options,
                             MemoryBudget* budget) {
  KAKEYA_RETURN_IF_ERROR(CheckOptions(options));
  const ModelConfig& config = engine.model().config;
  const KvType type = options.kv_type.value_or(KvTypeFor(engine.model().weights.dtype));
  KAKEYA_ASSIGN_OR_RETURN(KvCache cache,
                          KvCache::Create(KvLayersOf(config, options.kv), type, budget));
  Timeline timeline{.cache = std::move(cache)};
  if (options.kv.kind == KvPolicy::Kind::kRestored) {
    KAKEYA_ASSIGN_OR_RETURN(timeline.restoration,
                            NewRestoration(engine, options.restore, type, budget));
  }
  return timeline;
}

Result<Session> Session::Create(Engine* engine, const SessionOptions& options) {
  auto budget = std::make_unique<MemoryBudget>(MemoryBudget::kUnlimited, &engine->budget());
  KAKEYA_ASSIGN_OR_RETURN(Timeline timeline, NewTimeline(*engine, options, budget.get()));
  return Session(engine, options, std::move(budget), std::move(timeline));
}

Status Session::Append(std::span<const int32_t> ids) {
  assert(!answer_);
  KAKEYA_RETURN_IF_ERROR(CheckTokens(ids, tokens_.size()));
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
  return OkStatus();
}

Status Session::CheckTokens(std::span<const int32_t> ids, size_t history) const {
  const int32_t vocabulary = engine_->model().config.vocab_size;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary) {
      return InvalidArgument("token {} has the id {}, but the vocabulary ends at {}", i, ids[i],
                             vocabulary - 1);
    }
  }
  return CheckContext(static_cast<int64_t>(history + ids.size()), /*generates=*/false);
}

Status Session::Truncate(int64_t n) {
  assert(!answer_);
  const auto size = static_cast<int64_t>(tokens_.size());
  if (n < 0 || n > size) {
    return InvalidArgument("the history has {} tokens, it can't be cut to {}", size, n);
  }
  if (n == size) return OkStatus();
  KAKEYA_RETURN_IF_ERROR(kakeya::Truncate(engine_->context(), n, &timeline_));
  tokens_.resize(static_cast<size_t>(n));
  return OkStatus();
}

Status Session::Save(const std::string& path) const {
  assert(!answer_);
  KAKEYA_ASSIGN_OR_RETURN(const SessionTraits traits, TraitsOf(*engine_, options_, timeline_));
  return WriteSessionFile(path, traits, tokens_, timeline_);
}

Result<Session> Session::Load(Engine* engine, const SessionOptions& options,
                              const std::string& path) {
  KAKEYA_ASSIGN_OR_RETURN(Session session, Create(engine, options));
  Timeline* const timeline = &session.timeline_;
  KAKEYA_ASSIGN_OR_RETURN(const SessionTraits traits, TraitsOf(*engine, options, *timeline));
  const auto check = [&](std::span<const int32_t> ids) { return session.CheckTokens(ids, 0); };
  KAKEYA_ASSIGN_OR_RETURN(session.tokens_, ReadSessionFile(path, traits, check, timeline));
  const auto hidden = static_cast<size_t>(engine->model().config.hidden_size);
  if (!timeline->hidden.empty() && timeline->hidden.size() != hidden) {
    return Corrupt("{}: the final state has {} numbers instead of {}", path,
                   timeline->hidden.size(), hidden);
  }
  return session;
}

Status Session::CheckContext(int64_t tokens, bool generates) const {
  if (tokens + (generates ? 1 : 0) <= max_positions()) return OkStatus();
  return InvalidArgument(
      "context_length_exceeded: {} tokens{} don't fit into the model's context of {}", tokens,
      generates ? " and one to generate" : "", max_positions());
}

int64_t Session::max_positions() const {
  if (!options_.kv.bounded()) return engine_->model().config.max_positions;
  return kMaxBoundedPositions;
}

KvUsage Session::kv_usage() const {
  const auto& restoration = timeline_.restoration;
  return {.resident_bytes = budget_->used(MemoryTag::kKv),
          .peak_bytes = std::max(peak_kv_bytes_, budget_->peak(MemoryTag::kKv)),
          .history_bytes = tokens_.capacity() * sizeof(int32_t) +
                           (restoration ? restoration->restorer->history_bytes() : 0),
          .scratch_bytes = std::max(peak_scratch_bytes_, budget_->peak(MemoryTag::kScratch))};
}

RestoreUsage Session::restore_usage() const {
  if (!timeline_.restoration) return {};
  const RestoreStats& stats = timeline_.restoration->stats;
  return {.chunks = stats.pages,
          .vectors = stats.vectors,
          .failed = stats.failed + timeline_.restoration->restorer->bad_chunks(),
          .first_failure = stats.first_failure,
          .seconds = stats.seconds};
}

Status Session::Start(const GenerateOptions& options) {
  assert(!answer_);
  const Result<const Tokenizer*> tokenizer = engine_->tokenizer();
  KAKEYA_RETURN_IF_ERROR(CheckOptions(options));
  if (!options.stop.empty()) KAKEYA_RETURN_IF_ERROR(tokenizer.status());
  const int64_t history = static_cast<int64_t>(tokens_.size());
  if (history == 0) return InvalidArgument("the prompt is empty");
  KAKEYA_RETURN_IF_ERROR(CheckContext(history, options.max_tokens > 0));
  const int64_t first = options.max_tokens > 0 ? FirstToRead(timeline_, history) : cached_tokens();
  answer_.emplace(options, tokenizer.ok() ? *tokenizer : nullptr, history, first);
  return OkStatus();
}

Result<Generation> Session::Finish() {
  Result<Generation> out = answer_->Finish();
  answer_.reset();
  return out;
}

StepSequence Session::BeginStep() {
  assert(answering());
  const GenerateOptions& options = answer_->options();
  return {.timeline = &timeline_,
          .ids = tokens_,
          .max_rows = options_.prefill_block,
          .options = {.max_tokens = answer_->tokens_left(),
                      .sampling = options.sampling,
                      .eos = options.ignore_eos ? std::span<const int32_t>() : engine_->eos(),
                      .max_positions = max_positions()},
          .decide = [this](int32_t token) { return answer_->Decide(token); }};
}

void Session::EndStep(const StepSequence& done, double seconds, const MemoryBudget& activations) {
  tokens_.insert(tokens_.end(), done.tokens.begin(), done.tokens.end());
  const auto peak = [&](MemoryTag tag, size_t* most) {
    *most = std::max(*most, budget_->used(tag) + activations.used(tag));
  };
  peak(MemoryTag::kKv, &peak_kv_bytes_);
  peak(MemoryTag::kScratch, &peak_scratch_bytes_);
  answer_->EndStep(done, cached_tokens(), seconds);
}

Result<Generation> Session::Generate(const GenerateOptions& options) {
  KAKEYA_RETURN_IF_ERROR(Start(options));
  Scheduler scheduler(engine_);
  Session* const self = this;
  while (answering()) scheduler.Step({&self, 1});
  return Finish();
}

}  // namespace kakeya
