#include "model/weights.h"

#include <array>
#include <cstring>
#include <iterator>
#include <new>
#include <span>
#include <utility>

#include "backend/numerics.h"
#include "format/checkpoint.h"
#include "format/quote.h"
#include "model/config_rules.h"
#include "model/finite.h"
#include "model/parameter_names.h"
#include "model/tensor_check.h"

namespace kakeya {
namespace {

// A tensor that the network wants: its name in the file, its shape, and which of the config's keys
// make that shape.
struct Wanted {
  std::string name;
  std::vector<int64_t> shape;
  std::string reason;
};

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const ModelConfig& config, MemoryBudget* budget,
         ThreadPool* pool, const LoadProgress& progress)
      : checkpoint_(checkpoint),
        config_(config),
        keys_(checkpoint.is_gguf() ? GgufKeys(config.architecture) : HuggingFaceKeys()),
        budget_(budget),
        pool_(pool),
        progress_(progress) {}

  Result<ModelWeights> Load();

 private:
  // A tensor of the file, checked; `rows` holds its bytes where they had to be put in order.
  struct Part {
    const Checkpoint::Tensor* tensor = nullptr;
    TensorView view;
    Buffer rows;
  };

  Status LoadEnds(ModelWeights* out);
  Result<LayerWeights> LoadLayer(int layer);
  Status LoadAttention(int layer, LayerWeights* out);
  Status LoadMlp(int layer, LayerWeights* out);
  void CountUnused(ModelWeights* out) const;

  Wanted Want(Parameter parameter, int layer, std::vector<int64_t> shape,
              const std::string& reason) const {
    return {TensorName(checkpoint_.is_gguf(), parameter, layer), std::move(shape), reason};
  }
  // Checks the tensor's presence, shape, type and values.
  Result<Part> Read(const Wanted& wanted);
  // Rows of q or k as the engine has them.
  Status PutInHalves(int heads, int head_dim, Part* part);
  Result<PackedMatrix> Matrix(const Wanted& wanted);
  Result<QkvWeights> Qkv(const LayerConfig& layer, const Wanted (&wanted)[3]);
  // One matrix of the tensors stacked by rows.
  Result<PackedMatrix> Pack(std::span<const Part> parts);
  // A vector of n values, as F32.
  Result<Buffer> Vector(Parameter parameter, int layer, int n, const std::string& reason);
  // The tensor has been copied: its part of the file may leave memory.
  Status Done(const Checkpoint::Tensor& tensor);

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const ConfigKeys keys_;
  MemoryBudget* const budget_;
  ThreadPool* const pool_;
  const LoadProgress& progress_;
  uint64_t bytes_done_ = 0;
  int64_t parameters_ = 0;
};

// "[3, 17]": where element `index` stands in a tensor.
std::string IndexString(const std::vector<int64_t>& shape, int64_t index) {
  std::vector<int64_t> position(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    position[d] = index % shape[d];
    index /= shape[d];
  }
  return ShapeString(position);
}

Result<Loader::Part> Loader::Read(const Wanted& wanted) {
  const Checkpoint::Tensor* tensor = checkpoint_.Find(wanted.name);
  if (tensor == nullptr) {
    return NotFound("{}: tensor {} is missing", checkpoint_.path(), wanted.name);
  }
  const std::string& path = tensor->file->path();
  if (tensor->shape != wanted.shape) {
    return Corrupt("{}: {} is {}, {} wants {} ({})", path, tensor->name, ShapeString(tensor->shape),
                   keys_.file, ShapeString(wanted.shape), wanted.reason);
  }
  KAKEYA_ASSIGN_OR_RETURN(TensorView view, checkpoint_.View(*tensor));
  tensor->file->WillNeed(tensor->begin, tensor->bytes());
  if (const int64_t bad = FindNonFinite(view, pool_); bad >= 0) {
    return Corrupt("{}: {} holds a NaN or an infinity at {}", path, tensor->name,
                   IndexString(view.shape, bad));
  }
  parameters_ += view.elements();
  return Part{tensor, std::move(view), {}};
}

Status Loader::Done(const Checkpoint::Tensor& tensor) {
  tensor.GiveBack();
  bytes_done_ += tensor.bytes();
  if (progress_) progress_(bytes_done_, checkpoint_.bytes());
  // A file that shrinks is noticed now, not after gigabytes of zeros.
  return tensor.file->CheckIntact();
}

// Row 2 i + j of a head in the file is row j * head_dim / 2 + i of the engine's: the i-th rotary
// pair's j-th half.
Status Loader::PutInHalves(int heads, int head_dim, Part* part) {
  const size_t row_bytes = part->tensor->bytes() / static_cast<size_t>(part->view.shape[0]);
  KAKEYA_ASSIGN_OR_RETURN(part->rows, budget_->Allocate(MemoryTag::kWeights, part->tensor->bytes(),
                                                        part->tensor->name.c_str()));
  const auto half = static_cast<size_t>(head_dim / 2);
  ParallelFor(pool_, heads, [&](int64_t head) {
    const size_t first = static_cast<size_t>(head) * 2 * half;
    for (size_t i = 0; i < half; ++i) {
      for (size_t j = 0; j < 2; ++j) {
        std::memcpy(part->rows.data() + (first + j * half + i) * row_bytes,
                    part->tensor->data() + (first + 2 * i + j) * row_bytes, row_bytes);
      }
    }
  });
  part->view.data = part->rows.data();
  return OkStatus();
}

Result<PackedMatrix> Loader::Pack(std::span<const Part> parts) {
  std::vector<TensorView> views;
  for (const Part& part : parts) views.push_back(part.view);
  KAKEYA_ASSIGN_OR_RETURN(PackedMatrix matrix,
                          PackedMatrix::Pack(views, budget_, pool_, parts[0].tensor->name.c_str()));
  for (const Part& part : parts) KAKEYA_RETURN_IF_ERROR(Done(*part.tensor));
  return matrix;
}

Result<PackedMatrix> Loader::Matrix(const Wanted& wanted) {
  KAKEYA_ASSIGN_OR_RETURN(const Part part, Read(wanted));
  return Pack({&part, 1});
}

Result<QkvWeights> Loader::Qkv(const LayerConfig& layer, const Wanted (&wanted)[3]) {
  const bool pairs = checkpoint_.is_gguf() && config_.architecture == Architecture::kLlama;
  const int heads[] = {layer.num_heads, layer.num_kv_heads};
  std::array<Part, 3> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    KAKEYA_ASSIGN_OR_RETURN(parts[i], Read(wanted[i]));
    if (pairs && i < std::size(heads)) {
      KAKEYA_RETURN_IF_ERROR(PutInHalves(heads[i], layer.head_dim, &parts[i]));
    }
  }
  const DType dtype = parts[0].view.dtype;
  const bool agree = parts[1].view.dtype == dtype && parts[2].view.dtype == dtype;
  QkvWeights out;
  const size_t together = agree ? parts.size() : 1;
  for (size_t i = 0; i < parts.size(); i += together) {
    KAKEYA_ASSIGN_OR_RETURN(PackedMatrix matrix, Pack(std::span(parts).subspan(i, together)));
    out.parts.push_back(std::move(matrix));
  }
  return out;
}

Result<Buffer> Loader::Vector(Parameter parameter, int layer, int n, const std::string& reason) {
  KAKEYA_ASSIGN_OR_RETURN(const Part part, Read(Want(parameter, layer, {n}, reason)));
  const auto& [tensor, view, rows] = part;
  if (IsBlockType(view.dtype)) {
    return Unsupported("{}: {} is {}: a vector must be F32, F16 or BF16", tensor->file->path(),
                       tensor->name, tensor->type);
  }
  KAKEYA_ASSIGN_OR_RETURN(
      Buffer out, budget_->Allocate(MemoryTag::kWeights, n * sizeof(float), tensor->name.c_str()));
  const auto* source = static_cast<const std::byte*>(view.data);
  for (int i = 0; i < n; ++i) {
    alignas(float) std::byte element[sizeof(float)];  // a file promises no alignment
    std::memcpy(element, source + i * SizeOf(view.dtype), SizeOf(view.dtype));
    out.as<float>()[i] = numerics::Load(view.dtype, element, 0);
  }
  KAKEYA_RETURN_IF_ERROR(Done(*tensor));
  return out;
}

Status Loader::LoadEnds(ModelWeights* out) {
  const std::vector<int64_t> shape = {config_.vocab_size, config_.hidden_size};
  const std::string reason = fmt::format("{} {} x {} {}", keys_.vocab_size, config_.vocab_size,
                                         keys_.hidden_size, config_.hidden_size);
  KAKEYA_ASSIGN_OR_RETURN(out->embedding, Matrix(Want(Parameter::kEmbedding, 0, shape, reason)));
  out->dtype = IsBlockType(out->embedding.dtype()) ? DType::kBF16 : out->embedding.dtype();
  if (!config_.tie_word_embeddings) {
    KAKEYA_ASSIGN_OR_RETURN(out->untied_head, Matrix(Want(Parameter::kHead, 0, shape, reason)));
  }
  KAKEYA_ASSIGN_OR_RETURN(out->final_norm,
                          Vector(Parameter::kFinalNorm, 0, config_.hidden_size, keys_.hidden_size));
  return OkStatus();
}

Status Loader::LoadAttention(int layer, LayerWeights* out) {
  const int hidden = config_.hidden_size;
  const LayerConfig& shape = config_.layers[layer];
  const std::string by_head_dim = fmt::format(" x {} {}", keys_.head_dim, shape.head_dim);
  const std::string q_reason =
      fmt::format("{} {}{}", keys_.num_heads, shape.num_heads, by_head_dim);
  const std::string kv_reason =
      fmt::format("{} {}{}", keys_.num_kv_heads, shape.num_kv_heads, by_head_dim);
  KAKEYA_ASSIGN_OR_RETURN(
      out->qkv, Qkv(shape, {Want(Parameter::kQ, layer, {shape.q_size(), hidden}, q_reason),
                            Want(Parameter::kK, layer, {shape.kv_size(), hidden}, kv_reason),
                            Want(Parameter::kV, layer, {shape.kv_size(), hidden}, kv_reason)}));
  KAKEYA_ASSIGN_OR_RETURN(out->o,
                          Matrix(Want(Parameter::kO, layer, {hidden, shape.q_size()}, q_reason)));
  if (!shape.qk_norm) return OkStatus();
  KAKEYA_ASSIGN_OR_RETURN(out->q_norm,
                          Vector(Parameter::kQNorm, layer, shape.head_dim, keys_.head_dim));
  KAKEYA_ASSIGN_OR_RETURN(out->k_norm,
                          Vector(Parameter::kKNorm, layer, shape.head_dim, keys_.head_dim));
  return OkStatus();
}

Status Loader::LoadMlp(int layer, LayerWeights* out) {
  const int hidden = config_.hidden_size;
  const int inner = config_.layers[layer].intermediate_size;
  const std::string reason =
      fmt::format("{} {}, {} {}", keys_.intermediate_size, inner, keys_.hidden_size, hidden);
  const auto matrix = [&](Parameter parameter, int64_t rows, int64_t cols) {
    return Matrix(Want(parameter, layer, {rows, cols}, reason));
  };
  KAKEYA_ASSIGN_OR_RETURN(out->gate, matrix(Parameter::kGate, inner, hidden));
  KAKEYA_ASSIGN_OR_RETURN(out->up, matrix(Parameter::kUp, inner, hidden));
  KAKEYA_ASSIGN_OR_RETURN(out->down, matrix(Parameter::kDown, hidden, inner));
  return OkStatus();
}

Result<LayerWeights> Loader::LoadLayer(int layer) {
  const int hidden = config_.hidden_size;
  LayerWeights out;
  KAKEYA_ASSIGN_OR_RETURN(out.attn_norm,
                          Vector(Parameter::kAttnNorm, layer, hidden, keys_.hidden_size));
  KAKEYA_RETURN_IF_ERROR(LoadAttention(layer, &out));
  KAKEYA_ASSIGN_OR_RETURN(out.mlp_norm,
                          Vector(Parameter::kMlpNorm, layer, hidden, keys_.hidden_size));
  KAKEYA_RETURN_IF_ERROR(LoadMlp(layer, &out));
  return out;
}

void Loader::CountUnused(ModelWeights* out) const {
  for (const UnknownTensor& unknown : FindUnknownTensors(checkpoint_, config_)) {
    if (unknown.kind != UnknownTensor::Kind::kUnused) continue;
    if (out->unused_tensors++ == 0) out->first_unused_tensor = Printable(unknown.tensor->name);
  }
}

Result<ModelWeights> Loader::Load() {
  ModelWeights out;
  // Names are looked at first: gigabytes of a model that is refused needn't be read.
  KAKEYA_RETURN_IF_ERROR(CheckTensors(checkpoint_, config_));
  KAKEYA_RETURN_IF_ERROR(LoadEnds(&out));
  for (int layer = 0; layer < config_.num_layers(); ++layer) {
    KAKEYA_ASSIGN_OR_RETURN(LayerWeights weights, LoadLayer(layer));
    out.layers.push_back(std::move(weights));
  }
  CountUnused(&out);
  out.parameters = parameters_;
  return out;
}

}  // namespace

Result<ModelWeights> LoadWeights(const std::string& model, const ModelConfig& config,
                                 MemoryBudget* budget, ThreadPool* pool,
                                 const LoadProgress& progress) try {
  KAKEYA_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(model));
  Result<ModelWeights> weights = Loader(checkpoint, config, budget, pool, progress).Load();
  // A file that changed under us explains any other error, and makes success worthless.
  KAKEYA_RETURN_IF_ERROR(checkpoint.CheckIntact());
  return weights;
} catch (const std::bad_alloc&) {
  return ResourceExhausted("{}: not enough memory to load the weights", model);
}

}  // namespace kakeya
