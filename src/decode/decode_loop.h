// The loop that makes text: sample, stream, run, commit.
#ifndef KAKEYA_DECODE_DECODE_LOOP_H_
#define KAKEYA_DECODE_DECODE_LOOP_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "decode/runner.h"
#include "decode/sampler.h"

namespace kakeya {

enum class StopReason {
  kLength,       // as many tokens as asked for
  kEos,          // the model said that it is done
  kStopString,   // a stop string appeared
  kContext,      // no position left in the model's context
  kInterrupted,  // the caller asked to stop
};
// "length", "eos", "stop", "context", "interrupted".
const char* NameOf(StopReason reason);

struct DecodeOptions {
  int64_t max_tokens = 0;
  SamplingParams sampling = {};
  std::span<const int32_t> eos = {};  // token ids that end the text; they are not streamed
  int64_t max_positions = 0;          // positions the sequence may have in all
};

// Takes each token as it is decided. Anything but nothing ends the decoding after that token, for
// that reason.
using Stream = std::function<std::optional<StopReason>(int32_t token)>;

struct DecodeResult {
  std::vector<int32_t> tokens;  // all that were streamed
  StopReason stop = StopReason::kLength;
  int64_t steps = 0;  // forward passes: the first token's logits came with the prompt
};

// Continues the sequence in runner.cache, given the logits (vocab_size) that follow its last
// position. The last token of the result is decided but not run: it isn't in the cache yet. Errors:
// Corrupt when the model's logits are no numbers, ResourceExhausted; the tokens streamed before
// stay valid. REQUIRES: CheckSampling(options.sampling).
Result<DecodeResult> Decode(const Runner& runner, std::vector<float> logits,
                            const DecodeOptions& options, const Stream& stream);

}  // namespace kakeya

#endif  // KAKEYA_DECODE_DECODE_LOOP_H_
