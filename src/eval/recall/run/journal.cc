#include "eval/recall/run/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace kakeya {
namespace {

constexpr const char* kName = "kakeya prove";
constexpr int kFormat = 2;
constexpr size_t kMaxBytes = size_t{1} << 30;

Json HeaderOf(const Json& settings) {
  return {{"journal", kName}, {"format", kFormat}, {"settings", settings}};
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string SettingsDifference(const Json& there, const Json& here) {
  std::string out;
  const auto add = [&](const std::string& key, const std::string& a, const std::string& b) {
    out += fmt::format("{}{} is {} there and {} here", out.empty() ? "" : ", ", key, a, b);
  };
  for (const auto& [key, value] : here.items()) {
    const auto other = there.find(key);
    if (other == there.end()) {
      add(key, "missing", Dump(value));
    } else if (*other != value) {
      add(key, Dump(*other), Dump(value));
    }
  }
  for (const auto& [key, value] : there.items()) {
    if (here.find(key) == here.end()) add(key, Dump(value), "missing");
  }
  return out;
}

// Reads whole lines and tells how many bytes they are.
Status RecallJournal::Load(const std::string& text, const Json& settings, uint64_t* good_bytes) {
  size_t begin = 0;
  for (int line = 1;; ++line) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const Result<Json> json = ParseJson(std::string_view(text).substr(begin, end - begin));
    const std::string where = fmt::format("{}, line {}", path_, line);
    if (!json.ok()) return json.status().WithContext(where);
    if (line == 1) {
      const bool ours = json->is_object() && json->value("journal", Json()) == kName &&
                        json->value("format", Json()) == kFormat &&
                        json->value("settings", Json()).is_object();
      if (!ours) return Corrupt("{}: is no journal of this version of `prove`", path_);
      const std::string difference = SettingsDifference((*json)["settings"], settings);
      if (!difference.empty()) {
        return InvalidArgument(
            "{}: is the journal of a run with other settings: {}; remove it, or name another one "
            "with --journal",
            path_, difference);
      }
    } else {
      const Result<RecallRecord> record = RecordFromJson(*json);
      if (!record.ok()) return record.status().WithContext(where);
      records_[record->key] = *record;
    }
    begin = end + 1;
  }
  *good_bytes = begin;
  return OkStatus();
}

Result<RecallJournal> RecallJournal::Open(const std::string& path, const Json& settings) {
  RecallJournal journal;
  journal.path_ = path;
  // O_NONBLOCK: a FIFO must not make us wait; ReadFileBytes refuses what is no regular file.
  journal.fd_ = FileDescriptor(
      open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644));
  const int fd = journal.fd_.get();
  if (fd < 0) return Unavailable("{}: {}", path, std::strerror(errno));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return InvalidArgument("{}: another run is writing to this journal", path);
  }
  KAKEYA_ASSIGN_OR_RETURN(const std::string text, ReadFileBytes(path, kMaxBytes));
  uint64_t good_bytes = 0;
  KAKEYA_RETURN_IF_ERROR(journal.Load(text, settings, &good_bytes));
  if (good_bytes < text.size()) {
    // Something that never was a journal is not cut.
    if (good_bytes == 0 && text.rfind("{\"journal\"", 0) != 0) {
      return Corrupt("{}: is no journal of `prove`", path);
    }
    if (ftruncate(fd, static_cast<off_t>(good_bytes)) != 0) {
      return Unavailable("{}: {}", path, std::strerror(errno));
    }
  }
  if (good_bytes == 0) KAKEYA_RETURN_IF_ERROR(journal.AppendLine(HeaderOf(settings)));
  return journal;
}

Status RecallJournal::AppendLine(const Json& json) {
  const std::string line = Dump(json) + "\n";
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t written = write(fd_.get(), line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Unavailable("{}: {}", path_, std::strerror(errno));
    done += static_cast<size_t>(written);
  }
  return OkStatus();
}

Status RecallJournal::Add(const RecallRecord& record) {
  if (!path_.empty()) KAKEYA_RETURN_IF_ERROR(AppendLine(ToJson(record)));
  records_[record.key] = record;
  return OkStatus();
}

}  // namespace kakeya
