// The restorer that this engine is about: a trained proposer writes codes, f_theta reads keys and
// values from them, a trained selector says which chunks matter.
#ifndef KAKEYA_PROPOSER_LEARNED_RESTORER_H_
#define KAKEYA_PROPOSER_LEARNED_RESTORER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/restorer.h"
#include "proposer/encoder.h"
#include "proposer/history.h"
#include "proposer/select.h"

namespace kakeya {

class LearnedRestorer : public Restorer {
 public:
  // Both models outlive the restorer; all its memory comes from `budget`. Errors:
  // ResourceExhausted.
  static Result<std::unique_ptr<LearnedRestorer>> Create(const Model* verifier,
                                                         const RestorerModel* restorer,
                                                         MemoryBudget* budget);

  Status Extend(const OpContext& context, std::span<const int32_t> ids) override;
  // Costs one pass of the encoder over the last chunks that stay.
  Status Truncate(const OpContext& context, int64_t n) override;
  int64_t size() const override { return size_; }
  Status Select(const OpContext& context, const SelectQueries& queries,
                std::span<std::vector<ChunkVisit>> visits) override;
  Status Load(const OpContext& context, const PageRequest& request) const override;
  int64_t max_distance() const override { return model_->config.max_distance; }
  size_t history_bytes() const override { return history_.bytes(); }

  std::string StateName() const override;
  Status SaveState(StateSink* sink) const override;
  Status LoadState(StateSource* source, std::span<const int32_t> ids) override;

  // Whole chunks whose codes or summaries are no numbers: Select never gives them, Restore gives
  // NaN.
  int64_t bad_chunks() const override { return history_.bad_chunks(); }
  const History& history() const { return history_; }

 private:
  LearnedRestorer(const Model* verifier, const RestorerModel* model, Encoder encoder,
                  Selector selector, MemoryBudget* budget)
      : verifier_(verifier),
        model_(model),
        encoder_(std::move(encoder)),
        selector_(std::move(selector)),
        history_(model->config, budget) {}

  const Model* verifier_;
  const RestorerModel* model_;
  Encoder encoder_;
  Selector selector_;
  History history_;
  int64_t size_ = 0;
  std::array<int32_t, kChunk> pending_{};  // the first size_ % kChunk: of the unfinished chunk
};

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_LEARNED_RESTORER_H_
