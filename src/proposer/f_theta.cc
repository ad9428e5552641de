#include "proposer/f_theta.h"

#include "backend/restore/restore_ops.h"

namespace kakeya {

void RestoreChunk(const OpContext& context, const Model& verifier, const RestorerModel& model,
                  const ChunkRecord& record, int layer, int kv_head, float* k, float* v) {
  const RestoreMap& map = model.restore_at(layer, kv_head);
  const CodedChunk chunk{
      .ids = record.ids, .codes = record.codes, .code_scales = record.code_scales};
  RestoreKv(context, map, chunk, model.tokens(), k, v);
  if (!verifier.config.layers[layer].qk_norm) return;
  RmsNorm(context, k, verifier.weights.layers[layer].k_norm.as<float>(),
          verifier.config.rms_norm_eps, kChunk, map.head_dim, k);
}

}  // namespace kakeya
