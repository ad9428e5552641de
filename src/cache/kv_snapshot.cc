#include "cache/kv_snapshot.h"

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// cache := size:i64 group ...           in the order of KvCache::groups()
// group := written_end:i64 slab ...     bounded: the ring's, then the sinks'; else those of
//                                       [0, size), and written_end is size

namespace kakeya {
namespace {

int64_t ChunksOf(int64_t positions) { return positions == 0 ? 0 : ChunkOf(positions - 1) + 1; }

Status SaveGroup(const KvGroup& group, int64_t size, StateSink* sink) {
  const bool bounded = group.layer().policy.bounded();
  KAKEYA_RETURN_IF_ERROR(sink->WriteNumber(bounded ? group.written_end() : size));
  const std::vector<std::span<std::byte>> slabs = group.Slabs();
  // A full group that was truncated has more slabs than it needs.
  const size_t count = bounded ? slabs.size() : static_cast<size_t>(ChunksOf(size));
  assert(count <= slabs.size());
  for (size_t i = 0; i < count; ++i) KAKEYA_RETURN_IF_ERROR(sink->Write(slabs[i]));
  return OkStatus();
}

Status LoadGroup(int64_t size, StateSource* source, KvGroup* group) {
  KAKEYA_ASSIGN_OR_RETURN(const int64_t written_end, source->ReadNumber<int64_t>());
  const bool bounded = group->layer().policy.bounded();
  if (written_end < size || ((!bounded || size == 0) && written_end != size)) {
    return Corrupt("the cache holds {} positions, of which {} were written", size, written_end);
  }
  if (!bounded && size > 0) {
    const auto chunks = static_cast<uint64_t>(ChunksOf(size));
    KAKEYA_RETURN_IF_ERROR(source->Require(chunks, group->SlabBytes()));
    KAKEYA_RETURN_IF_ERROR(group->Reserve(size));
  }
  for (const std::span<std::byte> slab : group->Slabs()) {
    KAKEYA_RETURN_IF_ERROR(source->Read(slab));
  }
  group->set_written_end(written_end);
  return OkStatus();
}

}  // namespace

Status SaveKv(const KvCache& cache, StateSink* sink) {
  assert(cache.staged() == 0 && cache.intact());
  KAKEYA_RETURN_IF_ERROR(sink->WriteNumber(cache.size()));
  for (const KvGroup& group : cache.groups()) {
    KAKEYA_RETURN_IF_ERROR(SaveGroup(group, cache.size(), sink));
  }
  return OkStatus();
}

Status LoadKv(StateSource* source, KvCache* cache) {
  assert(cache->size() == 0 && cache->staged() == 0);
  KAKEYA_ASSIGN_OR_RETURN(const int64_t size, source->ReadNumber<int64_t>());
  if (size < 0) return Corrupt("the cache holds {} positions", size);
  for (KvGroup& group : cache->mutable_groups()) {
    KAKEYA_RETURN_IF_ERROR(LoadGroup(size, source, &group));
  }
  cache->SetLoadedSize(size);
  if (!cache->intact()) {
    return Corrupt("the cache's ring has lost what the position {} sees", size);
  }
  return OkStatus();
}

}  // namespace kakeya
