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
                          Workspace::Create(model->config, kBlockRows, /*logit_rows=*/0,
                                            /*restored=*/false, budget));
  return VerifierPass(model, kv_type, budget, std::move(workspace));
}

Status VerifierPass::Begin(const OpContext& context, std::span<const int32_t> ids) {
  const ModelConfig& config = model_->config;
  const int64_t positions = static_cast<int64_t>(ids.size());
  positions_ = kNoPass;
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
    KAKEYA_RETURN_IF_ERROR(allocate(config.max_kv_size(), &k_));
    KAKEYA_RETURN_IF_ERROR(allocate(config.max_kv_size(), &v_));
    capacity_ = positions;
  }
  device_ = context.device;
  positions_ = positions;
  layer_ = -1;
  EmbedRows(context, model_->weights.embedding, ids, hidden_.as<float>());
  return OkStatus();
}

Status VerifierPass::NextLayer(const OpContext& context) {
  assert(positions_ != kNoPass && layer_ + 1 < model_->config.num_layers());
  const Status status = RunLayer(context, layer_ + 1);
  // Some rows have been through the layer then and others haven't.
  if (!status.ok()) positions_ = kNoPass;
  KAKEYA_RETURN_IF_ERROR(status);
  ++layer_;
  return OkStatus();
}

Status VerifierPass::RunLayer(const OpContext& context, int layer) {
  const ModelConfig& config = model_->config;
  const LayerConfig& shape = config.layers[layer];
  const KvLayer kept{.kv_heads = shape.num_kv_heads, .head_dim = shape.head_dim, .policy = {}};
  KAKEYA_ASSIGN_OR_RETURN(KvCache cache, KvCache::Create({&kept, 1}, kv_type_, budget_));
  for (int64_t first = 0; first < positions_; first += kBlockRows) {
    const int rows = static_cast<int>(std::min(kBlockRows, positions_ - first));
    const int64_t size = config.hidden_size;
    float* const hidden = hidden_.as<float>() + first * size;
    KAKEYA_RETURN_IF_ERROR(cache.Stage(rows));
    CopyRows(context, hidden, size, rows, size, workspace_.hidden.as<float>());
    RopeTables(model_->RotationFor(layer), first, rows, workspace_.cos[shape.rope].as<float>(),
               workspace_.sin[shape.rope].as<float>());
    Sequence sequence{.cache = &cache, .restoration = nullptr, .rows = rows};
    AttentionBlock(context,
                   {.model = *model_,
                    .layer = layer,
                    .cache_layer = 0,
                    .tap = {.k = k_.as<float>() + first * shape.kv_size(),
                            .v = v_.as<float>() + first * shape.kv_size()}},
                   {&sequence, 1}, &workspace_);
    KAKEYA_RETURN_IF_ERROR(sequence.status);
    FeedForwardBlock(context, *model_, layer, rows, &workspace_);
    CopyRows(context, workspace_.hidden.as<float>(), size, rows, size, hidden);
    cache.Commit(rows);
  }
  return OkStatus();
}

void VerifierPass::CopyChunk(int64_t first, int kv_head, float* k, float* v) const {
  const LayerConfig& config = model_->config.layers[layer_];
  assert(first + kChunk <= positions_);
  const OpContext context{.device = device_};
  const int64_t from = first * config.kv_size() + int64_t{kv_head} * config.head_dim;
  CopyRows(context, keys() + from, config.kv_size(), kChunk, config.head_dim, k);
  CopyRows(context, values() + from, config.kv_size(), kChunk, config.head_dim, v);
}

}  // namespace kakeya
