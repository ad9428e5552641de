#include "model/tensor_check.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "format/quote.h"
#include "model/config_rules.h"
#include "model/gguf_rope.h"
#include "model/parameter_names.h"

namespace kakeya {
namespace {

using Kind = UnknownTensor::Kind;

constexpr char kHead[] = "lm_head.weight";

// Rotary frequencies that old checkpoints keep: computed anew from the config.
constexpr std::string_view kRotaryLeftovers[] = {".rotary_emb.inv_freq", ".rotary_emb.cos_cached",
                                                 ".rotary_emb.sin_cached"};

// Models beside the network: multi-token prediction; in GGUF files a classifier's head and the
// towers of images and sound.
constexpr std::string_view kBesideFolder[] = {"mtp."};
constexpr std::string_view kBesideGguf[] = {"cls.", "v.", "a.", "mm."};

// Where in the name of a tensor its layer stands: "model.layers.3.mlp" has 3. -1 where it names
// none, or more than a layer can be.
int64_t LayerOf(std::string_view name, bool gguf) {
  const std::string_view before = gguf ? "blk." : "layers.";
  const size_t at = name.find(before);
  if (at == name.npos || (at > 0 && name[at - 1] != '.')) return -1;
  int64_t layer = -1;
  for (const char c : name.substr(at + before.size())) {
    if (c < '0' || c > '9' || layer > kMaxLayers) break;
    layer = std::max<int64_t>(layer, 0) * 10 + (c - '0');
  }
  return layer;
}

bool BeginsWithAny(std::string_view name, const auto& starts) {
  return std::any_of(std::begin(starts), std::end(starts),
                     [&](std::string_view start) { return name.starts_with(start); });
}

class TensorChecker {
 public:
  TensorChecker(const Checkpoint& checkpoint, const ModelConfig& config)
      : checkpoint_(checkpoint), config_(config), gguf_(checkpoint.is_gguf()) {
    const auto add = [&](Parameter parameter, int layer) {
      wanted_.insert(TensorName(gguf_, parameter, layer));
    };
    for (const Parameter parameter : {Parameter::kEmbedding, Parameter::kFinalNorm}) {
      add(parameter, 0);
    }
    if (!config.tie_word_embeddings) add(Parameter::kHead, 0);
    for (int layer = 0; layer < config.num_layers(); ++layer) {
      for (int p = static_cast<int>(Parameter::kAttnNorm); p <= static_cast<int>(Parameter::kDown);
           ++p) {
        const auto parameter = static_cast<Parameter>(p);
        const bool norm = parameter == Parameter::kQNorm || parameter == Parameter::kKNorm;
        if (!norm || config.layers[layer].qk_norm) add(parameter, layer);
      }
    }
    if (config.ropes[0].scaling == RopeScaling::kFactors) wanted_.insert(kGgufRopeFactors);
    if (config.ropes[0].scaling == RopeScaling::kLongRope) {
      wanted_.insert(kGgufRopeLong);
      wanted_.insert(kGgufRopeShort);
    }
  }

  std::vector<UnknownTensor> Find() const {
    std::vector<UnknownTensor> out;
    for (const std::vector<Checkpoint::Tensor>* tensors :
         {&checkpoint_.tensors(), &checkpoint_.unlisted()}) {
      for (const Checkpoint::Tensor& tensor : *tensors) {
        if (wanted_.contains(tensor.name)) continue;
        auto [kind, reason] = Judge(tensor.name);
        out.push_back({kind, &tensor, std::move(reason)});
      }
    }
    return out;
  }

 private:
  std::pair<Kind, std::string> Judge(const std::string& name) const {
    for (const std::string_view leftover : kRotaryLeftovers) {
      if (name.ends_with(leftover)) {
        return {Kind::kHarmless, "rotary frequencies are computed from the config"};
      }
    }
    if (!gguf_ && name == kHead) return {Kind::kHarmless, "the tied embedding once more"};
    if (gguf_ ? BeginsWithAny(name, kBesideGguf) : BeginsWithAny(name, kBesideFolder)) {
      return {Kind::kUnused, "a part beside the network"};
    }
    const int64_t layer = LayerOf(name, gguf_);
    const bool trunk = gguf_ || name.starts_with("model.") || name.starts_with("lm_head.");
    if (layer < 0 && !trunk) return {Kind::kUnused, "no part of the network"};
    return {Kind::kRefused, WhyRefused(name, layer)};
  }

  std::string WhyRefused(const std::string& name, int64_t layer) const {
    if (layer >= config_.num_layers())
      return fmt::format("there are {} layers", config_.num_layers());
    if (name.ends_with(".bias")) return "biases are not supported";
    return fmt::format("the network that {} describes has no such part",
                       gguf_ ? "the metadata" : "config.json");
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const bool gguf_;
  std::unordered_set<std::string> wanted_;
};

// The head of a tied model is the embedding; a file that holds another one contradicts itself.
Status CheckTiedHead(const Checkpoint& checkpoint, HeadRows rows) {
  const Checkpoint::Tensor* head = checkpoint.Find(kHead);
  const Checkpoint::Tensor* embedding =
      checkpoint.Find(TensorName(/*gguf=*/false, Parameter::kEmbedding, 0));
  if (head == nullptr || embedding == nullptr) return OkStatus();
  const auto differs = [&](const std::string& how) {
    return Corrupt(
        "{}: {} differs from {} ({}), but tie_word_embeddings says that they are the same",
        head->file->path(), head->name, embedding->name, how);
  };
  if (head->type != embedding->type || head->shape != embedding->shape || head->shape.empty()) {
    return differs(fmt::format("{} {}, {} {}", head->type, ShapeString(head->shape),
                               embedding->type, ShapeString(embedding->shape)));
  }
  constexpr uint64_t kSomeRows = 64;
  const auto count = static_cast<uint64_t>(head->shape[0]);
  if (count == 0) return OkStatus();
  const uint64_t row_bytes = head->bytes() / count;
  const uint64_t step = rows == HeadRows::kAll ? 1 : std::max<uint64_t>(1, count / kSomeRows);
  for (uint64_t row = 0; row < count; row += step) {
    if (std::memcmp(head->data() + row * row_bytes, embedding->data() + row * row_bytes,
                    row_bytes) != 0) {
      return differs(fmt::format("in row {}", row));
    }
  }
  head->GiveBack();
  embedding->GiveBack();
  return OkStatus();
}

}  // namespace

std::vector<UnknownTensor> FindUnknownTensors(const Checkpoint& checkpoint,
                                              const ModelConfig& config) {
  return TensorChecker(checkpoint, config).Find();
}

Status CheckTensors(const Checkpoint& checkpoint, const ModelConfig& config, HeadRows rows) {
  const std::vector<UnknownTensor> unknown = FindUnknownTensors(checkpoint, config);
  const auto refused = [](const UnknownTensor& tensor) { return tensor.kind == Kind::kRefused; };
  const auto first = std::find_if(unknown.begin(), unknown.end(), refused);
  if (first != unknown.end()) {
    const auto others = std::count_if(unknown.begin(), unknown.end(), refused) - 1;
    const std::string more =
        others == 0 ? ""
                    : fmt::format("; so {} {} more ('kakeya inspect --check' lists all)",
                                  others == 1 ? "is" : "are", others);
    return Unsupported("{}: tensor {} would change the result, but {}{}",
                       first->tensor->file->path(), Quoted(first->tensor->name), first->reason,
                       more);
  }
  const bool folder = !checkpoint.is_gguf();
  return folder && config.tie_word_embeddings ? CheckTiedHead(checkpoint, rows) : OkStatus();
}

}  // namespace kakeya
