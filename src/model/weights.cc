#include "model/weights.h"

#include <cstring>
#include <initializer_list>
#include <new>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "backend/numerics.h"
#include "format/checkpoint.h"
#include "format/quote.h"
#include "model/finite.h"

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
        budget_(budget),
        pool_(pool),
        progress_(progress) {}

  Result<ModelWeights> Load();

 private:
  using Location = Checkpoint::Location;

  Status LoadEnds(ModelWeights* out);
  Result<LayerWeights> LoadLayer(int layer);
  Status LoadAttention(const std::string& prefix, LayerWeights* out);
  Status LoadMlp(const std::string& prefix, LayerWeights* out);
  void CountUnused(ModelWeights* out) const;

  // Checks the tensor's presence, shape, type and values.
  Result<std::pair<Location, TensorView>> Read(const Wanted& wanted);
  // One matrix of the tensors stacked by rows.
  Result<PackedMatrix> Matrix(std::initializer_list<Wanted> parts);
  // A vector of n values, as F32.
  Result<Buffer> Vector(const std::string& name, int n, const std::string& reason);
  // The tensor has been copied: its part of the file may leave memory.
  Status Done(const Location& location);

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  MemoryBudget* const budget_;
  ThreadPool* const pool_;
  const LoadProgress& progress_;
  std::unordered_set<const SafetensorsEntry*> used_;
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

Result<std::pair<Checkpoint::Location, TensorView>> Loader::Read(const Wanted& wanted) {
  const Location location = checkpoint_.Find(wanted.name);
  if (location.entry == nullptr) {
    return NotFound("{}: tensor {} is missing", checkpoint_.files()[0].file().path(), wanted.name);
  }
  const SafetensorsEntry& entry = *location.entry;
  const std::string& path = location.file->file().path();
  if (entry.shape != wanted.shape) {
    return Corrupt("{}: {} is {}, config.json wants {} ({})", path, entry.name,
                   ShapeString(entry.shape), ShapeString(wanted.shape), wanted.reason);
  }
  KAKEYA_ASSIGN_OR_RETURN(TensorView view, location.file->View(entry));
  location.file->file().WillNeed(entry.begin, entry.end - entry.begin);
  if (const int64_t bad = FindNonFinite(view, pool_); bad >= 0) {
    return Corrupt("{}: {} holds a NaN or an infinity at {}", path, entry.name,
                   IndexString(view.shape, bad));
  }
  used_.insert(&entry);
  parameters_ += view.elements();
  return std::pair(location, std::move(view));
}

Status Loader::Done(const Location& location) {
  location.file->GiveBack(*location.entry);
  bytes_done_ += location.entry->end - location.entry->begin;
  if (progress_) progress_(bytes_done_, checkpoint_.bytes());
  // A file that shrinks is noticed now, not after gigabytes of zeros.
  return location.file->file().CheckIntact();
}

Result<PackedMatrix> Loader::Matrix(std::initializer_list<Wanted> parts) {
  std::vector<Location> locations;
  std::vector<TensorView> views;
  for (const Wanted& wanted : parts) {
    KAKEYA_ASSIGN_OR_RETURN(auto read, Read(wanted));
    if (!views.empty() && read.second.dtype != views[0].dtype) {
      return Unsupported("{}: {} is {} but {} is {}: their types must be equal",
                         read.first.file->file().path(), locations[0].entry->name,
                         locations[0].entry->type, wanted.name, read.first.entry->type);
    }
    locations.push_back(read.first);
    views.push_back(std::move(read.second));
  }
  KAKEYA_ASSIGN_OR_RETURN(PackedMatrix matrix,
                          PackedMatrix::Pack(views, budget_, pool_, parts.begin()->name.c_str()));
  for (const Location& location : locations) KAKEYA_RETURN_IF_ERROR(Done(location));
  return matrix;
}

Result<Buffer> Loader::Vector(const std::string& name, int n, const std::string& reason) {
  KAKEYA_ASSIGN_OR_RETURN(auto read, Read({name, {n}, reason}));
  const auto& [location, view] = read;
  KAKEYA_ASSIGN_OR_RETURN(Buffer out,
                          budget_->Allocate(MemoryTag::kWeights, n * sizeof(float), name.c_str()));
  const auto* source = static_cast<const std::byte*>(view.data);
  for (int i = 0; i < n; ++i) {
    alignas(float) std::byte element[sizeof(float)];  // a file promises no alignment
    std::memcpy(element, source + i * SizeOf(view.dtype), SizeOf(view.dtype));
    out.as<float>()[i] = numerics::Load(view.dtype, element, 0);
  }
  KAKEYA_RETURN_IF_ERROR(Done(location));
  return out;
}

Status Loader::LoadEnds(ModelWeights* out) {
  const std::string vocab_by_hidden =
      fmt::format("vocab_size {} x hidden_size {}", config_.vocab_size, config_.hidden_size);
  KAKEYA_ASSIGN_OR_RETURN(out->embedding, Matrix({Wanted{"model.embed_tokens.weight",
                                                         {config_.vocab_size, config_.hidden_size},
                                                         vocab_by_hidden}}));
  out->dtype = out->embedding.dtype();
  if (!config_.tie_word_embeddings) {
    KAKEYA_ASSIGN_OR_RETURN(
        out->untied_head,
        Matrix({Wanted{
            "lm_head.weight", {config_.vocab_size, config_.hidden_size}, vocab_by_hidden}}));
  }
  KAKEYA_ASSIGN_OR_RETURN(out->final_norm,
                          Vector("model.norm.weight", config_.hidden_size, "hidden_size"));
  return OkStatus();
}

Status Loader::LoadAttention(const std::string& prefix, LayerWeights* out) {
  const int hidden = config_.hidden_size;
  const std::string by_head_dim = fmt::format(" x head_dim {}", config_.head_dim);
  const std::string q_reason =
      fmt::format("num_attention_heads {}{}", config_.num_heads, by_head_dim);
  const std::string kv_reason =
      fmt::format("num_key_value_heads {}{}", config_.num_kv_heads, by_head_dim);
  KAKEYA_ASSIGN_OR_RETURN(
      out->qkv,
      Matrix({Wanted{prefix + "self_attn.q_proj.weight", {config_.q_size(), hidden}, q_reason},
              Wanted{prefix + "self_attn.k_proj.weight", {config_.kv_size(), hidden}, kv_reason},
              Wanted{prefix + "self_attn.v_proj.weight", {config_.kv_size(), hidden}, kv_reason}}));
  KAKEYA_ASSIGN_OR_RETURN(
      out->o,
      Matrix({Wanted{prefix + "self_attn.o_proj.weight", {hidden, config_.q_size()}, q_reason}}));
  if (!config_.qk_norm) return OkStatus();
  KAKEYA_ASSIGN_OR_RETURN(out->q_norm,
                          Vector(prefix + "self_attn.q_norm.weight", config_.head_dim, "head_dim"));
  KAKEYA_ASSIGN_OR_RETURN(out->k_norm,
                          Vector(prefix + "self_attn.k_norm.weight", config_.head_dim, "head_dim"));
  return OkStatus();
}

Status Loader::LoadMlp(const std::string& prefix, LayerWeights* out) {
  const int hidden = config_.hidden_size;
  const int inner = config_.intermediate_size;
  const std::string reason = fmt::format("intermediate_size {}, hidden_size {}", inner, hidden);
  KAKEYA_ASSIGN_OR_RETURN(
      out->gate, Matrix({Wanted{prefix + "mlp.gate_proj.weight", {inner, hidden}, reason}}));
  KAKEYA_ASSIGN_OR_RETURN(out->up,
                          Matrix({Wanted{prefix + "mlp.up_proj.weight", {inner, hidden}, reason}}));
  KAKEYA_ASSIGN_OR_RETURN(
      out->down, Matrix({Wanted{prefix + "mlp.down_proj.weight", {hidden, inner}, reason}}));
  return OkStatus();
}

Result<LayerWeights> Loader::LoadLayer(int layer) {
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  LayerWeights out;
  KAKEYA_ASSIGN_OR_RETURN(
      out.attn_norm, Vector(prefix + "input_layernorm.weight", config_.hidden_size, "hidden_size"));
  KAKEYA_RETURN_IF_ERROR(LoadAttention(prefix, &out));
  KAKEYA_ASSIGN_OR_RETURN(out.mlp_norm, Vector(prefix + "post_attention_layernorm.weight",
                                               config_.hidden_size, "hidden_size"));
  KAKEYA_RETURN_IF_ERROR(LoadMlp(prefix, &out));
  return out;
}

// Old checkpoints keep the rotary frequencies, and tied ones a second copy of the embedding: both
// are known and not worth a warning.
void Loader::CountUnused(ModelWeights* out) const {
  checkpoint_.ForEach([&](const Location& location) {
    const SafetensorsEntry& entry = *location.entry;
    const bool known =
        entry.name.ends_with(".rotary_emb.inv_freq") || entry.name == "lm_head.weight";
    if (known || used_.contains(&entry)) return;
    if (out->unused_tensors++ == 0) out->first_unused_tensor = Printable(entry.name);
  });
}

Result<ModelWeights> Loader::Load() {
  ModelWeights out;
  KAKEYA_RETURN_IF_ERROR(LoadEnds(&out));
  for (int layer = 0; layer < config_.num_layers; ++layer) {
    KAKEYA_ASSIGN_OR_RETURN(LayerWeights weights, LoadLayer(layer));
    out.layers.push_back(std::move(weights));
  }
  CountUnused(&out);
  out.parameters = parameters_;
  return out;
}

}  // namespace

Result<ModelWeights> LoadWeights(const std::string& dir, const ModelConfig& config,
                                 MemoryBudget* budget, ThreadPool* pool,
                                 const LoadProgress& progress) try {
  KAKEYA_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(dir));
  Result<ModelWeights> weights = Loader(checkpoint, config, budget, pool, progress).Load();
  // A file that changed under us explains any other error, and makes success worthless.
  KAKEYA_RETURN_IF_ERROR(checkpoint.CheckIntact());
  return weights;
} catch (const std::bad_alloc&) {
  return ResourceExhausted("{}: not enough memory to load the weights", dir);
}

}  // namespace kakeya
