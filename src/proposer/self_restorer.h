// The yardstick without learning: a chunk's keys and values are those that the verifier itself
// computes when it reads the chunk and its predecessor, and nothing before. Chunks are chosen as by
// the learned restorer. Dear: every chunk is read twice more, and what was computed is kept, which
// history_bytes() tells.
//
// Positions count from the predecessor's start: rotary attention depends on distances alone, and
// keys are given before the rotation.
#ifndef KAKEYA_PROPOSER_SELF_RESTORER_H_
#define KAKEYA_PROPOSER_SELF_RESTORER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/restorer.h"
#include "proposer/learned_restorer.h"
#include "proposer/verifier_pass.h"

namespace kakeya {

class SelfRestorer : public Restorer {
 public:
  // `restorer` selects. Both models outlive the restorer; all memory comes from `budget`. Errors:
  // ResourceExhausted.
  static Result<std::unique_ptr<Restorer>> Create(const Model* verifier,
                                                  const RestorerModel* restorer, KvType kv_type,
                                                  MemoryBudget* budget);

  Status Extend(const OpContext& context, std::span<const int32_t> ids) override;
  Status Truncate(const OpContext& context, int64_t n) override;
  int64_t size() const override { return selector_->size(); }
  Status Select(const OpContext& context, const SelectQueries& queries,
                std::span<std::vector<ChunkVisit>> visits) override {
    return selector_->Select(context, queries, visits);
  }
  Status Load(const OpContext& context, const PageRequest& request) const override;
  int64_t max_distance() const override { return selector_->max_distance(); }
  int64_t bad_chunks() const override { return selector_->bad_chunks(); }
  size_t history_bytes() const override;
  std::string StateName() const override;
  Status SaveState(StateSink* sink) const override;
  Status LoadState(StateSource* source, std::span<const int32_t> ids) override;

 private:
  SelfRestorer(const Model* verifier, std::unique_ptr<LearnedRestorer> selector, VerifierPass pass,
               KvType kv_type, MemoryBudget* budget)
      : verifier_(verifier),
        kv_type_(kv_type),
        selector_(std::move(selector)),
        pass_(std::move(pass)),
        budget_(budget) {}
  // Keys and values of the last chunk of one or two.
  Result<Buffer> Compute(const OpContext& context, std::span<const int32_t> ids);
  // Of a whole chunk.
  size_t KeptBytes() const {
    return size_t{2} * static_cast<size_t>(verifier_->config.num_layers()) *
           static_cast<size_t>(shape().num_kv_heads) * static_cast<size_t>(HeadElements()) *
           sizeof(float);
  }
  int64_t HeadElements() const { return int64_t{kChunk} * shape().head_dim; }
  const LayerConfig& shape() const { return verifier_->config.common_layer(); }

  const Model* verifier_;
  KvType kv_type_;
  std::unique_ptr<LearnedRestorer> selector_;
  VerifierPass pass_;
  MemoryBudget* budget_;
  std::vector<int32_t> recent_;  // the last whole chunk, if there is one, and what follows
  std::vector<Buffer> kept_;     // per whole chunk: (layers, kv_heads, 2, kChunk, head_dim)
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_SELF_RESTORER_H_
