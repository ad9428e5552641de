// The restorer that can't be wrong: the verifier's own keys and values, computed again from the
// whole text. With every chunk visited, a session's logits are those of one that keeps everything,
// bit for bit: that is what it is for. Each layer costs a pass over the history.
#ifndef KAKEYA_PROPOSER_IDENTITY_RESTORER_H_
#define KAKEYA_PROPOSER_IDENTITY_RESTORER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/restorer.h"
#include "proposer/verifier_pass.h"

namespace kakeya {

class IdentityRestorer : public Restorer {
 public:
  // `kv_type` is the session's. The verifier outlives the restorer; all memory comes from
  // `budget`. Errors: ResourceExhausted.
  static Result<std::unique_ptr<Restorer>> Create(const Model* verifier, KvType kv_type,
                                                  MemoryBudget* budget);

  Status Extend(const OpContext& context, std::span<const int32_t> ids) override;
  Status Truncate(const OpContext& context, int64_t n) override;
  int64_t size() const override { return size_; }
  // Knows no scores: the latest chunks.
  Status Select(const OpContext& context, const SelectQueries& queries,
                std::span<std::vector<ChunkVisit>> visits) override;
  int64_t max_distance() const override { return INT64_MAX; }
  // Runs the verifier up to this layer, from the start if it was beyond, or if chunks were added.
  Status BeginLayer(const OpContext& context, int layer) override;
  // REQUIRES: BeginLayer(layer) since the last Extend or Truncate.
  Status Load(const OpContext& context, const PageRequest& request) const override;
  size_t history_bytes() const override;
  // The ids are all that it keeps.
  std::string StateName() const override { return std::string("identity ") + NameOf(kv_type_); }
  Status SaveState(StateSink* /*sink*/) const override { return OkStatus(); }
  Status LoadState(StateSource* source, std::span<const int32_t> ids) override;

 private:
  IdentityRestorer(VerifierPass pass, KvType kv_type, MemoryBudget* budget)
      : pass_(std::move(pass)), kv_type_(kv_type), budget_(budget) {}

  VerifierPass pass_;
  KvType kv_type_;
  MemoryBudget* budget_;
  std::vector<Buffer> ids_;  // (kChunk) each
  int64_t size_ = 0;
  bool stale_ = true;  // the pass is not over these ids
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_IDENTITY_RESTORER_H_
