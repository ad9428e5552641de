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
  // What inner would choose if there were no excluded chunks: others take their places. Inner knows
  // nothing of it and is asked for more.
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
  // Chunks per row: asked of the inner restorer, and wanted of it but for the excluded ones.
  struct Numbers {
    int64_t asked = 0;
    int64_t wanted = 0;
  };

  Status SelectAmongMore(const OpContext& context, const SelectQueries& queries,
                         std::span<std::vector<ChunkVisit>> visits);
  uint64_t DoneRows(const Numbers& numbers, const std::vector<ChunkVisit>& answer, uint64_t open,
                    int64_t* next) const;
  void AddVisits(const std::vector<ChunkVisit>& answer, uint64_t rows,
                 std::vector<ChunkVisit>* visits) const;
  bool IsExcluded(int64_t chunk) const;
  // Of the chunks [begin, end).
  int64_t Excluded(int64_t begin, int64_t end) const;

  std::unique_ptr<Restorer> inner_;
  HistoryEdit edit_;
};

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_EDITED_RESTORER_H_
