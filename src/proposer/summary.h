// Summaries of a chunk: what the selector compares a query with.
#ifndef KAKEYA_PROPOSER_SUMMARY_H_
#define KAKEYA_PROPOSER_SUMMARY_H_

#include <cstdint>

#include "proposer/restorer_config.h"

namespace kakeya {

// Per segment of kChunk / segments tokens and pool head p: the mean of slice p of `projected`
// (kChunk, dim), weighted by a softmax of the segment's `logits` (kChunk, pool_heads). Gives int4
// summaries, laid out as PackSummaries does, and their scales (segments); a NaN as scale where
// there are no numbers.
void PoolSummaries(const RestorerConfig::Summary& config, const float* logits,
                   const float* projected, uint8_t* summaries, float* scales);

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_SUMMARY_H_
