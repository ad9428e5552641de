// The choice that needs no learning: each row's latest evicted chunks, or all of them.
#ifndef KAKEYA_PROPOSER_LATEST_CHUNKS_H_
#define KAKEYA_PROPOSER_LATEST_CHUNKS_H_

#include <vector>

#include "cache/restorer.h"

namespace kakeya {

// Up to queries.max_chunks chunks per row, the latest first; what a restorer's Select gives for one
// KV head. kAllChunks: every one.
void LatestChunks(const SelectQueries& queries, std::vector<ChunkVisit>* visits);

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_LATEST_CHUNKS_H_
