#include "eval/recall/run/edited_restorer.h"

#include <algorithm>
#include <cassert>

namespace kakeya {

EditedRestorer::EditedRestorer(std::unique_ptr<Restorer> inner, HistoryEdit edit)
    : inner_(std::move(inner)), edit_(std::move(edit)) {
  assert(inner_->size() == 0);
}

Status EditedRestorer::Extend(const OpContext& context, std::span<const int32_t> ids) {
  const auto edited = static_cast<int64_t>(edit_.ids.size());
  const int64_t first = inner_->size();
  if (first >= edited) return inner_->Extend(context, ids);
  std::vector<int32_t> told(ids.begin(), ids.end());
  const int64_t replaced = std::min<int64_t>(edited - first, static_cast<int64_t>(told.size()));
  std::copy_n(edit_.ids.begin() + first, replaced, told.begin());
  return inner_->Extend(context, told);
}

Status EditedRestorer::Select(const OpContext& context, const SelectQueries& queries,
                              std::span<std::vector<ChunkVisit>> visits) {
  assert(queries.excluded.empty());
  SelectQueries edited = queries;
  edited.excluded = edit_.excluded;
  return inner_->Select(context, edited, visits);
}

Status EditedRestorer::BeginLayer(const OpContext& context, int layer) {
  return inner_->BeginLayer(context, layer);
}

}  // namespace kakeya
