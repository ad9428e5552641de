// The forward pass of a decoder-only transformer: Qwen3 dense and Llama 3 (grouped-query attention,
// optional QK-norm, rotary positions, SwiGLU). Token ids of one or several sequences in, final
// hidden states out; the keys and values of each sequence's rows go into the open stage of its
// cache.
//
// Matrix products run over the rows of all sequences at once, so that weights are read once; only
// rotation and attention look at one sequence at a time. The bits of a row depend on its own
// sequence alone, never on its neighbours (backend/ops.h).
//
// Thread safety: Model is immutable after Load. A Workspace and a KvCache belong to one caller at a
// time.
#ifndef KAKEYA_MODEL_FORWARD_H_
#define KAKEYA_MODEL_FORWARD_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/kv_cache.h"
#include "model/config.h"
#include "model/restoration.h"
#include "model/rope.h"
#include "model/weights.h"

namespace kakeya {

// A loaded model: what it is and its parameters.
struct Model {
  ModelConfig config;
  ModelWeights weights;
  std::vector<Rotation> rotations;  // per rope of the config

  const Rotation& RotationFor(int layer) const { return rotations[config.layers[layer].rope]; }

  // Reads a folder in the HF layout or a GGUF file. Errors name the file and what is wrong in it.
  static Result<Model> Load(const std::string& path, MemoryBudget* budget, ThreadPool* pool,
                            const LoadProgress& progress);
};

// What the layers of a model keep under a policy: those that slide by design keep their own window,
// the others follow the policy.
std::vector<KvLayer> KvLayersOf(const ModelConfig& config, const KvPolicy& policy);

// Activations of one pass over at most `rows` tokens of all its sequences, allocated once and
// reused in every layer. Belongs to whoever puts the passes together.
struct Workspace {
  // Errors: ResourceExhausted.
  // `restored`: with what attention to restored chunks needs on top.
  // `logit_rows`: rows whose logits are wanted at once.
  static Result<Workspace> Create(const ModelConfig& config, int64_t rows, int64_t logit_rows,
                                  bool restored, MemoryBudget* budget);

  std::span<float> scratch() const {
    return {attention_scratch.as<float>(), attention_scratch.size() / sizeof(float)};
  }

  int64_t rows = 0;
  int64_t logit_rows = 0;
  bool restored = false;
  // Sizes of heads are those of the widest layer.
  Buffer hidden;  // (rows, hidden_size): the residual stream
  Buffer normed;  // (rows, hidden_size)
  Buffer qkv;     // (rows, (heads + 2 * kv_heads) * head_dim): as projected, not rotated
  Buffer q;       // (rows, heads, head_dim)
  Buffer kv;  // (2, rows, kv_heads, head_dim): one layer's K and V in flight; counted as K/V memory
  Buffer context;           // (rows, heads, head_dim): attention's output
  Buffer gate;              // (rows, intermediate_size)
  Buffer up;                // (rows, intermediate_size)
  std::vector<Buffer> cos;  // per rope: (rows, head_dim / 2)
  std::vector<Buffer> sin;
  Buffer attention_scratch;  // (AttentionScratchFloats)
  Buffer drawn;              // (logit_rows, hidden_size): the rows that logits are wanted of
  Buffer logits;             // (logit_rows, vocab_size)
  // Restored only:
  Buffer plain_q;          // (rows, heads, head_dim): before the rotation
  Buffer far_q;            // (kStaging, heads, head_dim): as far chunks see it
  Buffer attention_state;  // (kStaging, heads, AttentionStateFloats(head_dim))
};

// One sequence's rows of a pass: the tokens at the positions [cache->size(), cache->size() + rows).
struct Sequence {
  KvCache* cache = nullptr;
  // Null unless a policy of the cache is kRestored. Its restorer has been told all that the rows
  // may choose: the positions before the last row's window.
  Restoration* restoration = nullptr;
  int rows = 0;
  // Set by Forward: why this sequence's rows are worth nothing. The caller rolls back.
  Status status = {};
};

// Residual streams that a pass hands out on its way, for drafters that read them.
struct HiddenTaps {
  std::span<const int> layers = {};      // ascending
  std::span<float* const> outputs = {};  // per layer: (rows, hidden_size), as that layer leaves it
};

// Runs the tokens `ids`, those of the first sequence first, and leaves their final, normalised
// hidden states (ids.size(), hidden_size) in workspace->hidden. A sequence that fails has a status;
// the others are not disturbed. REQUIRES: ids.size() is the sum of the sequences' rows, at most
// workspace->rows; each cache has as many positions staged; every id in [0, vocab_size); a block of
// more than kStaging rows is final.
void Forward(const OpContext& context, const Model& model, std::span<const int32_t> ids,
             std::span<Sequence> sequences, const HiddenTaps& taps, Workspace* workspace);

// logits (rows, vocab_size) of hidden states (rows, hidden_size) as Forward leaves them.
void Logits(const OpContext& context, const Model& model, const float* hidden, int64_t rows,
            float* logits);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_FORWARD_H_
