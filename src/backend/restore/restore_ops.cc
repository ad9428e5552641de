#include "backend/restore/restore_ops.h"

#include <cassert>

#include "backend/restore/cpu/restore_cpu.h"
#include "backend/restore/ref/restore_ref.h"

namespace kakeya {

void GatherFeatures(const OpContext& context, const TokenFeatures& tokens,
                    std::span<const int32_t> ids, float* out) {
  if (context.device == Device::kRef) return ref::GatherFeatures(tokens, ids, out);
  cpu::GatherFeatures(tokens, ids, out);
}

void QuantizeRows(const OpContext& context, const float* x, int rows, int dim, int8_t* q,
                  float* scales) {
  if (context.device == Device::kRef) return ref::QuantizeRows(x, rows, dim, q, scales);
  cpu::QuantizeRows(x, rows, dim, q, scales);
}

void PoolSummaries(const OpContext& context, const SummaryShape& shape, const float* logits,
                   const float* projected, uint8_t* summaries, float* scales) {
  assert(kChunk % shape.segments == 0 && shape.dim % shape.pool_heads == 0);
  if (context.device == Device::kRef) {
    return ref::PoolSummaries(shape, logits, projected, summaries, scales);
  }
  cpu::PoolSummaries(shape, logits, projected, summaries, scales);
}

void FindRecurrence(const OpContext& context, const RecurrenceShape& shape,
                    std::span<const int32_t* const> chunks, ChunkRecurrence* out) {
  assert(shape.used() && !chunks.empty());
  if (context.device == Device::kRef) return ref::FindRecurrence(shape, chunks, out);
  cpu::FindRecurrence(shape, chunks, out);
}

void AddRecurrenceRows(const OpContext& context, const RecurrenceShape& shape,
                       const ChunkRecurrence& found, const float* counts, int dim, float* x) {
  if (context.device == Device::kRef) {
    return ref::AddRecurrenceRows(shape, found, counts, dim, x);
  }
  cpu::AddRecurrenceRows(shape, found, counts, dim, x);
}

void ProjectQueries(const OpContext& context, const SelectProjection& projection,
                    SummaryQueries* queries) {
  assert(queries->rows >= 1 && queries->rows <= kMaxScanRows);
  assert(projection.weight->rows() == queries->dim + 1);
  if (context.device == Device::kRef) return ref::ProjectQueries(projection, queries);
  cpu::ProjectQueries(projection, queries);
}

void ScanChunks(const OpContext& context, const ScanArgs& args,
                std::span<const ChunkSummaries> chunks, std::span<BestChunks> best) {
  assert(args.max_chunks > 0 && static_cast<int>(best.size()) == args.queries->rows);
  if (context.device == Device::kRef) return ref::ScanChunks(args, chunks, best);
  cpu::ScanChunks(args, chunks, best);
}

void RestoreKv(const OpContext& context, const RestoreMap& map, const CodedChunk& chunk,
               const TokenFeatures& tokens, float* k, float* v) {
  assert(tokens.dim == map.halves[1].inputs);
  if (context.device == Device::kRef) return ref::RestoreKv(map, chunk, tokens, k, v);
  cpu::RestoreKv(map, chunk, tokens, k, v);
}

}  // namespace kakeya
