// Files that appear whole or not at all.
#ifndef KAKEYA_FORMAT_WRITE_FILE_H_
#define KAKEYA_FORMAT_WRITE_FILE_H_

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"
#include "format/read_file.h"

namespace kakeya {

// Writes to a temporary file beside the target; Commit flushes it to disk and renames it. Until
// then the target is untouched, and without Commit the temporary file is removed. Not thread-safe.
// Errors name the target: Unavailable (disk full, no such folder, read-only, fsync failed),
// InvalidArgument (the target exists and isn't a regular file).
class AtomicFile {
 public:
  static Result<AtomicFile> Create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept = default;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  Status Write(std::span<const std::byte> bytes);
  // REQUIRES: called at most once, after the last Write.
  Status Commit();

 private:
  AtomicFile(std::string path, std::string temporary, FileDescriptor fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

  std::string path_;
  std::string temporary_;  // empty once it has got its final name
  FileDescriptor fd_;
};

// The text as a whole file, by AtomicFile.
Status WriteTextFile(const std::string& path, const std::string& text);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_WRITE_FILE_H_
