#include "cache/kv_group.h"

#include <algorithm>
#include <cassert>
#include <iterator>

#include "base/checked.h"

namespace kakeya {
namespace {

// All ones is NaN in every type, or makes NaN as an affine scale: a mask that lets an unwritten
// slot through then shows in the output.
void Poison(const Buffer& slab) { std::fill_n(slab.data(), slab.size(), std::byte{0xff}); }

}  // namespace

Result<KvGroup> KvGroup::Create(const KvLayer& layer, int layers, KvType type,
                                MemoryBudget* budget) {
  assert(layers > 0 && layer.kv_heads > 0 && layer.head_dim > 0);
  KvGroup group(layer, layers, type, budget);
  const KvPolicy& policy = layer.policy;
  if (!policy.bounded()) return group;
  // Asked for as a whole: a window that can't fit is refused before memory is filled with part of
  // it.
  const int64_t slabs = WindowChunks(policy) + SinkChunks(policy);
  const auto bytes = CheckedMul(static_cast<uint64_t>(slabs), group.SlabBytes());
  if (!bytes || *bytes > budget->available()) {
    return ResourceExhausted(
        "K/V cache: sink {} and window {} need {} slabs of {} bytes, and {} bytes are available",
        policy.sink, policy.window, slabs, group.SlabBytes(), budget->available());
  }
  KAKEYA_RETURN_IF_ERROR(group.Grow(WindowChunks(policy), &group.slabs_));
  KAKEYA_RETURN_IF_ERROR(group.Grow(SinkChunks(policy), &group.sink_slabs_));
  return group;
}

// Brings *out to at least `slabs` slabs, or leaves it as it was.
Status KvGroup::Grow(int64_t slabs, std::vector<Buffer>* out) const {
  std::vector<Buffer> fresh;
  while (static_cast<int64_t>(out->size() + fresh.size()) < slabs) {
    KAKEYA_ASSIGN_OR_RETURN(Buffer slab,
                            budget_->Allocate(MemoryTag::kKv, SlabBytes(), "K/V cache"));
    Poison(slab);
    fresh.push_back(std::move(slab));
  }
  std::move(fresh.begin(), fresh.end(), std::back_inserter(*out));
  return OkStatus();
}

size_t KvGroup::resident_bytes() const {
  return (slabs_.size() + sink_slabs_.size()) * SlabBytes();
}

const Buffer& KvGroup::SlabOf(int64_t chunk) const {
  const int64_t slabs = static_cast<int64_t>(slabs_.size());
  assert(layer_.policy.bounded() || chunk < slabs);
  return slabs_[static_cast<size_t>(chunk % slabs)];
}

Status KvGroup::Reserve(int64_t end) {
  if (layer_.policy.bounded()) return OkStatus();
  return Grow(ChunkOf(end - 1) + 1, &slabs_);
}

void KvGroup::Write(const OpContext& context, int index, int64_t first_position, int rows,
                    const float* k, const float* v) {
  const int64_t row_elements = int64_t{layer_.kv_heads} * layer_.head_dim;
  for (int row = 0; row < rows;) {
    const int64_t position = first_position + row;
    const int slot = static_cast<int>(position % kChunk);
    const int n = std::min(rows - row, kChunk - slot);  // up to the end of this chunk
    const auto store = [&](const Buffer& slab, int count) {
      const KvRows in{.k = k + row * row_elements,
                      .v = v + row * row_elements,
                      .rows = count,
                      .kv_heads = layer_.kv_heads,
                      .head_dim = layer_.head_dim};
      StoreKv(context, in, type_, Page(slab, index), slot);
    };
    const int64_t chunk = ChunkOf(position);
    store(SlabOf(chunk), n);
    // The sinks alone: what else the chunk held is gone once the ring has moved on.
    const auto sinks = static_cast<int>(std::clamp<int64_t>(layer_.policy.sink - position, 0, n));
    if (layer_.policy.bounded() && sinks > 0) {
      store(sink_slabs_[static_cast<size_t>(chunk)], sinks);
    }
    row += n;
  }
  int64_t& end = written_end_[static_cast<size_t>(index)];
  end = std::max(end, first_position + rows);
}

void KvGroup::View(int index, int64_t first_position, int rows, std::vector<KvPage>* pages) const {
  const int64_t begin = ChunkOf(WindowBegin(layer_.policy, first_position));
  const int64_t end = ChunkOf(first_position + rows - 1) + 1;
  const int64_t sinks = std::min<int64_t>(static_cast<int64_t>(sink_slabs_.size()), begin);
  for (int64_t chunk = 0; chunk < sinks; ++chunk) {
    pages->push_back({chunk * kChunk, Page(sink_slabs_[static_cast<size_t>(chunk)], index)});
  }
  for (int64_t chunk = begin; chunk < end; ++chunk) pages->push_back(PageOf(index, chunk));
}

KvPage KvGroup::PageOf(int index, int64_t chunk) const {
  return {chunk * kChunk, Page(SlabOf(chunk), index)};
}

int64_t KvGroup::FirstHeld(int index) const {
  const int64_t end = written_end_[static_cast<size_t>(index)];
  if (!layer_.policy.bounded() || end == 0) return 0;
  return std::max<int64_t>(ChunkOf(end - 1) - static_cast<int64_t>(slabs_.size()) + 1, 0);
}

bool KvGroup::Holds(int index, int64_t chunk) const {
  if (!layer_.policy.bounded()) return chunk < static_cast<int64_t>(slabs_.size());
  return chunk >= FirstHeld(index);
}

bool KvGroup::HoldsViewOf(int64_t position) const {
  if (position == 0 || !layer_.policy.bounded()) return true;
  const int64_t begin = ChunkOf(WindowBegin(layer_.policy, position));
  for (int i = 0; i < layers_; ++i) {
    if (!Holds(i, begin)) return false;
  }
  return true;
}

void KvGroup::Clear() {
  for (const Buffer& slab : slabs_) Poison(slab);
  for (const Buffer& slab : sink_slabs_) Poison(slab);
  set_written_end(0);
}

int64_t KvGroup::written_end() const {
  return *std::max_element(written_end_.begin(), written_end_.end());
}

void KvGroup::set_written_end(int64_t end) {
  std::fill(written_end_.begin(), written_end_.end(), end);
}

std::vector<std::span<std::byte>> KvGroup::Slabs() const {
  std::vector<std::span<std::byte>> out;
  for (const Buffer& slab : slabs_) out.emplace_back(slab.data(), slab.size());
  for (const Buffer& slab : sink_slabs_) out.emplace_back(slab.data(), slab.size());
  return out;
}

}  // namespace kakeya
