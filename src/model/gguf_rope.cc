#include "model/gguf_rope.h"

#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/tensor_view.h"
#include "format/quote.h"
#include "model/config_rules.h"
#include "model/rope_config.h"

namespace kakeya {
namespace {

// The factor, under its name or its old one; 1 where there is none (0 says the same).
Result<double> ReadFactor(const GgufKeyReader& keys) {
  const std::string key = keys.Key("rope.scaling.factor");
  KAKEYA_ASSIGN_OR_RETURN(auto factor, keys.Number(key, 0, kMaxRopeFactor));
  if (!factor) {
    KAKEYA_ASSIGN_OR_RETURN(factor, keys.Number(keys.Key("rope.scale_linear"), 0, kMaxRopeFactor));
  }
  const double value = factor.value_or(0) == 0 ? 1 : *factor;
  if (value < 1) {
    return keys.InFile(Corrupt("key '{}' is {}, must be at least 1", key, value));
  }
  return value;
}

// Half a head of positive numbers.
Result<std::vector<float>> ReadFactors(const GgufKeyReader& keys, const GgufTensor& tensor,
                                       int head_dim) {
  const GgufFile& file = keys.file();
  const auto half = static_cast<size_t>(head_dim / 2);
  if (tensor.type->name != "F32" || tensor.shape != std::vector<int64_t>{head_dim / 2}) {
    return keys.InFile(Corrupt("{} is {} {}, must be F32 [{}] (half a head)", tensor.name,
                               tensor.type->name, ShapeString(tensor.shape), half));
  }
  std::vector<float> factors(half);
  std::memcpy(factors.data(), file.Data(tensor).data(), half * sizeof(float));
  KAKEYA_RETURN_IF_ERROR(file.CheckIntact());
  for (size_t i = 0; i < half; ++i) {
    if (!std::isfinite(factors[i]) || factors[i] <= 0) {
      return keys.InFile(Corrupt("{} holds {} at [{}]", tensor.name, factors[i], i));
    }
  }
  return factors;
}

Status ReadOriginalPositions(const GgufKeyReader& keys, ModelConfig* out) {
  const std::string key = keys.Key("rope.scaling.original_context_length");
  KAKEYA_ASSIGN_OR_RETURN(const auto original, keys.Integer(key, 1, kMaxPositions));
  out->ropes[0].original_max_positions = original.value_or(out->max_positions);
  return OkStatus();
}

// Keys of other architectures' YaRN, which llama.cpp reads for those alone.
Status RefuseOtherYarn(const GgufKeyReader& keys) {
  constexpr std::pair<const char*, double> kNeutral[] = {{"rope.scaling.yarn_ext_factor", 1},
                                                         {"rope.scaling.yarn_attn_factor", 1},
                                                         {"rope.scaling.yarn_log_multiplier", 0}};
  for (const auto& [name, neutral] : kNeutral) {
    KAKEYA_ASSIGN_OR_RETURN(const auto value, keys.file().GetNumber(keys.Key(name)));
    if (value && *value != neutral) {
      return keys.InFile(
          Unsupported("{} {} is not supported (supported: {})", keys.Key(name), *value, neutral));
    }
  }
  return OkStatus();
}

Status ReadYarn(const GgufKeyReader& keys, double attention_factor, ModelConfig* out) {
  RopeConfig* rope = &out->ropes[0];
  KAKEYA_RETURN_IF_ERROR(RefuseOtherYarn(keys));
  KAKEYA_RETURN_IF_ERROR(ReadOriginalPositions(keys, out));
  const std::string fast = keys.Key("rope.scaling.yarn_beta_fast");
  const std::string slow = keys.Key("rope.scaling.yarn_beta_slow");
  KAKEYA_ASSIGN_OR_RETURN(const auto beta_fast, keys.Number(fast, 1e-6, kMaxRopeFactor));
  KAKEYA_ASSIGN_OR_RETURN(const auto beta_slow, keys.Number(slow, 1e-6, kMaxRopeFactor));
  rope->beta_fast = beta_fast.value_or(rope->beta_fast);
  rope->beta_slow = beta_slow.value_or(rope->beta_slow);
  rope->attention_factor = attention_factor * YarnMagnitude(rope->factor);
  out->max_positions = YarnPositions(*rope, out->max_positions);
  const Status checked = CheckYarn(*rope, keys.Key("rope.freq_base"), fast, slow);
  return checked.ok() ? checked : keys.InFile(checked);
}

Status ReadLongRope(const GgufKeyReader& keys, ModelConfig* out) {
  KAKEYA_RETURN_IF_ERROR(ReadOriginalPositions(keys, out));
  const std::pair<const char*, std::vector<float>*> lists[] = {
      {kGgufRopeLong, &out->ropes[0].factors}, {kGgufRopeShort, &out->ropes[0].short_factors}};
  for (const auto& [name, list] : lists) {
    const GgufTensor* tensor = keys.file().Find(name);
    if (tensor == nullptr) {
      return keys.InFile(
          Corrupt("tensor {} is missing ({} longrope)", name, keys.Key("rope.scaling.type")));
    }
    KAKEYA_ASSIGN_OR_RETURN(*list, ReadFactors(keys, *tensor, out->common_layer().head_dim));
  }
  return OkStatus();
}

// Llama 3.1's factors stand alone.
Status ReadLlama3(const GgufKeyReader& keys, ModelConfig* out) {
  const GgufTensor* tensor = keys.file().Find(kGgufRopeFactors);
  if (tensor == nullptr) return OkStatus();
  KAKEYA_ASSIGN_OR_RETURN(std::vector<float> factors,
                          ReadFactors(keys, *tensor, out->common_layer().head_dim));
  if (out->ropes[0].scaling != RopeScaling::kNone) {
    return keys.InFile(Unsupported("{} together with {} {} is not supported", kGgufRopeFactors,
                                   keys.Key("rope.scaling.factor"), out->ropes[0].factor));
  }
  out->ropes[0].scaling = RopeScaling::kFactors;
  out->ropes[0].factors = std::move(factors);
  return OkStatus();
}

}  // namespace

Status ReadGgufRope(const GgufKeyReader& keys, ModelConfig* out) {
  RopeConfig* rope = &out->ropes[0];
  KAKEYA_ASSIGN_OR_RETURN(const auto theta,
                          keys.Number(keys.Key("rope.freq_base"), kMinTheta, kMaxTheta));
  rope->theta = theta.value_or(rope->theta);
  KAKEYA_ASSIGN_OR_RETURN(
      const auto attention,
      keys.Number(keys.Key("rope.scaling.attn_factor"), kMinAttentionFactor, kMaxAttentionFactor));
  rope->attention_factor = attention.value_or(1);
  KAKEYA_ASSIGN_OR_RETURN(const auto type, keys.file().GetString(keys.Key("rope.scaling.type")));
  const std::string kind = type.value_or("linear");
  if (kind != "none") {
    KAKEYA_ASSIGN_OR_RETURN(rope->factor, ReadFactor(keys));
  }
  if (kind == "yarn") {
    rope->scaling = RopeScaling::kYarn;
    KAKEYA_RETURN_IF_ERROR(ReadYarn(keys, rope->attention_factor, out));
  } else if (kind == "longrope") {
    rope->scaling = RopeScaling::kLongRope;
    KAKEYA_RETURN_IF_ERROR(ReadLongRope(keys, out));
  } else if (kind == "linear") {
    if (rope->factor != 1) rope->scaling = RopeScaling::kLinear;
  } else if (kind != "none") {
    return keys.InFile(
        Unsupported("{} {} is not supported (supported: none, linear, yarn, longrope)",
                    keys.Key("rope.scaling.type"), Quoted(kind, 40)));
  }
  return ReadLlama3(keys, out);
}

}  // namespace kakeya
