#include "model/parameter_names.h"

#include <fmt/format.h>

#include <cassert>
#include <string_view>

namespace kakeya {
namespace {

struct Names {
  Parameter parameter;
  std::string_view hugging_face;  // behind "model.layers.N." for those of layers
  std::string_view gguf;          // behind "blk.N."
};

constexpr Names kNames[] = {
    {Parameter::kEmbedding, "model.embed_tokens", "token_embd"},
    {Parameter::kHead, "lm_head", "output"},
    {Parameter::kFinalNorm, "model.norm", "output_norm"},
    {Parameter::kAttnNorm, "input_layernorm", "attn_norm"},
    {Parameter::kQ, "self_attn.q_proj", "attn_q"},
    {Parameter::kK, "self_attn.k_proj", "attn_k"},
    {Parameter::kV, "self_attn.v_proj", "attn_v"},
    {Parameter::kO, "self_attn.o_proj", "attn_output"},
    {Parameter::kQNorm, "self_attn.q_norm", "attn_q_norm"},
    {Parameter::kKNorm, "self_attn.k_norm", "attn_k_norm"},
    {Parameter::kMlpNorm, "post_attention_layernorm", "ffn_norm"},
    {Parameter::kGate, "mlp.gate_proj", "ffn_gate"},
    {Parameter::kUp, "mlp.up_proj", "ffn_up"},
    {Parameter::kDown, "mlp.down_proj", "ffn_down"},
};

}  // namespace

std::string TensorName(bool gguf, Parameter parameter, int layer) {
  const Names& names = kNames[static_cast<size_t>(parameter)];
  assert(names.parameter == parameter);
  const std::string_view name = gguf ? names.gguf : names.hugging_face;
  if (parameter < Parameter::kAttnNorm) return fmt::format("{}.weight", name);
  return fmt::format("{}.{}.{}.weight", gguf ? "blk" : "model.layers", layer, name);
}

}  // namespace kakeya
