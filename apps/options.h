// Command-line options that several verbs share, and what they mean to the engine.
#ifndef KAKEYA_APPS_OPTIONS_H_
#define KAKEYA_APPS_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/json.h"
#include "session/engine.h"
#include "session/session.h"

namespace kakeya::cli {

// -m, --threads.
struct ModelFlags {
  std::string path;  // a folder or a GGUF file
  int threads = 0;

  void Register(CLI::App* app);
  // Loads the model, and a restorer if a folder is given, with progress on stderr.
  Result<std::unique_ptr<Engine>> Load(const std::string& restorer_dir = {}) const;
};

// Says on stderr what a person should know of the tokenizer's file.
void WarnOfTokenizer(const Tokenizer& tokenizer);

// What -m takes: a folder, or a file (a GGUF one, it is hoped). Errors: those of ResolveModelPath.
Status CheckModelPath(const std::string& model);
// Makes an option's value the model that it means (format/model_path.h), where there is one.
CLI::Option* TakesModel(CLI::Option* option);

// --kv, --kv-type, --sink, --window, --restorer, --restore-chunks, --restore-buffer,
// --prefill-chunk.
struct KvFlags {
  std::string kv;  // empty until Resolve: restored where the model has a restorer, else full
  std::string kv_type = "auto";
  int64_t sink = 4;
  int64_t window = 64;
  std::string restorer;         // empty: the folder "restorer" of a model folder
  int64_t restore_chunks = 0;   // 0: as the restorer says
  uint64_t restore_buffer = 0;  // bytes; 0: as RestoreOptions says
  int64_t prefill_chunk = 512;

  void Register(CLI::App* app);
  // The same without --kv, for verbs that run several policies.
  void RegisterSettings(CLI::App* app);
  // Settles what depends on the model's path. Errors: NotFound for --kv restored without a
  // restorer, InvalidArgument for flags that --kv doesn't use.
  Status Resolve(const ModelFlags& model);
  // The folder to load a restorer from; empty if none is needed. REQUIRES: Resolve.
  std::string RestorerDir() const;
  // Settles what the restorer decides, once that is loaded.
  void Settle(const Engine& engine);
  // REQUIRES: Resolve; Settle, if the options are for a session.
  SessionOptions ToOptions() const;

 private:
  CLI::Option* restorer_option_ = nullptr;
};

// Says on stderr how many chunks the restorer gave no numbers for; false if there were none.
bool WarnOfFailedRestores(const Session& session);

// Says on stderr that the restorer gave no numbers so often.
void WarnOfFailedRestores(int64_t failed);

// Says on stderr that a prompt had so many beginning-of-text tokens too many; false if none.
bool WarnOfRepeatedBos(size_t dropped);

// "4194304", "4MiB", "64 kB", ...: a unit of bytes is a power of 1024. Errors: InvalidArgument for
// what is no such number, or is beyond 2^62.
Result<uint64_t> ParseBytes(std::string text);

// "all" or a number of chunks.
CLI::Option* AddRestoreChunks(CLI::App* app, int64_t* chunks);

// --seed, a number below 2^64.
CLI::Option* AddSeed(CLI::App* app, uint64_t* seed, const std::string& help);

// -n, --temp, --top-k, --top-p, --min-p, --seed, --stop.
struct SamplingFlags {
  int64_t max_tokens = 128;
  SamplingParams sampling;
  std::vector<std::string> stop;
  bool ignore_eos = false;  // no flag of its own here: a chat ends its turns with that token

  void Register(CLI::App* app);
  GenerateOptions ToOptions() const;
};

// A prompt as text, or as token ids.
struct Prompt {
  std::string text;
  std::vector<int32_t> ids;
  bool special = false;  // special tokens spelled in the text are meant
  bool begins = true;    // nothing was read before: what the tokenizer puts in front is added

  // Errors: NotFound when there is text and the model has no tokenizer, and those of
  // Tokenizer::Encode.
  Result<std::vector<int32_t>> Encode(const Engine& engine) const;
};

// -p, -f, --ids: where a prompt comes from. Exactly one must be given. --special: how text is read.
struct PromptFlags {
  std::string text;
  std::string file;
  std::string ids_file;
  bool special = false;
  CLI::Option* text_option = nullptr;
  CLI::Option* file_option = nullptr;
  CLI::Option* ids_option = nullptr;

  void Register(CLI::App* app);
  // The prompt as it was given; needs no model. `continues`: a text that was read before, which may
  // go on without a prompt. Errors: InvalidArgument when not exactly one source is given, and
  // whatever is wrong with it.
  Result<Prompt> Read(bool continues = false) const;
};

// Whether a text can be a prompt. Errors: InvalidArgument when it is empty, holds a NUL or isn't
// UTF-8.
Status CheckPrompt(const std::string& text);

// A JSON list of token ids. Errors begin with `where` and name the item.
Result<std::vector<int32_t>> IdsFromJson(const Json& json, const std::string& where);
// The same from a file; errors name it.
Result<std::vector<int32_t>> ReadIds(const std::string& path);

}  // namespace kakeya::cli

#endif  // KAKEYA_APPS_OPTIONS_H_
