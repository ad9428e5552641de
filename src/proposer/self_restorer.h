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
  int64_t size() const override { return selector_->size(); }
  void Select(const OpContext& context, const SelectQueries& queries,
              std::span<std::vector<ChunkVisit>> visits) override {
    selector_->Select(context, queries, visits);
  }
  void Restore(int layer, int kv_head, int64_t chunk, float* k, float* v) const override;
  int64_t max_distance() const override { return selector_->max_distance(); }
  size_t history_bytes() const override;

 private:
  SelfRestorer(const Model* verifier, std::unique_ptr<Restorer> selector, VerifierPass pass,
               MemoryBudget* budget)
      : verifier_(verifier),
        selector_(std::move(selector)),
        pass_(std::move(pass)),
        budget_(budget) {}
  // Keys and values of the last chunk of one or two.
  Result<Buffer> Compute(const OpContext& context, std::span<const int32_t> ids);
  int64_t HeadElements() const { return int64_t{kChunk} * verifier_->config.head_dim; }

  const Model* verifier_;
  std::unique_ptr<Restorer> selector_;
  VerifierPass pass_;
  MemoryBudget* budget_;
  Device device_ = Device::kCpu;  // of the session, as Extend was told
  std::vector<int32_t> recent_;   // the last whole chunk, if there is one, and what follows
  std::vector<Buffer> kept_;      // per whole chunk: (layers, kv_heads, 2, kChunk, head_dim)
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_SELF_RESTORER_H_
