// Files that appear whole or not at all.
#ifndef KAKEYA_FORMAT_WRITE_FILE_H_
#define KAKEYA_FORMAT_WRITE_FILE_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/status.h"
#include "format/read_file.h"
#include "format/temporary_name.h"

namespace kakeya {

// Writes to a file without a name in the target's folder; Commit flushes it to disk and gives it
// the target's name. Until then the target is untouched, and a process that ends in between,
// however it ends, leaves nothing. Only an older target is replaced by way of a temporary name
// (format/temporary_name.h), for an instant; and where the file system has no files without a name,
// the file has a temporary one from the beginning. Not thread-safe.
//
// Errors name the target: Unavailable (disk full, file size limit, no such folder, read-only, fsync
// failed), InvalidArgument (the target exists and isn't a regular file).
class AtomicFile {
 public:
  enum class Naming { kLate, kEarly };  // kEarly: as on a file system without files without a name

  enum class Access { kUmask, kOwner };  // who may read the file: whom the umask lets, nobody else

  static Result<AtomicFile> Create(const std::string& path, Naming naming = Naming::kLate,
                                   Access access = Access::kUmask);

  Status Write(std::span<const std::byte> bytes);
  // REQUIRES: called at most once, after the last Write.
  Status Commit();

 private:
  AtomicFile(std::string path, FileDescriptor fd, std::optional<TemporaryName> temporary)
      : path_(std::move(path)), fd_(std::move(fd)), temporary_(std::move(temporary)) {}
  // Gives a file without a name the target's, if that is free, or else a temporary one.
  Status Link();

  std::string path_;
  FileDescriptor fd_;
  std::optional<TemporaryName> temporary_;
};

// The text as a whole file, by AtomicFile.
Status WriteTextFile(const std::string& path, const std::string& text);

}  // namespace kakeya

#endif  // KAKEYA_FORMAT_WRITE_FILE_H_
