#include "model/rope_config.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/elementary.h"
#include "format/quote.h"
#include "model/config_rules.h"

namespace kakeya {
namespace {

constexpr char kOriginal[] = "original_max_position_embeddings";

// Where the reference implementation looks for the length that a model was trained with: the outer
// key first, then the inner one, then the context.
Status ReadOriginalPositions(const Json& config, const Json& rope, ModelConfig* out) {
  KAKEYA_ASSIGN_OR_RETURN(const auto outer, FindInt(config, kOriginal, 1, kMaxPositions));
  KAKEYA_ASSIGN_OR_RETURN(const auto inner, FindInt(rope, kOriginal, 1, kMaxPositions));
  out->ropes[0].original_max_positions = outer ? *outer : inner.value_or(out->max_positions);
  return OkStatus();
}

Status ReadFactor(const Json& /*config*/, const Json& rope, ModelConfig* out) {
  KAKEYA_ASSIGN_OR_RETURN(out->ropes[0].factor, GetDouble(rope, "factor", 1, kMaxRopeFactor));
  return OkStatus();
}

Status ReadLlama3(const Json& config, const Json& rope, ModelConfig* out) {
  RopeConfig* r = &out->ropes[0];
  KAKEYA_RETURN_IF_ERROR(ReadFactor(config, rope, out));
  KAKEYA_ASSIGN_OR_RETURN(r->low_freq_factor, GetDouble(rope, "low_freq_factor", 1e-6, 1e6));
  KAKEYA_ASSIGN_OR_RETURN(r->high_freq_factor, GetDouble(rope, "high_freq_factor", 1e-6, 1e6));
  if (r->high_freq_factor <= r->low_freq_factor) {
    return Corrupt("high_freq_factor {} must be greater than low_freq_factor {}",
                   r->high_freq_factor, r->low_freq_factor);
  }
  return ReadOriginalPositions(config, rope, out);
}

// The factor by which the context has grown, where no key says it.
double ContextRatio(const ModelConfig& config) {
  return std::max(1.0, static_cast<double>(config.max_positions) /
                           static_cast<double>(config.ropes[0].original_max_positions));
}

// The reference implementation takes a zero for a missing value.
Result<double> PositiveOr(const Json& rope, const char* key, double fallback) {
  KAKEYA_ASSIGN_OR_RETURN(const auto value, FindDouble(rope, key, 0, kMaxRopeFactor));
  return value.value_or(0) > 0 ? *value : fallback;
}

Status ReadYarn(const Json& config, const Json& rope, ModelConfig* out) {
  RopeConfig* r = &out->ropes[0];
  KAKEYA_RETURN_IF_ERROR(ReadOriginalPositions(config, rope, out));
  KAKEYA_ASSIGN_OR_RETURN(const auto factor, FindDouble(rope, "factor", 1, kMaxRopeFactor));
  r->factor = factor.value_or(ContextRatio(*out));
  KAKEYA_ASSIGN_OR_RETURN(r->beta_fast, PositiveOr(rope, "beta_fast", r->beta_fast));
  KAKEYA_ASSIGN_OR_RETURN(r->beta_slow, PositiveOr(rope, "beta_slow", r->beta_slow));
  KAKEYA_ASSIGN_OR_RETURN(const auto truncate, FindBool(rope, "truncate"));
  r->truncate = truncate.value_or(true);
  KAKEYA_ASSIGN_OR_RETURN(const double mscale, PositiveOr(rope, "mscale", 0));
  KAKEYA_ASSIGN_OR_RETURN(const double all_dim, PositiveOr(rope, "mscale_all_dim", 0));
  KAKEYA_ASSIGN_OR_RETURN(
      const auto attention,
      FindDouble(rope, "attention_factor", kMinAttentionFactor, kMaxAttentionFactor));
  r->attention_factor = attention ? *attention
                        : mscale > 0 && all_dim > 0
                            ? YarnMagnitude(r->factor, mscale) / YarnMagnitude(r->factor, all_dim)
                            : YarnMagnitude(r->factor);
  out->max_positions = YarnPositions(*r, out->max_positions);
  return CheckYarn(*r, "rope_theta", "beta_fast", "beta_slow");
}

// One positive factor for each dimension pair.
Result<std::vector<float>> ReadFactors(const Json& rope, const char* key, int head_dim) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* list, FindArray(rope, key));
  if (list == nullptr) return Corrupt("key '{}' is missing", key);
  if (list->size() != static_cast<size_t>(head_dim / 2)) {
    return Corrupt("key '{}' has {} factors, must have {} (half a head)", key, list->size(),
                   head_dim / 2);
  }
  std::vector<float> factors;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string name = fmt::format("{}[{}]", key, i);
    const Json member = {{name, (*list)[i]}};
    KAKEYA_ASSIGN_OR_RETURN(const double factor,
                            GetDouble(member, name.c_str(), kMinLongFactor, kMaxRopeFactor));
    factors.push_back(static_cast<float>(factor));
  }
  return factors;
}

Status ReadLongRope(const Json& config, const Json& rope, ModelConfig* out) {
  RopeConfig* r = &out->ropes[0];
  KAKEYA_RETURN_IF_ERROR(ReadOriginalPositions(config, rope, out));
  KAKEYA_ASSIGN_OR_RETURN(r->factors,
                          ReadFactors(rope, "long_factor", out->common_layer().head_dim));
  KAKEYA_ASSIGN_OR_RETURN(r->short_factors,
                          ReadFactors(rope, "short_factor", out->common_layer().head_dim));
  KAKEYA_ASSIGN_OR_RETURN(const auto factor, FindDouble(rope, "factor", 1, kMaxRopeFactor));
  r->factor = factor.value_or(ContextRatio(*out));
  KAKEYA_ASSIGN_OR_RETURN(
      const auto attention,
      FindDouble(rope, "attention_factor", kMinAttentionFactor, kMaxAttentionFactor));
  if (attention) {
    r->attention_factor = *attention;
  } else if (r->factor > 1) {
    if (r->original_max_positions < 2) {
      return Corrupt("{} {} must be at least 2", kOriginal, r->original_max_positions);
    }
    const double original = static_cast<double>(r->original_max_positions);
    r->attention_factor = std::sqrt(1 + elementary::Log(r->factor) / elementary::Log(original));
  }
  return OkStatus();
}

struct ScalingKind {
  std::string_view type;
  RopeScaling scaling;
  Status (*read)(const Json& config, const Json& rope, ModelConfig* out);
};
constexpr ScalingKind kKinds[] = {
    {"linear", RopeScaling::kLinear, ReadFactor},
    {"llama3", RopeScaling::kLlama3, ReadLlama3},
    {"yarn", RopeScaling::kYarn, ReadYarn},
    {"longrope", RopeScaling::kLongRope, ReadLongRope},
    {"dynamic", RopeScaling::kDynamic, ReadFactor},
};

}  // namespace

double YarnMagnitude(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * elementary::Log(factor) + 1;
}

int64_t YarnPositions(const RopeConfig& rope, int64_t max_positions) {
  const double stretched = std::floor(static_cast<double>(rope.original_max_positions) *
                                      rope.factor);  // at most 2^30 * 1e6
  return std::max(max_positions, std::min(static_cast<int64_t>(stretched), kMaxPositions));
}

Status ReadRope(const Json& config, ModelConfig* out) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* rope, FindObject(config, "rope_scaling"));
  if (rope == nullptr || rope->empty()) {
    KAKEYA_ASSIGN_OR_RETURN(rope, FindObject(config, "rope_parameters"));
  }
  KAKEYA_ASSIGN_OR_RETURN(auto theta, FindDouble(config, "rope_theta", kMinTheta, kMaxTheta));
  KAKEYA_ASSIGN_OR_RETURN(auto partial, FindDouble(config, "partial_rotary_factor", 0, 1));
  std::string type = "default";
  if (rope != nullptr) {
    KAKEYA_ASSIGN_OR_RETURN(const auto inner,
                            FindDouble(*rope, "rope_theta", kMinTheta, kMaxTheta));
    if (inner) theta = inner;
    KAKEYA_ASSIGN_OR_RETURN(const auto inner_partial,
                            FindDouble(*rope, "partial_rotary_factor", 0, 1));
    if (inner_partial) partial = inner_partial;
    KAKEYA_ASSIGN_OR_RETURN(const auto old_type, FindString(*rope, "type"));
    KAKEYA_ASSIGN_OR_RETURN(const auto new_type, FindString(*rope, "rope_type"));
    type = new_type.value_or(old_type.value_or(type));
  }
  if (partial.value_or(1) != 1) {
    return Unsupported("partial_rotary_factor {} is not supported (supported: 1)", *partial);
  }
  out->ropes[0].theta = theta.value_or(out->ropes[0].theta);
  if (type == "default") return OkStatus();
  for (const ScalingKind& kind : kKinds) {
    if (kind.type != type) continue;
    out->ropes[0].scaling = kind.scaling;
    return kind.read(config, *rope, out);
  }
  return Unsupported(
      "rope_type {} is not supported (supported: default, linear, llama3, yarn, longrope, dynamic)",
      Quoted(type, 40));
}

}  // namespace kakeya
