#include "text/model_text.h"

#include <filesystem>
#include <optional>
#include <vector>

#include "format/checkpoint.h"
#include "format/gguf.h"
#include "text/chat_template.h"

namespace kakeya {
namespace {

Result<ChatSettings> SettingsOfFolder(const std::string& dir) {
  const std::string config_path = dir + "/tokenizer_config.json";
  std::error_code ignored;
  Json config = Json::object();
  if (std::filesystem::exists(config_path, ignored)) {
    KAKEYA_ASSIGN_OR_RETURN(config, ReadJsonFile(config_path, {.python_numbers = true}));
  }
  ChatSettings out;
  KAKEYA_ASSIGN_OR_RETURN(out.source,
                          ChatTemplate::FromTokenizerConfig(config, dir, /*with_tools=*/false));
  KAKEYA_ASSIGN_OR_RETURN(out.bos_token, ChatTemplate::TokenText(config, "bos_token"));
  KAKEYA_ASSIGN_OR_RETURN(out.eos_token, ChatTemplate::TokenText(config, "eos_token"));
  return out;
}

// The spelling of the token that `key` has the id of; "" where there is none.
Result<std::string> TokenText(const GgufFile& file, const char* key,
                              const std::vector<std::string>& tokens) {
  KAKEYA_ASSIGN_OR_RETURN(const auto id, file.GetUnsigned(key));
  if (!id) return std::string();
  if (*id >= tokens.size()) {
    return Corrupt("{}: key '{}' is {}, but there are {} tokens", file.file().path(), key, *id,
                   tokens.size());
  }
  return tokens[*id];
}

Result<ChatSettings> SettingsOfGguf(const std::string& path) {
  KAKEYA_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::Open(path));
  ChatSettings out;
  KAKEYA_ASSIGN_OR_RETURN(auto source, file.GetString("tokenizer.chat_template"));
  if (!source) return NotFound("{}: the model has no chat template", path);
  out.source = *std::move(source);
  KAKEYA_ASSIGN_OR_RETURN(const auto tokens, file.GetStrings("tokenizer.ggml.tokens"));
  const std::vector<std::string> list = tokens.value_or(std::vector<std::string>());
  KAKEYA_ASSIGN_OR_RETURN(out.bos_token, TokenText(file, "tokenizer.ggml.bos_token_id", list));
  KAKEYA_ASSIGN_OR_RETURN(out.eos_token, TokenText(file, "tokenizer.ggml.eos_token_id", list));
  KAKEYA_RETURN_IF_ERROR(file.file().CheckIntact());
  return out;
}

}  // namespace

Result<Tokenizer> LoadTokenizer(const std::string& model) {
  if (!IsGgufPath(model)) {
    const std::string path = model + "/tokenizer.json";
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      return NotFound("{}: no such file: only --ids works", path);
    }
    return Tokenizer::Load(path);
  }
  KAKEYA_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::Open(model));
  return Tokenizer::FromGguf(file);
}

Result<ChatSettings> LoadChatSettings(const std::string& model) {
  return IsGgufPath(model) ? SettingsOfGguf(model) : SettingsOfFolder(model);
}

}  // namespace kakeya
