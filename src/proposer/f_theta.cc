#include "proposer/f_theta.h"

#include <algorithm>

namespace kakeya {
namespace {

// inputs (kChunk, code_dim + token_dim) = each token's code, then its own features.
void GatherInputs(const RestorerModel& model, const ChunkRecord& record, float* inputs) {
  const int code_dim = model.config.code_dim;
  const int token_dim = model.config.token_dim;
  const float* const features = model.token_features.as<float>();
  for (int t = 0; t < kChunk; ++t) {
    float* const row = inputs + t * (code_dim + token_dim);
    const int8_t* const code = record.codes + t * code_dim;
    const float scale = record.code_scales[t];
    for (int i = 0; i < code_dim; ++i) row[i] = static_cast<float>(code[i]) * scale;
    std::copy_n(features + int64_t{record.ids[t]} * token_dim, token_dim, row + code_dim);
  }
}

}  // namespace

void RestoreChunk(const Model& verifier, const RestorerModel& model, const ChunkRecord& record,
                  int layer, int kv_head, float* k, float* v) {
  const RestoreMap& map = model.restore_at(layer, kv_head);
  const int head_dim = model.config.verifier.head_dim;
  alignas(64) float inputs[kChunk * kMaxRestoreInputs];
  alignas(64) float outputs[kChunk * 2 * kMaxHeadDim];  // (kChunk, 2 * head_dim)
  GatherInputs(model, record, inputs);
  MatMul({}, inputs, kChunk, map.kv, outputs);
  const float* const bias = map.bias.as<float>();
  for (int t = 0; t < kChunk; ++t) {
    const float* const row = outputs + t * 2 * head_dim;
    for (int i = 0; i < head_dim; ++i) k[t * head_dim + i] = row[i] + bias[i];
    for (int i = 0; i < head_dim; ++i) {
      v[t * head_dim + i] = row[head_dim + i] + bias[head_dim + i];
    }
  }
  if (!verifier.config.qk_norm) return;
  RmsNorm({}, k, verifier.weights.layers[layer].k_norm.as<float>(), verifier.config.rms_norm_eps,
          kChunk, head_dim, k);
}

}  // namespace kakeya
