#include "format/write_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace kakeya {
namespace {

Status WriteError(const std::string& path, const char* what) {
  return Unavailable("{}: cannot {}: {}", path, what, std::strerror(errno));
}

// The folder that a path's last part lies in.
std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<AtomicFile> AtomicFile::Create(const std::string& path) {
  if (path.empty() || path.back() == '/' || path.find('\0') != path.npos) {
    return InvalidArgument("'{}' cannot be the name of a file", path.c_str());
  }
  struct stat info;
  // Renaming over a device or a FIFO would replace it by a file.
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return InvalidArgument("{}: exists and is not a regular file", path);
  }
  constexpr int kTries = 100;  // names left behind by processes that were killed
  for (int i = 0; i < kTries; ++i) {
    std::string temporary = fmt::format("{}.tmp-{}-{}", path, ::getpid(), i);
    FileDescriptor fd(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (fd.get() >= 0) return AtomicFile(path, std::move(temporary), std::move(fd));
    if (errno != EEXIST) break;
  }
  return WriteError(path, "write");
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::Write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd_.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return WriteError(path_, "write");
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
  return OkStatus();
}

Status AtomicFile::Commit() {
  assert(!temporary_.empty());
  if (::fsync(fd_.get()) != 0) return WriteError(path_, "flush to disk");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return WriteError(path_, "rename");
  temporary_.clear();
  // The new name is on disk only once the folder is.
  const FileDescriptor folder(::open(FolderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::fsync(folder.get()) != 0) return WriteError(path_, "flush the folder");
  return OkStatus();
}

Status WriteTextFile(const std::string& path, const std::string& text) {
  KAKEYA_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  KAKEYA_RETURN_IF_ERROR(file.Write(std::as_bytes(std::span(text))));
  return file.Commit();
}

}  // namespace kakeya
