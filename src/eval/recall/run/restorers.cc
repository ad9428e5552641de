#include "eval/recall/run/restorers.h"

#include <limits>

#include "proposer/restorer_model.h"
#include "session/restorer_factory.h"

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
  restorers.trained = LearnedRestorers();
  KAKEYA_ASSIGN_OR_RETURN(restorers.untrained, RandomRestorers(engine, trained->config, seed));
  restorers.self = SelfRestorers(options.kv_type);
  return restorers;
}

}  // namespace kakeya
