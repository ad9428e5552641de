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
#include "model/weights.h"

namespace kakeya {

// A loaded model: what it is and its parameters.
struct Model {
  ModelConfig config;
  ModelWeights weights;
  std::vector<float> inv_freq;  // (head_dim / 2): rotary frequencies after scaling

  // Reads a folder in the HF layout. Errors name the file and what is wrong in it.
  static Result<Model> Load(const std::string& dir, MemoryBudget* budget, ThreadPool* pool,
                            const LoadProgress& progress);
};

// Activations of one block of at most `rows` tokens, allocated once and reused in every layer.
struct Workspace {
  // Errors: ResourceExhausted.
  static Result<Workspace> Create(const ModelConfig& config, int64_t rows, MemoryBudget* budget);

  int64_t rows = 0;
  Buffer hidden;  // (rows, hidden_size): the residual stream
  Buffer normed;  // (rows, hidden_size)
  Buffer qkv;     // (rows, (heads + 2 * kv_heads) * head_dim)
  Buffer q;       // (rows, heads, head_dim)
  Buffer kv;  // (2, rows, kv_heads, head_dim): one layer's K and V in flight; counted as K/V memory
  Buffer context;  // (rows, heads, head_dim): attention's output
  Buffer gate;     // (rows, intermediate_size)
  Buffer up;       // (rows, intermediate_size)
  Buffer cos;      // (rows, head_dim / 2)
  Buffer sin;      // (rows, head_dim / 2)
};

// Runs the tokens ids at the positions [cache->size(), cache->size() + ids.size()) and leaves their
// final, normalised hidden states (ids.size(), hidden_size) in workspace->hidden. REQUIRES:
// cache->staged() == ids.size() <= workspace->rows; every id in [0, vocab_size). The caller
// commits.
void Forward(const OpContext& context, const Model& model, std::span<const int32_t> ids,
             KvCache* cache, Workspace* workspace);

// logits (rows, vocab_size) of the hidden states that Forward left, from row first_row on.
void Logits(const OpContext& context, const Model& model, const Workspace& workspace,
            int64_t first_row, int64_t rows, float* logits);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_FORWARD_H_
