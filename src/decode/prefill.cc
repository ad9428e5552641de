#include "decode/prefill.h"

#include <algorithm>
#include <cassert>

namespace kakeya {

Result<std::vector<float>> Prefill(const Runner& runner, std::span<const int32_t> ids,
                                   int64_t block, const KeepGoing& keep_going) {
  assert(!ids.empty() && block >= 1);
  const int64_t total = static_cast<int64_t>(ids.size());
  KAKEYA_ASSIGN_OR_RETURN(
      Workspace workspace,
      Workspace::Create(runner.model.config, std::min(block, total), &runner.budget));
  int64_t last_rows = 0;
  for (int64_t done = 0; done < total; done += last_rows) {
    if (keep_going && !keep_going(done, total)) {
      return Status(StatusCode::kCancelled, "stopped while reading the prompt");
    }
    last_rows = std::min(block, total - done);
    KAKEYA_RETURN_IF_ERROR(runner.cache.Stage(last_rows));
    Forward(runner.context, runner.model, ids.subspan(done, last_rows), &runner.cache, &workspace);
    runner.cache.Commit(last_rows);
  }
  if (keep_going) keep_going(total, total);
  std::vector<float> logits(runner.model.config.vocab_size);
  Logits(runner.context, runner.model, workspace, last_rows - 1, 1, logits.data());
  return logits;
}

}  // namespace kakeya
