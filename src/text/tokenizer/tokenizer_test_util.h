// Small tokenizers for tests, built from their merges.
#ifndef KAKEYA_TEXT_TOKENIZER_TOKENIZER_TEST_UTIL_H_
#define KAKEYA_TEXT_TOKENIZER_TOKENIZER_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "format/json.h"
#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/unicode.h"

namespace kakeya {

// How tokenizer.json spells these bytes.
inline std::string SpellBytes(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const int byte = static_cast<uint8_t>(c);
    // 0x00-0x20, 0x7F-0xA0 and 0xAD are written as U+0100 and following, in this order.
    const int code = byte <= 0x20                   ? 0x100 + byte
                     : byte >= 0x7f && byte <= 0xa0 ? 0x121 + byte - 0x7f
                     : byte == 0xad                 ? 0x143
                                                    : byte;
    AppendUtf8(static_cast<char32_t>(code), &out);
  }
  return out;
}

// A tokenizer.json whose ids 0-255 are the bytes and 256 and following the merges' results.
// `merges` are pairs of bytes ("h", "e").
inline Json TokenizerJson(const std::vector<std::pair<std::string, std::string>>& merges = {}) {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[SpellBytes(std::string(1, static_cast<char>(byte)))] = byte;
  }
  Json list = Json::array();
  int id = 256;
  for (const auto& [left, right] : merges) {
    list.push_back(Json::array({SpellBytes(left), SpellBytes(right)}));
    const std::string result = SpellBytes(left + right);
    if (!vocab.contains(result)) vocab[result] = id++;
  }
  Json file = Json::object();
  file["added_tokens"] = Json::array();
  file["normalizer"] = nullptr;
  file["pre_tokenizer"] =
      Json::parse(R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true})");
  file["post_processor"] = nullptr;
  file["decoder"] = Json::parse(R"({"type": "ByteLevel"})");
  file["model"] = Json::object();
  file["model"]["type"] = "BPE";
  file["model"]["vocab"] = vocab;
  file["model"]["merges"] = list;
  return file;
}

inline void AddToken(Json* file, int id, const std::string& content, bool special,
                     const std::vector<std::string>& flags = {}) {
  Json token = {{"id", id}, {"content", content}, {"special", special}, {"normalized", false}};
  for (const std::string& flag : flags) token[flag] = true;
  (*file)["added_tokens"].push_back(token);
}

inline void SetSplit(Json* file, const std::string& regex,
                     const std::string& behavior = "Isolated") {
  (*file)["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {}, "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  (*file)["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = regex;
  (*file)["pre_tokenizer"]["pretokenizers"][0]["behavior"] = behavior;
}

// The file is expected to be good.
inline Tokenizer MakeTokenizer(const Json& file) {
  Result<Tokenizer> tokenizer = Tokenizer::Parse(file);
  if (!tokenizer.ok()) {
    ADD_FAILURE() << tokenizer.status().message();
    return *Tokenizer::Parse(TokenizerJson());
  }
  return *std::move(tokenizer);
}

// The tokens of a text in their own bytes, with '|' between.
inline std::string Cut(const Tokenizer& tokenizer, std::string_view text,
                       const EncodeOptions& options = {}) {
  const auto ids = tokenizer.Encode(text, options);
  if (!ids.ok()) return "error: " + ids.status().message();
  std::string out;
  for (const int32_t id : *ids) {
    if (!out.empty()) out += '|';
    out += tokenizer.TokenBytes(id);
  }
  return out;
}

}  // namespace kakeya

#endif  // KAKEYA_TEXT_TOKENIZER_TOKENIZER_TEST_UTIL_H_
