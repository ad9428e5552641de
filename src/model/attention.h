// The attention half of a layer over bounded caches.
#ifndef KAKEYA_MODEL_ATTENTION_H_
#define KAKEYA_MODEL_ATTENTION_H_

#include <span>

#include "backend/ops.h"
#include "model/forward.h"

namespace kakeya {

// Where keys and values go, on their way to the cache, for whoever wants them before the rotation.
struct KvTap {
  float* k = nullptr;  // (rows, kv_heads, head_dim): after the norm, before the rotation
  float* v = nullptr;  // (rows, kv_heads, head_dim)
};

// One layer of a pass.
struct LayerPass {
  const Model& model;
  int layer = 0;        // whose weights
  int cache_layer = 0;  // whose pages: the same, but for caches that serve one layer after another
  KvTap tap = {};       // null: nobody wants them
};

// workspace->hidden (rows, hidden_size) += o(attention(norm(hidden))) for the rows of all
// sequences, whose keys and values go into the open stages of their caches. workspace->cos and sin
// are those of the rows. Errors and REQUIRES: as Forward.
void AttentionBlock(const OpContext& context, const LayerPass& pass, std::span<Sequence> sequences,
                    Workspace* workspace);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_ATTENTION_H_
