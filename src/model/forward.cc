#include "model/forward.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "model/attention.h"
#include "model/feed_forward.h"

namespace kakeya {
namespace {

// The tables of all rows: each sequence's stand at its own positions.
void RotaryTables(const Model& model, std::span<const Sequence> sequences, Workspace* workspace) {
  for (size_t rope = 0; rope < model.rotations.size(); ++rope) {
    const Rotation& rotation = model.rotations[rope];
    int64_t at = 0;
    for (const Sequence& sequence : sequences) {
      RopeTables(rotation, sequence.cache->size(), sequence.rows,
                 workspace->cos[rope].as<float>() + at, workspace->sin[rope].as<float>() + at);
      at += sequence.rows * static_cast<int64_t>(rotation.frequencies.size());
    }
  }
}

bool AllFailed(std::span<const Sequence> sequences) {
  return std::none_of(sequences.begin(), sequences.end(),
                      [](const Sequence& sequence) { return sequence.status.ok(); });
}

}  // namespace

Result<Model> Model::Load(const std::string& path, MemoryBudget* budget, ThreadPool* pool,
                          const LoadProgress& progress) {
  Model model;
  KAKEYA_ASSIGN_OR_RETURN(model.config, LoadModelConfig(path));
  KAKEYA_ASSIGN_OR_RETURN(model.weights, LoadWeights(path, model.config, budget, pool, progress));
  for (size_t rope = 0; rope < model.config.ropes.size(); ++rope) {
    model.rotations.push_back(RotationOf(model.config, static_cast<int>(rope)));
  }
  return model;
}

std::vector<KvLayer> KvLayersOf(const ModelConfig& config, const KvPolicy& policy) {
  std::vector<KvLayer> out;
  for (const LayerConfig& layer : config.layers) {
    const KvPolicy own =
        layer.sliding_window == 0
            ? policy
            : KvPolicy{.kind = KvPolicy::Kind::kSliding, .sink = 0, .window = layer.sliding_window};
    out.push_back({.kv_heads = layer.num_kv_heads, .head_dim = layer.head_dim, .policy = own});
  }
  return out;
}

Result<Workspace> Workspace::Create(const ModelConfig& config, int64_t rows, int64_t logit_rows,
                                    bool restored, MemoryBudget* budget) {
  assert(rows >= 1);
  Workspace w;
  w.rows = rows;
  w.logit_rows = logit_rows;
  w.restored = restored;
  int64_t qkv = 0;
  int64_t inner = 0;
  int64_t state = 0;
  int64_t partials = 0;
  for (const LayerConfig& layer : config.layers) {
    partials = std::max(
        partials, AttentionScratchFloats(layer.num_heads, layer.num_kv_heads, layer.head_dim));
    qkv = std::max<int64_t>(qkv, layer.qkv_size());
    inner = std::max<int64_t>(inner, layer.intermediate_size);
    state = std::max(state, layer.num_heads * AttentionStateFloats(layer.head_dim));
  }
  const int64_t q = config.max_q_size();
  const auto allocate = [&](MemoryTag tag, int64_t count, int64_t row_elements,
                            Buffer* out) -> Status {
    const size_t bytes = static_cast<size_t>(count * row_elements) * sizeof(float);
    KAKEYA_ASSIGN_OR_RETURN(*out, budget->Allocate(tag, bytes, "activations"));
    return OkStatus();
  };
  const std::pair<Buffer*, int64_t> scratch[] = {{&w.hidden, config.hidden_size},
                                                 {&w.normed, config.hidden_size},
                                                 {&w.qkv, qkv},
                                                 {&w.q, q},
                                                 {&w.context, q},
                                                 {&w.gate, inner},
                                                 {&w.up, inner}};
  for (const auto& [buffer, elements] : scratch) {
    KAKEYA_RETURN_IF_ERROR(allocate(MemoryTag::kScratch, rows, elements, buffer));
  }
  KAKEYA_RETURN_IF_ERROR(allocate(MemoryTag::kScratch, 1, partials, &w.attention_scratch));
  KAKEYA_RETURN_IF_ERROR(allocate(MemoryTag::kKv, rows, int64_t{2} * config.max_kv_size(), &w.kv));
  for (size_t rope = 0; rope < config.ropes.size(); ++rope) {
    const int half = RotaryHeadDim(config, static_cast<int>(rope)) / 2;
    for (std::vector<Buffer>* tables : {&w.cos, &w.sin}) {
      KAKEYA_RETURN_IF_ERROR(allocate(MemoryTag::kScratch, rows, half, &tables->emplace_back()));
    }
  }
  if (logit_rows > 0) {
    constexpr MemoryTag kTag = MemoryTag::kScratch;
    KAKEYA_RETURN_IF_ERROR(allocate(kTag, logit_rows, config.hidden_size, &w.drawn));
    KAKEYA_RETURN_IF_ERROR(allocate(kTag, logit_rows, config.vocab_size, &w.logits));
  }
  if (restored) {
    const int64_t piece = std::min<int64_t>(rows, kStaging);
    KAKEYA_RETURN_IF_ERROR(allocate(MemoryTag::kScratch, rows, q, &w.plain_q));
    KAKEYA_RETURN_IF_ERROR(allocate(MemoryTag::kScratch, piece, q, &w.far_q));
    KAKEYA_RETURN_IF_ERROR(allocate(MemoryTag::kScratch, piece, state, &w.attention_state));
  }
  return w;
}

void Forward(const OpContext& context, const Model& model, std::span<const int32_t> ids,
             std::span<Sequence> sequences, const HiddenTaps& taps, Workspace* workspace) {
  const ModelConfig& config = model.config;
  const int rows = static_cast<int>(ids.size());
  assert(rows <= workspace->rows);
  float* const hidden = workspace->hidden.as<float>();
  EmbedRows(context, model.weights.embedding, ids, hidden);
  RotaryTables(model, sequences, workspace);
  size_t tap = 0;
  for (int layer = 0; layer < config.num_layers(); ++layer) {
    AttentionBlock(context, {.model = model, .layer = layer, .cache_layer = layer}, sequences,
                   workspace);
    if (AllFailed(sequences)) return;
    FeedForwardBlock(context, model, layer, rows, workspace);
    if (tap < taps.layers.size() && taps.layers[tap] == layer) {
      CopyRows(context, hidden, config.hidden_size, rows, config.hidden_size, taps.outputs[tap++]);
    }
  }
  RmsNorm(context, hidden, model.weights.final_norm.as<float>(), config.rms_norm_eps, rows,
          config.hidden_size, hidden);
}

void Logits(const OpContext& context, const Model& model, const float* hidden, int64_t rows,
            float* logits) {
  MatMul(context, hidden, static_cast<int>(rows), model.weights.head(), logits);
}

}  // namespace kakeya
