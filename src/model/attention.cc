#include "model/attention.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "model/restored_attention.h"

namespace kakeya {
namespace {

// The projections of a normed input (rows, hidden_size), apart and together: the restorer's passes
// want the keys as they are here, and what follows changes them in place.
void ProjectQkv(const OpContext& context, const float* input, int rows, const QkvWeights& weights,
                const QkvDims& dims, float* qkv, float* q, float* k, float* v) {
  if (weights.stacked()) {
    MatMul(context, input, rows, weights.parts[0], qkv);
    SplitQkv(context, qkv, rows, dims, q, k, v);
    return;
  }
  MatMul(context, input, rows, weights.parts[0], q);
  MatMul(context, input, rows, weights.parts[1], k);
  MatMul(context, input, rows, weights.parts[2], v);
  JoinQkv(context, q, k, v, rows, dims, qkv);
}

// Attention of one piece over what the cache holds.
void AttendExact(const OpContext& context, const ModelConfig& config, int layer, int64_t position,
                 int rows, const float* q, std::span<float> scratch, KvCache* cache, float* out) {
  std::array<RowView, kStaging> views;
  for (int i = 0; i < rows; ++i) views[i] = ViewOf(cache->policy(), position + i);
  Attention(context, {.q = q,
                      .out = out,
                      .rows = rows,
                      .heads = config.num_heads,
                      .kv_heads = config.num_kv_heads,
                      .head_dim = config.head_dim,
                      .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim)),
                      .kv_type = cache->shape().type,
                      .pages = cache->View(layer, position, rows),
                      .views = {views.data(), static_cast<size_t>(rows)},
                      .scratch = scratch});
}

// One softmax per query over what the policy lets it see. The block is taken in pieces of the
// staging area's size: a bounded cache then needs room for one piece only, however long the block
// is, and each piece finds in the cache just what its queries see.
Status AttendInPieces(const OpContext& context, const ModelConfig& config, int layer,
                      int64_t first_position, int rows, const float* k, const float* v,
                      KvCache* cache, Restoration* restoration, Workspace* workspace) {
  const int64_t q_dim = int64_t{config.num_heads} * config.head_dim;
  const int64_t kv_dim = int64_t{config.num_kv_heads} * config.head_dim;
  for (int done = 0; done < rows; done += kStaging) {
    const int piece = std::min(kStaging, rows - done);
    const int64_t position = first_position + done;
    const float* const q = workspace->q.as<float>() + done * q_dim;
    float* const out = workspace->context.as<float>() + done * q_dim;
    cache->Write(context, layer, position, piece, k + done * kv_dim, v + done * kv_dim);
    if (restoration == nullptr) {
      AttendExact(context, config, layer, position, piece, q, workspace->scratch(), cache, out);
      continue;
    }
    const PieceQueries queries{.plain = workspace->plain_q.as<float>() + done * q_dim,
                               .rotated = q,
                               .far = workspace->far_q.as<float>(),
                               .state = workspace->attention_state.as<float>(),
                               .out = out};
    KAKEYA_RETURN_IF_ERROR(
        AttendRestored(context, config, layer, position, piece, queries, cache, restoration));
  }
  return OkStatus();
}

}  // namespace

Status AttentionBlock(const OpContext& context, const ModelConfig& config,
                      const LayerWeights& weights, int layer, int64_t first_position, int rows,
                      KvCache* cache, Restoration* restoration, Workspace* workspace) {
  const int64_t q_dim = int64_t{config.num_heads} * config.head_dim;
  const int64_t kv_dim = int64_t{config.num_kv_heads} * config.head_dim;
  float* hidden = workspace->hidden.as<float>();
  float* normed = workspace->normed.as<float>();
  float* q = workspace->q.as<float>();
  float* k = workspace->kv.as<float>();
  float* v = k + rows * kv_dim;
  const float* cos = workspace->cos.as<float>();
  const float* sin = workspace->sin.as<float>();

  RmsNorm(context, hidden, weights.attn_norm.as<float>(), config.rms_norm_eps, rows,
          config.hidden_size, normed);
  ProjectQkv(context, normed, rows, weights.qkv, {.q = q_dim, .kv = kv_dim},
             workspace->qkv.as<float>(), q, k, v);
  if (config.qk_norm) {
    const float eps = config.rms_norm_eps;
    RmsNorm(context, q, weights.q_norm.as<float>(), eps, rows * config.num_heads, config.head_dim,
            q);
    RmsNorm(context, k, weights.k_norm.as<float>(), eps, rows * config.num_kv_heads,
            config.head_dim, k);
  }
  // Chunks are chosen by what a query looks for, not by where it stands.
  if (restoration != nullptr) Copy(context, q, rows * q_dim, workspace->plain_q.as<float>());
  Rope(context, q, rows, config.num_heads, config.head_dim, cos, sin);
  Rope(context, k, rows, config.num_kv_heads, config.head_dim, cos, sin);
  KAKEYA_RETURN_IF_ERROR(AttendInPieces(context, config, layer, first_position, rows, k, v, cache,
                                        restoration, workspace));
  MatMul(context, workspace->context.as<float>(), rows, weights.o, normed);
  AddInPlace(context, hidden, normed, int64_t{rows} * config.hidden_size);
  return OkStatus();
}

}  // namespace kakeya
