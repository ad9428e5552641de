#include "cache/kv_cache.h"

#include <algorithm>
#include <cassert>

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

Result<KvCache> KvCache::Create(std::span<const KvLayer> layers, KvType type,
                                MemoryBudget* budget) {
  assert(!layers.empty());
  KvCache cache(type);
  std::vector<KvLayer> kinds;
  std::vector<int> counts;
  for (const KvLayer& layer : layers) {
    KAKEYA_RETURN_IF_ERROR(CheckPolicy(layer.policy));
    const auto kind = std::find(kinds.begin(), kinds.end(), layer);
    const auto group = static_cast<size_t>(kind - kinds.begin());
    if (kind == kinds.end()) {
      kinds.push_back(layer);
      counts.push_back(0);
    }
    cache.places_.push_back({.group = group, .index = counts[group]++});
  }
  for (size_t i = 0; i < kinds.size(); ++i) {
    KAKEYA_ASSIGN_OR_RETURN(KvGroup group, KvGroup::Create(kinds[i], counts[i], type, budget));
    cache.groups_.push_back(std::move(group));
  }
  return cache;
}

Result<KvCache> KvCache::Create(const KvShape& shape, const KvPolicy& policy,
                                MemoryBudget* budget) {
  const std::vector<KvLayer> layers(
      static_cast<size_t>(shape.layers),
      {.kv_heads = shape.kv_heads, .head_dim = shape.head_dim, .policy = policy});
  return Create(layers, shape.type, budget);
}

size_t KvCache::resident_bytes() const {
  size_t bytes = 0;
  for (const KvGroup& group : groups_) bytes += group.resident_bytes();
  return bytes;
}

bool KvCache::AnyBounded() const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [](const KvGroup& group) { return group.layer().policy.bounded(); });
}

Status KvCache::Stage(int64_t n) {
  assert(n >= 1 && staged_ == 0 && intact());
  // A group that has grown when another one can't keeps a slab more than it needs, which the next
  // block uses: nobody sees it.
  for (KvGroup& group : groups_) KAKEYA_RETURN_IF_ERROR(group.Reserve(size_ + n));
  staged_ = n;
  return OkStatus();
}

// Tells the listener of the chunks that no query at first_position or later sees. They are all
// still there: the piece before this one saw them, or had seen them leave.
Status KvCache::Evict(const OpContext& context, int layer, int64_t first_position) {
  Place& place = places_[layer];
  const KvGroup& group = groups_[place.group];
  const int64_t gone = ChunkOf(WindowBegin(group.layer().policy, first_position));
  for (; place.evicted < gone; ++place.evicted) {
    if (listener_ == nullptr) continue;
    assert(group.Holds(place.index, place.evicted));
    KAKEYA_RETURN_IF_ERROR(
        listener_->OnEvict(context, layer, group.PageOf(place.index, place.evicted)));
  }
  return OkStatus();
}

Status KvCache::Write(const OpContext& context, int layer, int64_t first_position, int rows,
                      const float* k, const float* v) {
  assert(rows >= 1 && rows <= kStaging);
  assert(first_position >= size_ && first_position + rows <= size_ + staged_);
  KAKEYA_RETURN_IF_ERROR(Evict(context, layer, first_position));
  const Place& place = places_[layer];
  groups_[place.group].Write(context, place.index, first_position, rows, k, v);
  return OkStatus();
}

std::span<const KvPage> KvCache::View(int layer, int64_t first_position, int rows) {
  const Place& place = places_[layer];
  view_.clear();
  groups_[place.group].View(place.index, first_position, rows, &view_);
  return view_;
}

void KvCache::Commit(int64_t n) {
  assert(n >= 0 && n <= staged_);
  assert(n == staged_ || n == 0 || staged_ <= kStaging || !AnyBounded());
  size_ += n;
  staged_ = 0;
  if (n == 0) {
    // Nothing is left that the ring would have to hold, whatever the block had written.
    if (size_ == 0) return Clear();
    // Chunks that held rejected rows will be told again with what comes in their place.
    for (Place& place : places_) place.evicted = std::min(place.evicted, ChunkOf(size_));
  }
}

bool KvCache::CanTruncate(int64_t n) const {
  return std::all_of(groups_.begin(), groups_.end(),
                     [&](const KvGroup& group) { return group.HoldsViewOf(n); });
}

void KvCache::Truncate(int64_t n) {
  assert(n >= 0 && n <= size_ && staged_ == 0 && CanTruncate(n));
  if (n == 0) return Clear();  // the ring begins anew, too
  size_ = n;
  for (Place& place : places_) place.evicted = std::min(place.evicted, ChunkOf(n));
}

void KvCache::Clear() {
  assert(staged_ == 0);
  for (KvGroup& group : groups_) group.Clear();
  for (Place& place : places_) place.evicted = 0;
  size_ = 0;
}

void KvCache::SetLoadedSize(int64_t size) {
  assert(size_ == 0 && staged_ == 0);
  size_ = size;
  for (Place& place : places_) {
    const KvPolicy& policy = groups_[place.group].layer().policy;
    // How far the listener was told depends on how the text was cut into pieces, which nobody has
    // kept: what the ring still holds is told once more.
    const int64_t left = size == 0 ? 0 : ChunkOf(WindowBegin(policy, size - 1));
    place.evicted = std::min(left, groups_[place.group].FirstHeld(place.index));
  }
}

}  // namespace kakeya
