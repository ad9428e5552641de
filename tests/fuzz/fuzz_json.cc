// libFuzzer: any bytes as JSON, and as a model's config.json. What is accepted must survive being
// written and read again.
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kakeya;
  const Result<Json> value = ParseJson({reinterpret_cast<const char*>(data), size});
  if (!value.ok()) {
    const std::string& message = value.status().message();
    Require(!message.empty() && message.size() < 1000 && message.find('\n') == message.npos);
    return 0;
  }
  const std::string text = value->dump();
  const Result<Json> again = ParseJson(text);
  Require(again.ok() && again->dump() == text);
  const Result<ModelConfig> config = ParseModelConfig(*value);
  if (config.ok()) {
    Require(config->num_layers >= 1 && config->num_heads % config->num_kv_heads == 0);
    Require(config->head_dim % 8 == 0 && config->head_dim <= kMaxHeadDim && config->rope.theta > 0);
    for (int32_t id : config->eos_token_ids) Require(id >= 0 && id < config->vocab_size);
  }
  return 0;
}
