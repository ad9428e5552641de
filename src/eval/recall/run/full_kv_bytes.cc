#include "eval/recall/run/full_kv_bytes.h"

#include <algorithm>

namespace kakeya {
namespace {

FullKvBytes Allocated(Engine* engine, const SessionOptions& options, int64_t length) {
  const Model& model = engine->model();
  const KvType type = options.kv_type.value_or(KvTypeFor(model.weights.dtype));
  // Half of what is left: a figure for a plot must not drive the machine into swapping.
  MemoryBudget budget(engine->budget().available() / 2, &engine->budget());
  Result<KvCache> cache = KvCache::Create(KvLayersOf(model.config, KvPolicy{}), type, &budget);
  if (!cache.ok()) return {0, "not allocated: " + cache.status().message()};
  const Status staged = cache->Stage(length);
  if (!staged.ok()) return {0, "not allocated: " + staged.message()};
  FullKvBytes full{cache->resident_bytes(), "allocated"};
  cache->Rollback();
  return full;
}

}  // namespace

std::map<int64_t, FullKvBytes> MeasureFullKv(Engine* engine, const RecallOptions& options,
                                             std::span<const RecallRecord> records) {
  std::map<int64_t, FullKvBytes> by_length;
  for (const RecallRecord& record : records) {
    if (record.key.arm != RecallArm::kOracle) continue;
    FullKvBytes& full = by_length[record.key.length];
    full = {std::max(full.bytes, record.resident_bytes), "oracle"};
  }
  for (const int64_t length : options.lengths) {
    if (by_length.count(length) == 0) {
      by_length[length] = Allocated(engine, options.session, length);
    }
  }
  return by_length;
}

}  // namespace kakeya
