#include "convert/gguf_export.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/quant_encode.h"
#include "format/quote.h"
#include "model/config_rules.h"
#include "model/gguf_rope.h"
#include "model/parameter_names.h"
#include "model/rope.h"
#include "model/rope_config.h"

namespace kakeya {
namespace {

// Of what is written at once.
constexpr uint64_t kPieceBytes = uint64_t{4} << 20;

// Enough for a plan's parameters: what each is and its shape.
struct NetworkTensor {
  Parameter parameter;
  int layer;
  std::vector<int64_t> shape;
};

std::vector<NetworkTensor> TensorsOf(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  std::vector<NetworkTensor> out;
  out.push_back({Parameter::kEmbedding, 0, {config.vocab_size, hidden}});
  if (!config.tie_word_embeddings)
    out.push_back({Parameter::kHead, 0, {config.vocab_size, hidden}});
  out.push_back({Parameter::kFinalNorm, 0, {hidden}});
  for (int i = 0; i < config.num_layers(); ++i) {
    const LayerConfig& layer = config.layers[i];
    const int64_t inner = layer.intermediate_size;
    out.push_back({Parameter::kAttnNorm, i, {hidden}});
    out.push_back({Parameter::kQ, i, {layer.q_size(), hidden}});
    out.push_back({Parameter::kK, i, {layer.kv_size(), hidden}});
    out.push_back({Parameter::kV, i, {layer.kv_size(), hidden}});
    out.push_back({Parameter::kO, i, {hidden, layer.q_size()}});
    if (layer.qk_norm) {
      out.push_back({Parameter::kQNorm, i, {layer.head_dim}});
      out.push_back({Parameter::kKNorm, i, {layer.head_dim}});
    }
    out.push_back({Parameter::kMlpNorm, i, {hidden}});
    out.push_back({Parameter::kGate, i, {inner, hidden}});
    out.push_back({Parameter::kUp, i, {inner, hidden}});
    out.push_back({Parameter::kDown, i, {hidden, inner}});
  }
  return out;
}

const GgufTensorType& FileTypeOf(DType type) {
  switch (type) {
    case DType::kF16:
      return GgufTypeNamed("F16");
    case DType::kBF16:
      return GgufTypeNamed("BF16");
    case DType::kQ8_0:
      return GgufTypeNamed("Q8_0");
    case DType::kQ4_0:
      return GgufTypeNamed("Q4_0");
    case DType::kQ4_1:
      return GgufTypeNamed("Q4_1");
    case DType::kQ5_0:
      return GgufTypeNamed("Q5_0");
    case DType::kQ5_1:
      return GgufTypeNamed("Q5_1");
    default:
      return GgufTypeNamed("F32");
  }
}

DType DTypeOf(const GgufTensorType& type) {
  for (const DType known : {DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                            DType::kQ5_0, DType::kQ5_1}) {
    if (FileTypeOf(known).id == type.id) return known;
  }
  assert(type.name == "F32");
  return DType::kF32;
}

// What a tensor of this shape is stored as; says so in a note where it isn't what was asked for.
const GgufTensorType& TargetType(const std::string& name, const std::vector<int64_t>& shape,
                                 DType type, ExportPlan* plan) {
  if (shape.size() < 2) return FileTypeOf(DType::kF32);
  if (shape.back() % BlockElements(type) == 0) return FileTypeOf(type);
  plan->notes.push_back(
      fmt::format("{} {} stays F16: its rows of {} elements are no whole blocks of {}",
                  Printable(name), ShapeString(shape), shape.back(), BlockElements(type)));
  return FileTypeOf(DType::kF16);
}

// Whether a scaling that GGUF has no name for goes into the file as a factor for each frequency.
bool IsWrittenAsFactors(const RopeConfig& rope) {
  return rope.scaling == RopeScaling::kLlama3 ||
         (rope.scaling == RopeScaling::kYarn && !rope.truncate);
}

// What such a scaling divides each rotary frequency by.
std::vector<float> RopeFactors(const ModelConfig& config) {
  ModelConfig plain = config;
  plain.ropes[0].scaling = RopeScaling::kNone;
  const std::vector<float> unscaled = RopeFrequencies(plain, /*rope=*/0);
  const std::vector<float> scaled = RopeFrequencies(config, /*rope=*/0);
  std::vector<float> factors(scaled.size());
  for (size_t i = 0; i < factors.size(); ++i) factors[i] = unscaled[i] / scaled[i];
  return factors;
}

// The network's tensors with their names and types in the file, sources still missing.
ExportPlan PlanOf(const ModelConfig& config, DType type) {
  ExportPlan plan;
  for (const NetworkTensor& tensor : TensorsOf(config)) {
    std::string name = TensorName(/*gguf=*/true, tensor.parameter, tensor.layer);
    const GgufTensorType& stored = TargetType(name, tensor.shape, type, &plan);
    plan.tensors.push_back({.target = {std::move(name), &stored, tensor.shape}});
  }
  const auto add_factors = [&](const char* name, std::vector<float> factors) {
    plan.tensors.push_back(
        {.target = {name, &FileTypeOf(DType::kF32), {config.common_layer().head_dim / 2}},
         .values = std::move(factors)});
  };
  const RopeConfig& rope = config.ropes[0];
  if (IsWrittenAsFactors(rope)) add_factors(kGgufRopeFactors, RopeFactors(config));
  if (rope.scaling == RopeScaling::kLongRope) {
    add_factors(kGgufRopeLong, rope.factors);
    add_factors(kGgufRopeShort, rope.short_factors);
  }
  if (rope.scaling == RopeScaling::kDynamic) {
    plan.notes.emplace_back(
        "rope_type dynamic is left out: a GGUF file has no name for it, and within the context it "
        "changes nothing");
  }
  return plan;
}

// A generator with no state to share: SplitMix64 (Steele et al. 2014), started anew for each row.
class RowGenerator {
 public:
  RowGenerator(uint64_t seed, uint64_t tensor, uint64_t row)
      : state_(Mix(Mix(Mix(seed) + tensor) + row)) {}

  // Uniform in [-1, 1).
  float Next() {
    state_ += kStep;
    return static_cast<float>(static_cast<int64_t>(Mix(state_)) >> 40) * 0x1p-23f;
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;
  static uint64_t Mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

// Writes one tensor, piece by piece of whole rows.
class TensorExporter {
 public:
  TensorExporter(const ExportTensor& tensor, uint64_t index, const ExportOptions& options,
                 GgufWriter* writer)
      : tensor_(tensor),
        index_(index),
        options_(options),
        writer_(writer),
        cols_(tensor.target.shape.back()),
        rows_(static_cast<int64_t>(tensor.target.elements()) / cols_),
        type_(IsCopy() ? DType::kF32 : DTypeOf(*tensor.target.type)),
        row_bytes_(tensor.target.bytes() / static_cast<uint64_t>(rows_)) {}

  Status Run(const std::function<Status(uint64_t bytes)>& after_piece) {
    const int64_t piece = std::max<int64_t>(1, static_cast<int64_t>(kPieceBytes / row_bytes_));
    std::vector<std::byte> out;
    for (int64_t first = 0; first < rows_; first += piece) {
      const int64_t rows = std::min(piece, rows_ - first);
      out.resize(static_cast<size_t>(rows) * row_bytes_);
      KAKEYA_RETURN_IF_ERROR(Convert(first, rows, out.data()));
      KAKEYA_RETURN_IF_ERROR(writer_->Write(out));
      GiveBack(first, rows);
      KAKEYA_RETURN_IF_ERROR(after_piece(out.size()));
    }
    return OkStatus();
  }

 private:
  bool IsCopy() const {
    return tensor_.source != nullptr && tensor_.source->type == tensor_.target.type->name;
  }
  uint64_t SourceRowBytes() const { return tensor_.source->bytes() / static_cast<uint64_t>(rows_); }

  // The source's row that becomes this row of the file: the i-th rotary pair's j-th half is row
  // j * half + i of its head there, 2 i + j here.
  int64_t SourceRow(int64_t row) const {
    if (tensor_.pair_heads == 0) return row;
    const int64_t head_rows = rows_ / tensor_.pair_heads;
    const int64_t in_head = row % head_rows;
    return row - in_head + in_head % 2 * (head_rows / 2) + in_head / 2;
  }

  void LoadRow(int64_t row, float* out) const {
    if (tensor_.source != nullptr) {
      const std::byte* from =
          tensor_.source->data() + static_cast<uint64_t>(SourceRow(row)) * SourceRowBytes();
      DecodeRow(*tensor_.source->dtype, from, cols_, out);
    } else if (!tensor_.values.empty()) {
      std::copy(tensor_.values.begin(), tensor_.values.end(), out);
    } else if (tensor_.target.shape.size() < 2) {
      std::fill_n(out, cols_, 1.0f);
    } else {
      RowGenerator uniform(options_.seed, index_, static_cast<uint64_t>(row));
      const float scale = std::sqrt(3.0f / static_cast<float>(cols_));  // variance 1 / inputs
      for (int64_t i = 0; i < cols_; ++i) out[i] = scale * uniform.Next();
    }
  }

  // Rows [first, first + rows) as the file has them.
  Status Convert(int64_t first, int64_t rows, std::byte* out) {
    constexpr int64_t kTasks = 64;
    const int64_t per_task = (rows + kTasks - 1) / kTasks;
    std::atomic<int64_t> bad = std::numeric_limits<int64_t>::max();  // first element, all rows
    ParallelFor(options_.pool, (rows + per_task - 1) / per_task, [&](int64_t task) {
      std::vector<float> values(IsCopy() ? 0 : static_cast<size_t>(cols_));
      for (int64_t r = task * per_task; r < std::min(rows, (task + 1) * per_task); ++r) {
        std::byte* to = out + static_cast<uint64_t>(r) * row_bytes_;
        if (IsCopy()) {
          const auto from = static_cast<uint64_t>(SourceRow(first + r)) * row_bytes_;
          std::memcpy(to, tensor_.source->data() + from, row_bytes_);
          continue;
        }
        LoadRow(first + r, values.data());
        const int64_t at = EncodeRow(type_, values.data(), cols_, to);
        if (at < 0) continue;
        const int64_t element = (first + r) * cols_ + at;
        int64_t known = bad.load();
        while (element < known && !bad.compare_exchange_weak(known, element)) {
        }
      }
    });
    return bad == std::numeric_limits<int64_t>::max() ? OkStatus() : Fault(bad);
  }

  Status Fault(int64_t element) const {
    std::vector<float> values(static_cast<size_t>(cols_));
    LoadRow(element / cols_, values.data());
    const float value = values[static_cast<size_t>(element % cols_)];
    const std::string where =
        fmt::format("{}: {}", tensor_.source->file->path(), Printable(tensor_.source->name));
    const std::string at = fmt::format("[{}, {}]", SourceRow(element / cols_), element % cols_);
    if (!std::isfinite(value)) {
      return Corrupt("{} holds a NaN or an infinity at {}", where, at);
    }
    return Unsupported("{} holds {} at {}, more than {} can", where, value, at,
                       tensor_.target.type->name);
  }

  void GiveBack(int64_t first, int64_t rows) const {
    if (tensor_.source == nullptr) return;
    if (tensor_.pair_heads > 0) {  // rows of a piece are all over a head
      if (first + rows == rows_) tensor_.source->GiveBack();
      return;
    }
    tensor_.source->file->DontNeed(
        tensor_.source->begin + static_cast<uint64_t>(first) * SourceRowBytes(),
        static_cast<uint64_t>(rows) * SourceRowBytes());
  }

  const ExportTensor& tensor_;
  const uint64_t index_;
  const ExportOptions& options_;
  GgufWriter* const writer_;
  const int64_t cols_;
  const int64_t rows_;
  const DType type_;  // of the file, unless bytes are copied
  const uint64_t row_bytes_;
};

}  // namespace

namespace {

// The keys of the rotary scaling, as ReadGgufRope reads them.
void AddRopeScaling(const ModelConfig& config, GgufMetadata* out) {
  const RopeConfig& rope = config.ropes[0];
  const std::string prefix = std::string(NameOf(config.architecture)) + ".rope.scaling.";
  const auto set = [&](const char* name, double value) {
    out->SetF32(prefix + name, static_cast<float>(value));
  };
  double attention_factor = rope.attention_factor;
  const bool yarn = rope.scaling == RopeScaling::kYarn && !IsWrittenAsFactors(rope);
  if (yarn || rope.scaling == RopeScaling::kLongRope) {
    out->SetString(prefix + "type", yarn ? "yarn" : "longrope");
    set("factor", rope.factor);
    out->SetU32(prefix + "original_context_length",
                static_cast<uint32_t>(rope.original_max_positions));
  }
  if (yarn) {
    set("yarn_beta_fast", rope.beta_fast);
    set("yarn_beta_slow", rope.beta_slow);
    attention_factor /= YarnMagnitude(rope.factor);  // which whoever reads the file multiplies by
  }
  if (rope.scaling == RopeScaling::kLinear) {
    out->SetString(prefix + "type", "linear");
    set("factor", rope.factor);
  }
  if (attention_factor != 1) set("attn_factor", attention_factor);
}

}  // namespace

GgufMetadata NetworkMetadata(const ModelConfig& config) {
  GgufMetadata out;
  const std::string arch = NameOf(config.architecture);
  const LayerConfig& layer = config.common_layer();
  const ConfigKeys keys = GgufKeys(config.architecture);
  const auto set = [&](const std::string& key, int64_t value) {
    out.SetU32(key, static_cast<uint32_t>(value));
  };
  out.SetString("general.architecture", arch);
  set(arch + ".block_count", config.num_layers());
  set(arch + ".context_length", config.max_positions);
  set(keys.hidden_size, config.hidden_size);
  set(keys.intermediate_size, layer.intermediate_size);
  set(keys.num_heads, layer.num_heads);
  set(keys.num_kv_heads, layer.num_kv_heads);
  set(keys.head_dim, layer.head_dim);
  set(arch + ".attention.value_length", layer.head_dim);
  set(arch + ".rope.dimension_count", layer.head_dim);
  set(keys.vocab_size, config.vocab_size);
  out.SetF32(arch + ".attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  out.SetF32(arch + ".rope.freq_base", static_cast<float>(config.ropes[0].theta));
  AddRopeScaling(config, &out);
  return out;
}

void SetFileType(DType type, GgufMetadata* metadata) {
  assert(CanEncode(type));
  // ggml's llama_ftype.
  constexpr std::array<uint32_t, 8> kNumbers = {0, 1, 32, 7, 2, 3, 8, 9};
  metadata->SetU32("general.file_type", kNumbers[static_cast<size_t>(type)]);
  if (IsBlockType(type)) metadata->SetU32("general.quantization_version", 2);
}

uint64_t ExportPlan::elements() const {
  uint64_t elements = 0;
  for (const ExportTensor& tensor : tensors) elements += tensor.target.elements();
  return elements;
}

uint64_t ExportPlan::bytes() const {
  uint64_t bytes = 0;
  for (const ExportTensor& tensor : tensors) bytes += tensor.target.bytes();
  return bytes;
}

std::vector<GgufTensorSpec> ExportPlan::specs() const {
  std::vector<GgufTensorSpec> specs;
  for (const ExportTensor& tensor : tensors) specs.push_back(tensor.target);
  return specs;
}

Result<ExportPlan> PlanOfFolder(const Checkpoint& folder, const ModelConfig& config, DType type) {
  ExportPlan plan = PlanOf(config, type);
  const std::vector<NetworkTensor> wanted = TensorsOf(config);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto& [parameter, layer, shape] = wanted[i];
    const std::string name = TensorName(/*gguf=*/false, parameter, layer);
    const Checkpoint::Tensor* source = folder.Find(name);
    if (source == nullptr) return NotFound("{}: tensor {} is missing", folder.path(), name);
    if (source->shape != shape) {
      return Corrupt("{}: {} is {}, config.json wants {}", source->file->path(), name,
                     ShapeString(source->shape), ShapeString(shape));
    }
    KAKEYA_RETURN_IF_ERROR(folder.View(*source).status());
    plan.tensors[i].source = source;
    if (config.architecture == Architecture::kLlama) {
      if (parameter == Parameter::kQ) plan.tensors[i].pair_heads = config.layers[layer].num_heads;
      if (parameter == Parameter::kK)
        plan.tensors[i].pair_heads = config.layers[layer].num_kv_heads;
    }
  }
  return plan;
}

Result<ExportPlan> PlanOfGguf(const Checkpoint& file, DType type) {
  ExportPlan plan;
  int64_t twice = 0;
  for (const Checkpoint::Tensor& tensor : file.tensors()) {
    KAKEYA_ASSIGN_OR_RETURN(const TensorView view, file.View(tensor));
    const GgufTensorType& stored = TargetType(tensor.name, tensor.shape, type, &plan);
    if (IsBlockType(view.dtype) && tensor.type != stored.name) ++twice;
    plan.tensors.push_back({.target = {tensor.name, &stored, tensor.shape}, .source = &tensor});
  }
  if (twice > 0) {
    plan.notes.push_back(fmt::format(
        "{} tensors are in block formats already; what those have lost stays lost", twice));
  }
  return plan;
}

ExportPlan PlanOfRandom(const ModelConfig& config, DType type) { return PlanOf(config, type); }

Status ExportTensors(const ExportPlan& plan, const ExportOptions& options, GgufWriter* writer) {
  const uint64_t total = plan.bytes();
  uint64_t done = 0;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const ExportTensor& tensor = plan.tensors[i];
    const auto after_piece = [&](uint64_t bytes) {
      done += bytes;
      if (options.progress) options.progress(done, total);
      const bool stop = options.interrupted && options.interrupted();
      return stop ? Status(StatusCode::kCancelled, "stopped") : OkStatus();
    };
    KAKEYA_RETURN_IF_ERROR(TensorExporter(tensor, i, options, writer).Run(after_piece));
    // A file that shrinks is noticed now, not after gigabytes of zeros.
    if (tensor.source != nullptr) KAKEYA_RETURN_IF_ERROR(tensor.source->file->CheckIntact());
  }
  return OkStatus();
}

}  // namespace kakeya
