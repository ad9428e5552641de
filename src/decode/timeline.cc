#include "decode/timeline.h"

#include <cassert>
#include <chrono>

namespace kakeya {

Status TellRestorer(const OpContext& context, std::span<const int32_t> ids, int64_t end,
                    Timeline* timeline) {
  if (!timeline->restoration) return OkStatus();
  Restoration& restoration = *timeline->restoration;
  const int64_t known = restoration.restorer->size();
  if (known > static_cast<int64_t>(ids.size())) {
    return InvalidArgument("the restorer knows {} positions of a text of {}", known, ids.size());
  }
  if (known >= end) return OkStatus();
  const auto start = std::chrono::steady_clock::now();
  Status status = restoration.restorer->Extend(
      context, ids.subspan(static_cast<size_t>(known), static_cast<size_t>(end - known)));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  restoration.stats.seconds += took.count();
  return status;
}

int64_t FirstToRead(const Timeline& timeline, int64_t history) {
  const int64_t size = timeline.cache.size();
  assert(history >= 1 && size <= history);
  if (size < history || !timeline.hidden.empty()) return size;
  return timeline.cache.CanTruncate(size - 1) ? size - 1 : 0;
}

void TruncateCache(int64_t n, Timeline* timeline) {
  KvCache& cache = timeline->cache;
  assert(n >= 0 && n <= cache.size() && cache.staged() == 0);
  if (n < cache.size() || !cache.intact()) timeline->hidden.clear();
  if (cache.CanTruncate(n)) {
    cache.Truncate(n);
  } else {
    cache.Clear();
  }
}

Status Truncate(const OpContext& context, int64_t n, Timeline* timeline) {
  // The restorer first: if it can't, nothing has changed.
  if (timeline->restoration) {
    KAKEYA_RETURN_IF_ERROR(timeline->restoration->Truncate(context, n));
  }
  if (n < timeline->cache.size()) TruncateCache(n, timeline);
  return OkStatus();
}

}  // namespace kakeya
