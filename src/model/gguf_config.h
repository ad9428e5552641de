// The metadata of a GGUF file as a ModelConfig.
#ifndef KAKEYA_MODEL_GGUF_CONFIG_H_
#define KAKEYA_MODEL_GGUF_CONFIG_H_

#include "base/status.h"
#include "format/gguf.h"
#include "model/config.h"

namespace kakeya {

// Reads general.architecture (qwen3, llama) and that architecture's keys, as ggml's docs/gguf.md
// lists them. What a GGUF file doesn't say in its keys is taken from its tensors: the head is tied
// where output.weight is missing, the vocabulary has as many entries as token_embd.weight has rows
// where no key and no token list says otherwise, and rope_freqs.weight holds the factors of Llama
// 3.1's rotary scaling. A text ends with any of the eos, eot and eom tokens, and with the tokens
// that llama.cpp knows for such by their spelling ("<|im_end|>", ...).
// Errors, one line naming file, key and value, both values where two disagree: Unsupported for a
// network that this engine doesn't compute, Corrupt for what contradicts itself or common sense.
Result<ModelConfig> ReadGgufConfig(const GgufFile& file);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_GGUF_CONFIG_H_
