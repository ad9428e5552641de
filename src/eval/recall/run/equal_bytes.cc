#include "eval/recall/run/equal_bytes.h"

#include <algorithm>

#include "eval/recall/run/trial.h"
#include "session/timeline_of.h"

namespace kakeya {
namespace {

// What the session of `reinsert` holds with so many chunks.
Result<uint64_t> ReinsertedBytes(int64_t chunks, Engine* engine, const SessionOptions& options,
                                 const RecallPrompt& prompt) {
  SessionOptions full = options;
  full.kv.kind = KvPolicy::Kind::kFull;
  full.restore.chunks = chunks;
  const int64_t tokens = TrialTokens(RecallArm::kReinsert, prompt, full);
  KAKEYA_ASSIGN_OR_RETURN(Session session, Session::Create(engine, full));
  KAKEYA_RETURN_IF_ERROR(session.Append(std::vector<int32_t>(static_cast<size_t>(tokens), 0)));
  KvCache& cache = TimelineOf(&session).cache;
  KAKEYA_RETURN_IF_ERROR(cache.Stage(tokens));
  const KvUsage usage = session.kv_usage();
  cache.Rollback();
  return usage.resident_bytes + usage.history_bytes + prompt.context.size() * sizeof(int32_t);
}

}  // namespace

Result<uint64_t> RestoredBytes(Engine* engine, const SessionOptions& options,
                               const RecallPrompt& prompt) {
  SessionOptions restored = options;
  restored.kv.kind = KvPolicy::Kind::kRestored;
  KAKEYA_ASSIGN_OR_RETURN(Session session, Session::Create(engine, restored));
  Restorer& restorer = *TimelineOf(&session).restoration->restorer;
  for (const std::span<const int32_t> ids :
       {std::span(prompt.context), std::span(prompt.turns[0].ids)}) {
    KAKEYA_RETURN_IF_ERROR(session.Append(ids));
    KAKEYA_RETURN_IF_ERROR(restorer.Extend(engine->context(), ids));
  }
  const KvUsage usage = session.kv_usage();
  return usage.resident_bytes + usage.history_bytes;
}

Result<int64_t> ChunksWithin(uint64_t bytes, Engine* engine, const SessionOptions& options,
                             const RecallPrompt& prompt) {
  int64_t fits = 1;
  int64_t too_many = static_cast<int64_t>(prompt.context.size()) / kChunk + 1;
  while (fits + 1 < too_many) {
    const int64_t chunks = fits + (too_many - fits) / 2;
    KAKEYA_ASSIGN_OR_RETURN(const uint64_t held, ReinsertedBytes(chunks, engine, options, prompt));
    (held <= bytes ? fits : too_many) = chunks;
  }
  return fits;
}

}  // namespace kakeya
