// What every ModelConfig fulfils, whatever file it was read from, and what that file calls the
// numbers.
#ifndef KAKEYA_MODEL_CONFIG_RULES_H_
#define KAKEYA_MODEL_CONFIG_RULES_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/config.h"

namespace kakeya {

// Far above any published dense model, far below where products of two would wrap an int.
inline constexpr int kMaxVocab = 1 << 22;
inline constexpr int kMaxHidden = 1 << 16;
inline constexpr int kMaxIntermediate = 1 << 20;
inline constexpr int kMaxLayers = 1024;
inline constexpr int kMaxHeads = 1024;
inline constexpr int64_t kMaxPositions = int64_t{1} << 30;
inline constexpr double kMinTheta = std::numeric_limits<double>::min();
inline constexpr double kMaxTheta = 1e15;
inline constexpr double kMinEps = 1e-30;
inline constexpr double kMaxEps = 0.999;
inline constexpr double kMaxRopeFactor = 1e6;
inline constexpr double kMinLongFactor = 1e-6;
inline constexpr double kMinAttentionFactor = 1e-3;
inline constexpr double kMaxAttentionFactor = 1e3;

// How the file spells what messages are about.
struct ConfigKeys {
  std::string file;  // where the numbers stand: "config.json"
  std::string vocab_size;
  std::string hidden_size;
  std::string intermediate_size;
  std::string num_heads;
  std::string num_kv_heads;
  std::string head_dim;
};

ConfigKeys HuggingFaceKeys();
ConfigKeys GgufKeys(Architecture architecture);

// Checks num_heads against num_kv_heads and sets head_dim: the file's, or hidden_size / num_heads
// where it says nothing. REQUIRES: the layer's other sizes are set. Errors: Corrupt, Unsupported,
// with the keys and both values.
Status SettleHeads(const ConfigKeys& keys, std::optional<int64_t> head_dim, int hidden_size,
                   LayerConfig* layer);

// Checks what YaRN's ramp needs: a theta above 1, and beta_fast at least beta_slow. The arguments
// are the file's keys. Errors: Corrupt.
Status CheckYarn(const RopeConfig& rope, std::string_view theta, std::string_view beta_fast,
                 std::string_view beta_slow);

}  // namespace kakeya

#endif  // KAKEYA_MODEL_CONFIG_RULES_H_
