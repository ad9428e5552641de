// The rotary scaling that a GGUF file asks for.
#ifndef KAKEYA_MODEL_GGUF_ROPE_H_
#define KAKEYA_MODEL_GGUF_ROPE_H_

#include "base/status.h"
#include "model/config.h"
#include "model/gguf_keys.h"

namespace kakeya {

// Tensors of half a head: Llama 3.1's factors, LongRoPE's beyond the original context and within.
inline constexpr char kGgufRopeFactors[] = "rope_freqs.weight";
inline constexpr char kGgufRopeLong[] = "rope_factors_long.weight";
inline constexpr char kGgufRopeShort[] = "rope_factors_short.weight";

// Reads ARCH.rope.* and the tensors above, as llama.cpp understands them: the types none, linear,
// yarn (cos and sin are multiplied by attn_factor * (0.1 * ln(factor) + 1)) and longrope (by
// attn_factor). REQUIRES: out's architecture, head_dim and max_positions are set; max_positions
// grows to YarnPositions (model/rope_config.h). Errors, naming file and key or tensor: Unsupported,
// Corrupt.
Status ReadGgufRope(const GgufKeyReader& keys, ModelConfig* out);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_GGUF_ROPE_H_
