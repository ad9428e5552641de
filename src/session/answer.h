// One answer while it is made: what was asked for, the text so far, and when it ends. Streaming
// state lives here, between steps: half characters, and text that may turn out to be a stop string.
//
// Thread safety: none; it belongs to one session.
#ifndef KAKEYA_SESSION_ANSWER_H_
#define KAKEYA_SESSION_ANSWER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "decode/step.h"
#include "session/stop_matcher.h"
#include "text/tokenizer/detokenizer.h"

namespace kakeya {

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
  double prefill_seconds = 0;  // of whole steps, whoever shared them; so is decode_seconds
  double decode_seconds = 0;
  int64_t decode_steps = 0;  // steps in that time
};

// Whether options make sense, whatever the model. Errors: InvalidArgument, naming the one that
// doesn't.
Status CheckOptions(const GenerateOptions& options);

class Answer {
 public:
  // `history`: tokens before the answer, of which `cached` need not be read. `tokenizer` may be
  // null: then there is no text.
  Answer(const GenerateOptions& options, const Tokenizer* tokenizer, int64_t history,
         int64_t cached);

  const GenerateOptions& options() const { return options_; }
  bool ended() const { return ended_; }
  // Tokens that may still be decided.
  int64_t tokens_left() const {
    return options_.max_tokens - static_cast<int64_t>(out_.tokens.size());
  }

  // Takes a token as it is decided, and says whether it completes a stop string.
  std::optional<StopReason> Decide(int32_t token);
  // Takes the outcome of a step after which the cache holds `cached` tokens: counts it, streams the
  // text that has become final, and ends the answer if it was the last.
  void EndStep(const StepSequence& done, int64_t cached, double seconds);
  // The whole. Errors: that of the step that failed.
  Result<Generation> Finish();

 private:
  void Hold(std::string text) { held_ += text; }
  void Stream();
  void End(StopReason reason);
  bool Interrupted() const { return options_.interrupted && options_.interrupted(); }

  GenerateOptions options_;
  std::optional<StreamingDetokenizer> detokenizer_;
  StopMatcher stops_;
  std::string held_;  // decided, and not streamed yet
  Generation out_;
  Status status_;
  bool ended_ = false;
};

}  // namespace kakeya

#endif  // KAKEYA_SESSION_ANSWER_H_
