// kakeya quantize: a model folder or a GGUF file as a GGUF file with weights of another type.
#include <spdlog/spdlog.h>

#include <filesystem>
#include <optional>

#include "backend/quant_encode.h"
#include "base/system.h"
#include "base/thread_pool.h"
#include "convert/gguf_export.h"
#include "format/checkpoint.h"
#include "format/gguf.h"
#include "format/gguf_writer.h"
#include "model/config.h"
#include "model/tensor_check.h"
#include "options.h"
#include "output.h"
#include "text/gguf_text.h"
#include "verbs.h"

namespace kakeya::cli {
namespace {

constexpr DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0,
                            DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1};

constexpr char kTypeNames[] = "Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, F16, BF16 or F32";

struct QuantizeFlags {
  std::string in;
  std::string out;
  std::string type;
  int threads = 0;
  bool random_weights = false;
  bool no_vocab = false;
  uint64_t seed = 0;
  bool json = false;
};

// All that has to be known before the first byte is written.
struct Job {
  std::optional<Checkpoint> source;  // none: random weights
  GgufMetadata metadata;
  uint64_t alignment = kGgufDefaultAlignment;
  ExportPlan plan;
};

// "Q8_0" of the command line, in capitals or not. Errors: InvalidArgument.
Result<DType> ParseType(const std::string& text) {
  for (const DType type : kTypes) {
    if (CLI::detail::to_lower(text) == NameOf(type)) return type;
  }
  return InvalidArgument("TYPE is '{}', must be {}", text, kTypeNames);
}

// Refuses names that would be surprising, or would destroy what is read.
Status CheckOut(const QuantizeFlags& flags) {
  if (!flags.out.ends_with(".gguf")) {
    return InvalidArgument("OUT is '{}', but must end in .gguf", flags.out);
  }
  std::error_code ignored;
  if (std::filesystem::equivalent(flags.in, flags.out, ignored)) {
    return InvalidArgument("{}: IN and OUT are the same file", flags.out);
  }
  return OkStatus();
}

Status CheckNotSource(const std::string& source, const std::string& out) {
  std::error_code ignored;
  if (!std::filesystem::equivalent(source, out, ignored)) return OkStatus();
  return InvalidArgument("{}: holds the weights that are to be read", out);
}

Status ReadText(const QuantizeFlags& flags, const ModelConfig& config, Job* job) {
  const GgufTextOptions options{.vocab_size = config.vocab_size,
                                .eos_token_ids = config.eos_token_ids,
                                .bos_token_id = config.bos_token_id};
  std::error_code ignored;
  const bool has_tokenizer = std::filesystem::exists(flags.in + "/tokenizer.json", ignored);
  if (flags.no_vocab || !has_tokenizer) {
    AddNoTokenizer(options, &job->metadata);
    if (!flags.no_vocab) job->plan.notes.emplace_back("no tokenizer.json: only --ids will work");
    return OkStatus();
  }
  Result<std::vector<std::string>> notes = AddTokenizer(flags.in, options, &job->metadata);
  if (notes.status().code() == StatusCode::kUnsupported) {
    return Unsupported("{}; --no-vocab leaves the tokenizer out", notes.status().message());
  }
  KAKEYA_RETURN_IF_ERROR(notes.status());
  job->plan.notes.insert(job->plan.notes.end(), notes->begin(), notes->end());
  return OkStatus();
}

// The name of a model is that of its folder.
std::string NameOfFolder(const std::string& dir) {
  std::error_code ignored;
  const std::filesystem::path path = std::filesystem::canonical(dir, ignored);
  return path.filename().string();
}

Result<Job> JobOfFolder(const QuantizeFlags& flags, DType type) {
  KAKEYA_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(flags.in));
  Job job;
  if (flags.random_weights) {
    job.plan = PlanOfRandom(config, type);
  } else {
    KAKEYA_ASSIGN_OR_RETURN(job.source, Checkpoint::Open(flags.in));
    for (const Checkpoint::Tensor& tensor : job.source->tensors()) {
      KAKEYA_RETURN_IF_ERROR(CheckNotSource(tensor.file->path(), flags.out));
    }
    KAKEYA_RETURN_IF_ERROR(CheckTensors(*job.source, config));
    KAKEYA_ASSIGN_OR_RETURN(job.plan, PlanOfFolder(*job.source, config, type));
  }
  job.metadata = NetworkMetadata(config);
  job.metadata.SetString("general.name", NameOfFolder(flags.in));
  KAKEYA_RETURN_IF_ERROR(ReadText(flags, config, &job));
  return job;
}

Result<Job> JobOfGguf(const QuantizeFlags& flags, DType type) {
  if (flags.random_weights)
    return InvalidArgument("--random-weights is for a folder's config.json");
  if (flags.no_vocab)
    return InvalidArgument("--no-vocab is for folders; a GGUF file keeps its keys");
  // A network that this engine doesn't compute is refused: its tensors may want other care.
  KAKEYA_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(flags.in));
  Job job;
  KAKEYA_ASSIGN_OR_RETURN(job.source, Checkpoint::Open(flags.in));
  KAKEYA_RETURN_IF_ERROR(CheckTensors(*job.source, config));
  KAKEYA_ASSIGN_OR_RETURN(job.plan, PlanOfGguf(*job.source, type));
  KAKEYA_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::Open(flags.in));
  for (const MappedFile& part : file.parts()) {
    KAKEYA_RETURN_IF_ERROR(CheckNotSource(part.path(), flags.out));
  }
  const GgufHeader& header = file.header();
  for (size_t i = 0; i < header.metadata.size(); ++i) {
    if (header.metadata[i].first.starts_with("split.")) continue;  // OUT is whole
    const auto [begin, end] = header.value_extents[i];
    const auto bytes = file.file().bytes().subspan(begin, end - begin);
    job.metadata.SetRaw(header.metadata[i].first,
                        {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  KAKEYA_ASSIGN_OR_RETURN(const auto alignment, file.GetUnsigned(kGgufAlignmentKey));
  job.alignment = alignment.value_or(job.alignment);
  KAKEYA_RETURN_IF_ERROR(file.CheckIntact());
  return job;
}

Json Summary(const QuantizeFlags& flags, const Job& job, uint64_t file_bytes) {
  Json types = Json::object();
  for (const ExportTensor& tensor : job.plan.tensors) {
    const std::string name(tensor.target.type->name);
    const auto known = types.find(name);
    const uint64_t before = known == types.end() ? 0 : known->get<uint64_t>();
    types[name] = before + tensor.target.bytes();
  }
  const double bits = 8.0 * static_cast<double>(job.plan.bytes());
  return {{"out", flags.out},
          {"tensors", job.plan.tensors.size()},
          {"parameters", job.plan.elements()},
          {"source_bytes", job.source ? Json(job.source->bytes()) : Json(nullptr)},
          {"tensor_bytes", job.plan.bytes()},
          {"bytes_by_type", types},
          {"file_bytes", file_bytes},
          {"bits_per_weight", bits / static_cast<double>(job.plan.elements())},
          {"notes", job.plan.notes}};
}

std::string ToText(const Json& summary) {
  std::string types;
  for (const auto& [type, bytes] : summary["bytes_by_type"].items()) {
    types += fmt::format("{}{} {}", types.empty() ? "" : ", ", HumanBytes(bytes), type);
  }
  const Json& source = summary["source_bytes"];
  return fmt::format(
      "{}: {} tensors, {:.1f} million parameters\n"
      "{} -> {} ({}), {:.2f} bits per weight\n",
      summary["out"].get<std::string>(), summary["tensors"].get<size_t>(),
      summary["parameters"].get<double>() / 1e6,
      source.is_null() ? "random weights" : HumanBytes(source.get<uint64_t>()),
      HumanBytes(summary["tensor_bytes"].get<uint64_t>()), types,
      summary["bits_per_weight"].get<double>());
}

Result<int> Run(const QuantizeFlags& flags) {
  KAKEYA_ASSIGN_OR_RETURN(const DType type, ParseType(flags.type));
  KAKEYA_RETURN_IF_ERROR(CheckModelPath(flags.in));
  KAKEYA_RETURN_IF_ERROR(CheckOut(flags));
  KAKEYA_ASSIGN_OR_RETURN(Job job,
                          IsGgufPath(flags.in) ? JobOfGguf(flags, type) : JobOfFolder(flags, type));
  SetFileType(type, &job.metadata);
  KAKEYA_ASSIGN_OR_RETURN(const auto pool,
                          ThreadPool::Create(flags.threads > 0 ? flags.threads : AvailableCores()));
  CatchInterrupt();
  ProgressLine progress("Writing");
  const ExportOptions options{.seed = flags.seed,
                              .pool = pool.get(),
                              .progress =
                                  [&](uint64_t done, uint64_t total) {
                                    progress.Show(static_cast<int64_t>(done),
                                                  static_cast<int64_t>(total));
                                  },
                              .interrupted = Interrupted};
  KAKEYA_ASSIGN_OR_RETURN(GgufWriter writer, GgufWriter::Create(flags.out, job.metadata,
                                                                job.plan.specs(), job.alignment));
  const Status exported = ExportTensors(job.plan, options, &writer);
  progress.Clear();
  if (exported.code() == StatusCode::kCancelled) {
    PrintErr("kakeya: stopped; nothing was kept\n");
    return kExitInterrupted;
  }
  KAKEYA_RETURN_IF_ERROR(exported);
  KAKEYA_RETURN_IF_ERROR(writer.Commit());
  for (const std::string& note : job.plan.notes) spdlog::warn("{}", note);
  const Json summary = Summary(flags, job, writer.bytes_written());
  KAKEYA_RETURN_IF_ERROR(flags.json ? PrintJson(summary) : Print(ToText(summary)));
  return kExitOk;
}

constexpr const char* kQuantizeFooter =
    "  kakeya quantize models/demo demo-q8.gguf Q8_0\n"
    "  kakeya chat -m demo-q8.gguf\n"
    "\n"
    "Matrices get TYPE, the embedding and the head too; vectors (norms) stay F32. Q8_0 takes 8.5\n"
    "bits a weight and is next to lossless, Q5_0 takes 5.5, Q4_0 takes 4.5 and costs some "
    "quality;\n"
    "Q4_1 and Q5_1 take half a bit more than those. All metadata is kept: of a folder its\n"
    "tokenizer, chat template and special tokens, of a GGUF file every key.\n"
    "OUT appears whole or not at all, and memory stays at a few MiB whatever the model's size.";

}  // namespace

void RegisterQuantize(CLI::App* app, int* exit_code) {
  CLI::App* verb =
      app->add_subcommand("quantize", "Write a model as a GGUF file with weights of another type");
  verb->footer(kQuantizeFooter);
  auto flags = std::make_shared<QuantizeFlags>();
  TakesModel(
      verb->add_option("IN", flags->in, "Model folder in the Hugging Face layout, or a GGUF file"))
      ->required();
  verb->add_option("OUT", flags->out,
                   "The file to write; must end in .gguf. An older one is replaced")
      ->required();
  verb->add_option("TYPE", flags->type, kTypeNames)->required();
  verb->add_flag(
      "--random-weights", flags->random_weights,
      "Read only IN/config.json and draw the weights at random: a model to measure speed "
      "with, e.g. of bench/qwen3-0.6b");
  AddSeed(verb, &flags->seed, "Of --random-weights: same seed, same bytes");
  verb->add_flag("--no-vocab", flags->no_vocab, "Leave a folder's tokenizer out");
  verb->add_option("--threads", flags->threads, "Threads to compute with (default: the cores)")
      ->check(CLI::Range(1, 256))
      ->type_name("N");
  verb->add_flag("--json", flags->json, "Print the summary as one JSON object");
  verb->callback([flags, exit_code] {
    const Result<int> code = Run(*flags);
    *exit_code = code.ok() ? *code : Fail(code.status());
  });
}

}  // namespace kakeya::cli
