// The scalar truth: every operator of restoration spelled as its contract in restore_ops.h says,
// one element at a time. For tests; slow on purpose.
#ifndef KAKEYA_BACKEND_RESTORE_REF_RESTORE_REF_H_
#define KAKEYA_BACKEND_RESTORE_REF_RESTORE_REF_H_

#include <cstdint>
#include <span>

#include "backend/restore/restore_ops.h"

namespace kakeya::ref {

void GatherFeatures(const TokenFeatures& tokens, std::span<const int32_t> ids, float* out);
void QuantizeRows(const float* x, int rows, int dim, int8_t* q, float* scales);
void PoolSummaries(const SummaryShape& shape, const float* logits, const float* projected,
                   uint8_t* summaries, float* scales);
void FindRecurrence(const RecurrenceShape& shape, std::span<const int32_t* const> chunks,
                    ChunkRecurrence* out);
void AddRecurrenceRows(const RecurrenceShape& shape, const ChunkRecurrence& found,
                       const float* counts, int dim, float* x);
void ProjectQueries(const SelectProjection& projection, SummaryQueries* queries);
void ScanChunks(const ScanArgs& args, std::span<const ChunkSummaries> chunks,
                std::span<BestChunks> best);
void RestoreKv(const RestoreMap& map, const CodedChunk& chunk, const TokenFeatures& tokens,
               float* k, float* v);

}  // namespace kakeya::ref

#endif  // KAKEYA_BACKEND_RESTORE_REF_RESTORE_REF_H_
