#include "eval/perplexity/logits.h"

#include <algorithm>

#include "decode/prefill.h"
#include "format/safetensors.h"
#include "format/write_file.h"
#include "session/timeline_of.h"

namespace kakeya {

Status WriteLogits(Engine* engine, const SessionOptions& options, std::span<const int32_t> ids,
                   const std::function<void(int64_t done, int64_t total)>& progress,
                   const std::string& path) {
  const Model& model = engine->model();
  KAKEYA_ASSIGN_OR_RETURN(Session session, Session::Create(engine, options));
  KAKEYA_RETURN_IF_ERROR(session.Append(ids));  // checks the ids and the context
  const int64_t total = static_cast<int64_t>(ids.size());
  if (total == 0) return InvalidArgument("there are no token ids");
  const int64_t vocabulary = model.config.vocab_size;
  const int64_t block = std::min(options.prefill_block, total);
  KAKEYA_ASSIGN_OR_RETURN(
      Buffer logits,
      session.budget().Allocate(MemoryTag::kScratch, static_cast<size_t>(block * vocabulary) * 4,
                                "logits of a block"));
  const std::pair<std::string, TensorView> tensor{"logits",
                                                  {DType::kF32, {total, vocabulary}, nullptr}};
  const std::string preamble = SafetensorsPreamble({&tensor, 1});
  KAKEYA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  KAKEYA_RETURN_IF_ERROR(file.Write(std::as_bytes(std::span(preamble))));
  const auto write_rows = [&](const float* hidden, int64_t first, int64_t rows) {
    Logits(engine->context(), model, hidden, rows, logits.as<float>());
    if (progress) progress(first + rows, total);
    return file.Write({logits.data(), static_cast<size_t>(rows * vocabulary) * 4});
  };
  KAKEYA_RETURN_IF_ERROR(ReadBlocks(engine->context(), model, ids,
                                    {.block = block, .after_block = write_rows}, &session.budget(),
                                    &TimelineOf(&session)));
  return file.Commit();
}

}  // namespace kakeya
