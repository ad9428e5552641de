// Fuzzes tokenizer.json and the text that is encoded with it: JSON, a NUL byte, text.
//
// A byte-level vocabulary is long. So that small inputs reach the encoder, byte tokens that the
// input's vocabulary lacks are supplied here; the file as given is parsed, too.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "format/json.h"
#include "format/utf8.h"
#include "text/tokenizer/detokenizer.h"
#include "text/tokenizer/tokenizer.h"
#include "text/tokenizer/unicode.h"

namespace {

using kakeya::EncodeOptions;
using kakeya::Json;
using kakeya::Segment;
using kakeya::Tokenizer;

constexpr size_t kMaxText = 4096;

void Require(bool holds) {
  if (!holds) std::abort();
}

std::string SpellByte(int byte) {
  int code = byte;
  if (byte <= 0x20) code = 0x100 + byte;
  if (byte >= 0x7f && byte <= 0xa0) code = 0x121 + byte - 0x7f;
  if (byte == 0xad) code = 0x143;
  std::string out;
  kakeya::AppendUtf8(static_cast<char32_t>(code), &out);
  return out;
}

void SupplyBytes(Json* file) {
  if (!file->is_object() || !file->contains("model")) return;
  Json& model = (*file)["model"];
  if (!model.is_object() || !model.contains("vocab") || !model["vocab"].is_object()) return;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string spelling = SpellByte(byte);
    if (!model["vocab"].contains(spelling)) model["vocab"][spelling] = 1000 + byte;
  }
}

void CheckIds(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool may_be_special) {
  for (const int32_t id : ids) {
    Require(id >= 0 && id < tokenizer.vocab_size());
    // A special token that is the only token of a byte is the exception.
    Require(may_be_special || !tokenizer.IsSpecial(id) || tokenizer.TokenBytes(id).size() == 1);
  }
  for (const bool skip : {false, true}) {
    kakeya::StreamingDetokenizer stream(&tokenizer, skip);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.Push(id);
    streamed += stream.Flush();
    Require(kakeya::FindInvalidUtf8(streamed) == streamed.size());
    Require(streamed == tokenizer.Decode(ids, skip));
  }
}

void Exercise(const Json& file, std::string_view text) {
  const auto tokenizer = Tokenizer::Parse(file);
  if (!tokenizer.ok()) {
    Require(!tokenizer.status().message().empty());
    Require(tokenizer.status().message().find('\n') == std::string::npos);
    return;
  }
  for (const bool special : {false, true}) {
    const EncodeOptions options{.parse_special = special, .add_special_tokens = special};
    const auto ids = tokenizer->Encode(text, options);
    if (ids.ok()) CheckIds(*tokenizer, *ids, special);
  }
  size_t middle = text.size() / 2;
  while (middle > 0 && middle < text.size() && (text[middle] & 0xc0) == 0x80) --middle;
  const std::vector<Segment> segments = {{std::string(text.substr(0, middle)), true},
                                         {std::string(text.substr(middle)), false}};
  const auto ids = tokenizer->EncodeSegments(segments);
  if (ids.ok()) CheckIds(*tokenizer, *ids, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = std::min(input.find('\0'), input.size());
  const std::string_view text = input.substr(std::min(nul + 1, input.size()), kMaxText);
  auto file = kakeya::ParseJson(input.substr(0, nul));
  if (!file.ok()) return 0;
  Exercise(*file, text);
  SupplyBytes(&*file);
  Exercise(*file, text);
  return 0;
}
