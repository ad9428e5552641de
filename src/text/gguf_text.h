// The text side of a model folder as the metadata of a GGUF file: what tokenizer_gguf.h and
// model_text.h read back from it is what the folder says.
#ifndef KAKEYA_TEXT_GGUF_TEXT_H_
#define KAKEYA_TEXT_GGUF_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/gguf_writer.h"

namespace kakeya {

// What the network's config says of its text.
struct GgufTextOptions {
  int32_t vocab_size = 0;                   // rows of the embedding
  std::vector<int32_t> eos_token_ids = {};  // any of them ends a text
  std::optional<int32_t> bos_token_id = {};
};

// Sets the keys tokenizer.ggml.* and tokenizer.chat_template from DIR/tokenizer.json,
// DIR/tokenizer_config.json and DIR/chat_template.jinja. Ids without a token become unused ones.
// The end of a text is the tokenizer_config's eos_token, else the first of eos_token_ids; others
// become eot and eom. Returns notes, one line each, on what GGUF has no way to say. Errors, naming
// the file: Unsupported for words that are cut as no tokenizer.ggml.pre says, NotFound without a
// tokenizer.json, Corrupt, and those of Tokenizer::Load.
Result<std::vector<std::string>> AddTokenizer(const std::string& dir,
                                              const GgufTextOptions& options,
                                              GgufMetadata* metadata);

// Sets the keys of a file without a tokenizer.
void AddNoTokenizer(const GgufTextOptions& options, GgufMetadata* metadata);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_GGUF_TEXT_H_
