#include "decode/prefill.h"

#include <algorithm>
#include <cassert>

#include "decode/step.h"

namespace kakeya {

Status ReadBlocks(const OpContext& context, const Model& model, std::span<const int32_t> ids,
                  const ReadOptions& options, MemoryBudget* budget, Timeline* timeline) {
  const int64_t total = static_cast<int64_t>(ids.size());
  assert(timeline->cache.size() < total && options.block >= 1);
  KAKEYA_ASSIGN_OR_RETURN(
      Workspace workspace,
      Workspace::Create(model.config, std::min(options.block, total - timeline->cache.size()),
                        /*logit_rows=*/0, timeline->restoration.has_value(), budget));
  while (timeline->cache.size() < total) {
    const int64_t first = timeline->cache.size();
    StepSequence sequence{.timeline = timeline, .ids = ids, .max_rows = options.block};
    Step(context, model, {&sequence, 1}, &workspace);
    KAKEYA_RETURN_IF_ERROR(sequence.status);
    KAKEYA_RETURN_IF_ERROR(options.after_block(workspace.hidden.as<float>(), first, sequence.read));
  }
  return OkStatus();
}

}  // namespace kakeya
