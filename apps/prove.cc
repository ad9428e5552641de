// kakeya prove: whether a bounded memory recalls what it evicted, and whether that comes from
// restoration.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <tuple>
#include <utility>

#include "base/build_id.h"
#include "base/system.h"
#include "eval/recall/prompts/builtin_haystack.h"
#include "eval/recall/report/report.h"
#include "eval/recall/run/name_list.h"
#include "eval/recall/run/restorers.h"
#include "format/fingerprint.h"
#include "format/read_file.h"
#include "format/write_file.h"
#include "options.h"
#include "output.h"
#include "prove_progress.h"
#include "verbs.h"

namespace kakeya::cli {
namespace {

constexpr size_t kMaxHaystackBytes = size_t{256} << 20;
constexpr int64_t kMaxPrompts = 100000;

struct ProveFlags {
  ModelFlags model;
  KvFlags kv;
  std::vector<int64_t> lengths = {1024, 4096};
  int64_t n = 100;
  std::string arms;  // empty: all that can run
  std::string tasks = "single";
  std::string haystack;
  uint64_t seed = 0;
  std::string json;
  std::string html;
  std::string journal;
  std::string part;  // "I/N"
  std::string command;
};

// "3/16" as 3 and 16.
Result<std::pair<int64_t, int64_t>> ParsePart(const std::string& text) {
  int64_t part = 0;
  int64_t parts = 0;
  const char* const end = text.data() + text.size();
  const auto [slash, first] = std::from_chars(text.data(), end, part);
  if (first == std::errc() && slash != end && *slash == '/') {
    const auto [rest, second] = std::from_chars(slash + 1, end, parts);
    if (second == std::errc() && rest == end && 1 <= part && part <= parts &&
        parts <= kMaxPrompts) {
      return std::pair(part, parts);
    }
  }
  return InvalidArgument("--part wants I/N with 1 <= I <= N <= {}, as in 3/16, not '{}'",
                         kMaxPrompts, text);
}

Result<std::string> FingerprintOf(const std::string& dir) {
  KAKEYA_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(dir));
  return Fingerprint(checkpoint);
}

// What beside the weights decides what a model answers: a folder's other files, a GGUF file's
// metadata.
std::string HashOfTexts(const std::string& model) {
  if (IsGgufPath(model)) {
    const Result<GgufFile> file = GgufFile::Open(model);
    if (!file.ok() || file->header().tensors.empty()) return FingerprintOfText("");
    const auto* bytes = reinterpret_cast<const char*>(file->file().data());
    const GgufTensor& first = file->header().tensors[0];
    const size_t end = first.part == 0 ? first.begin : file->file().size();
    return FingerprintOfText({bytes, end});
  }
  std::string all;
  for (const char* name :
       {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}) {
    const Result<std::string> text = ReadFileBytes(model + "/" + name, kMaxHaystackBytes);
    all += text.ok() ? FingerprintOfText(*text) : "none";
  }
  return FingerprintOfText(all);
}

class Prove {
 public:
  explicit Prove(ProveFlags flags) : flags_(std::move(flags)) {}

  Result<int> Run() {
    KAKEYA_RETURN_IF_ERROR(ReadFlags());
    KAKEYA_RETURN_IF_ERROR(OpenOutputs());
    KAKEYA_ASSIGN_OR_RETURN(engine_, flags_.model.Load(flags_.kv.RestorerDir()));
    flags_.kv.Settle(*engine_);
    KAKEYA_ASSIGN_OR_RETURN(const RecallRestorers restorers,
                            RestorersOf(engine_.get(), options_.session, flags_.seed));
    options_.session.restore.restorer = {};
    options_.session.restore.chunks = flags_.kv.restore_chunks;
    if (flags_.arms.empty()) {
      const auto missing = [&](RecallArm arm) { return Restores(arm) && !restorers.For(arm); };
      options_.arms.erase(std::remove_if(options_.arms.begin(), options_.arms.end(), missing),
                          options_.arms.end());
    }
    KAKEYA_ASSIGN_OR_RETURN(RecallJournal journal, OpenJournal());
    KAKEYA_ASSIGN_OR_RETURN(const RecallPromptMaker maker,
                            RecallPromptMaker::Create(engine_.get(), std::move(haystack_)));

    CatchInterrupt();
    ProveProgress progress;
    const RecallHooks hooks{.progress = [&](const RecallProgress& at) { progress.Show(at); },
                            .interrupted = Interrupted};
    const Result<RecallOutcome> outcome = RunRecall(
        engine_.get(), options_, restorers,
        [&](const RecallPromptSpec& spec) { return maker.Make(spec); }, hooks, &journal);
    progress.Clear();
    if (outcome.status().code() == StatusCode::kCancelled) return Stopped();
    KAKEYA_RETURN_IF_ERROR(outcome.status());
    if (!flags_.part.empty()) {
      PrintErr(fmt::format("kakeya: part {}: {} runs are in {}\n", flags_.part,
                           outcome->records.size(), flags_.journal));
      return kExitOk;
    }
    return Report(*outcome);
  }

 private:
  Status ReadFlags() {
    KAKEYA_RETURN_IF_ERROR(flags_.kv.Resolve(flags_.model));
    options_.session = flags_.kv.ToOptions();
    KAKEYA_RETURN_IF_ERROR(CheckOptions(options_.session));
    KAKEYA_ASSIGN_OR_RETURN(options_.tasks,
                            ParseNameList<RecallTask>(flags_.tasks, AllTasks(), "task"));
    options_.arms = AllArms();
    if (!flags_.arms.empty()) {
      KAKEYA_ASSIGN_OR_RETURN(options_.arms, ParseArms(flags_.arms));
    }
    options_.lengths = flags_.lengths;
    std::sort(options_.lengths.begin(), options_.lengths.end());
    options_.lengths.erase(std::unique(options_.lengths.begin(), options_.lengths.end()),
                           options_.lengths.end());
    options_.n = flags_.n;
    options_.seed = flags_.seed;
    if (!flags_.part.empty()) {
      KAKEYA_ASSIGN_OR_RETURN(std::tie(options_.part, options_.parts), ParsePart(flags_.part));
      if (flags_.journal.empty() || !flags_.json.empty() || !flags_.html.empty()) {
        return InvalidArgument(
            "--part goes with --journal, and without --json and --html: a part is no report");
      }
    }
    if (flags_.haystack.empty()) {
      haystack_ = BuiltinHaystack();
      haystack_name_ = BuiltinHaystackName();
    } else {
      KAKEYA_ASSIGN_OR_RETURN(haystack_, ReadTextFile(flags_.haystack, kMaxHaystackBytes));
      haystack_name_ = flags_.haystack;
    }
    if (haystack_.empty()) return InvalidArgument("{}: the haystack is empty", flags_.haystack);
    return OkStatus();
  }

  // The reports' files are opened first: hours of work must not end at a folder that isn't there.
  Status OpenOutputs() {
    const auto open = [](const std::string& path, std::optional<AtomicFile>* file) -> Status {
      if (path.empty()) return OkStatus();
      KAKEYA_ASSIGN_OR_RETURN(AtomicFile opened, AtomicFile::Create(path));
      file->emplace(std::move(opened));
      return OkStatus();
    };
    KAKEYA_RETURN_IF_ERROR(open(flags_.json, &json_file_));
    return open(flags_.html, &html_file_);
  }

  // The journal that was asked for, or one beside the report that goes when that is written.
  Result<RecallJournal> OpenJournal() {
    journal_path_ = flags_.journal;
    if (journal_path_.empty() && !flags_.json.empty()) journal_path_ = flags_.json + ".journal";
    if (journal_path_.empty() && !flags_.html.empty()) journal_path_ = flags_.html + ".journal";
    if (journal_path_.empty()) return RecallJournal();
    KAKEYA_ASSIGN_OR_RETURN(const std::string model, FingerprintOf(flags_.model.path));
    Json restorer = nullptr;
    const std::string dir = flags_.kv.RestorerDir();
    if (!dir.empty()) {
      KAKEYA_ASSIGN_OR_RETURN(const std::string weights, FingerprintOf(dir));
      restorer = weights + HashOfTexts(dir);
    } else if (!flags_.kv.restorer.empty()) {
      restorer = flags_.kv.restorer;
    }
    // Not the lengths, tasks and arms: a run may be divided by them, and grow.
    const Json settings = {{"version", KAKEYA_VERSION},
                           {"build", BuildId()},
                           {"model", model + HashOfTexts(flags_.model.path)},
                           {"restorer", restorer},
                           {"haystack", FingerprintOfText(haystack_)},
                           {"n", flags_.n},
                           {"seed", flags_.seed},
                           {"sink", flags_.kv.sink},
                           {"window", flags_.kv.window},
                           {"kv_type", flags_.kv.kv_type},
                           {"restore_chunks", ChunksText(flags_.kv.restore_chunks)},
                           {"restore_buffer", BufferBytes()},
                           {"prefill_chunk", flags_.kv.prefill_chunk},
                           {"threads", Threads()}};
    return RecallJournal::Open(journal_path_, settings);
  }

  int Threads() const { return flags_.model.threads > 0 ? flags_.model.threads : AvailableCores(); }

  // Of the arms that restore; 0: none can.
  uint64_t BufferBytes() const {
    if (flags_.kv.kv != "restored") return 0;
    const Model& model = engine_->model();
    const LayerConfig& layer = model.config.common_layer();
    const KvShape shape{.layers = model.config.num_layers(),
                        .kv_heads = layer.num_kv_heads,
                        .head_dim = layer.head_dim,
                        .type = options_.session.kv_type.value_or(KvTypeFor(model.weights.dtype))};
    return RestoreBufferBytes(options_.session.restore, shape);
  }

  int Stopped() const {
    PrintErr(journal_path_.empty()
                 ? std::string("kakeya: stopped; without --json or --journal nothing was kept\n")
                 : fmt::format("kakeya: stopped; the same command goes on where it was ({})\n",
                               journal_path_));
    return kExitInterrupted;
  }

  Result<int> Report(const RecallOutcome& outcome) {
    RecallSource source{
        .version = KAKEYA_VERSION,
        .build = BuildId(),
        .command = flags_.command,
        .model = WithoutPlace(flags_.model.path),
        .restorer = flags_.kv.kv == "restored" ? WithoutPlace(flags_.kv.restorer) : "",
        .haystack = WithoutPlace(haystack_name_),
        .kv_type = flags_.kv.kv_type,
        .restore_buffer = BufferBytes(),
        .threads = Threads()};
    const RecallReport report = MakeReport(*engine_, options_, outcome, std::move(source));
    const auto write = [](std::optional<AtomicFile>* file, const std::string& text) -> Status {
      if (!file->has_value()) return OkStatus();
      KAKEYA_RETURN_IF_ERROR((*file)->Write(std::as_bytes(std::span(text))));
      return (*file)->Commit();
    };
    KAKEYA_RETURN_IF_ERROR(
        write(&json_file_,
              ReportAsJson(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"));
    KAKEYA_RETURN_IF_ERROR(write(&html_file_, ReportAsHtml(report)));
    KAKEYA_RETURN_IF_ERROR(Print(ReportAsText(report)));
    if (flags_.journal.empty() && !journal_path_.empty()) {
      std::error_code ignored;
      std::filesystem::remove(journal_path_, ignored);
    }
    return report.verdict.verdict == Verdict::kHolds ? kExitOk : kExitClaimFailed;
  }

  ProveFlags flags_;
  RecallOptions options_;
  std::string haystack_;
  std::string haystack_name_;
  std::string journal_path_;
  std::optional<AtomicFile> json_file_;
  std::optional<AtomicFile> html_file_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace

void RegisterProve(CLI::App* app, const std::string& command, int* exit_code) {
  CLI::App* verb = app->add_subcommand(
      "prove", "Ask for facts that were evicted, in every arm of the recall matrix");
  auto flags = std::make_shared<ProveFlags>();
  flags->command = command;
  flags->model.Register(verb);
  verb->add_option("--lengths", flags->lengths, "Tokens of text and question, each on its own")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{64}, kMaxPromptTokens))
      ->capture_default_str()
      ->type_name("N,...");
  verb->add_option("-n,--prompts", flags->n, "Prompts per task and length")
      ->check(CLI::Range(int64_t{1}, kMaxPrompts))
      ->capture_default_str()
      ->type_name("N");
  verb->add_option(
          "--arms", flags->arms,
          "oracle, restored, window, foreign, untrained, shuffled, without-needle, "
          "counterfactual, only-needle, reinsert, self, or all (default: all that can run)")
      ->type_name("A,...");
  verb->add_option("--tasks", flags->tasks,
                   "single, look-alikes, other-words, four-values, four-questions, chain, json, "
                   "chat, or all; the verdict is about single")
      ->capture_default_str()
      ->type_name("T,...");
  verb->add_option("--haystack", flags->haystack,
                   "Text to hide the facts in (default: a novel that comes with the program)")
      ->type_name("FILE");
  AddSeed(verb, &flags->seed, "Same seed, same prompts");
  verb->add_option("--json", flags->json, "Write the report as one JSON object")->type_name("FILE");
  verb->add_option("--html", flags->html, "Write the report as a page with plots")
      ->type_name("FILE");
  verb->add_option("--journal", flags->journal,
                   "Keep what is done here and go on from it (default: beside the report, removed "
                   "when that is written)")
      ->type_name("FILE");
  verb->add_option("--part", flags->part,
                   "Run every Nth prompt from the Ith on, and keep it in the journal: N processes "
                   "share a run. One journal with the lines of the others (but their first) behind "
                   "its own is the journal of all")
      ->type_name("I/N");
  flags->kv.RegisterSettings(verb);
  verb->footer(
      "Example: kakeya prove -m models/demo --lengths 1024,4096 -n 100 --json proof.json --html "
      "proof.html\n"
      "Exit code 0: the claim holds; 1: it fails, or a layer kept what it should not have.");
  verb->callback([flags, exit_code] {
    const Result<int> result = Prove(*flags).Run();
    *exit_code = result.ok() ? *result : Fail(result.status());
  });
}

}  // namespace kakeya::cli
