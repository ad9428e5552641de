#include "model/feed_forward.h"

namespace kakeya {

void FeedForwardBlock(const OpContext& context, const Model& model, int layer, int rows,
                      Workspace* workspace) {
  const ModelConfig& config = model.config;
  const LayerWeights& weights = model.weights.layers[layer];
  float* hidden = workspace->hidden.as<float>();
  float* normed = workspace->normed.as<float>();
  float* gate = workspace->gate.as<float>();
  float* up = workspace->up.as<float>();
  const int dim = config.hidden_size;
  RmsNorm(context, hidden, weights.mlp_norm.as<float>(), config.rms_norm_eps, rows, dim, normed);
  MatMul(context, normed, rows, weights.gate, gate);
  MatMul(context, normed, rows, weights.up, up);
  SwiGlu(context, gate, up, int64_t{rows} * config.layers[layer].intermediate_size, gate);
  MatMul(context, gate, rows, weights.down, normed);
  AddInPlace(context, hidden, normed, int64_t{rows} * dim);
}

}  // namespace kakeya
