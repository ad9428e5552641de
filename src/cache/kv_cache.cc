#include "cache/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <iterator>

#include "base/checked.h"

namespace kakeya {

Status CheckPolicy(const KvPolicy& policy) {
  if (policy.sink < 0) return InvalidArgument("sink is {}, but can't be negative", policy.sink);
  if (policy.window < 1)
    return InvalidArgument("window is {}, but must be at least 1", policy.window);
  if (policy.window < policy.sink) {
    return InvalidArgument("window ({}) is smaller than sink ({})", policy.window, policy.sink);
  }
  if (policy.kind == KvPolicy::Kind::kSliding && policy.sink != 0) {
    return InvalidArgument("sink is {}, but a sliding window has none", policy.sink);
  }
  if (policy.kind == KvPolicy::Kind::kRestored && policy.window < kChunk) {
    // Else a query could need a chunk that a rejected draft token was part of.
    return InvalidArgument(
        "window ({}) is smaller than a chunk ({}), the least that can be restored", policy.window,
        kChunk);
  }
  constexpr int64_t kMaxWindow = int64_t{1} << 24;
  if (policy.window > kMaxWindow) {
    return InvalidArgument("window is {}, at most {} make sense", policy.window, kMaxWindow);
  }
  return OkStatus();
}

Result<KvCache> KvCache::Create(const KvShape& shape, const KvPolicy& policy,
                                MemoryBudget* budget) {
  assert(shape.layers > 0 && shape.kv_heads > 0 && shape.head_dim > 0);
  KAKEYA_RETURN_IF_ERROR(CheckPolicy(policy));
  KvCache cache(shape, policy, budget);
  if (policy.bounded()) {
    // Asked for as a whole: a window that can't fit is refused before memory is filled with part of
    // it.
    const int64_t slabs = WindowChunks(policy) + SinkChunks(policy);
    const auto bytes = CheckedMul(static_cast<uint64_t>(slabs), cache.SlabBytes());
    if (!bytes || *bytes > budget->available()) {
      return ResourceExhausted(
          "K/V cache: sink {} and window {} need {} slabs of {} bytes, and {} bytes are available",
          policy.sink, policy.window, slabs, cache.SlabBytes(), budget->available());
    }
    KAKEYA_RETURN_IF_ERROR(cache.Grow(WindowChunks(policy), &cache.slabs_));
    KAKEYA_RETURN_IF_ERROR(cache.Grow(SinkChunks(policy), &cache.sink_slabs_));
  }
  return cache;
}

size_t KvCache::PageBytes() const {
  return KvPageBytes(shape_.type, shape_.kv_heads, shape_.head_dim);
}

Result<Buffer> KvCache::NewSlab() const {
  KAKEYA_ASSIGN_OR_RETURN(Buffer slab, budget_->Allocate(MemoryTag::kKv, SlabBytes(), "K/V cache"));
  // All ones is NaN in every type, or makes NaN as an affine scale: a mask that lets an unwritten
  // slot through then shows in the output.
  std::fill_n(slab.data(), slab.size(), std::byte{0xff});
  return slab;
}

// Brings *out to at least `slabs` slabs, or leaves it as it was.
Status KvCache::Grow(int64_t slabs, std::vector<Buffer>* out) const {
  std::vector<Buffer> fresh;
  while (static_cast<int64_t>(out->size() + fresh.size()) < slabs) {
    KAKEYA_ASSIGN_OR_RETURN(Buffer slab, NewSlab());
    fresh.push_back(std::move(slab));
  }
  std::move(fresh.begin(), fresh.end(), std::back_inserter(*out));
  return OkStatus();
}

size_t KvCache::resident_bytes() const {
  size_t bytes = 0;
  for (const Buffer& slab : slabs_) bytes += slab.size();
  for (const Buffer& slab : sink_slabs_) bytes += slab.size();
  return bytes;
}

const Buffer& KvCache::SlabOf(int64_t chunk) const {
  const int64_t slabs = static_cast<int64_t>(slabs_.size());
  assert(policy_.bounded() || chunk < slabs);
  return slabs_[chunk % slabs];
}

Status KvCache::Stage(int64_t n) {
  assert(n >= 1 && staged_ == 0);
  if (!policy_.bounded()) {
    KAKEYA_RETURN_IF_ERROR(Grow(ChunkOf(size_ + n - 1) + 1, &slabs_));
  }
  staged_ = n;
  return OkStatus();
}

void KvCache::Write(const OpContext& context, int layer, int64_t first_position, int rows,
                    const float* k, const float* v) {
  assert(rows >= 1 && rows <= kStaging);
  assert(first_position >= size_ && first_position + rows <= size_ + staged_);
  const int64_t row_elements = int64_t{shape_.kv_heads} * shape_.head_dim;
  for (int row = 0; row < rows;) {
    const int64_t position = first_position + row;
    const int slot = static_cast<int>(position % kChunk);
    const int n = std::min(rows - row, kChunk - slot);  // up to the end of this chunk
    const auto store = [&](const Buffer& slab, int count) {
      StoreKv(context, k + row * row_elements, v + row * row_elements, count, shape_.kv_heads,
              shape_.head_dim, shape_.type, Page(slab, layer), slot);
    };
    const int64_t chunk = ChunkOf(position);
    store(SlabOf(chunk), n);
    // The sinks alone: what else the chunk held is gone once the ring has moved on.
    const auto sinks = static_cast<int>(std::clamp<int64_t>(policy_.sink - position, 0, n));
    if (policy_.bounded() && sinks > 0) store(sink_slabs_[chunk], sinks);
    row += n;
  }
}

std::span<const KvPage> KvCache::View(int layer, int64_t first_position, int rows) {
  const int64_t begin = ChunkOf(WindowBegin(policy_, first_position));
  const int64_t end = ChunkOf(first_position + rows - 1) + 1;
  view_.clear();
  const int64_t sinks = std::min<int64_t>(sink_slabs_.size(), begin);
  for (int64_t chunk = 0; chunk < sinks; ++chunk) {
    view_.push_back({chunk * kChunk, Page(sink_slabs_[chunk], layer)});
  }
  for (int64_t chunk = begin; chunk < end; ++chunk) {
    view_.push_back({chunk * kChunk, Page(SlabOf(chunk), layer)});
  }
  return view_;
}

void KvCache::Commit(int64_t n) {
  assert(n >= 0 && n <= staged_);
  assert(n == staged_ || staged_ <= kStaging || !policy_.bounded());
  size_ += n;
  staged_ = 0;
}

}  // namespace kakeya
