#include "decode/prefill.h"

#include <algorithm>
#include <cassert>

namespace kakeya {

Status RunBlocks(const Runner& runner, std::span<const int32_t> ids, int64_t block,
                 const AfterBlock& after_block) {
  assert(!ids.empty() && block >= 1);
  const int64_t total = static_cast<int64_t>(ids.size());
  KAKEYA_ASSIGN_OR_RETURN(Workspace workspace, NewWorkspace(runner, std::min(block, total)));
  for (int64_t first = 0; first < total;) {
    const int64_t rows = std::min(block, total - first);
    KAKEYA_RETURN_IF_ERROR(RunBlock(runner, ids.subspan(first, rows), &workspace));
    KAKEYA_RETURN_IF_ERROR(after_block(workspace, first, rows));
    first += rows;
  }
  return OkStatus();
}

Result<std::vector<float>> Prefill(const Runner& runner, std::span<const int32_t> ids,
                                   int64_t block, const KeepGoing& keep_going) {
  const int64_t total = static_cast<int64_t>(ids.size());
  std::vector<float> logits(runner.model.config.vocab_size);
  if (keep_going) keep_going(0, total);
  const auto after_block = [&](const Workspace& workspace, int64_t first, int64_t rows) {
    const int64_t done = first + rows;
    if (done == total) {
      Logits(runner.context, runner.model, workspace, rows - 1, 1, logits.data());
    }
    const bool stop = keep_going && !keep_going(done, total) && done < total;
    return stop ? Status(StatusCode::kCancelled, "stopped while reading the prompt") : OkStatus();
  };
  KAKEYA_RETURN_IF_ERROR(RunBlocks(runner, ids, block, after_block));
  return logits;
}

}  // namespace kakeya
