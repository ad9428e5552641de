// What a checkpoint holds beyond the network that its config describes. Leaving a tensor out
// without a word may give other logits than the model's, so each is told apart by its name:
//   * part of a layer, or of the network's own trunk or head: refused;
//   * known to be without effect: said by `kakeya inspect --check` alone;
//   * anything else (a classifier's head, a vision tower): not used, one warning.
// docs/gguf.md lists the names, docs/adr/0012-unknown-tensors-are-refused.md says why.
#ifndef KAKEYA_MODEL_TENSOR_CHECK_H_
#define KAKEYA_MODEL_TENSOR_CHECK_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "model/config.h"

namespace kakeya {

struct UnknownTensor {
  enum class Kind { kRefused, kUnused, kHarmless };
  Kind kind = Kind::kRefused;
  const Checkpoint::Tensor* tensor = nullptr;
  std::string reason;  // one clause
};

// In the checkpoint's order; those that shards hold and their index doesn't name come last. Looks
// at names only.
std::vector<UnknownTensor> FindUnknownTensors(const Checkpoint& checkpoint,
                                              const ModelConfig& config);

// Which rows of a tied model's second head are compared.
enum class HeadRows { kSome, kAll };

// Errors, naming file and tensor: Unsupported for the first tensor that is refused, with the number
// of others; Corrupt for a tied model whose lm_head.weight isn't its embedding.
Status CheckTensors(const Checkpoint& checkpoint, const ModelConfig& config,
                    HeadRows rows = HeadRows::kSome);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_TENSOR_CHECK_H_
