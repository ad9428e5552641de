// f_theta: the verifier's keys and values from a token's code and its own embedding, affine in
// both, with maps of its own for every layer and KV head. Computed in whole numbers of 16 bits
// (RestoreKv in backend/restore/restore_ops.h).
#ifndef KAKEYA_PROPOSER_F_THETA_H_
#define KAKEYA_PROPOSER_F_THETA_H_

#include "backend/ops.h"
#include "model/forward.h"
#include "proposer/history.h"
#include "proposer/restorer_model.h"

namespace kakeya {

// Keys k (kChunk, head_dim), after the verifier's k_norm if it has one and before the rotation, and
// values v (kChunk, head_dim) of a chunk. Any number of threads may do this at once, each with a
// context of its own.
void RestoreChunk(const OpContext& context, const Model& verifier, const RestorerModel& model,
                  const ChunkRecord& record, int layer, int kv_head, float* k, float* v);

}  // namespace kakeya

#endif  // KAKEYA_PROPOSER_F_THETA_H_
