#include "eval/recall/run/record.h"

#include <algorithm>
#include <optional>

namespace kakeya {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 62;

// Values of an enumeration by their names.
template <typename Enum>
Result<Enum> Named(const Json& json, const char* key, const std::vector<Enum>& all) {
  KAKEYA_ASSIGN_OR_RETURN(const std::string name, GetString(json, key));
  const auto found =
      std::find_if(all.begin(), all.end(), [&](Enum value) { return NameOf(value) == name; });
  if (found == all.end()) return Corrupt("'{}' is '{}', which is none", key, name);
  return *found;
}

Status Read(const Json& json, const char* key, int64_t* out) {
  KAKEYA_ASSIGN_OR_RETURN(*out, GetInt(json, key, 0, kMaxCount));
  return OkStatus();
}

Status Read(const Json& json, const char* key, uint64_t* out) {
  KAKEYA_ASSIGN_OR_RETURN(const int64_t value, GetInt(json, key, 0, kMaxCount));
  *out = static_cast<uint64_t>(value);
  return OkStatus();
}

Status Read(const Json& json, const char* key, double* out) {
  KAKEYA_ASSIGN_OR_RETURN(*out, GetDouble(json, key, 0, 1e18));
  return OkStatus();
}

Status Read(const Json& json, const char* key, std::string* out) {
  KAKEYA_ASSIGN_OR_RETURN(*out, GetString(json, key));
  return OkStatus();
}

Status Read(const Json& json, const char* key, std::vector<std::string>* out) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* const list, FindArray(json, key));
  if (list == nullptr) return Corrupt("'{}' is missing", key);
  for (const Json& item : *list) {
    if (!item.is_string()) return Corrupt("'{}' holds what is no string", key);
    out->push_back(item.get<std::string>());
  }
  return OkStatus();
}

Status Read(const Json& json, const char* key, std::vector<int>* out) {
  KAKEYA_ASSIGN_OR_RETURN(const Json* const list, FindArray(json, key));
  if (list == nullptr) return Corrupt("'{}' is missing", key);
  for (const Json& item : *list) {
    const int64_t layer = item.is_number_integer() ? item.get<int64_t>() : -1;
    if (layer < 0 || layer >= (int64_t{1} << 20))
      return Corrupt("'{}' holds what is no layer", key);
    out->push_back(item.get<int>());
  }
  return OkStatus();
}

}  // namespace

std::vector<RecallTask> AllTasks() {
  std::vector<RecallTask> tasks;
  for (int i = 0; i < kRecallTasks; ++i) tasks.push_back(static_cast<RecallTask>(i));
  return tasks;
}

Json ToJson(const RecallRecord& record) {
  return {{"task", NameOf(record.key.task)},
          {"length", record.key.length},
          {"arm", NameOf(record.key.arm)},
          {"prompt", record.key.prompt},
          {"right", record.right},
          {"depth", record.depth},
          {"distance", record.distance},
          {"prompt_tokens", record.prompt_tokens},
          {"prefill_tokens", record.prefill_tokens},
          {"prefill_s", record.prefill_seconds},
          {"decode_steps", record.decode_steps},
          {"decode_s", record.decode_seconds},
          {"resident_bytes", record.resident_bytes},
          {"peak_bytes", record.peak_bytes},
          {"history_bytes", record.history_bytes},
          {"scratch_bytes", record.scratch_bytes},
          {"restored_pages", record.restored_pages},
          {"restored_vectors", record.restored_vectors},
          {"failed_pages", record.failed_pages},
          {"reinserted_chunks", record.reinserted_chunks},
          {"coupon_layers", record.coupon_layers},
          {"answers", record.answers},
          {"expected", record.expected},
          {"phrasing", record.phrasing},
          {"machine", record.machine}};
}

Result<RecallRecord> RecordFromJson(const Json& json) {
  if (!json.is_object()) return Corrupt("is no JSON object");
  RecallRecord record;
  KAKEYA_ASSIGN_OR_RETURN(record.key.task, Named(json, "task", AllTasks()));
  KAKEYA_RETURN_IF_ERROR(Read(json, "length", &record.key.length));
  KAKEYA_ASSIGN_OR_RETURN(record.key.arm, Named(json, "arm", AllArms()));
  KAKEYA_RETURN_IF_ERROR(Read(json, "prompt", &record.key.prompt));
  KAKEYA_ASSIGN_OR_RETURN(const std::optional<bool> right, FindBool(json, "right"));
  if (!right) return Corrupt("'right' is missing");
  record.right = *right;
  KAKEYA_RETURN_IF_ERROR(Read(json, "depth", &record.depth));
  KAKEYA_RETURN_IF_ERROR(Read(json, "distance", &record.distance));
  KAKEYA_RETURN_IF_ERROR(Read(json, "prompt_tokens", &record.prompt_tokens));
  KAKEYA_RETURN_IF_ERROR(Read(json, "prefill_tokens", &record.prefill_tokens));
  KAKEYA_RETURN_IF_ERROR(Read(json, "prefill_s", &record.prefill_seconds));
  KAKEYA_RETURN_IF_ERROR(Read(json, "decode_steps", &record.decode_steps));
  KAKEYA_RETURN_IF_ERROR(Read(json, "decode_s", &record.decode_seconds));
  KAKEYA_RETURN_IF_ERROR(Read(json, "resident_bytes", &record.resident_bytes));
  KAKEYA_RETURN_IF_ERROR(Read(json, "peak_bytes", &record.peak_bytes));
  KAKEYA_RETURN_IF_ERROR(Read(json, "history_bytes", &record.history_bytes));
  KAKEYA_RETURN_IF_ERROR(Read(json, "scratch_bytes", &record.scratch_bytes));
  KAKEYA_RETURN_IF_ERROR(Read(json, "restored_pages", &record.restored_pages));
  KAKEYA_RETURN_IF_ERROR(Read(json, "restored_vectors", &record.restored_vectors));
  KAKEYA_RETURN_IF_ERROR(Read(json, "failed_pages", &record.failed_pages));
  KAKEYA_RETURN_IF_ERROR(Read(json, "reinserted_chunks", &record.reinserted_chunks));
  KAKEYA_RETURN_IF_ERROR(Read(json, "coupon_layers", &record.coupon_layers));
  KAKEYA_RETURN_IF_ERROR(Read(json, "answers", &record.answers));
  KAKEYA_RETURN_IF_ERROR(Read(json, "expected", &record.expected));
  KAKEYA_RETURN_IF_ERROR(Read(json, "phrasing", &record.phrasing));
  KAKEYA_RETURN_IF_ERROR(Read(json, "machine", &record.machine));
  return record;
}

}  // namespace kakeya
