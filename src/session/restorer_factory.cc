#include "session/restorer_factory.h"

#include <utility>

#include "proposer/identity_restorer.h"
#include "proposer/learned_restorer.h"
#include "proposer/restorer_model.h"
#include "proposer/self_restorer.h"
#include "session/engine.h"

namespace kakeya {
namespace {

KvType TypeOf(const Engine& engine, std::optional<KvType> kv_type) {
  return kv_type.value_or(KvTypeFor(engine.model().weights.dtype));
}

Status CheckTrained(const Engine& engine) {
  if (engine.restorer() != nullptr) return OkStatus();
  return NotFound("the model has no restorer: --kv restored needs one (--restorer DIR)");
}

Result<std::unique_ptr<Restorer>> NewLearned(const Engine& engine, const RestorerModel* model,
                                             MemoryBudget* budget) {
  KAKEYA_ASSIGN_OR_RETURN(std::unique_ptr<LearnedRestorer> restorer,
                          LearnedRestorer::Create(&engine.model(), model, budget));
  return std::unique_ptr<Restorer>(std::move(restorer));
}

}  // namespace

RestorerFactory LearnedRestorers() {
  return [](const Engine& engine, MemoryBudget* budget) -> Result<std::unique_ptr<Restorer>> {
    KAKEYA_RETURN_IF_ERROR(CheckTrained(engine));
    return NewLearned(engine, engine.restorer(), budget);
  };
}

RestorerFactory IdentityRestorers(std::optional<KvType> kv_type) {
  return [kv_type](const Engine& engine, MemoryBudget* budget) {
    return IdentityRestorer::Create(&engine.model(), TypeOf(engine, kv_type), budget);
  };
}

RestorerFactory SelfRestorers(std::optional<KvType> kv_type) {
  return
      [kv_type](const Engine& engine, MemoryBudget* budget) -> Result<std::unique_ptr<Restorer>> {
        KAKEYA_RETURN_IF_ERROR(CheckTrained(engine));
        return SelfRestorer::Create(&engine.model(), engine.restorer(), TypeOf(engine, kv_type),
                                    budget);
      };
}

Result<RestorerFactory> RandomRestorers(Engine* engine, const RestorerConfig& config,
                                        uint64_t seed) {
  KAKEYA_ASSIGN_OR_RETURN(RestorerModel random,
                          RestorerModel::Random(config, engine->model(), seed, &engine->budget()));
  return RestorerFactory([model = std::make_shared<const RestorerModel>(std::move(random))](
                             const Engine& owner, MemoryBudget* budget) {
    return NewLearned(owner, model.get(), budget);
  });
}

}  // namespace kakeya
