// kakeya generate: completes a prompt.
#include <fmt/core.h>
#include <spdlog/spdlog.h>

#include <chrono>

#include "format/write_file.h"
#include "options.h"
#include "output.h"
#include "session/session_file.h"
#include "verbs.h"

namespace kakeya::cli {
namespace {

struct GenerateFlags {
  ModelFlags model;
  PromptFlags prompt;
  KvFlags kv;
  SamplingFlags sampling;
  std::string load_session;
  std::string save_session;
  bool json = false;
};

// Seconds that Session::Load and Save took.
struct SessionSeconds {
  double load = 0;
  double save = 0;
};

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Rate(int64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

// The object of the contract. Counters of what this build doesn't do yet are 0: the fields are
// always there.
Json Report(const Generation& generation, const Session& session, const KvFlags& kv,
            double load_seconds) {
  const KvUsage usage = session.kv_usage();
  const RestoreUsage restore = session.restore_usage();
  return {
      {"prompt_tokens", generation.prompt_tokens},
      {"tokens", generation.tokens},
      {"text", generation.text},
      {"stop", NameOf(generation.stop)},
      {"kv",
       {{"policy", kv.kv},
        {"resident_bytes", usage.resident_bytes},
        {"history_bytes", usage.history_bytes},
        {"resident_peak_bytes", usage.peak_bytes}}},
      {"restore",
       {{"chunks", restore.chunks},
        {"vectors", restore.vectors},
        {"failed", restore.failed},
        {"seconds", restore.seconds}}},
      {"draft",
       {{"drafter", "none"}, {"blocks", 0}, {"proposed", 0}, {"accepted", 0}, {"memory_bytes", 0}}},
      {"timing",
       {{"load_s", load_seconds},
        {"prefill_s", generation.prefill_seconds},
        {"decode_s", generation.decode_seconds},
        {"prefill_tok_s", Rate(generation.prefilled_tokens, generation.prefill_seconds)},
        {"decode_tok_s", Rate(generation.decode_steps, generation.decode_seconds)}}}};
}

void PrintSummary(const Generation& generation, const Session& session, const KvFlags& kv) {
  PrintErr(fmt::format(
      "[prompt {} tokens at {:.0f} tok/s | answer {} tokens at {:.1f} tok/s | K/V {} ({}), history "
      "{} | stop: {}]\n",
      generation.prompt_tokens, Rate(generation.prefilled_tokens, generation.prefill_seconds),
      generation.tokens.size(), Rate(generation.decode_steps, generation.decode_seconds),
      HumanBytes(session.kv_usage().resident_bytes), kv.kv,
      HumanBytes(session.kv_usage().history_bytes), NameOf(generation.stop)));
}

Result<Session> OpenSession(const GenerateFlags& flags, Engine* engine, SessionSeconds* seconds) {
  const SessionOptions options = flags.kv.ToOptions();
  if (flags.load_session.empty()) return Session::Create(engine, options);
  const auto start = std::chrono::steady_clock::now();
  Result<Session> session = Session::Load(engine, options, flags.load_session);
  seconds->load = SecondsSince(start);
  return session;
}

// Finds out before minutes are spent whether the files can be read and written; leaves nothing.
Status CheckSessionFiles(const GenerateFlags& flags) {
  if (!flags.load_session.empty()) KAKEYA_RETURN_IF_ERROR(CheckSessionFile(flags.load_session));
  if (flags.save_session.empty()) return OkStatus();
  return AtomicFile::Create(flags.save_session, AtomicFile::Naming::kLate,
                            AtomicFile::Access::kOwner)
      .status();
}

// A session is stamped with what the model's files are when it is opened: until it is saved they
// may be replaced.
Status IdentifyModel(const GenerateFlags& flags, const Engine& engine) {
  if (flags.load_session.empty() && flags.save_session.empty()) return OkStatus();
  return engine.ModelFingerprint().status();
}

Status SaveSession(const GenerateFlags& flags, const Session& session, SessionSeconds* seconds) {
  if (flags.save_session.empty()) return OkStatus();
  const auto start = std::chrono::steady_clock::now();
  Status status = session.Save(flags.save_session);
  seconds->save = SecondsSince(start);
  return status;
}

Result<int> Run(GenerateFlags flags) {
  KAKEYA_RETURN_IF_ERROR(flags.kv.Resolve(flags.model));
  // All that can be wrong without a model is found before gigabytes are read.
  KAKEYA_RETURN_IF_ERROR(CheckOptions(flags.kv.ToOptions()));
  KAKEYA_RETURN_IF_ERROR(CheckOptions(flags.sampling.ToOptions()));
  KAKEYA_RETURN_IF_ERROR(CheckSessionFiles(flags));
  KAKEYA_ASSIGN_OR_RETURN(const Prompt prompt,
                          flags.prompt.Read(/*continues=*/!flags.load_session.empty()));
  KAKEYA_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                          flags.model.Load(flags.kv.RestorerDir()));
  flags.kv.Settle(*engine);
  KAKEYA_RETURN_IF_ERROR(IdentifyModel(flags, *engine));
  KAKEYA_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, prompt.Encode(*engine));
  SessionSeconds seconds;
  KAKEYA_ASSIGN_OR_RETURN(Session session, OpenSession(flags, engine.get(), &seconds));
  KAKEYA_RETURN_IF_ERROR(session.Append(ids));
  const bool has_text = engine->tokenizer().ok();
  const bool stream = !flags.json && has_text;
  if (engine->eos().empty()) {
    spdlog::warn("the model names no end-of-text token: only -n and --stop end the text");
  }

  CatchInterrupt();
  GenerateOptions options = flags.sampling.ToOptions();
  ProgressLine progress("Reading the prompt");
  Status output;
  options.on_prefill = [&](int64_t done, int64_t total) {
    progress.Show(done, total);
    if (done == total) progress.Clear();
  };
  options.interrupted = [&] { return Interrupted() || !output.ok(); };
  if (stream) {
    options.on_text = [&](std::string_view text) {
      if (output.ok()) output = Print(text);
    };
  }
  KAKEYA_ASSIGN_OR_RETURN(const Generation generation, session.Generate(options));
  progress.Clear();
  KAKEYA_RETURN_IF_ERROR(output);
  // A file that can't be written costs nobody the answer.
  const Status saved = SaveSession(flags, session, &seconds);
  if (flags.json) {
    WarnOfFailedRestores(session);
    Json report = Report(generation, session, flags.kv, engine->load_seconds());
    if (!flags.load_session.empty() || !flags.save_session.empty()) {
      report["session"] = {{"load_s", seconds.load}, {"save_s", seconds.save}};
    }
    KAKEYA_RETURN_IF_ERROR(PrintJson(report));
  } else {
    // Without a tokenizer there is no text, only ids.
    KAKEYA_RETURN_IF_ERROR(Print(has_text ? "\n" : Json(generation.tokens).dump() + "\n"));
    WarnOfFailedRestores(session);
    PrintSummary(generation, session, flags.kv);
  }
  KAKEYA_RETURN_IF_ERROR(saved);
  return generation.stop == StopReason::kInterrupted ? kExitInterrupted : kExitOk;
}

}  // namespace

void RegisterGenerate(CLI::App* app, int* exit_code) {
  CLI::App* verb = app->add_subcommand("generate", "Complete a prompt");
  auto flags = std::make_shared<GenerateFlags>();
  flags->model.Register(verb);
  flags->prompt.Register(verb);
  flags->sampling.Register(verb);
  verb->add_flag("--ignore-eos", flags->sampling.ignore_eos,
                 "Go on past an end-of-text token, to the length of -n");
  flags->kv.Register(verb);
  verb->add_option("--load-session", flags->load_session,
                   "Go on where a saved session stood, with the same model and K/V options; a "
                   "prompt is read behind its text, and none is needed")
      ->type_name("FILE");
  verb->add_option("--save-session", flags->save_session,
                   "Save the text and all that was computed of it, to go on from there")
      ->type_name("FILE");
  verb->add_flag("--json", flags->json, "Print one JSON object instead of the text");
  verb->footer(
      "Examples:\n"
      "  kakeya generate -m models/demo -f book.txt -n 32 --kv window --json\n"
      "  kakeya generate -m models/demo -f book.txt -n 0 --kv restored --save-session "
      "book.session\n"
      "  kakeya generate -m models/demo -p 'Who was she?' --kv restored --load-session "
      "book.session\n"
      "The text is streamed to stdout; a line of figures follows on stderr. Special tokens in a\n"
      "prompt (written as the model's chat template writes it, say) stay text without --special.");
  verb->callback([flags, exit_code] {
    const Result<int> result = Run(*flags);
    *exit_code = result.ok() ? *result : Fail(result.status());
  });
}

}  // namespace kakeya::cli
