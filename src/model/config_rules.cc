#include "model/config_rules.h"

#include "backend/ops.h"

namespace kakeya {
namespace {

constexpr int kHeadDimMultiple = 8;

}  // namespace

ConfigKeys HuggingFaceKeys() {
  return {.file = "config.json",
          .vocab_size = "vocab_size",
          .hidden_size = "hidden_size",
          .intermediate_size = "intermediate_size",
          .num_heads = "num_attention_heads",
          .num_kv_heads = "num_key_value_heads",
          .head_dim = "head_dim"};
}

ConfigKeys GgufKeys(Architecture architecture) {
  const std::string prefix = std::string(NameOf(architecture)) + ".";
  return {.file = "the metadata",
          .vocab_size = prefix + "vocab_size",
          .hidden_size = prefix + "embedding_length",
          .intermediate_size = prefix + "feed_forward_length",
          .num_heads = prefix + "attention.head_count",
          .num_kv_heads = prefix + "attention.head_count_kv",
          .head_dim = prefix + "attention.key_length"};
}

Status SettleHeads(const ConfigKeys& keys, std::optional<int64_t> head_dim, int hidden_size,
                   LayerConfig* layer) {
  if (layer->num_heads % layer->num_kv_heads != 0) {
    return Corrupt("{} {} is not a multiple of {} {}", keys.num_heads, layer->num_heads,
                   keys.num_kv_heads, layer->num_kv_heads);
  }
  if (layer->group_size() > kMaxGroup) {
    return Unsupported("{} {} is {} times {} {}, at most {} times is supported", keys.num_heads,
                       layer->num_heads, layer->group_size(), keys.num_kv_heads,
                       layer->num_kv_heads, kMaxGroup);
  }
  if (head_dim) {
    layer->head_dim = static_cast<int>(*head_dim);
  } else if (hidden_size % layer->num_heads != 0) {
    return Corrupt("{} {} is not a multiple of {} {}, and {} is missing", keys.hidden_size,
                   hidden_size, keys.num_heads, layer->num_heads, keys.head_dim);
  } else {
    layer->head_dim = hidden_size / layer->num_heads;
  }
  if (layer->head_dim > kMaxHeadDim || layer->head_dim % kHeadDimMultiple != 0) {
    return Unsupported("{} {} is not supported (supported: multiples of {} up to {})",
                       keys.head_dim, layer->head_dim, kHeadDimMultiple, kMaxHeadDim);
  }
  return OkStatus();
}

Status CheckYarn(const RopeConfig& rope, std::string_view theta, std::string_view beta_fast,
                 std::string_view beta_slow) {
  if (rope.theta <= 1) return Corrupt("{} {} must be above 1 with yarn", theta, rope.theta);
  if (rope.beta_fast < rope.beta_slow) {
    return Corrupt("{} {} must be at least {} {}", beta_fast, rope.beta_fast, beta_slow,
                   rope.beta_slow);
  }
  return OkStatus();
}

}  // namespace kakeya
