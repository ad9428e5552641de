// A restorer that lives in an edited past: it is told other ids than the verifier read, or may not
// choose some of the chunks. The verifier always reads the true prompt, so what its answer follows
// shows where the answer came from.
#ifndef KAKEYA_EVAL_RECALL_RUN_EDITED_RESTORER_H_
#define KAKEYA_EVAL_RECALL_RUN_EDITED_RESTORER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cache/restorer.h"

namespace kakeya {

struct HistoryEdit {
  // Told instead of the true ids at the positions [0, ids.size()); later ones are told as they are.
  std::vector<int32_t> ids;
  // Chunks that may not be chosen: excluded[c] != 0. May be shorter than the history.
  std::vector<uint8_t> excluded;
};

class EditedRestorer : public Restorer {
 public:
  // REQUIRES: nothing was told to inner yet.
  EditedRestorer(std::unique_ptr<Restorer> inner, HistoryEdit edit);

  Status Extend(const OpContext& context, std::span<const int32_t> ids) override;
  Status Truncate(const OpContext& context, int64_t n) override {
    return inner_->Truncate(context, n);
  }
  int64_t size() const override { return inner_->size(); }
  Status Select(const OpContext& context, const SelectQueries& queries,
                std::span<std::vector<ChunkVisit>> visits) override;
  Status BeginLayer(const OpContext& context, int layer) override;
  void Prefetch(const OpContext& context, std::span<const PageKey> pages) override {
    inner_->Prefetch(context, pages);
  }
  Status Load(const OpContext& context, const PageRequest& request) const override {
    return inner_->Load(context, request);
  }
  int64_t max_distance() const override { return inner_->max_distance(); }
  int64_t bad_chunks() const override { return inner_->bad_chunks(); }
  size_t history_bytes() const override { return inner_->history_bytes(); }

 private:
  std::unique_ptr<Restorer> inner_;
  HistoryEdit edit_;
};

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_EDITED_RESTORER_H_
