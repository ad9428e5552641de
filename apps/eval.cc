// kakeya eval logits: the logits of every position of a text, for comparison with another
// implementation.
#include "eval/logits.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

namespace kakeya::cli {
namespace {

struct LogitsFlags {
  ModelFlags model;
  KvFlags kv;
  std::string ids_file;
  std::string out;
};

Status Run(LogitsFlags flags) {
  KAKEYA_RETURN_IF_ERROR(flags.kv.Resolve(flags.model));
  KAKEYA_RETURN_IF_ERROR(CheckOptions(flags.kv.ToOptions()));
  KAKEYA_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ReadIds(flags.ids_file));
  KAKEYA_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                          flags.model.Load(flags.kv.RestorerDir()));
  ProgressLine progress("Computing logits");
  KAKEYA_RETURN_IF_ERROR(WriteLogits(
      engine.get(), flags.kv.ToOptions(), ids,
      [&](int64_t done, int64_t total) { progress.Show(done, total); }, flags.out));
  return OkStatus();
}

}  // namespace

void RegisterEval(CLI::App* app, int* exit_code) {
  CLI::App* eval = app->add_subcommand("eval", "Measure a model");
  eval->require_subcommand(1);
  CLI::App* verb = eval->add_subcommand(
      "logits", "Write the logits of every position: 'logits' (positions, vocabulary), F32");
  auto flags = std::make_shared<LogitsFlags>();
  // The purpose is comparison: nothing is left out or rounded that needn't be.
  flags->kv.kv = "full";
  flags->kv.kv_type = "f32";
  flags->model.Register(verb);
  verb->add_option("--ids", flags->ids_file, "A JSON file with a list of token ids")
      ->required()
      ->type_name("FILE");
  verb->add_option("--out", flags->out, "The safetensors file to write")
      ->required()
      ->type_name("FILE");
  flags->kv.Register(verb);
  verb->callback([flags, exit_code] {
    const Status status = Run(*flags);
    *exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace kakeya::cli
