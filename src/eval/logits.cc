#include "eval/logits.h"

#include <algorithm>

#include "format/safetensors.h"

namespace kakeya {

Status WriteLogits(Engine* engine, const SessionOptions& options, std::span<const int32_t> ids,
                   const std::function<void(int64_t done, int64_t total)>& progress,
                   const std::string& path) {
  const Model& model = engine->model();
  KAKEYA_ASSIGN_OR_RETURN(Session session, Session::Create(engine, options));
  KAKEYA_RETURN_IF_ERROR(session.Append(ids));  // checks the ids
  const int64_t total = static_cast<int64_t>(ids.size());
  if (total == 0) return InvalidArgument("there are no token ids");
  KAKEYA_RETURN_IF_ERROR(session.CheckContext(total, /*generates=*/false));
  MemoryBudget& budget = session.budget();
  const int64_t vocabulary = model.config.vocab_size;
  KAKEYA_ASSIGN_OR_RETURN(
      Buffer logits,
      budget.Allocate(MemoryTag::kScratch, static_cast<size_t>(total * vocabulary) * 4, "logits"));
  const int64_t block = std::min(options.prefill_block, total);
  KAKEYA_ASSIGN_OR_RETURN(Workspace workspace, Workspace::Create(model.config, block, &budget));
  KvCache& cache = session.cache();
  for (int64_t done = 0; done < total;) {
    const int64_t rows = std::min(block, total - done);
    KAKEYA_RETURN_IF_ERROR(cache.Stage(rows));
    Forward(engine->context(), model, ids.subspan(done, rows), &cache, &workspace);
    cache.Commit(rows);
    Logits(engine->context(), model, workspace, 0, rows, logits.as<float>() + done * vocabulary);
    done += rows;
    if (progress) progress(done, total);
  }
  const TensorView view{DType::kF32, {total, vocabulary}, logits.data()};
  const std::pair<std::string, TensorView> tensor{"logits", view};
  return WriteSafetensors(path, {&tensor, 1});
}

}  // namespace kakeya
