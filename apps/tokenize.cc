// kakeya tokenize: text to token ids and back.
#include <fmt/core.h>

#include "format/read_file.h"
#include "options.h"
#include "output.h"
#include "text/model_text.h"
#include "verbs.h"

namespace kakeya::cli {
namespace {

constexpr size_t kMaxBytes = size_t{256} << 20;

struct TokenizeFlags {
  std::string model;
  std::string text;
  std::string file;
  std::string batch;
  std::string decode;
  bool special = false;
  bool no_bos = false;
  bool keep_special = false;
  bool json = false;
  CLI::Option* text_option = nullptr;
};

// A token as a quoted C string, so that spaces and broken characters show.
std::string Quoted(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

Status EncodeOne(const Tokenizer& tokenizer, const TokenizeFlags& flags,
                 const EncodeOptions& options) {
  std::string text = flags.text;
  if (!flags.file.empty()) {
    KAKEYA_ASSIGN_OR_RETURN(text, ReadTextFile(flags.file, kMaxBytes));
  }
  KAKEYA_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer.Encode(text, options));
  if (flags.json) return PrintJson({{"ids", ids}});
  std::string out;
  for (const int32_t id : ids) {
    out += fmt::format("{:>7}  {}\n", id, Quoted(tokenizer.TokenBytes(id)));
  }
  return Print(out);
}

Status EncodeBatch(const Tokenizer& tokenizer, const std::string& path,
                   const EncodeOptions& options) {
  KAKEYA_ASSIGN_OR_RETURN(const Json texts, ReadJsonFile(path));
  if (!texts.is_array()) return InvalidArgument("{}: is not a JSON list of strings", path);
  Json lists = Json::array();
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!texts[i].is_string()) return InvalidArgument("{}: entry {} is not a string", path, i);
    Result<std::vector<int32_t>> ids =
        tokenizer.Encode(texts[i].get_ref<const std::string&>(), options);
    if (!ids.ok()) return ids.status().WithContext(fmt::format("{}: entry {}", path, i));
    lists.push_back(*std::move(ids));
  }
  return Print(Json{{"ids", std::move(lists)}}.dump() + "\n");
}

Status DecodeBatch(const Tokenizer& tokenizer, const std::string& path, bool keep_special) {
  KAKEYA_ASSIGN_OR_RETURN(const Json lists, ReadJsonFile(path));
  if (!lists.is_array()) return InvalidArgument("{}: is not a JSON list of id lists", path);
  Json texts = Json::array();
  for (size_t i = 0; i < lists.size(); ++i) {
    const std::string where = fmt::format("{}: entry {}", path, i);
    KAKEYA_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, IdsFromJson(lists[i], where));
    for (const int32_t id : ids) {
      if (id >= tokenizer.vocab_size()) {
        return InvalidArgument("{}: there is no token {}, the vocabulary ends at {}", where, id,
                               tokenizer.vocab_size() - 1);
      }
    }
    texts.push_back(tokenizer.Decode(ids, /*skip_special=*/!keep_special));
  }
  return Print(
      Json{{"texts", std::move(texts)}}.dump(-1, ' ', false, Json::error_handler_t::replace) +
      "\n");
}

Status Run(const TokenizeFlags& flags) {
  const int sources =
      static_cast<int>(flags.text_option->count() > 0) + static_cast<int>(!flags.file.empty()) +
      static_cast<int>(!flags.batch.empty()) + static_cast<int>(!flags.decode.empty());
  if (sources != 1) {
    return InvalidArgument("one input is needed: -p TEXT, -f FILE, --batch FILE or --decode FILE");
  }
  KAKEYA_RETURN_IF_ERROR(CheckModelPath(flags.model));
  KAKEYA_ASSIGN_OR_RETURN(const Tokenizer tokenizer, LoadTokenizer(flags.model));
  WarnOfTokenizer(tokenizer);
  if (!flags.decode.empty()) return DecodeBatch(tokenizer, flags.decode, flags.keep_special);
  const EncodeOptions options{.parse_special = flags.special, .add_special_tokens = !flags.no_bos};
  if (!flags.batch.empty()) return EncodeBatch(tokenizer, flags.batch, options);
  return EncodeOne(tokenizer, flags, options);
}

}  // namespace

void RegisterTokenize(CLI::App* app, int* exit_code) {
  CLI::App* verb = app->add_subcommand("tokenize", "Show how text becomes token ids, and back");
  auto flags = std::make_shared<TokenizeFlags>();
  TakesModel(verb->add_option("-m,--model", flags->model,
                              "Model folder that holds a tokenizer.json, or a GGUF file"))
      ->required()
      ->type_name("MODEL");
  flags->text_option = verb->add_option("-p,--prompt", flags->text, "The text")->type_name("TEXT");
  verb->add_option("-f,--file", flags->file, "A file that holds the text; - reads stdin")
      ->type_name("FILE");
  verb->add_option("--batch", flags->batch, "A JSON list of texts; prints {\"ids\": [[...], ...]}")
      ->type_name("FILE");
  verb->add_option("--decode", flags->decode, "A JSON list of id lists; prints {\"texts\": [...]}")
      ->type_name("FILE");
  verb->add_flag("--special", flags->special,
                 "Recognise special tokens in the text; otherwise they stay text");
  verb->add_flag("--no-bos", flags->no_bos,
                 "Leave out what the tokenizer puts around a text (a beginning-of-text token)");
  verb->add_flag("--keep-special", flags->keep_special, "Show special tokens in decoded text");
  verb->add_flag("--json", flags->json, "Print one JSON object");
  verb->callback([flags, exit_code] {
    const Status status = Run(*flags);
    *exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace kakeya::cli
