// The pages of all layers of one kind: layers whose heads have the same shape and whose queries see
// the same positions share slabs, so that one ring turns for all of them.
//
// A slab holds the pages (backend/kv_page.h) of one chunk of kChunk positions, one for each layer
// of the group. A full group gains a slab per chunk. A bounded one is a ring of fixed length, and
// slabs for the sinks; all are allocated when it is made.
//
// Thread safety: none; a group belongs to one cache.
// Invariants:
//  (1) The slab of chunk c is slabs_[c], or in a ring slabs_[c % length].
//  (2) A ring still holds chunk c of a layer if no later chunk of that layer has been written to
//      its place: if c > ChunkOf(written_end_[layer] - 1) - length.
//  (3) The memory of a bounded group never changes.
#ifndef KAKEYA_CACHE_KV_GROUP_H_
#define KAKEYA_CACHE_KV_GROUP_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/window.h"

namespace kakeya {

// What a layer's attention keeps: its shape, and what its queries see.
struct KvLayer {
  int kv_heads = 0;
  int head_dim = 0;
  KvPolicy policy;

  bool operator==(const KvLayer&) const = default;
};

class KvGroup {
 public:
  // Errors: ResourceExhausted when the budget doesn't allow the policy's slabs, before any is
  // allocated. REQUIRES: CheckPolicy(layer.policy).
  static Result<KvGroup> Create(const KvLayer& layer, int layers, KvType type,
                                MemoryBudget* budget);

  const KvLayer& layer() const { return layer_; }
  // Bytes of one slab.
  size_t SlabBytes() const { return static_cast<size_t>(layers_) * PageBytes(); }
  // Bytes the allocator gave to this group and has not got back.
  size_t resident_bytes() const;
  // Positions that these bytes have room for, in each layer.
  int64_t resident_slots() const {
    return static_cast<int64_t>(slabs_.size() + sink_slabs_.size()) * kChunk;
  }

  // Makes room for the positions below `end`. Errors: ResourceExhausted; nothing has changed then.
  Status Reserve(int64_t end);
  // Stores rows of keys and values (rows, kv_heads, head_dim) in the group's `index`-th layer.
  void Write(const OpContext& context, int index, int64_t first_position, int rows, const float* k,
             const float* v);
  // Appends the pages that hold all that the queries [first_position, first_position + rows) see,
  // ascending.
  void View(int index, int64_t first_position, int rows, std::vector<KvPage>* pages) const;
  // The page of a chunk. REQUIRES: Holds(index, chunk).
  KvPage PageOf(int index, int64_t chunk) const;

  // The first chunk of the group's `index`-th layer that a ring still holds; 0 where nothing is
  // lost.
  int64_t FirstHeld(int index) const;
  // Whether a chunk's page of the group's `index`-th layer is still that chunk's.
  bool Holds(int index, int64_t chunk) const;
  // Whether a query at `position` would find all that it sees before itself, in every layer.
  bool HoldsViewOf(int64_t position) const;
  // Forgets all positions; what was written reads as NaN from now on.
  void Clear();

  // All memory, for those who save and load it: ring or full slabs first, then the sinks'.
  std::vector<std::span<std::byte>> Slabs() const;
  // One past the last position ever written in any layer.
  int64_t written_end() const;
  // Says that slabs filled from outside hold what was written below `end`.
  void set_written_end(int64_t end);

 private:
  KvGroup(const KvLayer& layer, int layers, KvType type, MemoryBudget* budget)
      : layer_(layer),
        layers_(layers),
        type_(type),
        budget_(budget),
        written_end_(static_cast<size_t>(layers)) {}

  size_t PageBytes() const { return KvPageBytes(type_, layer_.kv_heads, layer_.head_dim); }
  Status Grow(int64_t slabs, std::vector<Buffer>* out) const;
  std::byte* Page(const Buffer& slab, int index) const {
    return slab.data() + static_cast<size_t>(index) * PageBytes();
  }
  const Buffer& SlabOf(int64_t chunk) const;

  KvLayer layer_;
  int layers_;
  KvType type_;
  MemoryBudget* budget_;
  std::vector<Buffer> slabs_;
  // Bounded only: a copy of the sinks, in pages of their chunks, for when the ring has moved on.
  // The other slots are never written.
  std::vector<Buffer> sink_slabs_;
  std::vector<int64_t> written_end_;  // per layer: one past the last position ever written
};

}  // namespace kakeya

#endif  // KAKEYA_CACHE_KV_GROUP_H_
