#include "proposer/restorer_config.h"

#include <algorithm>
#include <string_view>

#include "format/quote.h"

namespace kakeya {
namespace {

constexpr int kMaxLayers = 16;
constexpr int kMaxHidden = 8192;
constexpr int kMaxHeads = 256;
constexpr int kMaxFfn = 1 << 15;
constexpr int kMaxVerifierSize = 1 << 22;
constexpr int64_t kMaxChunks = int64_t{1} << 18;
constexpr int64_t kMaxDistance = int64_t{1} << 24;
constexpr int kHeadDimMultiple = 8;
constexpr int kSummaryDimMultiple = 4;

// Reads one key into an int field.
Status ReadSize(const Json& object, const char* key, int min, int max, int* out) {
  KAKEYA_ASSIGN_OR_RETURN(const int64_t value, GetInt(object, key, min, max));
  *out = static_cast<int>(value);
  return OkStatus();
}

Status MustDivide(const char* divisor_key, int64_t divisor, const char* key, int64_t value) {
  if (value % divisor == 0) return OkStatus();
  return Corrupt("key '{}' is {}, which {} {} is no multiple of", divisor_key, divisor, key, value);
}

// Calls read(object) for the member `key`, whose errors then name it.
template <typename Read>
Status ReadSection(const Json& config, const char* key, const Read& read) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* section, FindObject(config, key));
  if (section == nullptr) return Corrupt("key '{}' is missing", key);
  return read(*section).WithContext(key);
}

Status ReadProposer(const Json& in, RestorerConfig::Proposer* out) {
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "layers", 1, kMaxLayers, &out->layers));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "hidden", 1, kMaxHidden, &out->hidden));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "heads", 1, kMaxHeads, &out->heads));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "head_dim", 1, kMaxHeadDim, &out->head_dim));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "ffn", 1, kMaxFfn, &out->ffn));
  if (out->head_dim % kHeadDimMultiple != 0) {
    return Corrupt("key 'head_dim' is {}, must be a multiple of {}", out->head_dim,
                   kHeadDimMultiple);
  }
  KAKEYA_ASSIGN_OR_RETURN(out->rope_theta, GetDouble(in, "rope_theta", 1, 1e15));
  KAKEYA_ASSIGN_OR_RETURN(const double eps, GetDouble(in, "rms_norm_eps", 1e-12, 1));
  out->rms_norm_eps = static_cast<float>(eps);
  return OkStatus();
}

Status ReadLengths(const Json& in, std::vector<int>* out) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* lengths, FindArray(in, "lengths"));
  if (lengths == nullptr) return Corrupt("key 'lengths' is missing");
  if (lengths->empty() || lengths->size() > kMaxRecurrenceLengths) {
    return Corrupt("key 'lengths' has {} elements, must have 1 to {}", lengths->size(),
                   kMaxRecurrenceLengths);
  }
  for (const Json& length : *lengths) {
    const int64_t n = length.is_number_integer() ? length.get<int64_t>() : 0;
    if (n < 1 || n > kMaxRecurrenceLength || (!out->empty() && n <= out->back())) {
      return Corrupt("key 'lengths' holds {}, must be integers from 1 to {} in ascending order",
                     Printable(length.dump(), 40), kMaxRecurrenceLength);
    }
    out->push_back(static_cast<int>(n));
  }
  return OkStatus();
}

// REQUIRES: token_dim has been read.
Status ReadRecurrence(const Json& config, RestorerConfig* out) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* in, FindObject(config, "recurrence"));
  if (in == nullptr) return OkStatus();
  RestorerConfig::Recurrence& recurrence = out->recurrence;
  const auto read = [&]() -> Status {
    KAKEYA_RETURN_IF_ERROR(ReadLengths(*in, &recurrence.lengths));
    KAKEYA_RETURN_IF_ERROR(ReadSize(*in, "buckets", 2, kMaxRecurrenceBuckets, &recurrence.buckets));
    KAKEYA_RETURN_IF_ERROR(ReadSize(*in, "next", 1, kMaxRecurrenceNext, &recurrence.next));
    if (out->token_dim > 0) return OkStatus();
    return Corrupt("key 'token_dim' is 0, but followers are told by their token features");
  };
  return read().WithContext("recurrence");
}

Status ReadSummary(const Json& in, RestorerConfig::Summary* out) {
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "segments", 1, kChunk, &out->segments));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "dim", 1, kMaxSummaryDim, &out->dim));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "pool_heads", 1, kMaxSummaryDim, &out->pool_heads));
  KAKEYA_RETURN_IF_ERROR(MustDivide("segments", out->segments, "chunk", kChunk));
  if (out->dim % kSummaryDimMultiple != 0) {
    return Corrupt("key 'dim' is {}, must be a multiple of {}", out->dim, kSummaryDimMultiple);
  }
  return MustDivide("pool_heads", out->pool_heads, "dim", out->dim);
}

Status ReadSelection(const Json& in, RestorerConfig* out) {
  KAKEYA_ASSIGN_OR_RETURN(const double share, GetDouble(in, "min_share_log", -100, 100));
  out->min_share_log = static_cast<float>(share);
  KAKEYA_ASSIGN_OR_RETURN(out->chunks, GetInt(in, "chunks", 1, kMaxChunks));
  return OkStatus();
}

Status ReadVerifier(const Json& in, RestorerConfig::Verifier* out) {
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "layers", 1, kMaxVerifierSize, &out->layers));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "hidden", 1, kMaxVerifierSize, &out->hidden));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "heads", 1, kMaxVerifierSize, &out->heads));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "kv_heads", 1, kMaxVerifierSize, &out->kv_heads));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "head_dim", 1, kMaxHeadDim, &out->head_dim));
  KAKEYA_RETURN_IF_ERROR(ReadSize(in, "vocab_size", 1, kMaxVerifierSize, &out->vocab_size));
  return MustDivide("kv_heads", out->kv_heads, "heads", out->heads);
}

Status CheckFormat(const Json& config) {
  KAKEYA_ASSIGN_OR_RETURN(const std::string format, GetString(config, "format"));
  if (format != "kakeya-restorer") {
    return Unsupported("key 'format' is {}, must be 'kakeya-restorer'", Quoted(format, 40));
  }
  KAKEYA_ASSIGN_OR_RETURN(const int64_t version, GetInt(config, "version", 0, INT64_MAX));
  if (version != 1) return Unsupported("key 'version' is {}, supported is 1", version);
  KAKEYA_ASSIGN_OR_RETURN(const int64_t chunk, GetInt(config, "chunk", 1, INT64_MAX));
  if (chunk != kChunk) return Unsupported("key 'chunk' is {}, supported is {}", chunk, kChunk);
  return OkStatus();
}

Status ReadFingerprint(const Json& config, std::string* out) {
  KAKEYA_ASSIGN_OR_RETURN(*out, GetString(config, "verifier_fingerprint"));
  const bool hex = std::all_of(out->begin(), out->end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (hex && out->size() == 32) return OkStatus();
  return Corrupt("key 'verifier_fingerprint' is {}, must be 32 lower-case hexadecimal digits",
                 Quoted(*out, 40));
}

std::string ShapeString(const RestorerConfig::Verifier& v) {
  return fmt::format("layers {}, hidden {}, heads {}, kv_heads {}, head_dim {}, vocab_size {}",
                     v.layers, v.hidden, v.heads, v.kv_heads, v.head_dim, v.vocab_size);
}

}  // namespace

RestorerConfig::Verifier VerifierShape(const ModelConfig& model) {
  const LayerConfig& layer = model.common_layer();
  return {.layers = model.num_layers(),
          .hidden = model.hidden_size,
          .heads = layer.num_heads,
          .kv_heads = layer.num_kv_heads,
          .head_dim = layer.head_dim,
          .vocab_size = model.vocab_size};
}

Result<RestorerConfig> ParseRestorerConfig(const Json& config) {
  RestorerConfig out;
  KAKEYA_RETURN_IF_ERROR(CheckFormat(config));
  KAKEYA_RETURN_IF_ERROR(ReadFingerprint(config, &out.verifier_fingerprint));
  KAKEYA_RETURN_IF_ERROR(ReadSection(
      config, "proposer", [&](const Json& in) { return ReadProposer(in, &out.proposer); }));
  KAKEYA_RETURN_IF_ERROR(ReadSize(config, "code_dim", 1, kMaxRestoreInputs, &out.code_dim));
  KAKEYA_RETURN_IF_ERROR(ReadSize(config, "token_dim", 0, kMaxRestoreInputs, &out.token_dim));
  if (out.restore_inputs() > kMaxRestoreInputs) {
    return Corrupt("key 'token_dim' is {}, with code_dim {} at most {} in all", out.token_dim,
                   out.code_dim, kMaxRestoreInputs);
  }
  KAKEYA_RETURN_IF_ERROR(ReadRecurrence(config, &out));
  KAKEYA_RETURN_IF_ERROR(ReadSection(
      config, "summary", [&](const Json& in) { return ReadSummary(in, &out.summary); }));
  KAKEYA_RETURN_IF_ERROR(
      ReadSection(config, "selection", [&](const Json& in) { return ReadSelection(in, &out); }));
  KAKEYA_ASSIGN_OR_RETURN(out.max_distance, GetInt(config, "max_distance", kChunk, kMaxDistance));
  KAKEYA_RETURN_IF_ERROR(MustDivide("chunk", kChunk, "max_distance", out.max_distance));
  KAKEYA_RETURN_IF_ERROR(ReadSection(
      config, "verifier", [&](const Json& in) { return ReadVerifier(in, &out.verifier); }));
  return out;
}

Result<RestorerConfig> LoadRestorerConfig(const std::string& dir, const ModelConfig& verifier,
                                          const std::string& fingerprint) {
  const std::string path = dir + "/config.json";
  KAKEYA_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
  Result<RestorerConfig> config = ParseRestorerConfig(json);
  if (!config.ok()) return config.status().WithContext(path);
  if (config->verifier_fingerprint != fingerprint) {
    return Corrupt(
        "the restorer in {} belongs to another verifier (fingerprint {}, this model has {})", dir,
        config->verifier_fingerprint, fingerprint);
  }
  const RestorerConfig::Verifier shape = VerifierShape(verifier);
  if (config->verifier != shape) {
    return Corrupt("{}: key 'verifier' says {}, but this model has {}", path,
                   ShapeString(config->verifier), ShapeString(shape));
  }
  return config;
}

}  // namespace kakeya
