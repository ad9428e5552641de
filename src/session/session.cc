#include "session/session.h"

#include <algorithm>
#include <chrono>

#include "decode/prefill.h"
#include "format/utf8.h"
#include "session/stop_matcher.h"
#include "text/tokenizer/detokenizer.h"

namespace kakeya {
namespace {

// Rotary angles are products of F32 numbers, and F32 counts exactly up to here.
constexpr int64_t kMaxBoundedPositions = int64_t{1} << 24;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Turns decided tokens into text for the caller: whole characters, nothing of a stop string.
class TextStream {
 public:
  TextStream(const Tokenizer* tokenizer, const GenerateOptions& options)
      : options_(options), stops_(options.stop) {
    if (tokenizer != nullptr) detokenizer_.emplace(tokenizer);
  }

  std::optional<StopReason> Push(int32_t token) {
    if (detokenizer_) Show(stops_.Push(detokenizer_->Push(token)));
    if (stops_.stopped()) return StopReason::kStopString;
    if (options_.interrupted && options_.interrupted()) return StopReason::kInterrupted;
    return std::nullopt;
  }

  std::string Finish() {
    if (detokenizer_) Show(stops_.Push(detokenizer_->Flush()));
    Show(stops_.Flush());
    return std::move(text_);
  }

 private:
  void Show(const std::string& text) {
    if (text.empty()) return;
    text_ += text;
    if (options_.on_text) options_.on_text(text);
  }

  const GenerateOptions& options_;
  std::optional<StreamingDetokenizer> detokenizer_;
  StopMatcher stops_;
  std::string text_;
};

Result<Restoration> NewRestoration(const Engine& engine, const RestoreOptions& options,
                                   const KvShape& shape, MemoryBudget* budget) {
  const RestorerFactory make = options.restorer ? options.restorer : LearnedRestorers();
  KAKEYA_ASSIGN_OR_RETURN(std::unique_ptr<Restorer> restorer, make(engine, budget));
  return Restoration::Create(shape, engine.model().inv_freq, std::move(restorer), options.chunks,
                             RestoreBufferBytes(options, shape), budget);
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

Status CheckOptions(const GenerateOptions& options) {
  KAKEYA_RETURN_IF_ERROR(CheckSampling(options.sampling));
  if (options.max_tokens < 0) {
    return InvalidArgument("the number of tokens is {}, but can't be negative", options.max_tokens);
  }
  for (const std::string& stop : options.stop) {
    if (stop.empty()) return InvalidArgument("a stop string is empty");
    if (FindInvalidUtf8(stop) != stop.size()) {
      return InvalidArgument("a stop string is not UTF-8, so it could never appear");
    }
  }
  return OkStatus();
}

Result<Session> Session::Create(Engine* engine, const SessionOptions& options) {
  KAKEYA_RETURN_IF_ERROR(CheckOptions(options));
  const ModelConfig& config = engine->model().config;
  const KvShape shape{.layers = config.num_layers,
                      .kv_heads = config.num_kv_heads,
                      .head_dim = config.head_dim,
                      .type = options.kv_type.value_or(KvTypeFor(engine->model().weights.dtype))};
  auto budget = std::make_unique<MemoryBudget>(MemoryBudget::kUnlimited, &engine->budget());
  KAKEYA_ASSIGN_OR_RETURN(KvCache cache, KvCache::Create(shape, options.kv, budget.get()));
  std::optional<Restoration> restoration;
  if (options.kv.kind == KvPolicy::Kind::kRestored) {
    KAKEYA_ASSIGN_OR_RETURN(restoration,
                            NewRestoration(*engine, options.restore, shape, budget.get()));
  }
  return Session(engine, options, std::move(budget), std::move(cache), std::move(restoration));
}

Runner Session::runner() {
  return {engine_->model(), engine_->context(), cache_, *budget_,
          restoration_ ? &*restoration_ : nullptr};
}

Status Session::Append(std::span<const int32_t> ids) {
  const int32_t vocabulary = engine_->model().config.vocab_size;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary) {
      return InvalidArgument("token {} has the id {}, but the vocabulary ends at {}", i, ids[i],
                             vocabulary - 1);
    }
  }
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
  return OkStatus();
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
  return {.resident_bytes = budget_->used(MemoryTag::kKv),
          .peak_bytes = budget_->peak(MemoryTag::kKv),
          .history_bytes = tokens_.capacity() * sizeof(int32_t) +
                           (restoration_ ? restoration_->restorer->history_bytes() : 0),
          .scratch_bytes = budget_->peak(MemoryTag::kScratch)};
}

RestoreUsage Session::restore_usage() const {
  if (!restoration_) return {};
  const RestoreStats& stats = restoration_->stats;
  return {.chunks = stats.pages,
          .vectors = stats.vectors,
          .failed = stats.failed + restoration_->restorer->bad_chunks(),
          .seconds = stats.seconds};
}

Result<Generation> Session::Generate(const GenerateOptions& options) {
  const Result<const Tokenizer*> tokenizer = engine_->tokenizer();
  KAKEYA_RETURN_IF_ERROR(CheckOptions(options));
  if (!options.stop.empty()) KAKEYA_RETURN_IF_ERROR(tokenizer.status());
  const int64_t history = static_cast<int64_t>(tokens_.size());
  if (history == 0) return InvalidArgument("the prompt is empty");
  KAKEYA_RETURN_IF_ERROR(CheckContext(history, options.max_tokens > 0));

  Generation out;
  out.prompt_tokens = history;
  const Runner runner = this->runner();
  const auto keep_going = [&](int64_t done, int64_t total) {
    if (options.on_prefill) options.on_prefill(done, total);
    return !(options.interrupted && options.interrupted());
  };

  const auto prefill_start = std::chrono::steady_clock::now();
  out.prefilled_tokens = history - cache_.size();
  Result<std::vector<float>> logits = Prefill(runner, std::span(tokens_).subspan(cache_.size()),
                                              options_.prefill_block, keep_going);
  out.prefill_seconds = SecondsSince(prefill_start);
  if (logits.status().code() == StatusCode::kCancelled) {
    out.stop = StopReason::kInterrupted;
    return out;
  }
  KAKEYA_RETURN_IF_ERROR(logits.status());

  const auto decode_start = std::chrono::steady_clock::now();
  TextStream text(tokenizer.ok() ? *tokenizer : nullptr, options);
  const DecodeOptions decode_options{
      .max_tokens = options.max_tokens,
      .sampling = options.sampling,
      .eos = options.ignore_eos ? std::span<const int32_t>() : engine_->eos(),
      .max_positions = max_positions()};
  Result<DecodeResult> decoded =
      Decode(runner, *std::move(logits), decode_options, [&](int32_t token) {
        tokens_.push_back(token);
        return text.Push(token);
      });
  out.decode_seconds = SecondsSince(decode_start);
  out.text = text.Finish();
  KAKEYA_RETURN_IF_ERROR(decoded.status());
  out.tokens = std::move(decoded->tokens);
  out.stop = decoded->stop;
  out.decode_steps = decoded->steps;
  return out;
}

}  // namespace kakeya
