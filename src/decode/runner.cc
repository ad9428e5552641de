#include "decode/runner.h"

#include <chrono>

namespace kakeya {
namespace {

// Tells the restorer what it doesn't know yet of the block at the end of the cache. After a step
// that failed it may know a part.
Status TellRestorer(const Runner& runner, std::span<const int32_t> ids) {
  Restoration& restoration = *runner.restoration;
  const auto start = std::chrono::steady_clock::now();
  const auto known = static_cast<size_t>(restoration.restorer->size() - runner.cache.size());
  if (known < ids.size()) {
    KAKEYA_RETURN_IF_ERROR(restoration.restorer->Extend(runner.context, ids.subspan(known)));
  }
  const auto end = std::chrono::steady_clock::now();
  restoration.stats.seconds += std::chrono::duration<double>(end - start).count();
  return OkStatus();
}

}  // namespace

Status RunBlock(const Runner& runner, std::span<const int32_t> ids, Workspace* workspace) {
  if (runner.restoration != nullptr) KAKEYA_RETURN_IF_ERROR(TellRestorer(runner, ids));
  KAKEYA_RETURN_IF_ERROR(runner.cache.Stage(static_cast<int64_t>(ids.size())));
  Status status =
      Forward(runner.context, runner.model, ids, &runner.cache, runner.restoration, workspace);
  if (!status.ok()) {
    runner.cache.Rollback();
    return status;
  }
  runner.cache.Commit(static_cast<int64_t>(ids.size()));
  return OkStatus();
}

Result<Workspace> NewWorkspace(const Runner& runner, int64_t rows) {
  return Workspace::Create(runner.model.config, rows, runner.restoration != nullptr,
                           &runner.budget);
}

}  // namespace kakeya
