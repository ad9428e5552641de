#include "model/attention.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <vector>

#include "model/restored_attention.h"

namespace kakeya {
namespace {

// One layer's queries, keys and values of all rows, in the workspace.
struct Projections {
  float* q;
  float* k;
  float* v;
};

// The projections of the normed input.
void ProjectQkv(const OpContext& context, const LayerConfig& layer, const QkvWeights& weights,
                int rows, const Projections& out, Workspace* workspace) {
  const float* const input = workspace->normed.as<float>();
  if (weights.stacked()) {
    float* const qkv = workspace->qkv.as<float>();
    MatMul(context, input, rows, weights.parts[0], qkv);
    SplitQkv(context, qkv, rows, {.q = layer.q_size(), .kv = layer.kv_size()}, out.q, out.k, out.v);
    return;
  }
  MatMul(context, input, rows, weights.parts[0], out.q);
  MatMul(context, input, rows, weights.parts[1], out.k);
  MatMul(context, input, rows, weights.parts[2], out.v);
}

// Attention of one piece over what the cache holds.
void AttendExact(const OpContext& context, const LayerConfig& shape, int layer, int64_t position,
                 int rows, const float* q, std::span<float> scratch, KvCache* cache, float* out) {
  const KvPolicy& policy = cache->layer(layer).policy;
  std::array<RowView, kStaging> views;
  for (int i = 0; i < rows; ++i) views[i] = ViewOf(policy, position + i);
  Attention(context, {.q = q,
                      .out = out,
                      .rows = rows,
                      .heads = shape.num_heads,
                      .kv_heads = shape.num_kv_heads,
                      .head_dim = shape.head_dim,
                      .scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim)),
                      .kv_type = cache->type(),
                      .pages = cache->View(layer, position, rows),
                      .views = {views.data(), static_cast<size_t>(rows)},
                      .scratch = scratch});
}

// The rows of one sequence within a pass.
struct SequenceRows {
  Sequence* sequence = nullptr;
  int64_t first_row = 0;    // in the workspace
  int64_t scratch_row = 0;  // where its scratch for restored attention begins
};

class Attender {
 public:
  Attender(const LayerPass& pass, const Projections& projections, Workspace* workspace)
      : layer_(pass.cache_layer),
        shape_(pass.model.config.layers[pass.layer]),
        projections_(projections),
        workspace_(*workspace) {}

  // One softmax per query over what the policy lets it see. The rows are taken in pieces of the
  // staging area's size: a bounded cache then needs room for one piece only, however long the block
  // is, and each piece finds in the cache just what its queries see.
  Status Attend(const OpContext& context, const SequenceRows& rows) const {
    const Sequence& sequence = *rows.sequence;
    for (int done = 0; done < sequence.rows; done += kStaging) {
      const int piece = std::min(kStaging, sequence.rows - done);
      KAKEYA_RETURN_IF_ERROR(AttendPiece(context, rows, done, piece));
    }
    return OkStatus();
  }

 private:
  Status AttendPiece(const OpContext& context, const SequenceRows& rows, int done,
                     int piece) const {
    KvCache* const cache = rows.sequence->cache;
    const int64_t position = cache->size() + done;
    const int64_t row = rows.first_row + done;
    const int64_t q_dim = shape_.q_size();
    const int64_t kv_dim = shape_.kv_size();
    const float* const q = projections_.q + row * q_dim;
    float* const out = workspace_.context.as<float>() + row * q_dim;
    KAKEYA_RETURN_IF_ERROR(cache->Write(context, layer_, position, piece,
                                        projections_.k + row * kv_dim,
                                        projections_.v + row * kv_dim));
    if (cache->layer(layer_).policy.kind != KvPolicy::Kind::kRestored) {
      // Those that run beside others share no scratch; without threads nothing is split anyway.
      const std::span<float> scratch =
          context.pool != nullptr ? workspace_.scratch() : std::span<float>();
      AttendExact(context, shape_, layer_, position, piece, q, scratch, cache, out);
      return OkStatus();
    }
    const int64_t state = shape_.num_heads * AttentionStateFloats(shape_.head_dim);
    const RestoredPiece restored{
        .layer = layer_,
        .first_position = position,
        .rows = piece,
        .plain = workspace_.plain_q.as<float>() + row * q_dim,
        .rotated = q,
        .far = workspace_.far_q.as<float>() + rows.scratch_row * q_dim,
        .state = workspace_.attention_state.as<float>() + rows.scratch_row * state,
        .out = out};
    return AttendRestored(context, shape_, restored, cache, rows.sequence->restoration);
  }

  const int layer_;
  const LayerConfig& shape_;
  const Projections projections_;
  const Workspace& workspace_;
};

// Sequences of few rows are a task each where there are enough of them: so small a piece of work is
// not worth cutting up. The others go one after another, each spread over the threads. Who computes
// what never shows in the bits.
void AttendAll(const OpContext& context, const Attender& attender, std::span<Sequence> sequences) {
  std::vector<SequenceRows> small;
  int64_t row = 0;
  int64_t small_rows = 0;
  const auto flush = [&](ThreadPool* across, ThreadPool* within) {
    const OpContext inner{.device = context.device, .pool = within};
    ParallelFor(across, static_cast<int64_t>(small.size()),
                [&](int64_t i) { small[i].sequence->status = attender.Attend(inner, small[i]); });
    small.clear();
    small_rows = 0;
  };
  const auto take = [&] {
    const bool enough = context.pool != nullptr &&
                        static_cast<int64_t>(small.size()) >= int64_t{2} * context.pool->threads();
    flush(enough ? context.pool : nullptr, enough ? nullptr : context.pool);
  };
  constexpr int kFewRows = 8;
  for (Sequence& sequence : sequences) {
    if (sequence.status.ok()) {
      // Scratch is shared by those that run at the same time.
      if (small_rows + sequence.rows > kStaging) take();
      if (sequence.rows > kFewRows) {
        take();
        sequence.status = attender.Attend(context, {&sequence, row, 0});
      } else {
        small.push_back({&sequence, row, small_rows});
        small_rows += sequence.rows;
      }
    }
    row += sequence.rows;
  }
  take();
}

int RowsOf(std::span<const Sequence> sequences) {
  int rows = 0;
  for (const Sequence& sequence : sequences) rows += sequence.rows;
  return rows;
}

}  // namespace

void AttentionBlock(const OpContext& context, const LayerPass& pass, std::span<Sequence> sequences,
                    Workspace* workspace) {
  const ModelConfig& config = pass.model.config;
  const LayerConfig& shape = config.layers[pass.layer];
  const LayerWeights& weights = pass.model.weights.layers[pass.layer];
  const int rows = RowsOf(sequences);
  float* const hidden = workspace->hidden.as<float>();
  float* const normed = workspace->normed.as<float>();
  float* const k = workspace->kv.as<float>();
  const Projections projections{workspace->q.as<float>(), k, k + rows * shape.kv_size()};
  const float eps = config.rms_norm_eps;

  RmsNorm(context, hidden, weights.attn_norm.as<float>(), eps, rows, config.hidden_size, normed);
  ProjectQkv(context, shape, weights.qkv, rows, projections, workspace);
  if (shape.qk_norm) {
    RmsNorm(context, projections.q, weights.q_norm.as<float>(), eps, rows * shape.num_heads,
            shape.head_dim, projections.q);
    RmsNorm(context, k, weights.k_norm.as<float>(), eps, rows * shape.num_kv_heads, shape.head_dim,
            k);
  }
  if (pass.tap.k != nullptr) {
    CopyRows(context, k, shape.kv_size(), rows, shape.kv_size(), pass.tap.k);
    CopyRows(context, projections.v, shape.kv_size(), rows, shape.kv_size(), pass.tap.v);
  }
  // Chunks are chosen by what a query looks for, not by where it stands.
  if (workspace->restored) {
    CopyRows(context, projections.q, shape.q_size(), rows, shape.q_size(),
             workspace->plain_q.as<float>());
  }
  const float* const cos = workspace->cos[shape.rope].as<float>();
  const float* const sin = workspace->sin[shape.rope].as<float>();
  Rope(context, projections.q, rows, shape.num_heads, shape.head_dim, cos, sin);
  Rope(context, k, rows, shape.num_kv_heads, shape.head_dim, cos, sin);
  AttendAll(context, Attender(pass, projections, workspace), sequences);
  MatMul(context, workspace->context.as<float>(), rows, weights.o, normed);
  AddInPlace(context, hidden, normed, int64_t{rows} * config.hidden_size);
}

}  // namespace kakeya
