// The logits of every position of a text: the raw material of parity tests.
#ifndef KAKEYA_EVAL_PERPLEXITY_LOGITS_H_
#define KAKEYA_EVAL_PERPLEXITY_LOGITS_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/status.h"
#include "session/engine.h"
#include "session/session.h"

namespace kakeya {

// Runs ids from an empty cache and writes `logits` (positions, vocabulary), F32, to a safetensors
// file. Errors: InvalidArgument (empty ids, an id outside the vocabulary, more than the model's
// context holds), ResourceExhausted, Unavailable when the file can't be written.
Status WriteLogits(Engine* engine, const SessionOptions& options, std::span<const int32_t> ids,
                   const std::function<void(int64_t done, int64_t total)>& progress,
                   const std::string& path);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_PERPLEXITY_LOGITS_H_
