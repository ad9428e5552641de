#include "format/gguf_split.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "format/quote.h"

namespace kakeya {
namespace {

constexpr std::string_view kSplitKeys = "split.";

// Five digits, as the names have them.
std::optional<uint64_t> FiveDigits(std::string_view text) {
  uint64_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  return number;
}

const GgufValue* FindKey(const GgufHeader& header, std::string_view key) {
  for (const auto& [name, value] : header.metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

// A key that isn't negative; nothing where it is missing.
Result<std::optional<uint64_t>> FindCount(const GgufHeader& header, std::string_view key) {
  const GgufValue* value = FindKey(header, key);
  if (value == nullptr) return std::optional<uint64_t>();
  if (const auto* number = std::get_if<uint64_t>(value)) return std::optional(*number);
  const auto* number = std::get_if<int64_t>(value);
  if (number == nullptr) return Corrupt("key '{}' must be an integer", key);
  if (*number < 0) return Corrupt("key '{}' is {}", key, *number);
  return std::optional(static_cast<uint64_t>(*number));
}

// The key of a part must be there and be this number, `reason` says why.
Status WantCount(const GgufHeader& header, std::string_view key, uint64_t wanted,
                 std::string_view reason) {
  KAKEYA_ASSIGN_OR_RETURN(const auto value, FindCount(header, key));
  if (!value) return Corrupt("key '{}' is missing: {}", key, reason);
  if (*value != wanted) return Corrupt("key '{}' is {}, not {}: {}", key, *value, wanted, reason);
  return OkStatus();
}

// Later parts need no metadata, but what they have must be that of the first.
Status CheckSameModel(const GgufHeader& first, const GgufHeader& part,
                      const std::string& first_path) {
  for (const auto& [key, value] : part.metadata) {
    if (key.starts_with(kSplitKeys) || std::holds_alternative<GgufArray>(value)) continue;
    const GgufValue* known = FindKey(first, key);
    if (known != nullptr && *known != value) {
      return Corrupt("is a part of another model: key {} differs from that of {}", Quoted(key),
                     first_path);
    }
  }
  return OkStatus();
}

Status CheckPart(const GgufHeader& first, const GgufHeader& header, uint64_t part,
                 uint64_t part_count, const std::string& first_path) {
  KAKEYA_RETURN_IF_ERROR(
      WantCount(header, "split.count", part_count, "the name says how many parts there are"));
  KAKEYA_RETURN_IF_ERROR(WantCount(header, "split.no", part - 1, "the name says which part it is"));
  KAKEYA_ASSIGN_OR_RETURN(const auto tensors, FindCount(first, "split.tensors.count"));
  if (!tensors) return OkStatus();  // the first part is asked for it
  KAKEYA_RETURN_IF_ERROR(WantCount(header, "split.tensors.count", *tensors,
                                   fmt::format("{} says so, is that another model?", first_path)));
  return CheckSameModel(first, header, first_path);
}

}  // namespace

std::string GgufSplitName::Path(uint64_t other_part) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, other_part, count);
}

std::optional<GgufSplitName> ParseGgufSplitName(const std::string& path) {
  constexpr std::string_view kOf = "-of-";
  constexpr std::string_view kEnd = ".gguf";
  constexpr size_t kDigits = 5;
  constexpr size_t kLength = 1 + kDigits + kOf.size() + kDigits + kEnd.size();
  if (path.size() <= kLength || !path.ends_with(kEnd)) return std::nullopt;
  const std::string_view tail = std::string_view(path).substr(path.size() - kLength);
  if (tail[0] != '-' || tail.substr(1 + kDigits, kOf.size()) != kOf) return std::nullopt;
  const auto part = FiveDigits(tail.substr(1, kDigits));
  const auto count = FiveDigits(tail.substr(1 + kDigits + kOf.size(), kDigits));
  if (!part || !count || *part < 1 || *part > *count) return std::nullopt;
  return GgufSplitName{path.substr(0, path.size() - kLength), *part, *count};
}

Result<uint64_t> GgufPartCount(const GgufHeader& header) {
  KAKEYA_ASSIGN_OR_RETURN(const auto count, FindCount(header, "split.count"));
  return std::max<uint64_t>(count.value_or(1), 1);
}

Result<GgufHeader> JoinGgufParts(const std::vector<std::string>& paths,
                                 std::vector<GgufHeader> headers) {
  GgufHeader out;
  std::unordered_map<std::string, size_t> part_of;
  for (size_t i = 0; i < headers.size(); ++i) {
    const Status checked = CheckPart(headers[0], headers[i], i + 1, headers.size(), paths[0]);
    if (!checked.ok()) return checked.WithContext(paths[i]);
    for (GgufTensor& tensor : headers[i].tensors) {
      const auto [known, is_new] = part_of.emplace(tensor.name, i);
      if (!is_new) {
        return Corrupt("{}: tensor {} is in {}, too", paths[i], Quoted(tensor.name),
                       paths[known->second]);
      }
      tensor.part = i;
      out.tensors.push_back(std::move(tensor));
    }
  }
  const Status complete =
      WantCount(headers[0], "split.tensors.count", out.tensors.size(),
                fmt::format("so many tensors are in the {} parts", headers.size()));
  if (!complete.ok()) return complete.WithContext(paths[0]);
  out.version = headers[0].version;
  out.metadata = std::move(headers[0].metadata);
  out.value_extents = std::move(headers[0].value_extents);
  return out;
}

}  // namespace kakeya
