// The numbers among a GGUF file's keys, checked.
#ifndef KAKEYA_MODEL_GGUF_KEYS_H_
#define KAKEYA_MODEL_GGUF_KEYS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "format/gguf.h"
#include "model/config.h"

namespace kakeya {

// Every error names the file and the key. Valid as long as the file.
class GgufKeyReader {
 public:
  explicit GgufKeyReader(const GgufFile& file) : file_(file) {}
  // Whose keys Key() names.
  void set_architecture(Architecture architecture) { architecture_ = architecture; }

  const GgufFile& file() const { return file_; }
  // "qwen3.NAME"
  std::string Key(const char* name) const {
    return fmt::format("{}.{}", NameOf(architecture_), name);
  }
  Status InFile(const Status& status) const { return status.WithContext(file_.file().path()); }
  Status Missing(const std::string& key) const {
    return InFile(Corrupt("key '{}' is missing", key));
  }

  // Nothing where the key is missing; Corrupt for a number out of [min, max]. REQUIRES: min >= 0.
  Result<std::optional<int64_t>> Integer(const std::string& key, int64_t min, int64_t max) const {
    KAKEYA_ASSIGN_OR_RETURN(const auto value, file_.GetUnsigned(key));
    if (!value) return std::optional<int64_t>();
    if (*value < static_cast<uint64_t>(min) || *value > static_cast<uint64_t>(max)) {
      return InFile(Corrupt("key '{}' is {}, must lie in [{}, {}]", key, *value, min, max));
    }
    return std::optional(static_cast<int64_t>(*value));
  }
  Result<std::optional<double>> Number(const std::string& key, double min, double max) const {
    KAKEYA_ASSIGN_OR_RETURN(const auto value, file_.GetNumber(key));
    if (value && !(*value >= min && *value <= max)) {
      return InFile(Corrupt("key '{}' is {}, must lie in [{}, {}]", key, *value, min, max));
    }
    return value;
  }

 private:
  const GgufFile& file_;
  Architecture architecture_ = Architecture::kQwen3;
};

}  // namespace kakeya

#endif  // KAKEYA_MODEL_GGUF_KEYS_H_
