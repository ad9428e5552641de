// The forward pass of a decoder-only transformer: Qwen3 dense and Llama 3 (grouped-query attention,
// optional QK-norm, rotary positions, SwiGLU). One block of token ids in, final hidden states out;
// the keys and values of the block go into the open stage of the cache.
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
#include "model/weights.h"

namespace kakeya {

// A loaded model: what it is and its parameters.
struct Model {
  ModelConfig config;
  ModelWeights weights;
  std::vector<float> inv_freq;  // (head_dim / 2): rotary frequencies after scaling

  // Reads a folder in the HF layout or a GGUF file. Errors name the file and what is wrong in it.
  static Result<Model> Load(const std::string& path, MemoryBudget* budget, ThreadPool* pool,
                            const LoadProgress& progress);
};

// Activations of one block of at most `rows` tokens, allocated once and reused in every layer.
struct Workspace {
  // Errors: ResourceExhausted.
  // `restored`: with what attention to restored chunks needs on top.
  static Result<Workspace> Create(const ModelConfig& config, int64_t rows, bool restored,
                                  MemoryBudget* budget);

  std::span<float> scratch() const {
    return {attention_scratch.as<float>(), attention_scratch.size() / sizeof(float)};
  }

  int64_t rows = 0;
  Buffer hidden;  // (rows, hidden_size): the residual stream
  Buffer normed;  // (rows, hidden_size)
  Buffer qkv;     // (rows, (heads + 2 * kv_heads) * head_dim): as projected, not rotated
  Buffer q;       // (rows, heads, head_dim)
  Buffer kv;  // (2, rows, kv_heads, head_dim): one layer's K and V in flight; counted as K/V memory
  Buffer context;            // (rows, heads, head_dim): attention's output
  Buffer gate;               // (rows, intermediate_size)
  Buffer up;                 // (rows, intermediate_size)
  Buffer cos;                // (rows, head_dim / 2)
  Buffer sin;                // (rows, head_dim / 2)
  Buffer attention_scratch;  // (AttentionScratchFloats)
  // Restored only:
  Buffer plain_q;          // (rows, heads, head_dim): before the rotation
  Buffer far_q;            // (kStaging, heads, head_dim): as far chunks see it
  Buffer attention_state;  // (kStaging, heads, AttentionStateFloats(head_dim))
};

// Runs the tokens ids at the positions [cache->size(), cache->size() + ids.size()) and leaves their
// final, normalised hidden states (ids.size(), hidden_size) in workspace->hidden. REQUIRES:
// cache->staged() == ids.size() <= workspace->rows; every id in [0, vocab_size). The caller
// commits. `restoration` is null unless the cache's policy is kRestored; its restorer has been told
// all ids that are final, and the block is final if it has more than kStaging rows. Errors: those
// of the restorer; the caller rolls back.
Status Forward(const OpContext& context, const Model& model, std::span<const int32_t> ids,
               KvCache* cache, Restoration* restoration, Workspace* workspace);

// logits (rows, vocab_size) of the hidden states that Forward left, from row first_row on.
void Logits(const OpContext& context, const Model& model, const Workspace& workspace,
            int64_t first_row, int64_t rows, float* logits);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_FORWARD_H_
