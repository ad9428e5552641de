// How much the bounded cache costs on ordinary text: perplexity under several K/V policies, on the
// same windows of the same text.
#ifndef KAKEYA_EVAL_PERPLEXITY_PERPLEXITY_H_
#define KAKEYA_EVAL_PERPLEXITY_PERPLEXITY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "eval/recall/report/stats.h"
#include "session/engine.h"
#include "session/session.h"

namespace kakeya {

struct PerplexityOptions {
  int64_t context = 4096;  // tokens read from an empty cache; then anew
  std::vector<SessionOptions> sessions;
  // Asked between blocks; true ends the measurement. May be empty.
  std::function<bool()> interrupted = {};
  // Tokens read so far, and in all, over all sessions. May be empty.
  std::function<void(int64_t done, int64_t total)> progress = {};
};

struct PerplexityRow {
  double nll = 0;         // mean negative log-likelihood of a token, in nats
  double perplexity = 0;  // exp(nll)
  double ratio = 1;       // to the first row's perplexity
  // 95 % by Student's t distribution of the windows' mean differences; nothing for the first row
  // and for fewer than two windows.
  std::optional<Interval> ratio_interval;
  uint64_t resident_bytes = 0;  // at most
  uint64_t history_bytes = 0;
  int64_t failed_pages = 0;  // as RestoreUsage::failed, over all windows
  double seconds = 0;
};

struct Perplexity {
  int64_t tokens = 0;               // whose likelihood was counted
  int64_t windows = 0;              // pieces of the text
  std::vector<PerplexityRow> rows;  // one per session
};

// Counts every token of every window but its first. A window's end that is a single token is left
// out. Errors: InvalidArgument (fewer than two ids, an id outside the vocabulary, a context beyond
// the model's), ResourceExhausted, Corrupt when the model computes no numbers, Cancelled.
Result<Perplexity> MeasurePerplexity(Engine* engine, std::span<const int32_t> ids,
                                     const PerplexityOptions& options);

// -log softmax(logits)[target], in double precision. NaN and infinities give what is not finite.
double NegativeLogLikelihood(std::span<const float> logits, int32_t target);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_PERPLEXITY_PERPLEXITY_H_
