// kakeya bench: how fast a model runs, at several depths and under several K/V policies, beside the
// machine's own read bandwidth.
#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>

#include "base/build_id.h"
#include "base/system.h"
#include "eval/speed/speed.h"
#include "eval/speed/speed_report.h"
#include "format/write_file.h"
#include "options.h"
#include "output.h"
#include "proposer/restorer_model.h"
#include "verbs.h"

namespace kakeya::cli {
namespace {

constexpr double kMostSeconds = 86400;

struct BenchFlags {
  ModelFlags model;
  KvFlags kv;
  std::vector<std::string> policies = {"full", "window", "restored"};
  std::vector<int64_t> depths = {0, 512, 4096, 16384};
  bool verify_curve = false;
  int sequences = 1;
  bool cells = false;
  bool json = false;
  std::string csv;
  double seconds = 60;
  uint64_t seed = 0;
  std::string restorer_kind;  // as SpeedContext::restorer
};

// The parser's own conversion cuts what is too large, and leaves out what is empty.
std::vector<int64_t> ParseDepths(const std::vector<std::string>& words) {
  std::vector<int64_t> depths;
  for (const std::string& word : words) {
    int64_t depth = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), depth);
    if (error != std::errc() || end != word.data() + word.size()) {
      throw CLI::ValidationError("--depths", "must be whole numbers: '" + word + "'");
    }
    depths.push_back(depth);
  }
  return depths;
}

bool Wants(const BenchFlags& flags, const char* policy) {
  return std::find(flags.policies.begin(), flags.policies.end(), policy) != flags.policies.end();
}

// Settles which restorer takes part: none, the model's own, the one named, or a random one.
Status ResolveRestorer(BenchFlags* flags) {
  flags->kv.kv = Wants(*flags, "restored") ? "restored" : flags->policies[0];
  Status status = flags->kv.Resolve(flags->model);
  if (flags->kv.kv != "restored") return status;
  if (status.code() == StatusCode::kNotFound) {
    flags->restorer_kind = "random";
    return OkStatus();
  }
  flags->restorer_kind = flags->kv.RestorerDir().empty() ? "identity" : "trained";
  return status;
}

// A restorer that has learned nothing costs what a trained one costs, but for the number of chunks
// that it finds worth restoring.
Result<RestorerFactory> RandomRestorer(Engine* engine, uint64_t seed) {
  RestorerConfig config;
  config.verifier = VerifierShape(engine->model().config);
  return RandomRestorers(engine, config, seed);
}

Result<std::vector<SessionOptions>> SessionsOf(const BenchFlags& flags, Engine* engine) {
  std::vector<SessionOptions> sessions;
  for (const std::string& policy : flags.policies) {
    KvFlags kv = flags.kv;
    kv.kv = policy;
    sessions.push_back(kv.ToOptions());
    if (policy == "restored" && flags.restorer_kind == "random") {
      KAKEYA_ASSIGN_OR_RETURN(sessions.back().restore.restorer, RandomRestorer(engine, flags.seed));
    }
  }
  return sessions;
}

Status CheckFlags(const BenchFlags& flags) {
  for (size_t i = 0; i < flags.policies.size(); ++i) {
    const auto begin = flags.policies.begin();
    if (std::find(begin, begin + static_cast<ptrdiff_t>(i), flags.policies[i]) !=
        begin + static_cast<ptrdiff_t>(i)) {
      return InvalidArgument("--kv names {} twice", flags.policies[i]);
    }
    KvFlags kv = flags.kv;
    kv.kv = flags.policies[i];
    KAKEYA_RETURN_IF_ERROR(CheckOptions(kv.ToOptions()));
  }
  if (!(flags.seconds >= 0 && flags.seconds <= kMostSeconds)) {  // the parser lets NaN through
    return InvalidArgument("--seconds {} must lie in [0, {}]", flags.seconds, kMostSeconds);
  }
  if (flags.depths.empty()) return InvalidArgument("--depths names none");
  return CheckSpeedDepths(flags.depths);
}

SpeedContext ContextOf(const BenchFlags& flags, const Engine& engine) {
  const ModelWeights& weights = engine.model().weights;
  const SessionOptions session = flags.kv.ToOptions();
  std::error_code ignored;
  return {.model = std::filesystem::canonical(flags.model.path, ignored).filename().string(),
          .machine = MachineName(),
          .build = BuildId(),
          .restorer = flags.restorer_kind,
          .weights = NameOf(weights.layers[0].down.dtype()),
          .kv_type = NameOf(session.kv_type.value_or(KvTypeFor(weights.dtype))),
          .threads = engine.context().pool->threads(),
          .seed = flags.seed,
          .cells = flags.cells};
}

Result<int> Run(BenchFlags flags) {
  CatchInterrupt();
  KAKEYA_RETURN_IF_ERROR(ResolveRestorer(&flags));
  KAKEYA_RETURN_IF_ERROR(CheckFlags(flags));
  const bool trained = flags.restorer_kind == "trained";
  const auto begun = std::chrono::steady_clock::now();
  KAKEYA_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                          flags.model.Load(trained ? flags.kv.RestorerDir() : ""));
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - begun;
  const size_t load_peak = PeakResidentMemory();
  flags.kv.Settle(*engine);
  if (flags.restorer_kind == "random") {
    spdlog::warn("the model has no restorer: --kv restored is measured with a random one");
  }
  SpeedOptions options{.depths = flags.depths,
                       .verify_curve = flags.verify_curve,
                       .sequences = flags.sequences,
                       .seconds = flags.seconds,
                       .seed = flags.seed,
                       .interrupted = Interrupted};
  KAKEYA_ASSIGN_OR_RETURN(options.sessions, SessionsOf(flags, engine.get()));
  ProgressLine filling("Filling the caches");
  ProgressLine measuring("Measuring");
  options.progress = [&](SpeedPhase phase, int64_t done, int64_t total) {
    if (phase == SpeedPhase::kMeasure) filling.Clear();
    (phase == SpeedPhase::kFill ? filling : measuring).Show(done, total);
  };
  const Result<Speed> speed = MeasureSpeed(engine.get(), options);
  filling.Clear();
  measuring.Clear();
  if (speed.status().code() == StatusCode::kCancelled) {
    PrintErr("kakeya: stopped; what had been measured was not kept\n");
    return kExitInterrupted;
  }
  KAKEYA_RETURN_IF_ERROR(speed.status());
  SpeedContext context = ContextOf(flags, *engine);
  context.load_seconds = load.count();
  context.load_peak_bytes = load_peak;
  if (!flags.csv.empty()) {
    KAKEYA_RETURN_IF_ERROR(WriteTextFile(flags.csv, SpeedCsv(context, *speed)));
  }
  KAKEYA_RETURN_IF_ERROR(flags.json ? PrintJson(SpeedJson(context, *speed))
                                    : Print(SpeedTable(context, *speed)));
  return kExitOk;
}

constexpr const char* kDescription =
    "Measure speed: prefill and decode at several depths, under several K/V policies";

constexpr const char* kFooter =
    "  kakeya bench -m models/demo\n"
    "  kakeya bench -m model.gguf --kv full,restored --depths 0,4096 --seconds 120 --json\n"
    "  kakeya bench -m model.gguf --kv full --depths 0 --verify-curve\n"
    "  kakeya bench -m model.gguf --kv full --depths 512 --sequences 8\n"
    "\n"
    "prefill reads --prefill-chunk tokens at once, decode one, batch one of each of --sequences,\n"
    "verify 1 to 32 with the logits of each; all stand behind DEPTH positions of random keys and\n"
    "values. Tests take turns until their medians have settled or --seconds are over. 'of read' "
    "is\n"
    "the share of the machine's read bandwidth, measured in the same run, that the pass's weights\n"
    "and exact K/V make up.\n"
    "A model of random weights in any geometry, needing no download:\n"
    "\n"
    "  kakeya quantize bench/qwen3-0.6b random-q8.gguf Q8_0 --random-weights\n"
    "  kakeya bench -m random-q8.gguf";

void RegisterMeasurement(CLI::App* verb, BenchFlags* flags) {
  verb->add_option("--kv", flags->policies,
                   "Policies to measure: full, window, restored (with a random restorer, if the "
                   "model has none)")
      ->delimiter(',')
      ->check(CLI::IsMember({"full", "window", "restored"}))
      ->capture_default_str()
      ->type_name("P,...");
  verb->add_option_function<std::vector<std::string>>(
          "--depths",
          [flags](const std::vector<std::string>& words) { flags->depths = ParseDepths(words); },
          "Positions that the cache holds before a pass; may go beyond what the model was "
          "trained for (default: 0,512,4096,16384)")
      ->delimiter(',')
      ->type_name("N,...");
  verb->add_flag("--verify-curve", flags->verify_curve,
                 "Also time checking 1 to 32 tokens at once, with the first policy at depth 0");
  verb->add_option("--sequences", flags->sequences,
                   "Also time decoding so many sequences in one pass, everywhere")
      ->check(CLI::Range(1, kMaxSpeedSequences))
      ->type_name("N");
  verb->add_option("--seconds", flags->seconds,
                   "Time to measure for, behind loading and filling; every test gets one turn at "
                   "least")
      ->capture_default_str()
      ->type_name("S");
  verb->add_flag("--cells", flags->cells,
                 "Show every single turn: cells_ms in JSON and CSV; the fastest and the slowest in "
                 "the table");
  AddSeed(verb, &flags->seed, "Of token ids, keys, values and a random restorer");
}

}  // namespace

void RegisterBench(CLI::App* app, int* exit_code) {
  CLI::App* verb = app->add_subcommand("bench", kDescription);
  verb->footer(kFooter);
  auto flags = std::make_shared<BenchFlags>();
  flags->model.Register(verb);
  RegisterMeasurement(verb, flags.get());
  verb->add_option("--csv", flags->csv, "Also write the rows to this file")->type_name("FILE");
  verb->add_flag("--json", flags->json, "Print one JSON object");
  flags->kv.RegisterSettings(verb);
  verb->callback([flags, exit_code] {
    const Result<int> code = Run(*flags);
    *exit_code = code.ok() ? *code : Fail(code.status());
  });
}

}  // namespace kakeya::cli
