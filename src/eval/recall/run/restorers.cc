#include "eval/recall/run/restorers.h"

#include <limits>

#include "proposer/learned_restorer.h"
#include "proposer/restorer_model.h"
#include "proposer/self_restorer.h"

namespace kakeya {

Result<RecallRestorers> RestorersOf(Engine* engine, const SessionOptions& options, uint64_t seed) {
  RecallRestorers restorers;
  if (options.restore.restorer) {
    restorers.trained = options.restore.restorer;
    restorers.proposer_layers = std::numeric_limits<int>::max();
    return restorers;
  }
  const RestorerModel* const trained = engine->restorer();
  if (trained == nullptr) return restorers;
  restorers.proposer_layers = trained->config.proposer.layers;
  restorers.trained = [](const Engine& owner, MemoryBudget* budget) {
    return owner.NewRestorer(budget);
  };
  KAKEYA_ASSIGN_OR_RETURN(
      RestorerModel random,
      RestorerModel::Random(trained->config, engine->model(), seed, &engine->budget()));
  restorers.untrained = [model = std::make_shared<const RestorerModel>(std::move(random))](
                            const Engine& owner,
                            MemoryBudget* budget) -> Result<std::unique_ptr<Restorer>> {
    KAKEYA_ASSIGN_OR_RETURN(auto restorer,
                            LearnedRestorer::Create(&owner.model(), model.get(), budget));
    return std::unique_ptr<Restorer>(std::move(restorer));
  };
  const KvType type = options.kv_type.value_or(KvTypeFor(engine->model().weights.dtype));
  restorers.self = [trained, type](const Engine& owner, MemoryBudget* budget) {
    return SelfRestorer::Create(&owner.model(), trained, type, budget);
  };
  return restorers;
}

}  // namespace kakeya
