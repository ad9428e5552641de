// The vectorised operators of restoration: AVX-512 VNNI where products are of bytes or int16 and
// the machine has it, otherwise one source per operator, compiled once per instruction set. All
// give the bits of restore/ref/. Called by the dispatch in restore_ops.cc alone.
#ifndef KAKEYA_BACKEND_RESTORE_CPU_RESTORE_CPU_H_
#define KAKEYA_BACKEND_RESTORE_CPU_RESTORE_CPU_H_

#include <cstdint>
#include <span>

#include "backend/restore/restore_ops.h"

namespace kakeya::cpu {

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

}  // namespace kakeya::cpu

#endif  // KAKEYA_BACKEND_RESTORE_CPU_RESTORE_CPU_H_
