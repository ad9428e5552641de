// kakeya eval logits: the logits of every position of a text, for comparison with another
// implementation. kakeya eval perplexity: what a bounded cache costs on ordinary text.
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "base/build_id.h"
#include "base/system.h"
#include "eval/perplexity/logits.h"
#include "eval/perplexity/perplexity.h"
#include "eval/recall/report/report.h"
#include "format/read_file.h"
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
  flags.kv.Settle(*engine);
  ProgressLine progress("Computing logits");
  KAKEYA_RETURN_IF_ERROR(WriteLogits(
      engine.get(), flags.kv.ToOptions(), ids,
      [&](int64_t done, int64_t total) { progress.Show(done, total); }, flags.out));
  return OkStatus();
}

struct PerplexityFlags {
  ModelFlags model;
  KvFlags kv;
  std::vector<std::string> policies;  // empty: all that the model can do
  std::vector<std::string> files;
  int64_t context = 4096;
  int64_t max_tokens = 0;  // 0: the whole text
  bool json = false;
};

constexpr size_t kMaxTextBytes = size_t{256} << 20;

// The policies to measure, with what they need settled in flags->kv.
Status ResolvePolicies(PerplexityFlags* flags) {
  std::vector<std::string>& policies = flags->policies;
  const auto wants = [&](const char* policy) {
    return std::find(policies.begin(), policies.end(), policy) != policies.end();
  };
  if (!policies.empty()) flags->kv.kv = wants("restored") ? "restored" : policies[0];
  KAKEYA_RETURN_IF_ERROR(flags->kv.Resolve(flags->model));
  if (policies.empty()) {
    policies = {"full", "window"};
    if (flags->kv.kv == "restored") policies.emplace_back("restored");
  }
  return OkStatus();
}

SessionOptions OptionsOf(const PerplexityFlags& flags, const std::string& policy) {
  KvFlags kv = flags.kv;
  kv.kv = policy;
  return kv.ToOptions();
}

Json ToJson(const PerplexityFlags& flags, const Perplexity& measured) {
  Json rows = Json::array();
  for (size_t i = 0; i < measured.rows.size(); ++i) {
    const PerplexityRow& row = measured.rows[i];
    Json interval = nullptr;
    if (row.ratio_interval) interval = {row.ratio_interval->low, row.ratio_interval->high};
    rows.push_back({{"kv", flags.policies[i]},
                    {"perplexity", row.perplexity},
                    {"nll", row.nll},
                    {"ratio", row.ratio},
                    {"ratio_interval", interval},
                    {"kv_resident_bytes", row.resident_bytes},
                    {"history_bytes", row.history_bytes},
                    {"failed_pages", row.failed_pages},
                    {"seconds", row.seconds}});
  }
  Json texts = Json::array();
  for (const std::string& file : flags.files) {
    texts.push_back(std::filesystem::path(file).filename().string());
  }
  return {{"tokens", measured.tokens},
          {"windows", measured.windows},
          {"context", flags.context},
          {"texts", texts},
          {"restore_chunks", ChunksText(flags.kv.restore_chunks)},
          {"kv_type", flags.kv.kv_type},
          {"sink", flags.kv.sink},
          {"window", flags.kv.window},
          {"interval_method", "Student's t over the windows, 95 %"},
          {"build", BuildId()},
          {"machine", MachineName()},
          {"rows", rows}};
}

std::string ToText(const PerplexityFlags& flags, const Perplexity& measured) {
  std::string text = fmt::format("{} tokens in {} windows of {}\n", measured.tokens,
                                 measured.windows, flags.context);
  for (size_t i = 0; i < measured.rows.size(); ++i) {
    const PerplexityRow& row = measured.rows[i];
    text += fmt::format("{:<9} perplexity {:10.4f}", flags.policies[i], row.perplexity);
    if (i > 0) text += fmt::format("  {:.4f} x {}", row.ratio, flags.policies[0]);
    if (row.ratio_interval) {
      text += fmt::format(" ({:.4f} to {:.4f})", row.ratio_interval->low, row.ratio_interval->high);
    }
    text += fmt::format("  K/V {}\n", HumanBytes(row.resident_bytes));
    if (row.failed_pages > 0) {
      text +=
          fmt::format("          the restorer gave no numbers for {} pages\n", row.failed_pages);
    }
  }
  return text;
}

// All texts, one after another.
Result<std::string> ReadTexts(const std::vector<std::string>& files) {
  std::string all;
  for (const std::string& file : files) {
    KAKEYA_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(file, kMaxTextBytes));
    if (const size_t nul = text.find('\0'); nul != std::string::npos) {
      return InvalidArgument("{}: holds a NUL at byte {}: it is no text", file, nul);
    }
    all += text;
  }
  return all;
}

Result<int> RunPerplexity(PerplexityFlags flags) {
  KAKEYA_RETURN_IF_ERROR(ResolvePolicies(&flags));
  for (const std::string& policy : flags.policies) {
    KAKEYA_RETURN_IF_ERROR(CheckOptions(OptionsOf(flags, policy)));
  }
  KAKEYA_ASSIGN_OR_RETURN(const std::string text, ReadTexts(flags.files));
  KAKEYA_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                          flags.model.Load(flags.kv.RestorerDir()));
  flags.kv.Settle(*engine);
  PerplexityOptions options{.context = flags.context, .sessions = {}};
  for (const std::string& policy : flags.policies) {
    options.sessions.push_back(OptionsOf(flags, policy));
  }
  KAKEYA_ASSIGN_OR_RETURN(const Tokenizer* tokenizer, engine->tokenizer());
  KAKEYA_ASSIGN_OR_RETURN(std::vector<int32_t> ids,
                          tokenizer->Encode(text, {.add_special_tokens = false}));
  if (flags.max_tokens > 0 && static_cast<int64_t>(ids.size()) > flags.max_tokens) {
    ids.resize(flags.max_tokens);
  }
  CatchInterrupt();
  ProgressLine progress("Measuring perplexity");
  options.progress = [&](int64_t done, int64_t total) { progress.Show(done, total); };
  options.interrupted = Interrupted;
  const Result<Perplexity> measured = MeasurePerplexity(engine.get(), ids, options);
  progress.Clear();
  if (measured.status().code() == StatusCode::kCancelled) {
    PrintErr("kakeya: stopped; what had been measured was not kept\n");
    return kExitInterrupted;
  }
  KAKEYA_RETURN_IF_ERROR(measured.status().WithContext(flags.files.front()));
  int64_t failed = 0;
  for (const PerplexityRow& row : measured->rows) failed += row.failed_pages;
  if (failed > 0) WarnOfFailedRestores(failed);
  KAKEYA_RETURN_IF_ERROR(flags.json ? PrintJson(ToJson(flags, *measured))
                                    : Print(ToText(flags, *measured)));
  return kExitOk;
}

void RegisterPerplexity(CLI::App* eval, int* exit_code) {
  CLI::App* verb = eval->add_subcommand(
      "perplexity", "How well the model predicts a text, under one K/V policy or several");
  auto flags = std::make_shared<PerplexityFlags>();
  flags->model.Register(verb);
  verb->add_option("-f,--file", flags->files,
                   "The text; - reads stdin. Given several times, the texts are read one after "
                   "another")
      ->required()
      ->allow_extra_args(false)
      ->type_name("FILE");
  verb->add_option("--kv", flags->policies,
                   "Policies to compare with the first: full, window, restored (default: "
                   "full,window, and restored if the model has a restorer)")
      ->delimiter(',')
      ->check(CLI::IsMember({"full", "window", "restored"}))
      ->type_name("P,...");
  verb->add_option("--context", flags->context,
                   "The text is cut into windows of so many tokens; each is read from an empty "
                   "cache, and all its tokens but the first are counted")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 24))
      ->capture_default_str()
      ->type_name("N");
  verb->add_option("--max-tokens", flags->max_tokens, "Stop after so many tokens; 0: never")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str()
      ->type_name("N");
  verb->add_flag("--json", flags->json, "Print one JSON object");
  flags->kv.RegisterSettings(verb);
  verb->callback([flags, exit_code] {
    const Result<int> result = RunPerplexity(*flags);
    *exit_code = result.ok() ? *result : Fail(result.status());
  });
}

}  // namespace

void RegisterEval(CLI::App* app, int* exit_code) {
  CLI::App* eval = app->add_subcommand("eval", "Measure a model");
  eval->require_subcommand(1);
  RegisterPerplexity(eval, exit_code);
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
