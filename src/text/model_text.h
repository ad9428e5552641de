// The text side of a model, whatever holds it: tokenizer.json, tokenizer_config.json and
// chat_template.jinja of a folder, or the metadata of a GGUF file.
#ifndef KAKEYA_TEXT_MODEL_TEXT_H_
#define KAKEYA_TEXT_MODEL_TEXT_H_

#include <string>

#include "base/status.h"
#include "text/tokenizer/tokenizer.h"

namespace kakeya {

// Errors name the file: NotFound when the model has no tokenizer, and those of Tokenizer::Load.
Result<Tokenizer> LoadTokenizer(const std::string& model);

struct ChatSettings {
  std::string source;  // of the chat template
  std::string bos_token;
  std::string eos_token;  // what templates write for bos_token and eos_token; may be empty
};

// Errors: NotFound when the model has no chat template; Corrupt.
Result<ChatSettings> LoadChatSettings(const std::string& model);

}  // namespace kakeya

#endif  // KAKEYA_TEXT_MODEL_TEXT_H_
