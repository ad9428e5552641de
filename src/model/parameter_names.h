// What the files of each format call a network's parameters.
#ifndef KAKEYA_MODEL_PARAMETER_NAMES_H_
#define KAKEYA_MODEL_PARAMETER_NAMES_H_

#include <string>

namespace kakeya {

enum class Parameter {
  kEmbedding,
  kHead,
  kFinalNorm,
  // One per layer:
  kAttnNorm,
  kQ,
  kK,
  kV,
  kO,
  kQNorm,
  kKNorm,
  kMlpNorm,
  kGate,
  kUp,
  kDown,
};

// The tensor's name in a checkpoint of transformers ("model.layers.3.mlp.up_proj.weight"), or in a
// GGUF file ("blk.3.ffn_up.weight"). `layer` counts for parameters of layers only.
std::string TensorName(bool gguf, Parameter parameter, int layer);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_PARAMETER_NAMES_H_
