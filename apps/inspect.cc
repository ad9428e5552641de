// kakeya inspect: what a model folder or a GGUF file holds, without loading the weights.
#include <fmt/core.h>

#include <filesystem>

#include "cache/window.h"
#include "format/checkpoint.h"
#include "format/fingerprint.h"
#include "format/quote.h"
#include "model/config.h"
#include "model/tensor_check.h"
#include "options.h"
#include "output.h"
#include "proposer/history.h"
#include "proposer/restorer_config.h"
#include "text/model_text.h"
#include "verbs.h"

namespace kakeya::cli {
namespace {

struct InspectFlags {
  std::string model;
  bool tensors = false;
  bool check = false;
  bool json = false;
};

std::string_view NameOf(RopeScaling scaling) {
  switch (scaling) {
    case RopeScaling::kNone:
      return "none";
    case RopeScaling::kLinear:
      return "linear";
    case RopeScaling::kLlama3:
      return "llama3";
    case RopeScaling::kFactors:
      return "factors";
    case RopeScaling::kYarn:
      return "yarn";
    case RopeScaling::kLongRope:
      return "longrope";
    case RopeScaling::kDynamic:
      return "dynamic";
  }
  return "?";
}

Json DescribeConfig(const ModelConfig& config) {
  return {{"architecture", NameOf(config.architecture)},
          {"layers", config.num_layers()},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.common_layer().intermediate_size},
          {"heads", config.common_layer().num_heads},
          {"kv_heads", config.common_layer().num_kv_heads},
          {"head_dim", config.common_layer().head_dim},
          {"vocab_size", config.vocab_size},
          {"tied_embeddings", config.tie_word_embeddings},
          {"qk_norm", config.common_layer().qk_norm},
          {"rope_theta", config.ropes[0].theta},
          {"rope_scaling", NameOf(config.ropes[0].scaling)},
          {"rope_attention_factor", config.ropes[0].attention_factor},
          {"max_positions", config.max_positions},
          {"eos_token_ids", config.eos_token_ids}};
}

Json DescribeTensors(const Checkpoint& checkpoint, bool list) {
  int64_t parameters = 0;
  Json tensors = Json::array();
  std::vector<std::pair<std::string, int64_t>>
      types;  // bytes by element type, in order of appearance
  for (const Checkpoint::Tensor& tensor : checkpoint.tensors()) {
    int64_t elements = 1;
    for (const int64_t d : tensor.shape) elements *= d;
    parameters += elements;
    const auto bytes = static_cast<int64_t>(tensor.bytes());
    auto type = std::find_if(types.begin(), types.end(),
                             [&](const auto& t) { return t.first == tensor.type; });
    if (type == types.end()) type = types.insert(types.end(), {tensor.type, 0});
    type->second += bytes;
    if (list) {
      tensors.push_back({{"name", tensor.name},
                         {"type", tensor.type},
                         {"shape", tensor.shape},
                         {"bytes", bytes}});
    }
  }
  Json out = {{"files", checkpoint.file_count()},
              {"count", checkpoint.tensors().size()},
              {"parameters", parameters},
              {"bytes", checkpoint.bytes()},
              {"bytes_by_type", Json::object()}};
  for (const auto& [type, bytes] : types) out["bytes_by_type"][type] = bytes;
  if (list) out["list"] = std::move(tensors);
  return out;
}

// What a file holds beyond its network, and what is made of it.
Json DescribeUnknown(const std::vector<UnknownTensor>& unknown) {
  constexpr const char* kKinds[] = {"refused", "unused", "harmless"};
  Json out = Json::array();
  for (const UnknownTensor& tensor : unknown) {
    out.push_back({{"name", tensor.tensor->name},
                   {"kind", kKinds[static_cast<size_t>(tensor.kind)]},
                   {"reason", tensor.reason}});
  }
  return out;
}

// Bytes of K/V in BF16: per position with --kv full, and in all with the default window.
Json DescribeKv(const ModelConfig& config) {
  const KvPolicy window{.kind = KvPolicy::Kind::kWindow};
  const int64_t per_position =
      int64_t{2} * config.num_layers() * config.common_layer().kv_size() * 2;
  const int64_t slabs = WindowChunks(window) + SinkChunks(window);
  return {{"bytes_per_position", per_position},
          {"full_bytes_at_max_positions", per_position * config.max_positions},
          {"window_bytes", slabs * kChunk * per_position}};
}

Json DescribeText(const std::string& model, const ModelConfig& config) {
  Json out = {{"tokenizer", nullptr}, {"chat_template", false}};
  Result<Tokenizer> tokenizer = LoadTokenizer(model);
  if (!tokenizer.ok()) {
    out["tokenizer_error"] = tokenizer.status().message();
    return out;
  }
  out["tokenizer"] = {{"tokens", tokenizer->vocab_size()}};
  const Status status = tokenizer->LimitIds(config.vocab_size);
  if (!status.ok()) out["tokenizer_error"] = status.message();
  if (!tokenizer->notes().empty()) out["tokenizer_notes"] = tokenizer->notes();
  out["chat_template"] = LoadChatSettings(model).ok();
  return out;
}

// What the proposer is told of exact recurrence; null if nothing.
Json DescribeRecurrence(const RestorerConfig::Recurrence& recurrence) {
  if (!recurrence.used()) return nullptr;
  return {
      {"lengths", recurrence.lengths}, {"buckets", recurrence.buckets}, {"next", recurrence.next}};
}

// A folder's restorer, and whether it was made for this very model; null if there is none. Reads
// all weights once, to tell.
Json DescribeRestorer(const std::string& model, const ModelConfig& config,
                      const Checkpoint& checkpoint) {
  if (checkpoint.is_gguf()) return nullptr;
  const std::string restorer_dir = model + "/restorer";
  std::error_code ignored;
  if (!std::filesystem::exists(restorer_dir, ignored)) return nullptr;
  const Result<std::string> fingerprint = Fingerprint(checkpoint);
  if (!fingerprint.ok()) return {{"error", fingerprint.status().message()}};
  const Result<RestorerConfig> restorer = LoadRestorerConfig(restorer_dir, config, *fingerprint);
  if (!restorer.ok()) return {{"error", restorer.status().message()}};
  return {{"proposer_layers", restorer->proposer.layers},
          {"proposer_hidden", restorer->proposer.hidden},
          {"code_dim", restorer->code_dim},
          {"token_dim", restorer->token_dim},
          {"recurrence", DescribeRecurrence(restorer->recurrence)},
          {"summary", {{"segments", restorer->summary.segments}, {"dim", restorer->summary.dim}}},
          {"chunks", restorer->chunks},
          {"max_distance", restorer->max_distance},
          {"history_bytes_per_chunk", History::RecordBytes(*restorer)}};
}

// "key  value" lines, one level of nesting written as key.subkey.
std::string Table(const Json& json, const std::string& prefix = "") {
  std::string out;
  for (const auto& [key, value] : json.items()) {
    if (value.is_object()) {
      out += Table(value, prefix + key + ".");
    } else if (key == "list") {
      for (const Json& t : value) {
        out += fmt::format("  {:<8}{:<20}{}\n", t["type"].get<std::string>(), t["shape"].dump(),
                           t["name"].get<std::string>());
      }
    } else if (key == "unknown") {
      for (const Json& t : value) {
        out += fmt::format("  {:<10}{}: {}\n", t["kind"].get<std::string>(),
                           Printable(t["name"].get<std::string>()), t["reason"].get<std::string>());
      }
    } else {
      out += fmt::format("{:<36}{}\n", prefix + key,
                         value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
  return out;
}

Status Run(const InspectFlags& flags) {
  KAKEYA_RETURN_IF_ERROR(CheckModelPath(flags.model));
  KAKEYA_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(flags.model));
  KAKEYA_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(flags.model));
  Json tensors = DescribeTensors(checkpoint, flags.tensors);
  Status checked;
  if (flags.check) {
    tensors["unknown"] = DescribeUnknown(FindUnknownTensors(checkpoint, config));
    checked = CheckTensors(checkpoint, config, HeadRows::kAll);
    // What is refused by name is listed all the same.
    if (checked.ok()) KAKEYA_RETURN_IF_ERROR(ModelFlags{.path = flags.model}.Load().status());
  }
  const Json report = {{"model", flags.model},
                       {"config", DescribeConfig(config)},
                       {"tensors", std::move(tensors)},
                       {"kv", DescribeKv(config)},
                       {"restorer", DescribeRestorer(flags.model, config, checkpoint)},
                       {"text", DescribeText(flags.model, config)}};
  KAKEYA_RETURN_IF_ERROR(flags.json ? PrintJson(report) : Print(Table(report)));
  return checked;
}

}  // namespace

void RegisterInspect(CLI::App* app, int* exit_code) {
  CLI::App* verb = app->add_subcommand("inspect", "Describe a model folder or a GGUF file");
  auto flags = std::make_shared<InspectFlags>();
  TakesModel(verb->add_option("-m,--model", flags->model,
                              "Model folder in the Hugging Face layout, or a GGUF file"))
      ->required()
      ->type_name("MODEL");
  verb->add_flag("--tensors", flags->tensors, "List every tensor");
  verb->add_flag(
      "--check", flags->check,
      "Also load the model: every shape is compared with the config, every weight must be "
      "a finite number, and tensors that the network doesn't have are listed");
  verb->add_flag("--json", flags->json, "Print one JSON object");
  verb->callback([flags, exit_code] {
    const Status status = Run(*flags);
    *exit_code = status.ok() ? kExitOk : Fail(status);
  });
}

}  // namespace kakeya::cli
