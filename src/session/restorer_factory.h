// Who restores what a session evicted: every kind of restorer, made here and nowhere else. A
// factory makes one restorer per session; it and what it makes are outlived by the engine.
//
// Thread safety: a factory may be called from several threads.
#ifndef KAKEYA_SESSION_RESTORER_FACTORY_H_
#define KAKEYA_SESSION_RESTORER_FACTORY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "backend/kv_page.h"
#include "base/memory_budget.h"
#include "base/status.h"
#include "cache/restorer.h"
#include "proposer/restorer_config.h"

namespace kakeya {

class Engine;  // session/engine.h

// Makes the restorer of one session, whose memory comes from `budget`. Errors: ResourceExhausted,
// and what is said of a factory below.
using RestorerFactory =
    std::function<Result<std::unique_ptr<Restorer>>(const Engine& engine, MemoryBudget* budget)>;

// The engine's own, trained. Errors: NotFound when the engine has none.
RestorerFactory LearnedRestorers();

// The model itself recomputes its past. `kv_type`: of the sessions; none: the model's own.
RestorerFactory IdentityRestorers(std::optional<KvType> kv_type);

// The engine's own selects, the model itself recomputes each chunk with the one before. Errors:
// NotFound when the engine has none.
RestorerFactory SelfRestorers(std::optional<KvType> kv_type);

// Parameters of a shape, drawn at random: it has learned nothing. Errors: ResourceExhausted.
Result<RestorerFactory> RandomRestorers(Engine* engine, const RestorerConfig& config,
                                        uint64_t seed);

}  // namespace kakeya

#endif  // KAKEYA_SESSION_RESTORER_FACTORY_H_
