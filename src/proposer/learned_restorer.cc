#include "proposer/learned_restorer.h"

#include <algorithm>
#include <utility>

#include "proposer/f_theta.h"

namespace kakeya {

Result<std::unique_ptr<Restorer>> LearnedRestorer::Create(const Model* verifier,
                                                          const RestorerModel* restorer,
                                                          MemoryBudget* budget) {
  KAKEYA_ASSIGN_OR_RETURN(Encoder encoder, Encoder::Create(verifier, restorer, budget));
  KAKEYA_ASSIGN_OR_RETURN(Selector selector, Selector::Create(restorer, budget));
  return std::unique_ptr<Restorer>(
      new LearnedRestorer(verifier, restorer, std::move(encoder), std::move(selector), budget));
}

Status LearnedRestorer::Extend(const OpContext& context, std::span<const int32_t> ids) {
  device_ = context.device;
  int64_t chunk = history_.chunks();
  const int64_t whole = (size_ + static_cast<int64_t>(ids.size())) / kChunk;
  KAKEYA_RETURN_IF_ERROR(history_.Add(whole - chunk));
  size_t pending = size_ % kChunk;
  size_ += static_cast<int64_t>(ids.size());
  while (chunk < whole) {
    const int count = static_cast<int>(std::min<int64_t>(whole - chunk, Encoder::kPassChunks));
    for (int i = 0; i < count; ++i) {
      const ChunkRecord record = history_.At(chunk + i);
      std::copy_n(pending_.begin(), pending, record.ids);
      std::copy_n(ids.begin(), kChunk - pending, record.ids + pending);
      ids = ids.subspan(kChunk - pending);
      pending = 0;
    }
    encoder_.Encode(context, history_, chunk, count);
    for (int i = 0; i < count; ++i) history_.Seal(chunk + i);
    chunk += count;
  }
  std::copy(ids.begin(), ids.end(), pending_.begin() + pending);
  return OkStatus();
}

void LearnedRestorer::Select(const OpContext& context, const SelectQueries& queries,
                             std::span<std::vector<ChunkVisit>> visits) {
  selector_.Select(context, queries, history_, visits);
}

Status LearnedRestorer::BeginLayer(const OpContext& context, int /*layer*/) {
  device_ = context.device;
  return OkStatus();
}

void LearnedRestorer::Restore(int layer, int kv_head, int64_t chunk, float* k, float* v) const {
  // Runs on any of the session's threads, so without its pool.
  RestoreChunk({.device = device_}, *verifier_, *model_, history_.At(chunk), layer, kv_head, k, v);
}

}  // namespace kakeya
