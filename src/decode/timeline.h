// One sequence as decoding sees it: its cache, its restorer, and what the verifier said last. A
// session owns one; decode keeps no state of its own between steps.
//
// Thread safety: none; one step at a time.
// Invariants:
//  (1) The cache holds a prefix of the sequence's ids, and the restorer has been told at least the
//      chunks that the next query may choose.
//  (2) `hidden` is the final state of the cache's last position, or empty where that is not known:
//      in an empty cache, and after Truncate.
//  (3) A step that failed leaves the timeline as it was, or, where a bounded cache had lost what it
//      evicted meanwhile, empty: then the ids are read anew, to the same bits.
#ifndef KAKEYA_DECODE_TIMELINE_H_
#define KAKEYA_DECODE_TIMELINE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/ops.h"
#include "base/status.h"
#include "cache/kv_cache.h"
#include "model/restoration.h"

namespace kakeya {

struct Timeline {
  KvCache cache;
  std::optional<Restoration> restoration = {};  // for the policy kRestored
  std::vector<float> hidden = {};               // (hidden_size), or empty
};

// "Tell": the restorer learns ids[size, end) of those that are final, whatever it knows so far. No
// ids beyond `end` are told, as drafts are not final. Errors: those of Restorer::Extend;
// InvalidArgument when the restorer knows more positions than there are ids.
Status TellRestorer(const OpContext& context, std::span<const int32_t> ids, int64_t end,
                    Timeline* timeline);

// The first position that has to be read so that a token can be decided behind `history` tokens:
// the cache's end, or before it where the last state is not known. Then the last id is read once
// more, and all of them where the cache can't go back by one. REQUIRES: 1 <= history, cache.size()
// <= history.
int64_t FirstToRead(const Timeline& timeline, int64_t history);

// Takes back the cache's positions from n on, while the ids stay what they are. Where a ring no
// longer holds what the next query sees, all positions go, and have to be read anew. REQUIRES: 0 <=
// n <= cache.size(), no block is open.
void TruncateCache(int64_t n, Timeline* timeline);

// Forgets the ids from n on: restorer, restored pages and cache. Errors: those of
// Restorer::Truncate; nothing has changed then. REQUIRES: n >= 0, no block is open.
Status Truncate(const OpContext& context, int64_t n, Timeline* timeline);

}  // namespace kakeya

#endif  // KAKEYA_DECODE_TIMELINE_H_
