// libFuzzer: any bytes as a GGUF file; its metadata is read as a model's config, tokenizer and chat
// settings, without the weights, and a tokenizer that comes through is used.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "format/gguf.h"
#include "model/gguf_config.h"
#include "text/model_text.h"
#include "text/tokenizer/tokenizer.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// Every message is one line of bounded length that names the file.
void RequireLine(const kakeya::Status& status, const std::string& path) {
  if (status.ok()) return;
  const std::string& message = status.message();
  Require(message.starts_with(path) && message.size() < 1000 && message.find('\n') == message.npos);
}

void Check(const std::string& path) {
  using namespace kakeya;
  const Result<GgufFile> file = GgufFile::Open(path);
  RequireLine(file.status(), path);
  if (!file.ok()) return;
  const Result<ModelConfig> config = ReadGgufConfig(*file);
  RequireLine(config.status(), path);
  if (config.ok()) {
    Require(config->num_layers() > 0 && config->alike() && config->vocab_size > 0);
    const LayerConfig& layer = config->common_layer();
    Require(layer.num_heads % layer.num_kv_heads == 0);
    Require(layer.head_dim > 0 && layer.head_dim % 8 == 0);
    for (const int32_t id : config->eos_token_ids) Require(id >= 0 && id < config->vocab_size);
  }
  RequireLine(LoadChatSettings(path).status(), path);
  const Result<Tokenizer> tokenizer = Tokenizer::FromGguf(*file);
  RequireLine(tokenizer.status(), path);
  if (!tokenizer.ok()) return;
  for (const bool special : {false, true}) {
    const auto ids = tokenizer->Encode("Hello <|im_end|> world 123\n", {.parse_special = special});
    if (!ids.ok()) continue;
    for (const int32_t id : *ids) Require(id >= 0 && id < tokenizer->vocab_size());
    tokenizer->Decode(*ids, /*skip_special=*/false);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int fd = ::memfd_create("fuzz", 0);
  Require(fd >= 0);
  Require(::write(fd, data, size) == static_cast<ssize_t>(size));
  Check("/proc/self/fd/" + std::to_string(fd));
  ::close(fd);
  return 0;
}
