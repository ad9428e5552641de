#include "cache/restore_buffer.h"

#include <algorithm>
#include <cassert>

namespace kakeya {

size_t RestoreBuffer::PageBytes(const KvShape& shape) {
  return KvHeadBytes(shape.type, shape.head_dim);
}

RestoreBuffer::RestoreBuffer(size_t page_bytes, int64_t entries, Buffer pages)
    : page_bytes_(page_bytes), pages_(std::move(pages)), slots_(static_cast<size_t>(entries)) {
  for (int slot = 0; slot < entries; ++slot) LinkNewest(slot);
}

Result<RestoreBuffer> RestoreBuffer::Create(const KvShape& shape, size_t bytes,
                                            MemoryBudget* budget) {
  const size_t page = PageBytes(shape);
  const auto entries = static_cast<int64_t>(bytes / page);
  if (entries < shape.kv_heads) {
    return InvalidArgument(
        "restore buffer: {} bytes don't hold one chunk of {} KV heads, which takes {} bytes", bytes,
        shape.kv_heads, page * shape.kv_heads);
  }
  KAKEYA_ASSIGN_OR_RETURN(
      Buffer pages,
      budget->Allocate(MemoryTag::kKv, static_cast<size_t>(entries) * page, "restore buffer"));
  // NaN in every type, as in the cache: a page that is read before it is filled shows in the
  // output.
  std::fill_n(pages.data(), pages.size(), std::byte{0xff});
  return RestoreBuffer(page, entries, std::move(pages));
}

RestoreBuffer::Page RestoreBuffer::Get(const PageKey& key) {
  const auto found = index_.find(key);
  const bool fresh = found == index_.end();
  const int slot = fresh ? oldest_ : found->second;
  Slot& entry = slots_[slot];
  if (fresh) {
    assert(entry.round != round_ && "more pages asked for in one round than there are");
    if (entry.round != 0) index_.erase(entry.key);
    index_.emplace(key, slot);
    entry.key = key;
    entry.failed = false;
  }
  entry.round = round_;
  Unlink(slot);
  LinkNewest(slot);
  return {pages_.data() + static_cast<size_t>(slot) * page_bytes_, fresh, &entry.failed};
}

void RestoreBuffer::Drop(const PageKey& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  slots_[found->second].round = 0;
  index_.erase(found);
}

void RestoreBuffer::DropFrom(int64_t first_chunk) {
  std::erase_if(index_, [&](const auto& entry) {
    if (entry.first.chunk < first_chunk) return false;
    slots_[entry.second].round = 0;
    return true;
  });
}

void RestoreBuffer::Unlink(int slot) {
  const Slot& entry = slots_[slot];
  (entry.newer >= 0 ? slots_[entry.newer].older : newest_) = entry.older;
  (entry.older >= 0 ? slots_[entry.older].newer : oldest_) = entry.newer;
}

void RestoreBuffer::LinkNewest(int slot) {
  slots_[slot].newer = -1;
  slots_[slot].older = newest_;
  (newest_ >= 0 ? slots_[newest_].newer : oldest_) = slot;
  newest_ = slot;
}

}  // namespace kakeya
