#include "model/config.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "format/checkpoint.h"
#include "format/quote.h"
#include "model/config_rules.h"
#include "model/gguf_config.h"
#include "model/rope_config.h"

namespace kakeya {
namespace {

// A member of a small config object, shortened for a message.
std::string Shown(const Json& value) { return Printable(value.dump(), 60); }

// Reads one key into an int field; a missing key keeps the field when `optional`.
Status ReadSize(const Json& config, const char* key, int max, bool optional, int* out) {
  KAKEYA_ASSIGN_OR_RETURN(const auto value, FindInt(config, key, 1, max));
  if (!value && !optional) return Corrupt("key '{}' is missing", key);
  if (value) *out = static_cast<int>(*value);
  return OkStatus();
}

Result<Architecture> ReadArchitecture(const Json& config) {
  KAKEYA_ASSIGN_OR_RETURN(const std::string type, GetString(config, "model_type"));
  Architecture architecture;
  if (type == "qwen3") {
    architecture = Architecture::kQwen3;
  } else if (type == "llama") {
    architecture = Architecture::kLlama;
  } else {
    return Unsupported("model_type {} is not supported (supported: qwen3, llama)",
                       Quoted(type, 40));
  }
  KAKEYA_ASSIGN_OR_RETURN(const Json* classes, FindArray(config, "architectures"));
  if (classes == nullptr || classes->empty()) return architecture;
  const char* wanted =
      architecture == Architecture::kQwen3 ? "Qwen3ForCausalLM" : "LlamaForCausalLM";
  for (const Json& name : *classes) {
    if (name == wanted) return architecture;
  }
  return Unsupported(
      "architectures {} is not supported (supported: Qwen3ForCausalLM, "
      "LlamaForCausalLM)",
      Shown(*classes));
}

// Keys that would make the network compute something else than this engine does.
Status RefuseOtherNetworks(const Json& config) {
  for (const char* key : {"use_sliding_window", "attention_bias", "mlp_bias"}) {
    KAKEYA_ASSIGN_OR_RETURN(const auto on, FindBool(config, key));
    if (on.value_or(false)) return Unsupported("{} true is not supported", key);
  }
  KAKEYA_ASSIGN_OR_RETURN(const Json* layer_types, FindArray(config, "layer_types"));
  if (layer_types != nullptr) {
    for (size_t i = 0; i < layer_types->size(); ++i) {
      const Json& type = (*layer_types)[i];
      if (type != "full_attention") {
        return Unsupported("layer_types[{}] {} is not supported (supported: full_attention)", i,
                           Shown(type));
      }
    }
  }
  KAKEYA_ASSIGN_OR_RETURN(const Json* quantization, FindObject(config, "quantization_config"));
  if (quantization != nullptr) {
    const Json method = quantization->value("quant_method", Json("unnamed"));
    return Unsupported("quantization_config with method {} is not supported", Shown(method));
  }
  KAKEYA_ASSIGN_OR_RETURN(const auto activation, FindString(config, "hidden_act"));
  if (activation.value_or("silu") != "silu") {
    return Unsupported("hidden_act {} is not supported (supported: silu)", Quoted(*activation, 40));
  }
  return OkStatus();
}

Status ReadSizes(const Json& config, ModelConfig* out) {
  KAKEYA_RETURN_IF_ERROR(ReadSize(config, "vocab_size", kMaxVocab, false, &out->vocab_size));
  KAKEYA_RETURN_IF_ERROR(ReadSize(config, "hidden_size", kMaxHidden, false, &out->hidden_size));
  LayerConfig layer;
  KAKEYA_RETURN_IF_ERROR(
      ReadSize(config, "intermediate_size", kMaxIntermediate, false, &layer.intermediate_size));
  int num_layers = 0;
  KAKEYA_RETURN_IF_ERROR(ReadSize(config, "num_hidden_layers", kMaxLayers, false, &num_layers));
  KAKEYA_RETURN_IF_ERROR(
      ReadSize(config, "num_attention_heads", kMaxHeads, false, &layer.num_heads));
  layer.num_kv_heads = layer.num_heads;
  KAKEYA_RETURN_IF_ERROR(
      ReadSize(config, "num_key_value_heads", kMaxHeads, true, &layer.num_kv_heads));
  KAKEYA_ASSIGN_OR_RETURN(auto head_dim, FindInt(config, "head_dim", 1, kMaxHidden));
  if (!head_dim && out->architecture == Architecture::kQwen3) head_dim = 128;
  KAKEYA_RETURN_IF_ERROR(SettleHeads(HuggingFaceKeys(), head_dim, out->hidden_size, &layer));
  layer.qk_norm = out->architecture == Architecture::kQwen3;
  out->layers.assign(static_cast<size_t>(num_layers), layer);
  return OkStatus();
}

// A token id, or a list of them; absent keys and nulls give an empty list.
Result<std::vector<int32_t>> ReadTokenIds(const Json& config, const char* key, int vocab_size) {
  std::vector<int32_t> ids;
  const auto it = config.find(key);
  if (it == config.end() || it->is_null()) return ids;
  const Json list = it->is_array() ? *it : Json::array({*it});
  for (const Json& id : list) {
    const Json member = {{key, id}};
    KAKEYA_ASSIGN_OR_RETURN(const int64_t value, GetInt(member, key, 0, vocab_size - 1));
    ids.push_back(static_cast<int32_t>(value));
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

Status ReadSpecialTokens(const Json& config, ModelConfig* out) {
  KAKEYA_ASSIGN_OR_RETURN(const auto bos, FindInt(config, "bos_token_id", 0, out->vocab_size - 1));
  if (bos) out->bos_token_id = static_cast<int32_t>(*bos);
  KAKEYA_ASSIGN_OR_RETURN(out->eos_token_ids,
                          ReadTokenIds(config, "eos_token_id", out->vocab_size));
  // What LlamaConfig means when it says nothing (a null is not nothing).
  if (out->architecture == Architecture::kLlama && out->vocab_size > 2) {
    if (!config.contains("bos_token_id")) out->bos_token_id = 1;
    if (!config.contains("eos_token_id")) out->eos_token_ids = {2};
  }
  return OkStatus();
}

}  // namespace

const char* NameOf(Architecture architecture) {
  return architecture == Architecture::kQwen3 ? "qwen3" : "llama";
}

Result<ModelConfig> ParseModelConfig(const Json& config) {
  ModelConfig out;
  KAKEYA_ASSIGN_OR_RETURN(out.architecture, ReadArchitecture(config));
  const bool is_qwen3 = out.architecture == Architecture::kQwen3;
  KAKEYA_RETURN_IF_ERROR(RefuseOtherNetworks(config));
  KAKEYA_RETURN_IF_ERROR(ReadSizes(config, &out));
  KAKEYA_ASSIGN_OR_RETURN(const auto eps, FindDouble(config, "rms_norm_eps", kMinEps, kMaxEps));
  if (eps) out.rms_norm_eps = static_cast<float>(*eps);
  KAKEYA_ASSIGN_OR_RETURN(const auto positions,
                          FindInt(config, "max_position_embeddings", 1, kMaxPositions));
  out.max_positions = positions.value_or(is_qwen3 ? 32768 : 2048);
  KAKEYA_RETURN_IF_ERROR(ReadRope(config, &out));
  KAKEYA_ASSIGN_OR_RETURN(const auto tied, FindBool(config, "tie_word_embeddings"));
  out.tie_word_embeddings = tied.value_or(false);
  KAKEYA_RETURN_IF_ERROR(ReadSpecialTokens(config, &out));
  KAKEYA_ASSIGN_OR_RETURN(const auto old_dtype, FindString(config, "torch_dtype"));
  KAKEYA_ASSIGN_OR_RETURN(const auto dtype, FindString(config, "dtype"));
  out.torch_dtype = Printable(dtype.value_or(old_dtype.value_or("")), 40);
  return out;
}

namespace {

Result<ModelConfig> LoadFolderConfig(const std::string& dir) {
  constexpr JsonLimits kLimits{.max_bytes = size_t{4} << 20, .python_numbers = true};
  const std::string path = dir + "/config.json";
  KAKEYA_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path, kLimits));
  Result<ModelConfig> config = ParseModelConfig(json);
  if (!config.ok()) return config.status().WithContext(path);

  const std::string generation_path = dir + "/generation_config.json";
  struct stat info;
  if (::stat(generation_path.c_str(), &info) != 0) return config;
  KAKEYA_ASSIGN_OR_RETURN(const Json generation, ReadJsonFile(generation_path, kLimits));
  if (!generation.is_object()) return Corrupt("{}: not an object", generation_path);
  auto ids = ReadTokenIds(generation, "eos_token_id", config->vocab_size);
  if (!ids.ok()) return ids.status().WithContext(generation_path);
  if (!ids->empty()) config->eos_token_ids = *std::move(ids);
  return config;
}

}  // namespace

Result<ModelConfig> LoadModelConfig(const std::string& model) {
  if (!IsGgufPath(model)) return LoadFolderConfig(model);
  KAKEYA_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::Open(model));
  return ReadGgufConfig(file);
}

}  // namespace kakeya
