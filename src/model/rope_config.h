// The rotary scaling that a config.json asks for.
#ifndef KAKEYA_MODEL_ROPE_CONFIG_H_
#define KAKEYA_MODEL_ROPE_CONFIG_H_

#include "base/status.h"
#include "format/json.h"
#include "model/config.h"

namespace kakeya {

// What YaRN multiplies cos and sin by where nothing else is said: 0.1 * mscale * ln(factor) + 1.
double YarnMagnitude(double factor, double mscale = 1);

// The longest text of a YaRN model: its factor times its original context, or max_positions where
// that is more (files often keep the original's max_position_embeddings).
int64_t YarnPositions(const RopeConfig& rope, int64_t max_positions);

// Reads theta and the scaling: transformers 4 keeps theta outside and the rest in rope_scaling (its
// type under "rope_type", older files "type"); transformers 5 keeps all in rope_parameters. The
// types default, linear, llama3, yarn, longrope and dynamic, with the defaults and the order of
// precedence of transformers' modeling_rope_utils. REQUIRES: out's head_dim and max_positions are
// set; max_positions grows to YarnPositions. Errors: Unsupported for another type, Corrupt for
// numbers that can't be, with the key.
Status ReadRope(const Json& config, ModelConfig* out);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_ROPE_CONFIG_H_
