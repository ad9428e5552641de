#include "session/answer.h"

#include <algorithm>
#include <utility>

#include "format/utf8.h"

namespace kakeya {

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

Answer::Answer(const GenerateOptions& options, const Tokenizer* tokenizer, int64_t history,
               int64_t cached)
    : options_(options), stops_(options.stop) {
  if (tokenizer != nullptr) detokenizer_.emplace(tokenizer);
  out_.prompt_tokens = history;
  out_.prefilled_tokens = history - cached;
  if (out_.prefilled_tokens > 0 && options_.on_prefill) {
    options_.on_prefill(0, out_.prefilled_tokens);
  }
  if (options_.max_tokens == 0 && out_.prefilled_tokens == 0) End(StopReason::kLength);
}

std::optional<StopReason> Answer::Decide(int32_t token) {
  if (detokenizer_) Hold(stops_.Push(detokenizer_->Push(token)));
  if (stops_.stopped()) return StopReason::kStopString;
  return std::nullopt;
}

void Answer::Stream() {
  if (held_.empty()) return;
  out_.text += held_;
  if (options_.on_text) options_.on_text(held_);
  held_.clear();
}

void Answer::End(StopReason reason) {
  out_.stop = reason;
  ended_ = true;
}

void Answer::EndStep(const StepSequence& done, int64_t cached, double seconds) {
  if (!done.status.ok()) {
    status_ = done.status;
    ended_ = true;
    return;
  }
  out_.tokens.insert(out_.tokens.end(), done.tokens.begin(), done.tokens.end());
  Stream();
  // A step that read of the prompt is the prompt's, with the token that it may have decided.
  const bool reads = cached - done.accepted - done.read < out_.prompt_tokens && done.read > 0;
  (reads ? out_.prefill_seconds : out_.decode_seconds) += seconds;
  if (reads) {
    const int64_t left = std::max<int64_t>(out_.prompt_tokens - cached, 0);
    if (options_.on_prefill) {
      options_.on_prefill(std::max<int64_t>(out_.prefilled_tokens - left, 0),
                          out_.prefilled_tokens);
    }
    if (left > 0) {
      if (Interrupted()) End(StopReason::kInterrupted);
      return;
    }
  } else if (done.read > 0) {
    ++out_.decode_steps;
  }
  if (done.stop) {
    End(*done.stop);
  } else if (tokens_left() == 0) {
    End(StopReason::kLength);
  } else if (Interrupted()) {
    End(StopReason::kInterrupted);
  }
}

Result<Generation> Answer::Finish() {
  if (detokenizer_) Hold(stops_.Push(detokenizer_->Flush()));
  Hold(stops_.Flush());
  Stream();
  if (!status_.ok()) return std::move(status_);
  if (!ended_) End(StopReason::kInterrupted);
  return std::move(out_);
}

}  // namespace kakeya
