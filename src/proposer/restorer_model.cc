#include "proposer/restorer_model.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <new>
#include <numeric>
#include <utility>

#include "backend/numerics.h"
#include "backend/restore/quantize.h"
#include "base/elementary.h"
#include "format/fingerprint.h"
#include "format/mapped_file.h"
#include "format/read_file.h"
#include "format/safetensors.h"
#include "model/rope.h"
#include "proposer/tensor_source.h"

namespace kakeya {
namespace {

// `count` rows of a matrix from `first` on.
TensorView Rows(const TensorView& matrix, int64_t first, int64_t count) {
  const size_t row_bytes = static_cast<size_t>(matrix.shape[1]) * SizeOf(matrix.dtype);
  const auto* data = static_cast<const std::byte*>(matrix.data) + first * row_bytes;
  return {matrix.dtype, {count, matrix.shape[1]}, data};
}

// out[i] = element first + i of the tensor.
void CopyFloats(const TensorView& tensor, int64_t first, int64_t count, float* out) {
  const size_t element_bytes = SizeOf(tensor.dtype);
  const auto* source = static_cast<const std::byte*>(tensor.data) + first * element_bytes;
  for (int64_t i = 0; i < count; ++i) {
    alignas(float) std::byte element[sizeof(float)];  // a file promises no alignment
    std::memcpy(element, source + i * element_bytes, element_bytes);
    out[i] = numerics::Load(tensor.dtype, element, 0);
  }
}

class Builder {
 public:
  Builder(const RestorerConfig& config, const Model& verifier, TensorSource* source,
          MemoryBudget* budget, ThreadPool* pool)
      : config_(config), verifier_(verifier), source_(source), budget_(budget), pool_(pool) {}

  Result<RestorerModel> Build();

 private:
  using Shape = std::vector<int64_t>;

  Status BuildProposer(RestorerModel* out);
  Result<ProposerLayer> BuildLayer(const std::string& prefix);
  Status BuildRecurrence(RestorerModel* out);
  Status BuildRestore(int layer, RestorerModel* out);
  Status BuildHalf(std::span<const TensorView> kv, int first_input, int limit,
                   const RestoreMap* map, RestoreMap::Half* half);
  Status BuildSelect(int layer, RestorerModel* out);
  Status BuildTokenFeatures(RestorerModel* out);
  void BuildRotation(RestorerModel* out) const;

  Result<TensorView> Get(const std::string& name, const Shape& shape);
  Status Matrix(const std::string& name, int64_t rows, int64_t cols, PackedMatrix* out);
  Status Vector(const std::string& name, int64_t n, Buffer* out);
  Result<Buffer> Floats(int64_t n, const std::string& what);
  Result<PackedMatrix> Pack(std::initializer_list<TensorView> parts, const std::string& what);

  const RestorerConfig& config_;
  const Model& verifier_;
  TensorSource* const source_;
  MemoryBudget* const budget_;
  ThreadPool* const pool_;
  int64_t parameters_ = 0;
};

Result<TensorView> Builder::Get(const std::string& name, const Shape& shape) {
  KAKEYA_ASSIGN_OR_RETURN(TensorView view, source_->Get(name, shape));
  parameters_ += view.elements();
  return view;
}

Result<Buffer> Builder::Floats(int64_t n, const std::string& what) {
  return budget_->Allocate(MemoryTag::kWeights, static_cast<size_t>(n) * sizeof(float),
                           what.c_str());
}

Result<PackedMatrix> Builder::Pack(std::initializer_list<TensorView> parts,
                                   const std::string& what) {
  return PackedMatrix::Pack({parts.begin(), parts.size()}, budget_, pool_, what.c_str());
}

Status Builder::Matrix(const std::string& name, int64_t rows, int64_t cols, PackedMatrix* out) {
  KAKEYA_ASSIGN_OR_RETURN(const TensorView view, Get(name, {rows, cols}));
  KAKEYA_ASSIGN_OR_RETURN(*out, Pack({view}, name));
  source_->Done();
  return OkStatus();
}

Status Builder::Vector(const std::string& name, int64_t n, Buffer* out) {
  KAKEYA_ASSIGN_OR_RETURN(const TensorView view, Get(name, {n}));
  KAKEYA_ASSIGN_OR_RETURN(*out, Floats(n, name));
  CopyFloats(view, 0, n, out->as<float>());
  source_->Done();
  return OkStatus();
}

Result<ProposerLayer> Builder::BuildLayer(const std::string& prefix) {
  const RestorerConfig::Proposer& p = config_.proposer;
  const int attention = p.attention_size();
  ProposerLayer out;
  KAKEYA_RETURN_IF_ERROR(Vector(prefix + "norm1.weight", p.hidden, &out.norm1));
  KAKEYA_RETURN_IF_ERROR(Matrix(prefix + "wq.weight", attention, p.hidden, &out.q));
  KAKEYA_RETURN_IF_ERROR(Matrix(prefix + "wk.weight", attention, p.hidden, &out.k));
  KAKEYA_RETURN_IF_ERROR(Matrix(prefix + "wv.weight", attention, p.hidden, &out.v));
  KAKEYA_RETURN_IF_ERROR(Vector(prefix + "q_norm.weight", p.head_dim, &out.q_norm));
  KAKEYA_RETURN_IF_ERROR(Vector(prefix + "k_norm.weight", p.head_dim, &out.k_norm));
  KAKEYA_RETURN_IF_ERROR(Matrix(prefix + "wo.weight", p.hidden, attention, &out.o));
  KAKEYA_RETURN_IF_ERROR(Vector(prefix + "norm2.weight", p.hidden, &out.norm2));
  KAKEYA_RETURN_IF_ERROR(Matrix(prefix + "gate.weight", p.ffn, p.hidden, &out.gate));
  KAKEYA_RETURN_IF_ERROR(Matrix(prefix + "up.weight", p.ffn, p.hidden, &out.up));
  KAKEYA_RETURN_IF_ERROR(Matrix(prefix + "down.weight", p.hidden, p.ffn, &out.down));
  return out;
}

Status Builder::BuildProposer(RestorerModel* out) {
  const int hidden = config_.proposer.hidden;
  const RestorerConfig::Summary& summary = config_.summary;
  KAKEYA_RETURN_IF_ERROR(
      Matrix("embed_in.weight", hidden, config_.verifier.hidden, &out->embed_in));
  for (int layer = 0; layer < config_.proposer.layers; ++layer) {
    KAKEYA_ASSIGN_OR_RETURN(ProposerLayer weights, BuildLayer(fmt::format("layers.{}.", layer)));
    out->layers.push_back(std::move(weights));
  }
  KAKEYA_RETURN_IF_ERROR(Vector("final_norm.weight", hidden, &out->final_norm));
  KAKEYA_RETURN_IF_ERROR(Matrix("code.weight", config_.code_dim, hidden, &out->code));
  KAKEYA_RETURN_IF_ERROR(
      Matrix("summary.pool.weight", summary.pool_heads, hidden, &out->summary_pool));
  return Matrix("summary.proj.weight", summary.dim, hidden, &out->summary_proj);
}

Status Builder::BuildRecurrence(RestorerModel* out) {
  const RestorerConfig::Recurrence& c = config_.recurrence;
  if (!c.used()) return OkStatus();
  const int64_t hidden = config_.proposer.hidden;
  const std::string name = "recurrence.count.weight";
  const Shape shape = {static_cast<int64_t>(c.lengths.size()), c.buckets, hidden};
  KAKEYA_ASSIGN_OR_RETURN(const TensorView count, Get(name, shape));
  KAKEYA_ASSIGN_OR_RETURN(out->recurrence.count, Floats(count.elements(), name));
  CopyFloats(count, 0, count.elements(), out->recurrence.count.as<float>());
  source_->Done();
  return Matrix("recurrence.next.weight", hidden, int64_t{c.next} * config_.token_dim,
                &out->recurrence.next);
}

Status Builder::BuildRestore(int layer, RestorerModel* out) {
  const int head_dim = config_.verifier.head_dim;
  const int64_t kv_dim = int64_t{config_.verifier.kv_heads} * head_dim;
  const std::string prefix = fmt::format("f_theta.{}.", layer);
  const Shape shape = {kv_dim, config_.restore_inputs()};
  KAKEYA_ASSIGN_OR_RETURN(const TensorView k, Get(prefix + "k.weight", shape));
  KAKEYA_ASSIGN_OR_RETURN(const TensorView v, Get(prefix + "v.weight", shape));
  KAKEYA_ASSIGN_OR_RETURN(const TensorView k_bias, Get(prefix + "k.bias", {kv_dim}));
  KAKEYA_ASSIGN_OR_RETURN(const TensorView v_bias, Get(prefix + "v.bias", {kv_dim}));
  if (k.dtype != v.dtype) {
    return Unsupported("{0}: {1}k.weight is {2} but {1}v.weight is {3}: their types must be equal",
                       source_->where(), prefix, NameOf(k.dtype), NameOf(v.dtype));
  }
  for (int head = 0; head < config_.verifier.kv_heads; ++head) {
    const int64_t first = int64_t{head} * head_dim;
    const TensorView rows[] = {Rows(k, first, head_dim), Rows(v, first, head_dim)};
    RestoreMap map;
    map.head_dim = head_dim;
    map.halves[0].inputs = config_.code_dim;
    map.halves[1].inputs = config_.token_dim;
    KAKEYA_RETURN_IF_ERROR(BuildHalf(rows, 0, kCodeWeightLimit, &map, &map.halves[0]));
    KAKEYA_RETURN_IF_ERROR(
        BuildHalf(rows, config_.code_dim, TokenLimit(config_.token_dim), &map, &map.halves[1]));
    const int padded = map.key_blocks() * kPackWidth;
    KAKEYA_ASSIGN_OR_RETURN(map.bias, Floats(2 * padded, prefix + "bias"));
    std::fill_n(map.bias.as<float>(), 2 * padded, 0.0f);
    CopyFloats(k_bias, first, head_dim, map.bias.as<float>());
    CopyFloats(v_bias, first, head_dim, map.bias.as<float>() + padded);
    out->restore.push_back(std::move(map));
  }
  source_->Done();
  return OkStatus();
}

// The columns [first_input, first_input + half->inputs) of k's and v's weights.
Status Builder::BuildHalf(std::span<const TensorView> kv, int first_input, int limit,
                          const RestoreMap* map, RestoreMap::Half* half) {
  if (half->inputs == 0) return OkStatus();
  const int64_t outputs = int64_t{map->blocks()} * kPackWidth;
  const int pairs = half->pairs();
  const size_t bytes = static_cast<size_t>(outputs) * pairs * 2 * sizeof(int16_t);
  KAKEYA_ASSIGN_OR_RETURN(half->weights, budget_->Allocate(MemoryTag::kWeights, bytes, "f_theta"));
  KAKEYA_ASSIGN_OR_RETURN(half->scales, Floats(outputs, "f_theta"));
  std::fill_n(half->weights.data(), bytes, std::byte{0});
  std::fill_n(half->scales.as<float>(), outputs, 0.0f);
  std::vector<float> row(half->inputs);
  for (int output = 0; output < 2 * map->head_dim; ++output) {
    const TensorView& from = kv[output / map->head_dim];
    const int64_t source = output % map->head_dim;
    CopyFloats(from, source * from.shape[1] + first_input, half->inputs, row.data());
    PackRestoreWeights(*map, output, limit, row, half);
  }
  return OkStatus();
}

Status Builder::BuildSelect(int layer, RestorerModel* out) {
  const int64_t heads = config_.verifier.kv_heads;
  const int64_t outputs = config_.summary.dim + 1;
  const int64_t inputs = config_.select_inputs();
  const std::string prefix = fmt::format("select.{}.", layer);
  KAKEYA_ASSIGN_OR_RETURN(TensorView weight, Get(prefix + "weight", {heads, outputs, inputs}));
  KAKEYA_ASSIGN_OR_RETURN(const TensorView bias, Get(prefix + "bias", {heads, outputs}));
  KAKEYA_ASSIGN_OR_RETURN(const TensorView distance,
                          Get(prefix + "distance", {heads, kDistanceBuckets}));
  weight.shape = {heads * outputs, inputs};
  for (int64_t head = 0; head < heads; ++head) {
    SelectMap map;
    KAKEYA_ASSIGN_OR_RETURN(map.weight,
                            Pack({Rows(weight, head * outputs, outputs)}, prefix + "weight"));
    KAKEYA_ASSIGN_OR_RETURN(map.bias, Floats(outputs, prefix + "bias"));
    KAKEYA_ASSIGN_OR_RETURN(map.distance, Floats(kDistanceBuckets, prefix + "distance"));
    CopyFloats(bias, head * outputs, outputs, map.bias.as<float>());
    CopyFloats(distance, head * kDistanceBuckets, kDistanceBuckets, map.distance.as<float>());
    out->select.push_back(std::move(map));
  }
  source_->Done();
  return OkStatus();
}

Status Builder::BuildTokenFeatures(RestorerModel* out) {
  const int64_t hidden = config_.verifier.hidden;
  KAKEYA_ASSIGN_OR_RETURN(out->ones, Floats(hidden, "ones"));
  std::fill_n(out->ones.as<float>(), hidden, 1.0f);
  const int64_t dim = config_.token_dim;
  if (dim == 0) return OkStatus();
  PackedMatrix token;
  KAKEYA_RETURN_IF_ERROR(Matrix("token.weight", dim, hidden, &token));
  const int64_t vocab = config_.verifier.vocab_size;
  KAKEYA_ASSIGN_OR_RETURN(
      out->token_features,
      budget_->Allocate(MemoryTag::kWeights, static_cast<size_t>(vocab * dim) * sizeof(int16_t),
                        "token features"));
  KAKEYA_ASSIGN_OR_RETURN(out->token_scales, Floats(vocab, "token features"));
  ParallelFor(pool_, (vocab + kChunk - 1) / kChunk, [&](int64_t block) {
    std::vector<int32_t> ids(std::min<int64_t>(kChunk, vocab - block * kChunk));
    std::iota(ids.begin(), ids.end(), static_cast<int32_t>(block * kChunk));
    const int rows = static_cast<int>(ids.size());
    std::vector<float> embedded(ids.size() * hidden);
    EmbedRows({}, verifier_.weights.embedding, ids, embedded.data());
    RmsNorm({}, embedded.data(), out->ones.as<float>(), config_.proposer.rms_norm_eps, rows,
            static_cast<int>(hidden), embedded.data());
    std::vector<float> features(ids.size() * dim);
    MatMul({}, embedded.data(), rows, token, features.data());
    for (int r = 0; r < rows; ++r) {
      const int64_t id = block * kChunk + r;
      out->token_scales.as<float>()[id] =
          QuantizeTo(TokenLimit(static_cast<int>(dim)), features.data() + r * dim,
                     static_cast<int>(dim), out->token_features.as<int16_t>() + id * dim);
    }
  });
  return OkStatus();
}

void Builder::BuildRotation(RestorerModel* out) const {
  const int half = config_.proposer.head_dim / 2;
  Rotation rotation{.frequencies = std::vector<float>(static_cast<size_t>(half))};
  for (int i = 0; i < half; ++i) {
    const double exponent = 2.0 * i / config_.proposer.head_dim;
    rotation.frequencies[i] =
        static_cast<float>(1.0 / elementary::Pow(config_.proposer.rope_theta, exponent));
  }
  out->cos.resize(size_t{2} * kChunk * half);
  out->sin.resize(size_t{2} * kChunk * half);
  RopeTables(rotation, 0, 2 * kChunk, out->cos.data(), out->sin.data());
}

Result<RestorerModel> Builder::Build() {
  RestorerModel out;
  out.config = config_;
  KAKEYA_RETURN_IF_ERROR(BuildProposer(&out));
  KAKEYA_RETURN_IF_ERROR(BuildTokenFeatures(&out));
  KAKEYA_RETURN_IF_ERROR(BuildRecurrence(&out));
  for (int layer = 0; layer < config_.verifier.layers; ++layer) {
    KAKEYA_RETURN_IF_ERROR(BuildRestore(layer, &out));
    KAKEYA_RETURN_IF_ERROR(BuildSelect(layer, &out));
  }
  BuildRotation(&out);
  out.parameters = parameters_;
  return out;
}

// Of both files, byte by byte.
Result<std::string> FingerprintOfFiles(const std::string& dir, const MappedFile& tensors) {
  constexpr size_t kMaxConfigBytes = size_t{16} << 20;
  KAKEYA_ASSIGN_OR_RETURN(const std::string config,
                          ReadFileBytes(dir + "/config.json", kMaxConfigBytes));
  const auto* const data = reinterpret_cast<const char*>(tensors.data());
  return FingerprintOfText(FingerprintOfText({data, tensors.size()}) + config);
}

}  // namespace

Result<RestorerModel> RestorerModel::Load(const std::string& dir, const Model& verifier,
                                          const std::string& fingerprint, MemoryBudget* budget,
                                          ThreadPool* pool) try {
  KAKEYA_ASSIGN_OR_RETURN(const RestorerConfig config,
                          LoadRestorerConfig(dir, verifier.config, fingerprint));
  KAKEYA_ASSIGN_OR_RETURN(const SafetensorsFile file,
                          SafetensorsFile::Open(dir + "/model.safetensors"));
  FileSource source(&file);
  Result<RestorerModel> model = Builder(config, verifier, &source, budget, pool).Build();
  if (model.ok()) {
    KAKEYA_ASSIGN_OR_RETURN(model->fingerprint, FingerprintOfFiles(dir, file.file()));
  }
  // A file that changed under us explains any other error, and makes success worthless.
  KAKEYA_RETURN_IF_ERROR(file.file().CheckIntact());
  return model;
} catch (const std::bad_alloc&) {
  return ResourceExhausted("{}: not enough memory to load the restorer", dir);
}

Result<RestorerModel> RestorerModel::Random(const RestorerConfig& config, const Model& verifier,
                                            uint64_t seed, MemoryBudget* budget) {
  assert(config.verifier == VerifierShape(verifier.config));
  RandomSource source(seed);
  return Builder(config, verifier, &source, budget, nullptr).Build();
}

}  // namespace kakeya
