// What kind of network a model is: HF's config.json or the metadata of a GGUF file, read, checked
// and made explicit.
#ifndef KAKEYA_MODEL_CONFIG_H_
#define KAKEYA_MODEL_CONFIG_H_

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/json.h"

namespace kakeya {

enum class Architecture { kQwen3, kLlama };
// "qwen3", "llama": HF's model_type and GGUF's general.architecture.
const char* NameOf(Architecture architecture);

enum class RopeScaling {
  kNone,
  kLinear,   // every frequency divided by `factor`
  kLlama3,   // frequencies divided by `factor` above a wavelength, kept below another, blended
             // between
  kFactors,  // each frequency divided by its own factor
  kYarn,  // frequencies that turn seldom within original_max_positions divided by `factor`, those
          // that turn often kept, a ramp over the dimensions between
  kLongRope,  // each frequency divided by its own factor, one list for contexts up to
              // original_max_positions, another for longer ones
  kDynamic,   // as kNone: a theta that grows with the text beyond max_positions is not followed
};

// Rotary embedding: dimension pair i of a head turns by position * theta^(-2 i / head_dim) radians,
// the frequency then scaled as `scaling` says. All of it is fixed when the model is loaded
// (docs/adr/0011-rotary-frequencies-are-fixed-at-load.md).
struct RopeConfig {
  double theta = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;
  // kLlama3 only. Wavelengths above original_max_positions / low_freq_factor are divided by
  // `factor`, those below original_max_positions / high_freq_factor are kept.
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  // kYarn only. Dimensions that turn more than beta_fast times within original_max_positions are
  // kept, those that turn less than beta_slow times divided by `factor`. `truncate`: the ends of
  // the ramp between are whole dimensions.
  double beta_fast = 32;
  double beta_slow = 1;
  bool truncate = true;
  int64_t original_max_positions = 8192;  // kLlama3, kYarn and kLongRope
  std::vector<float> factors;        // kFactors, kLongRope beyond it: (head_dim / 2), all positive
  std::vector<float> short_factors;  // kLongRope up to it: (head_dim / 2), all positive
  double attention_factor = 1;       // cos and sin are multiplied by it
};

// What may differ from layer to layer.
struct LayerConfig {
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  int intermediate_size = 0;
  bool qk_norm = false;        // RmsNorm over each head of q and k before the rotation
  int rope = 0;                // which of ModelConfig::ropes rotates q and k
  int64_t sliding_window = 0;  // positions that a query sees, itself included; 0: all before it

  int q_size() const { return num_heads * head_dim; }
  int kv_size() const { return num_kv_heads * head_dim; }
  // Columns of one row of the packed q, k, v projection.
  int qkv_size() const { return q_size() + 2 * kv_size(); }
  // Query heads per KV head.
  int group_size() const { return num_heads / num_kv_heads; }

  bool operator==(const LayerConfig&) const = default;
};

// Immutable after reading. Every number has been checked: sizes are positive and bounded,
// there is a layer at least, num_heads is a multiple of num_kv_heads, head_dim is a multiple of 8
// and at most kMaxHeadDim, every layer's rope is one of ropes.
struct ModelConfig {
  Architecture architecture = Architecture::kQwen3;
  int vocab_size = 0;
  int hidden_size = 0;
  std::vector<LayerConfig> layers;
  std::vector<RopeConfig> ropes = {RopeConfig()};
  float rms_norm_eps = 1e-6f;
  int64_t max_positions = 0;         // positions that the model was trained for
  bool tie_word_embeddings = false;  // lm_head is the embedding
  std::optional<int32_t> bos_token_id;
  std::vector<int32_t> eos_token_ids;  // any of them ends a text; ascending; may be empty
  std::string torch_dtype;             // as the file says it, for display; may be empty

  int num_layers() const { return static_cast<int>(layers.size()); }
  // The layer that all others are like. Formats and parts that know one kind of layer ask for it.
  // REQUIRES: the layers are alike.
  const LayerConfig& common_layer() const {
    assert(alike());
    return layers.front();
  }
  bool alike() const {
    return std::all_of(layers.begin(), layers.end(),
                       [&](const LayerConfig& layer) { return layer == layers.front(); });
  }
  // Elements of the widest layer's activations: what buffers that serve every layer are made for.
  int max_q_size() const { return Widest(&LayerConfig::q_size); }
  int max_kv_size() const { return Widest(&LayerConfig::kv_size); }

 private:
  int Widest(int (LayerConfig::*size)() const) const {
    int most = 0;
    for (const LayerConfig& layer : layers) most = std::max(most, (layer.*size)());
    return most;
  }
};

// Reads the config.json of transformers 4 (rope_theta, rope_scaling) and 5 (rope_parameters).
// Errors, one line naming the key and its value: Unsupported for a network that this engine doesn't
// compute (another model_type, sliding-window layers, biases, quantised weights, other rope types),
// Corrupt for a file that contradicts itself or common sense.
Result<ModelConfig> ParseModelConfig(const Json& config);

// The config of a model folder or of a GGUF file (model/gguf_config.h). Of a folder it reads
// DIR/config.json. Where DIR/generation_config.json names an eos_token_id, that one holds instead
// of config.json's, as in HF's generate(). Errors name the file.
Result<ModelConfig> LoadModelConfig(const std::string& model);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_CONFIG_H_
