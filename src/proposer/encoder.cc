#include "proposer/encoder.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <span>
#include <utility>

#include "backend/restore/restore_ops.h"

namespace kakeya {

Result<Encoder::Slot> Encoder::NewSlot(MemoryBudget* budget) const {
  const RestorerConfig& config = model_->config;
  const RestorerConfig::Proposer& p = config.proposer;
  const int64_t row = int64_t{2} * p.heads * p.head_dim;
  const int outputs = std::max(config.code_dim, config.summary.dim);
  Slot slot;
  const int64_t followers = int64_t{config.recurrence.next} * config.token_dim;
  const std::pair<Buffer*, int64_t> parts[] = {{&slot.embedded, config.verifier.hidden},
                                               {&slot.followers, followers},
                                               {&slot.hidden, p.hidden},
                                               {&slot.normed, p.hidden},
                                               {&slot.q, p.attention_size()},
                                               {&slot.k, p.attention_size()},
                                               {&slot.v, p.attention_size()},
                                               {&slot.turned, p.attention_size()},
                                               {&slot.gate, p.ffn},
                                               {&slot.up, p.ffn},
                                               {&slot.logits, config.summary.pool_heads},
                                               {&slot.outputs, outputs},
                                               {&slot.own, row},
                                               {&slot.predecessor, row}};
  for (const auto& [buffer, floats] : parts) {
    if (floats == 0) continue;
    KAKEYA_ASSIGN_OR_RETURN(
        *buffer,
        budget->Allocate(MemoryTag::kScratch, static_cast<size_t>(kChunk * floats) * sizeof(float),
                         "proposer"));
  }
  return slot;
}

Result<Encoder> Encoder::Create(const Model* verifier, const RestorerModel* model,
                                MemoryBudget* budget) {
  Encoder out(verifier, model);
  const RestorerConfig::Proposer& p = model->config.proposer;
  const size_t page_bytes = KvPageBytes(KvType::kF32, p.heads, p.head_dim);
  for (int layer = 0; layer < p.layers; ++layer) {
    KAKEYA_ASSIGN_OR_RETURN(Buffer page,
                            budget->Allocate(MemoryTag::kKv, page_bytes, "proposer's K/V"));
    out.predecessor_.push_back(std::move(page));
  }
  for (int i = 0; i < kPassChunks; ++i) {
    KAKEYA_ASSIGN_OR_RETURN(Slot slot, out.NewSlot(budget));
    out.slots_.push_back(std::move(slot));
  }
  return out;
}

void Encoder::Embed(const OpContext& context, const ChunkRecord& record, Slot* slot) const {
  const RestorerConfig& config = model_->config;
  float* const embedded = slot->embedded.as<float>();
  EmbedRows(context, verifier_->weights.embedding, {record.ids, kChunk}, embedded);
  RmsNorm(context, embedded, model_->ones.as<float>(), config.proposer.rms_norm_eps, kChunk,
          config.verifier.hidden, embedded);
  MatMul(context, embedded, kChunk, model_->embed_in, slot->hidden.as<float>());
}

void Encoder::AddRecurrence(const OpContext& context, const History& history, int64_t chunk,
                            Slot* slot) const {
  const RestorerConfig::Recurrence& config = model_->config.recurrence;
  if (!config.used()) return;
  ChunkRecurrence found;
  FindRecurrence(context, config, history.ids().first(chunk + 1), &found);
  const int hidden = model_->config.proposer.hidden;
  AddRecurrenceRows(context, config, found, model_->recurrence.count.as<float>(), hidden,
                    slot->hidden.as<float>());
  float* const features = slot->followers.as<float>();
  GatherFeatures(context, model_->tokens(),
                 {found.followers.data(), static_cast<size_t>(kChunk) * config.next}, features);
  float* const told = slot->normed.as<float>();
  MatMul(context, features, kChunk, model_->recurrence.next, told);
  AddInPlace(context, slot->hidden.as<float>(), told, int64_t{kChunk} * hidden);
}

void Encoder::Project(const OpContext& context, const ProposerLayer& layer, Slot* slot) const {
  const RestorerConfig::Proposer& p = model_->config.proposer;
  const float eps = p.rms_norm_eps;
  const int heads = p.heads;
  const int dim = p.head_dim;
  float* const normed = slot->normed.as<float>();
  float* const q = slot->q.as<float>();
  float* const k = slot->k.as<float>();
  float* const v = slot->v.as<float>();
  RmsNorm(context, slot->hidden.as<float>(), layer.norm1.as<float>(), eps, kChunk, p.hidden,
          normed);
  MatMul(context, normed, kChunk, layer.q, q);
  MatMul(context, normed, kChunk, layer.k, k);
  MatMul(context, normed, kChunk, layer.v, v);
  RmsNorm(context, q, layer.q_norm.as<float>(), eps, kChunk * heads, dim, q);
  RmsNorm(context, k, layer.k_norm.as<float>(), eps, kChunk * heads, dim, k);

  // A chunk stands at the positions [kChunk, 2 * kChunk), and for its successor at [0, kChunk).
  const int64_t own_row = int64_t{kChunk} * (dim / 2);
  const float* const cos = model_->cos.data();
  const float* const sin = model_->sin.data();
  Rope(context, q, kChunk, heads, dim, cos + own_row, sin + own_row);
  float* const turned = slot->turned.as<float>();
  CopyRows(context, k, p.attention_size(), kChunk, p.attention_size(), turned);
  Rope(context, turned, kChunk, heads, dim, cos, sin);
  StoreKv(context, {turned, v, kChunk, heads, dim}, KvType::kF32, slot->predecessor.data(), 0);
  Rope(context, k, kChunk, heads, dim, cos + own_row, sin + own_row);
  StoreKv(context, {k, v, kChunk, heads, dim}, KvType::kF32, slot->own.data(), 0);
}

void Encoder::Mix(const OpContext& context, const ProposerLayer& layer, void* predecessor,
                  Slot* slot) const {
  const RestorerConfig::Proposer& p = model_->config.proposer;
  const int64_t elements = int64_t{kChunk} * p.hidden;
  float* const hidden = slot->hidden.as<float>();
  float* const normed = slot->normed.as<float>();
  float* const attended = slot->turned.as<float>();
  const std::array<KvPage, 2> pages = {KvPage{0, predecessor}, KvPage{kChunk, slot->own.data()}};
  // Every row sees both chunks, what follows it included.
  std::array<RowView, kChunk> views;
  views.fill({.begin = predecessor == nullptr ? kChunk : 0, .end = 2 * kChunk});
  Attention(context, {.q = slot->q.as<float>(),
                      .out = attended,
                      .rows = kChunk,
                      .heads = p.heads,
                      .kv_heads = p.heads,
                      .head_dim = p.head_dim,
                      .scale = 1.0f / std::sqrt(static_cast<float>(p.head_dim)),
                      .kv_type = KvType::kF32,
                      .pages = std::span(pages).subspan(predecessor == nullptr ? 1 : 0),
                      .views = views});
  MatMul(context, attended, kChunk, layer.o, normed);
  AddInPlace(context, hidden, normed, elements);

  float* const gate = slot->gate.as<float>();
  float* const up = slot->up.as<float>();
  RmsNorm(context, hidden, layer.norm2.as<float>(), p.rms_norm_eps, kChunk, p.hidden, normed);
  MatMul(context, normed, kChunk, layer.gate, gate);
  MatMul(context, normed, kChunk, layer.up, up);
  SwiGlu(context, gate, up, int64_t{kChunk} * p.ffn, gate);
  MatMul(context, gate, kChunk, layer.down, normed);
  AddInPlace(context, hidden, normed, elements);
}

void Encoder::Finish(const OpContext& context, const MutableChunkRecord& record, Slot* slot) const {
  const RestorerConfig& config = model_->config;
  float* const normed = slot->normed.as<float>();
  float* const outputs = slot->outputs.as<float>();
  RmsNorm(context, slot->hidden.as<float>(), model_->final_norm.as<float>(),
          config.proposer.rms_norm_eps, kChunk, config.proposer.hidden, normed);
  MatMul(context, normed, kChunk, model_->code, outputs);
  QuantizeRows(context, outputs, kChunk, config.code_dim, record.codes, record.code_scales);
  MatMul(context, normed, kChunk, model_->summary_pool, slot->logits.as<float>());
  MatMul(context, normed, kChunk, model_->summary_proj, outputs);
  PoolSummaries(context, config.summary, slot->logits.as<float>(), outputs, record.summaries,
                record.summary_scales);
}

void Encoder::RunLayers(const OpContext& inner, ThreadPool* outer, const History& history,
                        int64_t first, int count) {
  assert(count >= 1 && count <= kPassChunks);
  ParallelFor(outer, count, [&](int64_t i) {
    Embed(inner, history.At(first + i), &slots_[i]);
    AddRecurrence(inner, history, first + i, &slots_[i]);
  });
  for (size_t l = 0; l < model_->layers.size(); ++l) {
    const ProposerLayer& layer = model_->layers[l];
    ParallelFor(outer, count, [&](int64_t i) { Project(inner, layer, &slots_[i]); });
    std::byte* const before = has_predecessor_ ? predecessor_[l].data() : nullptr;
    ParallelFor(outer, count, [&](int64_t i) {
      Mix(inner, layer, i > 0 ? slots_[i - 1].predecessor.data() : before, &slots_[i]);
    });
    const auto floats = static_cast<int64_t>(predecessor_[l].size() / sizeof(float));
    CopyRows(inner, slots_[count - 1].predecessor.as<float>(), floats, 1, floats,
             predecessor_[l].as<float>());
  }
  has_predecessor_ = true;
}

void Encoder::Encode(const OpContext& context, int64_t first, int count, History* history) {
  // Several chunks are a task each, a single one is spread over the threads operator by operator:
  // the bits are the same.
  const OpContext inner{context.device, count > 1 ? nullptr : context.pool};
  ThreadPool* const outer = count > 1 ? context.pool : nullptr;
  RunLayers(inner, outer, *history, first, count);
  ParallelFor(outer, count,
              [&](int64_t i) { Finish(inner, history->MutableAt(first + i), &slots_[i]); });
}

Status Encoder::SaveState(StateSink* sink) const {
  if (!has_predecessor_) return OkStatus();
  for (const Buffer& page : predecessor_) {
    KAKEYA_RETURN_IF_ERROR(sink->Write({page.data(), page.size()}));
  }
  return OkStatus();
}

Status Encoder::LoadState(StateSource* source, bool has_predecessor) {
  assert(!has_predecessor_);
  if (!has_predecessor) return OkStatus();
  for (const Buffer& page : predecessor_) {
    KAKEYA_RETURN_IF_ERROR(source->Read({page.data(), page.size()}));
  }
  has_predecessor_ = true;
  return OkStatus();
}

void Encoder::Rewind(const OpContext& context, const History& history, int64_t chunks) {
  has_predecessor_ = false;
  // A chunk's keys and values in layer l depend on l chunks before it and no others. What the first
  // of these misses reaches one layer further with every chunk, and none of the last one's.
  const int64_t first = std::max<int64_t>(0, chunks - static_cast<int64_t>(model_->layers.size()));
  for (int64_t chunk = first; chunk < chunks; ++chunk) {
    RunLayers(context, nullptr, history, chunk, 1);
  }
}

}  // namespace kakeya
