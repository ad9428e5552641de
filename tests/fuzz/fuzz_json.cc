// libFuzzer: any bytes as JSON, and as a model's config.json. What is accepted must survive being
// written and read again. With Python's numbers nothing that is JSON reads differently.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "backend/kv_page.h"
#include "format/json.h"
#include "model/config.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void UseAsConfig(const kakeya::Json& value) {
  const kakeya::Result<kakeya::ModelConfig> config = kakeya::ParseModelConfig(value);
  if (!config.ok()) return;
  Require(config->num_layers() >= 1 && config->alike());
  const kakeya::LayerConfig& layer = config->common_layer();
  const kakeya::RopeConfig& rope = config->ropes[0];
  Require(layer.num_heads % layer.num_kv_heads == 0);
  Require(layer.head_dim % 8 == 0 && layer.head_dim <= kakeya::kMaxHeadDim && rope.theta > 0);
  Require(std::isfinite(rope.attention_factor) && rope.attention_factor > 0);
  for (int32_t id : config->eos_token_ids) Require(id >= 0 && id < config->vocab_size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kakeya;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const Result<Json> value = ParseJson(input);
  const Result<Json> pythons = ParseJson(input, {.python_numbers = true});
  if (pythons.ok()) UseAsConfig(*pythons);
  if (!value.ok()) {
    const std::string& message = value.status().message();
    Require(!message.empty() && message.size() < 1000 && message.find('\n') == message.npos);
    return 0;
  }
  const std::string text = value->dump();
  const Result<Json> again = ParseJson(text);
  Require(again.ok() && again->dump() == text);
  Require(pythons.ok() && *pythons == *value);
  UseAsConfig(*value);
  return 0;
}
