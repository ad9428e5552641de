// The position-wise half of a layer.
#ifndef KAKEYA_MODEL_FEED_FORWARD_H_
#define KAKEYA_MODEL_FEED_FORWARD_H_

#include "backend/ops.h"
#include "model/forward.h"

namespace kakeya {

// workspace->hidden (rows, hidden_size) += down(silu(gate(x)) * up(x)), x = norm(hidden).
void FeedForwardBlock(const OpContext& context, const Model& model, int layer, int rows,
                      Workspace* workspace);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_FEED_FORWARD_H_
