// What a folder `restorer/` says about itself: sizes of the proposer, of f_theta and of the
// selector, and which verifier they were trained for.
#ifndef KAKEYA_PROPOSER_RESTORER_CONFIG_H_
#define KAKEYA_PROPOSER_RESTORER_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "backend/ops.h"
#include "backend/restore/restore_ops.h"
#include "base/status.h"
#include "format/json.h"
#include "model/config.h"

namespace kakeya {

// Immutable after reading. Every number has been checked: sizes are positive (token_dim may be 0)
// and bounded, so that products of two fit an int.
struct RestorerConfig {
  std::string verifier_fingerprint;  // format/fingerprint.h
  // The chunk-local encoder.
  struct Proposer {
    int layers = 4;
    int hidden = 256;
    int heads = 4;
    int head_dim = 64;  // a multiple of 8, at most kMaxHeadDim
    int ffn = 384;
    double rope_theta = 10000;
    float rms_norm_eps = 1e-6f;

    int attention_size() const { return heads * head_dim; }
  } proposer;
  int code_dim = 64;   // kept per token, int8
  int token_dim = 64;  // of the token's own embedding, which costs no bytes
  // What the proposer is told of exact recurrence (backend/restore/restore_ops.h); without lengths
  // nothing. Followers need token_dim > 0.
  using Recurrence = RecurrenceShape;
  Recurrence recurrence;
  // What a chunk is chosen by.
  using Summary = SummaryShape;
  Summary summary;
  float min_share_log = -5.5f;  // a chunk must promise at least this share of the attention
  int64_t chunks = 8;           // what a query chooses unless told otherwise
  int64_t max_distance =
      8192;  // a multiple of kChunk: farther chunks are seen as if they were here
  // The model that it restores for.
  struct Verifier {
    int layers = 0;
    int hidden = 0;
    int heads = 0;
    int kv_heads = 0;
    int head_dim = 0;
    int vocab_size = 0;

    bool operator==(const Verifier&) const = default;
  } verifier;

  // Inputs of f_theta per token.
  int restore_inputs() const { return code_dim + token_dim; }
  // Inputs of the selector: the queries of one KV head's group.
  int select_inputs() const { return verifier.heads / verifier.kv_heads * verifier.head_dim; }
};

// What RestorerConfig::verifier says of this model.
RestorerConfig::Verifier VerifierShape(const ModelConfig& model);

// Errors, one line naming the key and its value: Unsupported (another format or version), Corrupt.
Result<RestorerConfig> ParseRestorerConfig(const Json& config);

// Reads DIR/config.json and checks that it was made for this verifier. Errors name the file, or the
// folder where the verifier is another one (Corrupt).
Result<RestorerConfig> LoadRestorerConfig(const std::string& dir, const ModelConfig& verifier,
                                          const std::string& fingerprint);

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_RESTORER_CONFIG_H_
