#include "proposer/identity_restorer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <iterator>
#include <utility>

#include "cache/computed_page.h"
#include "proposer/latest_chunks.h"

namespace kakeya {

Result<std::unique_ptr<Restorer>> IdentityRestorer::Create(const Model* verifier, KvType kv_type,
                                                           MemoryBudget* budget) {
  KAKEYA_ASSIGN_OR_RETURN(VerifierPass pass, VerifierPass::Create(verifier, kv_type, budget));
  return std::unique_ptr<Restorer>(new IdentityRestorer(std::move(pass), kv_type, budget));
}

Status IdentityRestorer::Extend(const OpContext& /*context*/, std::span<const int32_t> ids) {
  const int64_t end = size_ + static_cast<int64_t>(ids.size());
  std::vector<Buffer> fresh;
  while (static_cast<int64_t>(ids_.size() + fresh.size()) * kChunk < end) {
    KAKEYA_ASSIGN_OR_RETURN(Buffer chunk, budget_->Allocate(MemoryTag::kHistory,
                                                            kChunk * sizeof(int32_t), "token ids"));
    fresh.push_back(std::move(chunk));
  }
  std::move(fresh.begin(), fresh.end(), std::back_inserter(ids_));
  for (const int32_t id : ids) {
    ids_[size_ / kChunk].as<int32_t>()[size_ % kChunk] = id;
    ++size_;
  }
  return OkStatus();
}

Status IdentityRestorer::Truncate(const OpContext& /*context*/, int64_t n) {
  assert(n >= 0 && n <= size_);
  size_ = n;
  ids_.resize(static_cast<size_t>((n + kChunk - 1) / kChunk));
  stale_ = true;
  return OkStatus();
}

Status IdentityRestorer::Select(const OpContext& /*context*/, const SelectQueries& queries,
                                std::span<std::vector<ChunkVisit>> visits) {
  LatestChunks(queries, &visits[0]);
  for (size_t head = 1; head < visits.size(); ++head) visits[head] = visits[0];
  return OkStatus();
}

Status IdentityRestorer::BeginLayer(const OpContext& context, int layer) {
  const int64_t whole = size_ / kChunk * kChunk;
  if (stale_ || whole != pass_.positions() || layer < pass_.layer()) {
    std::vector<int32_t> ids;
    for (int64_t chunk = 0; chunk < whole / kChunk; ++chunk) {
      ids.insert(ids.end(), ids_[chunk].as<int32_t>(), ids_[chunk].as<int32_t>() + kChunk);
    }
    KAKEYA_RETURN_IF_ERROR(pass_.Begin(context, ids));
    stale_ = false;
  }
  while (pass_.layer() < layer) KAKEYA_RETURN_IF_ERROR(pass_.NextLayer(context));
  return OkStatus();
}

Status IdentityRestorer::Load(const OpContext& context, const PageRequest& request) const {
  assert(request.key.layer == pass_.layer());
  alignas(64) std::array<float, int64_t{kChunk} * kMaxHeadDim> k;
  alignas(64) std::array<float, int64_t{kChunk} * kMaxHeadDim> v;
  pass_.CopyChunk(request.key.chunk * kChunk, request.key.kv_head, k.data(), v.data());
  return StoreComputedPage(context, request, k.data(), v.data());
}

Status IdentityRestorer::LoadState(StateSource* /*source*/, std::span<const int32_t> ids) {
  assert(size_ == 0);
  return Extend({}, ids);
}

size_t IdentityRestorer::history_bytes() const { return ids_.size() * kChunk * sizeof(int32_t); }

}  // namespace kakeya
