// A cache as bytes: what of it lasts between two blocks, as it is stored.
#ifndef KAKEYA_CACHE_KV_SNAPSHOT_H_
#define KAKEYA_CACHE_KV_SNAPSHOT_H_

#include "base/status.h"
#include "cache/kv_cache.h"
#include "cache/saved_state.h"

namespace kakeya {

// Errors: the sink's. REQUIRES: no block is open, cache.intact().
Status SaveKv(const KvCache& cache, StateSink* sink);

// Fills a fresh cache of the same layers, policies and type. Errors: Corrupt for numbers that
// contradict each other or the bytes that are left, before memory is allocated for them;
// ResourceExhausted. The cache is of no use then. REQUIRES: the cache is empty.
Status LoadKv(StateSource* source, KvCache* cache);

}  // namespace kakeya

#endif  // KAKEYA_CACHE_KV_SNAPSHOT_H_
