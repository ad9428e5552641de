#include "proposer/f_theta.h"

#include <algorithm>
#include <array>

#include "proposer/f_theta_dot.h"

namespace kakeya {
namespace {

// x (kChunk, pairs, 2) = each token's code.
void GatherCodes(const ChunkRecord& record, int dim, int pairs, int16_t* x) {
  for (int t = 0; t < kChunk; ++t) {
    std::copy_n(record.codes + t * dim, dim, x + t * pairs * 2);
    if (dim % 2 != 0) x[t * pairs * 2 + dim] = 0;
  }
}

// x (kChunk, pairs, 2) = each token's own features, and their scales.
void GatherFeatures(const RestorerModel& model, const ChunkRecord& record, int pairs, int16_t* x,
                    float* scales) {
  const int dim = model.config.token_dim;
  for (int t = 0; t < kChunk && dim > 0; ++t) {
    const int64_t id = record.ids[t];
    std::copy_n(model.token_features.as<int16_t>() + id * dim, dim, x + t * pairs * 2);
    if (dim % 2 != 0) x[t * pairs * 2 + dim] = 0;
    scales[t] = model.token_scales.as<float>()[id];
  }
}

}  // namespace

void RestoreChunk(const Model& verifier, const RestorerModel& model, const ChunkRecord& record,
                  int layer, int kv_head, float* k, float* v) {
  const RestoreMap& map = model.restore_at(layer, kv_head);
  alignas(64) int16_t codes[kChunk * kMaxRestoreInputs];
  alignas(64) int16_t features[kChunk * kMaxRestoreInputs];
  alignas(64) float feature_scales[kChunk];
  GatherCodes(record, map.halves[0].inputs, map.halves[0].pairs(), codes);
  GatherFeatures(model, record, map.halves[1].pairs(), features, feature_scales);
  const std::array<RestoreInputs, 2> inputs = {{{.values = codes, .scales = record.code_scales},
                                                {.values = features, .scales = feature_scales}}};
  RestoreProducts(map, inputs, k, v);
  if (!verifier.config.layers[layer].qk_norm) return;
  RmsNorm({}, k, verifier.weights.layers[layer].k_norm.as<float>(), verifier.config.rms_norm_eps,
          kChunk, map.head_dim, k);
}

}  // namespace kakeya
