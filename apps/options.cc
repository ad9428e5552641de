#include "options.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "base/system.h"
#include "format/checkpoint.h"
#include "format/json.h"
#include "format/quote.h"
#include "format/read_file.h"
#include "format/utf8.h"
#include "output.h"
#include "proposer/restorer_model.h"
#include "session/restorer_factory.h"
#include "text/tokenizer/bos.h"

namespace kakeya::cli {
namespace {

constexpr size_t kMaxPromptBytes = size_t{256} << 20;
constexpr int kMaxThreads = 256;

// The parser's own conversion takes "-1" for 2^64 - 1 and cuts what is too large.
const CLI::Validator kUnsigned64(
    [](const std::string& text) {
      const bool digits =
          !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
      errno = 0;
      std::strtoull(text.c_str(), nullptr, 10);
      return digits && errno == 0 ? "" : "must be a whole number from 0 to 2^64 - 1: " + text;
    },
    "UINT64");

// The value of --restorer that names no folder.
constexpr const char* kIdentity = "identity";

// "4 MiB" as "4194304", by the parser's own units. False for what it doesn't know.
bool ToBytes(std::string* text) try {
  return CLI::AsSizeValue(/*kb_is_1000=*/false)(*text).empty();
} catch (const CLI::ValidationError&) {
  return false;
}

// The token is put there anyway; its spelling in a prompt is only letters.
void WarnOfBosAsText(const Tokenizer& tokenizer, const std::string& text) {
  const std::string_view bos = tokenizer.bos_id() ? tokenizer.TokenBytes(*tokenizer.bos_id()) : "";
  if (bos.empty() || !text.starts_with(bos)) return;
  spdlog::warn(
      "the prompt begins with {} as plain text: the tokenizer puts that token there itself",
      Quoted(bos));
}

}  // namespace

void ModelFlags::Register(CLI::App* app) {
  TakesModel(
      app->add_option(
          "-m,--model", path,
          "Model folder in the Hugging Face layout: config.json, model.safetensors (or shards and "
          "their index), tokenizer.json, tokenizer_config.json; or a GGUF file, of one in parts "
          "any of them (architectures qwen3 and llama)"))
      ->required()
      ->type_name("MODEL");
  app->add_option("--threads", threads, "Threads to compute with (default: the cores)")
      ->check(CLI::Range(1, kMaxThreads))
      ->type_name("N");
}

Result<std::unique_ptr<Engine>> ModelFlags::Load(const std::string& restorer_dir) const {
  KAKEYA_RETURN_IF_ERROR(CheckModelPath(path));
  if (threads > AvailableCores()) {
    spdlog::warn("{} threads on {} cores only get in each other's way", threads, AvailableCores());
  }
  ProgressLine progress("Loading");
  EngineOptions options{.threads = threads, .restorer_dir = restorer_dir};
  options.progress = [&](uint64_t done, uint64_t total) {
    progress.Show(static_cast<int64_t>(done), static_cast<int64_t>(total));
  };
  KAKEYA_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, Engine::Load(path, options));
  if (const auto tokenizer = engine->tokenizer(); tokenizer.ok()) WarnOfTokenizer(**tokenizer);
  const ModelWeights& weights = engine->model().weights;
  if (weights.unused_tensors > 0) {
    progress.Clear();
    spdlog::warn("{} tensors of {} are not used, {} first: 'kakeya inspect --check' lists them",
                 weights.unused_tensors, path, weights.first_unused_tensor);
  }
  return engine;
}

void WarnOfTokenizer(const Tokenizer& tokenizer) {
  for (const std::string& note : tokenizer.notes()) spdlog::warn("{}", note);
}

Status CheckModelPath(const std::string& model) { return ResolveModelPath(model).status(); }

CLI::Option* TakesModel(CLI::Option* option) {
  return option->transform(CLI::Validator(
      [](std::string& path) {
        // What can't be resolved is reported when it is opened.
        if (const Result<std::string> resolved = ResolveModelPath(path); resolved.ok()) {
          path = *resolved;
        }
        return std::string();
      },
      "", "model"));
}

bool WarnOfFailedRestores(const Session& session) {
  const RestoreUsage usage = session.restore_usage();
  if (usage.failed == 0) return false;
  WarnOfFailedRestores(usage.failed);
  return true;
}

void WarnOfFailedRestores(int64_t failed) {
  spdlog::warn(
      "the restorer gave no numbers for {} chunks or pages: the rest, sinks and window did without",
      failed);
}

Result<uint64_t> ParseBytes(std::string text) {
  constexpr uint64_t kMost = uint64_t{1} << 62;
  constexpr std::string_view kDigits = "0123456789";
  const std::string typed = text;
  // The parser knows the units, but takes "-1" and what is too large for other numbers, "010" for
  // eight and "MiB" for one.
  text.erase(0, std::min(text.find_first_not_of('0'), text.size() - 1));
  const size_t digits = std::min(text.find_first_not_of(kDigits), text.size());
  const bool whole = digits > 0 && digits < 20 && text.find_first_of(kDigits, digits) == text.npos;
  uint64_t bytes = 0;
  if (!whole || !ToBytes(&text) || !CLI::detail::lexical_cast(text, bytes) || bytes > kMost) {
    return InvalidArgument("must be a number of bytes such as 65536, 64KiB or 4MiB: {}", typed);
  }
  return bytes;
}

CLI::Option* AddRestoreChunks(CLI::App* app, int64_t* chunks) {
  return app
      ->add_option_function<std::string>(
          "--restore-chunks",
          [chunks](const std::string& text) {
            constexpr int64_t kMost = int64_t{1} << 20;
            int64_t number = 0;
            if (text == "all") {
              *chunks = kAllChunks;
            } else if (CLI::detail::lexical_cast(text, number) && number >= 1 && number <= kMost) {
              *chunks = number;
            } else {
              throw CLI::ValidationError("--restore-chunks",
                                         "must be a whole number from 1 or 'all': " + text);
            }
          },
          "Evicted chunks of 64 positions that each query of a KV head may attend to at most, of "
          "those that promise enough attention; 'all': every one, whatever it promises (default: "
          "as "
          "the restorer says, 8 for most)")
      ->type_name("K");
}

CLI::Option* AddSeed(CLI::App* app, uint64_t* seed, const std::string& help) {
  return app->add_option("--seed", *seed, help)
      ->check(kUnsigned64)
      ->capture_default_str()
      ->type_name("N");
}

void KvFlags::Register(CLI::App* app) {
  app->add_option("--kv", kv,
                  "What the cache keeps: 'full' every position; 'window' the first --sink "
                  "positions and a sliding window; 'restored' as window, and what was evicted is "
                  "reconstructed where it is needed (default: restored if the model has a "
                  "restorer, else full)")
      ->check(CLI::IsMember({"full", "window", "restored"}))
      ->type_name("POLICY");
  RegisterSettings(app);
}

void KvFlags::RegisterSettings(CLI::App* app) {
  restorer_option_ =
      app->add_option("--restorer", restorer,
                      "Folder of the restorer for --kv restored, or 'identity': the model itself "
                      "recomputes its past, exact and slow (default: restorer/ in the model's "
                      "folder). It belongs to the very weights that it was trained for: one of a "
                      "folder is refused for a GGUF file made from that")
          ->type_name("DIR");
  AddRestoreChunks(app, &restore_chunks);
  app->add_option_function<std::string>(
         "--restore-buffer",
         [this](const std::string& text) {
           const Result<uint64_t> bytes = ParseBytes(text);
           if (!bytes.ok()) {
             throw CLI::ValidationError("--restore-buffer", bytes.status().message());
           }
           restore_buffer = *bytes;
         },
         "Bytes that reconstructed K/V may take, e.g. 4MiB; changes speed, never the result "
         "(default: three times what one step may attend to, for 64 chunks at most)")
      ->type_name("SIZE");
  app->add_option("--kv-type", kv_type,
                  "What the cache stores keys and values as: bf16, f16, f32; affine8 or affine4, "
                  "8 or 4 bits an element with scale and bias per 64; or auto: as the model's "
                  "weights (bf16 for most)")
      ->check(CLI::IsMember({"auto", "bf16", "f16", "f32", "affine8", "affine4"}))
      ->capture_default_str()
      ->type_name("TYPE");
  app->add_option("--sink", sink, "First positions that are never evicted")
      ->capture_default_str()
      ->type_name("N");
  app->add_option("--window", window,
                  "Latest positions that stay exact; evicted are whole chunks of 64, so up to 63 "
                  "more stay")
      ->capture_default_str()
      ->type_name("N");
  app->add_option("--prefill-chunk", prefill_chunk,
                  "Prompt tokens computed in one pass; changes speed and memory, never the result")
      ->check(CLI::Range(int64_t{1}, int64_t{65536}))
      ->capture_default_str()
      ->type_name("N");
}

Status KvFlags::Resolve(const ModelFlags& model) {
  const bool gguf = IsGgufPath(model.path);
  const std::string own = model.path + "/restorer";
  std::error_code ignored;
  const bool has_own = !gguf && std::filesystem::exists(own, ignored);
  const bool has_restorer = restorer_option_->count() > 0 || has_own;
  if (kv.empty()) kv = has_restorer ? "restored" : "full";
  if (kv != "restored") {
    if (restorer_option_->count() == 0) return OkStatus();
    return InvalidArgument("--restorer is for --kv restored, not for --kv {}", kv);
  }
  if (!has_restorer) {
    if (gguf) {
      return NotFound("{}: a GGUF file has no restorer, so --kv restored needs --restorer DIR",
                      model.path);
    }
    return NotFound("{}: no such folder, so --kv restored needs --restorer DIR", own);
  }
  if (restorer_option_->count() == 0) restorer = own;
  return OkStatus();
}

std::string KvFlags::RestorerDir() const {
  return kv == "restored" && restorer != kIdentity ? restorer : "";
}

void KvFlags::Settle(const Engine& engine) {
  if (restore_chunks > 0) return;
  const RestorerModel* const restorer_model = engine.restorer();
  restore_chunks =
      restorer_model != nullptr ? restorer_model->config.chunks : RestoreOptions().chunks;
}

SessionOptions KvFlags::ToOptions() const {
  SessionOptions options;
  if (kv == "window") options.kv.kind = KvPolicy::Kind::kWindow;
  if (kv == "restored") {
    options.kv.kind = KvPolicy::Kind::kRestored;
    if (restore_chunks > 0) options.restore.chunks = restore_chunks;
    options.restore.buffer_bytes = restore_buffer;
  }
  options.kv.sink = sink;
  options.kv.window = window;
  options.prefill_block = prefill_chunk;
  options.kv_type = KvTypeNamed(kv_type);  // "auto" names none
  if (kv == "restored" && restorer == kIdentity) {
    options.restore.restorer = IdentityRestorers(options.kv_type);
  }
  return options;
}

void SamplingFlags::Register(CLI::App* app) {
  app->add_option("-n,--max-tokens", max_tokens, "Tokens to generate at most")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str()
      ->type_name("N");
  app->add_option("--temp", sampling.temperature,
                  "Temperature; 0 always takes the most likely token")
      ->capture_default_str()
      ->type_name("T");
  app->add_option("--top-k", sampling.top_k, "Draw from the K most likely tokens only; 0: off")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31))
      ->capture_default_str()
      ->type_name("K");
  app->add_option("--top-p", sampling.top_p,
                  "Draw from the most likely tokens that together reach probability P; 1: off")
      ->capture_default_str()
      ->type_name("P");
  app->add_option("--min-p", sampling.min_p,
                  "Leave out tokens less likely than P times the most likely one; 0: off")
      ->capture_default_str()
      ->type_name("P");
  AddSeed(app, &sampling.seed, "Same seed, same text");
  app->add_option("--stop", stop, "End before this text; may be given several times")
      ->allow_extra_args(false)
      ->type_name("STR");
}

GenerateOptions SamplingFlags::ToOptions() const {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.sampling = sampling;
  options.stop = stop;
  options.ignore_eos = ignore_eos;
  options.interrupted = Interrupted;
  return options;
}

void PromptFlags::Register(CLI::App* app) {
  text_option = app->add_option("-p,--prompt", text, "The prompt")->type_name("TEXT");
  file_option = app->add_option("-f,--file", file, "A file that holds the prompt; - reads stdin")
                    ->type_name("FILE");
  ids_option = app->add_option("--ids", ids_file,
                               "A JSON file that holds the prompt as a list of token ids; needs no "
                               "tokenizer")
                   ->type_name("FILE");
  app->add_flag("--special", special,
                "Recognise special tokens in the prompt (<|im_start|>, ...); otherwise they stay "
                "text")
      ->excludes(ids_option);
}

Result<Prompt> PromptFlags::Read(bool continues) const {
  const size_t given = text_option->count() + file_option->count() + ids_option->count();
  Prompt prompt;
  prompt.begins = !continues;
  if (given == 0 && continues) return prompt;
  if (given != 1) {
    return InvalidArgument("a prompt is needed, and only one: -p TEXT, -f FILE or --ids FILE");
  }
  if (ids_option->count() > 0) {
    KAKEYA_ASSIGN_OR_RETURN(prompt.ids, ReadIds(ids_file));
    if (prompt.ids.empty()) return InvalidArgument("{}: the prompt is empty", ids_file);
    return prompt;
  }
  prompt.text = text;
  prompt.special = special;
  if (file_option->count() > 0) {
    KAKEYA_ASSIGN_OR_RETURN(prompt.text, ReadTextFile(file, kMaxPromptBytes));
  }
  KAKEYA_RETURN_IF_ERROR(CheckPrompt(prompt.text));
  return prompt;
}

Result<std::vector<int32_t>> Prompt::Encode(const Engine& engine) const {
  if (!ids.empty() || text.empty()) return ids;
  KAKEYA_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine.tokenizer());
  KAKEYA_ASSIGN_OR_RETURN(
      std::vector<int32_t> encoded,
      tokenizer->Encode(text, {.parse_special = special, .add_special_tokens = begins}));
  const size_t dropped = DropRepeatedBos(tokenizer->bos_id(), &encoded);
  if (!WarnOfRepeatedBos(dropped) && !special) WarnOfBosAsText(*tokenizer, text);
  return encoded;
}

bool WarnOfRepeatedBos(size_t dropped) {
  if (dropped == 0) return false;
  spdlog::warn("the prompt began with {} beginning-of-text tokens: all but one are left out",
               dropped + 1);
  return true;
}

Status CheckPrompt(const std::string& text) {
  if (text.empty()) return InvalidArgument("the prompt is empty");
  if (const size_t nul = text.find('\0'); nul != std::string::npos) {
    return InvalidArgument("the prompt holds a NUL at byte {}: it is no text", nul);
  }
  if (const size_t bad = FindInvalidUtf8(text); bad != text.size()) {
    return InvalidArgument("the prompt is not UTF-8 at byte {}", bad);
  }
  return OkStatus();
}

Result<std::vector<int32_t>> IdsFromJson(const Json& json, const std::string& where) {
  if (!json.is_array()) return InvalidArgument("{}: is not a JSON list of token ids", where);
  constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max();
  std::vector<int32_t> ids;
  ids.reserve(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    // Read as unsigned first: as signed, the library would wrap what is beyond 2^63.
    const bool fits = json[i].is_number_unsigned() && json[i].get<uint64_t>() <= kMaxId;
    if (!fits) return InvalidArgument("{}: item {} is not a token id", where, i);
    ids.push_back(json[i].get<int32_t>());
  }
  return ids;
}

Result<std::vector<int32_t>> ReadIds(const std::string& path) {
  KAKEYA_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
  return IdsFromJson(json, path);
}

}  // namespace kakeya::cli
