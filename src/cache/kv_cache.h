// The exact keys and values of one sequence, in every layer.
//
// Memory is handed out in slabs: the pages (backend/ops.h) of one chunk of 64 positions for all
// layers. With the full policy one slab joins per chunk. With the window policy all slabs are
// allocated when the cache is made: a ring for window and staging, and slabs for the sinks; nothing
// is allocated afterwards.
//
// A block of new positions goes in like this:
//   Stage(n); for each layer, for each piece of at most kStaging rows: Write, then View for
//   attention; Commit(m).
// Commit(m) with m < n keeps the first m rows (a draft's accepted part); Rollback() keeps none.
//
// Thread safety: none; a cache belongs to one session, which runs one step at a time.
// Invariants:
//  (1) Commit is the only way in: positions >= size() are invisible to any later block.
//  (2) A block of at most kStaging rows overwrites no committed position that a query at size() or
//  later sees, so a
//      rejected block leaves the cache as it was.
//  (3) A block of more rows (prefill) evicts as it goes, layer by layer. It can only be committed
//  whole. (4) With the window policy resident_bytes() never changes.
#ifndef KAKEYA_CACHE_KV_CACHE_H_
#define KAKEYA_CACHE_KV_CACHE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/window.h"

namespace kakeya {

struct KvShape {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;
  KvType type = KvType::kBF16;
};

// Whether a policy can work at all. Errors: InvalidArgument, naming the number that is wrong.
Status CheckPolicy(const KvPolicy& policy);

class KvCache {
 public:
  // Errors: those of CheckPolicy; ResourceExhausted when the budget doesn't allow the policy's
  // slabs, before any is allocated.
  static Result<KvCache> Create(const KvShape& shape, const KvPolicy& policy, MemoryBudget* budget);

  const KvShape& shape() const { return shape_; }
  const KvPolicy& policy() const { return policy_; }
  // Committed positions.
  int64_t size() const { return size_; }
  // Positions in the open block, 0 if none is open.
  int64_t staged() const { return staged_; }
  // Bytes the allocator gave to this cache and has not got back.
  size_t resident_bytes() const;
  // Positions that these bytes have room for, in every layer.
  int64_t resident_slots() const {
    return static_cast<int64_t>(slabs_.size() + sink_slabs_.size()) * kChunk;
  }

  // Opens a block for the positions [size(), size() + n). Errors: ResourceExhausted; nothing has
  // changed then. REQUIRES: n >= 1, no block is open.
  Status Stage(int64_t n);

  // Stores one piece of the block in one layer: rows of keys and values (rows, kv_heads, head_dim),
  // rotated, F32. REQUIRES: 1 <= rows <= kStaging; the piece lies in the open block; pieces of a
  // layer come in ascending order.
  void Write(const OpContext& context, int layer, int64_t first_position, int rows, const float* k,
             const float* v);

  // Pages of a layer that hold all that the queries [first_position, first_position + rows) see,
  // ascending. Valid until the next call. REQUIRES: that piece was the last one written in this
  // layer.
  std::span<const KvPage> View(int layer, int64_t first_position, int rows);

  // Makes the first n staged positions part of the sequence and closes the block.
  // REQUIRES: 0 <= n <= staged(); n == staged() if staged() > kStaging and the policy is not full.
  void Commit(int64_t n);
  void Rollback() { Commit(0); }

 private:
  KvCache(const KvShape& shape, const KvPolicy& policy, MemoryBudget* budget)
      : shape_(shape), policy_(policy), budget_(budget) {}

  size_t SlabBytes() const { return shape_.layers * PageBytes(); }
  Result<Buffer> NewSlab() const;
  Status Grow(int64_t slabs, std::vector<Buffer>* out) const;
  size_t PageBytes() const;
  std::byte* Page(const Buffer& slab, int layer) const { return slab.data() + layer * PageBytes(); }
  const Buffer& SlabOf(int64_t chunk) const;

  KvShape shape_;
  KvPolicy policy_;
  MemoryBudget* budget_;
  // Full: slab of chunk c at index c. Window: at c modulo the ring's length.
  std::vector<Buffer> slabs_;
  // Window only: a copy of the sinks, in pages of their chunks, for when the ring has moved on. The
  // other slots are never written.
  std::vector<Buffer> sink_slabs_;
  std::vector<KvPage> view_;
  int64_t size_ = 0;
  int64_t staged_ = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_CACHE_KV_CACHE_H_
