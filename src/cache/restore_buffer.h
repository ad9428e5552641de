// Reconstructed K/V pages, for as long as there is room: a fixed number of entries, the least
// recently used one goes first. It is only a cache: what a query attends to never depends on what
// happens to be in it.
//
// All memory is allocated when the buffer is made. Work goes in rounds: what one round asked for
// stays until the next begins, so a round may ask for at most entries() pages; longer lists are
// streamed through in several.
//
// Thread safety: none; a buffer belongs to one session.
#ifndef KAKEYA_CACHE_RESTORE_BUFFER_H_
#define KAKEYA_CACHE_RESTORE_BUFFER_H_

#include <cstdint>
#include <map>
#include <vector>

#include "backend/ops.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/kv_cache.h"
#include "cache/restorer.h"

namespace kakeya {

class RestoreBuffer {
 public:
  // What a page of one KV head takes.
  static size_t PageBytes(const KvShape& shape);

  // As many entries as `bytes` hold. Errors: InvalidArgument when that is fewer than one per KV
  // head, ResourceExhausted.
  static Result<RestoreBuffer> Create(const KvShape& shape, size_t bytes, MemoryBudget* budget);

  int64_t entries() const { return static_cast<int64_t>(slots_.size()); }
  size_t resident_bytes() const { return pages_.size(); }

  // Unpins what the last round asked for.
  void BeginRound() { ++round_; }

  struct Page {
    void* data = nullptr;
    bool fresh = false;      // its contents are not there yet: the caller fills it
    bool* failed = nullptr;  // for the caller to set: it could not be filled. Kept with the page.
  };
  // The page of a key, pinned until the next round. REQUIRES: fewer than entries() different keys
  // asked for in this round so far.
  Page Get(const PageKey& key);
  // Drops a page, for it could not be filled.
  void Drop(const PageKey& key);
  // Drops the pages of the chunks from `first` on.
  void DropFrom(int64_t first_chunk);

 private:
  struct Slot {
    PageKey key;
    int64_t round = 0;  // in which it was last asked for; 0: free
    int newer = -1;     // neighbours in the order of use
    int older = -1;
    bool failed = false;
  };

  RestoreBuffer(size_t page_bytes, int64_t entries, Buffer pages);
  void Unlink(int slot);
  void LinkNewest(int slot);

  size_t page_bytes_;
  Buffer pages_;
  std::vector<Slot> slots_;
  std::map<PageKey, int> index_;
  int newest_ = -1;
  int oldest_ = -1;
  int64_t round_ = 1;
};

}  // namespace kakeya

#endif  // KAKEYA_CACHE_RESTORE_BUFFER_H_
