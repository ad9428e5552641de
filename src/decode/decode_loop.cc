// Read this first: what the engine does for each token of its answer.
#include "decode/decode_loop.h"

#include <algorithm>
#include <optional>

namespace kakeya {
namespace {

// Runs one decided token and leaves the logits of its successor.
Status Advance(const Runner& runner, int32_t token, Workspace* workspace,
               std::vector<float>* logits) {
  KAKEYA_RETURN_IF_ERROR(RunBlock(runner, {&token, 1}, workspace));
  Logits(runner.context, runner.model, *workspace, 0, 1, logits->data());
  return OkStatus();
}

}  // namespace

const char* NameOf(StopReason reason) {
  switch (reason) {
    case StopReason::kLength:
      return "length";
    case StopReason::kEos:
      return "eos";
    case StopReason::kStopString:
      return "stop";
    case StopReason::kContext:
      return "context";
    case StopReason::kInterrupted:
      return "interrupted";
  }
  return "?";
}

Result<DecodeResult> Decode(const Runner& runner, std::vector<float> logits,
                            const DecodeOptions& options, const Stream& stream) {
  DecodeResult result;
  KAKEYA_ASSIGN_OR_RETURN(Workspace workspace, NewWorkspace(runner, 1));
  // The token decided last isn't in the cache yet, hence `position`: where the next token will
  // stand.
  for (int64_t position = runner.cache.size();; ++position) {
    if (static_cast<int64_t>(result.tokens.size()) >= options.max_tokens) return result;
    if (position >= options.max_positions) {
      result.stop = StopReason::kContext;
      return result;
    }
    if (!result.tokens.empty()) {
      KAKEYA_RETURN_IF_ERROR(Advance(runner, result.tokens.back(), &workspace, &logits));
      ++result.steps;
    }
    KAKEYA_ASSIGN_OR_RETURN(const int32_t token, SampleAt(logits, options.sampling, position));
    if (std::find(options.eos.begin(), options.eos.end(), token) != options.eos.end()) {
      result.stop = StopReason::kEos;
      return result;
    }
    result.tokens.push_back(token);
    if (const std::optional<StopReason> stop = stream(token)) {
      result.stop = *stop;
      return result;
    }
  }
}

}  // namespace kakeya
