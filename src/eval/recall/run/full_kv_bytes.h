// What the prompts of a recall matrix take with every key and value kept.
#ifndef KAKEYA_EVAL_RECALL_RUN_FULL_KV_BYTES_H_
#define KAKEYA_EVAL_RECALL_RUN_FULL_KV_BYTES_H_

#include <cstdint>
#include <map>
#include <span>

#include "eval/recall/run/run.h"

namespace kakeya {

// By length: the oracle's own figure, or that of a cache which is allocated to be measured.
std::map<int64_t, FullKvBytes> MeasureFullKv(Engine* engine, const RecallOptions& options,
                                             std::span<const RecallRecord> records);

}  // namespace kakeya

#endif  // KAKEYA_EVAL_RECALL_RUN_FULL_KV_BYTES_H_
