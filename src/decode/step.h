// Read this first: what the engine does for each token of its answers.
//
// A step takes one block of one or several sequences through these phases:
//
//   1. Draft    each sequence's block is put together: ids that are final and not read yet (a
//   prompt's
//               next piece, or the token decided last), then tokens that a drafter proposes.
//   2. Verify   one forward pass over the rows of all blocks; then the logits behind the last final
//   id
//               and behind every draft.
//   3. Commit   a draft is accepted if it equals the token that the verifier itself draws at its
//               position. What is accepted becomes part of the sequence, what is not is rolled
//               back. What ends the text (end-of-text tokens, stop strings, limits) is decided
//               before.
//   4. Tell     the restorer is told the ids that became final.
//   5. Stream   tokens go to whoever waits for them. Here they are returned; a session makes text.
//
// Drawing a token is a pure function of (logits, parameters, seed, position), so the text is the
// same byte for byte whatever was drafted, at any temperature (docs/adr/0015-seams.md).
#ifndef KAKEYA_DECODE_STEP_H_
#define KAKEYA_DECODE_STEP_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "base/status.h"
#include "decode/sampler.h"
#include "decode/timeline.h"
#include "model/forward.h"

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
  int64_t max_tokens = 0;  // that this and later steps may decide; 0: none, ids are read only
  SamplingParams sampling = {};
  std::span<const int32_t> eos = {};  // token ids that end the text; they are not decided tokens
  int64_t max_positions = 0;          // positions the sequence may have in all
};

// Asked for each token as it is decided, before anything is committed: a reason ends the text
// behind it. May be empty.
using Decide = std::function<std::optional<StopReason>(int32_t token)>;

// One sequence in a step: what it brings, and what comes of it.
struct StepSequence {
  Timeline* timeline = nullptr;
  std::span<const int32_t> ids = {};  // all that are final; some may not be in the cache yet
  std::span<const int32_t> drafts =
      {};                      // proposed for the positions behind them; at most kMaxDrafts
  int64_t max_rows = 1;        // final ids that this step may read, at least 1
  DecodeOptions options = {};  // CheckSampling(options.sampling)
  Decide decide = {};

  // Out:
  Status status = {};                // an error: no token was decided. Others are not disturbed.
  int64_t read = 0;                  // final ids that went into the cache
  int64_t accepted = 0;              // drafts that did
  std::vector<int32_t> tokens = {};  // decided; the caller makes them final
  std::optional<StopReason> stop = {};
};

// A block of final rows and drafts must fit into the staging area, so that it can be rolled back.
inline constexpr int64_t kMaxDrafts = kStaging - 1;

// Takes every sequence one block further. A sequence whose ids are all in the cache, and whose last
// state is known, decides a token without a pass of its own. Errors are those of the sequences:
// ResourceExhausted, Corrupt when the model computes no numbers, those of a restorer. REQUIRES: ids
// not empty and in the vocabulary; drafts in the vocabulary (a drafter's garbage is dropped
// before); the workspace has room for all rows.
void Step(const OpContext& context, const Model& model, std::span<StepSequence> sequences,
          Workspace* workspace);

// Rows that the sequence's next step takes at most in the pass, and rows of logits.
struct StepRows {
  int64_t rows = 0;
  int64_t logit_rows = 0;
};
StepRows RowsOfStep(const StepSequence& sequence);

}  // namespace kakeya

#endif  // KAKEYA_DECODE_STEP_H_
