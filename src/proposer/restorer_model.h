// The parameters of a restorer, checked and packed for the kernels: the proposer that turns token
// ids into codes, f_theta that turns codes into the verifier's keys and values, and the selector.
//
// Thread safety: immutable once made; any number of threads and sessions may read it.
#ifndef KAKEYA_PROPOSER_RESTORER_MODEL_H_
#define KAKEYA_PROPOSER_RESTORER_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "backend/packed_matrix.h"
#include "backend/restore/restore_map.h"
#include "backend/restore/restore_ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "model/forward.h"
#include "proposer/restorer_config.h"

namespace kakeya {

// Matrices are (outputs, inputs), in the file's type; vectors are F32. d: proposer.hidden.
struct ProposerLayer {
  Buffer norm1;       // (d)
  PackedMatrix q;     // (heads * head_dim, d)
  PackedMatrix k;     // as q
  PackedMatrix v;     // as q
  Buffer q_norm;      // (head_dim)
  Buffer k_norm;      // (head_dim)
  PackedMatrix o;     // (d, heads * head_dim)
  Buffer norm2;       // (d)
  PackedMatrix gate;  // (ffn, d)
  PackedMatrix up;    // (ffn, d)
  PackedMatrix down;  // (d, ffn)
};

// The selector in one layer and KV head of the verifier.
struct SelectMap {
  PackedMatrix weight;  // (summary.dim + 1, group * head_dim); the last output is the threshold
  Buffer bias;          // (summary.dim + 1)
  Buffer distance;      // (kDistanceBuckets): added to a chunk's score
};

struct RestorerModel {
  RestorerConfig config;
  PackedMatrix embed_in;  // (d, verifier hidden)
  // What is added for recurrence; empty unless config.recurrence is used.
  struct Recurrence {
    Buffer count;       // (lengths, buckets, d): one row per length
    PackedMatrix next;  // (d, next * token_dim): of the followers' features, one after the other
  } recurrence;
  std::vector<ProposerLayer> layers;
  Buffer final_norm;                // (d)
  PackedMatrix code;                // (code_dim, d)
  PackedMatrix summary_pool;        // (pool_heads, d)
  PackedMatrix summary_proj;        // (summary.dim, d)
  std::vector<RestoreMap> restore;  // (verifier layers, kv_heads)
  std::vector<SelectMap> select;    // (verifier layers, kv_heads)
  // (vocab_size, token_dim), int16, and a scale for each token: what f_theta takes of a token's own
  // embedding, and the proposer of a follower's. It depends on the id alone, so it is computed
  // once.
  Buffer token_features;
  Buffer token_scales;      // (vocab_size)
  Buffer ones;              // (verifier hidden): the weight of a norm that has none
  std::vector<float> cos;   // (2 * kChunk, head_dim / 2): the proposer's rotation; positions
  std::vector<float> sin;   //   [0, kChunk) are the predecessor's, the others the chunk's own
  int64_t parameters = 0;   // elements of the tensors in use
  std::string fingerprint;  // of the files that it was read from; empty: drawn at random

  const RestoreMap& restore_at(int layer, int kv_head) const {
    return restore[layer * config.verifier.kv_heads + kv_head];
  }
  TokenFeatures tokens() const {
    return {token_features.as<int16_t>(), token_scales.as<float>(), config.token_dim};
  }
  const SelectMap& select_at(int layer, int kv_head) const {
    return select[layer * config.verifier.kv_heads + kv_head];
  }

  // Reads DIR/config.json and DIR/model.safetensors. Everything is allocated from `budget` under
  // MemoryTag::kWeights; `pool` may be null. NaN and infinite weights are taken as they are: a
  // restorer that computes no numbers is noticed where it is used, and done without. Errors, one
  // line naming the file and the key or tensor: those of LoadRestorerConfig, NotFound (no file, no
  // such tensor), Corrupt (a wrong shape, a file that is cut or changed), Unsupported (an element
  // type), ResourceExhausted.
  static Result<RestorerModel> Load(const std::string& dir, const Model& verifier,
                                    const std::string& fingerprint, MemoryBudget* budget,
                                    ThreadPool* pool);
  // A restorer that has learned nothing: matrices are normal with variance 1 / inputs, norms 1,
  // biases 0; the same for the same seed on every machine. REQUIRES: config.verifier is the
  // verifier's shape. Errors: ResourceExhausted.
  static Result<RestorerModel> Random(const RestorerConfig& config, const Model& verifier,
                                      uint64_t seed, MemoryBudget* budget);
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_RESTORER_MODEL_H_
