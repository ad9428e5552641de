#include "model/gguf_config.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>
#include <variant>

#include "base/tensor_view.h"
#include "format/quote.h"
#include "model/config_rules.h"
#include "model/gguf_keys.h"
#include "model/gguf_rope.h"

namespace kakeya {
namespace {

constexpr char kTokens[] = "tokenizer.ggml.tokens";

// Tokens that end a text in the chat formats of the architectures we read; GGUF has a key for three
// of them at most.
constexpr std::array<std::string_view, 5> kEndings = {"<|im_end|>", "<|endoftext|>", "<|eot_id|>",
                                                      "<|eom_id|>", "<|end_of_text|>"};

class ConfigReader {
 public:
  explicit ConfigReader(const GgufFile& file) : file_(file), keys_(file) {}

  Result<ModelConfig> Read() {
    KAKEYA_RETURN_IF_ERROR(ReadArchitecture());
    KAKEYA_RETURN_IF_ERROR(RefuseOtherNetworks());
    KAKEYA_RETURN_IF_ERROR(ReadSizes());
    KAKEYA_RETURN_IF_ERROR(ReadVocabSize());
    KAKEYA_RETURN_IF_ERROR(ReadSpecialTokens());
    KAKEYA_ASSIGN_OR_RETURN(const auto eps,
                            Number(Key("attention.layer_norm_rms_epsilon"), kMinEps, kMaxEps));
    if (!eps) return Missing(Key("attention.layer_norm_rms_epsilon"));
    out_.rms_norm_eps = static_cast<float>(*eps);
    KAKEYA_ASSIGN_OR_RETURN(const auto positions, Integer(Key("context_length"), 1, kMaxPositions));
    if (!positions) return Missing(Key("context_length"));
    out_.max_positions = *positions;
    KAKEYA_RETURN_IF_ERROR(ReadGgufRope(keys_, &out_));
    out_.tie_word_embeddings = file_.Find("output.weight") == nullptr;
    if (const GgufTensor* embedding = file_.Find("token_embd.weight"); embedding != nullptr) {
      out_.torch_dtype = embedding->type->name;
    }
    return std::move(out_);
  }

 private:
  std::string Key(const char* name) const { return keys_.Key(name); }
  Status InFile(const Status& status) const { return keys_.InFile(status); }
  Status Missing(const std::string& key) const { return keys_.Missing(key); }
  Result<std::optional<int64_t>> Integer(const std::string& key, int64_t min, int64_t max) const {
    return keys_.Integer(key, min, max);
  }
  Result<std::optional<double>> Number(const std::string& key, double min, double max) const {
    return keys_.Number(key, min, max);
  }
  Status Size(const std::string& key, int max, int* out) const {
    KAKEYA_ASSIGN_OR_RETURN(const auto value, Integer(key, 1, max));
    if (!value) return Missing(key);
    *out = static_cast<int>(*value);
    return OkStatus();
  }

  Status ReadArchitecture() {
    KAKEYA_ASSIGN_OR_RETURN(const auto name, file_.GetString("general.architecture"));
    if (!name) return Missing("general.architecture");
    for (const Architecture known : {Architecture::kQwen3, Architecture::kLlama}) {
      if (*name == NameOf(known)) {
        out_.architecture = known;
        keys_.set_architecture(known);
        return OkStatus();
      }
    }
    return InFile(Unsupported("general.architecture {} is not supported (supported: qwen3, llama)",
                              Quoted(*name, 40)));
  }

  // Keys that would make the network compute something else than this engine does.
  Status RefuseOtherNetworks() const {
    for (const char* name : {"expert_count", "attention.sliding_window"}) {
      KAKEYA_ASSIGN_OR_RETURN(const auto value, file_.GetUnsigned(Key(name)));
      if (value.value_or(0) != 0) {
        return InFile(Unsupported("{} {} is not supported", Key(name), *value));
      }
    }
    return OkStatus();
  }

  Status ReadSizes() {
    const ConfigKeys keys = GgufKeys(out_.architecture);
    KAKEYA_RETURN_IF_ERROR(Size(keys.hidden_size, kMaxHidden, &out_.hidden_size));
    LayerConfig layer;
    KAKEYA_RETURN_IF_ERROR(
        Size(keys.intermediate_size, kMaxIntermediate, &layer.intermediate_size));
    int num_layers = 0;
    KAKEYA_RETURN_IF_ERROR(Size(Key("block_count"), kMaxLayers, &num_layers));
    KAKEYA_RETURN_IF_ERROR(Size(keys.num_heads, kMaxHeads, &layer.num_heads));
    KAKEYA_ASSIGN_OR_RETURN(const auto kv_heads, Integer(keys.num_kv_heads, 1, kMaxHeads));
    layer.num_kv_heads = static_cast<int>(kv_heads.value_or(layer.num_heads));
    KAKEYA_ASSIGN_OR_RETURN(const auto head_dim, Integer(keys.head_dim, 1, kMaxHidden));
    KAKEYA_RETURN_IF_ERROR(InFile(SettleHeads(keys, head_dim, out_.hidden_size, &layer)));
    for (const char* name : {"attention.value_length", "rope.dimension_count"}) {
      KAKEYA_ASSIGN_OR_RETURN(const auto other, Integer(Key(name), 1, kMaxHidden));
      if (other && *other != layer.head_dim) {
        return InFile(Unsupported("{} {} is not supported where a head has {} dimensions",
                                  Key(name), *other, layer.head_dim));
      }
    }
    layer.qk_norm = out_.architecture == Architecture::kQwen3;
    out_.layers.assign(static_cast<size_t>(num_layers), layer);
    return OkStatus();
  }

  Status ReadVocabSize() {
    const std::string key = GgufKeys(out_.architecture).vocab_size;
    KAKEYA_ASSIGN_OR_RETURN(const auto said, Integer(key, 1, kMaxVocab));
    uint64_t count = said ? static_cast<uint64_t>(*said) : 0;  // 0: nothing says it yet
    if (const GgufValue* tokens = file_.Metadata(kTokens); tokens != nullptr) {
      const auto* array = std::get_if<GgufArray>(tokens);
      if (array == nullptr) return InFile(Corrupt("key '{}' must be an array", kTokens));
      if (said && count != array->count) {
        return InFile(
            Corrupt("key '{}' is {}, but '{}' has {} tokens", key, count, kTokens, array->count));
      }
      count = array->count;
    } else if (const GgufTensor* embedding = file_.Find("token_embd.weight");
               !said && embedding != nullptr) {
      count = static_cast<uint64_t>(embedding->shape[0]);
    } else if (!said) {
      return Missing(key);
    }
    if (count < 1 || count > kMaxVocab) {
      return InFile(Corrupt("the vocabulary has {} tokens, must lie in [1, {}]", count, kMaxVocab));
    }
    out_.vocab_size = static_cast<int>(count);
    return OkStatus();
  }

  Status ReadSpecialTokens() {
    const auto id = [&](const char* key) {
      return Integer(key, 0, std::min(out_.vocab_size - 1, std::numeric_limits<int32_t>::max()));
    };
    KAKEYA_ASSIGN_OR_RETURN(const auto bos, id("tokenizer.ggml.bos_token_id"));
    if (bos) out_.bos_token_id = static_cast<int32_t>(*bos);
    std::vector<int32_t>* ends = &out_.eos_token_ids;
    for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                            "tokenizer.ggml.eom_token_id"}) {
      KAKEYA_ASSIGN_OR_RETURN(const auto end, id(key));
      if (end) ends->push_back(static_cast<int32_t>(*end));
    }
    KAKEYA_ASSIGN_OR_RETURN(const auto tokens, file_.GetStrings(kTokens));
    for (size_t i = 0; tokens && i < tokens->size(); ++i) {
      if (std::find(kEndings.begin(), kEndings.end(), (*tokens)[i]) != kEndings.end()) {
        ends->push_back(static_cast<int32_t>(i));
      }
    }
    std::sort(ends->begin(), ends->end());
    ends->erase(std::unique(ends->begin(), ends->end()), ends->end());
    return OkStatus();
  }

  const GgufFile& file_;
  GgufKeyReader keys_;
  ModelConfig out_;
};

}  // namespace

Result<ModelConfig> ReadGgufConfig(const GgufFile& file) {
  Result<ModelConfig> config = ConfigReader(file).Read();
  KAKEYA_RETURN_IF_ERROR(file.CheckIntact());  // what a changed file says is worth nothing
  return config;
}

}  // namespace kakeya
