#include "proposer/self_restorer.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "backend/restore/restore_ops.h"
#include "cache/computed_page.h"

namespace kakeya {

Result<std::unique_ptr<Restorer>> SelfRestorer::Create(const Model* verifier,
                                                       const RestorerModel* restorer,
                                                       KvType kv_type, MemoryBudget* budget) {
  KAKEYA_ASSIGN_OR_RETURN(std::unique_ptr<LearnedRestorer> selector,
                          LearnedRestorer::Create(verifier, restorer, budget));
  KAKEYA_ASSIGN_OR_RETURN(VerifierPass pass, VerifierPass::Create(verifier, kv_type, budget));
  return std::unique_ptr<Restorer>(
      new SelfRestorer(verifier, std::move(selector), std::move(pass), kv_type, budget));
}

Result<Buffer> SelfRestorer::Compute(const OpContext& context, std::span<const int32_t> ids) {
  const ModelConfig& config = verifier_->config;
  const int64_t first = static_cast<int64_t>(ids.size()) - kChunk;
  KAKEYA_ASSIGN_OR_RETURN(Buffer kept, budget_->Allocate(MemoryTag::kHistory, KeptBytes(),
                                                         "the verifier's own keys and values"));
  KAKEYA_RETURN_IF_ERROR(pass_.Begin(context, ids));
  float* out = kept.as<float>();
  for (int layer = 0; layer < config.num_layers(); ++layer) {
    KAKEYA_RETURN_IF_ERROR(pass_.NextLayer(context));
    for (int head = 0; head < shape().num_kv_heads; ++head) {
      pass_.CopyChunk(first, head, out, out + HeadElements());
      out += 2 * HeadElements();
    }
  }
  return kept;
}

Status SelfRestorer::Extend(const OpContext& context, std::span<const int32_t> ids) {
  std::vector<int32_t> text = recent_;
  text.insert(text.end(), ids.begin(), ids.end());
  const std::span<const int32_t> all = text;
  std::vector<Buffer> fresh;
  size_t begin = 0;                           // of the predecessor
  size_t chunk = kept_.empty() ? 0 : kChunk;  // where the next chunk starts
  for (; chunk + kChunk <= all.size(); chunk += kChunk) {
    begin = chunk == 0 ? 0 : chunk - kChunk;
    KAKEYA_ASSIGN_OR_RETURN(Buffer kept,
                            Compute(context, all.subspan(begin, chunk + kChunk - begin)));
    fresh.push_back(std::move(kept));
  }
  KAKEYA_RETURN_IF_ERROR(selector_->Extend(context, ids));
  std::move(fresh.begin(), fresh.end(), std::back_inserter(kept_));
  recent_.assign(text.begin() + (chunk == 0 ? 0 : chunk - kChunk), text.end());
  return OkStatus();
}

Status SelfRestorer::Truncate(const OpContext& context, int64_t n) {
  const int64_t whole = n / kChunk;
  const int64_t rest = n % kChunk;
  std::vector<int32_t> recent = recent_;
  if (whole == static_cast<int64_t>(kept_.size())) {
    recent.resize(static_cast<size_t>((whole > 0 ? kChunk : 0) + rest));
  } else {
    // The selector remembers the ids of whole chunks.
    recent.clear();
    const auto add = [&](int64_t chunk, int64_t count) {
      const int32_t* const ids = selector_->history().At(chunk).ids;
      recent.insert(recent.end(), ids, ids + count);
    };
    if (whole > 0) add(whole - 1, kChunk);
    add(whole, rest);
  }
  KAKEYA_RETURN_IF_ERROR(selector_->Truncate(context, n));
  kept_.resize(static_cast<size_t>(whole));
  recent_ = std::move(recent);
  return OkStatus();
}

Status SelfRestorer::Load(const OpContext& context, const PageRequest& request) const {
  const PageKey& key = request.key;
  const int64_t head = int64_t{key.layer} * shape().num_kv_heads + key.kv_head;
  const float* const from = kept_[key.chunk].as<float>() + 2 * head * HeadElements();
  alignas(64) std::array<float, int64_t{kChunk} * kMaxHeadDim> k;
  std::copy_n(from, HeadElements(), k.data());
  return StoreComputedPage(context, request, k.data(), from + HeadElements());
}

size_t SelfRestorer::history_bytes() const {
  size_t bytes = selector_->history_bytes();
  for (const Buffer& kept : kept_) bytes += kept.size();
  return bytes;
}

std::string SelfRestorer::StateName() const {
  const std::string selector = selector_->StateName();
  if (selector.empty()) return {};
  return std::string("self ") + NameOf(kv_type_) + ", chosen by " + selector;
}

// state := selector kept ...     that of the learned restorer; keys and values of the whole chunks
Status SelfRestorer::SaveState(StateSink* sink) const {
  KAKEYA_RETURN_IF_ERROR(selector_->SaveState(sink));
  for (const Buffer& kept : kept_) {
    KAKEYA_RETURN_IF_ERROR(sink->Write({kept.data(), kept.size()}));
  }
  return OkStatus();
}

Status SelfRestorer::LoadState(StateSource* source, std::span<const int32_t> ids) {
  KAKEYA_RETURN_IF_ERROR(selector_->LoadState(source, ids));
  const size_t chunks = ids.size() / kChunk;
  KAKEYA_RETURN_IF_ERROR(source->Require(chunks, KeptBytes()));
  for (size_t chunk = 0; chunk < chunks; ++chunk) {
    KAKEYA_ASSIGN_OR_RETURN(Buffer kept, budget_->Allocate(MemoryTag::kHistory, KeptBytes(),
                                                           "the verifier's own keys and values"));
    KAKEYA_RETURN_IF_ERROR(source->Read({kept.data(), kept.size()}));
    kept_.push_back(std::move(kept));
  }
  const std::span<const int32_t> recent = ids.subspan(chunks == 0 ? 0 : (chunks - 1) * kChunk);
  recent_.assign(recent.begin(), recent.end());
  return OkStatus();
}

}  // namespace kakeya
