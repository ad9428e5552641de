#include "model/feed_forward.h"

namespace kakeya {

void FeedForwardBlock(const OpContext& context, const ModelConfig& config,
                      const LayerWeights& layer, int rows, Workspace* workspace) {
  float* hidden = workspace->hidden.as<float>();
  float* normed = workspace->normed.as<float>();
  float* gate = workspace->gate.as<float>();
  float* up = workspace->up.as<float>();
  const int dim = config.hidden_size;
  RmsNorm(context, hidden, layer.mlp_norm.as<float>(), config.rms_norm_eps, rows, dim, normed);
  MatMul(context, normed, rows, layer.gate, gate);
  MatMul(context, normed, rows, layer.up, up);
  SwiGlu(context, gate, up, int64_t{rows} * config.intermediate_size, gate);
  MatMul(context, gate, rows, layer.down, normed);
  AddInPlace(context, hidden, normed, int64_t{rows} * dim);
}

}  // namespace kakeya
