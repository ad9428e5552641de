#include "model/forward.h"

#include <algorithm>
#include <cassert>

#include "model/attention.h"
#include "model/feed_forward.h"
#include "model/rope.h"

namespace kakeya {
Result<Model> Model::Load(const std::string& path, MemoryBudget* budget, ThreadPool* pool,
                          const LoadProgress& progress) {
  Model model;
  KAKEYA_ASSIGN_OR_RETURN(model.config, LoadModelConfig(path));
  KAKEYA_ASSIGN_OR_RETURN(model.weights, LoadWeights(path, model.config, budget, pool, progress));
  model.inv_freq = RopeFrequencies(model.config);
  return model;
}

Result<Workspace> Workspace::Create(const ModelConfig& config, int64_t rows, bool restored,
                                    MemoryBudget* budget) {
  assert(rows >= 1);
  const int64_t q_dim = int64_t{config.num_heads} * config.head_dim;
  const int64_t kv_dim = int64_t{config.num_kv_heads} * config.head_dim;
  Workspace w;
  w.rows = rows;
  const auto allocate_rows = [&](MemoryTag tag, int64_t count, int64_t row_elements,
                                 Buffer* out) -> Status {
    const size_t bytes = static_cast<size_t>(count * row_elements) * sizeof(float);
    KAKEYA_ASSIGN_OR_RETURN(*out, budget->Allocate(tag, bytes, "activations"));
    return OkStatus();
  };
  const auto allocate = [&](MemoryTag tag, int64_t row_elements, Buffer* out) {
    return allocate_rows(tag, rows, row_elements, out);
  };
  constexpr MemoryTag kScratch = MemoryTag::kScratch;
  KAKEYA_RETURN_IF_ERROR(allocate(kScratch, config.hidden_size, &w.hidden));
  KAKEYA_RETURN_IF_ERROR(allocate(kScratch, config.hidden_size, &w.normed));
  KAKEYA_RETURN_IF_ERROR(allocate(kScratch, q_dim + 2 * kv_dim, &w.qkv));
  KAKEYA_RETURN_IF_ERROR(allocate(kScratch, q_dim, &w.q));
  KAKEYA_RETURN_IF_ERROR(allocate(MemoryTag::kKv, 2 * kv_dim, &w.kv));
  KAKEYA_RETURN_IF_ERROR(allocate(kScratch, q_dim, &w.context));
  KAKEYA_RETURN_IF_ERROR(allocate(kScratch, config.intermediate_size, &w.gate));
  KAKEYA_RETURN_IF_ERROR(allocate(kScratch, config.intermediate_size, &w.up));
  KAKEYA_RETURN_IF_ERROR(allocate(kScratch, config.head_dim / 2, &w.cos));
  KAKEYA_RETURN_IF_ERROR(allocate(kScratch, config.head_dim / 2, &w.sin));
  const int64_t scratch =
      AttentionScratchFloats(config.num_heads, config.num_kv_heads, config.head_dim);
  KAKEYA_RETURN_IF_ERROR(allocate_rows(kScratch, 1, scratch, &w.attention_scratch));
  if (restored) {
    const int64_t piece = std::min<int64_t>(rows, kStaging);
    const int64_t state = config.num_heads * AttentionStateFloats(config.head_dim);
    KAKEYA_RETURN_IF_ERROR(allocate(kScratch, q_dim, &w.plain_q));
    KAKEYA_RETURN_IF_ERROR(allocate_rows(kScratch, piece, q_dim, &w.far_q));
    KAKEYA_RETURN_IF_ERROR(allocate_rows(kScratch, piece, state, &w.attention_state));
  }
  return w;
}

Status Forward(const OpContext& context, const Model& model, std::span<const int32_t> ids,
               KvCache* cache, Restoration* restoration, Workspace* workspace) {
  assert(cache->staged() == static_cast<int64_t>(ids.size()));
  assert(static_cast<int64_t>(ids.size()) <= workspace->rows);
  const ModelConfig& config = model.config;
  const int rows = static_cast<int>(ids.size());
  const int64_t first_position = cache->size();
  EmbedRows(context, model.weights.embedding, ids, workspace->hidden.as<float>());
  RopeTables(model.inv_freq, first_position, rows, workspace->cos.as<float>(),
             workspace->sin.as<float>());
  for (int layer = 0; layer < config.num_layers; ++layer) {
    const LayerWeights& weights = model.weights.layers[layer];
    KAKEYA_RETURN_IF_ERROR(AttentionBlock(context, config, weights, layer, first_position, rows,
                                          cache, restoration, workspace));
    FeedForwardBlock(context, config, weights, rows, workspace);
  }
  float* hidden = workspace->hidden.as<float>();
  RmsNorm(context, hidden, model.weights.final_norm.as<float>(), config.rms_norm_eps, rows,
          config.hidden_size, hidden);
  return OkStatus();
}

void Logits(const OpContext& context, const Model& model, const Workspace& workspace,
            int64_t first_row, int64_t rows, float* logits) {
  const float* hidden = workspace.hidden.as<float>() + first_row * model.config.hidden_size;
  MatMul(context, hidden, static_cast<int>(rows), model.weights.head(), logits);
}

}  // namespace kakeya
