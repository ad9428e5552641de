#include "proposer/verifier_pass.h"

#include <algorithm>
#include <cassert>

#include "backend/restore/restore_ops.h"
#include "cache/kv_cache.h"
#include "model/attention.h"
#include "model/feed_forward.h"
#include "model/rope.h"

namespace kakeya {
namespace {

// Positions that go through a layer at once.
constexpr int64_t kBlockRows = 256;

}  // namespace

Result<VerifierPass> VerifierPass::Create(const Model* model, KvType kv_type,
                                          MemoryBudget* budget) {
  KAKEYA_ASSIGN_OR_RETURN(Workspace workspace,
                          Workspace::Create(model->config, kBlockRows, /*restored=*/false, budget));
  return VerifierPass(model, kv_type, budget, std::move(workspace));
}

Status VerifierPass::Begin(const OpContext& context, std::span<const int32_t> ids) {
  const ModelConfig& config = model_->config;
  const int64_t positions = static_cast<int64_t>(ids.size());
  if (positions > capacity_) {
    const auto allocate = [&](int64_t row_floats, Buffer* out) -> Status {
      out->Free();
      KAKEYA_ASSIGN_OR_RETURN(
          *out, budget_->Allocate(MemoryTag::kScratch, positions * row_floats * sizeof(float),
                                  "the verifier's own states"));
      return OkStatus();
    };
    capacity_ = 0;
    KAKEYA_RETURN_IF_ERROR(allocate(config.hidden_size, &hidden_));
    KAKEYA_RETURN_IF_ERROR(allocate(config.kv_size(), &k_));
    KAKEYA_RETURN_IF_ERROR(allocate(config.kv_size(), &v_));
    capacity_ = positions;
  }
  device_ = context.device;
  positions_ = positions;
  layer_ = -1;
  EmbedRows(context, model_->weights.embedding, ids, hidden_.as<float>());
  return OkStatus();
}

// Keys and values of the block in the workspace, from its projections: attention has rotated its
// own copy of the keys.
void VerifierPass::TakeKv(const OpContext& context, int64_t first, int rows) {
  const ModelConfig& config = model_->config;
  const int64_t kv_dim = config.kv_size();
  float* const k = k_.as<float>() + first * kv_dim;
  float* const v = v_.as<float>() + first * kv_dim;
  const float* const from = workspace_.qkv.as<float>() + config.q_size();
  CopyRows(context, from, config.qkv_size(), rows, kv_dim, k);
  CopyRows(context, from + kv_dim, config.qkv_size(), rows, kv_dim, v);
  if (!config.qk_norm) return;
  RmsNorm(context, k, model_->weights.layers[layer_].k_norm.as<float>(), config.rms_norm_eps,
          rows * config.num_kv_heads, config.head_dim, k);
}

Status VerifierPass::NextLayer(const OpContext& context) {
  const ModelConfig& config = model_->config;
  assert(layer_ + 1 < config.num_layers);
  ++layer_;
  const LayerWeights& weights = model_->weights.layers[layer_];
  KAKEYA_ASSIGN_OR_RETURN(KvCache cache, KvCache::Create({.layers = 1,
                                                          .kv_heads = config.num_kv_heads,
                                                          .head_dim = config.head_dim,
                                                          .type = kv_type_},
                                                         KvPolicy{}, budget_));
  for (int64_t first = 0; first < positions_; first += kBlockRows) {
    const int rows = static_cast<int>(std::min(kBlockRows, positions_ - first));
    const int64_t size = config.hidden_size;
    float* const hidden = hidden_.as<float>() + first * size;
    KAKEYA_RETURN_IF_ERROR(cache.Stage(rows));
    CopyRows(context, hidden, size, rows, size, workspace_.hidden.as<float>());
    RopeTables(model_->inv_freq, first, rows, workspace_.cos.as<float>(),
               workspace_.sin.as<float>());
    KAKEYA_RETURN_IF_ERROR(AttentionBlock(context, config, weights, /*layer=*/0, first, rows,
                                          &cache, /*restoration=*/nullptr, &workspace_));
    TakeKv(context, first, rows);
    FeedForwardBlock(context, config, weights, rows, &workspace_);
    CopyRows(context, workspace_.hidden.as<float>(), size, rows, size, hidden);
    cache.Commit(rows);
  }
  return OkStatus();
}

void VerifierPass::CopyChunk(int64_t first, int kv_head, float* k, float* v) const {
  const ModelConfig& config = model_->config;
  assert(first + kChunk <= positions_);
  const OpContext context{.device = device_};
  const int64_t from = first * config.kv_size() + int64_t{kv_head} * config.head_dim;
  CopyRows(context, keys() + from, config.kv_size(), kChunk, config.head_dim, k);
  CopyRows(context, values() + from, config.kv_size(), kChunk, config.head_dim, v);
}

}  // namespace kakeya
