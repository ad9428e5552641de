// BM25 over the chunks of a token sequence: which of them a question is most likely about, by the
// ids they share. No learning; what the baseline `reinsert` chooses by.
#ifndef KAKEYA_EVAL_RECALL_RUN_BM25_H_
#define KAKEYA_EVAL_RECALL_RUN_BM25_H_

#include <cstdint>
#include <span>
#include <vector>

namespace kakeya {

// The chunks [0, chunks) of ids, kChunk tokens each, ranked as documents for a query (each id
// counts once): the best `count` of them, ascending. k1 = 1.2, b drops out as all are equally long;
// ties go to the lowest chunk. REQUIRES: chunks * kChunk <= ids.size().
std::vector<int64_t> ChunksByBm25(std::span<const int32_t> ids, int64_t chunks,
                                  std::span<const int32_t> query, int64_t count);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_BM25_H_
