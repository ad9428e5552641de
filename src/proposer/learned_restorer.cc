#include "proposer/learned_restorer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "cache/computed_page.h"
#include "proposer/f_theta.h"

namespace kakeya {
namespace {

constexpr size_t kIdBytes = kChunk * sizeof(int32_t);  // of one record

}  // namespace

Result<std::unique_ptr<LearnedRestorer>> LearnedRestorer::Create(const Model* verifier,
                                                                 const RestorerModel* restorer,
                                                                 MemoryBudget* budget) {
  KAKEYA_ASSIGN_OR_RETURN(Encoder encoder, Encoder::Create(verifier, restorer, budget));
  KAKEYA_ASSIGN_OR_RETURN(Selector selector, Selector::Create(restorer, budget));
  return std::unique_ptr<LearnedRestorer>(
      new LearnedRestorer(verifier, restorer, std::move(encoder), std::move(selector), budget));
}

Status LearnedRestorer::Extend(const OpContext& context, std::span<const int32_t> ids) {
  int64_t chunk = history_.chunks();
  const int64_t whole = (size_ + static_cast<int64_t>(ids.size())) / kChunk;
  KAKEYA_RETURN_IF_ERROR(history_.Add(whole - chunk));
  size_t pending = size_ % kChunk;
  size_ += static_cast<int64_t>(ids.size());
  while (chunk < whole) {
    const int count = static_cast<int>(std::min<int64_t>(whole - chunk, Encoder::kPassChunks));
    for (int i = 0; i < count; ++i) {
      const MutableChunkRecord record = history_.MutableAt(chunk + i);
      std::copy_n(pending_.begin(), pending, record.ids);
      std::copy_n(ids.begin(), kChunk - pending, record.ids + pending);
      ids = ids.subspan(kChunk - pending);
      pending = 0;
    }
    encoder_.Encode(context, chunk, count, &history_);
    for (int i = 0; i < count; ++i) history_.Seal(chunk + i);
    chunk += count;
  }
  std::copy(ids.begin(), ids.end(), pending_.begin() + pending);
  return OkStatus();
}

Status LearnedRestorer::Truncate(const OpContext& context, int64_t n) {
  assert(n >= 0 && n <= size_);
  const int64_t chunks = n / kChunk;
  if (chunks < history_.chunks()) {
    const int32_t* const ids = history_.At(chunks).ids;
    std::copy_n(ids, n % kChunk, pending_.begin());
    history_.Truncate(chunks);
    encoder_.Rewind(context, history_, chunks);
  }
  size_ = n;
  return OkStatus();
}

Status LearnedRestorer::Select(const OpContext& context, const SelectQueries& queries,
                               std::span<std::vector<ChunkVisit>> visits) {
  selector_.Select(context, queries, history_, visits);
  return OkStatus();
}

Status LearnedRestorer::Load(const OpContext& context, const PageRequest& request) const {
  const PageKey& key = request.key;
  alignas(64) std::array<float, int64_t{kChunk} * kMaxHeadDim> k;
  alignas(64) std::array<float, int64_t{kChunk} * kMaxHeadDim> v;
  RestoreChunk(context, *verifier_, *model_, history_.At(key.chunk), key.layer, key.kv_head,
               k.data(), v.data());
  return StoreComputedPage(context, request, k.data(), v.data());
}

std::string LearnedRestorer::StateName() const {
  return model_->fingerprint.empty() ? std::string() : "learned " + model_->fingerprint;
}

// state := record ... page ...     of the whole chunks, each without its ids; of the encoder's
//                                  layers, if there is a whole chunk (proposer/encoder.h)
Status LearnedRestorer::SaveState(StateSink* sink) const {
  if (StateName().empty()) return Restorer::SaveState(sink);
  for (int64_t chunk = 0; chunk < history_.chunks(); ++chunk) {
    KAKEYA_RETURN_IF_ERROR(sink->Write(history_.CodesOf(chunk)));
  }
  return encoder_.SaveState(sink);
}

Status LearnedRestorer::LoadState(StateSource* source, std::span<const int32_t> ids) {
  assert(size_ == 0);
  const auto chunks = static_cast<int64_t>(ids.size() / kChunk);
  KAKEYA_RETURN_IF_ERROR(source->Require(static_cast<uint64_t>(chunks),
                                         History::RecordBytes(model_->config) - kIdBytes));
  KAKEYA_RETURN_IF_ERROR(history_.Add(chunks));
  size_ = static_cast<int64_t>(ids.size());
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    std::copy_n(ids.begin(), kChunk, history_.MutableAt(chunk).ids);
    ids = ids.subspan(kChunk);
    KAKEYA_RETURN_IF_ERROR(source->Read(history_.MutableCodesOf(chunk)));
    history_.Seal(chunk);
  }
  std::copy(ids.begin(), ids.end(), pending_.begin());
  return encoder_.LoadState(source, chunks > 0);
}

}  // namespace kakeya
