// The exact keys and values of one sequence, in every layer.
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
//      later sees: a rejected block leaves the cache as it was.
//  (3) A block of more rows (prefill) evicts as it goes, layer by layer. It can only be committed
//      whole. After Rollback a bounded cache may have lost what size() needs: then intact() is
//      false, and nothing but Clear is allowed.
//  (4) Memory of layers with a bounded policy never changes.
//  (5) Truncate reaches back as far as the rings hold what the next query sees. A ring has room for
//      window + kStaging - 1 positions at their worst alignment, so CanTruncate(n) holds for every
//      n >= (last position ever written) - kStaging + 1; further back only by luck of alignment. A
//      cache in which nothing is bounded truncates to any length.
#ifndef KAKEYA_CACHE_KV_CACHE_H_
#define KAKEYA_CACHE_KV_CACHE_H_

#include <cstdint>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/kv_group.h"
#include "cache/window.h"

namespace kakeya {

// Layers that are all alike.
struct KvShape {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;
  KvType type = KvType::kBF16;
};

// Whether a policy can work at all. Errors: InvalidArgument, naming the number that is wrong.
Status CheckPolicy(const KvPolicy& policy);

// Is told of chunks that leave the view of all queries to come: whoever wants to see them again
// copies them now.
class EvictionListener {
 public:
  virtual ~EvictionListener() = default;
  // One layer's page of a whole chunk, as it is stored. Comes once per layer and chunk, chunks of a
  // layer ascending; again after Truncate or Rollback, with what was written anew, and after a
  // session was loaded. It is not final before the block that is open is committed. An error fails
  // the step. Runs on the thread that attends in this layer: where many sequences share a pass, on
  // any of the pool's, and those of several caches at once.
  virtual Status OnEvict(const OpContext& context, int layer, const KvPage& page) = 0;
};

class KvCache {
 public:
  // One entry per layer; layers of one kind share a group (cache/kv_group.h). Errors: those of
  // CheckPolicy; ResourceExhausted. REQUIRES: layers not empty.
  static Result<KvCache> Create(std::span<const KvLayer> layers, KvType type, MemoryBudget* budget);
  // The same for layers that are all alike.
  static Result<KvCache> Create(const KvShape& shape, const KvPolicy& policy, MemoryBudget* budget);

  int layers() const { return static_cast<int>(places_.size()); }
  const KvLayer& layer(int layer) const { return groups_[places_[layer].group].layer(); }
  KvType type() const { return type_; }
  // Committed positions.
  int64_t size() const { return size_; }
  // Positions in the open block, 0 if none is open.
  int64_t staged() const { return staged_; }
  // Bytes the allocator gave to this cache and has not got back.
  size_t resident_bytes() const;
  // Positions that these bytes have room for in one layer.
  int64_t resident_slots(int layer) const { return groups_[places_[layer].group].resident_slots(); }
  std::span<const KvGroup> groups() const { return groups_; }

  // Null: nobody listens. The listener outlives the cache or is replaced.
  void set_eviction_listener(EvictionListener* listener) { listener_ = listener; }

  // Opens a block for the positions [size(), size() + n). Errors: ResourceExhausted; nothing has
  // changed then. REQUIRES: n >= 1, no block is open, intact().
  Status Stage(int64_t n);

  // Stores one piece of the block in one layer: rows of keys and values (rows, kv_heads, head_dim),
  // rotated, F32. Errors: those of the eviction listener; the caller rolls back. REQUIRES: 1 <=
  // rows
  // <= kStaging; the piece lies in the open block; pieces of a layer come in ascending order.
  Status Write(const OpContext& context, int layer, int64_t first_position, int rows,
               const float* k, const float* v);

  // Pages of a layer that hold all that the queries [first_position, first_position + rows) see,
  // ascending. Valid until the next call. REQUIRES: that piece was the last one written in this
  // layer.
  std::span<const KvPage> View(int layer, int64_t first_position, int rows);

  // Makes the first n staged positions part of the sequence and closes the block.
  // REQUIRES: 0 <= n <= staged(); n == staged() if staged() > kStaging and a layer is bounded, but
  // for n == 0, which is Rollback.
  void Commit(int64_t n);
  void Rollback() { Commit(0); }

  // Whether every query at size() or later finds what it sees.
  bool intact() const { return CanTruncate(size_); }
  bool CanTruncate(int64_t n) const;
  // Takes back the positions from n on. REQUIRES: 0 <= n <= size(), CanTruncate(n), no block is
  // open.
  void Truncate(int64_t n);
  // Forgets everything; memory stays.
  void Clear();

  // After the groups' slabs were filled from a file: as if `size` positions had been committed.
  // REQUIRES: the groups' written_end() are set.
  void SetLoadedSize(int64_t size);
  std::span<KvGroup> mutable_groups() { return groups_; }

 private:
  // Where a layer's pages are.
  struct Place {
    size_t group = 0;
    int index = 0;
    int64_t evicted = 0;  // chunks that the listener has been told
  };

  explicit KvCache(KvType type) : type_(type) {}
  bool AnyBounded() const;
  Status Evict(const OpContext& context, int layer, int64_t first_position);

  KvType type_;
  std::vector<KvGroup> groups_;
  std::vector<Place> places_;  // per layer
  EvictionListener* listener_ = nullptr;
  std::vector<KvPage> view_;
  int64_t size_ = 0;
  int64_t staged_ = 0;
};

}  // namespace kakeya

#endif  // KAKEYA_CACHE_KV_CACHE_H_
